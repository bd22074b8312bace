//! What the real istiod sent to real proxies keeps the rules of Envoy's proto files as we read them: a rule that is
//! read too strictly would leave out what works.

use proto::constraints::violation;
use proto::json::{UnknownFields, json_to_bytes};
use testkit::parity::{Scenario, shared_dir};

const MESSAGES: [(&str, &str); 4] = [
    ("cds", "envoy.config.cluster.v3.Cluster"),
    ("eds", "envoy.config.endpoint.v3.ClusterLoadAssignment"),
    ("lds", "envoy.config.listener.v3.Listener"),
    ("rds", "envoy.config.route.v3.RouteConfiguration"),
];

/// Proxies that are no Envoys.
const OTHERS: &[&str] = &["grpc-proxyless"];
/// A matcher whose text is empty, which the corpus does not keep.
const EMPTIED: (&str, &str) = ("ra-gateway", "http.8080");

#[test]
fn recorded_resources_keep_the_rules() {
    let Some(shared) = shared_dir() else {
        assert!(std::env::var_os("CI").is_none(), "the recordings (shared/parity) are absent");
        eprintln!("SKIPPED: no folder shared/parity beside the repository, so nothing was checked");
        return;
    };
    let (mut n_resources, mut broken) = (0, Vec::new());
    for name in Scenario::names(&shared).expect("the scenarios") {
        if OTHERS.contains(&name.as_str()) {
            continue;
        }
        let scenario = Scenario::load(&shared, &name).expect("a scenario");
        for proxy in &scenario.proxies {
            let recorded = scenario.recorded(&proxy.name).expect("resources");
            for (kind, message) in MESSAGES {
                for (resource, json) in recorded.get(kind).into_iter().flatten() {
                    if (name.as_str(), resource.as_str()) == EMPTIED {
                        continue;
                    }
                    let url = format!("type.googleapis.com/{message}");
                    let Ok(bytes) = json_to_bytes(&url, json, UnknownFields::Ignore) else { continue };
                    n_resources += 1;
                    broken.extend(
                        violation(message, &bytes).map(|v| format!("{name} {} {resource}: {v}", proxy.name)),
                    );
                }
            }
        }
    }
    assert!(n_resources > 5000, "{n_resources}");
    assert_eq!(broken, Vec::<String>::new(), "of {n_resources}");
}
