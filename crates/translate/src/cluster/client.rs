//! What clusters depend on of the proxy that uses them, and nothing more, so that proxies share their bytes.

use scope::{Dialect, IpFamilies, ProxyType, TlsFiles};

use crate::Context;

/// The properties of a proxy that show in its clusters.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct ClientFacts {
    /// Whether it is a sidecar.
    pub(super) sidecar: bool,
    /// Whether it is a gateway.
    pub(super) router: bool,
    /// Which filters it has.
    pub(super) dialect: Dialect,
    /// Families of its addresses.
    pub(super) families: IpFamilies,
    /// Certificates mounted into it for its calls.
    pub(super) certificates: TlsFiles,
    /// Whether a mounted socket serves credentials.
    pub(super) credential_socket: bool,
    /// Whether a mounted socket serves file certificates.
    pub(super) file_socket: bool,
    /// Whether header names of HTTP/1 stay as they came.
    pub(super) preserves_case: bool,
}

impl ClientFacts {
    /// The facts of the class being translated for.
    pub(super) fn of(ctx: &Context<'_>) -> Self {
        let class = ctx.class();
        let metadata = &class.metadata;
        Self {
            sidecar: class.proxy_type == ProxyType::Sidecar,
            router: class.is_router(),
            dialect: class.dialect,
            families: class.ip_families,
            certificates: metadata.tls_client.clone(),
            credential_socket: metadata.credential,
            file_socket: metadata.file_credential,
            preserves_case: preserves_case(ctx),
        }
    }
}

/// `proxyHeaders.preserveHttp1HeaderCase` of the proxy's own configuration, or of the mesh's when it sent none.
fn preserves_case(ctx: &Context<'_>) -> bool {
    let own = &ctx.class().metadata.proxy_config;
    if own.is_object() {
        return own["proxyHeaders"]["preserveHttp1HeaderCase"].as_bool() == Some(true);
    }
    let default = ctx.settings().config.default_config.as_ref();
    default
        .and_then(|config| config.proxy_headers.as_ref()?.preserve_http1_header_case.as_ref())
        .is_some_and(|flag| flag.value)
}
