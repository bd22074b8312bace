//! Scraping through the agent: the pod's own annotations move into the proxy's environment, and those that stay point
//! at the agent, which serves both (platform specification, 6.4, step 4).

use proto::istio::mesh::MeshConfig;
use serde::Serialize;
use serde_json::Value;

use crate::annotations::parse_flag;
use crate::pod;

const MERGE: &str = "prometheus.istio.io/merge-metrics";
const ENVIRONMENT: &str = "ISTIO_PROMETHEUS_ANNOTATIONS";
const OURS: [&str; 3] = ["prometheus_io_path", "prometheus_io_port", "prometheus_io_scrape"];

/// As the agent reads it.
#[derive(Default, PartialEq, Serialize)]
struct Application {
    scrape: String,
    path: String,
    port: String,
}

/// Prometheus sees annotations with everything but letters, digits and `_` replaced, so many spellings are one.
fn as_label(name: &str) -> String {
    name.chars().map(|letter| if letter.is_ascii_alphanumeric() { letter } else { '_' }).collect()
}

fn value(pod: &Value, label: &str) -> Option<String> {
    pod::strings(pod, "annotations")
        .into_iter()
        .find(|(name, _)| as_label(name) == label)
        .map(|(_, value)| value)
}

fn clear(pod: &mut Value) {
    pod::strings_mut(pod, "annotations").retain(|name, _| !OURS.contains(&as_label(name).as_str()));
}

/// Removes annotations that an earlier injection made.
pub(crate) fn forget_ours(pod: &mut Value, agent_port: u32) {
    if value(pod, "prometheus_io_port").is_some_and(|port| port == agent_port.to_string()) {
        clear(pod);
    }
}

/// Moves and replaces the annotations, unless pod or mesh do not want it.
pub(crate) fn merge(pod: &mut Value, mesh: &MeshConfig, agent_port: u32) {
    let wanted = pod::annotation(pod, MERGE)
        .and_then(parse_flag)
        .unwrap_or_else(|| mesh.enable_prometheus_merge.is_none_or(|wanted| wanted.value));
    let scrape = value(pod, "prometheus_io_scrape");
    let refused = scrape.as_deref().and_then(parse_flag) == Some(false);
    let port = value(pod, "prometheus_io_port");
    let agent = agent_port.to_string();
    if !wanted || refused || port.as_ref() == Some(&agent) {
        return;
    }
    let application = Application {
        scrape: scrape.unwrap_or_default(),
        path: value(pod, "prometheus_io_path").unwrap_or_default(),
        port: port.unwrap_or_default(),
    };
    if application != Application::default()
        && let Some(proxy) = pod::proxy_mut(pod)
    {
        pod::add_variable(proxy, ENVIRONMENT, &serde_json::to_string(&application).unwrap_or_default());
    }
    clear(pod);
    pod::annotate(pod, "prometheus.io/port", agent);
    pod::annotate(pod, "prometheus.io/path", "/stats/prometheus");
    pod::annotate(pod, "prometheus.io/scrape", "true");
}
