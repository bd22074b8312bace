//! A typed object with its metadata and content fingerprint, and the sum of all kinds.

use std::hash::{Hash, Hasher};
use std::sync::Arc;

use model::Fingerprint;

use crate::kind::for_every_kind;
use crate::{ConfigKey, Kind, Meta};

/// One object. Two objects are equal when their fingerprints are; the fingerprint covers kind, metadata and content.
#[derive(Clone, Debug)]
pub struct Object<T> {
    /// Metadata.
    pub meta: Meta,
    /// Content. For kinds of Kubernetes itself this is what the mesh reads of spec and status.
    pub spec: T,
    /// The status as written, for the few kinds that keep it ([`Kind::keeps_status`]).
    pub status: Option<serde_json::Value>,
    /// The fingerprint of all that matters: not resourceVersion, managedFields, uid.
    pub fingerprint: Fingerprint,
    /// Where the object came from: a file, a cluster.
    pub source: Arc<str>,
}

impl<T> PartialEq for Object<T> {
    fn eq(&self, other: &Self) -> bool {
        self.fingerprint == other.fingerprint
    }
}

impl<T> Eq for Object<T> {}

impl<T> Hash for Object<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.fingerprint.hash(state);
    }
}

impl<T: Resource> Object<T> {
    /// The key of this object, as one of our own configuration: an object does not know its cluster.
    pub fn key(&self) -> ConfigKey {
        ConfigKey::new(T::KIND, self.meta.namespace.clone(), self.meta.name.clone())
    }
}

/// The content of one kind of object.
pub trait Resource: Sized + Send + Sync + 'static {
    /// The kind.
    const KIND: Kind;

    /// Puts the object into the sum of all kinds.
    fn into_any(object: Arc<Object<Self>>) -> AnyObject;
}

macro_rules! define_any_object {
    ($($variant:ident $field:ident $group:literal $kind:literal [$($version:literal),+] $scope:ident $shape:ident $type:ty;)+) => {
        /// An object of any kind.
        #[derive(Clone, Debug, PartialEq, Eq, Hash)]
        pub enum AnyObject {
            $(#[doc = concat!("`", $kind, "` of `", $group, "`.")] $variant(Arc<Object<$type>>),)+
        }

        impl AnyObject {
            /// Its kind.
            pub fn kind(&self) -> Kind {
                match self { $(Self::$variant(_) => Kind::$variant,)+ }
            }

            /// Its metadata.
            pub fn meta(&self) -> &Meta {
                match self { $(Self::$variant(object) => &object.meta,)+ }
            }

            /// The fingerprint of its content.
            pub fn fingerprint(&self) -> Fingerprint {
                match self { $(Self::$variant(object) => object.fingerprint,)+ }
            }

            /// Where it came from.
            pub fn source(&self) -> &Arc<str> {
                match self { $(Self::$variant(object) => &object.source,)+ }
            }
        }

        $(impl Resource for $type {
            const KIND: Kind = Kind::$variant;

            fn into_any(object: Arc<Object<Self>>) -> AnyObject {
                AnyObject::$variant(object)
            }
        })+
    };
}
for_every_kind!(define_any_object);

impl AnyObject {
    /// The key of this object, as one of our own configuration: an object does not know its cluster.
    pub fn key(&self) -> ConfigKey {
        let meta = self.meta();
        ConfigKey::new(self.kind(), meta.namespace.clone(), meta.name.clone())
    }
}
