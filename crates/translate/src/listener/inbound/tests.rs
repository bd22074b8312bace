use mesh::MtlsMode;
use model::Protocol;

use super::matrix::chains;

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
