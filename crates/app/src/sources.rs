//! Several sources of configuration become one: what is in force of each object, all rejections, whether every source
//! has spoken. The folder goes before the API server, as in istiod.

use std::collections::BTreeSet;

use config::{Change, Changeset, ConfigKey, ConfigStore, Rejection, SourceEvent};

/// Where an event comes from. The order is the precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Origin {
    /// `--configDir`.
    Folder,
    /// The API server.
    Kubernetes,
}

/// What each source said last.
#[derive(Default)]
pub(crate) struct Sources {
    sources: Vec<Source>,
}

struct Source {
    origin: Origin,
    has_spoken: bool,
    objects: ConfigStore,
    rejections: Vec<Rejection>,
    warnings: Vec<String>,
}

impl Sources {
    /// Sources of which nothing is known yet.
    pub(crate) fn new(origins: BTreeSet<Origin>) -> Self {
        let sources = origins
            .into_iter()
            .map(|origin| Source {
                origin,
                has_spoken: false,
                objects: ConfigStore::default(),
                rejections: Vec::new(),
                warnings: Vec::new(),
            })
            .collect();
        Self { sources }
    }

    /// Whether every source has told all it has at least once.
    pub(crate) fn have_spoken(&self) -> bool {
        self.sources.iter().all(|source| source.has_spoken)
    }

    /// Takes in what one source says. Returns it as seen with all of them.
    pub(crate) fn take_in(&mut self, origin: Origin, event: SourceEvent) -> SourceEvent {
        let is_only = self.sources.len() == 1;
        let mut changes = event.changes;
        if let Some(source) = self.sources.iter_mut().find(|source| source.origin == origin) {
            source.has_spoken = true;
            source.rejections = event.rejections;
            source.warnings = event.warnings;
            if !is_only {
                let changed = source.objects.apply(changes);
                changes = self.in_force(origin, changed);
            }
        }
        let mut all = SourceEvent { changes, ..SourceEvent::default() };
        for source in &self.sources {
            all.rejections.extend(source.rejections.iter().cloned());
            all.warnings.extend(source.warnings.iter().cloned());
        }
        all
    }

    /// What the changes of one source mean where others may have the same objects.
    fn in_force(&self, origin: Origin, changed: Vec<Change>) -> Changeset {
        let held = |key: &ConfigKey, is_wanted: &dyn Fn(Origin) -> bool| {
            self.sources.iter().filter(|s| is_wanted(s.origin)).find_map(|s| s.objects.get(key))
        };
        let mut changes = Changeset::default();
        for Change { key, new, .. } in changed {
            if held(&key, &|other| other < origin).is_some() {
                continue;
            }
            match new.or_else(|| held(&key, &|other| other > origin)) {
                Some(object) => changes.upsert(object),
                None => changes.delete(key),
            }
        }
        changes
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn event(host: Option<&str>) -> SourceEvent {
        let mut changes = Changeset::default();
        match host {
            Some(host) => {
                let value = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
                                   "metadata": {"name": "a", "namespace": "n"}, "spec": {"hosts": [host]}});
                changes.upsert(config::parse(value, "test").expect("valid").expect("ours"));
            }
            None => changes.delete(ConfigKey::new(config::Kind::ServiceEntry, "n", "a")),
        }
        SourceEvent { changes, ..SourceEvent::default() }
    }

    fn hosts(event: &SourceEvent) -> Vec<Option<String>> {
        let host = |object: &config::AnyObject| match object {
            config::AnyObject::ServiceEntry(entry) => entry.spec.hosts[0].clone(),
            _ => String::new(),
        };
        event.changes.iter().map(|(_, object)| object.map(host)).collect()
    }

    #[test]
    fn the_folder_hides_the_cluster_and_its_end_shows_it_again() {
        let mut sources = Sources::new([Origin::Folder, Origin::Kubernetes].into());
        let told = sources.take_in(Origin::Kubernetes, event(Some("cluster")));
        assert_eq!(hosts(&told), [Some("cluster".to_owned())]);
        assert!(!sources.have_spoken());
        let told = sources.take_in(Origin::Folder, event(Some("folder")));
        assert_eq!(hosts(&told), [Some("folder".to_owned())]);
        assert!(sources.have_spoken());
        assert!(sources.take_in(Origin::Kubernetes, event(Some("other"))).changes.is_empty());
        let told = sources.take_in(Origin::Folder, event(None));
        assert_eq!(hosts(&told), [Some("other".to_owned())]);
        let told = sources.take_in(Origin::Kubernetes, event(None));
        assert_eq!(hosts(&told), [None]);
    }
}
