//! The user and group of the proxy: 1337, or on OpenShift the last of the range that the namespace was given.

use std::collections::BTreeMap;

const DEFAULT: i64 = 1337;
const USERS: &str = "openshift.io/sa.scc.uid-range";
const GROUPS: &str = "openshift.io/sa.scc.supplemental-groups";

/// Whom the proxy runs as.
pub(crate) struct Ids {
    pub(crate) user: i64,
    pub(crate) group: i64,
}

/// Reads the annotations of a namespace, if they count here.
pub(crate) fn ids(annotations: Option<&BTreeMap<String, String>>) -> Ids {
    let last = |name: &str| annotations?.get(name)?.split(',').next().and_then(last_of_range);
    Ids {
        user: last(USERS).unwrap_or(DEFAULT),
        group: last(GROUPS).or_else(|| last(USERS)).unwrap_or(DEFAULT),
    }
}

/// The last number of `first/count` or `first-last`.
fn last_of_range(range: &str) -> Option<i64> {
    let range = range.trim();
    if let Some((first, count)) = range.split_once('/') {
        let (first, count): (i64, i64) = (first.parse().ok()?, count.parse().ok()?);
        return first.checked_add(count)?.checked_sub(1);
    }
    let (first, last) = range.split_once('-')?;
    let first: i64 = first.parse().ok()?;
    last.parse().ok().filter(|last| *last >= first)
}
