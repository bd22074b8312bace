//! Ingress and IngressClass of networking.k8s.io/v1.

use serde::Deserialize;

use super::service::LoadBalancerIngress;

/// An Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "Document")]
pub struct Ingress {
    /// Its class, where not stated by the older annotation.
    pub ingress_class_name: Option<String>,
    /// Where requests go that no rule takes.
    pub default_backend: Option<IngressBackend>,
    /// Certificates.
    pub tls: Vec<IngressTls>,
    /// Rules.
    pub rules: Vec<IngressRule>,
    /// Addresses in its status.
    pub load_balancer_ingress: Vec<LoadBalancerIngress>,
}

/// A certificate of an Ingress.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressTls {
    /// Hosts it is for.
    pub hosts: Vec<String>,
    /// The Secret.
    pub secret_name: String,
}

/// The paths of a host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "RawRule")]
pub struct IngressRule {
    /// Host; empty for every host.
    pub host: String,
    /// Paths in order; none if the rule has no `http`.
    pub paths: Vec<IngressPath>,
}

/// One path.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct IngressPath {
    /// The path.
    pub path: String,
    /// How it is compared.
    pub path_type: PathType,
    /// Where requests go.
    pub backend: IngressBackend,
}

/// How a path is compared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub enum PathType {
    /// As a whole.
    Exact,
    /// Element by element from the start.
    Prefix,
    /// As the implementation likes.
    #[default]
    ImplementationSpecific,
}

/// A destination.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "RawBackend")]
pub struct IngressBackend {
    /// The Service; empty if the backend is not a Service.
    pub service_name: String,
    /// Its port.
    pub port: IngressServicePort,
}

/// The port of a Service: a name if there is one, else a number.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct IngressServicePort {
    /// Name; may be empty.
    pub name: String,
    /// Number; may be zero.
    pub number: u32,
}

/// An IngressClass.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "ClassDocument")]
pub struct IngressClass {
    /// The controller that serves it.
    pub controller: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Document {
    spec: Spec,
    status: Status,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Spec {
    ingress_class_name: Option<String>,
    default_backend: Option<IngressBackend>,
    tls: Vec<IngressTls>,
    rules: Vec<IngressRule>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    load_balancer: LoadBalancer,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct LoadBalancer {
    ingress: Vec<LoadBalancerIngress>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawRule {
    host: String,
    http: RawHttp,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawHttp {
    paths: Vec<IngressPath>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawBackend {
    service: RawService,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct RawService {
    name: String,
    port: IngressServicePort,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClassDocument {
    spec: ClassSpec,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ClassSpec {
    controller: String,
}

impl From<Document> for Ingress {
    fn from(Document { spec, status }: Document) -> Self {
        Self {
            ingress_class_name: spec.ingress_class_name,
            default_backend: spec.default_backend,
            tls: spec.tls,
            rules: spec.rules,
            load_balancer_ingress: status.load_balancer.ingress,
        }
    }
}

impl From<RawRule> for IngressRule {
    fn from(rule: RawRule) -> Self {
        Self { host: rule.host, paths: rule.http.paths }
    }
}

impl From<RawBackend> for IngressBackend {
    fn from(backend: RawBackend) -> Self {
        Self { service_name: backend.service.name, port: backend.service.port }
    }
}

impl From<ClassDocument> for IngressClass {
    fn from(document: ClassDocument) -> Self {
        Self { controller: document.spec.controller }
    }
}
