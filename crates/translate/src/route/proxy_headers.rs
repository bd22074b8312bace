//! `proxyHeaders` as far as routes show them: the proxy's own configuration when it sent one, else the mesh's.

use crate::{Context, proxy_config};

/// What routes take from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct ProxyHeaders {
    /// Requests say which attempt they are.
    pub attempt_count: bool,
    /// A rewritten authority is kept in `x-forwarded-host`.
    pub x_forwarded_host: bool,
}

/// Those that hold for the class.
pub(super) fn of(ctx: &Context<'_>) -> ProxyHeaders {
    let config = proxy_config::effective(ctx);
    let headers = config.proxy_headers.as_ref();
    ProxyHeaders {
        attempt_count: !headers
            .and_then(|h| h.attempt_count.as_ref())
            .and_then(|count| count.disabled)
            .is_some_and(|disabled| disabled.value),
        x_forwarded_host: headers
            .and_then(|h| h.x_forwarded_host.as_ref())
            .and_then(|host| host.enabled)
            .is_some_and(|enabled| enabled.value),
    }
}
