//! A TCP or TLS port of one service, with what decides its chains.

use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::{Service, VirtualService};
use model::{Host, Protocol};

use crate::listener::tcp_route::Origin;

/// One port, as chains are made for it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamPort<'a> {
    /// The service.
    pub(crate) service: &'a Service,
    /// What it speaks.
    pub(crate) protocol: Protocol,
    /// VirtualServices for its host with TCP or TLS routes, in order of precedence.
    pub(crate) virtual_services: &'a [Arc<VirtualService>],
    /// The address that the listener binds.
    pub(crate) address: &'a str,
    /// Ranges of destinations that stand for the service.
    pub(crate) ranges: &'a [String],
    /// Where traffic comes from.
    pub(crate) origin: Origin<'a>,
    /// Services that stand for others, with the ones they stand for.
    pub(crate) aliases: &'a BTreeMap<Host, Host>,
}
