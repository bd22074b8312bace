//! Parity with the real istiod: every recorded scenario runs, none falls below its floor, and the differences that
//! are intended are the listed ones.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use testkit::parity::{Scenario, shared_dir};
use tests::parity::{FAMILIES, Options, intended, run};

fn file(name: &str) -> PathBuf {
    testkit::workspace().join("tests/parity").join(name)
}

#[test]
fn no_scenario_falls_below_its_floor_and_the_promised_families_stand_at_their_share() {
    let Some(shared) = shared_dir() else {
        assert!(std::env::var_os("CI").is_none(), "the recordings (shared/parity) are absent");
        eprintln!("SKIPPED: no folder shared/parity beside the repository, so parity was not measured");
        return;
    };
    let text = std::fs::read_to_string(file("floor.yaml")).expect("tests/parity/floor.yaml");
    let floors: BTreeMap<String, usize> = serde_yaml::from_str(&text).expect("scenario: equal resources");
    let names = Scenario::names(&shared).expect("the scenarios");
    let report = run(&shared, &names, &Options::default());
    println!("{report}");
    let broken: Vec<_> =
        report.rows.iter().filter_map(|(name, row)| Some((name, row.error.as_ref()?))).collect();
    assert!(broken.is_empty(), "scenarios that do not run: {broken:?}");
    let fallen: Vec<String> = report
        .rows
        .iter()
        .filter_map(|(name, row)| {
            let floor = floors.get(name).copied().unwrap_or_default();
            (row.equal < floor).then(|| format!("{name}: {} equal, the floor is {floor}", row.equal))
        })
        .collect();
    assert!(fallen.is_empty(), "parity fell: {fallen:#?}");
    let (equal, total) = report.total(|name| FAMILIES.iter().any(|family| name.starts_with(family)));
    assert!(equal * 100 >= total * 85, "{equal} of {total} resources of the promised families are equal");
}

#[test]
fn intended_differences_exist_and_say_why() {
    let list = intended().expect("tests/parity/intended.yaml");
    for difference in &list {
        assert!(difference.reason.len() > 20, "{}: a reason is a sentence", difference.resource);
    }
    let Some(shared) = shared_dir() else { return };
    let names: BTreeSet<String> = list.iter().map(|difference| difference.scenario.clone()).collect();
    let report = run(&shared, &names.into_iter().collect::<Vec<_>>(), &Options::default());
    for difference in &list {
        let met = &report.rows[&difference.scenario].intended;
        let key = format!("{} {}", difference.proxy, difference.resource);
        assert!(met.contains(&key), "{}: {key} is listed as a difference but is none", difference.scenario);
    }
}
