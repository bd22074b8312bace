//! Which access loggers apply: Telemetry objects, else the mesh's default providers, else its own log file and log service (spec 7.3; rows
//! T06-T12).

use std::collections::{BTreeMap, BTreeSet};

use proto::envoy::accesslog::{
    AccessLog, AccessLogFilter, AndFilter, ExtensionFilter, ResponseFlagFilter,
    access_log_filter::FilterSpecifier, extension_filter,
};
use proto::istio::telemetry::{AccessLogging, access_logging::Filter};

use super::{Direction, TelemetryObjects, log_format, log_provider, names};
use crate::Context;

/// The loggers by where they stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Loggers {
    pub(super) http: Vec<AccessLog>,
    pub(super) tcp: Vec<AccessLog>,
    pub(super) listener: Vec<AccessLog>,
}

/// Resolves the loggers.
pub(super) fn select(ctx: &Context<'_>, direction: Direction, objects: &TelemetryObjects) -> Loggers {
    let config = &ctx.settings().config;
    let default = config.default_providers.as_ref().map_or(&[][..], |p| &p.access_logging);
    // Objects without a word on access logs say nothing, not "none".
    let levels: Vec<&[AccessLogging]> = objects
        .iter()
        .map(|object| object.spec.access_logging.as_slice())
        .filter(|entries| !entries.is_empty())
        .collect();
    let mut loggers = if levels.is_empty() && default.is_empty() {
        legacy(ctx)
    } else {
        let log = |(name, filter): (String, Option<&Filter>)| {
            // An empty filter lets everything pass; one that is none would spoil the listener, so its log is left out.
            let filter = filter.filter(|filter| !filter.expression.is_empty());
            if filter.is_some_and(|filter| proto::cel::check(&filter.expression).is_err()) {
                return None;
            }
            let mut log = log_provider::access_log(ctx, &name)?;
            log.filter = filter.map(expression);
            Some(log)
        };
        let logs: Vec<AccessLog> = merged(default, &levels, direction).into_iter().filter_map(log).collect();
        Loggers { http: logs.clone(), tcp: logs.clone(), listener: logs }
    };
    if config.disable_envoy_listener_log {
        loggers.listener.clear();
    }
    for log in &mut loggers.listener {
        log.filter = Some(no_route_and(log.filter.take()));
    }
    loggers
}

/// The providers that log, by name, each with its filter. The last object that names providers for the direction
/// decides which count; an entry without providers means those of the entry before it.
fn merged<'a>(
    default: &[String],
    levels: &[&'a [AccessLogging]],
    direction: Direction,
) -> BTreeMap<String, Option<&'a Filter>> {
    if levels.is_empty() {
        return default.iter().map(|name| (name.clone(), None)).collect();
    }
    let applies = |entry: &AccessLogging| entry.r#match.as_ref().is_none_or(|m| direction.is_in(m.mode()));
    let mut counting: BTreeSet<String> = default.iter().cloned().collect();
    let mut filters: BTreeMap<String, Option<&Filter>> = BTreeMap::new();
    for level in levels {
        let mut named = BTreeSet::new();
        for entry in level.iter().filter(|entry| applies(entry)) {
            for name in names(&entry.providers) {
                filters.insert(name.clone(), entry.filter.as_ref());
                named.insert(name);
            }
        }
        if !named.is_empty() {
            counting = named;
        }
    }
    let mut inherited: Vec<String> = default.to_vec();
    let mut logging = BTreeMap::new();
    for entry in levels.iter().copied().flatten() {
        let named = names(&entry.providers);
        if !named.is_empty() {
            inherited = named;
        }
        if !applies(entry) {
            continue;
        }
        let disabled = entry.disabled.as_ref().is_some_and(|flag| flag.value);
        for name in inherited.iter().filter(|name| counting.contains(*name)) {
            if disabled {
                logging.remove(name);
            } else {
                logging.insert(name.clone(), filters.get(name).copied().flatten());
            }
        }
    }
    logging
}

fn expression(filter: &Filter) -> AccessLogFilter {
    let config = proto::envoy::access_log_filters_cel::ExpressionFilter {
        expression: filter.expression.clone(),
        ..Default::default()
    };
    AccessLogFilter {
        filter_specifier: Some(FilterSpecifier::ExtensionFilter(ExtensionFilter {
            name: "envoy.access_loggers.extension_filters.cel".to_owned(),
            config_type: Some(extension_filter::ConfigType::TypedConfig(proto::pack::any(&config))),
        })),
    }
}

/// The mesh's own log file and log service.
fn legacy(ctx: &Context<'_>) -> Loggers {
    let config = &ctx.settings().config;
    let mut loggers = Loggers::default();
    if !config.access_log_file.is_empty() {
        let file = log_provider::file(&config.access_log_file, log_format::of_mesh(config));
        loggers.http.push(file.clone());
        loggers.tcp.push(file.clone());
        loggers.listener.push(file);
    }
    if config.enable_envoy_access_log_service {
        loggers.http.push(log_provider::mesh_http_service());
        loggers.tcp.push(log_provider::mesh_tcp_service());
        loggers.listener.push(log_provider::mesh_tcp_service());
    }
    loggers
}

/// Listeners log only what found no chain: flag `NR`, and whatever else was asked for.
fn no_route_and(filter: Option<AccessLogFilter>) -> AccessLogFilter {
    let no_route = AccessLogFilter {
        filter_specifier: Some(FilterSpecifier::ResponseFlagFilter(ResponseFlagFilter {
            flags: vec!["NR".to_owned()],
        })),
    };
    match filter {
        None => no_route,
        Some(filter) => AccessLogFilter {
            filter_specifier: Some(FilterSpecifier::AndFilter(AndFilter { filters: vec![no_route, filter] })),
        },
    }
}
