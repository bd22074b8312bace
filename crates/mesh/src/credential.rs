//! Secrets and ConfigMaps by name: what credentials of gateways are made of. Each is a question of its own, so that a
//! rotated Secret moves those that were sent it, and another one nobody.

use std::sync::Arc;

use config::k8s::{ConfigMap, Secret};
use config::{Kind, Object};

use crate::{Question, Reader};

impl Reader<'_> {
    /// The Secret of that name.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<Arc<Object<Secret>>> {
        self.note(&Question::Object(Kind::Secret, namespace.into(), name.into()));
        self.store().secrets().get(namespace, name).cloned()
    }

    /// The ConfigMap of that name.
    pub fn config_map(&self, namespace: &str, name: &str) -> Option<Arc<Object<ConfigMap>>> {
        self.note(&Question::Object(Kind::ConfigMap, namespace.into(), name.into()));
        self.store().config_maps().get(namespace, name).cloned()
    }
}
