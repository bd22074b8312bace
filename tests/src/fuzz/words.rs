//! Words by field: hosts, ports, subsets, names that often refer to each other and sometimes to nothing, and now and
//! then a value that no one should write.

use proptest::prelude::*;
use prost_reflect::FieldDescriptor;
use serde_json::{Value, json};

/// Fields without which an object says next to nothing.
const NEEDED: &[&str] = &[
    "hosts",
    "host",
    "http",
    "route",
    "destination",
    "servers",
    "port",
    "number",
    "ports",
    "name",
    "protocol",
    "config_patches",
    "apply_to",
    "patch",
    "value",
    "operation",
    "url",
    "issuer",
    "subsets",
    "egress",
    "rules",
    "address",
    "match_type",
    "providers",
    "lb_policy",
    "resolution",
    "jwt_rules",
    "regex",
    "match",
];

pub(super) fn is_needed(field: &FieldDescriptor) -> bool {
    NEEDED.contains(&field.name())
}

/// How often a field is there.
pub(super) fn likelihood(field: &FieldDescriptor) -> f64 {
    match field.name() {
        "match" => 0.5,
        // Selectors that fit nothing would make most objects idle.
        "selector" | "workload_selector" | "target_refs" | "target_ref" | "export_to" => 0.15,
        "gateways" => 0.5,
        _ if is_needed(field) => 0.93,
        _ => 0.25,
    }
}

/// A few plain values, and seldom an odd one.
fn pick(plain: &[&str], odd: &[&str]) -> BoxedStrategy<Value> {
    let values = |list: &[&str]| list.iter().map(|text| json!(text)).collect::<Vec<Value>>();
    if odd.is_empty() {
        return prop::sample::select(values(plain)).boxed();
    }
    prop_oneof![12 => prop::sample::select(values(plain)), 1 => prop::sample::select(values(odd))].boxed()
}

const HOSTS: &[&str] = &[
    "reviews",
    "ratings",
    "reviews.shop.svc.cluster.local",
    "ratings.shop.svc.cluster.local",
    "mongo",
    "database.shop.svc.cluster.local",
    "api.example.com",
    "www.example.com",
    "*.example.com",
    "*",
    "absent",
];
const ODD_HOSTS: &[&str] = &[
    "",
    "*.",
    "*.com",
    "10.0.0.1",
    "::1",
    "a b",
    "UPPER.example.com",
    "a..b",
    "*foo.bar",
    "host:80",
    "/",
    "ü.example.com",
];
const NAMESPACES: &[&str] = &["shop", "istio-system", "other"];
const ODD_TEXTS: &[&str] =
    &["", " ", "a\nb", "a\0b", "[[[(((", "%", "%BAD%", "%%", "{", "ü🦀", "$1", "*", "/", "a,b"];
const REGEXES: &[&str] = &[".*", "a.*", "^/v[0-9]+$", "(a|b)c", "[a-z]{1,5}"];
const ODD_REGEXES: &[&str] = &[
    "[[[(((",
    "",
    "*",
    "(?=a)",
    "(?P<n>a)(?P<n>b)",
    r"\p{Greek}",
    r"\w{1000}{1000}",
    "(?i)a",
    r"\1",
    "(a{0,900}){0,900}",
    "(?<n>a)",
];

/// Text for a field.
pub(super) fn text(field: &FieldDescriptor) -> BoxedStrategy<Value> {
    let owner = field.parent_message().name().to_owned();
    match (owner.as_str(), field.name()) {
        ("IstioEgressListener", "hosts") => pick(
            &["./*", "*/*", "shop/*", "istio-system/*", "*/api.example.com", "other/absent"],
            &["", "*", "a", "~/*", "/"],
        ),
        ("Server", "hosts") => pick(
            &[
                "*",
                "shop/*",
                "*.example.com",
                "api.example.com",
                "./api.example.com",
                "*/www.example.com",
                "*.local",
            ],
            ODD_HOSTS,
        ),
        (_, "host" | "hosts" | "not_hosts" | "authority" | "target_host" | "service" | "domain_name") => {
            pick(HOSTS, ODD_HOSTS)
        }
        (_, "sni" | "sni_hosts") => {
            pick(&["api.example.com", "*.example.com", "www.example.com", "*"], ODD_HOSTS)
        }
        (_, "gateways" | "gateway") => pick(
            &["mesh", "g0", "g1", "istio-system/g0", "shop/g1", "shop/g0"],
            &["", "/", "absent", "a/b/c"],
        ),
        ("Delegate", "name") => pick(&["n0", "n1", "absent"], &[""]),
        (_, "subset") => pick(&["v1", "v2", "absent"], &["", "a|b", "ü"]),
        ("Subset", "name") => pick(&["v1", "v2", "v3"], &["", "v1|x", "a b"]),
        ("Port" | "ServicePort" | "SidecarPort", "name") => {
            pick(&["http", "tcp", "grpc", "https", "tls", "p0"], &["", "http-\n", "ü"])
        }
        ("Port" | "ServicePort" | "SidecarPort", "protocol") => pick(
            &[
                "HTTP",
                "HTTPS",
                "GRPC",
                "HTTP2",
                "TCP",
                "TLS",
                "MONGO",
                "MYSQL",
                "REDIS",
                "UDP",
                "GRPC-WEB",
                "HTTP_PROXY",
            ],
            &["", "nonsense"],
        ),
        (_, "bind") => pick(
            &["10.9.9.9", "0.0.0.0", "127.0.0.1", "::1"],
            &["", "unix:///tmp/socket", "not an address", "@abstract", "300.1.1.1"],
        ),
        (_, "default_endpoint") => pick(
            &["127.0.0.1:8080", "0.0.0.0:9090", "unix:///tmp/app"],
            &["", "10.0.0.1:99", "127.0.0.1:", "[::1]:80", "a:b:c"],
        ),
        ("WorkloadEntry", "address") => pick(
            &["10.1.0.7", "10.1.0.8", "vm.example.com"],
            &["", "unix:///tmp/a", "::1", "300.1.1.1", "fd00::1"],
        ),
        (_, "addresses") => pick(
            &["240.240.0.9", "10.5.0.0/16", "10.5.5.5", "fd00::9"],
            &["", "10.0.0.0/99", "not an address", "0.0.0.0/0", "300.1.1.1"],
        ),
        (
            _,
            "destination_subnets"
            | "source_subnet"
            | "ip_blocks"
            | "not_ip_blocks"
            | "remote_ip_blocks"
            | "not_remote_ip_blocks",
        ) => pick(
            &["10.0.0.0/8", "10.1.0.1", "fd00::/8"],
            &["", "10.0.0.0/99", "nonsense", "0.0.0.0/0", "::/0"],
        ),
        (_, "namespace" | "source_namespace" | "namespaces" | "not_namespaces") => {
            pick(NAMESPACES, &["", "*", "sho*"])
        }
        (_, "export_to") => pick(&["*", ".", "shop", "other"], &["", "~", "a b"]),
        (_, "regex") => pick(REGEXES, ODD_REGEXES),
        ("RegexRewrite", "match") => pick(REGEXES, ODD_REGEXES),
        ("RegexRewrite", "rewrite") => pick(&["/x", r"/\1", r"\0"], &["", r"\9", r"\", "a\nb"]),
        (_, "expression") => {
            pick(&["response.code >= 400", "true"], &["", "((", "no.such.attribute == 1", "1 + "])
        }
        (_, "proxy_version") => pick(&["^1\\.30.*", ".*"], ODD_REGEXES),
        (_, "uri" | "path" | "prefix" | "exact" | "suffix" | "paths" | "not_paths") => pick(
            &["/", "/v1", "/v1/", "value", "/a/{*}", "/{**}"],
            &["", "*", "/a?b#c", "a b", "/\n", "%PREFIX()%", "/{**}/{**}", "/a*b"],
        ),
        (_, "retry_on") => {
            pick(&["5xx", "gateway-error,503", "connect-failure,429"], &["", ",", "nonsense", "999", "5xx,,"])
        }
        (_, "grpc_status") => pick(&["UNAVAILABLE", "NOT_FOUND"], &["", "NONSENSE", "14"]),
        (_, "http_header_name" | "http_query_parameter_name" | "header" | "output_payload_to_header") => {
            pick(&["x-user", "x-other"], ODD_TEXTS)
        }
        (
            "HTTPCookie" | "JWTHeader" | "RequestHeader" | "HTTPHeader" | "Environment" | "Attribute",
            "name",
        ) => pick(&["x-user", "session"], ODD_TEXTS),
        (_, "remove" | "allow_headers" | "expose_headers") => {
            pick(&["x-user", "x-other"], &["", ":path", "host", "a b", "a\nb"])
        }
        (_, "allow_methods" | "methods" | "not_methods") => pick(&["GET", "POST", "*"], &["", "a b"]),
        (_, "allow_origin" | "audiences") => pick(&["*", "https://example.com"], ODD_TEXTS),
        ("ProviderRef" | "ExtensionProvider", "name") => {
            pick(&["zipkin", "otel", "als", "log", "prometheus", "authz-http", "authz-grpc", "absent"], &[""])
        }
        (_, "issuer") => pick(&["https://issuer.example.com", "testing@secure.istio.io"], &["", "a\nb"]),
        (_, "jwks") => pick(
            &[r#"{"keys":[{"kty":"oct","k":"AAAA","kid":"1"}]}"#, r#"{"keys":[]}"#],
            &["", "nonsense", "{}", "[1]"],
        ),
        (_, "jwks_uri") => pick(
            &["https://issuer.example.com/jwks", "http://reviews.shop.svc.cluster.local:9080/jwks"],
            &["", "nonsense", "ftp://a", "https://"],
        ),
        ("Condition", "key") => pick(
            &[
                "request.headers[x-user]",
                "source.ip",
                "remote.ip",
                "source.namespace",
                "source.principal",
                "destination.ip",
                "destination.port",
                "connection.sni",
                "request.auth.claims[iss]",
                "request.auth.audiences",
                "experimental.envoy.filters.a.b[c]",
            ],
            &["", "nonsense", "request.headers[]", "request.auth.claims"],
        ),
        ("Condition", "values" | "not_values") => {
            pick(&["a", "10.0.0.0/8", "shop", "8080", "*", "a*"], ODD_TEXTS)
        }
        ("Operation", "ports" | "not_ports") => pick(&["80", "9080"], &["", "0", "65536", "-1", "x"]),
        (_, "principals" | "not_principals" | "request_principals" | "not_request_principals") => {
            pick(&["cluster.local/ns/shop/sa/reviews", "*", "a/*", "*/sa/reviews", "a/b"], ODD_TEXTS)
        }
        (_, "service_accounts" | "not_service_accounts" | "serviceAccount" | "service_account") => {
            pick(&["reviews", "shop/reviews"], &["", "a/b/c", "*"])
        }
        (_, "url") => pick(
            &[
                "oci://registry.example.com/filter:1",
                "https://example.com/filter.wasm",
                "file:///etc/filter.wasm",
            ],
            &["", "nonsense", "ftp://x"],
        ),
        (_, "sha256" | "verify_certificate_hash") => {
            pick(&["9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"], &["", "abc"])
        }
        (_, "verify_certificate_spki") => {
            pick(&["NvqYIYSbgK2vCJpQhObf77vv+bQWtc5ek5RIOwPiC9A="], &["", "abc"])
        }
        (_, "cipher_suites") => pick(
            &["ECDHE-RSA-AES128-GCM-SHA256", "AES256-GCM-SHA384"],
            &["", "NONSENSE", "TLS_AES_128_GCM_SHA256"],
        ),
        (_, "credential_name" | "credential_names" | "ca_cert_credential_name") => pick(
            &["cert", "kubernetes://cert", "configmap://ca"],
            &["", "sds://x", "a b", "builtin://", "-cacert"],
        ),
        (_, "ca_certificates" | "client_certificate" | "private_key" | "server_certificate" | "ca_crl") => {
            pick(&["/etc/certs/file.pem"], &["", "system", "a~b"])
        }
        (_, "locality" | "from") => pick(&["r1/z1/s1", "r1/*", "r1", "*"], &["", "//", "a/b/c/d"]),
        (_, "failover_priority") => {
            pick(&["topology.kubernetes.io/region", "app=reviews", "version"], &["", "=", "a=b=c"])
        }
        (_, "inline_code") => pick(&["function envoy_on_request(h) end"], &["", "this is no lua ((("]),
        (_, "listener_filter") => pick(&["envoy.filters.listener.tls_inspector"], &[""]),
        ("FilterMatch" | "SubFilterMatch", "name") => pick(
            &[
                "envoy.filters.network.http_connection_manager",
                "envoy.filters.network.tcp_proxy",
                "envoy.filters.http.router",
                "envoy.filters.http.cors",
            ],
            &["", "absent"],
        ),
        (_, "name") => {
            pick(&["n0", "n1", "allow_any", "virtualInbound", "virtualOutbound", "0.0.0.0_80"], ODD_TEXTS)
        }
        _ => pick(&["a", "x-user", "value"], ODD_TEXTS),
    }
}

/// Keys of a map field.
pub(super) fn key(field: &FieldDescriptor) -> BoxedStrategy<String> {
    let pool: &[&str] = match field.name() {
        "labels" | "match_labels" | "selector" | "source_labels" => &["app", "version", "istio"],
        "port_level_mtls" => &["8080", "9080", "0", "70000"],
        "ports" => &["http", "tcp", "grpc"],
        "to" => &["r1/z1/*", "r2/*", "*"],
        "headers" | "without_headers" => &[
            "x-user",
            ":path",
            "uri",
            "@request.auth.claims.a",
            "@request.auth.claims[a][b]",
            "",
            "a b",
            "X-Upper",
        ],
        "set" | "add" => &["x-user", "x-other", "host", ":authority", ":path", "", "a b", "a\nb", "%A%"],
        _ => &["a", "x-user", "istio.mesh_id", ""],
    };
    prop::sample::select(pool.iter().map(|key| (*key).to_owned()).collect::<Vec<_>>()).boxed()
}

/// Metadata of an object.
pub(super) fn meta() -> impl Strategy<Value = Value> {
    let name = prop::sample::select(vec!["n0", "n1", "n2", "g0", "g1", "default"]);
    let namespace =
        prop::sample::select(vec!["shop", "shop", "shop", "istio-system", "istio-system", "other"]);
    (name, namespace, 0..60_u32).prop_map(|(name, namespace, second)| {
        json!({"name": name, "namespace": namespace,
            "creationTimestamp": format!("2026-01-02T00:00:{second:02}Z")})
    })
}

fn numbers(plain: &[i64], odd: &[i64]) -> BoxedStrategy<Value> {
    let values = |list: &[i64]| list.iter().map(|number| json!(number)).collect::<Vec<Value>>();
    prop_oneof![10 => prop::sample::select(values(plain)), 1 => prop::sample::select(values(odd))].boxed()
}

/// A whole number for a field.
pub(super) fn number(field: &FieldDescriptor, is_signed: bool) -> BoxedStrategy<Value> {
    let is_port =
        field.name().ends_with("port") || matches!(field.name(), "number" | "port_number" | "ports");
    let (plain, odd): (&[i64], &[i64]) = match field.name() {
        _ if is_port => (
            &[80, 443, 9080, 9000, 8080, 15443],
            &[0, 1, 22, 15001, 15006, 15021, 65535, 65536, 4_294_967_295],
        ),
        "weight" => (&[0, 1, 50, 100], &[2_147_483_647, 1000]),
        "status" | "http_status" => (&[200, 404, 503], &[0, 99, 199, 600, 999, 4_000_000]),
        "redirect_code" => (&[301, 302, 303, 307, 308], &[0, 200, 399]),
        "table_size" => (&[65_537, 11], &[0, 1, 100, 5_000_011, 6_000_000]),
        "minimum_ring_size" => (&[16, 1024], &[0, 8_388_608, 8_388_609, 9_007_199_254_740_991]),
        _ => (&[0, 1, 2, 5, 10, 100], &[1_000_000, 2_147_483_647]),
    };
    if is_signed && !is_port {
        let below: Vec<Value> = vec![json!(-1), json!(-2_147_483_648_i64)];
        return prop_oneof![15 => numbers(plain, odd), 1 => prop::sample::select(below)].boxed();
    }
    numbers(plain, odd)
}

/// A number that need not be whole, mostly a percentage.
pub(super) fn fraction() -> BoxedStrategy<Value> {
    let plain: Vec<Value> = [0.0, 0.5, 1.0, 10.0, 25.5, 100.0].map(|number| json!(number)).to_vec();
    let odd: Vec<Value> = [-1.0, 100.1, 0.000_000_1, 1e9, 1e308].map(|number| json!(number)).to_vec();
    prop_oneof![10 => prop::sample::select(plain), 1 => prop::sample::select(odd)].boxed()
}

/// A duration.
pub(super) fn duration() -> BoxedStrategy<Value> {
    pick(
        &["1s", "0.5s", "10s", "300s", "0.001s"],
        &["0s", "-1s", "0.000000001s", "0.0001s", "315576000000s", "-0.5s", "9223372036s", "86400s"],
    )
}
