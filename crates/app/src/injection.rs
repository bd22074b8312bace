//! `trierarch inject`: the proxy into the pods of a file, without a cluster, as `istioctl kube-inject` does it; and for
//! the webhook, the injector's configuration as the mesh's objects have it (platform specification, section 6).

mod live;

pub(crate) use live::{Live, Settings};

use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use clap::Args;
use inject::{Config, Injector, NativeSidecars};
use serde_json::{Value, json};

const SIDECAR: &str = include_str!("../../../deploy/helm/istiod/files/injection-template.yaml");
const GATEWAY: &str = include_str!("../../../deploy/helm/istiod/files/gateway-injection-template.yaml");
const GRPC_AGENT: &str = include_str!("../../../deploy/helm/istiod/files/grpc-agent.yaml");
const GRPC_SIMPLE: &str = include_str!("../../../deploy/helm/istiod/files/grpc-simple.yaml");
const CHART_VALUES: &str = include_str!("../../../deploy/helm/istiod/values.yaml");
/// Where the chart keeps what values are without the user's.
const CHART_DEFAULTS: &str = "_internal_defaults_do_not_set";

/// What `inject` takes. Names are those of `istioctl kube-inject`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// File of YAML or JSON with Pods and whatever makes Pods; `-` for the standard input.
    #[arg(short, long, value_name = "FILE")]
    filename: String,
    /// Where the result goes; the standard output if unset.
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// The key `config` of the ConfigMap `istio-sidecar-injector`, or that whole ConfigMap; the chart's templates if
    /// unset.
    #[arg(long = "injectConfigFile", value_name = "FILE")]
    config: Option<PathBuf>,
    /// The key `values` of that ConfigMap, as YAML or JSON; the chart's values if unset.
    #[arg(long = "valuesFile", value_name = "FILE")]
    values: Option<PathBuf>,
    /// Mesh configuration, or the ConfigMap `istio` that holds it; the defaults if unset.
    #[arg(long = "meshConfigFile", value_name = "FILE")]
    mesh: Option<PathBuf>,
    /// Revision of the control plane that the proxies are for.
    #[arg(short, long, default_value = "")]
    revision: String,
    /// Whether proxies are init containers that keep running, where a Pod does not say. They need Kubernetes 1.29.
    #[arg(long = "nativeSidecars", default_value_t = false, action = clap::ArgAction::Set, value_name = "BOOL")]
    native_sidecars: bool,
}

/// Injects a file.
pub(crate) fn run(options: &Options) -> Result<()> {
    let text = input(&options.filename)?;
    let injector = injector(options)?;
    let injected = inject::inject_text(&text, &options.namespace, &injector)
        .map_err(|error| anyhow::anyhow!("{}: {error}", options.filename))?;
    for note in &injected.notes {
        writeln!(std::io::stderr(), "===> {note}")?;
    }
    match &options.output {
        Some(file) => std::fs::write(file, &injected.text)
            .with_context(|| format!("{} cannot be written", file.display())),
        None => Ok(std::io::stdout().write_all(injected.text.as_bytes())?),
    }
}

fn input(name: &str) -> Result<String> {
    if name == "-" {
        let mut text = String::new();
        std::io::stdin().read_to_string(&mut text).context("the standard input cannot be read")?;
        return Ok(text);
    }
    read(Path::new(name))
}

fn read(file: &Path) -> Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))
}

/// The text of a key: of the ConfigMap that a file holds, or the file itself.
fn key(file: &Path, key: &str) -> Result<Option<String>> {
    let text = read(file)?;
    let documents = config::yaml::documents(&text).unwrap_or_default();
    let of_config_map = documents.iter().find(|document| document["kind"] == "ConfigMap");
    match of_config_map.and_then(|document| document["data"].as_object()) {
        Some(data) => Ok(data.get(key).and_then(Value::as_str).map(str::to_owned)),
        None => Ok(Some(text)),
    }
}

fn injector(options: &Options) -> Result<Injector> {
    let values = match (&options.values, &options.config) {
        (Some(file), _) => key(file, "values")?,
        // A whole ConfigMap has them too.
        (None, Some(file)) => key(file, "values")?
            .filter(|_| key(file, "config").is_ok_and(|c| c != key(file, "values").ok().flatten())),
        (None, None) => None,
    };
    let values = values.map_or_else(chart_values, Ok)?;
    let document = match &options.config {
        Some(file) => match key(file, "config")? {
            Some(document) => document,
            None => bail!("{}: the ConfigMap has no key config", file.display()),
        },
        None => chart_config(),
    };
    let config =
        Config::parse(&document, &values).map_err(|error| anyhow::anyhow!("the injector's {error}"))?;
    let mesh = match &options.mesh {
        Some(file) => {
            let document = key(file, "mesh")?.unwrap_or_default();
            config::mesh_config::parse_mesh(&document)
                .map_err(|rejection| anyhow::anyhow!("{}: {rejection}", file.display()))?
        }
        None => config::mesh_config::default_mesh(),
    };
    Ok(Injector {
        config: Arc::new(config),
        mesh: Arc::new(mesh),
        proxy_configs: Vec::new(),
        revision: options.revision.clone(),
        native_sidecars: NativeSidecars { everywhere: options.native_sidecars, nodes: BTreeMap::new() },
        openshift: None,
        compliance_policy: String::new(),
        environment: Arc::new(inject::NoEnvironment),
    })
}

/// The document of the chart's own ConfigMap.
pub(crate) fn chart_config() -> String {
    json!({
        "policy": "enabled",
        "defaultTemplates": ["sidecar"],
        "templates": {
            "sidecar": SIDECAR,
            "gateway": GATEWAY,
            "grpc-agent": GRPC_AGENT,
            "grpc-simple": GRPC_SIMPLE,
        },
    })
    .to_string()
}

/// The values that the chart has without the user's.
pub(crate) fn chart_values() -> Result<String> {
    let documents = config::yaml::documents(CHART_VALUES).map_err(anyhow::Error::msg)?;
    let chart = documents.into_iter().next().unwrap_or_default();
    let chart = chart.get(CHART_DEFAULTS).cloned().unwrap_or(chart);
    let pilot = json!({"cni": chart["cni"], "env": chart["env"]});
    let mut values = json!({"pilot": pilot, "revision": chart["revision"]});
    for name in ["global", "gateways", "sidecarInjectorWebhook"] {
        values[name] = chart[name].clone();
    }
    Ok(values.to_string())
}
