//! Examples of the ways in and out: ingress, egress through a gateway, REGISTRY_ONLY with a ServiceEntry.

use std::collections::BTreeMap;

use anyhow::Result;

use super::checks::{equal, holds};
use super::running::{Running, version};
use crate::report::Check;

pub(super) fn registry_only(running: &Running) -> Result<Vec<Check>> {
    let known = running.ask("api.example.com:9080", "/", &[])?;
    let unknown = running.ask("other.example.com:9080", "/", &[])?;
    Ok(vec![
        equal("a host that the registry knows", &known.status, &200),
        equal("a host that it does not know", &unknown.status, &502),
        equal("requests that left the mesh", &running.received("known").len(), &1),
    ])
}

pub(super) fn ingress(running: &Running) -> Result<Vec<Check>> {
    let host = "shop.example.com";
    let root = running.ask(host, "/", &[])?;
    let next = running.ask(host, "/next", &[])?;
    let old = running.ask(host, "/old", &[])?;
    let stranger = running.ask("other.example.com", "/", &[])?;
    let paths: Vec<String> = running.received("shop-v2").into_iter().map(|request| request.path).collect();
    let location = old.header("location").unwrap_or_default();
    Ok(vec![
        equal("/", &version(&root), &"v1".to_owned()),
        equal("/next", &version(&next), &"v2".to_owned()),
        equal("paths that v2 received", &paths, &vec!["/".to_owned()]),
        equal("/old", &old.status, &301),
        holds(
            "its location",
            location,
            "http://shop.example.com/new",
            location.ends_with("shop.example.com/new"),
        ),
        equal("another host", &stranger.status, &404),
    ])
}

pub(super) fn egress_gateway(running: &Running) -> Result<Vec<Check>> {
    const N: u32 = 20;
    let versions = running.versions(N, "api.example.com:9080", &[])?;
    let received = running.received("api");
    let marked =
        received.iter().filter(|request| request.header("x-way-out") == Some("egress-gateway")).count();
    let counted: u64 =
        running.admin("egress-gateway")?.stats("^http.outbound_.*downstream_rq_2xx$")?.values().sum();
    Ok(vec![
        equal("answers", &versions, &BTreeMap::from([("v1".to_owned(), N)])),
        equal("requests that the server received", &received.len(), &(N as usize)),
        equal("of them marked by the gateway", &marked, &(N as usize)),
        equal("requests that the gateway counted", &counted, &u64::from(N)),
    ])
}
