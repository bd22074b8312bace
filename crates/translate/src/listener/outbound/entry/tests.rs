//! The table of conflicts, cell by cell.

use model::Protocol;

use super::super::bind::Bind;
use super::super::chain::{Chain, Content, HttpContent, TcpContent};
use super::Entries;
use crate::listener::tcp_proxy::TcpProxy;

fn tcp(cluster: &str, names: &[&str], ranges: &[&str]) -> Chain {
    let text = |list: &[&str]| list.iter().map(|t| (*t).to_owned()).collect();
    Chain {
        server_names: text(names),
        ranges: text(ranges),
        ..Chain::of(Content::Tcp(TcpContent { proxy: TcpProxy::to(cluster), protocol: None, resolves: None }))
    }
}

fn http(route: &str, sniffed: bool) -> Chain {
    let content = HttpContent { route: route.to_owned(), protocol: Protocol::Http, resolves: None };
    Chain { sniffed_http: sniffed, ..Chain::of(Content::Http(content)) }
}

/// What remains in the one listener that all of these are meant for: its protocol, and a word for each chain.
fn meet(arrivals: Vec<(Protocol, Vec<Chain>)>) -> (Protocol, Vec<String>) {
    let mut entries = Entries::default();
    for (protocol, chains) in arrivals {
        let bind = Bind { addresses: vec!["0.0.0.0".to_owned()], to_port: false };
        let speaks = if chains.iter().any(|c| c.sniffed_http) { Protocol::Unsupported } else { protocol };
        entries.add(bind, 80, protocol, speaks, chains);
    }
    let entry = entries.into_entries().next().expect("one listener");
    let word = |chain: &Chain| match &chain.content {
        Content::Http(http) => http.route.clone(),
        Content::Tcp(tcp) => tcp.proxy.stat_prefix.clone(),
    };
    (entry.protocol, entry.chains.iter().map(word).collect())
}

#[test]
fn http_services_of_one_port_share_one_chain() {
    let (_, chains) =
        meet(vec![(Protocol::Http, vec![http("80", true)]), (Protocol::Grpc, vec![http("80", true)])]);
    assert_eq!(chains, ["80"]);
}

#[test]
fn tcp_joins_a_sniffed_http_port_and_http_a_tcp_port() {
    let joined = meet(vec![
        (Protocol::Http, vec![http("80", true)]),
        (Protocol::Tcp, vec![tcp("a", &[], &[])]),
        (Protocol::Tcp, vec![tcp("b", &[], &[])]),
    ]);
    assert_eq!(joined, (Protocol::Unsupported, vec!["80".to_owned(), "a".to_owned()]));
    let joined =
        meet(vec![(Protocol::Tcp, vec![tcp("a", &[], &[])]), (Protocol::Http, vec![http("80", true)])]);
    assert_eq!(joined, (Protocol::Unsupported, vec!["a".to_owned(), "80".to_owned()]));
}

#[test]
fn chains_of_tcp_services_stay_apart_by_names_and_ranges() {
    let (protocol, chains) = meet(vec![
        (Protocol::Tls, vec![tcp("a", &["x", "y"], &[])]),
        (Protocol::Tls, vec![tcp("same names in another order", &["y", "x"], &[])]),
        (Protocol::Tls, vec![tcp("b", &["x"], &[])]),
        (Protocol::Tcp, vec![tcp("c", &[], &["10.1.0.0/8"])]),
        (Protocol::Tcp, vec![tcp("the same range", &[], &["10.2.0.0/8"])]),
    ]);
    assert_eq!((protocol, chains), (Protocol::Tls, vec!["a".to_owned(), "b".to_owned(), "c".to_owned()]));
}

#[test]
fn an_undeclared_port_takes_over_plain_http_and_yields_to_another_undeclared_one() {
    let undeclared = |name: &str| (Protocol::Unsupported, vec![tcp(name, &[], &[]), http(name, true)]);
    let (_, chains) = meet(vec![(Protocol::Http, vec![http("80", false)]), undeclared("a")]);
    assert_eq!(chains, ["a", "a"]);
    let (_, chains) = meet(vec![undeclared("a"), undeclared("b")]);
    assert_eq!(chains, ["a", "a"]);
}

#[test]
fn protocols_whose_server_speaks_first_share_with_nobody() {
    let (protocol, chains) = meet(vec![
        (Protocol::MySql, vec![tcp("mysql", &[], &[])]),
        (Protocol::Http, vec![http("80", true)]),
        (Protocol::Tcp, vec![tcp("other", &[], &["10.0.0.0/8"])]),
    ]);
    assert_eq!((protocol, chains), (Protocol::MySql, vec!["mysql".to_owned()]));
}

#[test]
fn a_locked_listener_takes_nothing_more() {
    let bind = Bind { addresses: vec!["0.0.0.0".to_owned()], to_port: false };
    let mut entries = Entries::default();
    entries.add(bind.clone(), 80, Protocol::Tcp, Protocol::Tcp, vec![tcp("a", &["x"], &[])]);
    entries.lock();
    entries.add(bind, 80, Protocol::Tcp, Protocol::Tcp, vec![tcp("b", &["y"], &[])]);
    assert_eq!(entries.into_entries().map(|entry| entry.chains.len()).sum::<usize>(), 1);
}
