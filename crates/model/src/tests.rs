//! Rules of the vocabulary.

use super::*;

#[test]
fn wildcards_overlap_by_suffix_and_not_with_their_own_domain() {
    let wild = Host::from("*.foo.com");
    assert!(wild.matches("a.foo.com"));
    assert!(wild.matches("*.com"));
    assert!(!wild.matches("foo.com"));
    assert!(Host::from("a.foo.com").subset_of("*.foo.com"));
    assert!(!wild.subset_of("a.foo.com"));
    assert!(wild.subset_of("*"));
}

#[test]
fn port_protocol_follows_transport_app_protocol_name_and_number() {
    let of = Protocol::of_service_port;
    assert_eq!(of(80, "http2-x", "TCP", None), Protocol::Http2);
    assert_eq!(of(80, "HTTP", "TCP", None), Protocol::Http);
    assert_eq!(of(80, "foo", "TCP", None), Protocol::Unsupported);
    assert_eq!(of(3306, "", "TCP", None), Protocol::Tcp);
    assert_eq!(of(80, "tcp-x", "TCP", Some("kubernetes.io/h2c")), Protocol::Http2);
    assert_eq!(of(80, "grpc-web-ui", "TCP", None), Protocol::GrpcWeb);
    assert_eq!(of(53, "http-dns", "UDP", None), Protocol::Udp);
}

#[test]
fn an_empty_selector_selects_everything_for_istio_and_nothing_for_a_service() {
    let labels = Labels::from([("app", "a")]);
    let empty = std::collections::BTreeMap::new();
    assert!(labels.selected_by(&empty));
    assert!(!labels.selected_by_service(&empty));
}

#[test]
fn localities_print_without_trailing_empty_parts() {
    assert_eq!(Locality::parse("r/z").to_string(), "r/z");
    assert_eq!(Locality::parse_label("r.z.s").to_string(), "r/z/s");
    assert_eq!(Locality::default().to_string(), "");
}
