//! `exportTo`: which namespaces may see an object (spec 5.1, rows S08, R: `*` beats everything, `~` hides, `.` or the
//! own namespace is private, other names are those namespaces; empty takes the mesh default).

use std::collections::BTreeSet;

use model::Namespace;

/// Who may see an object of some namespace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ExportTo {
    /// Every namespace.
    Public,
    /// Nobody.
    Hidden,
    /// These namespaces only (the own one is in it when `.` was given).
    Namespaces(BTreeSet<Namespace>),
}

impl ExportTo {
    /// Reads the list of an object in `namespace`; an empty list takes `default`, in which only `.` and `*` count.
    pub fn of<'a>(
        list: impl IntoIterator<Item = &'a str>,
        namespace: &Namespace,
        default: &[String],
        hidden_allowed: bool,
    ) -> Self {
        let list: Vec<&str> = list.into_iter().collect();
        if list.is_empty() {
            return if default.is_empty() || default.iter().any(|d| d == "*") {
                Self::Public
            } else if default.iter().any(|d| d == ".") {
                Self::Namespaces([namespace.clone()].into())
            } else {
                Self::Hidden
            };
        }
        if list.contains(&"*") {
            return Self::Public;
        }
        if hidden_allowed && list.contains(&"~") {
            return Self::Hidden;
        }
        Self::Namespaces(
            list.iter().map(|n| if *n == "." { namespace.clone() } else { Namespace::from(*n) }).collect(),
        )
    }

    /// Whether `namespace` may see it.
    pub fn visible_to(&self, namespace: &Namespace) -> bool {
        match self {
            Self::Public => true,
            Self::Hidden => false,
            Self::Namespaces(names) => names.contains(namespace),
        }
    }

    /// Visible to nobody but its own namespace.
    pub fn is_private(&self, own: &Namespace) -> bool {
        matches!(self, Self::Namespaces(names) if names.len() == 1 && names.contains(own))
    }
}
