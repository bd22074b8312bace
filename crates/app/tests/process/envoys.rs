//! Bookinfo with stock Envoys, the oldest and the newest, by delta and as state of the world: every type is accepted,
//! requests flow through gateway and sidecars, an edit takes effect, and another control plane resends nothing.

use std::collections::BTreeMap;

use serde_json::Value;
use testkit::control_plane::Running;
use testkit::envoy::{Admin, Bootstrap, Envoy, NEWEST, OLDEST, Protocol, binary as envoy_binary};
use testkit::{http, wait};

use super::bookinfo::Bookinfo;
use super::*;

const TYPES: [&str; 4] = ["cluster", "endpoint", "listener", "route"];

/// Waits until every proxy has accepted every type, and never refused one.
fn accepted(running: &Running, envoys: &BTreeMap<String, Admin>) {
    let synced = |status: &Value| {
        TYPES.iter().all(|one| {
            let nonce = |what: &str| status[format!("{one}_{what}")].as_str().unwrap_or_default();
            !nonce("sent").is_empty() && nonce("sent") == nonce("acked")
        })
    };
    let page = wait::until("all proxies synced", LIMIT, || {
        let page = running.debug("syncz")?;
        let statuses = page.as_array().cloned().unwrap_or_default();
        let all = statuses.len() == envoys.len() && statuses.iter().all(synced);
        if all { Ok(Some(statuses)) } else { Err(std::io::Error::other(page.to_string())) }
    });
    for status in page.unwrap() {
        assert!(envoys.contains_key(status["proxy"].as_str().unwrap()), "{status}");
        for one in status["resources"].as_object().unwrap().values() {
            assert!(one["rejections"].is_null() && one["lastError"].is_null(), "{status}");
        }
    }
    for (name, admin) in envoys {
        assert_eq!(admin.n_rejected().unwrap(), 0, "{name}");
    }
    assert!(running.metric("pilot_total_xds_rejects").unwrap() < 1.0);
}

/// Asks through the gateway until the answer is as expected.
fn answers(bookinfo: &Bookinfo, status: u16, body: &str) {
    wait::until(&format!("{status} {body}"), LIMIT, || {
        let request = http::get(bookinfo.entry(), "/productpage").header("host", "bookinfo.example.com");
        let answer = request.header("end-user", "jason").send()?;
        if (answer.status, answer.text().as_str()) == (status, body) {
            return Ok(Some(()));
        }
        Err(std::io::Error::other(format!("{} {}", answer.status, answer.text())))
    })
    .unwrap();
}

/// No route decides about a path with a NUL, whatever it leads to without.
fn a_path_with_nul_is_refused(bookinfo: &Bookinfo) {
    let status = |path: &str| {
        let request = http::get(bookinfo.entry(), path).header("host", "bookinfo.example.com");
        request.header("end-user", "jason").send().unwrap().status
    };
    assert_eq!(status("/productpage%00"), 400);
    assert_eq!(status("/%00/../productpage"), 400);
    assert_eq!(status("/productpage"), 200);
}

/// How often clusters and listeners were added, changed or removed.
fn n_changes(admin: Admin) -> u64 {
    let stats =
        admin.stats("(cluster|listener)_manager.(cluster|listener)_(added|modified|removed)$").unwrap();
    assert!(!stats.is_empty());
    stats.values().sum()
}

fn walk(version: &str, protocol: Protocol, number: u8, beside_bad_input: bool) {
    let name = format!("{}-{protocol:?}", version.replace('.', "-")).to_lowercase();
    let bookinfo = Bookinfo::new(&name, number);
    if beside_bad_input {
        bookinfo.add_bad_input();
    }
    let control_plane = bookinfo.folder.control_plane();
    let mut running = control_plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let nodes = [bookinfo.gateway(), bookinfo.productpage(), bookinfo.reviews()];
    let mut envoys: Vec<Envoy> = nodes
        .into_iter()
        .map(|node| {
            let admin = (node.address, 15000).into();
            let bootstrap = Bootstrap { node, discovery: running.addresses().grpc, admin, protocol };
            Envoy::start(&envoy_binary(version).unwrap(), &bootstrap, bookinfo.folder.path()).unwrap()
        })
        .collect();
    let mut admins = BTreeMap::new();
    for envoy in &mut envoys {
        envoy.wait_ready(LIMIT).unwrap();
        admins.insert(envoy.process().name().to_owned(), envoy.admin());
    }
    accepted(&running, &admins);
    answers(&bookinfo, 200, "200 reviews v2");
    a_path_with_nul_is_refused(&bookinfo);

    if beside_bad_input {
        told_once(&running);
    }

    let file = std::fs::read_to_string(control_plane.config.join("gateway.yaml")).unwrap();
    bookinfo.folder.write("gateway.yaml", &file.replace("exact: /productpage", "exact: /elsewhere"));
    answers(&bookinfo, 404, "");
    bookinfo.folder.write("gateway.yaml", &file);
    answers(&bookinfo, 200, "200 reviews v2");
    accepted(&running, &admins);

    let before: Vec<u64> = admins.values().map(|admin| n_changes(*admin)).collect();
    assert!(running.stop(LIMIT).unwrap().success());
    answers(&bookinfo, 200, "200 reviews v2");
    let mut running = control_plane.start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    accepted(&running, &admins);
    let after: Vec<u64> = admins.values().map(|admin| n_changes(*admin)).collect();
    assert_eq!(before, after, "clusters or listeners were changed by a restart");
    if protocol == Protocol::Delta {
        sends_nothing(&running, admins.len());
    }
    answers(&bookinfo, 200, "200 reviews v2");
    for envoy in &mut envoys {
        envoy.process().check_running().unwrap();
    }
}

/// What the first lines of `missing.yaml` say is on the page, and in the log once.
fn told_once(running: &Running) {
    let page = running.debug("configz").unwrap();
    let text = std::fs::read_to_string(testkit::workspace().join("tests/bad-input/missing.yaml")).unwrap();
    let told: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("# told: ")).collect();
    assert!(!told.is_empty());
    let log = running.log();
    for line in told {
        let mut parts = line.splitn(3, " | ");
        let [object, path, message] = [(); 3].map(|()| parts.next().unwrap());
        let is_it = |entry: &&Value| {
            let issue = &entry["issue"];
            let says = issue["message"].as_str().is_some_and(|told| told.contains(message));
            issue["object"] == object && issue["path"] == path && says
        };
        assert_eq!(page.as_array().unwrap().iter().filter(is_it).count(), 1, "{line}");
        let beginning = format!("{object}: {path}: ");
        let is_it = |logged: &&str| logged.contains(&beginning) && logged.contains(message);
        assert_eq!(log.lines().filter(is_it).count(), 1, "{line}");
    }
    assert!(running.metric("pilot_destrule_subsets").unwrap() > 0.5);
}

/// Every answer since the start was empty: so short that no resource fits in.
fn sends_nothing(running: &Running, n_proxies: usize) {
    for name in ["cluster.v3.Cluster", "endpoint.v3.ClusterLoadAssignment", "listener.v3.Listener"] {
        let url = format!("type.googleapis.com/envoy.config.{name}");
        let sample = |what| running.metric(&format!("pilot_xds_config_size_bytes_{what}{{type=\"{url}\"}}"));
        let (bytes, n) = (sample("sum").unwrap(), sample("count").unwrap());
        assert!(n >= n_proxies as f64, "{n} answers of type {name}");
        assert!(bytes < n * (60 + url.len()) as f64, "{bytes} bytes in {n} answers of type {name}");
    }
}

#[test]
fn the_oldest_envoy_takes_bookinfo_by_delta() {
    walk(OLDEST, Protocol::Delta, 1, false);
}

#[test]
fn the_oldest_envoy_takes_bookinfo_beside_bad_input_as_state_of_the_world() {
    walk(OLDEST, Protocol::StateOfTheWorld, 2, true);
}

#[test]
fn the_newest_envoy_takes_bookinfo_beside_bad_input_by_delta() {
    walk(NEWEST, Protocol::Delta, 3, true);
}

#[test]
fn the_newest_envoy_takes_bookinfo_as_state_of_the_world() {
    // The client's block; it has no Envoy that would bind an address.
    walk(NEWEST, Protocol::StateOfTheWorld, 0, false);
}
