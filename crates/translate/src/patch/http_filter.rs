//! Patches of HTTP filters (HTTP_FILTER; row F03): first what comes into and out of the list, in order, then what is
//! laid over single filters. Istio's own proxies get what the patches say; a stock one gets no listener at all when a
//! filter stands behind the router, so there such filters are left out.

use model::Issue;
use proto::envoy::hcm::HttpFilter;
use proto::envoy::hcm::http_filter::ConfigType;
use proto::istio::networking::envoy_filter::listener_match::SubFilterMatch;
use proto::istio::networking::envoy_filter::patch::Operation;
use scope::EnvoyPatch;

use super::filter_chain::filter_match;
use super::{list, value};

const ROUTER: &str = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";

/// Applies patches that are for this connection manager.
pub(super) fn apply(
    filters: &mut Vec<HttpFilter>,
    patches: &[&EnvoyPatch],
    stock: bool,
    issues: &mut Vec<Issue>,
) {
    for patch in patches {
        let anchor = anchor(patch);
        let hits = |filter: &HttpFilter| anchor.is_none_or(|anchor| anchor.name == filter.name);
        if !stock {
            list::apply(filters, patch.operation, anchor.is_some(), hits, || value(patch));
            continue;
        }
        let mut changed = filters.clone();
        list::apply(&mut changed, patch.operation, anchor.is_some(), hits, || value(patch));
        if is_sound(&changed) || !is_sound(filters) {
            *filters = changed;
        } else {
            issues
                .push(patch.issue("the router would not be the last HTTP filter, so the patch is left out"));
        }
    }
    for filter in filters {
        for patch in patches.iter().filter(|patch| patch.operation == Operation::Merge) {
            if anchor(patch).is_none_or(|anchor| anchor.name == filter.name) {
                merge(filter, value(patch));
            }
        }
    }
}

/// Whether the router is there, and last.
fn is_sound(filters: &[HttpFilter]) -> bool {
    let router = filters.iter().position(|filter| {
        matches!(&filter.config_type, Some(ConfigType::TypedConfig(config)) if config.type_url == ROUTER)
    });
    router.is_some_and(|at| at + 1 == filters.len())
}

fn anchor(patch: &EnvoyPatch) -> Option<&SubFilterMatch> {
    filter_match(patch)?.sub_filter.as_ref()
}

fn merge(filter: &mut HttpFilter, patch: HttpFilter) {
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
