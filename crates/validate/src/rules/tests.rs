//! Rule by rule: an object that is in order, what is changed in it, and the field that is then named.

use config::Kind;
use serde_json::{Value, json};

use crate::{Severity, check};

/// One kind with a specification in order.
struct Table {
    kind: Kind,
    good: Value,
}

impl Table {
    fn new(kind: Kind, good: Value) -> Self {
        let table = Self { kind, good };
        assert_eq!(table.said(&[]), "", "the specification to begin with is in order");
        table
    }

    /// What is said first when these members are set: `E field`, `W field`, or nothing.
    fn said(&self, changes: &[(&str, Value)]) -> String {
        let mut spec = self.good.clone();
        for (path, value) in changes {
            set(&mut spec, path, value.clone());
        }
        let version = self.kind.versions()[0];
        let object = json!({"apiVersion": format!("{}/{version}", self.kind.group()), "kind": self.kind.name(),
            "metadata": {"name": "a", "namespace": "n"}, "spec": spec});
        let mut findings = check(&object).unwrap_or_else(|rejection| panic!("{changes:?}: {rejection:?}"));
        if self.kind == Kind::EnvoyFilter {
            findings.remove(0);
        }
        findings.sort_by_key(|finding| std::cmp::Reverse(finding.severity));
        findings.first().map_or_else(String::new, |finding| {
            let letter = if finding.severity == Severity::Error { "E" } else { "W" };
            format!("{letter} {}", finding.path)
        })
    }

    /// Rows: where, the value to put there, and what is then said of a field below `spec`.
    #[track_caller]
    fn rows(&self, rows: &[(&str, Value, &str)]) {
        for (path, value, expected) in rows {
            let expected = match expected.split_once(' ') {
                Some((letter, "")) => format!("{letter} spec"),
                Some((letter, field)) => format!("{letter} spec.{field}"),
                None => String::new(),
            };
            assert_eq!(self.said(&[(path, value.clone())]), expected, "{path} = {value}");
        }
    }
}

/// Sets what a path such as `a.0.b` leads to; null takes it out.
fn set(spec: &mut Value, path: &str, value: Value) {
    let (parent, name) = path.rsplit_once('.').unwrap_or(("", path));
    let mut at = spec;
    for step in parent.split('.').filter(|step| !step.is_empty()) {
        at = match step.parse::<usize>() {
            Ok(index) => &mut at[index],
            Err(_) => &mut at[step],
        };
    }
    match (name.parse::<usize>(), value) {
        (Ok(index), value) => at[index] = value,
        (Err(_), Value::Null) => drop(at.as_object_mut().map(|members| members.remove(name))),
        (Err(_), value) => at[name] = value,
    }
}

#[test]
fn gateways() {
    let server = json!({"port": {"number": 443, "name": "a", "protocol": "HTTPS"}, "hosts": ["a.test"],
        "tls": {"mode": "SIMPLE", "credentialName": "c"}});
    let table = Table::new(Kind::Gateway, json!({"servers": [server]}));
    let files = json!({"mode": "MUTUAL", "serverCertificate": "/c", "privateKey": "/k"});
    table.rows(&[
        ("servers", json!([]), "E servers"),
        ("servers.0.port", Value::Null, "E servers[0].port"),
        ("servers.0.port.name", json!(""), "E servers[0].port.name"),
        ("servers.0.port.number", json!(70000), "E servers[0].port.number"),
        ("servers.0.port.protocol", json!("SMTP"), "E servers[0].port.protocol"),
        ("servers.0.port.targetPort", json!(80), "E servers[0].port.targetPort"),
        ("servers.0.hosts", json!([]), "E servers[0].hosts"),
        ("servers.0.hosts.0", json!("short"), "E servers[0].hosts[0]"),
        ("servers.0.hosts.0", json!("*-part.test"), "E servers[0].hosts[0]"),
        ("servers.0.hosts.0", json!("ns/*.a.test"), ""),
        ("servers.0.hosts.0", json!("./*"), ""),
        ("servers.0.hosts.0", json!("n_s/a.test"), "E servers[0].hosts[0]"),
        ("servers.0.hosts.0", json!("10.0.0.1"), ""),
        ("servers.0.hosts.0", json!("a.123"), "E servers[0].hosts[0]"),
        ("servers.0.bind", json!("10.0.0.1"), ""),
        ("servers.0.bind", json!("host"), "E servers[0].bind"),
        ("servers.0.tls", Value::Null, "E servers[0].tls"),
        ("servers.0.port.protocol", json!("HTTP"), "E servers[0].tls"),
        ("servers.0.port.protocol", json!("TCP"), "E servers[0].tls"),
        ("servers.0.tls.httpsRedirect", json!(true), "W servers[0].tls.httpsRedirect"),
        ("servers.0.tls.mode", json!("MUTUAL"), ""),
        ("servers.0.tls.mode", json!("ISTIO_MUTUAL"), "E servers[0].tls.credentialName"),
        ("servers.0.tls.mode", json!("PASSTHROUGH"), "W servers[0].tls"),
        ("servers.0.tls.credentialName", json!(""), "E servers[0].tls.serverCertificate"),
        ("servers.0.tls.serverCertificate", json!("/c"), "E servers[0].tls"),
        ("servers.0.tls.credentialNames", json!(["d"]), "E servers[0].tls"),
        ("servers.0.tls.caCrl", json!("/crl"), "E servers[0].tls.caCrl"),
        ("servers.0.tls.credentialName", json!("configmap://n/c"), ""),
        ("servers.0.tls.credentialName", json!("configmap://other/c"), "E servers[0].tls.credentialName"),
        ("servers.0.tls.minProtocolVersion", json!("TLSV1_1"), "W servers[0].tls.minProtocolVersion"),
        ("servers.0.tls.cipherSuites", json!(["AES128-SHA", "AES128-SHA"]), "W servers[0].tls.cipherSuites"),
        ("servers.0.tls.cipherSuites", json!(["NONE-SUCH"]), "W servers[0].tls.cipherSuites"),
        ("servers.0.tls", files, "E servers[0].tls.caCertificates"),
    ]);
    let socket = json!({"port": {"number": 0, "name": "a", "protocol": "HTTP"}, "hosts": ["a.test"], "bind": "unix:///s"});
    Table::new(Kind::Gateway, json!({"servers": [socket]})).rows(&[
        ("servers.0.port.number", json!(80), "E servers[0].port.number"),
        ("servers.0.bind", json!("unix://s"), "E servers[0].bind"),
    ]);
    let other = json!({"port": {"number": 80, "name": "a", "protocol": "HTTP"}, "hosts": ["a.test"]});
    let twice = json!({"servers": [other, other]});
    let table = Table { kind: Kind::Gateway, good: twice };
    assert_eq!(table.said(&[]), "E spec.servers[1].port.name");
    assert_eq!(table.said(&[("servers.1.port.name", json!("b"))]), "");
}

#[test]
fn http_routes() {
    let route = json!({"match": [{"uri": {"prefix": "/"}}], "route": [{"destination": {"host": "a"}}]});
    let table = Table::new(Kind::VirtualService, json!({"hosts": ["a.test"], "http": [route]}));
    let big = |kilobytes: usize| json!({"status": 200, "body": {"string": "x".repeat(kilobytes * 1024)}});
    let answer = |value: Value| json!([{"directResponse": value}]);
    let mirror = json!([{"destination": {"host": "b"}, "percentage": {"value": 101}}]);
    table.rows(&[
        ("http", json!([]), "E "),
        ("http.0.route", json!([]), "E http[0]"),
        ("http.0.redirect", json!({"uri": "/"}), "E http[0].redirect"),
        ("http.0.route.0.weight", json!(-1), "E http[0].route[0].weight"),
        ("http.0.route.0.destination", Value::Null, "E http[0].route[0].destination"),
        ("http.0.route.0.destination.host", json!("*"), "E http[0].route[0].destination.host"),
        ("http.0.route.0.destination.subset", json!("a b"), "E http[0].route[0].destination.subset"),
        (
            "http.0.route.0.destination.port",
            json!({"number": 0}),
            "E http[0].route[0].destination.port.number",
        ),
        (
            "http.0.route.0.headers",
            json!({"request": {"set": {":path": "x"}}}),
            "E http[0].route[0].headers.request.set[\":path\"]",
        ),
        ("http.0.headers", json!({"request": {"remove": ["host"]}}), "E http[0].headers.request.remove[0]"),
        ("http.0.headers", json!({"request": {"set": {":authority": "x"}}}), ""),
        (
            "http.0.headers",
            json!({"response": {"set": {":authority": "x"}}}),
            "E http[0].headers.response.set[\":authority\"]",
        ),
        (
            "http.0.headers",
            json!({"request": {"set": {"x": "%BAD"}}}),
            "E http[0].headers.request.set[\"x\"]",
        ),
        ("http.0.match.0.uri", json!({"prefix": ""}), ""),
        ("http.0.match.0.uri", json!({"regex": ""}), "E http[0].match[0].uri.regex"),
        ("http.0.match.0.uri", json!({"regex": "("}), "E http[0].match[0].uri.regex"),
        ("http.0.match.0.uri", json!({"regex": "a".repeat(1025)}), "E http[0].match[0].uri.regex"),
        ("http.0.match.0.method", json!({"prefix": ""}), "E http[0].match[0].method.prefix"),
        ("http.0.match.0.headers", json!({"a b": {"exact": "x"}}), "E http[0].match[0].headers[\"a b\"]"),
        ("http.0.match.0.headers", json!({"x": {"regex": "*"}}), "E http[0].match[0].headers[\"x\"].regex"),
        ("http.0.match.0.withoutHeaders", json!({"x": {"regex": "*"}}), ""),
        (
            "http.0.match.0.headers",
            json!({"@request.auth.claims.a": {"exact": "x"}}),
            "E http[0].match[0].headers[\"@request.auth.claims.a\"]",
        ),
        (
            "http.0.match.0.queryParams",
            json!({"x": {"prefix": ""}}),
            "E http[0].match[0].queryParams[\"x\"].prefix",
        ),
        ("http.0.match.0.port", json!(70000), "E http[0].match[0].port"),
        ("http.0.match.0.sourceNamespace", json!("a.b"), "E http[0].match[0].sourceNamespace"),
        ("http.0.match.0.gateways", json!(["a/b/c"]), "E http[0].match[0].gateways[0]"),
        ("http.0.timeout", json!("0.5ms"), "E http[0].timeout"),
        ("http.0.rewrite", json!({}), "E http[0].rewrite"),
        (
            "http.0.rewrite",
            json!({"uri": "/", "uriRegexRewrite": {"match": "a", "rewrite": "b"}}),
            "E http[0].rewrite",
        ),
        ("http.0.rewrite", json!({"uriRegexRewrite": {"match": "("}}), "E http[0].rewrite.uriRegexRewrite"),
        ("http.0.retries", json!({"attempts": -1}), "E http[0].retries.attempts"),
        ("http.0.retries", json!({"attempts": 0, "retryOn": "5xx"}), "E http[0].retries"),
        ("http.0.retries", json!({"attempts": 1, "retryOn": "5xx,503,reset"}), ""),
        ("http.0.retries", json!({"attempts": 1, "retryOn": "never"}), "E http[0].retries.retryOn"),
        ("http.0.fault", json!({}), "E http[0].fault"),
        ("http.0.fault", json!({"abort": {"httpStatus": 700}}), "E http[0].fault.abort.httpStatus"),
        ("http.0.fault", json!({"abort": {"grpcStatus": "NOPE"}}), "E http[0].fault.abort.grpcStatus"),
        ("http.0.fault", json!({"abort": {"http2Error": "x"}}), "E http[0].fault.abort.http2Error"),
        (
            "http.0.fault",
            json!({"abort": {"httpStatus": 500, "percentage": {"value": 101}}}),
            "E http[0].fault.abort.percentage",
        ),
        (
            "http.0.fault",
            json!({"delay": {"exponentialDelay": "1s"}}),
            "E http[0].fault.delay.exponentialDelay",
        ),
        ("http.0.corsPolicy", json!({"allowMethods": ["FETCH"]}), "E http[0].corsPolicy.allowMethods[0]"),
        ("http.0.corsPolicy", json!({"allowMethods": ["*"]}), ""),
        ("http.0.corsPolicy", json!({"maxAge": "1.5s"}), "E http[0].corsPolicy.maxAge"),
        (
            "http.0.corsPolicy",
            json!({"allowOrigins": [{"exact": ""}]}),
            "E http[0].corsPolicy.allowOrigins[0]",
        ),
        ("http.0.mirrors", mirror, "E http[0].mirrors[0].percentage"),
        ("http.0.mirrorPercent", json!(10), "W http[0].mirrorPercent"),
        ("http.0.mirrorPercentage", json!({"value": -1}), "E http[0].mirrorPercentage"),
        ("http", json!([{"redirect": {}}]), "E http[0].redirect"),
        ("http", json!([{"redirect": {"uri": "/", "redirectCode": 200}}]), "E http[0].redirect.redirectCode"),
        ("http", json!([{"redirect": {"scheme": "ftp"}}]), "E http[0].redirect.scheme"),
        ("http", json!([{"redirect": {"derivePort": "FROM_REQUEST_PORT"}}]), ""),
        (
            "http",
            json!([{"redirect": {"uri": "/"}, "fault": {"abort": {"httpStatus": 500}}}]),
            "E http[0].fault",
        ),
        ("http", answer(json!({"status": 100})), "E http[0].directResponse.status"),
        ("http", answer(big(101)), "W http[0].directResponse.body"),
        ("http", answer(big(1025)), "E http[0].directResponse.body"),
    ]);
    let both = [
        ("http.0.mirror", json!({"host": "b"})),
        ("http.0.mirrors", json!([{"destination": {"host": "c"}}])),
    ];
    assert_eq!(table.said(&both), "E spec.http[0].mirrors");
    let authority = [
        ("http.0.rewrite", json!({"authority": "x"})),
        ("http.0.headers", json!({"request": {"set": {"host": "y"}}})),
    ];
    assert_eq!(table.said(&authority), "E spec.http[0].headers.request.set[\"host\"]");
    let none = json!([{"destination": {"host": "a"}, "weight": 0}, {"destination": {"host": "b"}}]);
    assert_eq!(table.said(&[("http.0.route", none)]), "E spec.http[0].route");
}

#[test]
fn virtual_services_and_their_delegates() {
    let route = json!({"route": [{"destination": {"host": "a"}}]});
    let table = Table::new(Kind::VirtualService, json!({"hosts": ["a.test"], "http": [route]}));
    let tcp = |condition: Value| json!([{"match": [condition], "route": [{"destination": {"host": "a"}}]}]);
    table.rows(&[
        ("hosts", json!(["a.test", "A.test"]), "E hosts[1]"),
        ("hosts", json!(["*.test", "a.test"]), "E hosts[1]"),
        ("hosts", json!(["*"]), "E hosts[0]"),
        ("hosts", json!(["10.0.0.1"]), ""),
        ("hosts", json!(["a_b"]), "E hosts[0]"),
        ("gateways", json!(["a/b/c"]), "E gateways[0]"),
        ("gateways", json!(["g.ns.svc.cluster.local"]), "W gateways[0]"),
        ("exportTo", json!([".", "n"]), "E exportTo[1]"),
        ("exportTo", json!(["*", "x"]), "E exportTo"),
        ("exportTo", json!(["~"]), "E exportTo[0]"),
        ("tcp", json!([{"route": []}]), "E tcp[0].route"),
        (
            "tcp",
            tcp(json!({"destinationSubnets": ["10.0.0.0/33"]})),
            "E tcp[0].match[0].destinationSubnets[0]",
        ),
        ("tcp", tcp(json!({"destinationSubnets": ["10.0.0.0/8"]})), ""),
        ("tls", json!([{"route": [{"destination": {"host": "a"}}]}]), "E tls[0].match"),
        ("tls", tcp(json!({"sniHosts": []})), "E tls[0].match[0].sniHosts"),
        ("tls", tcp(json!({"sniHosts": ["b.test"]})), "E tls[0].match[0].sniHosts[0]"),
        ("tls", tcp(json!({"sniHosts": ["a.test"]})), ""),
    ]);
    let root =
        Table::new(Kind::VirtualService, json!({"hosts": ["a.test"], "http": [{"delegate": {"name": "d"}}]}));
    root.rows(&[
        ("http.0.route", json!([{"destination": {"host": "a"}}]), "E http[0].route"),
        ("http.0.redirect", json!({"uri": "/"}), "E http[0].redirect"),
        // What real installations have, though it has no effect.
        ("http.0.directResponse", json!({"status": 200}), ""),
        ("http.0.match", json!([{"uri": {"regex": "/a.*"}}]), ""),
    ]);
    let delegate = Table::new(Kind::VirtualService, json!({"http": [route]}));
    delegate.rows(&[
        ("gateways", json!(["g"]), "E gateways"),
        ("http.0.delegate", json!({"name": "d"}), "E http[0].delegate"),
        ("http.0.match", json!([{"uri": {"regex": "/a.*"}}]), ""),
        ("tcp", json!([{"route": [{"destination": {"host": "a"}}]}]), "E tcp"),
    ]);
}

#[test]
fn destination_rules() {
    let policy = json!({"connectionPool": {"tcp": {"maxConnections": 1}}});
    let table = Table::new(Kind::DestinationRule, json!({"host": "a", "trafficPolicy": policy}));
    let at = "trafficPolicy";
    let tls = |value: Value| json!({"tls": value});
    let balancer = |value: Value| json!({"loadBalancer": value});
    let locality =
        |value: Value| json!({"loadBalancer": {"localityLbSetting": value}, "outlierDetection": {}});
    let ports = |value: Value| json!({"portLevelSettings": [value]});
    let distribute = |to: Value| locality(json!({"distribute": [{"from": "a", "to": to}]}));
    let hash = |value: Value| balancer(json!({"consistentHash": value}));
    table.rows(&[
        ("host", json!(""), "E host"),
        ("host", json!("a..b"), "E host"),
        (at, json!({}), "E trafficPolicy"),
        (at, json!({"tunnel": {"targetHost": "a.test", "targetPort": 1}, "proxyProtocol": {}}), "E trafficPolicy"),
        (at, json!({"tunnel": {"targetHost": "a.test", "targetPort": 1, "protocol": "GET"}}), "E trafficPolicy.tunnel.protocol"),
        (at, json!({"tunnel": {"targetHost": "a b", "targetPort": 1}}), "E trafficPolicy.tunnel.targetHost"),
        (at, json!({"tunnel": {"targetHost": "a.test"}}), "E trafficPolicy.tunnel.targetPort"),
        (at, json!({"connectionPool": {}}), "E trafficPolicy.connectionPool"),
        (at, json!({"connectionPool": {"tcp": {"maxConnections": -1}}}), "E trafficPolicy.connectionPool.tcp.maxConnections"),
        (at, json!({"connectionPool": {"tcp": {"idleTimeout": "0s"}}}), ""),
        (at, json!({"connectionPool": {"tcp": {"connectTimeout": "0s"}}}), "E trafficPolicy.connectionPool.tcp.connectTimeout"),
        (at, json!({"connectionPool": {"http": {"maxRetries": -1}}}), "E trafficPolicy.connectionPool.http.maxRetries"),
        (at, json!({"connectionPool": {"http": {"h2UpgradePolicy": "UPGRADE", "useClientProtocol": true}}}), "E trafficPolicy.connectionPool.http.useClientProtocol"),
        (at, json!({"outlierDetection": {"maxEjectionPercent": 101}}), "E trafficPolicy.outlierDetection.maxEjectionPercent"),
        (at, json!({"outlierDetection": {"consecutiveLocalOriginFailures": 1}}), "E trafficPolicy.outlierDetection.consecutiveLocalOriginFailures"),
        (at, json!({"outlierDetection": {"consecutiveErrors": 1}}), "W trafficPolicy.outlierDetection.consecutiveErrors"),
        (at, json!({"outlierDetection": {"interval": "0s"}}), "E trafficPolicy.outlierDetection.interval"),
        (at, tls(json!({"mode": "MUTUAL"})), "E trafficPolicy.tls.clientCertificate"),
        (at, tls(json!({"mode": "SIMPLE", "credentialName": "c", "caCertificates": "/c"})), "E trafficPolicy.tls.credentialName"),
        (at, tls(json!({"mode": "SIMPLE", "insecureSkipVerify": true})), ""),
        (at, tls(json!({"mode": "SIMPLE", "insecureSkipVerify": true, "credentialName": "c"})), "E trafficPolicy.tls.credentialName"),
        (at, tls(json!({"mode": "MUTUAL", "insecureSkipVerify": true, "credentialName": "c"})), ""),
        (at, tls(json!({"mode": "SIMPLE", "insecureSkipVerify": true, "subjectAltNames": ["a"]})), "E trafficPolicy.tls.subjectAltNames"),
        (at, tls(json!({"mode": "ISTIO_MUTUAL", "insecureSkipVerify": true, "subjectAltNames": ["a"]})), ""),
        (at, tls(json!({"mode": "SIMPLE", "credentialName": "configmap://other/c"})), "E trafficPolicy.tls.credentialName"),
        (at, ports(json!({"tls": {}})), "E trafficPolicy.portLevelSettings[0].port"),
        (at, ports(json!({"port": {"number": 80}})), "E trafficPolicy.portLevelSettings[0]"),
        (at, hash(json!({"httpCookie": {"name": "", "ttl": "1s"}})), "E trafficPolicy.loadBalancer.consistentHash.httpCookie.name"),
        (at, hash(json!({"httpHeaderName": "x", "maglev": {"tableSize": 100}})), "E trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"),
        (at, hash(json!({"httpHeaderName": "x", "maglev": {"tableSize": 5_000_011}})), "E trafficPolicy.loadBalancer.consistentHash.maglev.tableSize"),
        (at, hash(json!({"httpHeaderName": "x", "minimumRingSize": 1024})), "W trafficPolicy.loadBalancer.consistentHash.minimumRingSize"),
        (at, hash(json!({"httpHeaderName": "x", "minimumRingSize": 1024, "maglev": {"tableSize": 101}})), "E trafficPolicy.loadBalancer.consistentHash.minimumRingSize"),
        (at, balancer(json!({"simple": "RANDOM", "warmup": {}})), "E trafficPolicy.loadBalancer.warmup.duration"),
        (at, balancer(json!({"simple": "RANDOM", "warmup": {"duration": "1s", "minimumPercent": 101}})), "E trafficPolicy.loadBalancer.warmup.minimumPercent"),
        (at, balancer(json!({"simple": "RANDOM", "warmup": {"duration": "1s", "aggression": 0.5}})), "E trafficPolicy.loadBalancer.warmup.aggression"),
        (at, distribute(json!({"b": 50, "c": 50})), ""),
        (at, distribute(json!({"b": 50})), "E trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to"),
        (at, distribute(json!({"b": 50, "b/*": 50})), "E trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to[\"b/*\"]"),
        (at, distribute(json!({"b/*/c": 100})), "E trafficPolicy.loadBalancer.localityLbSetting.distribute[0].to[\"b/*/c\"]"),
        (at, locality(json!({"failover": [{"from": "a", "to": "a"}]})), "E trafficPolicy.loadBalancer.localityLbSetting.failover[0]"),
        (at, locality(json!({"failover": [{"from": "a/b", "to": "c"}]})), "E trafficPolicy.loadBalancer.localityLbSetting.failover[0].from"),
        (at, locality(json!({"failover": [{"from": "a", "to": "b"}], "failoverPriority": ["x"]})), ""),
        (at, locality(json!({"failover": [{"from": "a", "to": "b"}], "failoverPriority": ["topology.kubernetes.io/region"]})), "E trafficPolicy.loadBalancer.localityLbSetting.failoverPriority[0]"),
        (at, balancer(json!({"localityLbSetting": {"failover": [{"from": "a", "to": "b"}]}})), "W trafficPolicy.loadBalancer.localityLbSetting"),
        ("subsets", json!([{"name": ""}]), "E subsets[0].name"),
        ("subsets", json!([{"name": "a"}, {"name": "a"}]), "E subsets[1].name"),
        ("subsets", json!([{"name": "a", "trafficPolicy": {}}]), "E subsets[0].trafficPolicy"),
        ("workloadSelector", json!({"matchLabels": {"a*": "b"}}), "E workloadSelector.matchLabels[\"a*\"]"),
    ]);
    let chosen = ("workloadSelector", json!({"matchLabels": {"a": "b"}}));
    assert_eq!(table.said(&[chosen.clone(), ("exportTo", json!(["other"]))]), "E spec.exportTo[0]");
    assert_eq!(table.said(&[chosen, ("exportTo", json!(["."]))]), "");
}

#[test]
fn service_entries() {
    let good = json!({"hosts": ["a.test"], "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}], "resolution": "STATIC",
        "endpoints": [{"address": "10.0.0.1", "ports": {"http": 8080}}]});
    let table = Table::new(Kind::ServiceEntry, good);
    table.rows(&[
        ("hosts", json!([]), "E hosts"),
        ("hosts", json!(["*"]), "E hosts[0]"),
        ("hosts", json!(["*a.test"]), "W hosts[0]"),
        ("addresses", json!(["10.0.0.0/8", "240.1.1.1"]), ""),
        ("addresses", json!(["host"]), "E addresses[0]"),
        ("ports.0.number", json!(0), "E ports[0].number"),
        ("ports.0.protocol", json!("SMTP"), "E ports[0].protocol"),
        ("ports.0.targetPort", json!(70000), "E ports[0].targetPort"),
        ("workloadSelector", json!({"labels": {"a": "b"}}), "E endpoints"),
        ("endpoints.0.address", json!("a.test"), "E endpoints[0].address"),
        ("endpoints.0.address", Value::Null, "E endpoints[0].address"),
        ("endpoints.0.ports", json!({"none": 1}), "E endpoints[0].ports[\"none\"]"),
        ("endpoints.0", json!({"address": "unix:///s"}), ""),
        ("endpoints.0", json!({"address": "unix:///s", "ports": {"http": 1}}), "E endpoints[0].ports"),
        ("endpoints.0", json!({"address": "unix://s"}), "E endpoints[0].address"),
        ("endpoints.0", json!({"network": "n"}), "W endpoints[0].address"),
        ("resolution", json!("NONE"), "E endpoints"),
        ("exportTo", json!(["~"]), ""),
        ("exportTo", json!(["~", "a"]), "E exportTo"),
    ]);
    let named = |resolution: &str| {
        Table::new(
            Kind::ServiceEntry,
            json!({"hosts": ["a.test"], "resolution": resolution,
            "ports": [{"number": 80, "name": "http", "protocol": "HTTP"}]}),
        )
    };
    let two = json!([{"address": "a.test"}, {"address": "b.test"}]);
    named("DNS").rows(&[
        ("hosts", json!(["*.a.test"]), "E hosts[0]"),
        ("addresses", json!(["10.0.0.0/8"]), "E addresses[0]"),
        ("endpoints", two.clone(), ""),
        ("endpoints", json!([{"address": "a b"}]), "E endpoints[0].address"),
        ("ports", json!([{"number": 1, "name": "a"}, {"number": 1, "name": "b"}]), "E ports[1].number"),
        ("ports", json!([{"number": 1, "name": "a"}, {"number": 2, "name": "a"}]), "E ports[1].name"),
    ]);
    named("DNS_ROUND_ROBIN").rows(&[("endpoints", two, "E endpoints")]);
    let several = [("hosts", json!(["a.test", "b.test"])), ("ports.0.protocol", json!("TCP"))];
    assert_eq!(named("DNS").said(&several), "E spec.ports[0]");
    let dynamic = json!({"hosts": ["*.a.test"], "resolution": "DYNAMIC_DNS", "ports": [{"number": 443, "name": "tls", "protocol": "TLS"}]});
    Table::new(Kind::ServiceEntry, dynamic).rows(&[
        ("hosts", json!(["a.test"]), "E hosts[0]"),
        ("addresses", json!(["10.0.0.1"]), "E addresses"),
        ("endpoints", json!([{"address": "10.0.0.1"}]), "E endpoints"),
        ("ports.0.protocol", json!("TCP"), "E ports[0].protocol"),
    ]);
}

#[test]
fn sidecars() {
    let good = json!({"ingress": [{"port": {"number": 80, "name": "a", "protocol": "HTTP"}, "defaultEndpoint": "127.0.0.1:8080"}],
        "egress": [{"hosts": ["./*"]}]});
    let table = Table::new(Kind::Sidecar, good);
    let listener = |value: Value| json!([value, {"hosts": ["./*"]}]);
    table.rows(&[
        ("ingress.0.port", Value::Null, "E ingress[0].port"),
        ("ingress.0.port.protocol", json!("SMTP"), "E ingress[0].port.protocol"),
        ("ingress.0.bind", json!("host"), "E ingress[0].bind"),
        ("ingress.0.defaultEndpoint", json!("10.0.0.1:80"), "E ingress[0].defaultEndpoint"),
        ("ingress.0.defaultEndpoint", json!("127.0.0.1:0"), "E ingress[0].defaultEndpoint"),
        ("ingress.0.defaultEndpoint", json!("[::1]:80"), ""),
        ("ingress.0.defaultEndpoint", json!("unix:///s"), ""),
        ("ingress.0.tls", json!({"mode": "SIMPLE", "serverCertificate": "/c", "privateKey": "/k"}), "E ingress[0].tls"),
        ("egress.0.hosts", json!([]), "E egress[0].hosts"),
        ("egress.0.hosts", json!(["a.test"]), "E egress[0].hosts[0]"),
        ("egress.0.hosts", json!(["~/*"]), ""),
        ("egress.0.hosts", json!(["ns/short"]), "E egress[0].hosts[0]"),
        ("egress.0.hosts", json!(["*/*", "ns/*"]), "W egress[0].hosts"),
        ("egress.0.hosts", json!(["n/*", "./a.test"]), "W egress[0].hosts[1]"),
        ("egress", listener(json!({"hosts": ["./*"]})), "E egress[0]"),
        ("egress", listener(json!({"port": {"number": 0, "protocol": "HTTP"}, "hosts": ["./*"]})), "E egress[0].bind"),
        ("egress", listener(json!({"port": {"number": 0, "protocol": "HTTP"}, "bind": "unix:///s", "hosts": ["./*"]})), ""),
        ("egress", listener(json!({"port": {"number": 0, "protocol": "HTTP"}, "bind": "unix:///s", "captureMode": "IPTABLES", "hosts": ["./*"]})), "E egress[0].captureMode"),
        ("outboundTrafficPolicy", json!({"mode": "REGISTRY_ONLY", "egressProxy": {"host": "a.test", "port": {"number": 1}}}), "E outboundTrafficPolicy.egressProxy"),
        ("outboundTrafficPolicy", json!({"mode": "ALLOW_ANY", "egressProxy": {"host": "a.test"}}), "E outboundTrafficPolicy.egressProxy.port"),
        ("outboundTrafficPolicy", json!({"mode": "ALLOW_ANY", "egressProxy": {"host": "*.test", "port": {"number": 1}}}), "E outboundTrafficPolicy.egressProxy.host"),
        ("workloadSelector", json!({"labels": {}}), "W workloadSelector.labels"),
    ]);
    let pool = [
        ("ingress.0.port.protocol", json!("TCP")),
        ("ingress.0.connectionPool", json!({"http": {"maxRetries": 1}})),
    ];
    assert_eq!(table.said(&pool), "W spec.ingress[0].connectionPool.http");
    let tls = |mode: Value| [("ingress.0.port.protocol", json!("HTTPS")), ("ingress.0.tls", mode)];
    assert_eq!(table.said(&tls(json!({"mode": "ISTIO_MUTUAL"}))), "E spec.ingress[0].tls.mode");
    let credential = json!({"mode": "SIMPLE", "credentialName": "c"});
    assert_eq!(table.said(&tls(credential)), "E spec.ingress[0].tls.credentialName");
}

#[test]
fn authorization_policies() {
    let rule = json!({"from": [{"source": {"principals": ["a"]}}], "to": [{"operation": {"ports": ["80"]}}], "when": [{"key": "source.ip", "values": ["10.0.0.1"]}]});
    let table = Table::new(Kind::AuthorizationPolicy, json!({"rules": [rule]}));
    let source = "rules.0.from.0.source";
    let operation = "rules.0.to.0.operation";
    let condition = "rules.0.when.0";
    let many: Vec<String> = (0..17).map(|number| format!("a{number}")).collect();
    table.rows(&[
        ("action", json!("DENY"), ""),
        ("provider", json!({"name": "p"}), "E provider"),
        ("targetRefs", json!([{"kind": "Service", "name": "s"}]), ""),
        ("targetRefs", json!([{"kind": "Pod", "name": "s"}]), "E targetRefs[0]"),
        ("targetRefs", json!([{"kind": "Service"}]), "E targetRefs[0].name"),
        (
            "targetRefs",
            json!([{"kind": "Service", "name": "s", "namespace": "x"}]),
            "E targetRefs[0].namespace",
        ),
        ("selector", json!({"matchLabels": {"": "x"}}), "E selector.matchLabels[\"\"]"),
        ("rules.0.from", json!([]), "E rules[0].from"),
        ("rules.0.to", json!([]), "E rules[0].to"),
        (source, json!({}), "E rules[0].from[0].source"),
        (source, json!({"principals": [""]}), "E rules[0].from[0].source.principals[0]"),
        (source, json!({"ipBlocks": ["10.0.0.0/33"]}), "E rules[0].from[0].source.ipBlocks[0]"),
        (source, json!({"notRemoteIpBlocks": ["x"]}), "E rules[0].from[0].source.notRemoteIpBlocks[0]"),
        (source, json!({"serviceAccounts": ["ns/sa", "sa"]}), ""),
        (source, json!({"serviceAccounts": ["a/b/c"]}), "E rules[0].from[0].source.serviceAccounts[0]"),
        (source, json!({"serviceAccounts": ["*"]}), "E rules[0].from[0].source.serviceAccounts[0]"),
        (
            source,
            json!({"serviceAccounts": ["x".repeat(321)]}),
            "E rules[0].from[0].source.serviceAccounts[0]",
        ),
        (source, json!({"serviceAccounts": many}), "E rules[0].from[0].source.serviceAccounts"),
        (
            source,
            json!({"serviceAccounts": ["a"], "namespaces": ["b"]}),
            "E rules[0].from[0].source.serviceAccounts",
        ),
        (operation, json!({}), "E rules[0].to[0].operation"),
        (operation, json!({"ports": ["x"]}), "E rules[0].to[0].operation.ports[0]"),
        (operation, json!({"notPorts": ["70000"]}), "E rules[0].to[0].operation.notPorts[0]"),
        (operation, json!({"paths": ["/a/{*}/b/{**}"]}), ""),
        (operation, json!({"paths": ["/a/{**}/{*}"]}), "E rules[0].to[0].operation.paths[0]"),
        (operation, json!({"paths": ["/a{*}"]}), "E rules[0].to[0].operation.paths[0]"),
        (operation, json!({"methods": [""]}), "E rules[0].to[0].operation.methods[0]"),
        (condition, json!({"key": "source.ip", "values": ["x"]}), "E rules[0].when[0].values[0]"),
        (condition, json!({"key": "source.ip"}), "E rules[0].when[0]"),
        (condition, json!({"values": ["x"]}), "E rules[0].when[0].key"),
        (condition, json!({"key": "no.such", "values": ["x"]}), "E rules[0].when[0].key"),
        (condition, json!({"key": "destination.labels[app]", "values": ["x"]}), "E rules[0].when[0].key"),
        (condition, json!({"key": "request.headers[x]", "notValues": ["x"]}), ""),
        (condition, json!({"key": "destination.port", "values": ["x"]}), "E rules[0].when[0].values[0]"),
        (condition, json!({"key": "experimental.envoy.filters.a.b[c]", "values": ["x"]}), ""),
    ]);
    let both = [
        ("selector", json!({"matchLabels": {"a": "b"}})),
        ("targetRefs", json!([{"kind": "Service", "name": "s"}])),
    ];
    assert_eq!(table.said(&both), "E spec.targetRefs");
    let http = [("action", json!("DENY")), ("rules", json!([{"to": [{"operation": {"methods": ["GET"]}}]}]))];
    assert_eq!(table.said(&http), "W spec.rules[0]");
    for action in ["DENY", "CUSTOM"] {
        let alone = Table { kind: Kind::AuthorizationPolicy, good: json!({"action": action}) };
        assert_eq!(alone.said(&[]), "E spec.rules", "{action}");
    }
    let custom = Table::new(
        Kind::AuthorizationPolicy,
        json!({"action": "CUSTOM", "provider": {"name": "p"}, "rules": [{}]}),
    );
    custom.rows(&[
        ("provider.name", json!(""), "E provider.name"),
        (
            "rules",
            json!([{"from": [{"source": {"namespaces": ["a"]}}]}]),
            "E rules[0].from[0].source.namespaces",
        ),
        (
            "rules",
            json!([{"from": [{"source": {"requestPrincipals": ["a"]}}]}]),
            "E rules[0].from[0].source.requestPrincipals",
        ),
        (
            "rules",
            json!([{"when": [{"key": "request.auth.claims[a]", "values": ["b"]}]}]),
            "E rules[0].when[0].key",
        ),
        ("rules", json!([{"from": [{"source": {"ipBlocks": ["10.0.0.1"]}}]}]), ""),
    ]);
}

#[test]
fn authentication() {
    let peer = Table::new(
        Kind::PeerAuthentication,
        json!({"selector": {"matchLabels": {"a": "b"}}, "portLevelMtls": {"80": {"mode": "STRICT"}}}),
    );
    peer.rows(&[
        ("selector", Value::Null, "E portLevelMtls"),
        ("portLevelMtls", json!({}), "E portLevelMtls"),
        ("portLevelMtls", json!({"0": {"mode": "STRICT"}}), "E portLevelMtls[\"0\"]"),
        ("selector.matchLabels", json!({"a": "b*"}), "E selector.matchLabels[\"a\"]"),
    ]);
    let request = Table::new(
        Kind::RequestAuthentication,
        json!({"jwtRules": [{"issuer": "i", "jwksUri": "https://a.test/keys"}]}),
    );
    let rule = "jwtRules.0";
    request.rows(&[
        (rule, json!({}), "E jwtRules[0].issuer"),
        ("jwtRules.0.jwksUri", json!("ftp://a.test"), "E jwtRules[0].jwksUri"),
        ("jwtRules.0.jwksUri", json!("https://"), "E jwtRules[0].jwksUri"),
        ("jwtRules.0.jwksUri", json!("https://a.test:99999/"), "E jwtRules[0].jwksUri"),
        ("jwtRules.0.jwks", json!("{"), "E jwtRules[0].jwks"),
        ("jwtRules.0.jwks", json!("{\"keys\": []}"), ""),
        ("jwtRules.0.audiences", json!([""]), "E jwtRules[0].audiences[0]"),
        ("jwtRules.0.fromHeaders", json!([{"name": ""}]), "E jwtRules[0].fromHeaders[0].name"),
        ("jwtRules.0.fromParams", json!([""]), "E jwtRules[0].fromParams[0]"),
        ("jwtRules.0.fromCookies", json!([""]), "E jwtRules[0].fromCookies[0]"),
        (
            "jwtRules.0.outputClaimToHeaders",
            json!([{"header": "x"}]),
            "E jwtRules[0].outputClaimToHeaders[0]",
        ),
        (
            "jwtRules.0.outputClaimToHeaders",
            json!([{"header": "a b", "claim": "c"}]),
            "E jwtRules[0].outputClaimToHeaders[0].header",
        ),
        ("jwtRules.0.timeout", json!("0s"), "E jwtRules[0].timeout"),
    ]);
}

#[test]
fn telemetries_and_extensions() {
    let telemetry = Table::new(Kind::Telemetry, json!({"tracing": [{"randomSamplingPercentage": 1}]}));
    let metrics = |overrides: Value| json!([{"overrides": [{"tagOverrides": overrides}]}]);
    telemetry.rows(&[
        ("tracing", json!([{}, {}]), "W tracing"),
        ("tracing.0.providers", json!([{"name": "a"}, {"name": "b"}]), "W tracing[0].providers"),
        ("tracing.0.providers", json!([{"name": ""}]), "E tracing[0].providers[0].name"),
        ("tracing.0.randomSamplingPercentage", json!(101), "E tracing[0].randomSamplingPercentage"),
        (
            "tracing.0.customTags",
            json!({"a": {"literal": {"value": ""}}}),
            "E tracing[0].customTags[\"a\"].literal.value",
        ),
        (
            "tracing.0.customTags",
            json!({"a": {"header": {"name": ""}}}),
            "E tracing[0].customTags[\"a\"].header.name",
        ),
        (
            "metrics",
            metrics(json!({"a": {"value": ""}})),
            "E metrics[0].overrides[0].tagOverrides[\"a\"].value",
        ),
        (
            "metrics",
            metrics(json!({"a": {"operation": "REMOVE", "value": "x"}})),
            "E metrics[0].overrides[0].tagOverrides[\"a\"].value",
        ),
        (
            "accessLogging",
            json!([{"filter": {"expression": "response.code >"}}]),
            "E accessLogging[0].filter.expression",
        ),
    ]);
    let wasm = Table::new(Kind::WasmPlugin, json!({"url": "oci://a.test/b"}));
    let env = |value: Value| json!({"env": value});
    wasm.rows(&[
        ("url", json!(""), "E url"),
        ("url", json!("ftp://a.test"), "E url"),
        ("url", json!("a.test/b:c"), ""),
        ("url", json!("file:///a"), ""),
        ("sha256", json!("ab"), "E sha256"),
        ("sha256", json!("A".repeat(64)), "E sha256"),
        ("imagePullSecret", json!("x".repeat(254)), "E imagePullSecret"),
        ("pluginName", json!("x".repeat(257)), "E pluginName"),
        ("vmConfig", env(json!([{"name": ""}])), "E vmConfig.env[0].name"),
        ("vmConfig", env(json!([{"name": "a"}, {"name": "a"}])), "E vmConfig.env[1].name"),
        (
            "vmConfig",
            env(json!([{"name": "a", "valueFrom": "HOST", "value": "x"}])),
            "E vmConfig.env[0].value",
        ),
        ("match", json!([{"ports": [{"number": 0}]}]), "E match[0].ports[0].number"),
    ]);
    let extension = Table::new(Kind::TrafficExtension, json!({"lua": {"inlineCode": "x"}}));
    extension.rows(&[
        ("lua", Value::Null, "E "),
        ("lua.inlineCode", json!(""), "E lua.inlineCode"),
        ("lua.inlineCode", json!("x".repeat(65537)), "E lua.inlineCode"),
    ]);
}

#[test]
fn envoy_filters() {
    let typed = json!({"@type": "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"});
    let patch = json!({"applyTo": "HTTP_FILTER",
        "match": {"listener": {"filterChain": {"filter": {"name": "envoy.filters.network.http_connection_manager",
            "subFilter": {"name": "envoy.filters.http.router"}}}}},
        "patch": {"operation": "INSERT_FIRST", "value": {"name": "a", "typedConfig": typed}}});
    let table = Table::new(Kind::EnvoyFilter, json!({"configPatches": [patch]}));
    let at = "configPatches.0";
    let filter = "configPatches.0.match.listener.filterChain.filter";
    let value = "configPatches.0.patch.value";
    let named = "configPatches[0].match.listener.filterChain.filter";
    let cluster =
        |value: Value| json!({"applyTo": "CLUSTER", "patch": {"operation": "MERGE", "value": value}});
    table.rows(&[
        ("configPatches.0.applyTo", Value::Null, "E configPatches[0].applyTo"),
        ("configPatches.0.patch", Value::Null, "E configPatches[0].patch"),
        ("configPatches.0.patch.operation", Value::Null, "E configPatches[0].patch.operation"),
        (value, Value::Null, "E configPatches[0].patch.value"),
        (value, json!({"name": "a"}), "W configPatches[0].patch.value"),
        (value, json!({"name": "a", "typedConfig": {"@type": "type.googleapis.com/no.such"}}), "E configPatches[0].patch.value"),
        (value, json!({"name": "a", "typedConfig": typed, "strange": 1}), "W configPatches[0].patch.value"),
        ("configPatches.0.match.proxy", json!({"proxyVersion": "("}), "E configPatches[0].match.proxy.proxyVersion"),
        ("configPatches.0.match", json!({"cluster": {}}), "E configPatches[0].match.cluster"),
        ("configPatches.0.match", json!({"context": "WAYPOINT", "cluster": {}}), ""),
        (filter, json!({"name": ""}), "E configPatches[0].match.listener.filterChain.filter.name"),
        (filter, json!({"name": "envoy.http_connection_manager"}), "W configPatches[0].match.listener.filterChain.filter.name"),
        (filter, json!({"name": "other", "subFilter": {"name": "x"}}), "E configPatches[0].match.listener.filterChain.filter.name"),
        (filter, json!({"name": "envoy.filters.network.http_connection_manager", "subFilter": {"name": ""}}), "E configPatches[0].match.listener.filterChain.filter.subFilter.name"),
        (filter, json!({"name": "envoy.filters.network.http_connection_manager", "subFilter": {"name": "envoy.router"}}), "W configPatches[0].match.listener.filterChain.filter.subFilter.name"),
        ("configPatches.0.applyTo", json!("NETWORK_FILTER"), "E configPatches[0].match.listener.filterChain.filter.subFilter"),
        (at, cluster(json!({"transportSocket": {"name": "x"}})), "W configPatches[0].patch.value"),
        (at, cluster(json!({"connectTimeout": "1s"})), ""),
    ]);
    let chain = [
        ("configPatches.0.applyTo", json!("FILTER_CHAIN")),
        (filter, json!({"name": "x"})),
        (value, json!({"name": "a"})),
    ];
    assert_eq!(table.said(&chain), format!("W spec.{named}"));
}

#[test]
fn workloads_and_proxy_configs() {
    let entry = Table::new(Kind::WorkloadEntry, json!({"address": "10.0.0.1", "ports": {"http": 80}}));
    entry.rows(&[
        ("address", Value::Null, "E address"),
        ("address", json!("a.test"), ""),
        ("address", json!("a b"), "E address"),
        ("ports", json!({"a b": 80}), "E ports[\"a b\"]"),
        ("ports", json!({"http": 0}), "E ports[\"http\"]"),
        ("labels", json!({"a b": "c"}), "E labels[\"a b\"]"),
    ]);
    let network = Table { kind: Kind::WorkloadEntry, good: json!({"network": "n"}) };
    assert_eq!(network.said(&[]), "W spec.address");
    let group =
        Table::new(Kind::WorkloadGroup, json!({"template": {}, "probe": {"tcpSocket": {"port": 80}}}));
    group.rows(&[
        ("template", Value::Null, "E template"),
        ("metadata", json!({"labels": {"a": "b c"}}), "E metadata.labels[\"a\"]"),
        ("probe.periodSeconds", json!(-1), "E probe.periodSeconds"),
        ("probe", json!({}), "E probe"),
        ("probe", json!({"tcpSocket": {"port": 0}}), "E probe.tcpSocket.port"),
        ("probe", json!({"httpGet": {"port": 80, "scheme": "FTP"}}), "E probe.httpGet.scheme"),
        (
            "probe",
            json!({"httpGet": {"port": 80, "httpHeaders": [{"name": "a b"}]}}),
            "E probe.httpGet.httpHeaders[0].name",
        ),
        ("probe", json!({"exec": {"command": []}}), "E probe.exec.command"),
    ]);
    let config = Table::new(Kind::ProxyConfig, json!({"concurrency": 1}));
    config.rows(&[
        ("concurrency", json!(-1), "E concurrency"),
        ("selector", json!({"matchLabels": {}}), "W selector.matchLabels"),
    ]);
}
