//! What the cluster holds, below what is in files: an object of a file takes the place of the cluster's.

use std::collections::HashSet;
use std::path::Path;

use anyhow::{Context as _, Result};
use config::Kind;
use serde_json::Value;

use super::input::Item;

/// Kinds that nothing is judged by.
const OF_NO_USE: [Kind; 4] = [Kind::Node, Kind::EndpointSlice, Kind::ServiceAccount, Kind::IngressClass];

/// The files' objects, and all others of the cluster.
pub(super) fn under(mut items: Vec<Item>, kubeconfig: Option<&Path>) -> Result<Vec<Item>> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let kinds: Vec<Kind> = Kind::ALL.iter().copied().filter(|kind| !OF_NO_USE.contains(kind)).collect();
    let (objects, faults) = runtime.block_on(async {
        let client = kube_io::connect(kubeconfig).await.context("the cluster cannot be reached")?;
        kube_io::read_all(&client, &kinds).await.context("the cluster cannot be read")
    })?;
    for fault in faults {
        eprintln!("Warning: {fault}");
    }
    let of_files: HashSet<_> = items.iter().map(|item| id(&item.object)).collect();
    let others = objects.into_iter().filter(|object| !of_files.contains(&id(object)));
    items.extend(others.map(|object| Item { object, source: None }));
    Ok(items)
}

fn id(object: &Value) -> [String; 4] {
    let text = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let group = text("/apiVersion").rsplit_once('/').map_or("", |(group, _)| group);
    [group, text("/kind"), text("/metadata/namespace"), text("/metadata/name")].map(str::to_owned)
}
