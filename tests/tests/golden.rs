//! Every golden case generates what it says; HTTP/3, which worlds made by chance have not, is shown to stock Envoys.

use testkit::envoy::{NEWEST, OLDEST, binary, static_bootstrap, validate};
use tests::golden::{cases, check, folder, generated};

#[test]
fn every_golden_case_generates_what_it_says() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let cases = cases().expect("the folder of golden cases");
    assert!(!cases.is_empty());
    let failures: Vec<String> = cases
        .iter()
        .filter_map(|case| {
            let error = check(case, update).err()?;
            Some(format!("{}: {error:#}", case.strip_prefix(folder()).unwrap_or(case).display()))
        })
        .collect();
    assert!(failures.is_empty(), "{} of {} cases:\n{}", failures.len(), cases.len(), failures.join("\n"));
}

#[test]
fn stock_envoys_accept_listeners_for_http3() {
    let binaries: Vec<_> = [OLDEST, NEWEST].into_iter().filter_map(|version| binary(version).ok()).collect();
    if binaries.len() < 2 {
        assert!(std::env::var_os("CI").is_none(), "`make tools` installs the stock Envoys");
        eprintln!("SKIPPED: no stock Envoys; `make tools` installs them");
        return;
    }
    // A stock Envoy is known by what it was built with.
    let stock = ["envoy.filters.http.router".to_owned()];
    let place = testkit::workspace().join("target/http3");
    std::fs::create_dir_all(&place).expect("a folder for bootstraps");
    for case in ["http3", "http3-addresses"] {
        for (node, resources) in generated(&folder().join("gateway").join(case), &stock).expect("a case") {
            assert!(resources["lds"].keys().any(|name| name.starts_with("udp_")), "{case}: no UDP listener");
            let file = place.join(format!("{case}.json"));
            std::fs::write(&file, static_bootstrap(&node, &resources).to_string()).expect("a bootstrap");
            for binary in &binaries {
                validate(binary, &file).unwrap_or_else(|error| panic!("{case}: {error}"));
            }
        }
    }
}
