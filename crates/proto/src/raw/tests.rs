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

/// Writes a response bit by bit and puts the bits together.
fn written(response: impl InParts, enough: usize) -> (Vec<u8>, usize, usize) {
    let (mut unwritten, length) = response.into_unwritten();
    let (mut all, mut n_handed_over) = (Vec::new(), 0);
    while !unwritten.is_done() {
        let mut buffer = bytes::BytesMut::new();
        let large = unwritten.write(enough, &mut buffer);
        all.extend_from_slice(&buffer);
        if let Some(large) = large {
            n_handed_over += 1;
            all.extend_from_slice(&large);
        }
    }
    (all, length, n_handed_over)
}

#[test]
fn what_is_written_bit_by_bit_reads_as_the_whole() {
    let body = |length: usize| Bytes::from(vec![b'x'; length]);
    let resource =
        |name: &str, length| RawResource { version: "v".into(), resource: body(length), name: name.into() };
    let delta = RawDeltaDiscoveryResponse {
        system_version_info: "1".into(),
        resources: vec![resource("a", 10), resource("", 100_000), resource("c", 0), resource("d", 5000)],
        type_url: type_url::CLUSTER.into(),
        nonce: "n".into(),
        removed_resources: vec!["gone".into()],
        control_plane: control_plane(),
    };
    let sotw = RawDiscoveryResponse {
        version_info: "1".into(),
        resources: vec![body(10), body(100_000), body(0), body(5000)],
        type_url: type_url::CLUSTER.into(),
        nonce: "n".into(),
        control_plane: None,
    };
    for enough in [1, 100, 1 << 20] {
        let (bytes, length, n_handed_over) = written(delta.clone(), enough);
        assert_eq!((bytes.len(), n_handed_over), (length, 2));
        assert_eq!(RawDeltaDiscoveryResponse::decode(&bytes[..]).unwrap(), delta);
        let (bytes, length, n_handed_over) = written(sotw.clone(), enough);
        assert_eq!((bytes.len(), n_handed_over), (length, 2));
        assert_eq!(RawDiscoveryResponse::decode(&bytes[..]).unwrap(), sotw);
    }
    assert_eq!(written(RawDiscoveryResponse::default(), 1).1, 0);
}
