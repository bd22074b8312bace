//! The ProxyConfig that holds for a class: what the proxy sends as `PROXY_CONFIG`, as a whole; else the mesh's
//! `defaultConfig`. Nothing is merged here, the injector has done that (spec 4.4, 5.5).

use proto::istio;

use crate::Context;

/// The ProxyConfig of the class. One that cannot be read counts as absent.
pub fn effective(ctx: &Context<'_>) -> istio::mesh::ProxyConfig {
    let mut sent = ctx.class().metadata.proxy_config.clone();
    if sent.is_object() {
        proto::wkt::strip_nulls(&mut sent, &[]);
        if let Ok(config) = serde_json::from_value(sent) {
            return config;
        }
    }
    ctx.settings().config.default_config.clone().unwrap_or_default()
}
