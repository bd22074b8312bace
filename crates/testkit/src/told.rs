//! What a control plane would tell the owners of objects: rejections, issues and counts, with proxies connected.

use std::collections::BTreeMap;

use anyhow::Result;
use config::{Changeset, Rejection};
use engine::{Engine, ProxyId};
use mesh::Base;
use serde_json::Value;

use crate::generate::proxy_of;

/// All of it, in order.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// Objects that could not be read.
    pub rejected: Vec<Rejection>,
    /// What makes no sense in those that could.
    pub issues: Vec<model::Issue>,
    /// Gauges of the push status that are not zero, by name.
    pub counted: BTreeMap<&'static str, usize>,
}

/// What is told of these objects while the proxies of these nodes are connected.
pub fn told(objects: &[Value], nodes: &[&Value]) -> Result<Told> {
    let (mut changes, mut rejected) = (Changeset::default(), Vec::new());
    for object in objects {
        match config::parse(object.clone(), "test") {
            Ok(Some(object)) => changes.upsert(object),
            Ok(None) => {}
            Err(rejection) => rejected.push(rejection),
        }
    }
    let mut engine = Engine::new(Base::default());
    engine.commit(changes);
    for (id, node) in (0..).zip(nodes) {
        engine.connect(ProxyId(id), proxy_of(node)?);
    }
    let counted = engine.counted().into_iter().filter(|(_, n)| *n > 0);
    Ok(Told {
        rejected,
        issues: engine.issues().to_vec(),
        counted: counted.map(|(gauge, n)| (gauge.name, n)).collect(),
    })
}
