//! What chains a port must never have, and where inspectors stay away.

use mesh::MtlsMode;
use model::Protocol;

use super::inspectors;
use super::matrix::chains;
use proto::envoy::google::uint32;
use proto::envoy::listener::listener_filter_chain_match_predicate::Rule;
use proto::envoy::listener::{FilterChain, FilterChainMatch};

#[test]
fn a_strict_port_has_no_plaintext_chain() {
    for protocol in [Protocol::Http, Protocol::Tcp, Protocol::Unsupported] {
        assert!(chains(MtlsMode::Strict, protocol).iter().all(|chain| chain.terminates));
    }
}

#[test]
fn an_unknown_mode_is_plaintext_alone() {
    for protocol in [Protocol::Http, Protocol::Tcp, Protocol::Unsupported] {
        let all = chains(MtlsMode::Unknown, protocol);
        assert!(all.iter().all(|chain| chain.transport == "raw_buffer" && !chain.terminates));
    }
}

fn chain(port: Option<u32>, transport: &str) -> FilterChain {
    FilterChain {
        filter_chain_match: Some(FilterChainMatch {
            destination_port: port.map(uint32),
            transport_protocol: transport.to_owned(),
            ..Default::default()
        }),
        ..Default::default()
    }
}

#[test]
fn tls_is_sniffed_on_the_named_ports_alone_when_the_others_are_plaintext() {
    let filters = inspectors::filters(&[chain(None, "raw_buffer"), chain(Some(8443), "tls")]);
    let rule = filters[0].filter_disabled.as_ref().and_then(|predicate| predicate.rule.as_ref());
    assert!(matches!(rule, Some(Rule::NotMatch(_))), "{rule:?}");
}

#[test]
fn plaintext_ports_that_guess_nothing_have_no_inspector() {
    assert!(inspectors::filters(&[chain(Some(80), "raw_buffer")]).is_empty());
}
