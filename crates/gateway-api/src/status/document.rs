//! A status as the document that is written, laid over the one that the object has. Conditions keep their place, and
//! their time as long as they say the same; parents of other controllers stay; what is no longer ours goes.

use config::gateway_api::ParentReference;
use serde_json::{Map, Value, json};

use super::{Condition, GatewayStatus, ListenerStatus, ObjectStatus, ParentStatus, StatusBody};
use crate::attach::shown;
use crate::class::{GATEWAY_CONTROLLER, MESH_CONTROLLER};

impl ObjectStatus {
    /// The status to write, given the one that is there and the time (RFC 3339). Equal to the one that is there when
    /// there is nothing to write.
    pub fn document(&self, existing: Option<&Value>, now: &str) -> Value {
        let writer = Writer { generation: self.generation, now, namespace: &self.key.namespace };
        let mut status = existing.and_then(Value::as_object).cloned().unwrap_or_default();
        match &self.body {
            StatusBody::Class(conditions) => {
                writer.conditions(&mut status, conditions);
            }
            StatusBody::Gateway(gateway) => writer.gateway(&mut status, gateway),
            StatusBody::ListenerSet(conditions, listeners) => {
                writer.conditions(&mut status, conditions);
                writer.listeners(&mut status, listeners);
            }
            StatusBody::Route(parents) => writer.parents(&mut status, "parents", "parentRef", parents),
            StatusBody::Policy(parents) => writer.parents(&mut status, "ancestors", "ancestorRef", parents),
            StatusBody::Ingress(addresses) => {
                let typed = |address: &String| match address.parse::<std::net::IpAddr>() {
                    Ok(_) => json!({"ip": address}),
                    Err(_) => json!({"hostname": address}),
                };
                let list: Vec<Value> = addresses.iter().map(typed).collect();
                let balancer = if list.is_empty() { json!({}) } else { json!({ "ingress": list }) };
                status.insert("loadBalancer".to_owned(), balancer);
            }
        }
        Value::Object(status)
    }
}

struct Writer<'a> {
    generation: i64,
    now: &'a str,
    namespace: &'a str,
}

/// A list of a document; empty where there is none.
fn list(of: &Map<String, Value>, name: &str) -> Vec<Value> {
    of.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

fn text<'v>(of: &'v Value, name: &str) -> &'v str {
    of.get(name).and_then(Value::as_str).unwrap_or_default()
}

impl Writer<'_> {
    fn conditions(&self, of: &mut Map<String, Value>, conditions: &[Condition]) {
        let mut all = list(of, "conditions");
        for condition in conditions {
            let status = if condition.holds { "True" } else { "False" };
            let place = all.iter().position(|known| text(known, "type") == condition.kind);
            let known = place.and_then(|place| all.get(place));
            // The time is that of the last change of status, and a condition that says the same is not touched.
            let since = known.filter(|known| text(known, "status") == status);
            let since = since.map_or(self.now, |known| text(known, "lastTransitionTime"));
            let made = json!({
                "type": condition.kind,
                "status": status,
                "reason": condition.reason,
                "message": condition.message,
                "observedGeneration": self.generation,
                "lastTransitionTime": if since.is_empty() { self.now } else { since },
            });
            match place.and_then(|place| all.get_mut(place)) {
                Some(place) => *place = made,
                None => all.push(made),
            }
        }
        of.insert("conditions".to_owned(), Value::Array(all));
    }

    fn gateway(&self, status: &mut Map<String, Value>, gateway: &GatewayStatus) {
        self.conditions(status, &gateway.conditions);
        if !gateway.addresses.is_empty() {
            let typed = |(kind, value): &(String, String)| json!({"type": kind, "value": value});
            status.insert("addresses".to_owned(), gateway.addresses.iter().map(typed).collect());
        }
        self.listeners(status, &gateway.listeners);
        if gateway.listener_sets > 0 {
            status.insert("attachedListenerSets".to_owned(), json!(gateway.listener_sets));
        } else {
            status.remove("attachedListenerSets");
        }
    }

    fn listeners(&self, status: &mut Map<String, Value>, listeners: &[ListenerStatus]) {
        let known = list(status, "listeners");
        let made = listeners.iter().map(|listener| {
            let before = known.iter().find(|known| text(known, "name") == listener.name);
            let mut of = before.and_then(Value::as_object).cloned().unwrap_or_default();
            let kind =
                |kind: &config::gateway_api::RouteGroupKind| json!({"group": kind.group, "kind": kind.kind});
            of.insert("name".to_owned(), json!(listener.name));
            of.insert("attachedRoutes".to_owned(), json!(listener.attached_routes));
            of.insert("supportedKinds".to_owned(), listener.kinds.iter().map(kind).collect());
            self.conditions(&mut of, &listener.conditions);
            Value::Object(of)
        });
        let made: Vec<Value> = made.collect();
        if made.is_empty() {
            status.remove("listeners");
        } else {
            status.insert("listeners".to_owned(), Value::Array(made));
        }
    }

    /// Parents or ancestors: ours in the place they have, new ones behind.
    fn parents(&self, status: &mut Map<String, Value>, name: &str, field: &str, parents: &[ParentStatus]) {
        let is_same = |known: &Value, parent: &ParentStatus| {
            text(known, "controllerName") == parent.controller
                && known.get(field).is_some_and(|reference| self.names(reference, &parent.reference))
        };
        let written = |parent: &ParentStatus, before: Option<&Value>| {
            let mut of = Map::new();
            of.insert(field.to_owned(), reference(&parent.reference));
            of.insert("controllerName".to_owned(), json!(parent.controller));
            if let Some(conditions) = before.and_then(|before| before.get("conditions")) {
                of.insert("conditions".to_owned(), conditions.clone());
            }
            self.conditions(&mut of, &parent.conditions);
            Value::Object(of)
        };
        let known = list(status, name);
        let mut all = Vec::new();
        for before in &known {
            if ![GATEWAY_CONTROLLER, MESH_CONTROLLER].contains(&text(before, "controllerName")) {
                all.push(before.clone());
            } else if let Some(parent) = parents.iter().find(|parent| is_same(before, parent)) {
                all.push(written(parent, Some(before)));
            }
        }
        let is_new = |parent: &&ParentStatus| !known.iter().any(|before| is_same(before, parent));
        all.extend(parents.iter().filter(is_new).map(|parent| written(parent, None)));
        status.insert(name.to_owned(), Value::Array(all));
    }

    /// Whether a written reference means the same as ours.
    fn names(&self, written: &Value, ours: &ParentReference) -> bool {
        let read: Option<ParentReference> = serde_json::from_value(written.clone()).ok();
        read.is_some_and(|read| shown(&read, self.namespace) == shown(ours, self.namespace))
    }
}

/// A reference as it is written.
fn reference(reference: &ParentReference) -> Value {
    let mut made = Map::new();
    made.insert("group".to_owned(), json!(reference.group));
    made.insert("kind".to_owned(), json!(reference.kind));
    made.insert("name".to_owned(), json!(reference.name));
    if let Some(namespace) = &reference.namespace {
        made.insert("namespace".to_owned(), json!(namespace));
    }
    if let Some(section) = reference.section_name.as_ref().filter(|section| !section.is_empty()) {
        made.insert("sectionName".to_owned(), json!(section));
    }
    if let Some(port) = reference.port {
        made.insert("port".to_owned(), json!(port));
    }
    Value::Object(made)
}
