//! Extensions of proxies (spec 6.3; rows F16 to F19): a filter in every chain that an extension is for, placed by its
//! phase, and for WebAssembly the extension configuration (ECDS) that the filter asks for. Lua stands in the chain.

mod wasm;

use std::sync::Arc;

use mesh::Extension;
use proto::envoy;
use proto::envoy::core::config_source::ConfigSourceSpecifier;
use proto::envoy::core::{
    AggregatedConfigSource, ApiVersion, ConfigSource, DataSource, ExtensionConfigSource, data_source,
};
use proto::envoy::hcm::HttpFilter;
use proto::envoy::listener::Filter;
use proto::istio::extensions::traffic_extension::{ExecutionPhase, FilterConfig};
use proto::istio::extensions::{LuaConfig, PluginType, TrafficExtension, WasmConfig};
use proto::istio::types::WorkloadMode;
use scope::Dialect;

use crate::hcm::{self, Slot};
use crate::telemetry::Direction;
use crate::{Context, Reference, Resource, Sealed, patch};

/// Longer scripts are refused.
const LONGEST_SCRIPT: usize = 65536;

const HTTP_TYPES: [&str; 2] = [
    "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm",
    "type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC",
];
const NETWORK_TYPES: [&str; 2] = [
    "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm",
    "type.googleapis.com/envoy.extensions.filters.network.rbac.v3.RBAC",
];

/// The extension configuration of that name: of an EnvoyFilter, else of an extension.
pub fn generate(ctx: &Context<'_>, name: &str) -> Option<Resource> {
    patch::extension_config(ctx, name).or_else(|| wasm::generate(ctx, name))
}

/// The extensions of one class and direction, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Extensions(Vec<Placed>);

/// One extension and where it stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Placed {
    slot: Slot,
    /// One of these lists of ports has the port; an empty list has every one.
    ports: Vec<Vec<u32>>,
    filter: AnyFilter,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum AnyFilter {
    Http(Sealed<HttpFilter>),
    Network(Sealed<Filter>),
}

impl Placed {
    fn is_on(&self, port: u32) -> bool {
        self.ports.iter().any(|ports| ports.is_empty() || ports.contains(&port))
    }
}

impl Extensions {
    /// Selects the extensions that are for a direction.
    pub(crate) fn select(ctx: &Context<'_>, direction: Direction) -> Arc<Self> {
        let class = ctx.class();
        let extensions = ctx.reader.extensions(&class.namespace, &class.labels);
        let placed = |extension: &Extension| {
            let ports = ports(&extension.spec, direction);
            if ports.is_empty() {
                return None;
            }
            let filter = filter(extension, class.dialect)?;
            Some(Placed { slot: slot(extension.spec.phase()), ports, filter })
        };
        Arc::new(Self(extensions.iter().filter_map(|extension| placed(extension)).collect()))
    }

    /// The HTTP filters of one place in the connection manager of a port.
    pub(crate) fn http_filters(&self, slot: Slot, port: u32) -> impl Iterator<Item = &HttpFilter> {
        self.0.iter().filter(move |placed| placed.slot == slot && placed.is_on(port)).filter_map(|placed| {
            match &placed.filter {
                AnyFilter::Http(filter) => Some(&**filter),
                AnyFilter::Network(_) => None,
            }
        })
    }

    /// The network filters of some phases in the chains of a port, phase by phase.
    pub(crate) fn network_filters(&self, slots: &[Slot], port: u32) -> Vec<Filter> {
        let of = |slot: Slot| self.0.iter().filter(move |placed| placed.slot == slot && placed.is_on(port));
        slots
            .iter()
            .flat_map(|slot| of(*slot))
            .filter_map(|placed| match &placed.filter {
                AnyFilter::Network(filter) => Some((**filter).clone()),
                AnyFilter::Http(_) => None,
            })
            .collect()
    }

    /// The extension configurations that the chains of a port ask for: those of network filters alone, or all.
    pub(crate) fn references(&self, port: u32, with_http: bool) -> Vec<Reference> {
        let name = |placed: &Placed| match &placed.filter {
            AnyFilter::Http(filter) => {
                let asks = matches!(
                    filter.config_type,
                    Some(envoy::hcm::http_filter::ConfigType::ConfigDiscovery(_))
                );
                (asks && with_http).then(|| filter.name.clone())
            }
            AnyFilter::Network(filter) => Some(filter.name.clone()),
        };
        let here = self.0.iter().filter(|placed| placed.is_on(port));
        here.filter_map(name).map(Reference::Extension).collect()
    }
}

/// The name of an extension's filter and configuration.
fn resource_name(extension: &Extension) -> String {
    format!("extensions.istio.io/trafficextension/{}.{}", extension.namespace, extension.name)
}

fn slot(phase: ExecutionPhase) -> Slot {
    match phase {
        ExecutionPhase::Authn => Slot::ExtensionAuthn,
        ExecutionPhase::Authz => Slot::ExtensionAuthz,
        ExecutionPhase::Stats => Slot::ExtensionStats,
        ExecutionPhase::Unspecified => Slot::ExtensionUnspecified,
    }
}

/// Lists of ports, of each match that is for the direction; without any match, every port.
fn ports(spec: &TrafficExtension, direction: Direction) -> Vec<Vec<u32>> {
    if spec.r#match.is_empty() {
        return vec![Vec::new()];
    }
    let is_for = |mode: WorkloadMode| match mode {
        WorkloadMode::Client => direction != Direction::Inbound,
        WorkloadMode::Server => direction == Direction::Inbound,
        WorkloadMode::ClientAndServer | WorkloadMode::Undefined => true,
    };
    let matches = spec.r#match.iter().filter(|matched| is_for(matched.mode()));
    matches.map(|matched| matched.ports.iter().map(|port| port.number).collect()).collect()
}

fn filter(extension: &Extension, dialect: Dialect) -> Option<AnyFilter> {
    let name = resource_name(extension);
    match extension.spec.filter_config.as_ref()? {
        FilterConfig::Lua(lua) => http_lua(&name, lua),
        FilterConfig::Wasm(wasm) => {
            // Only Istio's agent fetches modules; a stock proxy would wait for them for ever.
            if dialect == Dialect::Stock && !wasm::is_local(&wasm.url) {
                return None;
            }
            Some(discovered(name, wasm))
        }
    }
}

fn http_lua(name: &str, lua: &LuaConfig) -> Option<AnyFilter> {
    if lua.inline_code.is_empty() || lua.inline_code.len() > LONGEST_SCRIPT {
        return None;
    }
    let config = envoy::lua::Lua {
        default_source_code: Some(DataSource {
            specifier: Some(data_source::Specifier::InlineString(lua.inline_code.clone())),
            ..Default::default()
        }),
        ..Default::default()
    };
    Some(AnyFilter::Http(Sealed::new(hcm::http_filter(name, &config))))
}

/// A filter whose configuration comes over ADS.
fn discovered(name: String, wasm: &WasmConfig) -> AnyFilter {
    let source = |types: [&str; 2]| ExtensionConfigSource {
        config_source: Some(ConfigSource {
            config_source_specifier: Some(ConfigSourceSpecifier::Ads(AggregatedConfigSource {})),
            initial_fetch_timeout: Some(envoy::google::seconds(0)),
            resource_api_version: ApiVersion::V3 as i32,
            ..Default::default()
        }),
        type_urls: types.iter().map(|url| (*url).to_owned()).collect(),
        ..Default::default()
    };
    if wasm.r#type() == PluginType::Network {
        let config = envoy::listener::filter::ConfigType::ConfigDiscovery(source(NETWORK_TYPES));
        AnyFilter::Network(Sealed::new(Filter { name, config_type: Some(config) }))
    } else {
        let config = envoy::hcm::http_filter::ConfigType::ConfigDiscovery(source(HTTP_TYPES));
        AnyFilter::Http(Sealed::new(HttpFilter { name, config_type: Some(config), ..Default::default() }))
    }
}
