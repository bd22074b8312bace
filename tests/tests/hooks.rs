//! Both webhooks through a real API server, by the objects of the charts: who gets a proxy, what is refused and when,
//! and that neither stops while certificates change. Answers sections 6.7 and 7.2 of the platform specification.

#[path = "hooks/injection.rs"]
mod injection;
#[path = "hooks/rotation.rs"]
mod rotation;
#[path = "hooks/validation.rs"]
mod validation;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::cluster::objects;
use tests::hooks::{Hooked, LIMIT, Plane, configuration, containers, roots_of};

/// One cluster at a time is enough for a small machine.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const INJECTOR: &str = "istio-sidecar-injector";
const VALIDATORS: [&str; 2] = ["istio-validator-istio-system", "istiod-default-validator"];
const ROUTES: &str = "/apis/networking.istio.io/v1/namespaces/shop/virtualservices";

fn mutating(name: &str) -> String {
    configuration("mutatingwebhookconfigurations", name)
}

fn validating(name: &str) -> String {
    configuration("validatingwebhookconfigurations", name)
}

/// A VirtualService that sends so much of its traffic to the only destination.
fn route(weights: &[i64]) -> Value {
    let to = |weight: &i64| json!({"destination": {"host": "web"}, "weight": weight});
    let to: Vec<Value> = weights.iter().map(to).collect();
    json!({"apiVersion": "networking.istio.io/v1", "kind": "VirtualService", "metadata": {"name": "web", "namespace": "shop"},
           "spec": {"hosts": ["web"], "http": [{"route": to}]}})
}

/// One that no schema refuses: two destinations that get nothing.
fn broken() -> Value {
    route(&[0, 0])
}

fn is_strict(configuration: &Value) -> bool {
    let mut entries = configuration["webhooks"].as_array().into_iter().flatten();
    entries.all(|entry| entry["failurePolicy"] == "Fail")
}
