//! Clusters that every sidecar or gateway has, whatever was configured: `BlackHoleCluster`, `PassthroughCluster`,
//! `InboundPassthroughCluster`, and `sds-external` where a socket for credentials is mounted (spec 1.1).

use std::sync::Arc;

use envoy::cluster::cluster::{ClusterDiscoveryType, DiscoveryType, LbPolicy};
use mesh::MeshSettings;
use proto::constraints::Violation;
use proto::envoy;
use proto::envoy::google;
use scope::Dialect;

use super::client::ClientFacts;
use super::http_protocol::ProtocolOptions;
use super::{connection_pool, inbound, mend, metadata, stat_name};
use crate::{Context, Input, Rendered, Resource, tls};

/// Drops everything.
pub const BLACK_HOLE: &str = "BlackHoleCluster";
/// Sends to the original destination.
pub const PASSTHROUGH: &str = "PassthroughCluster";
/// Sends inbound traffic to the original destination.
pub const INBOUND_PASSTHROUGH: &str = "InboundPassthroughCluster";

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Which {
    BlackHole,
    Passthrough,
    InboundPassthrough,
    ExternalSds,
}

impl Which {
    fn name(self) -> &'static str {
        match self {
            Self::BlackHole => BLACK_HOLE,
            Self::Passthrough => PASSTHROUGH,
            Self::InboundPassthrough => INBOUND_PASSTHROUGH,
            Self::ExternalSds => tls::CREDENTIAL_SOCKET,
        }
    }
}

#[derive(Hash)]
struct FixedClusterInput {
    which: Which,
    client: ClientFacts,
    settings: Arc<MeshSettings>,
}

/// Drops everything.
pub(super) fn black_hole(ctx: &Context<'_>) -> Resource {
    of(ctx, Which::BlackHole)
}

/// Sends to the original destination.
pub(super) fn passthrough(ctx: &Context<'_>) -> Resource {
    of(ctx, Which::Passthrough)
}

/// Sends inbound traffic to the original destination.
pub(super) fn inbound_passthrough(ctx: &Context<'_>) -> Resource {
    of(ctx, Which::InboundPassthrough)
}

/// The secret service behind a mounted socket.
pub(super) fn external_sds(ctx: &Context<'_>) -> Resource {
    of(ctx, Which::ExternalSds)
}

fn of(ctx: &Context<'_>, which: Which) -> Resource {
    let input =
        FixedClusterInput { which, client: ClientFacts::of(ctx), settings: Arc::clone(ctx.settings()) };
    ctx.resource(which.name(), &input)
}

impl Input for FixedClusterInput {
    type Output = envoy::cluster::Cluster;
    const TAG: &'static str = "FixedClusterInput";

    fn render(&self) -> Rendered<Self::Output> {
        let mut cluster = envoy::cluster::Cluster {
            name: self.which.name().to_owned(),
            alt_stat_name: stat_name::delimited(self.which.name()),
            connect_timeout: self.settings.config.connect_timeout.map(Into::into),
            cluster_discovery_type: Some(ClusterDiscoveryType::Type(DiscoveryType::Static as i32)),
            ..Default::default()
        };
        match self.which {
            Which::BlackHole => {}
            Which::Passthrough => self.pass_through(&mut cluster),
            Which::InboundPassthrough => {
                self.pass_through(&mut cluster);
                cluster.alt_stat_name = stat_name::delimited(PASSTHROUGH);
                cluster.filters.clear();
                let families = self.client.families;
                cluster.upstream_bind_config = Some(inbound::bind_config(families, families.dual()));
            }
            Which::ExternalSds => {
                let address = inbound::pipe("./var/run/secrets/credential-uds/socket");
                cluster.load_assignment = Some(inbound::load_assignment(&cluster.name, address));
                let mut protocol = ProtocolOptions::default();
                protocol.choose_http2();
                protocol.finish(&mut cluster);
            }
        }
        Rendered::plain(cluster)
    }

    fn mend(&self, message: &mut Self::Output, broken: &Violation) -> bool {
        mend::mend(message, broken)
    }
}

impl FixedClusterInput {
    fn pass_through(&self, cluster: &mut envoy::cluster::Cluster) {
        cluster.cluster_discovery_type = Some(ClusterDiscoveryType::Type(DiscoveryType::OriginalDst as i32));
        cluster.set_lb_policy(LbPolicy::ClusterProvided);
        let mut protocol = ProtocolOptions::default();
        if self.client.preserves_case {
            protocol.preserve_case();
        }
        protocol.follow_client();
        protocol.common().idle_timeout = Some(google::seconds(300));
        connection_pool::apply(cluster, &mut ProtocolOptions::default(), &self.settings, None, None);
        protocol.finish(cluster);
        if self.client.dialect == Dialect::Istio && self.settings.features.metadata_exchange {
            cluster.filters.push(metadata::exchange_filter());
        }
    }
}
