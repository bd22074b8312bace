//! Descriptors of Istio's API become the fifteen CustomResourceDefinitions that the chart `base` installs: names,
//! versions and columns from the table here, the schema from the descriptor (`schema`), what is refused beyond types
//! from `crd/rules.yaml`. Nothing that Istio's own definitions store may be refused. Answers checklists 7 and 8 of
//! the platform specification.

mod rules;
mod schema;
#[cfg(test)]
mod tests;

use crate::Kind;
use proto::descriptors;
use serde_json::{Map, Value, json};

/// One CustomResourceDefinition.
#[derive(Clone, Debug)]
pub struct Definition {
    /// The plural name with the group, which is also the name of the object.
    pub name: String,
    /// The object.
    pub object: Value,
}

impl Definition {
    /// The object as YAML, members in order of their names, so that the same definition is the same text.
    pub fn to_yaml(&self) -> String {
        // Plain JSON values can always be written.
        serde_yaml::to_string(&sorted(&self.object)).unwrap_or_default()
    }
}

/// What the descriptor does not say about a kind.
struct Row {
    kind: Kind,
    plural: &'static str,
    short: &'static [&'static str],
    /// The message of `spec`.
    message: &'static str,
    /// The version in which objects are stored, as Istio stores them.
    storage: &'static str,
    /// Whether an object without `spec` is refused.
    requires_spec: bool,
    columns: &'static [(&'static str, &'static str)],
}

const NONE: &[&str] = &[];
const AGE: (&str, &str) = ("Age", ".metadata.creationTimestamp");
const TABLE: &[Row] = &[
    Row {
        kind: Kind::VirtualService,
        plural: "virtualservices",
        short: &["vs"],
        message: "istio.networking.v1alpha3.VirtualService",
        storage: "v1",
        requires_spec: false,
        columns: &[("Gateways", ".spec.gateways"), ("Hosts", ".spec.hosts"), AGE],
    },
    Row {
        kind: Kind::DestinationRule,
        plural: "destinationrules",
        short: &["dr"],
        message: "istio.networking.v1alpha3.DestinationRule",
        storage: "v1",
        requires_spec: false,
        columns: &[("Host", ".spec.host"), AGE],
    },
    Row {
        kind: Kind::Gateway,
        plural: "gateways",
        short: &["gw"],
        message: "istio.networking.v1alpha3.Gateway",
        storage: "v1",
        requires_spec: false,
        columns: &[],
    },
    Row {
        kind: Kind::ServiceEntry,
        plural: "serviceentries",
        short: &["se"],
        message: "istio.networking.v1alpha3.ServiceEntry",
        storage: "v1",
        requires_spec: true,
        columns: &[
            ("Hosts", ".spec.hosts"),
            ("Location", ".spec.location"),
            ("Resolution", ".spec.resolution"),
            AGE,
        ],
    },
    Row {
        kind: Kind::Sidecar,
        plural: "sidecars",
        short: NONE,
        message: "istio.networking.v1alpha3.Sidecar",
        storage: "v1",
        requires_spec: false,
        columns: &[],
    },
    Row {
        kind: Kind::WorkloadEntry,
        plural: "workloadentries",
        short: &["we"],
        message: "istio.networking.v1alpha3.WorkloadEntry",
        storage: "v1",
        requires_spec: true,
        columns: &[AGE, ("Address", ".spec.address")],
    },
    Row {
        kind: Kind::WorkloadGroup,
        plural: "workloadgroups",
        short: &["wg"],
        message: "istio.networking.v1alpha3.WorkloadGroup",
        storage: "v1",
        requires_spec: true,
        columns: &[AGE],
    },
    Row {
        kind: Kind::EnvoyFilter,
        plural: "envoyfilters",
        short: NONE,
        message: "istio.networking.v1alpha3.EnvoyFilter",
        storage: "v1alpha3",
        requires_spec: false,
        columns: &[],
    },
    Row {
        kind: Kind::ProxyConfig,
        plural: "proxyconfigs",
        short: NONE,
        message: "istio.networking.v1beta1.ProxyConfig",
        storage: "v1beta1",
        requires_spec: false,
        columns: &[],
    },
    Row {
        kind: Kind::PeerAuthentication,
        plural: "peerauthentications",
        short: &["pa"],
        message: "istio.security.v1beta1.PeerAuthentication",
        storage: "v1",
        requires_spec: false,
        columns: &[("Mode", ".spec.mtls.mode"), AGE],
    },
    Row {
        kind: Kind::RequestAuthentication,
        plural: "requestauthentications",
        short: &["ra"],
        message: "istio.security.v1beta1.RequestAuthentication",
        storage: "v1",
        requires_spec: false,
        columns: &[],
    },
    Row {
        kind: Kind::AuthorizationPolicy,
        plural: "authorizationpolicies",
        short: &["ap"],
        message: "istio.security.v1beta1.AuthorizationPolicy",
        storage: "v1",
        requires_spec: false,
        columns: &[("Action", ".spec.action"), AGE],
    },
    Row {
        kind: Kind::Telemetry,
        plural: "telemetries",
        short: &["telemetry"],
        message: "istio.telemetry.v1alpha1.Telemetry",
        storage: "v1alpha1",
        requires_spec: false,
        columns: &[AGE],
    },
    Row {
        kind: Kind::WasmPlugin,
        plural: "wasmplugins",
        short: NONE,
        message: "istio.extensions.v1alpha1.WasmPlugin",
        storage: "v1alpha1",
        requires_spec: true,
        columns: &[AGE],
    },
    Row {
        kind: Kind::TrafficExtension,
        plural: "trafficextensions",
        short: NONE,
        message: "istio.extensions.v1alpha1.TrafficExtension",
        storage: "v1alpha1",
        requires_spec: true,
        columns: &[AGE],
    },
];

/// All definitions, in the order of the table.
pub fn definitions() -> Vec<Definition> {
    let rules = rules::table();
    TABLE.iter().filter_map(|row| definition(row, &rules)).collect()
}

fn definition(row: &Row, rules: &Map<String, Value>) -> Option<Definition> {
    let mut spec = schema::message(&descriptors::message(row.message)?, rules);
    if row.kind == Kind::WorkloadEntry {
        // Not a rule of the message: the template of a WorkloadGroup needs neither.
        let rule = json!({"x-kubernetes-validations": [{
            "message": "an address or a network is needed",
            "rule": "has(self.address) || has(self.network)",
        }]});
        rules::put_over(&mut spec, &rule);
    }
    let mut open = json!({
        "type": "object",
        "properties": {
            "spec": spec,
            "status": {"type": "object", "x-kubernetes-preserve-unknown-fields": true},
        },
    });
    if row.requires_spec {
        open["required"] = json!(["spec"]);
    }
    let columns: Vec<Value> = row
        .columns
        .iter()
        .map(|(name, path)| {
            let kind = if *name == AGE.0 { "date" } else { "string" };
            json!({"name": name, "jsonPath": path, "type": kind})
        })
        .collect();
    let versions: Vec<Value> = row
        .kind
        .versions()
        .iter()
        .map(|version| {
            let mut entry = json!({
                "name": version,
                "served": true,
                "storage": *version == row.storage,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": open},
            });
            if !columns.is_empty() {
                entry["additionalPrinterColumns"] = json!(columns);
            }
            entry
        })
        .collect();
    let group = row.kind.group();
    let area = group.split('.').next().unwrap_or_default();
    let mut names = json!({
        "kind": row.kind.name(),
        "listKind": format!("{}List", row.kind.name()),
        "plural": row.plural,
        "singular": row.kind.name().to_ascii_lowercase(),
        "categories": ["istio-io", format!("{area}-istio-io")],
    });
    if !row.short.is_empty() {
        names["shortNames"] = json!(row.short);
    }
    let name = format!("{}.{group}", row.plural);
    let object = json!({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": name,
            // The labels that Istio's chart puts there: Helm and istioctl look for them.
            "labels": {"app": "istio-pilot", "chart": "istio", "heritage": "Tiller", "release": "istio"},
            "annotations": {"helm.sh/resource-policy": "keep"},
        },
        "spec": {"group": group, "names": names, "scope": "Namespaced", "versions": versions},
    });
    Some(Definition { name, object })
}

/// The value with the members of every object in order of their names.
fn sorted(value: &Value) -> Value {
    match value {
        Value::Object(members) => {
            let mut names: Vec<&String> = members.keys().collect();
            names.sort();
            Value::Object(names.into_iter().map(|name| (name.clone(), sorted(&members[name]))).collect())
        }
        Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
        other => other.clone(),
    }
}
