//! The table of kinds: group, served versions, scope, the type that holds the content. Everything that must say
//! something about every kind ([`Kind`], [`crate::AnyObject`], [`crate::ConfigStore`]) is generated from this one
//! table, so a new kind is one line here. Answers "Watched objects" of the platform specification.

use std::fmt;

/// Calls the given macro with the table of kinds, one row a kind:
/// variant, accessor of the store, group, kind, versions, scope, shape, type.
///
/// Shape `spec`: the type is read from `spec`, and the fingerprint covers all of it. Shape `document`: the type is
/// read from the whole object and the fingerprint covers only what the type keeps, so a kubelet's heartbeat in a
/// status is no change.
macro_rules! for_every_kind {
    ($then:ident) => {
        $then! {
            VirtualService virtual_services "networking.istio.io" "VirtualService" ["v1", "v1beta1", "v1alpha3"] namespaced spec proto::istio::networking::VirtualService;
            DestinationRule destination_rules "networking.istio.io" "DestinationRule" ["v1", "v1beta1", "v1alpha3"] namespaced spec proto::istio::networking::DestinationRule;
            Gateway gateways "networking.istio.io" "Gateway" ["v1", "v1beta1", "v1alpha3"] namespaced spec proto::istio::networking::Gateway;
            ServiceEntry service_entries "networking.istio.io" "ServiceEntry" ["v1", "v1beta1", "v1alpha3"] namespaced spec proto::istio::networking::ServiceEntry;
            Sidecar sidecars "networking.istio.io" "Sidecar" ["v1", "v1beta1", "v1alpha3"] namespaced spec proto::istio::networking::Sidecar;
            WorkloadEntry workload_entries "networking.istio.io" "WorkloadEntry" ["v1", "v1beta1", "v1alpha3"] namespaced spec proto::istio::networking::WorkloadEntry;
            WorkloadGroup workload_groups "networking.istio.io" "WorkloadGroup" ["v1", "v1beta1", "v1alpha3"] namespaced spec proto::istio::networking::WorkloadGroup;
            EnvoyFilter envoy_filters "networking.istio.io" "EnvoyFilter" ["v1alpha3"] namespaced spec proto::istio::networking::EnvoyFilter;
            ProxyConfig proxy_configs "networking.istio.io" "ProxyConfig" ["v1beta1"] namespaced spec proto::istio::networking_beta::ProxyConfig;
            PeerAuthentication peer_authentications "security.istio.io" "PeerAuthentication" ["v1", "v1beta1"] namespaced spec proto::istio::security::PeerAuthentication;
            RequestAuthentication request_authentications "security.istio.io" "RequestAuthentication" ["v1", "v1beta1"] namespaced spec proto::istio::security::RequestAuthentication;
            AuthorizationPolicy authorization_policies "security.istio.io" "AuthorizationPolicy" ["v1", "v1beta1"] namespaced spec proto::istio::security::AuthorizationPolicy;
            Telemetry telemetries "telemetry.istio.io" "Telemetry" ["v1", "v1alpha1"] namespaced spec proto::istio::telemetry::Telemetry;
            WasmPlugin wasm_plugins "extensions.istio.io" "WasmPlugin" ["v1alpha1"] namespaced spec proto::istio::extensions::WasmPlugin;
            TrafficExtension traffic_extensions "extensions.istio.io" "TrafficExtension" ["v1alpha1"] namespaced spec proto::istio::extensions::TrafficExtension;
            Service services "" "Service" ["v1"] namespaced document crate::k8s::Service;
            EndpointSlice endpoint_slices "discovery.k8s.io" "EndpointSlice" ["v1", "v1beta1"] namespaced document crate::k8s::EndpointSlice;
            Pod pods "" "Pod" ["v1"] namespaced document crate::k8s::Pod;
            Node nodes "" "Node" ["v1"] cluster document crate::k8s::Node;
            Namespace namespaces "" "Namespace" ["v1"] cluster document crate::k8s::Namespace;
            ServiceAccount service_accounts "" "ServiceAccount" ["v1"] namespaced document crate::k8s::ServiceAccount;
            Secret secrets "" "Secret" ["v1"] namespaced document crate::k8s::Secret;
            ConfigMap config_maps "" "ConfigMap" ["v1"] namespaced document crate::k8s::ConfigMap;
            Ingress ingresses "networking.k8s.io" "Ingress" ["v1"] namespaced document crate::k8s::Ingress;
            IngressClass ingress_classes "networking.k8s.io" "IngressClass" ["v1"] cluster document crate::k8s::IngressClass;
            GatewayClass gateway_classes "gateway.networking.k8s.io" "GatewayClass" ["v1", "v1beta1"] cluster spec crate::gateway_api::GatewayClass;
            KubernetesGateway kubernetes_gateways "gateway.networking.k8s.io" "Gateway" ["v1", "v1beta1"] namespaced spec crate::gateway_api::Gateway;
            HttpRoute http_routes "gateway.networking.k8s.io" "HTTPRoute" ["v1", "v1beta1"] namespaced spec crate::gateway_api::HttpRoute;
            GrpcRoute grpc_routes "gateway.networking.k8s.io" "GRPCRoute" ["v1", "v1alpha2"] namespaced spec crate::gateway_api::GrpcRoute;
            TlsRoute tls_routes "gateway.networking.k8s.io" "TLSRoute" ["v1", "v1alpha3", "v1alpha2"] namespaced spec crate::gateway_api::TlsRoute;
            TcpRoute tcp_routes "gateway.networking.k8s.io" "TCPRoute" ["v1", "v1alpha2"] namespaced spec crate::gateway_api::TcpRoute;
            UdpRoute udp_routes "gateway.networking.k8s.io" "UDPRoute" ["v1", "v1alpha2"] namespaced spec crate::gateway_api::UdpRoute;
            ReferenceGrant reference_grants "gateway.networking.k8s.io" "ReferenceGrant" ["v1", "v1beta1", "v1alpha2"] namespaced spec crate::gateway_api::ReferenceGrant;
            BackendTlsPolicy backend_tls_policies "gateway.networking.k8s.io" "BackendTLSPolicy" ["v1", "v1alpha3"] namespaced spec crate::gateway_api::BackendTlsPolicy;
            ListenerSet listener_sets "gateway.networking.k8s.io" "ListenerSet" ["v1"] namespaced spec crate::gateway_api::ListenerSet;
            XListenerSet x_listener_sets "gateway.networking.x-k8s.io" "XListenerSet" ["v1alpha1"] namespaced spec crate::gateway_api::XListenerSet;
            XBackendTrafficPolicy x_backend_traffic_policies "gateway.networking.x-k8s.io" "XBackendTrafficPolicy" ["v1alpha1"] namespaced spec crate::gateway_api::XBackendTrafficPolicy;
            InferencePool inference_pools "inference.networking.k8s.io" "InferencePool" ["v1"] namespaced spec crate::gateway_api::InferencePool;
        }
    };
}
pub(crate) use for_every_kind;

macro_rules! define_kind {
    ($($variant:ident $field:ident $group:literal $kind:literal [$($version:literal),+] $scope:ident $shape:ident $type:ty;)+) => {
        /// Every kind of object the control plane reads.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $(#[doc = concat!("`", $kind, "` of `", $group, "`.")] $variant,)+
        }

        impl Kind {
            /// Every kind, in order.
            pub const ALL: &'static [Kind] = &[$(Kind::$variant),+];

            /// The kind of that API group (empty for the core group) and name.
            pub fn from_group_kind(group: &str, kind: &str) -> Option<Kind> {
                match (group, kind) {
                    $(($group, $kind) => Some(Kind::$variant),)+
                    _ => None,
                }
            }

            /// The API group; empty for the core group.
            pub const fn group(self) -> &'static str {
                match self { $(Kind::$variant => $group,)+ }
            }

            /// The kind as objects state it. Istio's and the Gateway API's `Gateway` share it.
            pub const fn name(self) -> &'static str {
                match self { $(Kind::$variant => $kind,)+ }
            }

            /// The versions that are read, the preferred one first.
            pub const fn versions(self) -> &'static [&'static str] {
                match self { $(Kind::$variant => &[$($version),+],)+ }
            }

            /// Whether objects live in namespaces.
            pub const fn is_namespaced(self) -> bool {
                match self { $(Kind::$variant => define_kind!(@$scope),)+ }
            }
        }
    };
    (@namespaced) => { true };
    (@cluster) => { false };
}
for_every_kind!(define_kind);

impl Kind {
    /// Whether an object's status is kept beside its spec: addresses that were allocated, health that was reported.
    pub const fn keeps_status(self) -> bool {
        matches!(self, Kind::ServiceEntry | Kind::WorkloadEntry | Kind::KubernetesGateway)
    }

    /// Whether a group and kind, unknown here, is an ordinary neighbour of configuration that is passed over in
    /// silence, rather than a likely mistake worth a rejection.
    pub(crate) fn is_harmless(group: &str, kind: &str) -> bool {
        match group {
            "" => matches!(
                kind,
                "Event"
                    | "Endpoints"
                    | "PersistentVolume"
                    | "PersistentVolumeClaim"
                    | "LimitRange"
                    | "ResourceQuota"
                    | "ReplicationController"
                    | "PodTemplate"
            ),
            "install.istio.io" => true,
            _ => {
                group == "apps"
                    || group == "batch"
                    || group == "autoscaling"
                    || group == "policy"
                    || (group.ends_with(".k8s.io")
                        && !matches!(
                            group,
                            "networking.k8s.io"
                                | "discovery.k8s.io"
                                | "gateway.networking.k8s.io"
                                | "inference.networking.k8s.io"
                        ))
                    || (group == "networking.k8s.io" && kind != "Ingress" && kind != "IngressClass")
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Kind::KubernetesGateway => f.write_str("Gateway.gateway.networking.k8s.io"),
            kind => f.write_str(kind.name()),
        }
    }
}
