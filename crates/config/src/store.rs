//! All objects of the mesh, by kind, in persistent maps: a clone costs a few counters, and two stores share what did
//! not change between them. What remote clusters hold lies beside, cluster by cluster, where nothing finds it that does
//! not ask for it.

use std::collections::BTreeMap;
use std::sync::Arc;

use imbl::OrdMap;
use model::Namespace;

use crate::kind::for_every_kind;
use crate::{AnyObject, Change, Changeset, ConfigKey, Kind, Object};

/// The objects of one kind, in the order of namespace, then name.
#[derive(Debug)]
pub struct ObjectMap<T>(OrdMap<(Namespace, Arc<str>), Arc<Object<T>>>);

/// The new content equals the old.
struct Unchanged;

impl<T> ObjectMap<T> {
    /// Every object.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Object<T>>> {
        self.0.values()
    }

    /// The objects of one namespace.
    pub fn in_namespace<'a>(&'a self, namespace: &'a str) -> impl Iterator<Item = &'a Arc<Object<T>>> {
        let first = (Namespace::from(namespace), Arc::from(""));
        self.0
            .range(first..)
            .map(|(_, object)| object)
            .take_while(move |object| *object.meta.namespace == *namespace)
    }

    /// One object; kinds of the cluster have an empty namespace.
    pub fn get(&self, namespace: &str, name: &str) -> Option<&Arc<Object<T>>> {
        self.0.get(&(Namespace::from(namespace), Arc::from(name)))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether both are one and the same map in memory; then they are equal, at no cost.
    pub fn is_same(&self, other: &Self) -> bool {
        self.0.ptr_eq(&other.0)
    }

    /// Puts an object in place, or takes it out. Returns what was there, if that differs.
    fn put(
        &mut self,
        key: (Namespace, Arc<str>),
        new: Option<&Arc<Object<T>>>,
    ) -> Result<Option<Arc<Object<T>>>, Unchanged> {
        let old = self.0.get(&key).cloned();
        if old.as_ref() == new {
            return Err(Unchanged);
        }
        match new {
            Some(object) => self.0.insert(key, object.clone()),
            None => self.0.remove(&key),
        };
        Ok(old)
    }
}

impl<T> Clone for ObjectMap<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T> Default for ObjectMap<T> {
    fn default() -> Self {
        Self(OrdMap::new())
    }
}

impl<'a, T> IntoIterator for &'a ObjectMap<T> {
    type Item = &'a Arc<Object<T>>;
    type IntoIter = Box<dyn Iterator<Item = &'a Arc<Object<T>>> + 'a>;

    fn into_iter(self) -> Self::IntoIter {
        Box::new(self.iter())
    }
}

macro_rules! define_store {
    ($($variant:ident $field:ident $group:literal $kind:literal [$($version:literal),+] $scope:ident $shape:ident $type:ty;)+) => {
        /// Every object of the mesh, or of one remote cluster.
        #[derive(Clone, Debug, Default)]
        pub struct ConfigStore {
            $($field: ObjectMap<$type>,)+
            /// The ID of the remote cluster that this is the store of.
            cluster: Option<Arc<str>>,
            remotes: Arc<BTreeMap<Arc<str>, ConfigStore>>,
        }

        impl ConfigStore {
            $(
                #[doc = concat!("The objects `", $kind, "` of `", $group, "`.")]
                pub fn $field(&self) -> &ObjectMap<$type> {
                    &self.$field
                }
            )+

            /// One object of any kind and cluster.
            pub fn get(&self, key: &ConfigKey) -> Option<AnyObject> {
                if key.cluster != self.cluster {
                    return self.remote(key.cluster.as_deref()?)?.get(key);
                }
                match key.kind {
                    $(Kind::$variant => self.$field.get(&key.namespace, &key.name).cloned().map(AnyObject::$variant),)+
                }
            }

            /// How many objects there are, those of remote clusters left out.
            pub fn len(&self) -> usize {
                0 $(+ self.$field.len())+
            }

            /// Every object, in the order of keys, those of remote clusters left out.
            pub fn iter(&self) -> impl Iterator<Item = AnyObject> + '_ {
                std::iter::empty()$(.chain(self.$field.iter().cloned().map(AnyObject::$variant)))+
            }

            fn put(&mut self, key: &ConfigKey, new: Option<&AnyObject>) -> Result<Option<AnyObject>, Unchanged> {
                if key.cluster != self.cluster {
                    return self.put_remote(key, new);
                }
                let place = (key.namespace.clone(), key.name.clone());
                match (key.kind, new) {
                    $(
                        (Kind::$variant, Some(AnyObject::$variant(object))) =>
                            self.$field.put(place, Some(object)).map(|old| old.map(AnyObject::$variant)),
                        // A changeset files every object under its own key, so `new` can only be none here.
                        (Kind::$variant, _) =>
                            self.$field.put(place, None).map(|old| old.map(AnyObject::$variant)),
                    )+
                }
            }
        }
    };
}
for_every_kind!(define_store);

impl ConfigStore {
    /// Whether there is no object, those of remote clusters left out.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The ID of the remote cluster that this is the store of; `None` for our own configuration.
    pub fn cluster(&self) -> Option<&Arc<str>> {
        self.cluster.as_ref()
    }

    /// What remote clusters hold, in the order of their IDs; only clusters that hold anything.
    pub fn remotes(&self) -> impl Iterator<Item = &ConfigStore> {
        self.remotes.values()
    }

    /// What the remote cluster of that ID holds; none where it holds nothing.
    pub fn remote(&self, id: &str) -> Option<&ConfigStore> {
        self.remotes.get(id)
    }

    fn put_remote(
        &mut self,
        key: &ConfigKey,
        new: Option<&AnyObject>,
    ) -> Result<Option<AnyObject>, Unchanged> {
        // The store of a remote cluster has neither our own objects nor those of a third.
        let (None, Some(id)) = (&self.cluster, &key.cluster) else { return Err(Unchanged) };
        if new.is_none() && !self.remotes.contains_key(id) {
            return Err(Unchanged);
        }
        let remotes = Arc::make_mut(&mut self.remotes);
        let remote = remotes
            .entry(Arc::clone(id))
            .or_insert_with(|| Self { cluster: Some(Arc::clone(id)), ..Self::default() });
        let old = remote.put(key, new)?;
        if new.is_none() && remote.is_empty() {
            remotes.remove(id);
        }
        Ok(old)
    }

    /// Applies a changeset and returns what did change, in the order of keys. An object whose fingerprint is
    /// unchanged, or a deletion of what is not there, is no change.
    pub fn apply(&mut self, changes: Changeset) -> Vec<Change> {
        changes
            .into_iter()
            .filter_map(|(key, new)| {
                let old = self.put(&key, new.as_ref()).ok()?;
                Some(Change { key, old, new })
            })
            .collect()
    }
}

impl FromIterator<AnyObject> for ConfigStore {
    fn from_iter<I: IntoIterator<Item = AnyObject>>(objects: I) -> Self {
        let mut store = Self::default();
        store.apply(objects.into_iter().collect());
        store
    }
}
