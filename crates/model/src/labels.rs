//! Label sets and the two readings of a selector: Istio's, where an empty one selects everything, and that of
//! Kubernetes Services, where an empty one selects nothing.

use std::collections::BTreeMap;
use std::ops::Deref;
use std::sync::Arc;

/// An immutable set of labels, cheap to clone.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Labels(Arc<BTreeMap<String, String>>);

impl Labels {
    /// The labels of that map.
    pub fn new(map: BTreeMap<String, String>) -> Self {
        Self(Arc::new(map))
    }

    /// The value of a label.
    pub fn value(&self, key: &str) -> Option<&str> {
        self.0.get(key).map(String::as_str)
    }

    /// A copy with one more (or another) label.
    #[must_use]
    pub fn with(&self, key: &str, value: &str) -> Self {
        let mut map = (*self.0).clone();
        map.insert(key.to_owned(), value.to_owned());
        Self::new(map)
    }

    /// Istio's reading of a selector: every label of `selector` is here with that value; an empty selector
    /// selects everything.
    pub fn selected_by(&self, selector: &BTreeMap<String, String>) -> bool {
        selector.iter().all(|(key, value)| self.0.get(key) == Some(value))
    }

    /// The reading of Kubernetes Services: as [`Labels::selected_by`], but an empty selector selects nothing.
    pub fn selected_by_service(&self, selector: &BTreeMap<String, String>) -> bool {
        !selector.is_empty() && self.selected_by(selector)
    }
}

impl Deref for Labels {
    type Target = BTreeMap<String, String>;

    fn deref(&self) -> &Self::Target {
        &self.0
    }
}

impl From<BTreeMap<String, String>> for Labels {
    fn from(map: BTreeMap<String, String>) -> Self {
        Self::new(map)
    }
}

impl<const N: usize> From<[(&str, &str); N]> for Labels {
    fn from(pairs: [(&str, &str); N]) -> Self {
        Self::new(pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect())
    }
}
