//! The order of HTTP filters, for all classes of proxies, in one place (spec 4.4; row L25).

use proto::envoy::hcm::HttpFilter;

use super::{
    HcmOptions, alpn, cors, dynamic_forward_proxy, fault, grpc_stats, grpc_web, metadata_exchange, router,
};

/// A place in the order that policies and extensions fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Slot {
    /// Authorization by an external service.
    CustomAuthorization,
    /// Extensions of the phase AUTHN.
    ExtensionAuthn,
    /// Request authentication.
    JwtAuthn,
    /// Extensions of the phase AUTHZ.
    ExtensionAuthz,
    /// Authorization.
    Rbac,
    /// Extensions of the phase STATS.
    ExtensionStats,
    /// Extensions without a phase.
    ExtensionUnspecified,
    /// Endpoint picking by an external processor.
    ExternalProcessing,
    /// Persistent sessions.
    StatefulSession,
}

impl Slot {
    /// The phases of extensions, in order.
    pub(crate) const EXTENSIONS: [Self; 4] =
        [Self::ExtensionAuthn, Self::ExtensionAuthz, Self::ExtensionStats, Self::ExtensionUnspecified];
    /// Those before authorization.
    pub(crate) const BEFORE_RBAC: [Self; 2] = [Self::ExtensionAuthn, Self::ExtensionAuthz];
    /// Those after it.
    pub(crate) const AFTER_RBAC: [Self; 2] = [Self::ExtensionStats, Self::ExtensionUnspecified];
}

/// What makes the filters of one place.
enum Place {
    /// A filter of this crate, where it applies.
    Own(fn(&HcmOptions) -> Option<HttpFilter>),
    /// What was inserted there.
    Inserted(Slot),
    /// Statistics, one for each provider.
    Stats,
}

/// First to last.
const ORDER: &[Place] = &[
    Place::Own(metadata_exchange::filter),
    Place::Inserted(Slot::CustomAuthorization),
    Place::Inserted(Slot::ExtensionAuthn),
    Place::Inserted(Slot::JwtAuthn),
    Place::Inserted(Slot::ExtensionAuthz),
    Place::Inserted(Slot::Rbac),
    Place::Inserted(Slot::ExtensionStats),
    Place::Inserted(Slot::ExtensionUnspecified),
    Place::Inserted(Slot::ExternalProcessing),
    Place::Own(grpc_web::filter),
    Place::Own(grpc_stats::filter),
    Place::Own(alpn::filter),
    Place::Own(fault::filter),
    Place::Own(cors::filter),
    Place::Stats,
    Place::Inserted(Slot::StatefulSession),
    Place::Own(dynamic_forward_proxy::filter),
    Place::Own(router::filter),
];

/// The filters of a connection manager.
pub(super) fn all(options: &HcmOptions) -> Vec<HttpFilter> {
    let mut filters = Vec::with_capacity(ORDER.len());
    for place in ORDER {
        match place {
            Place::Own(filter) => filters.extend(filter(options)),
            Place::Inserted(slot) => {
                let here = options.inserted.iter().filter(|(at, _)| at == slot);
                filters.extend(here.map(|(_, filter)| (**filter).clone()));
                let extensions = options.defaults.extensions.http_filters(*slot, options.port);
                filters.extend(extensions.cloned());
            }
            Place::Stats => filters.extend(options.defaults.telemetry.stats_http_filters()),
        }
    }
    filters
}
