//! A plain ADS client in Python, which shares no code with us or with Envoy, reads the resources that
//! `/debug/config_dump` says it was sent.

use std::collections::BTreeMap;
use std::process::Command;

use serde_json::Value;

use super::bookinfo::Bookinfo;
use super::*;

/// Section and path to the name, by type, in the shape of Envoy's own dump.
const SECTIONS: &[(&str, &str, &str, &str)] = &[
    ("cds", "ClustersConfigDump", "dynamicActiveClusters", "/cluster/name"),
    ("eds", "EndpointsConfigDump", "dynamicEndpointConfigs", "/endpointConfig/clusterName"),
    ("lds", "ListenersConfigDump", "dynamicListeners", "/name"),
    ("rds", "RoutesConfigDump", "dynamicRouteConfigs", "/routeConfig/name"),
];

fn names(dump: &Value, kind: &str, list: &str, path: &str) -> Vec<String> {
    let sections = dump["configs"].as_array().unwrap();
    let section =
        sections.iter().find(|one| one["@type"].as_str().unwrap().ends_with(&format!(".{kind}"))).unwrap();
    let name = |entry: &Value| entry.pointer(path).and_then(Value::as_str).unwrap_or_default().to_owned();
    let mut names: Vec<String> = section[list].as_array().into_iter().flatten().map(name).collect();
    names.sort();
    names
}

#[test]
fn a_plain_client_reads_what_the_dump_says() {
    let bookinfo = Bookinfo::new("client", 0);
    let mut running = bookinfo.folder.control_plane().start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let node = bookinfo.productpage();
    let (address, page) = (running.addresses().grpc, running.addresses().monitoring);
    let page = format!("http://{page}/debug/config_dump?proxyID={}&include_eds", node.proxy_id());
    let tools = std::env::var_os("TRIERARCH_TOOLS")
        .map_or_else(|| testkit::workspace().join(".tools"), PathBuf::from);
    let output = Command::new("python3")
        .arg(testkit::workspace().join("tests/clients/ads_client.py"))
        .args([&address.to_string(), &node.id(), &page])
        .env("PYTHONPATH", tools.join("python"))
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}\n(`make tools` installs the Python package grpcio)");

    let output: Value = serde_json::from_slice(&output.stdout).unwrap();
    let read: BTreeMap<String, Vec<String>> = serde_json::from_value(output["read"].clone()).unwrap();
    for (short, kind, list, path) in SECTIONS {
        assert!(!read[*short].is_empty(), "no {short}");
        assert_eq!(read[*short], names(&output["config_dump"], kind, list, path), "{short}");
    }
    let reviews = "outbound|9080|v2|reviews.bookinfo.svc.cluster.local".to_owned();
    assert!(read["cds"].contains(&reviews) && read["eds"].contains(&reviews), "{read:?}");
}
