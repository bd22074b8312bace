//! Objects and a node in, resources as protobuf JSON out, decoded from the very bytes that would be sent.

use std::sync::Arc;

use anyhow::{Result, anyhow};
use mesh::{Base, Mesh};
use prost::Message;
use proto::envoy;
use scope::Proxy;
use serde_json::Value;
use translate::Resource;

use crate::parity::{Resources, name_of, normalize};

/// The mesh that a set of objects makes.
pub fn mesh_of(objects: &[Value]) -> Result<Mesh> {
    mesh_under(objects, Base::default())
}

/// The mesh that a set of objects makes under a control plane that was started so.
pub fn mesh_under(objects: &[Value], base: Base) -> Result<Mesh> {
    let parsed = objects
        .iter()
        .map(|object| config::parse(object.clone(), "test"))
        .filter_map(Result::transpose)
        .collect::<Result<Vec<_>, _>>()
        .map_err(|rejection| anyhow!("{rejection}"))?;
    Ok(Mesh::build(parsed.into_iter().collect(), Arc::new(base)))
}

/// The mesh that those of the objects make which are not rejected.
pub fn mesh_of_what_parses(objects: &[Value]) -> Mesh {
    let parsed = objects.iter().filter_map(|object| config::parse(object.clone(), "test").ok().flatten());
    Mesh::build(parsed.collect(), Arc::new(Base::default()))
}

/// The proxy that a node in JSON describes.
pub fn proxy_of(node: &Value) -> Result<Proxy> {
    let text = |key: &str| node[key].as_str().unwrap_or_default().to_owned();
    let part = |key: &str| node["locality"][key].as_str().unwrap_or_default().to_owned();
    let subzone = if node["locality"]["subZone"].is_string() { "subZone" } else { "sub_zone" };
    let node = scope::Node {
        id: text("id"),
        cluster: text("cluster"),
        metadata: node["metadata"].clone(),
        locality: model::Locality { region: part("region"), zone: part("zone"), subzone: part(subzone) },
        extensions: Vec::new(),
        user_agent: String::new(),
    };
    Proxy::parse(&node).map_err(|error| anyhow!("{error}"))
}

/// Everything a recorded proxy gets from us, normalised.
pub fn generate(mesh: &Mesh, proxy: &crate::parity::RecordedProxy) -> Result<Resources> {
    let mut all = resources(engine::generate(mesh, &proxy_of(&proxy.node)?), normalize)?;
    if !proxy.nds {
        all.remove("nds");
    }
    Ok(all)
}

/// Everything that a proxy with these extensions gets from us, in the order in which it is sent.
pub fn generate_as(mesh: &Mesh, node: &Value, extensions: &[String]) -> Result<Resources> {
    let mut proxy = proxy_of(node)?;
    proxy.dialect = scope::Dialect::of(extensions, &proxy.metadata);
    resources(engine::generate(mesh, &proxy), |_| ())
}

fn resources(generated: engine::Generated, finish: impl Fn(&mut Value)) -> Result<Resources> {
    let mut all = Resources::default();
    let name_table: Vec<Resource> = generated.name_table.into_iter().collect();
    for (kind, list) in [
        ("cds", generated.clusters),
        ("eds", generated.endpoints),
        ("lds", generated.listeners),
        ("rds", generated.routes),
        ("nds", name_table),
        ("ecds", generated.extensions),
    ] {
        let of_type = all.entry(kind.to_owned()).or_default();
        for resource in list {
            let mut json = to_json(&resource)?;
            finish(&mut json);
            of_type.insert(name_of(kind, &json), json);
        }
    }
    Ok(all)
}

/// A resource as protobuf JSON, from its bytes.
pub fn to_json(resource: &Resource) -> Result<Value> {
    let any = envoy::google::Any::decode(resource.piece.bytes.whole())?;
    let mut json = proto::json::any_to_json(&any.type_url, &any.value)
        .map_err(|error| anyhow!("{}: {error}", resource.name))?;
    if let Some(map) = json.as_object_mut() {
        map.remove("@type");
    }
    Ok(json)
}
