//! GatewayClass, Gateway, ListenerSet.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::route::ParentReference;

/// A GatewayClass.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayClass {
    /// The controller that serves it.
    pub controller_name: String,
    /// Parameters of the class.
    pub parameters_ref: Option<ObjectReference>,
}

/// A Gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Gateway {
    /// Its class.
    pub gateway_class_name: String,
    /// Listeners.
    pub listeners: Vec<Listener>,
    /// Addresses asked for.
    pub addresses: Vec<GatewayAddress>,
    /// What is put on the objects made for it.
    pub infrastructure: Option<Infrastructure>,
    /// Which namespaces may attach ListenerSets; none unless stated.
    pub allowed_listeners: Option<AllowedRoutes>,
    /// TLS of the whole gateway.
    pub tls: Option<GatewayTls>,
}

/// An address asked for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(default)]
pub struct GatewayAddress {
    /// `IPAddress` unless stated, or `Hostname`.
    #[serde(rename = "type")]
    pub address_type: String,
    /// The address; may be empty.
    pub value: String,
}

impl Default for GatewayAddress {
    fn default() -> Self {
        Self { address_type: "IPAddress".to_owned(), value: String::new() }
    }
}

/// What is put on the objects made for a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Infrastructure {
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Annotations.
    pub annotations: BTreeMap<String, String>,
    /// A ConfigMap of overlays.
    pub parameters_ref: Option<ObjectReference>,
}

/// TLS of a whole Gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct GatewayTls {
    /// Towards clients.
    pub frontend: Option<FrontendTls>,
    /// Towards backends.
    pub backend: Option<BackendClientCertificate>,
}

/// The certificate shown to backends.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendClientCertificate {
    /// The Secret that holds it.
    pub client_certificate_ref: Option<ObjectReference>,
}

/// Validation of clients: for every port, and for single ones.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendTls {
    /// For ports that have none of their own.
    pub default: Option<FrontendTlsConfig>,
    /// For single ports.
    pub per_port: Vec<FrontendTlsPort>,
}

/// Validation of clients at one port.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FrontendTlsPort {
    /// The port.
    pub port: u32,
    /// The settings.
    pub tls: FrontendTlsConfig,
}

/// Settings towards clients.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct FrontendTlsConfig {
    /// How clients' certificates are validated.
    pub validation: Option<FrontendValidation>,
}

/// How clients' certificates are validated.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct FrontendValidation {
    /// Certificate authorities.
    pub ca_certificate_refs: Vec<ObjectReference>,
    /// `AllowValidOnly` (the default) or `AllowInsecureFallback`.
    pub mode: Option<String>,
}

/// A listener.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Listener {
    /// Name; routes attach to it as a section.
    pub name: String,
    /// Host; empty for every host.
    pub hostname: String,
    /// Port.
    pub port: u32,
    /// `HTTP`, `HTTPS`, `TLS`, `TCP`, `UDP`, or one of an implementation.
    pub protocol: String,
    /// TLS.
    pub tls: Option<ListenerTls>,
    /// Which routes may attach.
    pub allowed_routes: AllowedRoutes,
}

/// TLS of a listener.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerTls {
    /// `Terminate` unless stated, or `Passthrough`.
    pub mode: String,
    /// Certificates; Secrets unless stated.
    pub certificate_refs: Vec<ObjectReference>,
    /// Settings of the implementation.
    pub options: BTreeMap<String, String>,
}

impl Default for ListenerTls {
    fn default() -> Self {
        Self { mode: "Terminate".to_owned(), certificate_refs: Vec::new(), options: BTreeMap::new() }
    }
}

/// Which routes, or ListenerSets, may attach.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct AllowedRoutes {
    /// From which namespaces.
    pub namespaces: RouteNamespaces,
    /// Of which kinds; empty for all that the protocol admits.
    pub kinds: Vec<RouteGroupKind>,
}

/// A set of namespaces.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct RouteNamespaces {
    /// `All`, `Same`, `Selector`, `None`. The default is `Same` for routes and `None` for ListenerSets.
    pub from: Option<String>,
    /// With `Selector`: labels of the namespaces.
    pub selector: Option<LabelSelector>,
}

/// A selector of labels.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct LabelSelector {
    /// Labels that must be there with that value.
    pub match_labels: BTreeMap<String, String>,
    /// Expressions that must hold.
    pub match_expressions: Vec<LabelExpression>,
}

/// An expression on one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct LabelExpression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
    pub operator: String,
    /// Values.
    pub values: Vec<String>,
}

impl LabelSelector {
    /// Whether labels satisfy the selector. An empty selector is satisfied by all; an unknown operator by none.
    pub fn selects(&self, labels: &BTreeMap<String, String>) -> bool {
        self.match_labels.iter().all(|(key, value)| labels.get(key) == Some(value))
            && self.match_expressions.iter().all(|expression| expression.holds(labels))
    }
}

impl LabelExpression {
    fn holds(&self, labels: &BTreeMap<String, String>) -> bool {
        let value = labels.get(&self.key);
        match self.operator.as_str() {
            "In" => value.is_some_and(|value| self.values.contains(value)),
            "NotIn" => value.is_none_or(|value| !self.values.contains(value)),
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            _ => false,
        }
    }
}

/// A kind of route.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct RouteGroupKind {
    /// `gateway.networking.k8s.io` unless stated.
    pub group: String,
    /// Kind.
    pub kind: String,
}

impl Default for RouteGroupKind {
    fn default() -> Self {
        Self { group: "gateway.networking.k8s.io".to_owned(), kind: String::new() }
    }
}

/// A reference to an object. Group and kind are none if not stated; what that means depends on the field.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct ObjectReference {
    /// Group.
    pub group: Option<String>,
    /// Kind.
    pub kind: Option<String>,
    /// Namespace; that of the referrer unless stated.
    pub namespace: Option<String>,
    /// Name.
    pub name: String,
}

/// A ListenerSet: more listeners for a Gateway.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct ListenerSet {
    /// The Gateway.
    pub parent_ref: ParentReference,
    /// Listeners.
    pub listeners: Vec<Listener>,
}

/// The experimental form of a ListenerSet.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct XListenerSet(pub ListenerSet);
