//! Patches of filter chains and of the filters in them (FILTER_CHAIN, NETWORK_FILTER; rows F05, F11): first the chain
//! itself, then what comes into and out of its list of filters, then what is laid over single ones, then the HTTP
//! filters of its connection manager.

use model::Issue;
use prost::Message;
use proto::envoy::google::Any;
use proto::envoy::hcm::HttpConnectionManager;
use proto::envoy::hcm::http_connection_manager::RouteSpecifier;
use proto::envoy::listener::filter::ConfigType;
use proto::envoy::listener::{Filter, FilterChain, Listener};
use proto::istio::networking::envoy_filter::listener_match::FilterMatch;
use proto::istio::networking::envoy_filter::patch::Operation;
use proto::istio::networking::envoy_filter::{ApplyTo, PatchContext};
use scope::EnvoyPatch;

use super::listener::listener_match;
use super::{http_filter, list, merge, route, transport_socket, value};
use crate::hcm;

/// What is done to the chains of one listener; the patches are for that listener.
pub(super) struct Edit<'a> {
    pub(super) patches: &'a [&'a EnvoyPatch],
    pub(super) is_virtual: bool,
    pub(super) stock: bool,
}

impl Edit<'_> {
    /// Applies everything to a chain; false if that removes it.
    pub(super) fn apply(&self, chain: &mut FilterChain, issues: &mut Vec<Issue>) -> bool {
        for patch in self.of(ApplyTo::FilterChain) {
            if !self.is_for(patch, chain) {
                continue;
            }
            match patch.operation {
                Operation::Remove => return false,
                Operation::Merge => {
                    let laid: FilterChain = value(patch);
                    if !transport_socket::merge_of_chain(chain, &laid) {
                        merge(chain, patch, issues);
                    }
                }
                _ => {}
            }
        }
        for patch in self.of(ApplyTo::NetworkFilter) {
            if self.is_for(patch, chain) {
                let anchor = filter_match(patch);
                let hits = |filter: &Filter| anchor.is_none_or(|anchor| anchor.name == filter.name);
                list::apply(&mut chain.filters, patch.operation, anchor.is_some(), hits, || value(patch));
            }
        }
        let matched: Vec<&EnvoyPatch> =
            self.patches.iter().filter(|patch| self.is_for(patch, chain)).copied().collect();
        for filter in &mut chain.filters {
            for patch in &matched {
                let is_merge =
                    patch.apply_to == ApplyTo::NetworkFilter && patch.operation == Operation::Merge;
                if is_merge && is_for_filter(patch, filter) {
                    merge_filter(filter, value(patch));
                }
            }
            self.patch_http_filters(filter, &matched, issues);
        }
        true
    }

    fn patch_http_filters(&self, filter: &mut Filter, matched: &[&EnvoyPatch], issues: &mut Vec<Issue>) {
        if filter.name != hcm::NAME {
            return;
        }
        let patches: Vec<&EnvoyPatch> = matched
            .iter()
            .filter(|patch| patch.apply_to == ApplyTo::HttpFilter && is_for_filter(patch, filter))
            .copied()
            .collect();
        let Some(ConfigType::TypedConfig(config)) = &mut filter.config_type else { return };
        if patches.is_empty() {
            return;
        }
        if let Some(mut manager) = manager(config) {
            http_filter::apply(&mut manager.http_filters, &patches, self.stock, issues);
            *config = proto::pack::any(&manager);
        }
    }

    fn of(&self, kind: ApplyTo) -> impl Iterator<Item = &EnvoyPatch> {
        self.patches.iter().copied().filter(move |patch| patch.apply_to == kind)
    }

    fn is_for(&self, patch: &EnvoyPatch, chain: &FilterChain) -> bool {
        let Some(listener) = listener_match(patch) else { return true };
        let of_chain = chain.filter_chain_match.clone().unwrap_or_default();
        let port = of_chain.destination_port.as_ref().map_or(0, |port| port.value);
        if self.is_virtual && listener.port_number > 0 && port != listener.port_number {
            return false;
        }
        let Some(wanted) = &listener.filter_chain else { return true };
        let protocols = &of_chain.application_protocols;
        (wanted.name.is_empty() || wanted.name == chain.name)
            && (wanted.sni.is_empty() || of_chain.server_names.contains(&wanted.sni))
            && (wanted.transport_protocol.is_empty()
                || of_chain.transport_protocol == wanted.transport_protocol)
            && (wanted.application_protocols.is_empty()
                || wanted.application_protocols.split(',').all(|p| protocols.iter().any(|known| known == p)))
            && (wanted.destination_port == 0 || port == wanted.destination_port)
    }
}

/// The network filter that a patch names.
pub(super) fn filter_match(patch: &EnvoyPatch) -> Option<&FilterMatch> {
    listener_match(patch)?.filter_chain.as_ref()?.filter.as_ref()
}

fn is_for_filter(patch: &EnvoyPatch, filter: &Filter) -> bool {
    filter_match(patch).is_none_or(|matched| matched.name == filter.name)
}

fn merge_filter(filter: &mut Filter, patch: Filter) {
    let Some(ConfigType::TypedConfig(config)) = &mut filter.config_type else { return };
    if let Some(ConfigType::TypedConfig(laid)) = &patch.config_type
        && let Some(merged) = proto::merge::merged_any(config, laid)
    {
        *config = merged;
    }
    if !patch.name.is_empty() {
        filter.name = patch.name;
    }
}

/// The connection manager in an `Any`.
pub(super) fn manager(config: &Any) -> Option<HttpConnectionManager> {
    let is_manager = config
        .type_url
        .ends_with("/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager");
    is_manager.then(|| HttpConnectionManager::decode(config.value.as_slice()).ok()).flatten()
}

/// Patches the routes that stand inside connection managers.
pub(super) fn patch_inline_routes(
    listener: &mut Listener,
    context: PatchContext,
    patches: &[&EnvoyPatch],
    issues: &mut Vec<Issue>,
) {
    let chains = listener.filter_chains.iter_mut().chain(&mut listener.default_filter_chain);
    for filter in chains.flat_map(|chain| &mut chain.filters) {
        let Some(ConfigType::TypedConfig(config)) = &mut filter.config_type else { continue };
        let Some(mut manager) = manager(config) else { continue };
        if let Some(RouteSpecifier::RouteConfig(routes)) = &mut manager.route_specifier {
            let of: Vec<&EnvoyPatch> = patches
                .iter()
                .filter(|patch| route::is_for(patch, context, &routes.name, &[]))
                .copied()
                .collect();
            if !of.is_empty() {
                route::apply(routes, &of, issues);
                *config = proto::pack::any(&manager);
            }
        }
    }
}
