//! The real process over a real API server that calls its webhooks, by the objects of our charts as they are but for a
//! port: the Service leads to this machine.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kube_io::Client;
use serde_json::{Value, json};
use testkit::cluster::{Cluster, binaries, objects};
use testkit::control_plane::{ControlPlane, Running};
use testkit::wait::free_address;

use crate::binary::binary;
use crate::helm::{helm, rendered};

/// The machine may be busy with compilers.
pub const LIMIT: Duration = Duration::from_mins(2);
/// Kinds of the chart that the API server needs for calls.
const KINDS: [&str; 6] = [
    "ConfigMap",
    "CustomResourceDefinition",
    "MutatingWebhookConfiguration",
    "ValidatingWebhookConfiguration",
    "Service",
    "ServiceAccount",
];

/// A cluster in which charts are installed.
pub struct Hooked {
    pub cluster: Cluster,
    pub client: Client,
}

/// A control plane of one release of the chart.
pub struct Plane {
    pub control_plane: ControlPlane,
    /// The objects of the release, as they were applied.
    pub objects: Vec<Value>,
}

impl Hooked {
    /// A cluster with the chart `base`; nothing where Helm or Kubernetes are missing.
    pub async fn start(name: &str) -> Result<Option<Self>> {
        let (Some(helm), Some(programs)) = (helm(), binaries()) else { return Ok(None) };
        let cluster = Cluster::start(&programs, name).await?;
        let client = cluster.client().await?;
        let base = rendered(&helm, "istio-base", "base", &[]).map_err(anyhow::Error::msg)?;
        let definitions = base.into_iter().filter(|object| object["kind"] == "CustomResourceDefinition");
        objects::apply(&client, &definitions.collect::<Vec<_>>()).await?;
        let hooked = Self { cluster, client };
        for kind in ["gateways", "virtualservices"] {
            let path = format!("/apis/networking.istio.io/v1/{kind}?limit=1");
            hooked.until(&path, |_| true).await?;
        }
        Ok(Some(hooked))
    }

    /// Installs a release of the chart `istiod` and of what the chart `base` has for it. The process is not started.
    pub async fn install(&self, release: &str, arguments: &[&str]) -> Result<Plane> {
        let helm = helm().context("Helm")?;
        let log = self.cluster.folder().join(format!("{release}.log"));
        let mut control_plane = ControlPlane::over(&self.cluster.kubeconfig(), &binary()?, &log)?;
        control_plane.secure = Some(free()?);
        let webhooks = free()?;
        control_plane.webhooks = Some(webhooks);
        control_plane.environment.push(("POD_NAME".to_owned(), release.to_owned()));
        // What the test does not want to find beside the repository.
        let cacerts = self.cluster.folder().join(format!("{release}-cacerts"));
        control_plane.environment.push(("ROOT_CA_DIR".to_owned(), cacerts.display().to_string()));
        let mut all = rendered(&helm, release, "istiod", arguments).map_err(anyhow::Error::msg)?;
        if !arguments.iter().any(|argument| argument.starts_with("revision=")) {
            all.extend(rendered(&helm, "istio-base", "base", &[]).map_err(anyhow::Error::msg)?);
        }
        all.retain(|object| {
            KINDS.iter().any(|kind| object["kind"] == *kind) && object["kind"] != "CustomResourceDefinition"
        });
        for object in &mut all {
            lead_here(object, webhooks.port());
        }
        objects::apply(&self.client, &all).await?;
        Ok(Plane { control_plane, objects: all })
    }

    /// What stands at a path.
    pub async fn read(&self, path: &str) -> Result<Value> {
        Ok(serde_json::from_str(&objects::get(&self.client, path).await?)?)
    }

    /// What stands at a path as soon as it is as wanted.
    pub async fn until(&self, path: &str, wanted: impl Fn(&Value) -> bool) -> Result<Value> {
        let deadline = Instant::now() + LIMIT;
        loop {
            let found = self.read(path).await;
            if let Ok(found) = &found
                && wanted(found)
            {
                return Ok(found.clone());
            }
            if Instant::now() > deadline {
                bail!("{path} is not as wanted: {found:?}");
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    /// Makes a namespace with labels.
    pub async fn namespace(&self, name: &str, labels: &Value) -> Result<()> {
        let namespace =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels}});
        objects::apply(&self.client, &[namespace]).await.map(drop)
    }

    /// Makes a Pod, and returns what was stored.
    pub async fn pod(&self, namespace: &str, name: &str, metadata: &Value) -> Result<Value> {
        let mut metadata = metadata.clone();
        metadata["name"] = json!(name);
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"serviceAccountName": "default", "containers": [{"name": "web", "image": "web:1"}]}});
        objects::post(&self.client, &format!("/api/v1/namespaces/{namespace}/pods"), &pod).await
    }

    /// Tries to make an object of the mesh; the message if it is refused.
    pub async fn refusal(&self, path: &str, object: &Value) -> Result<Option<String>> {
        match objects::post(&self.client, &format!("{path}?dryRun=All"), object).await {
            Ok(_) => Ok(None),
            Err(error) => Ok(Some(format!("{error:#}"))),
        }
    }

    /// The roots in all entries of a webhook configuration, which must agree.
    pub async fn roots(&self, resource: &str, name: &str) -> Result<String> {
        let object = self.read(&configuration(resource, name)).await?;
        roots_of(&object)
    }
}

impl Plane {
    /// Starts the process and waits until it is ready.
    pub fn start(&self) -> Result<Running> {
        let mut running = self.control_plane.start()?;
        running.wait_ready(LIMIT)?;
        Ok(running)
    }

    /// One of the objects that were applied.
    pub fn object(&self, kind: &str, name: &str) -> Result<Value> {
        let found = self.objects.iter().find(|o| o["kind"] == kind && o["metadata"]["name"] == name);
        found.cloned().with_context(|| format!("no {kind} {name}"))
    }

    /// Where certificates that operators plug in are looked for.
    pub fn cacerts(&self) -> Result<&Path> {
        let found = self.control_plane.environment.iter().find(|(name, _)| name == "ROOT_CA_DIR");
        found.map(|(_, folder)| Path::new(folder.as_str())).context("a folder")
    }
}

/// The path of a webhook configuration.
pub fn configuration(resource: &str, name: &str) -> String {
    format!("/apis/admissionregistration.k8s.io/v1/{resource}/{name}")
}

/// The roots in all entries of a webhook configuration, which must agree; empty where there are none.
pub fn roots_of(configuration: &Value) -> Result<String> {
    let entries = configuration["webhooks"].as_array().context("no entries")?;
    let bundle = |entry: &Value| entry["clientConfig"]["caBundle"].as_str().unwrap_or_default().to_owned();
    let first = entries.first().map(bundle).unwrap_or_default();
    ensure!(entries.iter().all(|entry| bundle(entry) == first), "entries differ: {configuration}");
    Ok(String::from_utf8(STANDARD.decode(first)?)?)
}

/// The names of a Pod's containers, or of its init containers.
pub fn containers(pod: &Value, list: &str) -> Vec<String> {
    let all = pod["spec"][list].as_array().into_iter().flatten();
    all.map(|container| container["name"].as_str().unwrap_or_default().to_owned()).collect()
}

fn free() -> Result<SocketAddr> {
    Ok(free_address(Ipv4Addr::LOCALHOST.into())?)
}

/// Webhooks keep their Service, whose name is in the certificate; behind it is a port of this machine.
fn lead_here(object: &mut Value, port: u16) {
    let kind = object["kind"].as_str().unwrap_or_default();
    if kind == "Service" {
        object["spec"] = json!({"type": "ExternalName", "externalName": "localhost"});
    } else if kind.ends_with("WebhookConfiguration") {
        for entry in object["webhooks"].as_array_mut().into_iter().flatten() {
            entry["clientConfig"]["service"]["port"] = json!(port);
        }
    }
}
