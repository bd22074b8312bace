//! Each finding by objects that deserve it, and beside them by those that do not.

use super::*;

/// What is said of these documents: `CODE Kind/name field`, once for each finding.
fn said(text: &str) -> Vec<String> {
    said_of(text, &Surroundings::default())
}

fn said_of(text: &str, around: &Surroundings) -> Vec<String> {
    let objects = objects(text);
    let found = across(&objects, around);
    let told = found.iter().map(|(index, finding)| {
        let text = |path: &str| objects[*index].pointer(path).and_then(Value::as_str).unwrap_or_default();
        format!("{} {}/{} {}", finding.code, text("/kind"), text("/metadata/name"), finding.path)
    });
    told.collect()
}

fn messages(text: &str) -> String {
    let found = across(&objects(text), &Surroundings::default());
    found.into_iter().map(|(_, finding)| finding.message + "\n").collect()
}

/// Documents begin with `Kind namespace/name`; what follows is the rest of the object.
fn objects(text: &str) -> Vec<Value> {
    text.split("---\n").filter(|part| !part.trim().is_empty()).map(object).collect()
}

fn object(text: &str) -> Value {
    let (head, rest) = text.trim_start().split_once('\n').unwrap_or((text.trim(), ""));
    let (kind, full_name) = head.trim().split_once(' ').unwrap();
    let (namespace, name) = full_name.trim().split_once('/').unwrap();
    let mut object = config::yaml::documents(rest).unwrap().into_iter().next().unwrap_or_default();
    if object.is_null() {
        object = serde_json::json!({});
    }
    let version = match kind {
        "Deployment" => "apps/v1",
        "AuthorizationPolicy" | "PeerAuthentication" | "RequestAuthentication" => "security.istio.io/v1",
        "Telemetry" => "telemetry.istio.io/v1",
        "KubernetesGateway" => "gateway.networking.k8s.io/v1",
        "EnvoyFilter" => "networking.istio.io/v1alpha3",
        "Service" | "Pod" | "Secret" | "ConfigMap" | "Namespace" => "v1",
        _ => "networking.istio.io/v1",
    };
    let kind = if kind == "KubernetesGateway" { "Gateway" } else { kind };
    object["apiVersion"] = version.into();
    object["kind"] = kind.into();
    object["metadata"]["name"] = name.into();
    object["metadata"]["namespace"] = namespace.into();
    object
}

const REVIEWS: &str = "Service shop/reviews\nspec: {selector: {app: reviews}, ports: [{name: http, port: 9080}]}\n---\n\
                       Pod shop/reviews-1\nmetadata: {labels: {app: reviews, version: v1}}\n---\n";
const INGRESS: &str = "Pod edge/ingress\nmetadata: {labels: {istio: edge}}\n---\n\
                       Service edge/ingress\nspec: {selector: {istio: edge}, ports: [{name: http, port: 80, targetPort: 8080}]}\n---\n";

fn with(start: &str, rest: &str) -> Vec<String> {
    said(&format!("{start}{rest}"))
}

fn routes(name: &str, spec: &str) -> String {
    format!("VirtualService {name}\nspec: {spec}\n---\n")
}

#[test]
fn a_host_that_is_not_there_is_named_where_it_is_written() {
    let to = |host: &str| {
        routes(
            "shop/a",
            &format!("{{hosts: [reviews], http: [{{route: [{{destination: {{host: {host}}}}}]}}]}}"),
        )
    };
    let nothing = Vec::<String>::new();
    assert_eq!(with(REVIEWS, &to("reviews")), nothing);
    assert_eq!(with(REVIEWS, &to("reviews.shop.svc.cluster.local")), nothing);
    assert_eq!(with("", &to("kubernetes.default.svc.cluster.local")), nothing);
    let at = "spec.http[0].route[0].destination.host";
    for host in ["review", "reviews.shop", "reviews.other.svc.cluster.local"] {
        assert_eq!(with(REVIEWS, &to(host)), [format!("IST0101 VirtualService/a {at}")], "{host}");
    }
    let message = messages(&format!("{REVIEWS}{}", to("reviews.shop")));
    assert!(message.contains("Referenced host not found: \"reviews.shop\""), "{message}");
    assert!(message.contains("write reviews.shop.svc.cluster.local"), "{message}");
}

#[test]
fn mirrors_and_routes_of_tcp_and_tls_are_destinations() {
    let spec = "{hosts: [reviews], http: [{mirror: {host: m}, mirrors: [{destination: {host: n}}]}], tcp: [{route: \
                [{destination: {host: t}}]}], tls: [{route: [{destination: {host: s}}]}]}";
    let paths = [
        "http[0].mirror",
        "http[0].mirrors[0].destination",
        "tls[0].route[0].destination",
        "tcp[0].route[0].destination",
    ];
    let expected: Vec<String> =
        paths.iter().map(|path| format!("IST0101 VirtualService/a spec.{path}.host")).collect();
    assert_eq!(with(REVIEWS, &routes("shop/a", spec)), expected);
}

#[test]
fn hosts_of_service_entries_are_there_for_whom_they_are_exported_to() {
    let entry = |rest: &str| {
        format!(
            "ServiceEntry out/e\nspec: {{hosts: [api.test, '*.wild.test'], ports: [{{number: 443, protocol: TLS}}]{rest}}}\n---\n"
        )
    };
    let to = |host: &str| {
        routes(
            "shop/a",
            &format!("{{hosts: [x.test], tcp: [{{route: [{{destination: {{host: {host}}}}}]}}]}}"),
        )
    };
    for host in ["api.test", "some.wild.test"] {
        assert!(with(&entry(""), &to(host)).is_empty(), "{host}");
        assert!(with(&entry(", exportTo: [shop]"), &to(host)).is_empty(), "{host}");
        assert_eq!(with(&entry(", exportTo: [.]"), &to(host)).len(), 1, "{host}");
    }
    let message = messages(&format!("{}{}", entry(", exportTo: [.]"), to("api.test")));
    assert!(message.contains("in namespace out, but not exported to shop"), "{message}");
}

#[test]
fn ports_are_of_the_service_and_told_where_there_are_several() {
    let two = "Service shop/two\nspec: {ports: [{name: http-a, port: 80}, {name: http-b, port: 81}]}\n---\n";
    let to = |hosts: &str, port: &str| {
        routes(
            "shop/a",
            &format!("{{hosts: [{hosts}], http: [{{route: [{{destination: {{host: two{port}}}}}]}}]}}"),
        )
    };
    assert!(with(two, &to("two", ", port: {number: 81}")).is_empty());
    let at = "spec.http[0].route[0].destination";
    assert_eq!(
        with(two, &to("two", ", port: {number: 82}")),
        [format!("IST0101 VirtualService/a {at}.port.number")]
    );
    // Whichever port of the Service itself was called, it goes on to the same.
    assert!(with(two, &to("two", "")).is_empty());
    assert_eq!(with(two, &to("x.test", "")), [format!("IST0112 VirtualService/a {at}.host")]);
}

#[test]
fn subsets_come_from_rules_for_the_host() {
    let rule =
        "DestinationRule shop/r\nspec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}\n---\n";
    let to = |subset: &str| {
        routes(
            "shop/a",
            &format!(
                "{{hosts: [reviews], http: [{{route: [{{destination: {{host: reviews, subset: {subset}}}}}]}}]}}"
            ),
        )
    };
    let missing = ["IST0101 VirtualService/a spec.http[0].route[0].destination.subset"];
    assert!(with(&format!("{REVIEWS}{rule}"), &to("v1")).is_empty());
    assert_eq!(with(&format!("{REVIEWS}{rule}"), &to("v2")), missing);
    assert_eq!(with(REVIEWS, &to("v1")), missing);
    let wild = rule.replace("host: reviews", "host: '*.shop.svc.cluster.local'");
    assert!(with(&format!("{REVIEWS}{wild}"), &to("v1")).is_empty());
}

#[test]
fn a_subset_of_no_workload_and_a_rule_for_no_host_are_told() {
    let rule = |host: &str, version: &str| {
        format!(
            "DestinationRule shop/r\nspec: {{host: {host}, subsets: [{{name: s, labels: {{version: {version}}}}}]}}\n---\n"
        )
    };
    assert!(with(REVIEWS, &rule("reviews", "v1")).is_empty());
    assert_eq!(with(REVIEWS, &rule("reviews", "v9")), ["IST0173 DestinationRule/r spec.subsets[0].labels"]);
    assert_eq!(with(REVIEWS, &rule("nobody", "v1")), ["IST0174 DestinationRule/r spec.host"]);
    // The workloads are elsewhere: nothing can be said.
    let service = REVIEWS.split("---\n").next().unwrap();
    assert!(with(&format!("{service}---\n"), &rule("reviews", "v9")).is_empty());
}

#[test]
fn tls_without_roots_is_told_for_hosts_and_for_ports() {
    let rule = |policy: &str| {
        format!("DestinationRule shop/r\nspec: {{host: reviews, trafficPolicy: {policy}}}\n---\n")
    };
    assert_eq!(
        with(REVIEWS, &rule("{tls: {mode: SIMPLE}}")),
        ["IST0128 DestinationRule/r spec.trafficPolicy.tls"]
    );
    let ports = "{portLevelSettings: [{port: {number: 9080}, tls: {mode: MUTUAL}}]}";
    assert_eq!(
        with(REVIEWS, &rule(ports)),
        ["IST0129 DestinationRule/r spec.trafficPolicy.portLevelSettings[0].tls"]
    );
    for fine in [
        "{tls: {mode: SIMPLE, caCertificates: /ca}}",
        "{tls: {mode: ISTIO_MUTUAL}}",
        "{tls: {mode: SIMPLE, insecureSkipVerify: true}}",
    ] {
        assert!(with(REVIEWS, &rule(fine)).is_empty(), "{fine}");
    }
}

#[test]
fn gateways_of_a_virtual_service_exist_and_have_its_hosts() {
    let gateway = "Gateway edge/g\nspec: {selector: {istio: edge}, servers: [{port: {number: 80, protocol: HTTP}, hosts: ['shop/*.shop.test', './own.test']}]}\n---\n";
    let bound = |gateway: &str, host: &str| {
        routes(
            "shop/a",
            &format!(
                "{{hosts: ['{host}'], gateways: [{gateway}], http: [{{route: [{{destination: {{host: reviews}}}}]}}]}}"
            ),
        )
    };
    let start = format!("{REVIEWS}{INGRESS}{gateway}");
    assert!(with(&start, &bound("edge/g", "www.shop.test")).is_empty());
    assert!(with(&start, &bound("edge/g", "*")).is_empty());
    assert_eq!(with(&start, &bound("edge/g", "other.test")), ["IST0132 VirtualService/a spec.gateways[0]"]);
    assert_eq!(with(&start, &bound("edge/g", "own.test")), ["IST0132 VirtualService/a spec.gateways[0]"]);
    assert_eq!(with(&start, &bound("g", "www.shop.test")), ["IST0101 VirtualService/a spec.gateways[0]"]);
    let internal = "edge/k-istio-autogenerated-k8s-gateway";
    assert_eq!(
        with(&start, &bound(internal, "www.shop.test")),
        ["IST0165 VirtualService/a spec.gateways[0]"]
    );
    let of_api =
        format!("{start}KubernetesGateway edge/k\nspec: {{listeners: [{{hostname: '*.shop.test'}}]}}\n---\n");
    assert!(with(&of_api, &bound("edge/k", "www.shop.test")).is_empty());
}

#[test]
fn two_virtual_services_for_one_host_conflict_where_one_namespace_sees_both() {
    let spec = |rest: &str| {
        format!(
            "{{hosts: [reviews.shop.svc.cluster.local], http: [{{route: [{{destination: {{host: reviews.shop.svc.cluster.local}}}}]}}]{rest}}}"
        )
    };
    let both = |one: &str, two: &str| {
        with(REVIEWS, &(routes("shop/a", &spec(one)) + &routes("other/b", &spec(two))))
    };
    let conflict = ["IST0109 VirtualService/a spec.hosts[0]", "IST0109 VirtualService/b spec.hosts[0]"];
    assert_eq!(both("", ""), conflict);
    assert_eq!(both(", exportTo: [third]", ", exportTo: [third]"), conflict);
    assert_eq!(both(", exportTo: [.]", ", exportTo: [shop]"), conflict);
    assert!(both(", exportTo: [.]", ", exportTo: [.]").is_empty());
}

#[test]
fn delegates_exist_and_have_no_hosts() {
    let root = routes("shop/root", "{hosts: [reviews], http: [{delegate: {name: part, namespace: team}}]}");
    let part = |hosts: &str| {
        routes(
            "team/part",
            &format!(
                "{{{hosts}http: [{{route: [{{destination: {{host: reviews.shop.svc.cluster.local}}}}]}}]}}"
            ),
        )
    };
    assert!(with(REVIEWS, &(root.clone() + &part(""))).is_empty());
    assert_eq!(with(REVIEWS, &root), ["IST0101 VirtualService/root spec.http[0].delegate.name"]);
    assert_eq!(
        with(REVIEWS, &(root + &part("hosts: [x.test], "))),
        ["TRI0105 VirtualService/root spec.http[0].delegate.name"]
    );
}

#[test]
fn gateways_have_workloads_ports_and_credentials() {
    let gateway = |selector: &str, port: u16, tls: &str| {
        format!(
            "Gateway edge/g\nspec: {{selector: {selector}, servers: [{{port: {{number: {port}, protocol: HTTPS}}, hosts: ['*'], tls: {tls}}}]}}\n---\n"
        )
    };
    let secret = |namespace: &str, data: &str| format!("Secret {namespace}/cert\ndata: {data}\n---\n");
    let simple = "{mode: SIMPLE, credentialName: cert}";
    let whole = secret("edge", "{tls.crt: YQ==, tls.key: YQ==}");
    let start = format!("{INGRESS}{whole}");
    assert!(with(&start, &gateway("{istio: edge}", 8080, simple)).is_empty());
    assert_eq!(with(&start, &gateway("{istio: nobody}", 8080, simple)), ["IST0101 Gateway/g spec.selector"]);
    assert!(
        with(&start, &gateway("{istio: ingressgateway}", 8080, simple)).is_empty(),
        "Istio's charts install it"
    );
    assert_eq!(
        with(&start, &gateway("{istio: edge}", 9999, simple)),
        ["IST0162 Gateway/g spec.servers[0].port.number"]
    );
    let missing = ["IST0101 Gateway/g spec.servers[0].tls.credentialName"];
    assert_eq!(with(INGRESS, &gateway("{istio: edge}", 80, simple)), missing);
    let elsewhere = format!("{INGRESS}{}", secret("other", "{tls.crt: YQ==, tls.key: YQ==}"));
    assert_eq!(with(&elsewhere, &gateway("{istio: edge}", 80, simple)), missing);
    let half = format!("{INGRESS}{}", secret("edge", "{tls.crt: YQ==}"));
    assert_eq!(
        with(&half, &gateway("{istio: edge}", 80, simple)),
        ["IST0161 Gateway/g spec.servers[0].tls.credentialName"]
    );
    assert!(with(INGRESS, &gateway("{istio: edge}", 80, "{mode: PASSTHROUGH}")).is_empty());
}

#[test]
fn one_host_on_one_port_is_of_one_gateway() {
    let gateway = |name: &str, host: &str, rest: &str| {
        format!(
            "Gateway edge/{name}\nspec: {{selector: {{istio: edge}}, servers: [{{port: {{number: 80, protocol: HTTP}}, hosts: ['{host}']{rest}}}]}}\n---\n"
        )
    };
    let conflict = ["IST0145 Gateway/a spec.servers[0].hosts", "IST0145 Gateway/b spec.servers[0].hosts"];
    assert_eq!(with(INGRESS, &(gateway("a", "x.test", "") + &gateway("b", "x.test", ""))), conflict);
    assert!(with(INGRESS, &(gateway("a", "x.test", "") + &gateway("b", "y.test", ""))).is_empty());
    assert!(
        with(INGRESS, &(gateway("a", "x.test", "") + &gateway("b", "x.test", ", bind: 10.0.0.1"))).is_empty()
    );
    assert!(with(INGRESS, &(gateway("a", "one/x.test", "") + &gateway("b", "two/x.test", ""))).is_empty());
}

#[test]
fn a_certificate_in_two_gateways_is_told() {
    let gateway = |name: &str| {
        format!(
            "Gateway edge/{name}\nspec: {{selector: {{istio: edge}}, servers: [{{port: {{number: 80, protocol: HTTPS}}, hosts: [{name}.test], tls: {{mode: SIMPLE, serverCertificate: /c, privateKey: /k}}}}]}}\n---\n"
        )
    };
    assert_eq!(
        with(INGRESS, &(gateway("a") + &gateway("b"))),
        ["IST0138 Gateway/a metadata.name", "IST0138 Gateway/b metadata.name"]
    );
}

#[test]
fn claims_are_routed_by_only_where_tokens_are_checked() {
    let gateway = "Gateway edge/g\nspec: {selector: {istio: edge}, servers: [{port: {number: 80, protocol: HTTP}, hosts: ['*']}]}\n---\n";
    let routes = routes(
        "shop/a",
        "{hosts: [x.test], gateways: [edge/g], http: [{match: [{headers: {'@request.auth.claims.group': {exact: a}}}], route: [{destination: {host: reviews}}]}]}",
    );
    let start = format!("{REVIEWS}{INGRESS}{gateway}{routes}");
    assert_eq!(
        said(&start),
        ["IST0149 VirtualService/a spec.http[0].match[0].headers[\"@request.auth.claims.group\"]"]
    );
    assert!(
        with(&start, "RequestAuthentication edge/r\nspec: {selector: {matchLabels: {istio: edge}}}\n---\n")
            .is_empty()
    );
    let elsewhere = start.replace(INGRESS, "");
    assert_eq!(with(&elsewhere, "").iter().filter(|one| one.starts_with("IST0149")).count(), 1);
    assert!(with(&start, "RequestAuthentication istio-system/r\nspec: {}\n---\n").is_empty());
}

#[test]
fn routes_that_requests_through_a_gateway_pass_by_are_told() {
    let gateway = "Gateway edge/g\nspec: {selector: {istio: edge}, servers: [{port: {number: 80, protocol: HTTP}, hosts: ['*']}]}\n---\n\
                   DestinationRule shop/r\nspec: {host: reviews, subsets: [{name: v1, labels: {version: v1}}]}\n---\n";
    let outside = routes(
        "shop/outside",
        "{hosts: [x.test], gateways: [edge/g], http: [{route: [{destination: {host: reviews}}]}]}",
    );
    let inside = routes(
        "shop/inside",
        "{hosts: [reviews], http: [{route: [{destination: {host: reviews, subset: v1}}]}]}",
    );
    let start = format!("{REVIEWS}{INGRESS}{gateway}");
    assert!(with(&start, &outside).is_empty());
    assert_eq!(
        with(&start, &(outside + &inside)),
        ["IST0140 VirtualService/outside spec.http[0].route[0].destination.host"]
    );
}

#[test]
fn sidecars_do_not_meet_at_one_workload() {
    let sidecar = |name: &str, labels: &str| {
        format!(
            "Sidecar shop/{name}\nspec: {{workloadSelector: {{labels: {labels}}}, egress: [{{hosts: [./*]}}]}}\n---\n"
        )
    };
    let whole = |name: &str| format!("Sidecar shop/{name}\nspec: {{egress: [{{hosts: [./*]}}]}}\n---\n");
    assert!(with(REVIEWS, &(sidecar("a", "{app: reviews}") + &whole("b"))).is_empty());
    assert_eq!(
        with(REVIEWS, &(sidecar("a", "{app: reviews}") + &sidecar("b", "{version: v1}"))),
        ["IST0110 Sidecar/a metadata.name", "IST0110 Sidecar/b metadata.name"]
    );
    assert_eq!(
        with(REVIEWS, &(whole("a") + &whole("b"))),
        ["IST0111 Sidecar/a metadata.name", "IST0111 Sidecar/b metadata.name"]
    );
    assert_eq!(
        with(REVIEWS, &sidecar("a", "{app: none}")),
        ["IST0101 Sidecar/a spec.workloadSelector.labels"]
    );
    assert!(said(&sidecar("a", "{app: none}")).is_empty(), "without workloads nothing is known of them");
}

#[test]
fn a_sidecar_that_hides_a_destination_is_told() {
    let sidecar =
        |hosts: &str| format!("Sidecar client/default\nspec: {{egress: [{{hosts: [{hosts}]}}]}}\n---\n");
    let host = "reviews.shop.svc.cluster.local";
    let routes = routes(
        "client/a",
        &format!("{{hosts: [{host}], http: [{{route: [{{destination: {{host: {host}}}}}]}}]}}"),
    );
    let rule = format!("DestinationRule client/r\nspec: {{host: {host}}}\n---\n");
    for open in ["'*/*'", "./*, shop/*", &format!("./*, shop/{host}")] {
        assert!(with(REVIEWS, &(sidecar(open) + &routes + &rule)).is_empty(), "{open}");
    }
    // A VirtualService that is seen brings its destinations with it.
    assert_eq!(with(REVIEWS, &(sidecar("./*") + &routes + &rule)), ["TRI0102 Sidecar/default spec.egress"]);
    assert_eq!(
        with(REVIEWS, &(sidecar("istio-system/*") + &routes)),
        ["TRI0101 Sidecar/default spec.egress"]
    );
    assert_eq!(with(REVIEWS, &(sidecar("./*") + &rule)), ["TRI0101 Sidecar/default spec.egress"]);
    let message = messages(&format!("{REVIEWS}{}{rule}", sidecar("./*")));
    assert!(
        message.contains("add \"shop/reviews.shop.svc.cluster.local\" to the hosts of egress"),
        "{message}"
    );
    assert_eq!(
        with(REVIEWS, &sidecar("./*, shop/review.shop.svc.cluster.local")),
        ["IST0101 Sidecar/default spec.egress[0].hosts[1]"]
    );
}

#[test]
fn policies_select_something_in_their_reach() {
    let of = |kind: &str, namespace: &str, app: &str| {
        format!("{kind} {namespace}/p\nspec: {{selector: {{matchLabels: {{app: {app}}}}}}}\n---\n")
    };
    for kind in ["AuthorizationPolicy", "RequestAuthentication", "PeerAuthentication"] {
        assert!(with(REVIEWS, &of(kind, "shop", "reviews")).is_empty(), "{kind}");
        assert!(with(REVIEWS, &of(kind, "istio-system", "reviews")).is_empty(), "{kind}");
        for (namespace, app) in [("shop", "review"), ("other", "reviews"), ("istio-system", "review")] {
            let expected = format!("IST0127 {kind}/p spec.selector.matchLabels");
            assert_eq!(with(REVIEWS, &of(kind, namespace, app)), [expected], "{namespace} {app}");
        }
    }
    assert_eq!(
        with(REVIEWS, &of("Telemetry", "shop", "x")),
        ["IST0101 Telemetry/p spec.selector.matchLabels"]
    );
    assert!(said(&of("AuthorizationPolicy", "shop", "x")).is_empty(), "nothing is known of workloads");
    let complete = Surroundings { is_complete: true, ..Surroundings::default() };
    assert_eq!(said_of(&of("AuthorizationPolicy", "shop", "x"), &complete).len(), 1);
    let whole = "AuthorizationPolicy idle/p\nspec: {}\n---\n";
    let idle = format!("{REVIEWS}Namespace x/idle\n---\n");
    assert_eq!(with(&idle, whole), ["IST0127 AuthorizationPolicy/p metadata.name"]);
    assert!(with(REVIEWS, whole).is_empty(), "nothing is known of the namespace");
    let deployment = "Deployment shop/d\nspec: {template: {metadata: {labels: {app: d}}}}\n---\n";
    assert!(with(deployment, &of("AuthorizationPolicy", "shop", "d")).is_empty());
}

#[test]
fn targets_namespaces_and_providers_of_policies_exist() {
    let policy = |spec: &str| format!("AuthorizationPolicy shop/p\nspec: {spec}\n---\n");
    let target =
        |name: &str| policy(&format!("{{targetRefs: [{{kind: Service, group: '', name: {name}}}]}}"));
    assert!(with(REVIEWS, &target("reviews")).is_empty());
    assert_eq!(with(REVIEWS, &target("other")), ["IST0101 AuthorizationPolicy/p spec.targetRefs[0].name"]);
    let from = |namespace: &str| {
        policy(&format!("{{rules: [{{from: [{{source: {{namespaces: ['{namespace}']}}}}]}}]}}"))
    };
    let known =
        format!("{REVIEWS}Namespace x/shop\nmetadata: {{labels: {{istio-injection: enabled}}}}\n---\n");
    assert!(with(&known, &from("sh*")).is_empty());
    assert_eq!(
        with(&known, &from("ship")),
        ["IST0101 AuthorizationPolicy/p spec.rules[0].from[0].source.namespaces[0]"]
    );
    assert!(with(REVIEWS, &from("ship")).is_empty(), "no Namespaces are known");
    let mesh = "ConfigMap istio-system/istio\ndata: {mesh: 'extensionProviders: [{name: opa}]'}\n---\n";
    let asks = |name: &str| policy(&format!("{{action: CUSTOM, provider: {{name: {name}}}}}"));
    assert!(with(&format!("{REVIEWS}{mesh}"), &asks("opa")).is_empty());
    assert_eq!(
        with(&format!("{REVIEWS}{mesh}"), &asks("opb")),
        ["IST0101 AuthorizationPolicy/p spec.provider.name"]
    );
    assert!(with(REVIEWS, &asks("opb")).is_empty(), "the mesh configuration is not known");
}

#[test]
fn one_policy_of_a_kind_counts_for_a_whole_namespace() {
    let of = |kind: &str, name: &str| format!("{kind} shop/{name}\nspec: {{}}\n---\n");
    for (kind, code) in [("Telemetry", "IST0160"), ("PeerAuthentication", "TRI0103")] {
        assert!(said(&of(kind, "a")).is_empty());
        let expected = [format!("{code} {kind}/a metadata.name"), format!("{code} {kind}/b metadata.name")];
        assert_eq!(said(&(of(kind, "a") + &of(kind, "b"))), expected);
    }
    let telemetry = |name: &str, labels: &str| {
        format!("Telemetry shop/{name}\nspec: {{selector: {{matchLabels: {labels}}}}}\n---\n")
    };
    let both = telemetry("a", "{app: reviews}") + &telemetry("b", "{version: v1}");
    assert_eq!(
        with(REVIEWS, &both),
        ["IST0159 Telemetry/a metadata.name", "IST0159 Telemetry/b metadata.name"]
    );
}

#[test]
fn a_selector_for_a_gateway_of_the_gateway_api_is_told() {
    let gateway = "KubernetesGateway shop/k\nspec: {listeners: []}\n---\n";
    let policy = "AuthorizationPolicy shop/p\nspec: {selector: {matchLabels: {gateway.networking.k8s.io/gateway-name: k}}}\n---\n";
    assert_eq!(with(gateway, policy), ["IST0166 AuthorizationPolicy/p spec.selector.matchLabels"]);
    let pod = "Pod shop/p\nmetadata: {labels: {gateway.networking.k8s.io/gateway-name: k}}\n---\n";
    assert_eq!(with(pod, policy), ["IST0166 AuthorizationPolicy/p spec.selector.matchLabels"]);
}

#[test]
fn logs_without_a_provider_are_told_where_the_mesh_has_none() {
    let telemetry = "Telemetry shop/t\nspec: {accessLogging: [{}]}\n---\n";
    let mesh = |text: &str| format!("ConfigMap istio-system/istio\ndata: {{mesh: '{text}'}}\n---\n");
    assert_eq!(with(&mesh("enableTracing: true"), telemetry), ["IST0157 Telemetry/t spec.accessLogging[0]"]);
    assert!(with(&mesh("accessLogFile: /dev/stdout"), telemetry).is_empty());
    assert!(with(&mesh("defaultProviders: {accessLogging: [envoy]}"), telemetry).is_empty());
    assert!(said(telemetry).is_empty(), "the mesh configuration is not known");
}

#[test]
fn patches_without_effect_and_those_that_hang_on_order_are_told() {
    let filter = |priority: &str, target: &str, operation: &str| {
        format!(
            "EnvoyFilter shop/f\nspec: {{{priority}configPatches: [{{applyTo: {target}, patch: {{operation: {operation}, value: {{name: x}}}}}}]}}\n---\n"
        )
    };
    let at = "spec.configPatches[0].patch.operation";
    for (target, operation, code) in [
        ("HTTP_ROUTE", "ADD", "IST0153"),
        ("ROUTE_CONFIGURATION", "REMOVE", "IST0154"),
        ("CLUSTER", "REPLACE", "IST0152"),
        ("HTTP_FILTER", "INSERT_BEFORE", "IST0151"),
        ("CLUSTER", "REMOVE", "IST0151"),
    ] {
        assert_eq!(
            said(&filter("", target, operation)),
            [format!("{code} EnvoyFilter/f {at}")],
            "{operation} {target}"
        );
    }
    assert!(said(&filter("priority: 10, ", "HTTP_FILTER", "INSERT_BEFORE")).is_empty());
    assert!(said(&filter("", "HTTP_FILTER", "INSERT_FIRST")).is_empty());
    assert!(said(&filter("", "CLUSTER", "ADD")).is_empty());
}

#[test]
fn names_of_ports_tell_protocols() {
    let service = |port: &str| format!("Service shop/s\nspec: {{ports: [{port}]}}\n---\n");
    for told in [
        "{name: http, port: 80}",
        "{name: grpc-web-x, port: 80}",
        "{name: x, port: 80, appProtocol: http}",
        "{name: x, port: 53, protocol: UDP}",
        "{name: x, port: 3306}",
    ] {
        assert!(said(&service(told)).is_empty(), "{told}");
    }
    for untold in ["{name: web, port: 80}", "{port: 80}", "{name: httpx, port: 80}"] {
        assert_eq!(said(&service(untold)), ["IST0118 Service/s spec.ports[0].name"], "{untold}");
    }
    let external =
        "Service shop/s\nspec: {type: ExternalName, externalName: a.test, ports: [{name: tcp, port: 80}]}\n";
    assert_eq!(said(external), ["IST0150 Service/s spec.ports[0].name"]);
}

#[test]
fn services_of_one_deployment_agree_about_its_ports() {
    let deployment = "Deployment shop/d\nspec: {template: {metadata: {labels: {app: d}}}}\n---\n";
    let service = |name: &str, port: &str| {
        format!("Service shop/{name}\nspec: {{selector: {{app: d}}, ports: [{port}]}}\n---\n")
    };
    let start = format!("{deployment}{}", service("a", "{name: http, port: 80, targetPort: 8080}"));
    assert!(with(&start, &service("b", "{name: http, port: 80, targetPort: 8080}")).is_empty());
    assert_eq!(
        with(&start, &service("b", "{name: http, port: 81, targetPort: 8080}")),
        ["IST0137 Deployment/d metadata.name"]
    );
    assert_eq!(
        with(&start, &service("b", "{name: dns, port: 80, protocol: UDP, targetPort: 53}")),
        ["IST0116 Deployment/d metadata.name"]
    );
}

#[test]
fn entries_agree_about_the_protocol_of_a_port() {
    let entry = |name: &str, protocol: &str, rest: &str| {
        format!(
            "ServiceEntry shop/{name}\nspec: {{hosts: [api.test], ports: [{{number: 443, protocol: {protocol}}}]{rest}}}\n---\n"
        )
    };
    assert!(said(&(entry("a", "TLS", "") + &entry("b", "tls", ""))).is_empty());
    let at = "spec.ports[0].protocol";
    let expected = [format!("IST0177 ServiceEntry/a {at}"), format!("IST0177 ServiceEntry/b {at}")];
    assert_eq!(said(&(entry("a", "TLS", "") + &entry("b", "HTTP", ""))), expected);
    assert!(
        said(&(entry("a", "TLS", ", exportTo: [x]") + &entry("b", "HTTP", ", exportTo: [y]"))).is_empty()
    );
}

#[test]
fn namespaces_say_once_whether_their_pods_get_a_proxy() {
    let namespace = |labels: &str| format!("Namespace x/shop\nmetadata: {{labels: {labels}}}\n---\n");
    assert_eq!(with(REVIEWS, &namespace("{}")), ["IST0102 Namespace/shop metadata.name"]);
    for told in [
        "{istio-injection: enabled}",
        "{istio-injection: disabled}",
        "{istio.io/rev: canary}",
        "{istio-injection: disabled, istio.io/rev: canary}",
    ] {
        assert!(with(REVIEWS, &namespace(told)).is_empty(), "{told}");
    }
    let both = "{istio-injection: enabled, istio.io/rev: canary}";
    assert_eq!(with(REVIEWS, &namespace(both)), ["IST0123 Namespace/shop metadata.labels"]);
    assert!(said(&namespace("{}")).is_empty(), "nothing runs there");
}

#[test]
fn pods_that_run_without_their_proxy_or_as_its_user_are_told() {
    let namespace = "Namespace x/shop\nmetadata: {labels: {istio-injection: enabled}}\n---\n";
    let pod = |rest: &str| format!("{namespace}Pod shop/p\n{rest}\n---\n");
    let complete = Surroundings { is_complete: true, ..Surroundings::default() };
    assert_eq!(
        said_of(&pod("spec: {containers: [{name: app}]}"), &complete),
        ["IST0103 Pod/p metadata.name"]
    );
    for fine in [
        "spec: {containers: [{name: istio-proxy}]}",
        "spec: {initContainers: [{name: istio-proxy}]}",
        "metadata: {labels: {sidecar.istio.io/inject: 'false'}}",
        "spec: {hostNetwork: true}",
    ] {
        assert!(said_of(&pod(fine), &complete).is_empty(), "{fine}");
    }
    assert!(
        said(&pod("spec: {containers: [{name: app}]}")).is_empty(),
        "what is in a file gets its proxy later"
    );
    let deployment = "Deployment shop/d\nspec: {template: {spec: {containers: [{name: app, securityContext: {runAsUser: 1337}}]}}}\n";
    assert_eq!(
        said(deployment),
        ["IST0144 Deployment/d spec.template.spec.containers[0].securityContext.runAsUser"]
    );
}

#[test]
fn what_makes_no_sense_is_passed_over() {
    for text in [
        "null",
        "[]",
        "7",
        "{}",
        "{kind: 7, metadata: []}",
        "{kind: Gateway, apiVersion: networking.istio.io/v1, metadata: {name: a}, spec: {servers: {}}}",
    ] {
        let object = config::yaml::documents(text).unwrap().remove(0);
        assert!(across(&[object], &Surroundings::default()).is_empty(), "{text}");
    }
}

#[test]
fn many_objects_that_all_conflict_are_judged_in_bounded_output() {
    let one = routes("shop/a", "{hosts: [reviews], http: [{route: [{destination: {host: reviews}}]}]}");
    let mut objects = objects(REVIEWS);
    for number in 0..2000 {
        let mut object = object(one.trim_end_matches("---\n"));
        object["metadata"]["name"] = format!("a{number}").into();
        objects.push(object);
    }
    let found = across(&objects, &Surroundings::default());
    assert_eq!(found.len(), 2000);
    assert!(found.iter().all(|(_, finding)| finding.message.len() < 1000));
}
