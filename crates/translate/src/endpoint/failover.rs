//! Priorities by nearness (spec 2.4; rows E10, E13, E14): by locality, by labels, or by labels and then by locality.
//! Priorities are numbered without gaps.

use std::collections::BTreeMap;

use model::{Labels, Locality};

use super::balance::Localities;
use super::group::{Group, Member};

/// Same sub-zone first, then same zone, same region, the region to fail over to, all others.
pub(super) fn by_locality<'a>(rule: &Localities, mut groups: Vec<Group<'a>>) -> Vec<Group<'a>> {
    for group in &mut groups {
        group.priority = group.priority * 5 + distance(rule, &group.locality);
    }
    compacted(groups)
}

fn distance(rule: &Localities, other: &Locality) -> u32 {
    let own = &rule.locality;
    if own.region == other.region {
        return match (own.zone == other.zone, own.subzone == other.subzone) {
            (true, true) => 0,
            (true, false) => 1,
            (false, _) => 2,
        };
    }
    match &rule.to {
        Some(to) if *to != other.region => 4,
        _ => 3,
    }
}

/// Splits every group by how many of the keys, in order, endpoints share with the proxy.
pub(super) fn by_labels<'a>(proxy: &Labels, keys: &[String], groups: Vec<Group<'a>>) -> Vec<Group<'a>> {
    let mut split = Vec::new();
    for group in groups {
        let mut by_priority: BTreeMap<u32, Vec<Member<'a>>> = BTreeMap::new();
        for member in group.members {
            by_priority.entry(mismatch(proxy, keys, &member.endpoint.labels)).or_default().push(member);
        }
        let locality = &group.locality;
        split.extend(
            by_priority
                .into_iter()
                .map(|(priority, members)| Group::new(locality.clone(), members, priority)),
        );
    }
    compacted(split)
}

/// Zero if all keys agree, else how many are left from the first that does not.
fn mismatch(proxy: &Labels, keys: &[String], endpoint: &Labels) -> u32 {
    let agrees = |key: &String| {
        let (key, wanted) = match key.split_once('=') {
            Some((key, value)) => (key, value),
            None => (key.as_str(), proxy.value(key).unwrap_or_default()),
        };
        endpoint.value(key).unwrap_or_default() == wanted
    };
    let first = keys.iter().position(|key| !agrees(key));
    first.map_or(0, |first| u32::try_from(keys.len() - first).unwrap_or(u32::MAX))
}

fn compacted(mut groups: Vec<Group<'_>>) -> Vec<Group<'_>> {
    let mut priorities: Vec<u32> = groups.iter().map(|group| group.priority).collect();
    priorities.sort_unstable();
    priorities.dedup();
    for group in &mut groups {
        let rank = priorities.partition_point(|priority| *priority < group.priority);
        group.priority = u32::try_from(rank).unwrap_or(u32::MAX);
    }
    groups
}
