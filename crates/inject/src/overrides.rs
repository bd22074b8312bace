//! Containers that the user wrote under a name the template uses: laid over the template's afterwards, and kept in
//! annotations, so that an injection can be undone and done again (platform specification, 6.4, steps 1 and 3).

use serde::Deserialize;
use serde_json::{Value, json};

use crate::pod::{self, CONTAINERS, INIT, PROXY, VALIDATION};
use crate::{merge, scraping, shape};

pub(crate) const STATUS: &str = "sidecar.istio.io/status";
const OVERRIDES: &str = "proxy.istio.io/overrides";
/// Stands for the image of the template, where one must be written.
const AUTO_IMAGE: &str = "auto";

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    init_containers: Option<Vec<String>>,
    containers: Option<Vec<String>>,
}

impl Status {
    fn of(pod: &Value) -> Option<Self> {
        serde_json::from_str(pod::annotation(pod, STATUS)?).ok()
    }

    fn names(&self, list: &str) -> &[String] {
        let names = if list == "containers" { &self.containers } else { &self.init_containers };
        names.as_deref().unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Kept {
    init_containers: Vec<Value>,
    containers: Vec<Value>,
}

impl Kept {
    fn of(pod: &Value) -> Result<Self, String> {
        let Some(kept) = pod::annotation(pod, OVERRIDES) else { return Ok(Self::default()) };
        let kept: Self =
            serde_json::from_str(kept).map_err(|error| format!("annotation {OVERRIDES}: {error}"))?;
        for container in kept.init_containers.iter().chain(&kept.containers) {
            shape::check_container(container, &format!("annotation {OVERRIDES}"))?;
        }
        Ok(kept)
    }

    fn list(&self, list: &str) -> &[Value] {
        if list == "containers" { &self.containers } else { &self.init_containers }
    }
}

/// The pod as it was before an earlier injection, as far as templates look at it.
pub(crate) fn undone(pod: &Value, agent_port: u32) -> Result<Value, String> {
    let mut undone = pod.clone();
    if let Some(status) = Status::of(pod) {
        for list in CONTAINERS {
            if let Some(containers) = pod::list_mut(&mut undone, list) {
                containers.retain(|container| {
                    !status.names(list).iter().any(|name| name == pod::name_of(container))
                });
            }
        }
        scraping::forget_ours(&mut undone, agent_port);
        pod::strings_mut(&mut undone, "annotations").remove(STATUS);
    }
    let kept = Kept::of(pod)?;
    for list in CONTAINERS {
        for container in kept.list(list) {
            if pod::container(&undone, list, pod::name_of(container)).is_none()
                && let Some(containers) = pod::list_made(&mut undone, list)
            {
                containers.push(container.clone());
            }
        }
    }
    Ok(undone)
}

/// Whether a pod was injected before.
pub(crate) fn was_injected(pod: &Value) -> bool {
    pod::annotation(pod, STATUS).is_some()
}

/// Lays the user's containers over those of the template.
pub(crate) fn reapply(
    merged: &mut Value,
    original: &Value,
    template: &Value,
    always_root: bool,
) -> Result<(), String> {
    let kept = Kept::of(original)?;
    let status = Status::of(original).unwrap_or_default();
    let mut overrides = json!({});
    for list in ["containers", "initContainers"] {
        let mut of_list = Vec::new();
        for injected in pod::list(template, list) {
            let name = pod::name_of(injected);
            let named = |container: &&Value| pod::name_of(container) == name;
            // What an earlier injection brought is not the user's.
            let ours = status.names(list).iter().any(|known| known == name);
            let users = kept.list(list).iter().find(named).or_else(|| {
                let in_other =
                    (list == "initContainers").then(|| pod::container(original, "containers", name));
                in_other.flatten().or_else(|| pod::container(original, list, name)).filter(|_| !ours)
            });
            let Some(users) = users else { continue };
            let mut overlay = users.clone();
            let members = pod::object(&mut overlay);
            if members.get("image").is_some_and(|image| image == AUTO_IMAGE || image == "") {
                members.remove("image");
            }
            members.entry("resources").or_insert_with(|| json!({}));
            shape::drop_zeros_of_container(&mut overlay);
            merge::merge(merged, json!({"spec": {list: [overlay.clone()]}}))?;
            of_list.push(overlay);
        }
        if !of_list.is_empty() {
            overrides[list] = Value::Array(of_list);
        }
    }
    let any = overrides.as_object().is_some_and(|overrides| !overrides.is_empty());
    if any && !was_injected(original) {
        pod::annotate(merged, OVERRIDES, overrides.to_string());
    }
    follow_user(merged, original, always_root);
    Ok(())
}

/// Traffic of the proxy's user is not sent to the proxy again: if the pod names another user for it, the container
/// that prepares the network must know. With TPROXY the proxy has to stay root.
fn follow_user(merged: &mut Value, original: &Value, always_root: bool) {
    let Some(security) = pod::proxy(original).and_then(|proxy| proxy.get("securityContext")) else { return };
    let (user, group) = (security.get("runAsUser").cloned(), security.get("runAsGroup").cloned());
    if user.is_none() && group.is_none() {
        return;
    }
    if always_root
        && user.is_some()
        && let Some(proxy) = pod::proxy_mut(merged)
        && let Some(security) = proxy.get_mut("securityContext")
    {
        pod::object(security).insert("runAsUser".to_owned(), json!(0));
    }
    let Some(containers) = pod::list_mut(merged, "initContainers") else { return };
    let found = [INIT, VALIDATION]
        .iter()
        .find_map(|name| containers.iter().position(|container| pod::name_of(container) == *name));
    let Some(container) = found.and_then(|index| containers.get_mut(index)) else { return };
    if !always_root && pod::name_of(container) == VALIDATION {
        let security = pod::object(container).entry("securityContext").or_insert_with(|| json!({}));
        for (name, value) in [("runAsUser", &user), ("runAsGroup", &group)] {
            if let Some(value) = value {
                pod::object(security).insert(name.to_owned(), value.clone());
            }
        }
    }
    // Nobody can be exempted by being root.
    let Some(user) = user.as_ref().and_then(Value::as_i64).filter(|user| *user != 0) else { return };
    if let Some(args) = container.get_mut("args").and_then(Value::as_array_mut)
        && let Some(flag) = args.iter().position(|arg| arg == "-u")
        && let Some(value) = args.get_mut(flag + 1)
    {
        *value = Value::String(user.to_string());
    }
}

/// In native mode the template's proxy is an init container; the user's, written among the containers, follows it.
pub(crate) fn move_to_init(merged: &mut Value, template: &Value) {
    if pod::container(template, "initContainers", PROXY).is_none() {
        return;
    }
    let Some(containers) = pod::list_mut(merged, "containers") else { return };
    let Some(index) = containers.iter().position(|container| pod::name_of(container) == PROXY) else {
        return;
    };
    let proxy = containers.remove(index);
    if let Some(containers) = pod::list_made(merged, "initContainers") {
        containers.push(proxy);
    }
}
