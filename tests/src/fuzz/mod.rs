//! Meshes made by chance: objects of every kind whose form is right and whose meaning may be anything, made from the
//! very descriptors that they are read with (`message`), with words that fit together often enough (`words`).

mod kubernetes;
mod message;
mod node;
mod patches;
mod words;

use proptest::prelude::*;
use proptest::strategy::Union;
use serde_json::{Value, json};

/// Objects, and the two proxies that are to be configured by them.
#[derive(Clone, Debug)]
pub struct World {
    /// The objects, those that every world has left out.
    pub objects: Vec<Value>,
    /// The xDS node of a sidecar.
    pub sidecar: Value,
    /// The xDS node of a gateway.
    pub gateway: Value,
}

impl World {
    /// All objects.
    pub fn all_objects(&self) -> Vec<Value> {
        kubernetes::foundation().into_iter().chain(self.objects.iter().cloned()).collect()
    }
}

/// Group, version, kind, message of the spec, and how often it comes.
const KINDS: &[(&str, &str, &str, u32)] = &[
    ("networking.istio.io/v1", "VirtualService", "istio.networking.v1alpha3.VirtualService", 5),
    ("networking.istio.io/v1", "DestinationRule", "istio.networking.v1alpha3.DestinationRule", 5),
    ("networking.istio.io/v1", "Gateway", "istio.networking.v1alpha3.Gateway", 4),
    ("networking.istio.io/v1", "ServiceEntry", "istio.networking.v1alpha3.ServiceEntry", 4),
    ("networking.istio.io/v1", "Sidecar", "istio.networking.v1alpha3.Sidecar", 2),
    ("networking.istio.io/v1", "WorkloadEntry", "istio.networking.v1alpha3.WorkloadEntry", 1),
    ("networking.istio.io/v1alpha3", "EnvoyFilter", "istio.networking.v1alpha3.EnvoyFilter", 3),
    ("networking.istio.io/v1beta1", "ProxyConfig", "istio.networking.v1beta1.ProxyConfig", 1),
    ("telemetry.istio.io/v1", "Telemetry", "istio.telemetry.v1alpha1.Telemetry", 2),
    ("extensions.istio.io/v1alpha1", "WasmPlugin", "istio.extensions.v1alpha1.WasmPlugin", 1),
    ("extensions.istio.io/v1alpha1", "TrafficExtension", "istio.extensions.v1alpha1.TrafficExtension", 1),
    ("security.istio.io/v1", "PeerAuthentication", "istio.security.v1beta1.PeerAuthentication", 1),
    ("security.istio.io/v1", "RequestAuthentication", "istio.security.v1beta1.RequestAuthentication", 2),
    ("security.istio.io/v1", "AuthorizationPolicy", "istio.security.v1beta1.AuthorizationPolicy", 2),
];

/// Any world.
pub fn world() -> impl Strategy<Value = World> {
    let kinds =
        KINDS.iter().map(|(version, kind, message, weight)| (*weight, object(version, kind, message)));
    let kinds: Vec<_> = kinds.chain(kubernetes::objects()).collect();
    let objects = prop::collection::vec(Union::new_weighted(kinds), 1..14);
    (objects, node::sidecar(), node::gateway()).prop_map(|(objects, sidecar, gateway)| World {
        objects,
        sidecar,
        gateway,
    })
}

fn object(version: &'static str, kind: &'static str, name: &str) -> BoxedStrategy<Value> {
    let Some(descriptor) = proto::descriptors::message(name) else {
        return Just(Value::Null).boxed();
    };
    let spec = message::of(&descriptor);
    (words::meta(), spec)
        .prop_map(move |(metadata, spec)| {
            json!({"apiVersion": version, "kind": kind, "metadata": metadata, "spec": spec})
        })
        .boxed()
}
