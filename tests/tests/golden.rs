//! Every golden case generates what it says.

use tests::golden::{cases, check, folder};

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
