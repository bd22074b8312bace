//! Random changes of objects of all kinds in a mesh that is otherwise whole, and endpoints that come and go. The names
//! are few, so that after a while as many objects go as come.

use std::collections::BTreeMap;

use anyhow::Result;
use config::Kind;
use serde_json::{Value, json};
use testkit::cluster::objects::custom_kinds;

use crate::bench::mesh::{Size, slice};
use crate::bench::world::World;
use crate::churn::random::Random;
use crate::churn::{key, refused, specs};

/// Whatever changes at random.
pub(super) struct Changes {
    random: Random,
    size: Size,
    over_api: bool,
    /// Objects whose newest version is broken: a process that was there before holds an older one.
    broken: BTreeMap<String, Value>,
    /// By what was done: how often.
    pub(super) done: BTreeMap<&'static str, usize>,
}

impl Changes {
    /// Nothing has changed yet.
    pub(super) fn new(seed: u64, size: Size, over_api: bool) -> Self {
        Self { random: Random::new(seed), size, over_api, broken: BTreeMap::new(), done: BTreeMap::new() }
    }

    /// The namespaces that random objects live in.
    pub(super) fn namespaces() -> Vec<Value> {
        let namespace = |name| json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}});
        specs::NAMESPACES.into_iter().map(namespace).collect()
    }

    /// One change.
    pub(super) fn one(&mut self, world: &World) -> Result<()> {
        let what = match self.random.below(3) {
            0 => self.endpoints(world),
            _ => self.object(world),
        };
        let what = what.or_else(|error| if self.over_api { refused(error) } else { Err(error) })?;
        *self.done.entry(what).or_default() += 1;
        Ok(())
    }

    /// A service of the mesh loses an endpoint, or has it again, or has another one. Not the first two services: the
    /// endpoints of one of them tell whether proxies miss a change.
    fn endpoints(&mut self, world: &World) -> Result<&'static str> {
        let service = 2 + self.random.below(self.size.services.saturating_sub(2).max(1));
        let n = self.random.below(self.size.endpoints + 1);
        world.put(&slice(service, n, self.random.one_in(2)))?;
        Ok("changes of endpoints")
    }

    fn object(&mut self, world: &World) -> Result<&'static str> {
        let random = &mut self.random;
        let namespace = random.of(&specs::NAMESPACES);
        let kind = loop {
            let kind = Kind::ALL[random.below(Kind::ALL.len())];
            // What the whole mesh hangs on changes less often than the rest.
            if kind != Kind::ConfigMap || random.one_in(10) {
                break kind;
            }
        };
        let name = match kind {
            Kind::Namespace => namespace,
            Kind::ConfigMap if namespace == "istio-system" => "istio",
            _ => specs::name(random),
        };
        if kind != Kind::Namespace && random.one_in(4) {
            let object = specs::object(kind, namespace, name, json!({}), random);
            world.remove(&object)?;
            self.broken.remove(&key(&object));
            return Ok("deletions");
        }
        let is_bad = custom_kinds().contains(&kind) && random.one_in(10);
        let content = if is_bad { specs::bad(random) } else { content(kind, random) };
        let is_broken =
            is_bad || content.pointer("/data/mesh").is_some_and(|mesh| *mesh == specs::BROKEN_MESH);
        let object = specs::object(kind, namespace, name, content, random);
        world.put(&object)?;
        if is_broken {
            self.broken.insert(key(&object), object);
            return Ok("broken versions");
        }
        self.broken.remove(&key(&object));
        Ok("versions")
    }

    /// Deletes what is broken, so that what a process knew before makes no difference.
    pub(super) fn mend(&mut self, world: &World) -> Result<()> {
        std::mem::take(&mut self.broken).values().try_for_each(|object| world.remove(object))
    }
}

/// Anything but a mesh without the namespaces of the mesh.
fn content(kind: Kind, random: &mut Random) -> Value {
    loop {
        let content = specs::content(kind, random);
        let mesh = content.pointer("/data/mesh").and_then(Value::as_str);
        if mesh.is_none_or(|mesh| !mesh.contains("discoverySelectors")) {
            return content;
        }
    }
}
