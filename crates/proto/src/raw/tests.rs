//! Raw responses have the bytes of the typed ones.

use super::*;
use crate::envoy::cluster::Cluster;
use crate::envoy::discovery::{DeltaDiscoveryResponse, DiscoveryResponse, Resource};
use crate::{pack, type_url};

fn clusters() -> Vec<Cluster> {
    ["a", "b", ""].map(|name| Cluster { name: name.into(), ..Cluster::default() }).into()
}

fn control_plane() -> Option<ControlPlane> {
    Some(ControlPlane { identifier: "here".into() })
}

#[test]
fn a_response_has_the_bytes_of_the_typed_one() {
    let raw = RawDiscoveryResponse {
        version_info: "1".into(),
        resources: clusters().iter().map(pack::encoded_any).collect(),
        type_url: type_url::CLUSTER.into(),
        nonce: "n".into(),
        control_plane: control_plane(),
    };
    let typed = DiscoveryResponse {
        version_info: "1".into(),
        resources: clusters().iter().map(pack::any).collect(),
        type_url: type_url::CLUSTER.into(),
        nonce: "n".into(),
        control_plane: control_plane(),
        ..DiscoveryResponse::default()
    };
    assert_eq!(raw.encode_to_vec(), typed.encode_to_vec());
    assert_eq!(raw.encoded_len(), typed.encoded_len());
    assert_eq!(RawDiscoveryResponse::decode(typed.encode_to_vec().as_slice()).unwrap(), raw);
}

#[test]
fn a_delta_response_has_the_bytes_of_the_typed_one() {
    let raw = RawDeltaDiscoveryResponse {
        system_version_info: "1".into(),
        resources: clusters()
            .iter()
            .map(|cluster| RawResource {
                version: "v".into(),
                resource: pack::encoded_any(cluster),
                name: cluster.name.clone(),
            })
            .collect(),
        type_url: type_url::CLUSTER.into(),
        removed_resources: vec!["c".into(), "d".into()],
        nonce: "n".into(),
        control_plane: control_plane(),
    };
    let typed = DeltaDiscoveryResponse {
        system_version_info: "1".into(),
        resources: clusters()
            .iter()
            .map(|cluster| Resource {
                version: "v".into(),
                resource: Some(pack::any(cluster)),
                name: cluster.name.clone(),
                ..Resource::default()
            })
            .collect(),
        type_url: type_url::CLUSTER.into(),
        removed_resources: vec!["c".into(), "d".into()],
        nonce: "n".into(),
        control_plane: control_plane(),
        ..DeltaDiscoveryResponse::default()
    };
    assert_eq!(raw.encode_to_vec(), typed.encode_to_vec());
    assert_eq!(raw.encoded_len(), typed.encoded_len());
    assert_eq!(RawDeltaDiscoveryResponse::decode(typed.encode_to_vec().as_slice()).unwrap(), raw);
}

#[test]
fn an_empty_response_is_empty() {
    assert!(RawDiscoveryResponse::default().encode_to_vec().is_empty());
    assert!(RawDeltaDiscoveryResponse::default().encode_to_vec().is_empty());
}
