//! The UDP listener beside a TCP one (spec 4.3): the same HTTPS servers by the same server names, with the same routes
//! and certificates, over QUIC. Responses on TCP tell clients of it (`alt-svc`, in `route`).

use scope::ServerGroup;

use super::chain::{Chain, Content, Matches};
use super::{GatewayListenerInput, https, issue, tls_context};
use crate::Context;

/// Adds the chains of those of a group's servers that speak HTTP/3.
pub(super) fn add(
    ctx: &Context<'_>,
    group: &ServerGroup,
    listener: &mut GatewayListenerInput,
    matches: &mut Matches,
) {
    for server in group.servers.iter().filter(|server| server.http3) {
        let (chain, reason) = matches.admit(Chain {
            server_names: server.server_names(),
            tls: tls_context(ctx, server, true),
            ..Chain::of(Content::Http(https(server, true)))
        });
        listener.chains.extend(chain);
        listener.issues.extend(reason.map(|reason| issue(server, &reason)));
    }
}
