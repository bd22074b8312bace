//! A broken file, an unknown kind, a bad field, a duplicate: told with file, object and field in the log and on
//! `/debug/configz`, and counted; everything else goes on, with the last good version of what is broken.

use serde_json::{Value, json};
use testkit::control_plane::Running;
use testkit::wait;

use super::*;

const SERVICE: &str = "
apiVersion: v1
kind: Service
metadata: {name: details, namespace: shop}
spec: {clusterIP: 10.0.0.1, ports: [{name: http, port: 80}]}
";

fn virtual_service(name: &str, timeout: &str) -> String {
    format!(
        "
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: {name}, namespace: shop}}
spec:
  hosts: [details]
  http:
  - timeout: {timeout}
    route: [{{destination: {{host: details}}}}]
"
    )
}

/// A VirtualService on `/debug/configz`.
fn in_force(running: &Running, name: &str) -> Option<Value> {
    let page = running.debug("configz").unwrap();
    let is_it = |object: &&Value| object["spec"].is_object() && object["metadata"]["name"] == name;
    page.as_array().unwrap().iter().find(is_it).map(|object| object["spec"].clone())
}

fn rejected(running: &Running) -> Vec<Value> {
    let page = running.debug("configz").unwrap();
    page.as_array().unwrap().iter().filter(|entry| entry["rejected"].is_object()).cloned().collect()
}

fn wait_for(what: &str, mut holds: impl FnMut() -> bool) {
    wait::until(what, LIMIT, || Ok(holds().then_some(()))).unwrap();
}

/// A rejection of this file is shown, logged and counted. Returns it.
#[track_caller]
fn told(running: &Running, file: &str, in_log: &[&str], counted: &str) -> Value {
    let find = || rejected(running).into_iter().find(|entry| entry["rejected"]["source"] == file);
    wait_for(&format!("the rejection of {file}"), || find().is_some());
    let log = running.log();
    let line = log.lines().find(|line| line.contains(file)).unwrap_or(&log);
    for part in in_log {
        assert!(line.contains(part), "{part} in: {line}");
    }
    let counter = format!("pilot_total_rejected_configs{{name=\"{counted}\"");
    assert!(running.metric(&counter).unwrap() >= 1.0, "{counter}");
    find().unwrap()
}

#[test]
fn each_mistake_is_told_and_everything_else_goes_on() {
    let folder = Folder::new("mistakes");
    folder.write("service.yaml", SERVICE);
    folder.write("good.yaml", &virtual_service("good", "1s"));
    let mut running = folder.control_plane().start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    assert!(running.metric("pilot_total_rejected_configs").unwrap() < 1.0);

    folder.write("broken.yaml", "apiVersion: v1\nkind: [\n");
    let shown = told(&running, "broken.yaml", &["not YAML", "line"], "broken.yaml");
    assert!(shown["rejected"]["reason"].as_str().unwrap().contains("line"));

    folder.write(
        "kind.yaml",
        "apiVersion: networking.istio.io/v1\nkind: VirtualServise\nmetadata: {name: x}\n",
    );
    told(&running, "kind.yaml", &["`VirtualServise`", "not known"], "kind.yaml");

    folder.write("field.yaml", &virtual_service("field", "soon"));
    let shown =
        told(&running, "field.yaml", &["VirtualService shop/field", "spec.http[0].timeout"], "shop/field");
    assert_eq!(shown["rejected"]["path"], "spec.http[0].timeout");
    assert_eq!(shown["metadata"], json!({"name": "field", "namespace": "shop"}));
    assert_eq!(in_force(&running, "field"), None);

    folder.write("later.yaml", &virtual_service("good", "9s"));
    told(&running, "later.yaml", &["VirtualService shop/good", "good.yaml"], "shop/good");
    assert_eq!(in_force(&running, "good").unwrap()["http"][0]["timeout"], "1s");

    // Four mistakes lie there; a good edit still takes effect, and so does the repair of a bad one.
    folder.write("good.yaml", &virtual_service("good", "2s"));
    wait_for("the edit", || in_force(&running, "good").unwrap()["http"][0]["timeout"] == "2s");
    folder.write("field.yaml", &virtual_service("field", "3s"));
    wait_for("the repair", || in_force(&running, "field").is_some());
    assert_eq!(rejected(&running).len(), 3);
    assert_eq!(running.readiness().unwrap(), 200);
    assert!(!running.log().contains("panicked"), "{}", running.log());
}

#[test]
fn the_last_good_version_stays_until_there_is_a_better_one() {
    let folder = Folder::new("last-good");
    folder.write("service.yaml", SERVICE);
    folder.write("good.yaml", &virtual_service("good", "1s"));
    let mut running = folder.control_plane().start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let timeout = || in_force(&running, "good").map(|spec| spec["http"][0]["timeout"].clone());

    folder.write("good.yaml", &virtual_service("good", "never"));
    told(&running, "good.yaml", &["spec.http[0].timeout"], "shop/good");
    assert_eq!(timeout(), Some(json!("1s")));
    folder.write("good.yaml", "a: [");
    wait_for("the broken file", || {
        rejected(&running).iter().any(|entry| entry["rejected"]["reason"].to_string().contains("not YAML"))
    });
    assert_eq!(timeout(), Some(json!("1s")));
    folder.write("good.yaml", &virtual_service("good", "5s"));
    wait_for("the better version", || timeout() == Some(json!("5s")));
    assert!(rejected(&running).is_empty());
}

#[test]
fn a_route_to_a_service_that_is_not_there_is_told_and_a_subset_declared_twice_is_counted() {
    let folder = Folder::new("nothing");
    folder.write("service.yaml", SERVICE);
    folder.write(
        "to-nothing.yaml",
        &virtual_service("to-nothing", "1s").replace("host: details", "host: absent"),
    );
    for name in ["twice-a", "twice-b"] {
        let subsets = "spec: {host: details, subsets: [{name: v1}]}";
        let meta = format!("kind: DestinationRule\nmetadata: {{name: {name}, namespace: shop}}\n{subsets}\n");
        folder.write(&format!("{name}.yaml"), &format!("apiVersion: networking.istio.io/v1\n{meta}"));
    }
    let mut running = folder.control_plane().start().unwrap();
    running.wait_ready(LIMIT).unwrap();
    let is_it = |entry: &&Value| entry["issue"]["object"] == "VirtualService shop/to-nothing";
    let find = || running.debug("configz").unwrap().as_array().unwrap().iter().find(is_it).cloned();
    wait_for("the issue", || find().is_some());
    let issue = find().unwrap();
    assert!((running.metric("pilot_destrule_subsets").unwrap() - 1.0).abs() < 0.5);
    assert_eq!(issue["issue"]["path"], "spec.http[0].route[0].destination.host");
    assert!(running.log().contains("there is no service absent (the object is from to-nothing.yaml)"));
}
