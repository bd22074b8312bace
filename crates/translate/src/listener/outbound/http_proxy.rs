//! The listener for applications that use an explicit HTTP proxy (spec 4.1, row L27): local, on the port that the node
//! or the mesh names, with the route table of all ports.

use std::sync::Arc;

use mesh::Fact;

use super::bind::{localhosts, positive};
use super::chain::{Chain, Content, HttpContent};
use super::{Common, FORWARD_PROXY, OutboundListenerInput};
use crate::{Context, Resource};

/// Its route table.
const ROUTE: &str = "http_proxy";

/// The listener, if some port is named.
pub(super) fn generate(ctx: &Context<'_>, common: &Arc<Fact<Common>>) -> Option<Resource> {
    let mesh = positive(ctx.settings().config.proxy_http_port);
    let port = ctx.class().metadata.http_proxy_port.or(mesh).filter(|port| *port > 0)?;
    let content =
        Content::Http(HttpContent { route: ROUTE.to_owned(), protocol: FORWARD_PROXY, resolves: None });
    let input = OutboundListenerInput {
        common: Arc::clone(common),
        addresses: localhosts(ctx.class()),
        port,
        to_port: true,
        chains: vec![Chain::of(content)],
        forward_proxy: true,
    };
    Some(ctx.resource(input.name(), &input))
}
