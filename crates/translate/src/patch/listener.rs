//! Patches of listeners and of their listener filters (LISTENER, LISTENER_FILTER; rows F04, F11, F15). What stands
//! inside chains follows in `filter_chain`; listeners that patches add come last and are not patched.

use std::sync::Arc;

use model::Issue;
use proto::constraints::Violation;
use proto::envoy;
use proto::envoy::core::config_source::ConfigSourceSpecifier;
use proto::envoy::listener::filter::ConfigType as FilterConfig;
use proto::envoy::listener::listener_filter::ConfigType;
use proto::envoy::listener::{FilterChain, Listener, ListenerFilter};
use proto::istio::networking::envoy_filter::envoy_config_object_match::ObjectTypes;
use proto::istio::networking::envoy_filter::patch::Operation;
use proto::istio::networking::envoy_filter::{ApplyTo, ListenerMatch, PatchContext};
use scope::{Dialect, EnvoyPatch};

use super::{Base, Patch, Referring, filter_chain, left_out, list, merge, patched, sound, value};
use crate::listener::soundness;
use crate::route::refusal_of_configuration;
use crate::{Context, Input, Reference, Rendered, Resource, hcm};

/// Listeners whose chains stand for ports.
const VIRTUAL: [&str; 2] = ["virtualInbound", "virtualOutbound"];
/// What sends connections into tunnels is left alone.
const UNPATCHED: &str = "connect_originate";

const KINDS: &[ApplyTo] = &[
    ApplyTo::Listener,
    ApplyTo::ListenerFilter,
    ApplyTo::FilterChain,
    ApplyTo::NetworkFilter,
    ApplyTo::HttpFilter,
];
/// The routes of inbound listeners stand inside them.
const ROUTE_KINDS: &[ApplyTo] = &[ApplyTo::RouteConfiguration, ApplyTo::VirtualHost, ApplyTo::HttpRoute];

/// The listeners of one context, patched.
pub(crate) fn listeners(ctx: &Context<'_>, context: PatchContext, listeners: Vec<Resource>) -> Vec<Resource> {
    let patches = &ctx.scope.envoy_patches;
    let mut kinds = KINDS.to_vec();
    if context == PatchContext::SidecarInbound {
        kinds.extend(ROUTE_KINDS);
    }
    let all: Vec<&Patch> = patches.of(context, &kinds).collect();
    if all.is_empty() {
        return listeners;
    }
    // A new name decides what later patches are for.
    let renames =
        all.iter().any(|patch| patch.apply_to == ApplyTo::Listener && patch.operation == Operation::Merge);
    let stock = ctx.class().dialect == Dialect::Stock;
    let mut made = Vec::with_capacity(listeners.len());
    for listener in listeners {
        let concerns = |patch: &Patch| {
            let adds_listener = patch.apply_to == ApplyTo::Listener && patch.operation == Operation::Add;
            let named = listener_match(patch).map_or("", |matched| &matched.name);
            !adds_listener && (renames || named.is_empty() || named == &*listener.name)
        };
        let patches: Vec<Patch> = all.iter().filter(|patch| concerns(patch)).map(|p| Arc::clone(p)).collect();
        // What Envoy would refuse by itself is not sent, whatever patches make of it.
        if patches.is_empty() || &*listener.name == UNPATCHED || listener.piece.is_refused {
            made.push(listener);
            continue;
        }
        let input = PatchedListener { base: Base(Arc::clone(&listener.piece)), patches, context, stock };
        match patched(ctx, &input) {
            // Where nothing came of it, the piece stays the one that everybody shares.
            Some(same) if same.piece.fingerprint == listener.piece.fingerprint => {
                // What was left out is told all the same.
                ctx.findings.borrow_mut().issues.extend(same.piece.issues.iter().cloned());
                made.push(listener);
            }
            other => made.extend(other),
        }
    }
    for patch in all {
        // Without a context they would be added twice to a sidecar.
        let elsewhere = patch.context == PatchContext::Any && context == PatchContext::SidecarInbound;
        if patch.apply_to == ApplyTo::Listener && patch.operation == Operation::Add && !elsewhere {
            let added: Listener = value(patch);
            if made.iter().any(|known| clashes(&added, known)) {
                made.push(left_out(patch, "a listener with that name or address is there already"));
            } else {
                made.push(super::added::<Listener>(ctx, patch));
            }
        }
    }
    made
}

/// Whether two listeners have one name or one address.
fn clashes(added: &Listener, known: &Resource) -> bool {
    let known: Listener = Base(Arc::clone(&known.piece)).message();
    added.name == known.name || (added.address.is_some() && added.address == known.address)
}

#[derive(Hash)]
struct PatchedListener {
    base: Base,
    patches: Vec<Patch>,
    context: PatchContext,
    stock: bool,
}

impl Input for PatchedListener {
    type Output = Listener;
    const TAG: &'static str = "PatchedListener";

    fn render(&self) -> Rendered<Listener> {
        let mut issues = self.base.issues();
        let apply = |patches: &[Patch], issues: &mut Vec<Issue>| {
            let mut listener: Listener = self.base.message();
            self.apply(patches, &mut listener, issues);
            listener
        };
        let listener = sound(&self.patches, &mut issues, apply, Referring::refusal);
        let found = listener.references();
        let mut references: Vec<Reference> = self.base.0.references.to_vec();
        references.retain(|reference| !matches!(reference, Reference::Routes(_) | Reference::Extension(_)));
        references.extend(found);
        Rendered { message: listener, references, issues }
    }

    fn refusal(&self, message: &Listener) -> Option<Violation> {
        Referring::refusal(message)
    }
}

impl PatchedListener {
    /// A listener without a name is one that was removed.
    fn apply(&self, patches: &[Patch], listener: &mut Listener, issues: &mut Vec<Issue>) {
        let of = |kinds: &'static [ApplyTo]| {
            patches.iter().map(AsRef::as_ref).filter(|patch: &&EnvoyPatch| kinds.contains(&patch.apply_to))
        };
        let routes: Vec<&EnvoyPatch> = of(ROUTE_KINDS).collect();
        if !routes.is_empty() {
            filter_chain::patch_inline_routes(listener, self.context, &routes, issues);
        }
        for patch in of(&[ApplyTo::Listener]) {
            if !is_for(patch, listener) {
                continue;
            }
            match patch.operation {
                Operation::Remove => {
                    listener.name.clear();
                    return;
                }
                Operation::Merge => merge(listener, patch, issues),
                _ => {}
            }
        }
        for patch in of(&[ApplyTo::ListenerFilter]) {
            if is_for(patch, listener) {
                patch_listener_filters(&mut listener.listener_filters, patch);
            }
        }
        let chains: Vec<&EnvoyPatch> =
            of(&[ApplyTo::FilterChain, ApplyTo::NetworkFilter, ApplyTo::HttpFilter])
                .filter(|patch| is_for(patch, listener))
                .collect();
        let is_virtual = VIRTUAL.contains(&listener.name.as_str());
        let edit = filter_chain::Edit { patches: &chains, is_virtual, stock: self.stock };
        listener.filter_chains.retain_mut(|chain| edit.apply(chain, issues));
        if let Some(chain) = &mut listener.default_filter_chain
            && !edit.apply(chain, issues)
        {
            listener.default_filter_chain = None;
        }
        let added = chains
            .iter()
            .filter(|patch| patch.apply_to == ApplyTo::FilterChain && patch.operation == Operation::Add);
        listener.filter_chains.extend(added.map(|patch| value::<FilterChain>(patch)));
    }
}

pub(super) fn listener_match(patch: &EnvoyPatch) -> Option<&ListenerMatch> {
    match &patch.subject {
        Some(ObjectTypes::Listener(matched)) => Some(matched),
        _ => None,
    }
}

/// Whether a patch is for a listener. In a virtual one the port says which chain is meant, save for the listener
/// itself.
fn is_for(patch: &EnvoyPatch, listener: &Listener) -> bool {
    use envoy::core::address::Address;
    use envoy::core::socket_address::PortSpecifier;
    let Some(matched) = listener_match(patch) else { return true };
    if !matched.name.is_empty() && matched.name != listener.name {
        return false;
    }
    if patch.apply_to != ApplyTo::Listener && VIRTUAL.contains(&listener.name.as_str()) {
        return true;
    }
    let port = match listener.address.as_ref().and_then(|address| address.address.as_ref()) {
        Some(Address::SocketAddress(socket)) => match socket.port_specifier {
            Some(PortSpecifier::PortValue(port)) => Some(port),
            _ => None,
        },
        _ => None,
    };
    matched.port_number == 0 || port == Some(matched.port_number)
}

fn patch_listener_filters(filters: &mut Vec<ListenerFilter>, patch: &EnvoyPatch) {
    let anchor = listener_match(patch).map_or("", |matched| matched.listener_filter.as_str());
    if patch.operation == Operation::Merge {
        // A filter of another type than the patch is not meant, whatever its name.
        let filters = filters.iter_mut().filter(|_| !anchor.is_empty());
        let Some(ConfigType::TypedConfig(patch)) = value::<ListenerFilter>(patch).config_type else { return };
        for filter in filters {
            if let Some(ConfigType::TypedConfig(config)) = &mut filter.config_type
                && let Some(merged) = proto::merge::merged_any(config, &patch)
            {
                *config = merged;
            }
        }
        return;
    }
    let hits = |filter: &ListenerFilter| anchor.is_empty() || filter.name == anchor;
    list::apply(filters, patch.operation, !anchor.is_empty(), hits, || value(patch));
}

impl Referring for Listener {
    fn refusal(&self) -> Option<Violation> {
        // Without a name it is one that was removed.
        if self.name.is_empty() {
            return None;
        }
        let chains = self.filter_chains.iter().chain(&self.default_filter_chain);
        let mut managers =
            chains.flat_map(|chain| &chain.filters).filter_map(|filter| match &filter.config_type {
                Some(FilterConfig::TypedConfig(config)) => filter_chain::manager(config),
                _ => None,
            });
        soundness::refusal(self).or_else(|| managers.find_map(|manager| of_manager_refusal(&manager)))
    }

    fn references(&self) -> Vec<Reference> {
        let mut found = Vec::new();
        let chains = self.filter_chains.iter().chain(&self.default_filter_chain);
        for filter in chains.flat_map(|chain| &chain.filters) {
            match &filter.config_type {
                Some(FilterConfig::ConfigDiscovery(source)) if is_ads(source) => {
                    found.push(Reference::Extension(filter.name.clone()));
                }
                Some(FilterConfig::TypedConfig(config)) if filter.name == hcm::NAME => {
                    let Some(manager) = filter_chain::manager(config) else { continue };
                    found.extend(of_manager(&manager));
                }
                _ => {}
            }
        }
        found.sort();
        found.dedup();
        found
    }
}

/// What Envoy would refuse of a connection manager.
fn of_manager_refusal(manager: &envoy::hcm::HttpConnectionManager) -> Option<Violation> {
    use envoy::hcm::http_connection_manager::RouteSpecifier;
    use envoy::hcm::http_filter::ConfigType;
    let empty = manager.http_filters.iter().position(|filter| match &filter.config_type {
        Some(ConfigType::TypedConfig(config)) => config.type_url.is_empty(),
        Some(ConfigType::ConfigDiscovery(_)) => false,
        None => true,
    });
    if let Some(index) = empty {
        let reason = "has no typed_config".to_owned();
        return Some(Violation { path: format!("http_filters[{index}]"), reason });
    }
    for (index, filter) in manager.http_filters.iter().enumerate() {
        if let Some(ConfigType::TypedConfig(config)) = &filter.config_type
            && let Some(place) = soundness::misplaced(&config.type_url, "http")
        {
            let reason = format!("filter {} is one for {place}, not for requests", filter.name);
            return Some(Violation { path: format!("http_filters[{index}]"), reason });
        }
    }
    match &manager.route_specifier {
        Some(RouteSpecifier::RouteConfig(routes)) => refusal_of_configuration(routes),
        _ => None,
    }
}

fn of_manager(manager: &envoy::hcm::HttpConnectionManager) -> Vec<Reference> {
    use envoy::hcm::http_connection_manager::RouteSpecifier;
    let mut found = Vec::new();
    if let Some(RouteSpecifier::Rds(rds)) = &manager.route_specifier {
        found.push(Reference::Routes(rds.route_config_name.clone()));
    }
    for filter in &manager.http_filters {
        if let Some(envoy::hcm::http_filter::ConfigType::ConfigDiscovery(source)) = &filter.config_type
            && is_ads(source)
        {
            found.push(Reference::Extension(filter.name.clone()));
        }
    }
    found
}

fn is_ads(source: &envoy::core::ExtensionConfigSource) -> bool {
    let specifier = source.config_source.as_ref().and_then(|source| source.config_source_specifier.as_ref());
    matches!(specifier, Some(ConfigSourceSpecifier::Ads(_)))
}
