//! The protocol, seen from the client's side: rules one by one, and a model check over random histories.

mod delta;
mod model;
mod sotw;

use xds::{Protocol, Request, RequestError, Resource, ResourceType, Session, SessionOptions, Snapshot};

fn session(protocol: Protocol) -> Session {
    Session::new(SessionOptions { protocol, nonce_prefix: "n-".into(), always_full: false })
}

/// A resource whose content is its version.
fn resource(name: &str, version: u32) -> Resource {
    Resource::new(name, format!("{name} {version}").into_bytes().into())
}

fn snapshot(resources: &[(ResourceType, &str, u32)]) -> Snapshot {
    changed(&Snapshot::default(), resources)
}

fn changed(snapshot: &Snapshot, resources: &[(ResourceType, &str, u32)]) -> Snapshot {
    let mut builder = snapshot.to_builder();
    for (resource_type, name, version) in resources {
        builder.insert(*resource_type, resource(name, *version));
    }
    builder.build()
}

fn ask(resource_type: ResourceType, names: &[&str]) -> Request {
    let subscribe = names.iter().map(|name| (*name).to_owned()).collect();
    Request { subscribe, ..Request::new(resource_type) }
}

fn after(nonce: &str, request: Request) -> Request {
    Request { nonce: nonce.to_owned(), ..request }
}

fn nack(message: &str, request: Request) -> Request {
    Request { error: Some(RequestError { code: 13, message: message.to_owned() }), ..request }
}

/// Responses in short: type, names sent, names removed.
fn sent(session: &mut Session, snapshot: &Snapshot) -> Vec<String> {
    let responses = session.next(snapshot);
    let short = responses.iter().map(|response| {
        let names: Vec<&str> = response.resources.iter().map(|resource| &**resource.name()).collect();
        let short = format!("{} {}", response.resource_type.short_name(), names.join(","));
        response.removed.iter().fold(short, |short, name| short + " -" + name)
    });
    short.collect()
}
