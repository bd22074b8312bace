//! What all connection managers of one class and direction share: the proxy's headers and timeouts, the mesh's path
//! normalization, telemetry (spec 4.4).

use std::sync::Arc;

use proto::istio;
use scope::{Dialect, ProxyType};

use crate::extension::Extensions;
use crate::telemetry::{Direction, TelemetryFacts};
use crate::{Context, Sealed, proxy_config};

/// The shared part of connection managers.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HcmDefaults {
    /// Which side the listeners are on.
    pub direction: Direction,
    pub(super) dialect: Dialect,
    pub(super) telemetry: Arc<TelemetryFacts>,
    pub(super) extensions: Arc<Extensions>,
    /// Of type `pathNormalization.normalization`.
    pub(super) normalization: i32,
    pub(super) headers: Sealed<istio::mesh::proxy_config::ProxyHeaders>,
    pub(super) topology: Sealed<istio::mesh::Topology>,
    pub(super) http10: bool,
    /// Nanoseconds.
    pub(super) idle_timeout: Option<i64>,
    pub(super) proxy_100_continue: bool,
    pub(super) use_remote_address: bool,
    pub(super) alpn: bool,
    pub(super) metadata_exchange: bool,
    pub(super) router: bool,
}

impl HcmDefaults {
    /// Selects the shared part. Not cheap: once per class and direction.
    pub fn select(ctx: &Context<'_>, direction: Direction) -> Arc<Self> {
        let class = ctx.class();
        let settings = ctx.settings();
        let features = &settings.features;
        let proxy = proxy_config::effective(ctx);
        let normalization = settings.config.path_normalization.as_ref().map_or(0, |path| path.normalization);
        Arc::new(Self {
            direction,
            dialect: class.dialect,
            telemetry: TelemetryFacts::select(ctx, direction),
            extensions: Extensions::select(ctx, direction),
            normalization,
            headers: Sealed::new(proxy.proxy_headers.unwrap_or_default()),
            topology: Sealed::new(proxy.gateway_topology.unwrap_or_default()),
            http10: class.metadata.http10.unwrap_or(features.http10),
            idle_timeout: idle_timeout(&class.metadata.idle_timeout),
            proxy_100_continue: features.proxy_100_continue,
            use_remote_address: match direction {
                Direction::Gateway => true,
                Direction::Outbound => features.sidecar_use_remote_address,
                Direction::Inbound => false,
            },
            alpn: features.alpn_filter,
            metadata_exchange: features.metadata_exchange,
            router: class.proxy_type == ProxyType::Router,
        })
    }

    /// What of it concerns listeners that look into no request: their extensions, not their traces.
    pub(crate) fn of_streams(&self, telemetry: &Arc<TelemetryFacts>) -> Arc<Self> {
        Arc::new(Self { telemetry: Arc::clone(telemetry), ..self.clone() })
    }

    /// Telemetry of the same class and direction.
    pub fn telemetry(&self) -> &Arc<TelemetryFacts> {
        &self.telemetry
    }

    /// Extensions of the same class and direction.
    pub(crate) fn extensions(&self) -> &Extensions {
        &self.extensions
    }
}

/// A duration as Go writes it, in nanoseconds; nothing for what is none.
pub(crate) fn idle_timeout(text: &str) -> Option<i64> {
    let value = serde_json::Value::String(text.to_owned());
    serde_json::from_value::<proto::wkt::Duration>(value).ok().map(proto::wkt::Duration::as_nanos)
}
