//! Where the objects of a measured mesh lie: in a folder, or in an API server with etcd that is started for it or
//! that stands already.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use kube_io::Client;
use serde_json::Value;
use testkit::cluster::{Cluster, binaries, objects};
use tokio::runtime::Handle;

/// Objects that a control plane reads.
pub struct World {
    runtime: Handle,
    place: Place,
}

enum Place {
    Folder(PathBuf),
    Cluster { client: Client, kubeconfig: PathBuf, _cluster: Option<Box<Cluster>> },
}

impl World {
    /// An empty folder.
    pub fn folder(runtime: &Handle, below: &Path) -> Result<Self> {
        let folder = below.join("config");
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        Ok(Self { runtime: runtime.clone(), place: Place::Folder(folder) })
    }

    /// A fresh API server with our definitions and nothing else.
    pub fn cluster(runtime: &Handle) -> Result<Self> {
        let Some(binaries) = binaries() else {
            bail!("no API server: run `make tools-kubernetes` or set KUBEBUILDER_ASSETS");
        };
        let (cluster, client) = runtime.block_on(async {
            let cluster = Cluster::start(&binaries, "bench").await?;
            let client = cluster.client().await?;
            objects::define_all(&client).await?;
            anyhow::Ok((cluster, client))
        })?;
        let kubeconfig = cluster.kubeconfig();
        Ok(Self {
            runtime: runtime.clone(),
            place: Place::Cluster { client, kubeconfig, _cluster: Some(Box::new(cluster)) },
        })
    }

    /// An API server that stands already, with definitions of Istio's kinds.
    pub fn standing(runtime: &Handle, kubeconfig: &Path) -> Result<Self> {
        let client = runtime.block_on(kube_io::connect(Some(kubeconfig)))?;
        let kubeconfig = kubeconfig.to_path_buf();
        Ok(Self { runtime: runtime.clone(), place: Place::Cluster { client, kubeconfig, _cluster: None } })
    }

    /// `files` or `api`.
    pub fn name(&self) -> &'static str {
        match self.place {
            Place::Folder(_) => "files",
            Place::Cluster { .. } => "api",
        }
    }

    /// The API server, where there is one.
    pub fn client(&self) -> Option<&Client> {
        match &self.place {
            Place::Folder(_) => None,
            Place::Cluster { client, .. } => Some(client),
        }
    }

    /// Flags by which our own control plane reads it.
    pub fn flags(&self) -> Vec<String> {
        match &self.place {
            Place::Folder(folder) => vec!["--configDir".into(), folder.display().to_string()],
            Place::Cluster { kubeconfig, .. } => {
                vec!["--kubeconfig".into(), kubeconfig.display().to_string()]
            }
        }
    }

    /// Stores many objects. In a folder they lie in few files.
    pub fn fill(&self, all: &[Value]) -> Result<()> {
        match &self.place {
            Place::Folder(folder) => {
                for (number, part) in all.chunks(200).enumerate() {
                    let documents: Vec<String> = part.iter().map(|object| format!("---\n{object}\n")).collect();
                    write(folder, &format!("mesh-{number}.yaml"), &documents.concat())?;
                }
                Ok(())
            }
            Place::Cluster { client, .. } => self.runtime.block_on(async {
                let namespaces: std::collections::BTreeSet<&str> =
                    all.iter().filter_map(|object| object["metadata"]["namespace"].as_str()).collect();
                let namespaces: Vec<Value> = namespaces
                    .into_iter()
                    .map(|name| serde_json::json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}))
                    .collect();
                objects::apply_at_once(client, &namespaces).await?;
                objects::apply_at_once(client, all).await.map(drop)
            }),
        }
    }

    /// Stores one object, new or changed. Returns when that was done.
    pub fn put(&self, object: &Value) -> Result<Instant> {
        match &self.place {
            Place::Folder(folder) => write(folder, &file_of(object), &object.to_string())?,
            Place::Cluster { client, .. } => {
                self.runtime.block_on(objects::apply_one(client, object)).map(drop)?;
            }
        }
        Ok(Instant::now())
    }
}

impl World {
    /// Removes an object that was put; one that is not there is none. In a folder the one of the first filling, if there
    /// was one, is back.
    pub fn remove(&self, object: &Value) -> Result<()> {
        match &self.place {
            Place::Folder(folder) => match fs::remove_file(folder.join(file_of(object))) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
                _ => Ok(()),
            },
            Place::Cluster { client, .. } => {
                self.runtime.block_on(objects::delete(client, std::slice::from_ref(object)))
            }
        }
    }
}

/// Later files go before earlier ones, so that a changed object hides the one of the first filling.
fn file_of(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_lowercase();
    let meta = &object["metadata"];
    format!("a-{}-{}-{}.json", text(&object["kind"]), text(&meta["namespace"]), text(&meta["name"]))
}

/// Writes a file as editors do: whole, under its name.
fn write(folder: &Path, name: &str, text: &str) -> Result<()> {
    let beside = folder.join(".new");
    fs::write(&beside, text).with_context(|| beside.display().to_string())?;
    fs::rename(&beside, folder.join(name)).with_context(|| name.to_owned())
}
