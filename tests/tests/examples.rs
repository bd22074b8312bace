//! Every example keeps what its README promises, on the real control plane and stock Envoys of both versions.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Mutex;

use testkit::envoy::{NEWEST, OLDEST};
use tests::examples::{EXAMPLES, Suite};

/// Examples at a time: starting an Envoy keeps a processor busy, waiting for a delay does not.
const AT_A_TIME: usize = 3;

#[test]
fn every_example_keeps_its_promise() {
    let names: Vec<&str> = EXAMPLES.iter().map(|(name, _)| *name).collect();
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("examples-{}", std::process::id()));
    let suite = Suite::start(&names, &folder).unwrap();
    // Every second example runs on the other Envoy.
    let waiting = Mutex::new(names.iter().zip([OLDEST, NEWEST].into_iter().cycle()));
    let failures = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..AT_A_TIME {
            scope.spawn(|| {
                loop {
                    let Some((name, envoy)) = waiting.lock().unwrap().next() else { return };
                    match suite.measure(name, envoy) {
                        Ok(checks) => {
                            failures.lock().unwrap().extend(checks.iter().filter(|check| !check.passed).map(
                                |check| {
                                    let (what, measured, bound) =
                                        (&check.what, &check.measured, &check.bound);
                                    format!("{name} on {envoy}: {what}: {measured}, promised {bound}")
                                },
                            ));
                        }
                        Err(error) => failures.lock().unwrap().push(format!("{name} on {envoy}: {error:#}")),
                    }
                }
            });
        }
    });
    drop(suite);
    let failures = failures.into_inner().unwrap();
    assert!(failures.is_empty(), "logs in {}:\n{}", folder.display(), failures.join("\n"));
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn every_folder_of_examples_is_measured_and_has_a_readme() {
    let folder = testkit::workspace().join("examples");
    let folders: BTreeSet<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_dir())
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .filter(|name| name != "bookinfo")
        .collect();
    let measured: BTreeSet<String> = EXAMPLES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(folders, measured);
    for name in folders {
        let readme = std::fs::read_to_string(folder.join(&name).join("README.md")).unwrap();
        assert!(readme.contains(&format!("make example NAME={name}")), "{name}");
    }
}
