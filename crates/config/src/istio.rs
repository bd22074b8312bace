//! The message behind each Istio kind. A stand-in of raw values for as long as the typed messages are on their way.

use serde::Deserialize;

macro_rules! stand_in {
    ($($name:ident)+) => {$(
        #[doc = concat!("`", stringify!($name), "`, as written.")]
        #[derive(Clone, Debug, Default, PartialEq, Deserialize)]
        #[serde(transparent)]
        pub struct $name(pub serde_json::Value);
    )+};
}

stand_in! {
    VirtualService DestinationRule Gateway ServiceEntry Sidecar WorkloadEntry WorkloadGroup EnvoyFilter ProxyConfig
    PeerAuthentication RequestAuthentication AuthorizationPolicy Telemetry WasmPlugin TrafficExtension
}
