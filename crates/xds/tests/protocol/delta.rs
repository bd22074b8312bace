//! Delta (platform specification, 2.5).

use super::*;
use xds::Outcome;
use xds::ResourceType::{Cluster, Endpoint, ExtensionConfig, Listener};

fn world() -> Snapshot {
    snapshot(&[
        (Cluster, "a", 1),
        (Cluster, "b", 1),
        (Endpoint, "a", 1),
        (Endpoint, "b", 1),
        (Listener, "l", 1),
    ])
}

fn versions(entries: &[(&str, u32)]) -> std::collections::BTreeMap<String, String> {
    entries.iter().map(|(name, version)| ((*name).to_owned(), resource(name, *version).version())).collect()
}

#[test]
fn changes_and_removals_are_sent_alone() {
    let mut session = session(Protocol::Delta);
    session.on_request(ask(Cluster, &[]));
    assert_eq!(sent(&mut session, &world()), ["cds a,b"]);
    let mut builder = changed(&world(), &[(Cluster, "c", 1)]).to_builder();
    builder.remove(Cluster, "a");
    assert_eq!(sent(&mut session, &builder.build()), ["cds c -a"]);
}

#[test]
fn after_a_reconnect_nothing_unchanged_is_sent_again() {
    let mut session = session(Protocol::Delta);
    let initial_versions = versions(&[("a", 1), ("b", 7), ("gone", 1)]);
    session.on_request(Request { initial_versions, ..ask(Cluster, &[]) });
    assert_eq!(sent(&mut session, &world()), ["cds b -gone"]);
    let initial_versions = versions(&[("a", 1), ("b", 1)]);
    session.on_request(Request { initial_versions, ..ask(Endpoint, &["a", "b"]) });
    assert_eq!(sent(&mut session, &world()), ["eds b"], "the cluster b was sent, so it awaits its endpoints");
    let initial_versions = versions(&[("l", 1)]);
    session.on_request(Request { initial_versions, ..ask(Listener, &[]) });
    assert_eq!(sent(&mut session, &world()), ["lds "], "a first request is answered all the same");
}

#[test]
fn subscribing_again_brings_a_resource_again_and_an_unknown_one_is_reported_gone() {
    let mut session = session(Protocol::Delta);
    session.on_request(ask(Endpoint, &["a", "nobody"]));
    assert_eq!(sent(&mut session, &world()), ["eds a -nobody"]);
    session.on_request(ask(Endpoint, &["a"]));
    assert_eq!(sent(&mut session, &world()), ["eds a"]);
    assert_eq!(sent(&mut session, &changed(&world(), &[(Endpoint, "nobody", 1)])), ["eds nobody"]);
}

#[test]
fn a_subscription_in_a_stale_request_still_counts() {
    let mut session = session(Protocol::Delta);
    session.on_request(ask(Endpoint, &["a"]));
    session.next(&world());
    let newer = changed(&world(), &[(Endpoint, "a", 2)]);
    session.next(&newer);
    assert_eq!(session.on_request(after("n-1", ask(Endpoint, &["b"]))), Outcome::Stale);
    assert_eq!(sent(&mut session, &newer), ["eds b"]);
    assert_eq!(session.on_request(after("n-3", ask(Endpoint, &[]))), Outcome::Acknowledged);
}

#[test]
fn unsubscribed_names_are_not_sent_any_more() {
    let mut session = session(Protocol::Delta);
    session.on_request(ask(Endpoint, &["a", "b"]));
    session.next(&world());
    let request = Request { unsubscribe: vec!["a".into()], ..ask(Endpoint, &[]) };
    assert_eq!(session.on_request(request), Outcome::Unsubscribed);
    let newer = changed(&world(), &[(Endpoint, "a", 2), (Endpoint, "b", 2)]);
    assert_eq!(sent(&mut session, &newer), ["eds b"]);
}

#[test]
fn a_star_taken_back_at_once_wants_nothing() {
    let mut session = session(Protocol::Delta);
    session.on_request(Request { unsubscribe: vec!["*".into()], ..ask(Cluster, &["*"]) });
    assert_eq!(sent(&mut session, &world()), ["cds "]);
    session.on_request(ask(Cluster, &["*"]));
    assert_eq!(sent(&mut session, &world()), ["cds a,b"]);
}

#[test]
fn extension_configurations_are_never_removed() {
    let mut session = session(Protocol::Delta);
    let world = snapshot(&[(ExtensionConfig, "x", 1)]);
    session.on_request(ask(ExtensionConfig, &["x"]));
    session.next(&world);
    assert!(sent(&mut session, &Snapshot::default()).is_empty());
}

#[test]
fn a_changed_cluster_brings_its_endpoints_once_more() {
    let mut session = session(Protocol::Delta);
    session.on_request(ask(Cluster, &[]));
    session.on_request(ask(Endpoint, &["a", "b"]));
    session.next(&world());
    assert_eq!(sent(&mut session, &changed(&world(), &[(Cluster, "b", 2)])), ["cds b", "eds b"]);
}
