//! All of a route configuration but its virtual hosts.

use proto::envoy::google;
use proto::envoy::route::RouteConfiguration;

use crate::{Input, Rendered};

/// What it depends on.
#[derive(Clone, Debug, Hash)]
pub(super) struct Head {
    /// Its name.
    pub name: String,
    /// Whether a listener of ours names it; an unknown one has only its name.
    pub known: bool,
    /// Whether hosts are matched without their port (all but gRPC clients do).
    pub ignore_port: bool,
}

impl Input for Head {
    type Output = RouteConfiguration;

    const TAG: &'static str = "RouteConfigurationHead";

    fn render(&self) -> Rendered<RouteConfiguration> {
        let plain = RouteConfiguration {
            name: self.name.clone(),
            validate_clusters: Some(google::boolean(false)),
            ..Default::default()
        };
        if !self.known {
            return plain.into();
        }
        RouteConfiguration {
            max_direct_response_body_size_bytes: Some(google::uint32(1_048_576)),
            ignore_port_in_host_matching: self.ignore_port,
            ..plain
        }
        .into()
    }
}
