//! A fresh Kubernetes control plane for one test binary: etcd and kube-apiserver on loopback ports that nobody else
//! has, kube-controller-manager when EndpointSlices are to be made. There is no kubelet and no scheduler; tests write
//! the status of Pods themselves. Everything ends with the handle.

mod binaries;
pub mod objects;

use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use aws_lc_rs::encoding::{AsDer as _, Pkcs8V1Der};
use aws_lc_rs::rsa::{KeyPair, KeySize};
pub use binaries::binaries;
use kube_io::Client;

use crate::http;
use crate::process::Process;
use crate::wait::free_address;

/// The machine may be busy with compilers.
const PATIENCE: Duration = Duration::from_mins(2);
const TOKEN: &str = "test-token";

/// A running cluster.
pub struct Cluster {
    folder: PathBuf,
    binaries: PathBuf,
    etcd_address: SocketAddr,
    address: SocketAddr,
    authorization: &'static str,
    // Ended in this order.
    controllers: Option<Process>,
    api: Option<Process>,
    _etcd: Process,
}

impl Cluster {
    /// Starts etcd and an API server, and waits until it is ready. `name` tells clusters of one process apart.
    pub async fn start(binaries: &Path, name: &str) -> Result<Self> {
        Self::start_as(binaries, name, "AlwaysAllow").await
    }

    /// As [`Cluster::start`], but everybody except the administrator has only the rights that roles give.
    pub async fn start_with_rbac(binaries: &Path, name: &str) -> Result<Self> {
        Self::start_as(binaries, name, "RBAC").await
    }

    async fn start_as(binaries: &Path, name: &str, authorization: &'static str) -> Result<Self> {
        let folder = std::env::temp_dir().join(format!("trierarch-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("service-account.key"), private_key()?)?;
        let localhost = Ipv4Addr::LOCALHOST.into();
        let etcd_address = free_address(localhost)?;
        let peers = free_address(localhost)?;
        let mut command = Command::new(binaries.join("etcd"));
        command
            .arg("--data-dir")
            .arg(folder.join("etcd"))
            .args(["--listen-client-urls", &format!("http://{etcd_address}")])
            .args(["--advertise-client-urls", &format!("http://{etcd_address}")])
            .args(["--listen-peer-urls", &format!("http://{peers}")])
            .args(["--initial-advertise-peer-urls", &format!("http://{peers}")])
            .args(["--initial-cluster", &format!("default=http://{peers}")]);
        let etcd = Process::start("etcd", &mut command, &folder.join("etcd.log"))?;
        let address = free_address(localhost)?;
        let mut cluster = Self {
            folder,
            binaries: binaries.to_path_buf(),
            etcd_address,
            address,
            authorization,
            controllers: None,
            api: None,
            _etcd: etcd,
        };
        cluster.tokens(&[])?;
        Self::write_kubeconfig(&cluster.kubeconfig(), address, TOKEN)?;
        cluster.start_api().await?;
        Ok(cluster)
    }

    /// The file that tells how to connect, as administrator.
    pub fn kubeconfig(&self) -> PathBuf {
        self.folder.join("kubeconfig.json")
    }

    /// A file that tells how to connect with that token.
    pub fn kubeconfig_of(&self, token: &str) -> Result<PathBuf> {
        let file = self.folder.join(format!("kubeconfig-{}.json", &token[..token.len().min(20)]));
        Self::write_kubeconfig(&file, self.address, token)?;
        Ok(file)
    }

    /// The tokens of administrators that the API server knows from its next start on, beside our own.
    pub fn tokens(&self, tokens: &[&str]) -> Result<()> {
        let line = |token: &&str| format!("{token},{token},{token},system:masters");
        let lines: Vec<String> = std::iter::once(&TOKEN).chain(tokens).map(line).collect();
        Ok(fs::write(self.folder.join("tokens.csv"), lines.join("\n") + "\n")?)
    }

    /// A folder that goes with the cluster, for logs beside its own.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Makes etcd forget all versions but the newest, so that no watch can go on from an older one.
    pub fn compact(&self) -> Result<()> {
        let ask = |what: &str, body: String| -> Result<serde_json::Value> {
            let response = http::post(self.etcd_address, &format!("/v3/kv/{what}")).body(body).send()?;
            anyhow::ensure!(response.status == 200, "etcd answers {what} by {}", response.text());
            Ok(response.json()?)
        };
        let answer = ask("range", serde_json::json!({"key": "Lw=="}).to_string())?;
        let revision = answer["header"]["revision"].as_str().context("etcd tells no revision")?;
        ask("compaction", serde_json::json!({"revision": revision, "physical": true}).to_string()).map(drop)
    }

    /// A client of the API server.
    pub async fn client(&self) -> Result<Client> {
        Ok(kube_io::connect(Some(&self.kubeconfig())).await?)
    }

    /// Starts the API server where it was, on what etcd holds, and waits until it is ready.
    pub async fn start_api(&mut self) -> Result<()> {
        let log = self.folder.join("kube-apiserver.log");
        self.api = Some(Process::start("kube-apiserver", &mut self.api_command(self.address), &log)?);
        let client = self.client().await?;
        ready(&client, self.api.as_mut()).await
    }

    /// Ends the API server at once, as a crash would.
    pub fn stop_api(&mut self) {
        self.api = None;
    }

    /// Calls `then` with a client of a second API server on the same etcd, which ends afterwards.
    pub async fn beside<T>(&self, then: impl AsyncFnOnce(Client) -> Result<T>) -> Result<T> {
        let address = free_address(Ipv4Addr::LOCALHOST.into())?;
        let log = self.folder.join("kube-apiserver-beside.log");
        let mut api = Process::start("kube-apiserver", &mut self.api_command(address), &log)?;
        let kubeconfig = self.folder.join("kubeconfig-beside.json");
        Self::write_kubeconfig(&kubeconfig, address, TOKEN)?;
        let client = kube_io::connect(Some(&kubeconfig)).await?;
        ready(&client, Some(&mut api)).await?;
        then(client).await
    }

    /// Starts the controllers that make EndpointSlices and empty namespaces that are deleted.
    pub fn start_controllers(&mut self) -> io::Result<()> {
        self.start_controllers_of(&["endpointslice-controller", "namespace-controller"])
    }

    /// Starts these controllers.
    pub fn start_controllers_of(&mut self, names: &[&str]) -> io::Result<()> {
        let mut command = Command::new(self.binaries.join("kube-controller-manager"));
        command
            .arg("--kubeconfig")
            .arg(self.kubeconfig())
            .arg(format!("--controllers={}", names.join(",")))
            .args(["--leader-elect=false", "--secure-port=0", "--concurrent-service-endpoint-syncs=10"]);
        let log = self.folder.join("kube-controller-manager.log");
        self.controllers = Some(Process::start("kube-controller-manager", &mut command, &log)?);
        Ok(())
    }

    fn api_command(&self, address: SocketAddr) -> Command {
        let key = self.folder.join("service-account.key");
        let mut command = Command::new(self.binaries.join("kube-apiserver"));
        command
            .args(["--etcd-servers", &format!("http://{}", self.etcd_address)])
            .args(["--bind-address", &address.ip().to_string()])
            .args(["--secure-port", &address.port().to_string()])
            // Its own certificate, made at the first start.
            .arg("--cert-dir")
            .arg(self.folder.join("certificates"))
            .arg("--token-auth-file")
            .arg(self.folder.join("tokens.csv"))
            .args(["--authorization-mode", self.authorization])
            .args(["--service-account-issuer", "https://kubernetes.default.svc"])
            .arg("--service-account-signing-key-file")
            .arg(&key)
            .arg("--service-account-key-file")
            .arg(&key)
            .args(["--service-cluster-ip-range", "10.96.0.0/12"])
            // Neither tokens are mounted nor is this server an endpoint of anything.
            .args(["--disable-admission-plugins", "ServiceAccount"])
            .args(["--endpoint-reconciler-type", "none"])
            .args(["--enable-priority-and-fairness=false", "--allow-privileged=true"])
            .args(["--max-requests-inflight=1000", "--max-mutating-requests-inflight=1000"]);
        command
    }

    fn write_kubeconfig(file: &Path, address: SocketAddr, token: &str) -> Result<()> {
        let config = serde_json::json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "test",
            "clusters": [{"name": "test", "cluster": {
                "server": format!("https://{address}"), "insecure-skip-tls-verify": true}}],
            "users": [{"name": "test", "user": {"token": token}}],
            "contexts": [{"name": "test", "context": {"cluster": "test", "user": "test"}}],
        });
        fs::write(file, config.to_string()).with_context(|| file.display().to_string())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.controllers = None;
        self.api = None;
        if std::thread::panicking() {
            eprintln!("logs of the cluster stay in {}", self.folder.display());
        } else {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// Waits until the API server says that it is ready.
async fn ready(client: &Client, mut process: Option<&mut Process>) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(process) = &mut process {
            process.check_running()?;
        }
        let reason = match objects::get(client, "/readyz").await {
            Ok(_) => return Ok(()),
            Err(error) => error.to_string(),
        };
        if Instant::now() > deadline {
            let end = process.map(|process| process.log_end(20)).unwrap_or_default();
            bail!("the API server is not ready after {PATIENCE:?}: {reason}; end of its log:\n{end}");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// A new RSA key in PEM.
fn private_key() -> Result<String> {
    let pair = KeyPair::generate(KeySize::Rsa2048).map_err(|_| anyhow::anyhow!("no key was generated"))?;
    let der: Pkcs8V1Der<'_> = pair.as_der().map_err(|_| anyhow::anyhow!("the key cannot be written"))?;
    let lines: Vec<String> = base64(der.as_ref()).chunks(64).map(|c| c.iter().collect()).collect();
    Ok(format!("-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n", lines.join("\n")))
}

fn base64(bytes: &[u8]) -> Vec<char> {
    const SYMBOLS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = Vec::new();
    for group in bytes.chunks(3) {
        let at = |index: usize| u32::from(group.get(index).copied().unwrap_or_default());
        let bits = at(0) << 16 | at(1) << 8 | at(2);
        for (index, shift) in [18, 12, 6, 0].into_iter().enumerate() {
            let symbol = SYMBOLS[(bits >> shift & 63) as usize];
            text.push(if index <= group.len() { char::from(symbol) } else { '=' });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::base64;

    #[test]
    fn base64_pads_as_it_should() {
        let text = |bytes: &[u8]| base64(bytes).into_iter().collect::<String>();
        assert_eq!((text(b"a"), text(b"ab"), text(b"abc")), ("YQ==".into(), "YWI=".into(), "YWJj".into()));
    }
}
