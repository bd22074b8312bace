//! Which rules come of which settings, as `iptables-restore` is given them.

use super::*;

fn settings() -> Settings {
    Settings {
        outbound_port: "15001".to_owned(),
        inbound_port: "15006".to_owned(),
        tunnel_port: "15008".to_owned(),
        uids: vec!["1337".to_owned()],
        gids: Vec::new(),
        tproxy: false,
        mark: "1337".to_owned(),
        inbound_ports: vec!["*".to_owned()],
        inbound_excluded: vec!["15021".to_owned()],
        interfaces_excluded: Vec::new(),
        ranges: Ranges::All,
        ranges_excluded: Vec::new(),
        outbound_ports: Vec::new(),
        outbound_excluded: Vec::new(),
        virtual_interfaces: Vec::new(),
        groups: Groups::AllBut(Vec::new()),
        dns: None,
        drop_invalid: false,
    }
}

/// The rules of one chain.
fn chain(settings: &Settings, family: Family, table: &str, chain: &str) -> Vec<String> {
    let rules = settings.rules(family).0.into_iter();
    rules.filter(|rule| (rule.table, rule.chain) == (table, chain)).map(|rule| rule.text).collect()
}

#[test]
fn everything_is_redirected_but_what_the_proxy_sends() {
    let expected = "\
*nat
-N ISTIO_INBOUND
-N ISTIO_IN_REDIRECT
-N ISTIO_OUTPUT
-N ISTIO_REDIRECT
-A ISTIO_INBOUND -p tcp --dport 15008 -j RETURN
-A ISTIO_REDIRECT -p tcp -j REDIRECT --to-ports 15001
-A ISTIO_IN_REDIRECT -p tcp -j REDIRECT --to-ports 15006
-A PREROUTING -p tcp -j ISTIO_INBOUND
-A ISTIO_INBOUND -p tcp --dport 15021 -j RETURN
-A ISTIO_INBOUND -p tcp -j ISTIO_IN_REDIRECT
-A OUTPUT -j ISTIO_OUTPUT
-A ISTIO_OUTPUT -o lo -s 127.0.0.6/32 -j RETURN
-A ISTIO_OUTPUT -o lo ! -d 127.0.0.1/32 -p tcp ! --dport 15008 -m owner --uid-owner 1337 -j ISTIO_IN_REDIRECT
-A ISTIO_OUTPUT -o lo -m owner ! --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -m owner --uid-owner 1337 -j RETURN
-A ISTIO_OUTPUT -d 127.0.0.1/32 -j RETURN
-A ISTIO_OUTPUT -j ISTIO_REDIRECT
COMMIT
";
    assert_eq!(settings().rules(Family::V4).to_restore(), expected);
}

#[test]
fn named_ports_and_ranges_alone_are_redirected() {
    let range = |text: &str| {
        let address = text.split('/').next().and_then(|address| address.parse().ok()).expect("an address");
        (address, text.to_owned())
    };
    let settings = Settings {
        inbound_ports: vec!["80".to_owned(), "81".to_owned()],
        ranges: Ranges::These(vec![range("10.0.0.0/8"), range("fd00::/8")]),
        ranges_excluded: vec![range("10.1.0.0/16")],
        outbound_ports: vec!["9000".to_owned()],
        outbound_excluded: vec!["22".to_owned()],
        ..settings()
    };
    assert_eq!(
        chain(&settings, Family::V4, "nat", INBOUND),
        [
            "-p tcp --dport 15008 -j RETURN",
            "-p tcp --dport 80 -j ISTIO_IN_REDIRECT",
            "-p tcp --dport 81 -j ISTIO_IN_REDIRECT"
        ]
    );
    let output = chain(&settings, Family::V4, "nat", OUTPUT);
    assert_eq!(output[..2], ["-p tcp --dport 22 -j RETURN", "-p udp --dport 22 -j RETURN"]);
    let last = &output[output.len() - 3..];
    assert_eq!(
        last,
        [
            "-d 10.1.0.0/16 -j RETURN",
            "-p tcp --dport 9000 -j ISTIO_REDIRECT",
            "-d 10.0.0.0/8 -j ISTIO_REDIRECT"
        ]
    );
    let output = chain(&settings, Family::V6, "nat", OUTPUT);
    assert_eq!(output.last().map(String::as_str), Some("-d fd00::/8 -j ISTIO_REDIRECT"));
}

#[test]
fn nothing_inbound_is_touched_where_no_port_is_named() {
    let settings = Settings { inbound_ports: Vec::new(), ..settings() };
    assert!(chain(&settings, Family::V4, "nat", "PREROUTING").is_empty());
}

#[test]
fn tproxy_marks_packets_and_leaves_those_that_it_has_marked() {
    let settings = Settings { tproxy: true, ..settings() };
    assert_eq!(
        chain(&settings, Family::V4, "mangle", INBOUND),
        [
            "-p tcp -m mark --mark 1337 -j RETURN",
            "-p tcp -s 127.0.0.6/32 -i lo -j RETURN",
            "-p tcp -i lo -m mark ! --mark 1338 -j RETURN",
            "-p tcp --dport 15021 -j RETURN",
            "-p tcp -m conntrack --ctstate RELATED,ESTABLISHED -j ISTIO_DIVERT",
            "-p tcp -j ISTIO_TPROXY",
        ]
    );
    assert!(chain(&settings, Family::V4, "nat", "PREROUTING").is_empty());
}

#[test]
fn questions_for_names_go_to_the_agent_but_for_its_own() {
    let server = "10.0.0.53".parse().expect("an address");
    let settings = Settings { dns: Some(Dns::Servers(vec![server])), ..settings() };
    assert_eq!(
        chain(&settings, Family::V4, "nat", OUTPUT_DNS),
        [
            "-p tcp --dport 53 -d 10.0.0.53/32 -j REDIRECT --to-ports 15053",
            "-p udp --dport 53 -d 10.0.0.53/32 -j REDIRECT --to-ports 15053"
        ]
    );
    let output = chain(&settings, Family::V4, "nat", OUTPUT);
    let at = |part: &str| output.iter().position(|rule| rule.contains(part)).expect(part);
    assert!(at("-m owner --uid-owner 1337 -j RETURN") < at("ISTIO_OUTPUT_DNS"));
    assert!(at("ISTIO_OUTPUT_DNS") < at("-d 127.0.0.1/32 -j RETURN"));
    // No server of that family, no way to the chain.
    assert!(chain(&settings, Family::V6, "nat", OUTPUT_DNS).is_empty());
    assert!(chain(&settings, Family::V6, "raw", "PREROUTING").is_empty());
}

#[test]
fn groups_may_stay_out_or_be_the_only_ones() {
    let out = Settings { groups: Groups::AllBut(vec!["7".to_owned()]), ..settings() };
    assert!(chain(&out, Family::V4, "nat", OUTPUT).contains(&"-m owner --gid-owner 7 -j RETURN".to_owned()));
    let only = Settings { groups: Groups::These(vec!["7".to_owned(), "8".to_owned()]), ..settings() };
    let rule = "-m owner ! --gid-owner 7 -m owner ! --gid-owner 8 -j RETURN".to_owned();
    assert!(chain(&only, Family::V4, "nat", OUTPUT).contains(&rule));
}
