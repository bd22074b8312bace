//! One replica of the real process over a cluster, with simulated proxies of several classes on it: what it derived,
//! and whether that is what a fresh process derives. Reliability specification, 2.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};
use testkit::ads::{SimulatedProxy, View};
use testkit::cluster::Cluster;
use testkit::control_plane::{ControlPlane, Running};
use testkit::http;
use testkit::wait::free_address;

/// The machine may be busy with compilers.
pub const LIMIT: Duration = Duration::from_mins(2);
/// The debug pages that show what is derived, beside what proxies hold.
const PAGES: [&str; 4] = ["configz", "registryz", "endpointz", "mesh"];

/// A running control plane and the proxies on it.
pub struct Replica {
    running: Running,
    control_plane: ControlPlane,
    /// The simulated proxies, one of each class.
    pub proxies: Vec<SimulatedProxy>,
}

/// What a replica made of what it knows.
#[derive(Debug)]
pub struct Derived {
    pages: BTreeMap<&'static str, Vec<String>>,
    views: BTreeMap<String, View>,
}

/// How a replica is started.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Its name, for the log.
    pub name: String,
    /// Variables of its environment.
    pub environment: Vec<(String, String)>,
    /// Another kubeconfig than the administrator's.
    pub kubeconfig: Option<PathBuf>,
    /// Whether it listens with TLS, and so keeps certificates and webhook configurations.
    pub has_tls: bool,
}

impl Options {
    /// A replica of that name.
    pub fn named(name: &str) -> Self {
        Self { name: name.to_owned(), ..Self::default() }
    }
}

/// Id, cluster and metadata of the proxies: sidecars of two namespaces and more than one workload, and a gateway.
pub(crate) fn nodes() -> Vec<(String, String, Value)> {
    let sidecar = |index: u8, app: &str, namespace: &str| {
        (
            format!("sidecar~10.244.9.{index}~{app}-0.{namespace}~{namespace}.svc.cluster.local"),
            format!("{app}.{namespace}"),
            json!({"CLUSTER_ID": "Kubernetes", "NAMESPACE": namespace, "ISTIO_VERSION": "1.30.0",
                   "LABELS": {"app": app}, "INTERCEPTION_MODE": "REDIRECT", "DNS_CAPTURE": "true"}),
        )
    };
    let gateway = (
        "router~10.244.9.9~edge-0.istio-system~istio-system.svc.cluster.local".to_owned(),
        "edge.istio-system".to_owned(),
        json!({"CLUSTER_ID": "Kubernetes", "NAMESPACE": "istio-system", "ISTIO_VERSION": "1.30.0",
               "LABELS": {"istio": "ingressgateway"}}),
    );
    vec![sidecar(1, "till", "shop"), sidecar(2, "shelf", "shop"), sidecar(3, "bank", "town"), gateway]
}

impl Replica {
    /// Starts a replica, which need not become ready.
    pub fn start(binary: &Path, cluster: &Cluster, options: &Options) -> Result<Self> {
        let kubeconfig = options.kubeconfig.clone().unwrap_or_else(|| cluster.kubeconfig());
        let log = cluster.folder().join(format!("trierarch-{}.log", options.name));
        let mut control_plane = ControlPlane::over(&kubeconfig, binary, &log)?;
        // What the watches meet is told at this level.
        control_plane.flags.extend(["--log_output_level", "default:info,kube_io:debug"].map(str::to_owned));
        control_plane.environment.clone_from(&options.environment);
        control_plane.environment.push(("POD_NAME".to_owned(), options.name.clone()));
        if options.has_tls {
            control_plane.secure = Some(free_address(Ipv4Addr::LOCALHOST.into())?);
            control_plane.webhooks = Some(free_address(Ipv4Addr::LOCALHOST.into())?);
        }
        Ok(Self { running: control_plane.start()?, control_plane, proxies: Vec::new() })
    }

    /// Starts a replica and its proxies, and waits until each was told everything.
    pub async fn ready(binary: &Path, cluster: &Cluster, options: &Options) -> Result<Self> {
        let mut replica = Self::start(binary, cluster, options)?;
        replica.until("readiness", |replica| Ok(replica.readiness() == 200)).await?;
        for (id, node_cluster, metadata) in nodes() {
            let address = replica.running.addresses().grpc;
            replica.proxies.push(SimulatedProxy::start(address, &id, &node_cluster, &metadata)?);
        }
        replica
            .until("answers to all proxies", |replica| {
                Ok(replica.proxies.iter().all(|p| p.view().is_complete()))
            })
            .await?;
        Ok(replica)
    }

    /// The process.
    pub fn running(&mut self) -> &mut Running {
        &mut self.running
    }

    /// Waits until something is so; fails at once if the process ends or panics.
    pub async fn until(&mut self, what: &str, mut is_so: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let deadline = Instant::now() + LIMIT;
        while !is_so(self).context(what.to_owned())? {
            self.check()?;
            ensure!(
                Instant::now() < deadline,
                "{what} did not happen within {LIMIT:?}; end of the log:\n{}",
                self.running.process().log_end(15)
            );
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }

    /// Waits until a line of the log holds all these parts that was written after `from`, a length of the log.
    pub async fn until_logged(&mut self, from: usize, parts: &[&str], n_times: usize) -> Result<()> {
        self.until(&format!("{n_times} lines of the log with {parts:?}"), |replica| {
            let log = replica.running.log();
            let found = log.get(from.min(log.len())..).unwrap_or_default().lines();
            Ok(found.filter(|line| parts.iter().all(|part| line.contains(part))).count() >= n_times)
        })
        .await
    }

    /// Where it listens with TLS.
    pub fn secure(&self) -> Option<SocketAddr> {
        self.control_plane.secure
    }

    /// A page under `/debug`, as JSON.
    pub fn debug(&self, page: &str) -> Result<Value> {
        Ok(self.running.debug(page)?)
    }

    /// The status of `/ready`; 0 while nobody answers.
    pub fn readiness(&self) -> u16 {
        self.running.readiness().unwrap_or_default()
    }

    /// The length of the log so far.
    pub fn log_length(&self) -> usize {
        self.running.log().len()
    }

    /// The process runs and nothing in it has panicked.
    pub fn check(&mut self) -> Result<()> {
        self.running.process().check_running()?;
        let log = self.running.log();
        if let Some(line) = log.lines().find(|line| line.contains("panicked")) {
            bail!("a panic: {line}");
        }
        Ok(())
    }

    /// What was taken from proxies since the start, by proxy.
    pub fn removed(&self) -> BTreeMap<String, Vec<String>> {
        self.proxies.iter().map(|proxy| (proxy.id().to_owned(), proxy.view().removed)).collect()
    }

    /// Whether every proxy (or, for `false`, none) holds a resource whose name contains this.
    pub fn all_mention(&self, part: &str, expected: bool) -> bool {
        self.proxies.iter().all(|proxy| proxy.view().mentions(part) == expected)
    }

    /// Everything derived.
    pub fn derived(&self) -> Result<Derived> {
        Derived::of(self.running.addresses().monitoring, &self.proxies)
    }

    /// Starts another process and compares: sooner or later both must have derived the same.
    pub async fn assert_fresh(&mut self, binary: &Path, cluster: &Cluster, options: &Options) -> Result<()> {
        let options = Options { name: format!("{}-fresh", options.name), ..options.clone() };
        let fresh = Self::ready(binary, cluster, &options).await?;
        let mut differences = Vec::new();
        let equal = self
            .until("equality with a fresh process", |replica| {
                differences = replica.derived()?.differences(&fresh.derived()?);
                Ok(differences.is_empty())
            })
            .await;
        if equal.is_err() {
            let all = differences.join("\n");
            bail!(
                "{} differences from a fresh process:\n{}",
                differences.len(),
                all.chars().take(6000).collect::<String>()
            );
        }
        let errors = self.running.metric("pilot_total_xds_internal_errors")?;
        ensure!(errors == 0.0, "{errors} internal errors");
        self.check()
    }

    /// Asks the process to end, as Kubernetes does.
    pub fn stop(self) -> Result<()> {
        let status = self.running.stop(LIMIT)?;
        ensure!(status.success(), "{} ended with {status}", self.control_plane.log.display());
        Ok(())
    }
}

impl Derived {
    /// What the process made whose debug pages are there, as far as these show it and these proxies have it.
    pub fn of(monitoring: SocketAddr, proxies: &[SimulatedProxy]) -> Result<Self> {
        let mut pages = BTreeMap::new();
        for page in PAGES {
            let answer = http::get(monitoring, &format!("/debug/{page}")).limit(LIMIT).send()?.json()?;
            let mut items: Vec<String> = match answer {
                Value::Array(items) => items.iter().map(ToString::to_string).collect(),
                other => vec![other.to_string()],
            };
            // Pages list in an order that follows how things came about.
            items.sort();
            pages.insert(page, items);
        }
        let views = proxies.iter().map(|proxy| (proxy.id().to_owned(), proxy.view())).collect();
        Ok(Self { pages, views })
    }

    /// What another has otherwise, as text.
    pub fn differences(&self, other: &Derived) -> Vec<String> {
        let mut lines = Vec::new();
        for (page, items) in &self.pages {
            let theirs = other.pages.get(page).map(Vec::as_slice).unwrap_or_default();
            let only = |a: &[String], b: &[String], whose: &str| -> Vec<String> {
                let only = a.iter().filter(|item| b.binary_search(item).is_err());
                only.map(|item| format!("/debug/{page} {whose}: {item}")).collect()
            };
            lines.extend(only(items, theirs, "only here"));
            lines.extend(only(theirs, items, "only there"));
        }
        for (id, view) in &self.views {
            let theirs = other.views.get(id).cloned().unwrap_or_default();
            lines.extend(view.differences(&theirs).into_iter().map(|line| format!("{id} {line}")));
        }
        lines
    }

    /// Whether a debug page says this.
    pub fn mentions(&self, text: &str) -> bool {
        self.pages.values().flatten().any(|item| item.contains(text))
    }

    /// How much there is: entries of all pages and resources of all proxies.
    pub fn len(&self) -> usize {
        self.pages.values().map(Vec::len).sum::<usize>() + self.views.values().map(View::len).sum::<usize>()
    }

    /// Whether nothing was derived.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
