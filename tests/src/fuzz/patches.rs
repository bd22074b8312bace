//! Values of EnvoyFilter patches: fit for some kind of resource, for none, or for one that Envoy refuses.

use proptest::prelude::*;
use serde_json::{Value, json};

pub(super) fn value() -> BoxedStrategy<Value> {
    prop::sample::select(values()).boxed()
}

fn values() -> Vec<Value> {
    let router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router";
    let lua = "type.googleapis.com/envoy.extensions.filters.http.lua.v3.Lua";
    let hcm = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager";
    let tcp = "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy";
    vec![
        json!({}),
        json!({"name": "patched"}),
        json!({"name": ""}),
        json!({"name": "envoy.filters.http.lua", "typedConfig": {"@type": lua, "defaultSourceCode": {"inlineString": "function envoy_on_request(h) end"}}}),
        json!({"name": "envoy.filters.http.lua", "typed_config": {"@type": lua, "default_source_code": {"inline_string": "this is no lua ((("}}}),
        json!({"name": "envoy.filters.http.router", "typedConfig": {"@type": router}}),
        json!({"name": "envoy.filters.http.nothing"}),
        json!({"name": "envoy.filters.http.unknown", "typedConfig": {"@type": "type.googleapis.com/no.such.Message"}}),
        json!({"name": "envoy.filters.network.http_connection_manager", "typedConfig": {"@type": hcm, "xffNumTrustedHops": 2}}),
        json!({"typedConfig": {"@type": hcm, "streamIdleTimeout": "-5s"}}),
        json!({"typedConfig": {"@type": hcm, "commonHttpProtocolOptions": {"idleTimeout": "30s"}, "statPrefix": ""}}),
        json!({"typedConfig": {"@type": tcp, "idleTimeout": "30s"}}),
        json!({"name": "envoy.filters.network.tcp_proxy", "typedConfig": {"@type": tcp, "statPrefix": "x", "cluster": "absent"}}),
        json!({"name": "envoy.filters.network.tcp_proxy", "typedConfig": {"@type": tcp}}),
        json!({"connectTimeout": "5s", "lbPolicy": "RANDOM"}),
        json!({"connect_timeout": "-5s"}),
        json!({"lbPolicy": "RING_HASH", "maglevLbConfig": {"tableSize": 1}}),
        json!({"type": "STRICT_DNS"}),
        json!({"type": "STATIC", "name": "added", "connectTimeout": "1s", "loadAssignment": {"clusterName": "added", "endpoints": [{"lbEndpoints": [{"endpoint": {"address": {"socketAddress": {"address": "127.0.0.1", "portValue": 9}}}}]}]}}),
        json!({"name": "added", "type": "STRICT_DNS", "loadAssignment": {"clusterName": "added", "endpoints": [{"lbEndpoints": [{"endpoint": {"address": {"socketAddress": {"address": "", "portValue": 99999}}}}]}]}}),
        json!({"name": "virtualOutbound", "address": {"socketAddress": {"address": "0.0.0.0", "portValue": 15001}}}),
        json!({"name": "added", "address": {"socketAddress": {"address": "127.0.0.1", "portValue": 7777}}, "filterChains": [{"filters": [{"name": "envoy.filters.network.tcp_proxy", "typedConfig": {"@type": tcp, "statPrefix": "x", "cluster": "BlackHoleCluster"}}]}]}),
        json!({"name": "added", "address": {"socketAddress": {"address": "127.0.0.1", "portValue": 7778}}}),
        json!({"perConnectionBufferLimitBytes": 1024, "listenerFiltersTimeout": "1s"}),
        json!({"listenerFilters": [{"name": "envoy.filters.listener.absent"}]}),
        json!({"filterChainMatch": {"serverNames": ["patched.example.com"]}}),
        json!({"filterChainMatch": {"prefixRanges": [{"addressPrefix": "nonsense", "prefixLen": 99}]}}),
        json!({"filters": [{"name": "x"}]}),
        json!({"domains": ["*"]}),
        json!({"name": "host", "domains": ["patched.example.com"], "routes": [{"match": {"prefix": "/"}, "directResponse": {"status": 200}}]}),
        json!({"name": "host", "domains": ["*.a.*"], "routes": [{"match": {"prefix": "/"}}]}),
        json!({"name": "host"}),
        json!({"match": {"prefix": "/x"}, "route": {"cluster": "BlackHoleCluster"}}),
        json!({"match": {"safeRegex": {"regex": "[[[((("}}, "route": {"cluster": "BlackHoleCluster"}}),
        json!({"match": {"prefix": "/x"}}),
        json!({"route": {"timeout": "5s", "retryPolicy": {"retryBackOff": {"baseInterval": "0s"}}}}),
        json!({"typedPerFilterConfig": {"envoy.filters.http.lua": {"@type": "type.googleapis.com/envoy.extensions.filters.http.lua.v3.LuaPerRoute", "disabled": true}}}),
        json!({"responseHeadersToAdd": [{"header": {"key": "x", "value": "%NONSENSE%"}}]}),
        json!({"requestHeadersToAdd": [{"header": {"key": "", "value": "a"}}]}),
        json!({"transportSocket": {"name": "envoy.transport_sockets.tls", "typedConfig": {"@type": "type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.UpstreamTlsContext", "sni": "patched"}}}),
        json!({"transportSocket": {"name": "envoy.transport_sockets.raw_buffer"}}),
        json!({"noSuchField": 1, "circuitBreakers": {"thresholds": [{"maxConnections": 1}]}}),
        json!({"maxRequestsPerConnection": "many"}),
        json!({"virtualHosts": [{"name": "a", "domains": ["*"]}, {"name": "b", "domains": ["*"]}]}),
    ]
}
