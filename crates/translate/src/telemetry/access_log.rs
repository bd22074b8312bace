//! Which access loggers apply: the mesh's default providers, else its own log file and log service (spec 7.3; rows
//! T06-T12).

use proto::envoy::accesslog::{
    AccessLog, AccessLogFilter, AndFilter, ResponseFlagFilter, access_log_filter::FilterSpecifier,
};

use super::{Direction, log_format, log_provider};
use crate::Context;

/// The loggers by where they stand.
#[derive(Clone, Debug, Default)]
pub(super) struct Loggers {
    pub(super) http: Vec<AccessLog>,
    pub(super) tcp: Vec<AccessLog>,
    pub(super) listener: Vec<AccessLog>,
}

/// Resolves the loggers.
pub(super) fn select(ctx: &Context<'_>, _direction: Direction) -> Loggers {
    let config = &ctx.settings().config;
    let named = config.default_providers.as_ref().map_or(&[][..], |p| &p.access_logging);
    let mut loggers = if named.is_empty() {
        legacy(ctx)
    } else {
        let mut names: Vec<&String> = named.iter().collect();
        names.sort();
        names.dedup();
        let logs: Vec<AccessLog> =
            names.into_iter().filter_map(|name| log_provider::access_log(ctx, name)).collect();
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
