//! No input panics: recorded scenarios with values swapped for hostile ones, parsed and generated for every proxy.
//! What is rejected is rejected; the rest must still give every proxy its resources.

use std::panic::{AssertUnwindSafe, catch_unwind};

use serde_json::{Value, json};
use testkit::generate::{generate, mesh_of_what_parses};
use testkit::parity::{Scenario, shared_dir};

/// A small generator of numbers, the same at every run.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound.max(1) as u64) as usize
    }
}

fn hostile(numbers: &mut Numbers, old: &Value) -> Value {
    let choices = [
        json!(null),
        json!(""),
        json!("*"),
        json!("*."),
        json!("/"),
        json!("~"),
        json!("[[[((("),
        json!("ÿ\u{0}\u{202e}🦀"),
        json!("x".repeat(10_000)),
        json!("-1s"),
        json!("9223372036854775807h"),
        json!("999.999.999.999/99"),
        json!("::/0"),
        json!(0),
        json!(-1),
        json!(65_536),
        json!(u32::MAX),
        json!(i64::MAX),
        json!(1e308),
        json!(true),
        json!([]),
        json!({}),
        json!([old.clone(), old.clone()]),
        json!({ "x": old.clone() }),
    ];
    choices[numbers.below(choices.len())].clone()
}

/// Swaps one value somewhere below `value`; what names and types an object stays, so that most still parse.
fn swap_one(value: &mut Value, numbers: &mut Numbers) {
    let n_children = match value {
        Value::Object(map) => map.len(),
        Value::Array(list) => list.len(),
        _ => 0,
    };
    if n_children == 0 || numbers.below(6) == 0 {
        *value = hostile(numbers, value);
        return;
    }
    let index = numbers.below(n_children);
    match value {
        Value::Object(map) => {
            if let Some((_, child)) = map.iter_mut().nth(index) {
                swap_one(child, numbers);
            }
        }
        Value::Array(list) => swap_one(&mut list[index], numbers),
        _ => {}
    }
}

#[test]
fn no_swapped_value_in_any_scenario_makes_generation_panic() {
    let Some(shared) = shared_dir() else {
        assert!(std::env::var_os("CI").is_none(), "the recordings (shared/parity) are absent");
        eprintln!("SKIPPED: no folder shared/parity beside the repository, so nothing was mutated");
        return;
    };
    let mut numbers = Numbers(0x9e37_79b9_7f4a_7c15);
    let mut panics = Vec::new();
    for name in Scenario::names(&shared).expect("the scenarios") {
        let scenario = Scenario::load(&shared, &name).expect("a scenario");
        for _ in 0..4 {
            let mut objects = scenario.objects.clone();
            for _ in 0..6 {
                let index = numbers.below(objects.len());
                let part = if numbers.below(8) == 0 { "metadata" } else { "spec" };
                if let Some(part) = objects[index].get_mut(part) {
                    swap_one(part, &mut numbers);
                }
            }
            let mut hostile_status = json!({"conditions": [{"type": "Accepted"}], "parents": [{"parentRef": {}}],
                "ancestors": [], "listeners": [{"name": "web", "conditions": [null]}]});
            swap_one(&mut hostile_status, &mut numbers);
            let result = catch_unwind(AssertUnwindSafe(|| {
                let mesh = mesh_of_what_parses(&objects);
                for status in mesh.statuses() {
                    let written = status.document(Some(&hostile_status), "2026-01-01T00:00:00Z");
                    assert!(written.is_object(), "{:?}", status.key);
                }
                for proxy in &scenario.proxies {
                    generate(&mesh, proxy).expect("resources that decode");
                }
            }));
            if let Err(payload) = result {
                let message = payload
                    .downcast_ref::<String>()
                    .cloned()
                    .or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
                let changed: Vec<&Value> =
                    objects.iter().zip(&scenario.objects).filter(|(a, b)| a != b).map(|(a, _)| a).collect();
                panics.push(format!("{name}: {message:?} with {}", json!(changed)));
            }
        }
    }
    assert!(panics.is_empty(), "{} panics, the first:\n{:.6000}", panics.len(), panics[0]);
}
