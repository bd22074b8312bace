//! Object metadata: `metadata` of a document, less what changes without meaning (resourceVersion, managedFields,
//! the copy that kubectl keeps in an annotation).

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use model::{Labels, Namespace, Timestamp};
use serde::Deserialize;

/// kubectl's own copy of the object; changes with every apply and is read by nobody.
const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The metadata of an object. Its `Hash` leaves out `uid` and `generation`: they move without, or with, the content.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Meta {
    /// Name.
    pub name: Arc<str>,
    /// What the name was generated from; empty if it was given.
    pub generate_name: Arc<str>,
    /// Namespace; empty for kinds of the cluster.
    pub namespace: Namespace,
    /// Labels.
    pub labels: Labels,
    /// Annotations, without kubectl's copy of the object.
    pub annotations: Labels,
    /// When it was created; zero if not stated.
    pub creation: Timestamp,
    /// Whether a deletion is under way.
    pub deleting: bool,
    /// Owners, as stated.
    pub owner_references: Vec<OwnerReference>,
    /// Generation of the spec, for `observedGeneration` in a status; zero if not stated.
    pub generation: i64,
    /// Identity in the cluster, for owner references of what we create; empty if not stated.
    pub uid: Arc<str>,
}

impl Hash for Meta {
    fn hash<H: Hasher>(&self, state: &mut H) {
        let Self {
            name,
            generate_name,
            namespace,
            labels,
            annotations,
            creation,
            deleting,
            owner_references,
            ..
        } = self;
        (name, generate_name, namespace, labels, annotations, creation, deleting, owner_references)
            .hash(state);
    }
}

/// One owner of an object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct OwnerReference {
    /// Group and version of the owner.
    pub api_version: String,
    /// Kind of the owner.
    pub kind: String,
    /// Name of the owner.
    pub name: String,
    /// Whether this owner manages the object.
    pub controller: bool,
}

impl Meta {
    /// The owner that manages the object.
    pub fn controller(&self) -> Option<&OwnerReference> {
        self.owner_references.iter().find(|owner| owner.controller)
    }

    /// The value of an annotation.
    pub fn annotation(&self, key: &str) -> Option<&str> {
        self.annotations.value(key)
    }

    /// The value of a label.
    pub fn label(&self, key: &str) -> Option<&str> {
        self.labels.value(key)
    }
}

/// `metadata` as it is written.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct RawMeta {
    pub(crate) name: String,
    pub(crate) generate_name: String,
    pub(crate) namespace: String,
    labels: BTreeMap<String, String>,
    annotations: BTreeMap<String, String>,
    pub(crate) creation_timestamp: String,
    pub(crate) deletion_timestamp: String,
    owner_references: Vec<OwnerReference>,
    generation: i64,
    uid: String,
}

impl RawMeta {
    /// The metadata, under the namespace that was settled for the kind.
    pub(crate) fn settle(mut self, namespace: Namespace, creation: Timestamp) -> Meta {
        self.annotations.remove(LAST_APPLIED);
        Meta {
            name: self.name.into(),
            generate_name: self.generate_name.into(),
            namespace,
            labels: self.labels.into(),
            annotations: self.annotations.into(),
            creation,
            deleting: !self.deletion_timestamp.is_empty(),
            owner_references: self.owner_references,
            generation: self.generation,
            uid: self.uid.into(),
        }
    }
}

/// Reads a moment as Kubernetes writes it: `2026-01-31T10:00:00Z`, perhaps with a fraction or an offset.
pub(crate) fn timestamp(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let separators = [(4, b'-'), (7, b'-'), (13, b':'), (16, b':')];
    if bytes.len() < 20 || !text.is_ascii() || separators.iter().any(|(at, byte)| bytes[*at] != *byte) {
        return None;
    }
    if !matches!(bytes[10], b'T' | b't' | b' ') {
        return None;
    }
    let number = |from: usize, to: usize| digits(&text[from..to]);
    let (year, month, day) = (number(0, 4)?, number(5, 7)?, number(8, 10)?);
    let (hour, minute, second) = (number(11, 13)?, number(14, 16)?, number(17, 19)?);
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) || hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let mut rest = &text[19..];
    let mut nanos = 0;
    if let Some(fraction) = rest.strip_prefix('.') {
        let n_digits = fraction.bytes().take_while(u8::is_ascii_digit).count();
        if n_digits == 0 {
            return None;
        }
        nanos = fraction
            .bytes()
            .take(n_digits)
            .chain(std::iter::repeat(b'0'))
            .take(9)
            .fold(0_u32, |sum, digit| sum * 10 + u32::from(digit - b'0'));
        rest = &fraction[n_digits..];
    }
    let offset = match rest {
        "Z" | "z" => 0,
        _ if rest.len() == 6 && rest.as_bytes()[3] == b':' => {
            let seconds = digits(&rest[1..3])? * 3600 + digits(&rest[4..6])? * 60;
            match rest.as_bytes()[0] {
                b'+' => seconds,
                b'-' => -seconds,
                _ => return None,
            }
        }
        _ => return None,
    };
    let seconds = days_since_1970(year, month, day) * 86400 + hour * 3600 + minute * 60 + second - offset;
    Some(Timestamp { seconds, nanos })
}

fn digits(text: &str) -> Option<i64> {
    if text.bytes().all(|byte| byte.is_ascii_digit()) { text.parse().ok() } else { None }
}

/// Days from 1970-01-01 in the Gregorian calendar. Years are counted from March, so that the leap day comes last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day - 1;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + day_of_year - 719_468
}
