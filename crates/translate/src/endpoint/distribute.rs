//! `localityLbSetting.distribute`: stated shares of the traffic for localities (spec 2.4; row E12). Localities that no
//! share mentions stay, without endpoints.

use std::collections::BTreeMap;

use model::Locality;

use super::group::Group;

/// Whether `region/zone/subzone`, any part of which may be `*` or missing, covers a locality.
pub(super) fn covers(pattern: &str, locality: &Locality) -> bool {
    let Locality { region, zone, subzone } = Locality::parse(pattern);
    (region == "*" || region == locality.region)
        && (zone.is_empty() || zone == "*" || zone == locality.zone)
        && (subzone.is_empty() || subzone == "*" || subzone == locality.subzone)
}

/// Gives groups their shares; of several that cover a group the first one counts, where a pattern with fewer
/// wildcards goes first.
pub(super) fn apply<'a>(shares: &BTreeMap<String, u32>, mut groups: Vec<Group<'a>>) -> Vec<Group<'a>> {
    let mut shares: Vec<_> = shares.iter().collect();
    shares.sort_by_key(|(pattern, _)| {
        let Locality { region, zone, subzone } = Locality::parse(pattern);
        [region, zone, subzone].iter().filter(|part| part.is_empty() || *part == "*").count()
    });
    let mut claimed = vec![false; groups.len()];
    for (pattern, share) in shares {
        let covered: Vec<usize> = (0..groups.len())
            .filter(|index| !claimed[*index] && covers(pattern, &groups[*index].locality))
            .collect();
        let weight = |group: &Group<'_>| u64::from(group.weight.unwrap_or(1));
        let total: u64 = covered.iter().map(|index| weight(&groups[*index])).sum();
        for index in covered {
            claimed[index] = true;
            let part = (weight(&groups[index]) * u64::from(*share)).div_ceil(total.max(1));
            if part > 0 {
                groups[index].weight = u32::try_from(part).ok();
            }
        }
    }
    for (group, claimed) in groups.iter_mut().zip(claimed) {
        if !claimed {
            group.members.clear();
        }
    }
    groups
}
