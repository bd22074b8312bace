//! ReferenceGrant, BackendTLSPolicy, XBackendTrafficPolicy, InferencePool.

use serde::Deserialize;

use super::gateway::ObjectReference;
use super::route::SessionPersistence;

/// A ReferenceGrant: who may refer into its namespace.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default)]
pub struct ReferenceGrant {
    /// Who.
    pub from: Vec<GrantFrom>,
    /// To what.
    pub to: Vec<GrantTo>,
}

/// A referrer.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct GrantFrom {
    /// Group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Namespace.
    pub namespace: String,
}

/// What may be referred to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct GrantTo {
    /// Group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name; none for every object of the kind.
    pub name: Option<String>,
}

/// A BackendTLSPolicy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTlsPolicy {
    /// What it is for.
    pub target_refs: Vec<PolicyTarget>,
    /// How the backend is validated.
    pub validation: BackendTlsValidation,
    /// Settings of the implementation.
    pub options: std::collections::BTreeMap<String, String>,
}

/// What a policy is for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct PolicyTarget {
    /// Group.
    pub group: String,
    /// Kind.
    pub kind: String,
    /// Name.
    pub name: String,
    /// A port by name.
    pub section_name: Option<String>,
}

/// How a backend is validated.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct BackendTlsValidation {
    /// Certificate authorities.
    pub ca_certificate_refs: Vec<ObjectReference>,
    /// `System` for those of the machine.
    #[serde(rename = "wellKnownCACertificates")]
    pub well_known_ca_certificates: Option<String>,
    /// Server name, and subject unless others are stated.
    pub hostname: String,
    /// Subjects.
    pub subject_alt_names: Vec<SubjectAltName>,
}

/// A subject of a certificate.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct SubjectAltName {
    /// `Hostname` or `URI`.
    #[serde(rename = "type")]
    pub name_type: String,
    /// As a host name.
    pub hostname: Option<String>,
    /// As a URI.
    pub uri: Option<String>,
}

/// An XBackendTrafficPolicy.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct XBackendTrafficPolicy {
    /// What it is for.
    pub target_refs: Vec<PolicyTarget>,
    /// Session persistence.
    pub session_persistence: Option<SessionPersistence>,
    /// The budget of retries.
    pub retry_constraint: Option<serde_json::Value>,
}

/// An InferencePool, as written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(transparent)]
pub struct InferencePool(pub serde_json::Value);
