//! Worlds made by chance, translated for a sidecar and for a gateway in both dialects: nothing panics, and stock
//! Envoys, the oldest and the newest supported, accept every one. `FUZZ_CASES` says how many worlds (32 unless
//! told), `FUZZ_SEED` which ones; a refused one is shrunk and printed as YAML.

#![expect(clippy::unwrap_used, reason = "helpers of tests may end a test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};
use serde_json::Value;
use testkit::envoy::{NEWEST, OLDEST, binary, merged_bootstraps, static_bootstrap, validate};
use testkit::generate::{generate_as, mesh_of_what_parses};
use tests::fuzz::{World, world};

/// A stock Envoy is known by what it was built with; Istio's says nothing of the kind in these nodes.
const STOCK: &str = "envoy.filters.http.router";

/// How many worlds go into one start of Envoy.
const TOGETHER: usize = 16;

/// How many refused worlds are made small, each for another reason.
const SHRUNK: usize = 3;

#[test]
fn stock_envoys_accept_what_worlds_made_by_chance_become() {
    let binaries: Vec<PathBuf> =
        [OLDEST, NEWEST].into_iter().filter_map(|version| binary(version).ok()).collect();
    if binaries.len() < 2 {
        assert!(std::env::var_os("CI").is_none(), "`make tools` installs the stock Envoys");
        eprintln!("SKIPPED: no stock Envoys; `make tools` installs them");
        return;
    }
    let n_cases = number("FUZZ_CASES", 32) as usize;
    let mut seed = [0; 32];
    seed[..8].copy_from_slice(&number("FUZZ_SEED", 1).to_le_bytes());
    let config = Config { failure_persistence: None, ..Config::default() };
    let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &seed));
    let strategy = world();
    let trees: Vec<_> = (0..n_cases).map(|_| strategy.new_tree(&mut runner).expect("a world")).collect();
    let folder = testkit::workspace().join("target/fuzz");
    std::fs::create_dir_all(&folder).expect("a folder for bootstraps");

    let check = Check { binaries, folder };
    let mut trees: Vec<_> = trees.into_iter().enumerate().skip(number("FUZZ_FROM", 0) as usize).collect();
    let workers = std::thread::available_parallelism().map_or(2, usize::from);
    let share = trees.len().div_ceil(workers).next_multiple_of(TOGETHER).max(TOGETHER);
    let worlds: Vec<(usize, World)> = trees.iter().map(|(id, tree)| (*id, tree.current())).collect();
    let refused: Vec<(usize, String)> = std::thread::scope(|scope| {
        let check = &check;
        let threads: Vec<_> =
            worlds.chunks(share).map(|part| scope.spawn(move || check.refused_of(part))).collect();
        threads.into_iter().flat_map(|thread| thread.join().expect("a thread of this test")).collect()
    });
    if refused.is_empty() {
        return;
    }
    let mut by_reason: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (id, reason) in &refused {
        by_reason.entry(reason.replace(|c: char| c.is_ascii_digit(), "")).or_default().push(*id);
    }
    let mut report = format!("{} of {n_cases} worlds are refused\n", refused.len());
    for (reason, ids) in &by_reason {
        let _ = writeln!(report, "{} times, such as world {}: {reason}", ids.len(), ids[0]);
    }
    for ids in by_reason.values().take(number("FUZZ_SHRINK", SHRUNK as u64) as usize) {
        let Some((_, tree)) = trees.iter_mut().find(|(id, _)| *id == ids[0]) else { continue };
        let (smallest, reason) = shrunk(tree, &check);
        let _ = writeln!(report, "\nworld {} made small: {reason}\n{}", ids[0], yaml(&smallest));
    }
    panic!("{report}");
}

fn number(variable: &str, unless_told: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(unless_told)
}

struct Check {
    binaries: Vec<PathBuf>,
    folder: PathBuf,
}

impl Check {
    /// Those of the worlds that are refused, with the reason.
    fn refused_of(&self, worlds: &[(usize, World)]) -> Vec<(usize, String)> {
        let mut refused = Vec::new();
        for together in worlds.chunks(TOGETHER) {
            let mut bootstraps = Vec::new();
            for (id, world) in together {
                match bootstraps_of(world) {
                    Ok(own) => bootstraps.push((*id, world, own)),
                    Err(reason) => refused.push((*id, reason)),
                }
            }
            let name = together.first().map_or(0, |(id, _)| *id);
            let all = bootstraps.iter().flat_map(|(_, _, own)| own.iter().cloned());
            if self.ask(&format!("from-{name}"), &merged_bootstraps(all)).is_none() {
                continue;
            }
            let alone = bootstraps
                .iter()
                .filter_map(|(id, _, own)| Some((*id, self.refusal_of(&id.to_string(), own)?)));
            let alone: Vec<_> = alone.collect();
            // Together they are refused, each alone is not: that is a fault of this test.
            assert!(!alone.is_empty(), "only together are worlds {name} and the next {TOGETHER} refused");
            refused.extend(alone);
        }
        refused
    }

    /// Why one world is refused.
    fn refusal(&self, world: &World) -> Option<String> {
        match bootstraps_of(world) {
            Ok(bootstraps) => self.refusal_of("shrinking", &bootstraps),
            Err(reason) => Some(reason),
        }
    }

    fn refusal_of(&self, name: &str, bootstraps: &[Value]) -> Option<String> {
        bootstraps.iter().find_map(|bootstrap| self.ask(name, bootstrap))
    }

    fn ask(&self, name: &str, bootstrap: &Value) -> Option<String> {
        let file = self.folder.join(format!("{name}.json"));
        std::fs::write(&file, bootstrap.to_string()).unwrap();
        let answer =
            self.binaries.iter().find_map(|binary| Some(said(&validate(binary, &file).err()?.to_string())));
        if answer.is_none() {
            let _ = std::fs::remove_file(&file);
        }
        answer
    }
}

/// What a world becomes for stock Envoys. For Istio's own it only must become something.
fn bootstraps_of(world: &World) -> Result<Vec<Value>, String> {
    let made = catch_unwind(AssertUnwindSafe(|| {
        let mesh = mesh_of_what_parses(&world.all_objects());
        let both = [&world.sidecar, &world.gateway];
        for node in both {
            generate_as(&mesh, node, &[]).unwrap();
        }
        both.map(|node| {
            let resources = generate_as(&mesh, node, &[STOCK.to_owned()]).unwrap();
            static_bootstrap(node, &resources)
        })
    }));
    made.map(Vec::from).map_err(|payload| {
        let text = payload.downcast_ref::<String>().map(String::as_str);
        format!("a panic: {}", text.or_else(|| payload.downcast_ref::<&str>().copied()).unwrap_or_default())
    })
}

/// The smallest world that is still refused, and why. Bounded, since each step starts Envoys.
fn shrunk<T: ValueTree<Value = World>>(tree: &mut T, check: &Check) -> (World, String) {
    let mut smallest = tree.current();
    let mut reason = check.refusal(&smallest).unwrap_or_default();
    for _ in 0..400 {
        let refused = check.refusal(&tree.current());
        let goes_on = match refused {
            Some(said) => {
                (smallest, reason) = (tree.current(), said);
                tree.simplify()
            }
            None => tree.complicate(),
        };
        if !goes_on {
            break;
        }
    }
    (smallest, reason)
}

fn yaml(world: &World) -> String {
    let documents = world.objects.iter().chain([&world.sidecar, &world.gateway]);
    let text = |value: &Value| serde_yaml::to_string(value).unwrap_or_default();
    documents.flat_map(|value| ["---\n".to_owned(), text(value)]).collect()
}

/// What Envoy says is wrong, without time, files, numbers of threads and dumps of whole messages.
fn said(text: &str) -> String {
    let is_reason = |line: &&str| {
        line.contains("error initializing")
            || line.contains("assert")
            || line.contains("Caught")
            || line.contains("exception")
    };
    let lines = || text.lines().filter(|line| !line.contains("[warning]") && !line.trim().is_empty());
    let first = lines().find(is_reason).or_else(|| lines().next_back()).unwrap_or_default();
    let first = first.split_once(".json': ").map_or(first, |(_, reason)| reason);
    let last = lines().next_back().unwrap_or_default();
    // A refused constraint is told last, outermost message first.
    let innermost =
        |line: &str| line.rsplit("caused by ").next().unwrap_or_default().trim_end_matches(')').to_owned();
    if last.contains("constraint validation failed") {
        innermost(last)
    } else {
        first.chars().take(600).collect()
    }
}

#[test]
fn nearly_all_objects_made_by_chance_are_read() {
    let mut runner = TestRunner::deterministic();
    let (mut n_objects, mut rejected) = (0, Vec::new());
    for _ in 0..100 {
        let world = world().new_tree(&mut runner).expect("a world").current();
        n_objects += world.objects.len();
        rejected.extend(world.objects.into_iter().filter_map(|object| config::parse(object, "test").err()));
    }
    let text = rejected.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n");
    assert!(rejected.len() * 20 < n_objects, "{} of {n_objects}:\n{text}", rejected.len());
}
