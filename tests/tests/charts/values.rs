//! What becomes of each value of Istio's charts: the tables `deploy/helm/tests/istio-values` say where each shows, and
//! here every row is rendered. A value that would be dropped in silence fails. Answers checklist 9.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use super::{helm, rendered, root};

/// The rows of a chart's table in one category: path of the value, and what it is set to.
fn rows(chart: &str, category: &str) -> BTreeMap<String, Value> {
    let file = root().join(format!("deploy/helm/tests/istio-values/{chart}.yaml"));
    let text = std::fs::read_to_string(&file).expect("the table is there");
    let mut table: BTreeMap<String, BTreeMap<String, Value>> = serde_yaml::from_str(&text).expect("a table");
    table.remove(category).unwrap_or_default()
}

/// The arguments that set values, each as JSON.
fn set<'a>(values: impl IntoIterator<Item = (&'a String, &'a Value)>) -> Vec<String> {
    values
        .into_iter()
        .flat_map(|(path, value)| ["--set-json".to_owned(), format!("{path}={value}")])
        .collect()
}

fn render(helm: &Path, chart: &str, arguments: &[String]) -> Result<Vec<Value>, String> {
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    rendered(helm, "release", chart, &arguments)
}

fn config_map<'a>(objects: &'a [Value], name: &str) -> Option<&'a Value> {
    objects.iter().find(|object| object["kind"] == "ConfigMap" && object["metadata"]["name"] == name)
}

/// What people and tools are told of values without effect.
fn told(objects: &[Value]) -> Vec<String> {
    let text = config_map(objects, "values").and_then(|map| map["data"]["without-effect"].as_str());
    text.unwrap_or_default().lines().map(str::to_owned).collect()
}

/// The objects less those that repeat the values as they are.
fn acting(mut objects: Vec<Value>) -> Vec<Value> {
    objects.retain(|object| {
        let name = object["metadata"]["name"].as_str().unwrap_or_default();
        object["kind"] != "ConfigMap"
            || !(name.starts_with("values") || name.starts_with("istio-sidecar-injector"))
    });
    objects
}

#[test]
fn every_value_of_istios_charts_changes_an_object_where_the_table_says_so() {
    let Some(helm) = helm() else { return };
    let mut cases: Vec<(&str, String, Value, Vec<String>)> = Vec::new();
    for chart in ["base", "istiod", "gateway"] {
        cases.extend(rows(chart, "object").into_iter().map(|(path, value)| (chart, path, value, Vec::new())));
        for (path, pair) in rows(chart, "together") {
            let others: BTreeMap<String, Value> =
                serde_json::from_value(pair[1].clone()).expect("what is set besides");
            cases.push((chart, path, pair[0].clone(), set(&others)));
        }
    }
    assert!(cases.len() > 130, "{}", cases.len());

    let plain: BTreeMap<&str, Vec<Value>> = ["base", "istiod", "gateway"]
        .map(|chart| (chart, acting(render(&helm, chart, &[]).expect("the chart renders"))))
        .into();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some((chart, path, value, others)) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut arguments = others.clone();
            arguments.extend(set([(path, value)]));
            let fault = match render(&helm, chart, &arguments) {
                Err(error) => Some(error),
                Ok(objects) if told(&objects).iter().any(|line| line.starts_with(&format!("{path}:"))) => {
                    Some("is told to have no effect".to_owned())
                }
                Ok(objects) => {
                    let before = if others.is_empty() {
                        plain[chart].clone()
                    } else {
                        acting(render(&helm, chart, others).expect("the chart renders"))
                    };
                    (acting(objects) == before).then(|| "changes nothing".to_owned())
                }
            };
            if let (Some(fault), Ok(mut wrong)) = (fault, wrong.lock()) {
                wrong.push(format!("{chart}: {path}: {fault}"));
            }
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(work);
        }
    });
    let wrong = wrong.into_inner().expect("no worker failed");
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn values_of_injection_reach_its_config_map_under_the_names_that_templates_read() {
    let Some(helm) = helm() else { return };
    let rows = rows("istiod", "injection");
    assert!(rows.len() > 40);
    let objects = render(&helm, "istiod", &set(&rows)).expect("the chart renders");
    let data = &config_map(&objects, "istio-sidecar-injector").expect("a ConfigMap")["data"];
    let values: Value = serde_json::from_str(data["values"].as_str().expect("JSON")).expect("JSON");
    for (path, value) in &rows {
        let place = if path.starts_with("cni.") { format!("pilot.{path}") } else { path.clone() };
        let pointer = format!("/{}", place.replace('.', "/"));
        assert_eq!(values.pointer(&pointer), Some(value), "{path}");
    }
    assert_eq!(values["revision"], "");
    let config: Value = serde_yaml::from_str(data["config"].as_str().expect("YAML")).expect("YAML");
    let webhook = |name: &str| &rows[&format!("sidecarInjectorWebhook.{name}")];
    assert_eq!(config["policy"], rows["global.proxy.autoInject"]);
    for name in ["neverInjectSelector", "alwaysInjectSelector", "injectedAnnotations", "defaultTemplates"] {
        assert_eq!(config[name], *webhook(name));
    }
    assert_eq!(config["templates"]["own"], webhook("templates")["own"]);
    assert_eq!(told(&objects), Vec::<String>::new());

    let off = json!(true);
    let omitted = set([(&"global.omitSidecarInjectorConfigMap".to_owned(), &off)]);
    let objects = render(&helm, "istiod", &omitted).expect("the chart renders");
    assert!(config_map(&objects, "istio-sidecar-injector").is_none());
}

#[test]
fn every_template_of_the_chart_is_in_the_config_map_as_its_file_has_it() {
    let Some(helm) = helm() else { return };
    let objects = render(&helm, "istiod", &[]).expect("the chart renders");
    let data = &config_map(&objects, "istio-sidecar-injector").expect("a ConfigMap")["data"];
    let config: Value = serde_yaml::from_str(data["config"].as_str().expect("YAML")).expect("YAML");
    let mut left = config["templates"].as_object().expect("templates").clone();
    for entry in std::fs::read_dir(root().join("deploy/helm/istiod/files")).expect("the folder is there") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            continue;
        }
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let name = match file.strip_suffix("injection-template") {
            Some("") => "sidecar",
            Some(before) => before.trim_end_matches('-'),
            None => &file,
        };
        let text = std::fs::read_to_string(&path).expect("a template");
        assert_eq!(left.remove(name), Some(json!(text)), "{name}");
    }
    assert!(left.is_empty(), "{:?}", left.keys());
}

#[test]
fn a_value_without_effect_is_told_by_name_and_so_is_a_misspelt_one() {
    let Some(helm) = helm() else { return };
    let mut rows = rows("istiod", "notice");
    for (path, value) in [
        ("autoscaleMim", json!(3)),
        ("global.proxy.logLevle", json!("debug")),
        ("pilot.replicaCout", json!(2)),
        ("ztunnel.resources", json!({})),
        ("global.outboundTrafficPolicy.mode", json!("REGISTRY_ONLY")),
        ("env.PILOT_ENABLE_AMBIENT", json!("true")),
    ] {
        rows.insert(path.to_owned(), value);
    }
    let objects = render(&helm, "istiod", &set(&rows)).expect("the chart renders");
    let told = told(&objects);
    for path in rows.keys() {
        let path = path.strip_prefix("pilot.").unwrap_or(path);
        let is_told = told.iter().any(|line| {
            let name = line.split(": ").next().unwrap_or_default();
            path == name || path.starts_with(&format!("{name}."))
        });
        assert!(is_told, "{path} is not among {told:#?}");
    }
    assert_eq!(told.len(), rows.len(), "{told:#?}");
}

#[test]
fn values_that_are_set_to_null_are_as_if_they_were_not_set_at_all() {
    let Some(helm) = helm() else { return };
    for chart in ["base", "istiod", "gateway"] {
        let plain = names_of(&render(&helm, chart, &[]).expect("the chart renders"));
        let mut groups = BTreeMap::new();
        let mut single = BTreeMap::new();
        for category in ["object", "together", "injection"] {
            for path in rows(chart, category).into_keys() {
                groups.insert(path.split('.').next().expect("a word").to_owned(), Value::Null);
                single.insert(path, Value::Null);
            }
        }
        let objects = render(&helm, chart, &set(&groups)).unwrap_or_else(|error| panic!("{chart}: {error}"));
        // What is on by default and was set to null may be off, as in Istio's charts; nothing else may appear.
        assert!(names_of(&objects).is_subset(&plain), "{chart}");
        let inner: BTreeMap<String, Value> = single
            .keys()
            .filter_map(|path| {
                path.match_indices('.').nth(1).map(|(at, _)| (path[..at].to_owned(), Value::Null))
            })
            .collect();
        render(&helm, chart, &set(&inner)).unwrap_or_else(|error| panic!("{chart}: {error}"));
        if chart == "gateway" {
            // A Service without ports is refused by a message of ours, see below.
            single.remove("service.ports");
        }
        render(&helm, chart, &set(&single)).unwrap_or_else(|error| panic!("{chart}: {error}"));
    }
    let ports = set([(&"service.ports".to_owned(), &Value::Null)]);
    let error = render(&helm, "gateway", &ports).expect_err("a Service needs ports");
    assert!(error.contains("service.ports must not be empty"), "{error}");
}

fn names_of(objects: &[Value]) -> std::collections::BTreeSet<String> {
    objects.iter().map(|object| format!("{}/{}", object["kind"], object["metadata"]["name"])).collect()
}

#[test]
fn profiles_come_between_the_defaults_and_what_the_user_sets() {
    let Some(helm) = helm() else { return };
    let arguments: Vec<String> =
        ["profile=\"demo\"", "traceSampling=7", "compatibilityVersion=\"1.28\"", "platform=\"openshift\""]
            .iter()
            .flat_map(|set| ["--set-json".to_owned(), (*set).to_owned()])
            .collect();
    let objects = render(&helm, "istiod", &arguments).expect("the chart renders");
    let container =
        super::find(&objects, "Deployment", "istiod")["spec"]["template"]["spec"]["containers"][0].clone();
    let variable = |name: &str| {
        let found = container["env"].as_array()?.iter().find(|variable| variable["name"] == name)?;
        found["value"].as_str().map(str::to_owned)
    };
    assert_eq!(variable("PILOT_TRACE_SAMPLING").as_deref(), Some("7"));
    assert_eq!(container["resources"], json!({"requests": {"cpu": "10m", "memory": "100Mi"}}));
    assert_eq!(variable("CA_TRUSTED_NODE_ACCOUNTS").as_deref(), Some("kube-system/ztunnel"));
    // A version has what it and those after it changed, and not what changed before.
    assert_eq!(variable("DISABLE_TRACK_REMAINING_CB_METRICS").as_deref(), Some("false"));
    assert_eq!(variable("PILOT_SIDECAR_PICK_BEST_SERVICE_NAMESPACE").as_deref(), Some("false"));
    assert_eq!(variable("DISABLE_SHADOW_HOST_SUFFIX"), None);

    for wrong in ["profile=\"demos\"", "platform=\"gkee\"", "compatibilityVersion=\"1.7\""] {
        let error = render(&helm, "istiod", &["--set-json".to_owned(), wrong.to_owned()])
            .expect_err("there is no such thing");
        assert!(error.contains("is none of"), "{error}");
    }
}
