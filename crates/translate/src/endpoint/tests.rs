//! Rules about names of clusters and nearness.

use model::{Labels, Locality};

use super::ClusterName;
use super::balance::Localities;
use super::distribute::covers;
use super::failover;
use super::group::Group;

fn group(region: &str, zone: &str, subzone: &str) -> Group<'static> {
    let locality = Locality { region: region.to_owned(), zone: zone.to_owned(), subzone: subzone.to_owned() };
    Group::new(locality, Vec::new(), 0)
}

#[test]
fn names_of_clusters_are_read_in_both_forms() {
    let plain = ClusterName::parse("outbound|9080|v1|reviews.default.svc.cluster.local").unwrap();
    assert_eq!((plain.port, plain.subset, plain.server_name), (9080, "v1", false));
    let sni = ClusterName::parse("outbound_.9080_._.reviews.default.svc.cluster.local").unwrap();
    assert_eq!((sni.subset, sni.host, sni.server_name), ("", "reviews.default.svc.cluster.local", true));
    assert_eq!(ClusterName::parse("inbound|9080||"), None);
}

#[test]
fn priorities_by_locality_have_no_gaps_and_prefer_the_region_to_fail_over_to() {
    let locality = Locality::parse("a/1/x");
    let groups = vec![group("c", "1", ""), group("a", "1", "x"), group("b", "1", ""), group("a", "2", "")];
    let rule = Localities { locality, to: Some("b".to_owned()) };
    let groups = failover::by_locality(&rule, groups);
    assert_eq!(groups.iter().map(|g| g.priority).collect::<Vec<_>>(), [3, 0, 2, 1]);
}

#[test]
fn groups_without_endpoints_vanish_when_labels_decide() {
    let groups = failover::by_labels(&Labels::default(), &["version".to_owned()], vec![group("a", "", "")]);
    assert!(groups.is_empty());
}

#[test]
fn missing_parts_of_a_locality_pattern_cover_everything() {
    let locality = Locality::parse("a/1/x");
    assert!(covers("a", &locality) && covers("a/*", &locality) && covers("*", &locality));
    assert!(!covers("a/2", &locality));
}
