//! State of the world (platform specification, 2.4).

use super::*;
use xds::Outcome;
use xds::ResourceType::{Cluster, Endpoint, Listener, Route};

fn world() -> Snapshot {
    snapshot(&[
        (Cluster, "a", 1),
        (Cluster, "b", 1),
        (Endpoint, "a", 1),
        (Endpoint, "b", 1),
        (Listener, "l", 1),
        (Route, "r", 1),
    ])
}

#[test]
fn types_are_answered_in_the_order_that_envoy_needs() {
    let mut session = session(Protocol::Sotw);
    for request in [ask(Route, &["r"]), ask(Listener, &[]), ask(Endpoint, &["a"]), ask(Cluster, &[])] {
        assert_eq!(session.on_request(request), Outcome::Subscribed);
    }
    assert_eq!(sent(&mut session, &world()), ["cds a,b", "eds a", "lds l", "rds r"]);
    assert!(sent(&mut session, &world()).is_empty());
}

#[test]
fn an_acknowledgement_is_silent_and_an_added_name_is_answered_alone() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Endpoint, &["a"]));
    session.next(&world());
    assert_eq!(session.on_request(after("n-1", ask(Endpoint, &["a"]))), Outcome::Acknowledged);
    assert!(sent(&mut session, &world()).is_empty());
    assert_eq!(session.on_request(after("n-1", ask(Endpoint, &["a", "b"]))), Outcome::Subscribed);
    assert_eq!(sent(&mut session, &world()), ["eds b"]);
    assert_eq!(session.on_request(after("n-2", ask(Endpoint, &["b"]))), Outcome::Acknowledged);
    assert!(sent(&mut session, &world()).is_empty());
}

#[test]
fn a_name_that_is_not_known_is_answered_by_something_empty_until_it_is() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Endpoint, &["a", "later"]));
    session.on_request(ask(Route, &["other"]));
    let responses = session.next(&world());
    let names: Vec<Vec<&str>> =
        responses.iter().map(|response| response.resources.iter().map(|r| &**r.name()).collect()).collect();
    assert_eq!(names, [vec!["a", "later"], vec!["other"]]);
    let any = |body: &[u8]| String::from_utf8_lossy(body).into_owned();
    assert!(any(&responses[0].resources[1].body().whole()).contains("ClusterLoadAssignment"));
    assert!(any(&responses[1].resources[0].body().whole()).contains("RouteConfiguration"));
    assert!(sent(&mut session, &world()).is_empty());
    assert_eq!(sent(&mut session, &changed(&world(), &[(Endpoint, "later", 1)])), ["eds later"]);
}

#[test]
fn endpoints_that_are_gone_become_none_and_routes_stay_while_connections_drain() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Endpoint, &["a", "b"]));
    session.on_request(ask(Route, &["r"]));
    session.next(&world());
    let mut builder = world().to_builder();
    let gone = builder.remove(Endpoint, "a").remove(Route, "r").clone().build();
    let responses = session.next(&gone);
    let names: Vec<(&str, &str)> = responses
        .iter()
        .flat_map(|response| {
            response.resources.iter().map(|r| (response.resource_type.short_name(), &**r.name()))
        })
        .collect();
    assert_eq!(names, [("eds", "a")]);
    assert!(sent(&mut session, &gone).is_empty());
}

#[test]
fn naming_nothing_ends_a_subscription_by_name() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Route, &["r"]));
    session.next(&world());
    assert_eq!(session.on_request(after("n-1", ask(Route, &[]))), Outcome::Unsubscribed);
    assert!(sent(&mut session, &changed(&world(), &[(Route, "r", 2)])).is_empty());
}

#[test]
fn an_unknown_nonce_on_a_new_watch_is_answered_and_a_stale_one_is_dropped() {
    let mut session = session(Protocol::Sotw);
    session.on_request(after("of another stream", ask(Cluster, &[])));
    assert_eq!(sent(&mut session, &world()), ["cds a,b"]);
    session.next(&changed(&world(), &[(Cluster, "c", 1)]));
    assert_eq!(session.on_request(after("n-1", ask(Cluster, &[]))), Outcome::Stale);
    assert_eq!(session.on_request(after("n-2", ask(Cluster, &[]))), Outcome::Acknowledged);
}

#[test]
fn a_changed_cluster_brings_its_endpoints_once_more() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Cluster, &[]));
    session.next(&world());
    session.on_request(ask(Endpoint, &["a", "b"]));
    session.next(&world());
    let newer = changed(&world(), &[(Cluster, "b", 2)]);
    assert_eq!(sent(&mut session, &newer), ["cds a,b", "eds b"]);
    session.on_request(ask(Cluster, &[]));
    assert_eq!(sent(&mut session, &newer), ["cds a,b", "eds a,b"], "a new watch on clusters");
}

#[test]
fn only_what_changed_is_sent_of_types_that_allow_it() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Endpoint, &["a", "b"]));
    session.next(&world());
    assert_eq!(sent(&mut session, &changed(&world(), &[(Endpoint, "b", 2)])), ["eds b"]);
}

#[test]
fn the_last_cluster_to_go_leaves_an_empty_response() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Cluster, &[]));
    session.next(&world());
    let mut builder = world().to_builder();
    builder.clear(Cluster);
    assert_eq!(sent(&mut session, &builder.build()), ["cds "]);
}

#[test]
fn listeners_can_be_subscribed_to_by_name() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Listener, &["x", "l"]));
    assert_eq!(sent(&mut session, &world()), ["lds l"]);
    assert!(sent(&mut session, &changed(&world(), &[(Listener, "other", 1)])).is_empty());
    session.on_request(after("n-1", ask(Listener, &[])));
    assert!(sent(&mut session, &changed(&world(), &[(Listener, "l", 2)])).is_empty());
}

#[test]
fn a_rejection_is_kept_with_the_resources_it_names_until_they_change() {
    let mut session = session(Protocol::Sotw);
    session.on_request(ask(Cluster, &[]));
    session.next(&world());
    let request = nack("Error adding/updating cluster(s) b: nonsense", ask(Cluster, &[]));
    let outcome = session.on_request(after("n-1", request));
    assert!(matches!(&outcome, Outcome::Rejected(rejection) if rejection.names == ["b".into()]));
    assert!(session.next(&world()).is_empty(), "no reply");
    let status = session.status().remove(0);
    assert_eq!(status.state(), xds::SyncState::Error);
    assert_eq!((status.n_rejections, status.rejected.len()), (1, 1));
    assert_eq!(session.on_request(after("n-1", ask(Cluster, &[]))), Outcome::Acknowledged);
    assert_ne!(session.status()[0].state(), xds::SyncState::Synced, "that was no acceptance");
    session.next(&changed(&world(), &[(Cluster, "b", 2)]));
    session.on_request(after("n-2", ask(Cluster, &[])));
    let status = session.status().remove(0);
    assert_eq!(status.state(), xds::SyncState::Synced);
    assert!(status.rejected.is_empty());
    assert!(status.last_rejection.is_some());
}
