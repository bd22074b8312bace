//! Envoy's v3 packages under short names: what translators write as `envoy::cluster::Cluster` is the message
//! `envoy.config.cluster.v3.Cluster` of the public API, unchanged. Only names are given here; a package is added by
//! adding a line. Google's well-known types and their constructors are in [`google`].

pub mod google;
mod helpers;

// Resources and what they are made of.
/// Checked and parsed CEL expressions.
pub use envoy_types::pb::cel::expr as cel;
/// Access log entries and their filters.
pub use envoy_types::pb::envoy::config::accesslog::v3 as accesslog;
/// What a proxy is started with.
pub use envoy_types::pb::envoy::config::bootstrap::v3 as bootstrap;
/// Clusters: upstream services with their connection and failure settings.
pub use envoy_types::pb::envoy::config::cluster::v3 as cluster;
/// Match trees of Envoy's own, older kind.
pub use envoy_types::pb::envoy::config::common::matcher::v3 as common_matcher;
/// Addresses, metadata, nodes, headers and other words every resource shares.
pub use envoy_types::pb::envoy::config::core::v3 as core;
/// Load assignments: endpoints by locality and priority.
pub use envoy_types::pb::envoy::config::endpoint::v3 as endpoint;
/// Listeners, filter chains and their matches.
pub use envoy_types::pb::envoy::config::listener::v3 as listener;
/// Stat matchers and sinks.
pub use envoy_types::pb::envoy::config::metrics::v3 as metrics;
/// Overload manager.
pub use envoy_types::pb::envoy::config::overload::v3 as overload;
/// The rate limit service of a filter.
pub use envoy_types::pb::envoy::config::ratelimit::v3 as ratelimit;
/// Rules of role-based access control.
pub use envoy_types::pb::envoy::config::rbac::v3 as rbac;
/// Route configurations, virtual hosts and routes.
pub use envoy_types::pb::envoy::config::route::v3 as route;
/// Tracing providers.
pub use envoy_types::pb::envoy::config::trace::v3 as trace;
/// Cookies and path transformations.
pub use envoy_types::pb::envoy::r#type::http::v3 as http;
/// String, regex, value and path matchers.
pub use envoy_types::pb::envoy::r#type::matcher::v3 as matcher;
/// Keys into metadata.
pub use envoy_types::pb::envoy::r#type::metadata::v3 as metadata;
/// Custom tags of spans.
pub use envoy_types::pb::envoy::r#type::tracing::v3 as tracing;
/// Percentages, ranges, token buckets, status codes.
pub use envoy_types::pb::envoy::r#type::v3 as types;
/// Transport-neutral resource words, `TypedExtensionConfig` among them.
pub use envoy_types::pb::xds::core::v3 as xds_core;
/// Transport-neutral match trees.
pub use envoy_types::pb::xds::r#type::matcher::v3 as xds_matcher;
/// CEL expressions and ranges.
pub use envoy_types::pb::xds::r#type::v3 as xds_types;

// Services.
/// The admin interface's dumps.
pub use envoy_types::pb::envoy::admin::v3 as admin;
/// The access log service.
pub use envoy_types::pb::envoy::service::accesslog::v3 as accesslog_service;
/// The external authorization service.
pub use envoy_types::pb::envoy::service::auth::v3 as auth_service;
/// Discovery requests and responses, the aggregated service's server and client.
pub use envoy_types::pb::envoy::service::discovery::v3 as discovery;
/// Runtime layers over xDS.
pub use envoy_types::pb::envoy::service::runtime::v3 as runtime_service;
/// The secret discovery service.
pub use envoy_types::pb::envoy::service::secret::v3 as secret_service;
/// Client status discovery.
pub use envoy_types::pb::envoy::service::status::v3 as status;

// Transport.
/// Bootstrap extension for internal listeners.
pub use envoy_types::pb::envoy::extensions::bootstrap::internal_listener::v3 as internal_listener;
/// Aggregate clusters.
pub use envoy_types::pb::envoy::extensions::clusters::aggregate::v3 as aggregate_cluster;
/// DNS clusters as an extension.
pub use envoy_types::pb::envoy::extensions::clusters::dns::v3 as dns_cluster;
/// Original destination clusters as an extension.
pub use envoy_types::pb::envoy::extensions::clusters::original_dst::v3 as original_dst_cluster;
/// The listener filter that reads the PROXY header.
pub use envoy_types::pb::envoy::extensions::filters::listener::proxy_protocol::v3 as proxy_protocol;
/// HTTP/1 header names as received.
pub use envoy_types::pb::envoy::extensions::http::header_formatters::preserve_case::v3 as preserve_case;
/// The c-ares resolver.
pub use envoy_types::pb::envoy::extensions::network::dns_resolver::cares::v3 as cares_dns;
/// Transport through a CONNECT proxy.
pub use envoy_types::pb::envoy::extensions::transport_sockets::http_11_proxy::v3 as http_11_proxy;
/// Transport to an internal listener.
pub use envoy_types::pb::envoy::extensions::transport_sockets::internal_upstream::v3 as internal_upstream;
/// The transport socket that sends the PROXY header upstream.
pub use envoy_types::pb::envoy::extensions::transport_sockets::proxy_protocol::v3 as upstream_proxy_protocol;
/// QUIC contexts.
pub use envoy_types::pb::envoy::extensions::transport_sockets::quic::v3 as quic;
/// Plain text transport.
pub use envoy_types::pb::envoy::extensions::transport_sockets::raw_buffer::v3 as raw_buffer;
/// Transport that starts plain and turns to TLS.
pub use envoy_types::pb::envoy::extensions::transport_sockets::starttls::v3 as starttls;
/// TLS contexts, certificates and secrets.
pub use envoy_types::pb::envoy::extensions::transport_sockets::tls::v3 as tls;
/// HTTP protocol options of a cluster.
pub use envoy_types::pb::envoy::extensions::upstreams::http::v3 as upstreams_http;
/// TCP protocol options of a cluster.
pub use envoy_types::pb::envoy::extensions::upstreams::tcp::v3 as upstreams_tcp;

// HTTP filters and what plugs into the connection manager.
/// Delays and rate limits of faults.
pub use envoy_types::pb::envoy::extensions::filters::common::fault::v3 as fault_common;
/// Compression of responses.
pub use envoy_types::pb::envoy::extensions::filters::http::compressor::v3 as compressor;
/// CORS filter and policy.
pub use envoy_types::pb::envoy::extensions::filters::http::cors::v3 as cors;
/// Dynamic forward proxy, HTTP filter.
pub use envoy_types::pb::envoy::extensions::filters::http::dynamic_forward_proxy::v3 as http_dynamic_forward_proxy;
/// External authorization of requests.
pub use envoy_types::pb::envoy::extensions::filters::http::ext_authz::v3 as ext_authz;
/// External processing of requests.
pub use envoy_types::pb::envoy::extensions::filters::http::ext_proc::v3 as ext_proc;
/// Fault injection filter.
pub use envoy_types::pb::envoy::extensions::filters::http::fault::v3 as fault;
/// gRPC to HTTP/1.1 bridge.
pub use envoy_types::pb::envoy::extensions::filters::http::grpc_http1_bridge::v3 as grpc_http1_bridge;
/// gRPC statistics filter.
pub use envoy_types::pb::envoy::extensions::filters::http::grpc_stats::v3 as grpc_stats;
/// gRPC-Web filter.
pub use envoy_types::pb::envoy::extensions::filters::http::grpc_web::v3 as grpc_web;
/// Header mutation filter.
pub use envoy_types::pb::envoy::extensions::filters::http::header_mutation::v3 as header_mutation;
/// JWT verification.
pub use envoy_types::pb::envoy::extensions::filters::http::jwt_authn::v3 as jwt_authn;
/// Local rate limit of requests.
pub use envoy_types::pb::envoy::extensions::filters::http::local_ratelimit::v3 as http_local_ratelimit;
/// Lua filter.
pub use envoy_types::pb::envoy::extensions::filters::http::lua::v3 as lua;
/// On-demand discovery filter.
pub use envoy_types::pb::envoy::extensions::filters::http::on_demand::v3 as on_demand;
/// Global rate limit of requests.
pub use envoy_types::pb::envoy::extensions::filters::http::ratelimit::v3 as http_ratelimit;
/// Role-based access control of requests.
pub use envoy_types::pb::envoy::extensions::filters::http::rbac::v3 as http_rbac;
/// Router filter.
pub use envoy_types::pb::envoy::extensions::filters::http::router::v3 as router;
/// Filter state set per request.
pub use envoy_types::pb::envoy::extensions::filters::http::set_filter_state::v3 as http_set_filter_state;
/// Stateful session filter.
pub use envoy_types::pb::envoy::extensions::filters::http::stateful_session::v3 as stateful_session;
/// Wasm HTTP filter.
pub use envoy_types::pb::envoy::extensions::filters::http::wasm::v3 as http_wasm;
/// The HTTP connection manager.
pub use envoy_types::pb::envoy::extensions::filters::network::http_connection_manager::v3 as hcm;
/// Client address from a header of choice.
pub use envoy_types::pb::envoy::extensions::http::original_ip_detection::custom_header::v3 as original_ip_custom_header;
/// Client address from X-Forwarded-For.
pub use envoy_types::pb::envoy::extensions::http::original_ip_detection::xff::v3 as original_ip_xff;
/// Sessions held in a cookie.
pub use envoy_types::pb::envoy::extensions::http::stateful_session::cookie::v3 as stateful_session_cookie;
/// Sessions held in a header.
pub use envoy_types::pb::envoy::extensions::http::stateful_session::header::v3 as stateful_session_header;
/// Path matching by URI template.
pub use envoy_types::pb::envoy::extensions::path::r#match::uri_template::v3 as uri_template_match;
/// Path rewriting by URI template.
pub use envoy_types::pb::envoy::extensions::path::rewrite::uri_template::v3 as uri_template_rewrite;
/// Request identifiers made of UUIDs.
pub use envoy_types::pb::envoy::extensions::request_id::uuid::v3 as uuid_request_id;
/// Retries avoid canaries.
pub use envoy_types::pb::envoy::extensions::retry::host::omit_canary_hosts::v3 as omit_canary_hosts;
/// Retries avoid hosts already tried.
pub use envoy_types::pb::envoy::extensions::retry::host::previous_hosts::v3 as previous_hosts;
/// Retries move on to other priorities.
pub use envoy_types::pb::envoy::extensions::retry::priority::previous_priorities::v3 as previous_priorities;
/// Wasm plugin and virtual machine settings.
pub use envoy_types::pb::envoy::extensions::wasm::v3 as wasm;

// Network and listener filters.
/// Values that either filter sets.
pub use envoy_types::pb::envoy::extensions::filters::common::set_filter_state::v3 as set_filter_state_common;
/// HTTP inspector.
pub use envoy_types::pb::envoy::extensions::filters::listener::http_inspector::v3 as http_inspector;
/// Local rate limit of accepted connections.
pub use envoy_types::pb::envoy::extensions::filters::listener::local_ratelimit::v3 as listener_local_ratelimit;
/// Original destination, listener filter.
pub use envoy_types::pb::envoy::extensions::filters::listener::original_dst::v3 as original_dst;
/// Original source, listener filter.
pub use envoy_types::pb::envoy::extensions::filters::listener::original_src::v3 as original_src;
/// Filter state set per accepted connection.
pub use envoy_types::pb::envoy::extensions::filters::listener::set_filter_state::v3 as listener_set_filter_state;
/// TLS inspector.
pub use envoy_types::pb::envoy::extensions::filters::listener::tls_inspector::v3 as tls_inspector;
/// Limit of connections.
pub use envoy_types::pb::envoy::extensions::filters::network::connection_limit::v3 as connection_limit;
/// Fixed answer to a connection.
pub use envoy_types::pb::envoy::extensions::filters::network::direct_response::v3 as direct_response;
/// Echo filter.
pub use envoy_types::pb::envoy::extensions::filters::network::echo::v3 as echo;
/// External authorization of connections.
pub use envoy_types::pb::envoy::extensions::filters::network::ext_authz::v3 as network_ext_authz;
/// Local rate limit of connections.
pub use envoy_types::pb::envoy::extensions::filters::network::local_ratelimit::v3 as local_ratelimit;
/// MongoDB proxy.
pub use envoy_types::pb::envoy::extensions::filters::network::mongo_proxy::v3 as mongo_proxy;
/// Role-based access control of connections.
pub use envoy_types::pb::envoy::extensions::filters::network::rbac::v3 as network_rbac;
/// Redis proxy.
pub use envoy_types::pb::envoy::extensions::filters::network::redis_proxy::v3 as redis_proxy;
/// Filter state set per connection.
pub use envoy_types::pb::envoy::extensions::filters::network::set_filter_state::v3 as set_filter_state;
/// Cluster named by the SNI.
pub use envoy_types::pb::envoy::extensions::filters::network::sni_cluster::v3 as sni_cluster;
/// Dynamic forward proxy, SNI filter.
pub use envoy_types::pb::envoy::extensions::filters::network::sni_dynamic_forward_proxy::v3 as sni_dynamic_forward_proxy;
/// TCP proxy.
pub use envoy_types::pb::envoy::extensions::filters::network::tcp_proxy::v3 as tcp_proxy;
/// Wasm network filter.
pub use envoy_types::pb::envoy::extensions::filters::network::wasm::v3 as network_wasm;
/// UDP proxy.
pub use envoy_types::pb::envoy::extensions::filters::udp::udp_proxy::v3 as udp_proxy;

// Dynamic forward proxy, common parts.
/// Dynamic forward proxy, cluster.
pub use envoy_types::pb::envoy::extensions::clusters::dynamic_forward_proxy::v3 as dynamic_forward_proxy_cluster;
/// DNS cache of the dynamic forward proxy.
pub use envoy_types::pb::envoy::extensions::common::dynamic_forward_proxy::v3 as dynamic_forward_proxy;

// Telemetry.
/// Access log to a file.
pub use envoy_types::pb::envoy::extensions::access_loggers::file::v3 as file_access_log;
/// Access log filter by CEL expression.
pub use envoy_types::pb::envoy::extensions::access_loggers::filters::cel::v3 as access_log_filters_cel;
/// Access log over gRPC.
pub use envoy_types::pb::envoy::extensions::access_loggers::grpc::v3 as grpc_access_log;
/// Access log over OpenTelemetry.
pub use envoy_types::pb::envoy::extensions::access_loggers::open_telemetry::v3 as open_telemetry;
/// Access log to standard output or error.
pub use envoy_types::pb::envoy::extensions::access_loggers::stream::v3 as stream_access_log;
/// Format command for CEL expressions.
pub use envoy_types::pb::envoy::extensions::formatter::cel::v3 as formatter_cel;
/// Format command for metadata.
pub use envoy_types::pb::envoy::extensions::formatter::metadata::v3 as formatter_metadata;
/// Format command for paths without query.
pub use envoy_types::pb::envoy::extensions::formatter::req_without_query::v3 as formatter_req_without_query;
/// OpenTelemetry resource detectors.
pub use envoy_types::pb::envoy::extensions::tracers::opentelemetry::resource_detectors::v3 as otel_resource_detectors;
/// OpenTelemetry samplers.
pub use envoy_types::pb::envoy::extensions::tracers::opentelemetry::samplers::v3 as otel_samplers;
/// OpenTelemetry key-value lists.
pub use envoy_types::pb::opentelemetry::proto::common::v1 as otel_common;

// Matching inputs, principals and load balancing policies.
/// Filters wrapped in a match tree.
pub use envoy_types::pb::envoy::extensions::common::matching::v3 as matching;
/// Client-side weighted round robin policy.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::client_side_weighted_round_robin::v3 as lb_client_side_wrr;
/// Shared parts of load balancing policies.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::common::v3 as lb_common;
/// Least request policy.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::least_request::v3 as lb_least_request;
/// Maglev policy.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::maglev::v3 as lb_maglev;
/// Policy that honours a host chosen beforehand.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::override_host::v3 as lb_override_host;
/// Random policy.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::random::v3 as lb_random;
/// Ring hash policy.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::ring_hash::v3 as lb_ring_hash;
/// Round robin policy.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::round_robin::v3 as lb_round_robin;
/// Locality-weighted policy.
pub use envoy_types::pb::envoy::extensions::load_balancing_policies::wrr_locality::v3 as lb_wrr_locality;
/// Match inputs read from the connection.
pub use envoy_types::pb::envoy::extensions::matching::common_inputs::network::v3 as matching_network;
/// Match inputs read from the peer certificate.
pub use envoy_types::pb::envoy::extensions::matching::common_inputs::ssl::v3 as matching_ssl;
/// Match inputs that pick a transport socket.
pub use envoy_types::pb::envoy::extensions::matching::common_inputs::transport_socket::v3 as matching_transport_socket;
/// Matcher of address ranges.
pub use envoy_types::pb::envoy::extensions::matching::input_matchers::ip::v3 as matching_ip;
/// Matcher of metadata.
pub use envoy_types::pb::envoy::extensions::matching::input_matchers::metadata::v3 as matching_metadata;
/// Matcher of a runtime fraction.
pub use envoy_types::pb::envoy::extensions::matching::input_matchers::runtime_fraction::v3 as matching_runtime_fraction;
/// RBAC audit log to a stream.
pub use envoy_types::pb::envoy::extensions::rbac::audit_loggers::stream::v3 as rbac_audit_stream;
/// RBAC matcher of the upstream address.
pub use envoy_types::pb::envoy::extensions::rbac::matchers::upstream_ip_port::v3 as rbac_upstream_ip_port;
/// RBAC principal of any verified peer.
pub use envoy_types::pb::envoy::extensions::rbac::principals::mtls_authenticated::v3 as rbac_mtls_authenticated;
