//! Namespaces: no label that says whether Pods get a proxy (IST0102), or several (IST0123).

use config::Kind;

use super::Report;
use super::world::{World, labels};

const INJECTION: &str = "istio-injection";
const REVISION: &str = "istio.io/rev";
const MODE: &str = "istio.io/dataplane-mode";

pub(super) fn check(world: &World<'_>, report: &mut Report) {
    for subject in world.of(Kind::Namespace) {
        let name = subject.name;
        let is_system =
            name == world.around.root_namespace || name.starts_with("kube-") || name == "local-path-storage";
        if is_system {
            continue;
        }
        let at = subject.object.at("metadata").at("labels");
        let all = labels(&at);
        let set: Vec<String> = [INJECTION, REVISION, MODE]
            .iter()
            .filter_map(|label| Some(format!("{label}={}", all.get(label)?)))
            .collect();
        let is_off = all.get(INJECTION).is_some_and(|value| *value != "enabled");
        if set.len() > 1 && !is_off {
            let message = format!(
                "The namespace has more than one type of injection labels [{}], which may lead to undefined behavior. \
                 Make sure only one injection label exists.",
                set.join(", ")
            );
            report.warn(subject, "IST0123", &at, message);
        }
        // Where Pods have their proxies already, nothing is to be injected.
        let mut workloads = world.workloads.iter().filter(|workload| workload.namespace == name).peekable();
        let to_inject = workloads.peek().is_some()
            && !workloads.any(|workload| super::workload::has_proxy(&world.subjects[workload.subject]));
        if set.is_empty() && (to_inject || world.around.is_complete) {
            let message = format!(
                "The namespace is not enabled for Istio injection. Run 'kubectl label namespace {name} \
                 istio-injection=enabled' to enable it, or 'kubectl label namespace {name} istio-injection=disabled' to \
                 explicitly mark it as not needing injection."
            );
            report.info(subject, "IST0102", &subject.name_node(), message);
        }
    }
}
