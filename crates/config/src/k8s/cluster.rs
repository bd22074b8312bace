//! Kinds of which mostly the metadata is read: Node (labels, addresses), Namespace, ServiceAccount.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A Node. Its locality is in its labels (K08).
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "NodeDocument")]
pub struct Node {
    /// Addresses.
    pub addresses: Vec<NodeAddress>,
    /// As `v1.33.1`; empty if not stated.
    pub kubelet_version: String,
}

/// An address of a node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(default)]
pub struct NodeAddress {
    /// `InternalIP`, `ExternalIP`, `Hostname`, ...
    #[serde(rename = "type")]
    pub address_type: String,
    /// The address.
    pub address: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct NodeDocument {
    status: NodeStatus,
}

#[derive(Default, Deserialize)]
#[serde(default)]
#[serde(rename_all = "camelCase")]
struct NodeStatus {
    addresses: Vec<NodeAddress>,
    node_info: NodeInfo,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct NodeInfo {
    kubelet_version: String,
}

impl From<NodeDocument> for Node {
    fn from(document: NodeDocument) -> Self {
        Self {
            addresses: document.status.addresses,
            kubelet_version: document.status.node_info.kubelet_version,
        }
    }
}

/// Labels written as JSON into an annotation; none if the text is no such thing.
pub fn labels_of_json(text: &str) -> BTreeMap<String, String> {
    serde_json::from_str(text).unwrap_or_default()
}

/// A Namespace; all there is to know is in its metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct Namespace {}

/// A ServiceAccount; all there is to know is in its metadata.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
pub struct ServiceAccount {}
