//! `trierarch analyze`: what is wrong with objects of files, of a cluster, or of files as if they were in the cluster
//! already (platform specification, section 7). Each finding names file, line, object and field, and what to do; codes,
//! flags and exit codes are those of `istioctl analyze`.

mod filter;
mod input;
mod live;
mod output;
mod place;

use std::io::{IsTerminal as _, Write as _};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use validate::{Severity, Surroundings};

use filter::{Filter, Suppression};
use input::Item;

/// Something at least as severe as the threshold was found.
const FOUND: u8 = 79;
/// A document cannot be read.
const UNREADABLE: u8 = 65;

/// What `analyze` takes. Names are those of `istioctl analyze`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Files of YAML or JSON and folders of them; `-` for the standard input. Without any, the cluster is analyzed.
    #[arg(value_name = "FILE")]
    files: Vec<String>,
    /// The same.
    #[arg(short, long = "filename", value_name = "FILE", num_args = 1..)]
    filenames: Vec<String>,
    /// Namespace of objects that name none, and the only one that findings are told of; without it, all are.
    #[arg(short, long)]
    namespace: Option<String>,
    /// Tell of all namespaces, with --namespace too.
    #[arg(short = 'A', long = "all-namespaces")]
    all_namespaces: bool,
    /// How findings are printed.
    #[arg(short, long, value_enum, ignore_case = true, default_value_t = Output::Log)]
    output: Output,
    /// The least severity that makes the command fail.
    #[arg(long = "failure-threshold", value_enum, ignore_case = true, default_value_t = Threshold::Error)]
    failure_threshold: Threshold,
    /// The least severity that is printed.
    #[arg(long = "output-threshold", value_enum, ignore_case = true, default_value_t = Threshold::Info)]
    output_threshold: Threshold,
    /// Do not tell of a code for an object: CODE=Kind name.namespace, where * stands for anything. Repeatable.
    #[arg(short = 'S', long, value_name = "CODE=OBJECT")]
    suppress: Vec<Suppression>,
    /// Pass over documents that cannot be read.
    #[arg(long = "ignore-unknown")]
    ignore_unknown: bool,
    /// Analyze together with what the cluster holds. The default where a kubeconfig or no file is given.
    #[arg(short = 'k', long = "use-kube", num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    use_kube: Option<bool>,
    /// File that tells how to reach the API server; without it, `KUBECONFIG`, the home folder or the pod's own account.
    #[arg(short = 'c', long, value_name = "FILE")]
    kubeconfig: Option<PathBuf>,
    /// Mesh configuration in place of the one in the ConfigMap `istio`.
    #[arg(long = "meshConfigFile", value_name = "FILE")]
    mesh: Option<PathBuf>,
    /// Namespace of the control plane.
    #[arg(short = 'i', long = "istioNamespace", default_value = "istio-system")]
    istio_namespace: String,
    /// Suffix of Kubernetes service names.
    #[arg(long, default_value = "cluster.local")]
    domain: String,
    /// Whether to colour what is printed; unset means on a terminal only.
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true")]
    color: Option<bool>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines for readers.
    Log,
    /// Columns, the longest text last.
    Table,
    /// One JSON document.
    Json,
    /// One YAML document.
    Yaml,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Threshold {
    Info,
    Warning,
    Error,
}

impl Threshold {
    fn severity(self) -> Severity {
        match self {
            Self::Info => Severity::Info,
            Self::Warning => Severity::Warning,
            Self::Error => Severity::Error,
        }
    }
}

/// One finding and where it is.
struct Found {
    severity: Severity,
    code: &'static str,
    /// `Kind namespace/name`; empty for what is no object.
    origin: String,
    /// `file:line`; empty for what is in the cluster.
    reference: String,
    field: String,
    message: String,
}

/// Analyzes; fails with 79 when something as severe as the threshold was found, with 65 when a document cannot be read.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let names: Vec<String> = options.files.iter().chain(&options.filenames).cloned().collect();
    let with_cluster = options.use_kube.unwrap_or(names.is_empty() || options.kubeconfig.is_some());
    if names.is_empty() && !with_cluster {
        bail!("there is nothing to analyze: name files or folders, or leave --use-kube=false out");
    }
    let namespace = options.namespace.as_deref().unwrap_or("default");
    let mut inputs = input::read(&names, namespace)?;
    for note in &inputs.notes {
        eprintln!("{note}");
    }
    let n_own = inputs.items.len();
    if with_cluster {
        inputs.items = live::under(inputs.items, options.kubeconfig.as_deref())?;
    }
    if let Some(file) = &options.mesh {
        inputs.items.push(mesh(file, &options.istio_namespace)?);
    }
    let around = Surroundings {
        root_namespace: options.istio_namespace.clone(),
        domain: options.domain.clone(),
        is_complete: with_cluster,
    };
    let mut found = if options.ignore_unknown { Vec::new() } else { std::mem::take(&mut inputs.unreadable) };
    let is_unreadable = !found.is_empty();
    let filter = Filter {
        suppressions: &options.suppress,
        namespace: options.namespace.as_deref().filter(|_| !options.all_namespaces),
    };
    found.extend(filter.kept(judged(&inputs.items, &around), &inputs.items));
    let key = |one: &Found| (std::cmp::Reverse(one.severity), one.reference.clone(), one.origin.clone());
    found.sort_by_cached_key(key);
    let shown: Vec<&Found> =
        found.iter().filter(|one| one.severity >= options.output_threshold.severity()).collect();
    let no_term = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    let no_color = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    let is_terminal = std::io::stdout().is_terminal() && !no_term && !no_color;
    let text = output::text(&shown, options.output, options.color.unwrap_or(is_terminal))?;
    std::io::stdout().write_all(text.as_bytes())?;
    if shown.is_empty() {
        let place = if with_cluster { " and the cluster" } else { "" };
        eprintln!("✔ No validation issues found in {n_own} objects{place}.");
    }
    let threshold = options.failure_threshold.severity();
    Ok(if found.iter().any(|one| one.severity >= threshold && !one.origin.is_empty()) {
        ExitCode::from(FOUND)
    } else if is_unreadable {
        ExitCode::from(UNREADABLE)
    } else {
        ExitCode::SUCCESS
    })
}

/// A file of mesh configuration as the ConfigMap that would hold it.
fn mesh(file: &std::path::Path, namespace: &str) -> Result<Item> {
    let text = std::fs::read_to_string(file).with_context(|| format!("{} cannot be read", file.display()))?;
    let object = json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {"name": "istio", "namespace": namespace},
        "data": {"mesh": text},
    });
    Ok(Item { object, source: None })
}

/// All findings, each with the position of its object. Of the cluster's own objects only what is about them together
/// is told if there are files: single ones were judged when they were applied.
fn judged(items: &[Item], around: &Surroundings) -> Vec<(usize, validate::Finding)> {
    let mut found = Vec::new();
    for (index, item) in items.iter().enumerate() {
        if !is_of_interest(&item.object) {
            continue;
        }
        match validate::check(&item.object) {
            Ok(findings) => found.extend(findings.into_iter().map(|finding| (index, finding))),
            Err(rejection) => {
                let (path, message) = (rejection.path, rejection.reason);
                let finding = validate::Finding { severity: Severity::Error, code: "IST0106", path, message };
                found.push((index, finding));
            }
        }
    }
    let objects: Vec<Value> = items.iter().map(|item| item.object.clone()).collect();
    found.extend(validate::across(&objects, around));
    found
}

/// Whether an object could concern the mesh; others have kinds that nothing here knows.
fn is_of_interest(object: &Value) -> bool {
    let text = |name: &str| object.get(name).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("apiVersion"), text("kind"));
    let group = api_version.rsplit_once('/').map_or("", |(group, _)| group);
    group.ends_with("istio.io") || kind.is_empty() || config::Kind::from_group_kind(group, kind).is_some()
}
