//! Workloads: Pods that run without the proxy which their namespace asks for (IST0103), and applications that run as
//! the user of the proxy, whose traffic is not intercepted (IST0144).

use super::Report;
use super::world::{Subject, World};
use crate::cursor::Node;

/// What the proxy runs as.
const PROXY_USER: i64 = 1337;

/// The description of the Pods that an object makes, if it is such an object.
fn pod_spec<'a>(subject: &Subject<'a>) -> Option<Node<'a>> {
    match subject.kind {
        "Pod" => Some(subject.spec.clone()),
        "Deployment" | "StatefulSet" | "DaemonSet" | "ReplicaSet" | "Job" => {
            subject.spec.at("template").at("spec").set()
        }
        _ => None,
    }
}

fn containers<'a>(pod: &Node<'a>) -> Vec<Node<'a>> {
    let mut all = pod.at("containers").items();
    all.extend(pod.at("initContainers").items());
    all
}

/// Whether the proxy is among the containers, or the workload is a proxy's place by itself.
pub(super) fn has_proxy(subject: &Subject<'_>) -> bool {
    match pod_spec(subject) {
        Some(pod) => containers(&pod).iter().any(|container| container.at("name").text() == "istio-proxy"),
        None => true,
    }
}

pub(super) fn check(world: &World<'_>, report: &mut Report) {
    for workload in &world.workloads {
        let subject = &world.subjects[workload.subject];
        let Some(pod) = pod_spec(subject) else { continue };
        let of_pod = pod.at("securityContext").at("runAsUser").set();
        let of_containers = pod.at("containers").items().into_iter().filter_map(|container| {
            let is_proxy = container.at("name").text() == "istio-proxy";
            container.at("securityContext").at("runAsUser").set().filter(|_| !is_proxy)
        });
        let proxied = subject.namespace == world.around.root_namespace;
        for at in of_pod.into_iter().chain(of_containers).filter(|at| !proxied && at.integer() == PROXY_USER)
        {
            let message = "User ID (UID) 1337 is reserved for the sidecar proxy. Let the application run as another: \
                           traffic of this user is not intercepted.";
            report.warn(subject, "IST0144", &at, message.to_owned());
        }
        if subject.kind == "Pod" && world.around.is_complete {
            check_injected(world, report, subject, &pod);
        }
    }
}

/// What runs in a namespace with injection has a proxy, or says that it wants none.
fn check_injected(world: &World<'_>, report: &mut Report, subject: &Subject<'_>, pod: &Node<'_>) {
    let namespace = world.get(config::Kind::Namespace, "", subject.namespace);
    let is_enabled = namespace.is_some_and(|namespace| namespace.label("istio-injection") == Some("enabled"));
    let switch = "sidecar.istio.io/inject";
    let said = subject.label(switch).or_else(|| subject.annotation(switch));
    let phase = subject.object.at("status").at("phase");
    let is_over = matches!(phase.text(), "Succeeded" | "Failed");
    if is_enabled && said != Some("false") && !pod.at("hostNetwork").flag() && !is_over && !has_proxy(subject)
    {
        let message = format!(
            "The pod {} is missing the Istio proxy. This can often be resolved by restarting or redeploying the \
             workload.",
            subject.full_name()
        );
        report.warn(subject, "IST0103", &subject.name_node(), message);
    }
}
