//! The admission policy of `profile: stable`, in force on a real API server. Answers section 7.2 of the platform
//! specification.

use serde_json::{Value, json};
use testkit::cluster::objects;

fn object(version: &str, kind: &str, name: &str, spec: Value) -> Value {
    json!({"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": "istio-system"}, "spec": spec})
}

/// Applies objects where the policy of the chart `base` was just installed.
pub(crate) async fn refuses_what_is_not_stable_and_nothing_else(client: &kube_io::Client) {
    let telemetry = |name: &str, spec| object("telemetry.istio.io/v1", "Telemetry", name, spec);
    let filter = object("networking.istio.io/v1alpha3", "EnvoyFilter", "filter", json!({}));
    let refused = [
        filter.clone(),
        object("networking.istio.io/v1beta1", "ProxyConfig", "proxies", json!({"concurrency": 1})),
        telemetry("tracing", json!({"tracing": [{"useRequestIdForTraceSampling": false}]})),
        telemetry("metrics", json!({"metrics": [{"reportingInterval": "10s"}]})),
        telemetry("logs", json!({"accessLogging": [{"filter": {"expression": "true"}}]})),
    ];
    let taken = [
        telemetry("plain", json!({"tracing": [{"randomSamplingPercentage": 1.5}], "accessLogging": [{}]})),
        telemetry("empty", json!({})),
        object("networking.istio.io/v1", "ServiceEntry", "entry", json!({"hosts": ["a.example.org"]})),
    ];
    // The API server learns of a policy some time after it was stored; there is nothing to watch for that.
    for _ in 0..600 {
        if objects::apply_strictly(client, &filter).await.is_err() {
            break;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    for object in refused {
        let error = objects::apply_strictly(client, &object).await.expect_err("it is not stable");
        assert!(
            format!("{error:#}").contains("is not stable") || format!("{error:#}").contains("are not stable")
        );
    }
    for object in taken {
        objects::apply_strictly(client, &object).await.expect("it is stable");
    }
}
