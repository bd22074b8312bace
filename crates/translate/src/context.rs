//! What a translator works with: the reader (facts, noted), the scope of the class, and the cache of pieces.

use std::cell::RefCell;
use std::sync::Arc;

use bytes::{BufMut, Bytes, BytesMut};
use mesh::{MeshSettings, Reader, Registry, Service};
use model::{Findings, Fingerprint, Gauge};
use prost::Name;
use prost::encoding::{WireType, encode_key, encode_varint};
use proto::body::{Body, elements_len};
use scope::{ProxyClass, ProxyScope};

use crate::{Input, Piece, Resource, fit};

/// The cache from inputs to bytes. The engine owns it; a piece lives as long as some snapshot holds it.
pub trait RenderCache {
    /// The piece of that key, made by `render` when it is not known.
    fn piece(&self, key: Fingerprint, tag: &'static str, render: &mut dyn FnMut() -> Piece) -> Arc<Piece>;
}

/// One class of proxies being translated for.
#[derive(Clone, Copy)]
pub struct Context<'a> {
    /// Answers questions about the mesh and notes them.
    pub reader: &'a Reader<'a>,
    /// What the class may see.
    pub scope: &'a ProxyScope,
    /// Input to bytes.
    pub cache: &'a dyn RenderCache,
    /// What came up while inputs were gathered; what comes up while they are rendered is in the pieces.
    pub findings: &'a RefCell<Findings>,
}

impl<'a> Context<'a> {
    /// Tells the owner of an object, given as `Kind namespace/name`, of a field.
    pub(crate) fn tell(&self, object: String, path: impl Into<String>, message: impl Into<String>) {
        self.findings.borrow_mut().tell(object, path, message);
    }

    /// Counts something for a metric of the push status.
    pub(crate) fn count(&self, gauge: Gauge, what: impl Into<String>) {
        self.findings.borrow_mut().count(gauge, what);
    }

    /// The class that is translated for.
    pub fn class(&self) -> &'a Arc<ProxyClass> {
        &self.scope.class
    }

    /// Mesh-wide settings.
    pub fn settings(&self) -> &'a Arc<MeshSettings> {
        &self.scope.settings
    }

    /// The bare message of an input, to be put into another one; rendered if no one needed it before.
    pub fn piece<I: Input>(&self, input: &I) -> Arc<Piece> {
        self.cache.piece(Fingerprint::of_hash(&(I::TAG, "piece", input)), I::TAG, &mut || {
            Piece::of(fit::render(input), |bytes| bytes)
        })
    }

    /// The resource of that name made of an input: its bytes are an encoded `google.protobuf.Any`.
    pub fn resource<I: Input>(&self, name: impl Into<Arc<str>>, input: &I) -> Resource {
        let piece = self.cache.piece(Fingerprint::of_hash(&(I::TAG, "resource", input)), I::TAG, &mut || {
            Piece::of(fit::render(input), |bytes| any_of(&I::Output::type_url(), &bytes, 0))
        });
        Resource { name: name.into(), piece }
    }

    /// A resource put together from pieces: `head` holds all its fields but the repeated message field `field`,
    /// whose elements are `parts`. Fields of one message may come in any order, so the bytes concatenate; only what
    /// is new gets rendered. Parts that Envoy would refuse are left out.
    pub fn assembled<M: Name>(
        &self,
        name: impl Into<Arc<str>>,
        tag: &'static str,
        head: &Arc<Piece>,
        field: u32,
        parts: &[Arc<Piece>],
    ) -> Resource {
        let prints: Vec<Fingerprint> = parts.iter().map(|part| part.fingerprint).collect();
        let references: Vec<_> = parts.iter().map(|p| (&p.references, &p.issues, p.is_refused)).collect();
        let key = Fingerprint::of_hash(&(tag, "assembled", head.fingerprint, field, prints, references));
        let piece = self.cache.piece(key, tag, &mut || {
            let sent: Vec<_> = parts.iter().filter(|part| !part.is_refused).collect();
            let elements: Vec<Bytes> = sent.iter().map(|part| part.bytes.whole()).collect();
            let fields = head.bytes.whole();
            let begin = any_of(&M::type_url(), &fields, elements_len(field, &elements));
            let prints: Vec<Fingerprint> = sent.iter().map(|part| part.fingerprint).collect();
            let fingerprint = Fingerprint::of_hash(&(M::type_url(), head.fingerprint, field, prints));
            let all = || std::iter::once(head).chain(parts);
            let references = all().flat_map(|p| p.references.iter().cloned()).collect();
            let issues = all().flat_map(|p| p.issues.iter().cloned()).collect();
            Piece::assembled(Body::assembled(begin, field, elements), fingerprint, references, issues)
        });
        Resource { name: name.into(), piece }
    }
}

/// `Kind namespace/name` of the object that declares a service.
pub(crate) fn declared_by(service: &Service) -> String {
    let kind = match service.registry {
        Registry::Kubernetes => "Service",
        Registry::External => "ServiceEntry",
    };
    format!("{kind} {}/{}", service.namespace, service.object_name)
}

/// An encoded `google.protobuf.Any` of that type, whose value begins with `first` and has `n_more` bytes behind that.
fn any_of(type_url: &str, first: &[u8], n_more: usize) -> Bytes {
    let mut out = BytesMut::with_capacity(first.len() + type_url.len() + 12);
    encode_key(1, WireType::LengthDelimited, &mut out);
    encode_varint(type_url.len() as u64, &mut out);
    out.put_slice(type_url.as_bytes());
    encode_key(2, WireType::LengthDelimited, &mut out);
    encode_varint((first.len() + n_more) as u64, &mut out);
    out.put_slice(first);
    out.freeze()
}
