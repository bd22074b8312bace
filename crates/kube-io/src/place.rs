//! Where the objects of a kind are served: group, version, plural. Kinds of Kubernetes itself are always there; all
//! others have a CustomResourceDefinition that tells.

use config::Kind;

/// One collection of the API server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) group: String,
    pub(crate) version: String,
    pub(crate) plural: String,
    /// The kind as objects state it.
    pub(crate) name_of_kind: String,
    /// Objects that are never asked for, as a field selector; empty asks for all.
    pub(crate) field_selector: &'static str,
}

/// Releases of Helm and tokens of service accounts are many and large, and no proxy is ever sent one.
const SECRETS_OF_INTEREST: &str = "type!=helm.sh/release.v1,type!=kubernetes.io/service-account-token";

impl Place {
    /// Where a kind of Kubernetes itself is served; `None` for kinds that need a definition.
    pub(crate) fn of_built_in(kind: Kind) -> Option<Self> {
        let plural = match kind {
            Kind::Service => "services",
            Kind::EndpointSlice => "endpointslices",
            Kind::Pod => "pods",
            Kind::Node => "nodes",
            Kind::Namespace => "namespaces",
            Kind::ServiceAccount => "serviceaccounts",
            Kind::Secret => "secrets",
            Kind::ConfigMap => "configmaps",
            Kind::Ingress => "ingresses",
            Kind::IngressClass => "ingressclasses",
            _ => return None,
        };
        let field_selector = if kind == Kind::Secret { SECRETS_OF_INTEREST } else { "" };
        Some(Self { field_selector, ..Self::of(kind, kind.versions().first()?, plural) })
    }

    /// Where a kind is served in that version and under that plural.
    pub(crate) fn of(kind: Kind, version: &str, plural: &str) -> Self {
        Self {
            group: kind.group().to_owned(),
            version: version.to_owned(),
            plural: plural.to_owned(),
            name_of_kind: kind.name().to_owned(),
            field_selector: "",
        }
    }

    /// Where definitions themselves are served.
    pub(crate) fn of_definitions() -> Self {
        Self {
            group: "apiextensions.k8s.io".to_owned(),
            version: "v1".to_owned(),
            plural: "customresourcedefinitions".to_owned(),
            name_of_kind: "CustomResourceDefinition".to_owned(),
            field_selector: "",
        }
    }

    /// `v1`, `networking.istio.io/v1`.
    pub(crate) fn api_version(&self) -> String {
        if self.group.is_empty() { self.version.clone() } else { format!("{}/{}", self.group, self.version) }
    }

    /// The path of the collection over all namespaces, with its query begun.
    pub(crate) fn path(&self) -> String {
        let root = if self.group.is_empty() { "/api" } else { "/apis" };
        let query = match self.field_selector {
            "" => String::new(),
            selector => format!("fieldSelector={}&", selector.replace('=', "%3D").replace(',', "%2C")),
        };
        format!("{root}/{}/{}?{query}", self.api_version(), self.plural)
    }
}
