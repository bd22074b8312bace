//! The control plane in the hub, and workloads around it, each with its agent and its application.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use testkit::process::Process;
use testkit::secure::TokenIssuer;
use testkit::{envoy, wait};

use super::Network;
use super::network::{HUB, PROXY_USER};

const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a change of policy may take to be seen.
pub const CHANGE_LIMIT: Duration = Duration::from_secs(20);
/// The namespace that all workloads are in.
pub const NAMESPACE: &str = "shop";

/// Who takes part. The service of the same name has the address 10.96.0.N and leads port 80 to 8080 and 81 to 8081.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    /// The last byte of its addresses.
    pub number: u8,
    /// With a sidecar; without one it speaks for itself.
    pub sidecar: bool,
    /// Refuses what does not say `x-allow: yes`.
    pub guard: bool,
}

impl Workload {
    /// Where it is.
    pub fn address(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 77, 1, self.number)
    }

    /// Where its service is.
    pub fn service(&self) -> Ipv4Addr {
        Ipv4Addr::new(10, 96, 0, self.number)
    }

    fn objects(&self) -> String {
        let Self { name, .. } = self;
        let (address, service) = (self.address(), self.service());
        let tls = if self.sidecar { "\n    security.istio.io/tlsMode: istio" } else { "" };
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\nspec:\n  \
             clusterIP: {service}\n  selector:\n    app: {name}\n  ports:\n  - name: http\n    port: 80\n    \
             targetPort: 8080\n  - name: http-other\n    port: 81\n    targetPort: 8081\n---\napiVersion: v1\nkind: \
             Pod\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\n  labels:\n    app: {name}{tls}\nspec:\n  \
             serviceAccountName: {name}\n  containers:\n  - name: app\n    image: example/app:v1\n    ports:\n    - \
             containerPort: 8080\n    - containerPort: 8081\nstatus:\n  phase: Running\n  podIP: {address}\n  \
             podIPs:\n  - ip: {address}\n  conditions:\n  - type: Ready\n    status: \"True\"\n"
        )
    }
}

/// What a request inside came to; status 0 means that there was no answer, and the body says why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reply {
    pub status: u16,
    pub body: String,
}

impl Reply {
    /// A header that the application received.
    pub fn received(&self, name: &str) -> Option<String> {
        let body: Value = serde_json::from_str(&self.body).ok()?;
        Some(body["headers"][name].as_str()?.to_owned())
    }
}

/// A running mesh. Dropping it ends the processes, then removes the namespaces and the folder.
pub struct Mesh {
    processes: Vec<Process>,
    network: Network,
    folder: PathBuf,
    helper: PathBuf,
    issuer: TokenIssuer,
    workloads: Vec<Workload>,
}

impl Mesh {
    /// Starts everything and waits until all are ready. `helper` is the program `workload`; certificates are asked for
    /// for so long and renewed halfway.
    pub fn start(helper: &Path, mesh_config: &str, workloads: &[Workload], lifetime: &str) -> Result<Self> {
        let network = Network::new()?;
        let folder = std::env::temp_dir().join(format!("trierarch-namespaces-{}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("config"))?;
        let issuer = TokenIssuer::new("https://issuer.example")?;
        let mut mesh = Self {
            processes: Vec::new(),
            network,
            folder,
            helper: helper.to_path_buf(),
            issuer,
            workloads: workloads.to_vec(),
        };
        let objects: String = workloads.iter().map(Workload::objects).collect();
        let indented = format!("    {}\n", mesh_config.trim_end().replace('\n', "\n    "));
        let base = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: istio-system\n---\napiVersion: v1\nkind: \
             Namespace\nmetadata:\n  name: {NAMESPACE}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \
             istio\n  namespace: istio-system\ndata:\n  mesh: |\n    rootNamespace: istio-system\n    trustDomain: \
             cluster.local\n{indented}"
        );
        fs::write(mesh.folder.join("config/mesh.yaml"), base + &objects)?;
        mesh.apply("")?;
        mesh.start_control_plane()?;
        for workload in workloads {
            mesh.network.join(workload.name, workload.address())?;
            mesh.start_application(workload)?;
            if workload.sidecar {
                mesh.network.redirect(workload.name)?;
                mesh.start_agent(workload, lifetime)?;
            }
        }
        for workload in workloads.iter().filter(|workload| workload.sidecar) {
            let what = format!("{} ready", workload.name);
            mesh.wait(&what, |mesh| {
                Ok(mesh.get(workload.name, "127.0.0.1:15021", "/healthz/ready", &[])?.status == 200)
            })?;
        }
        Ok(mesh)
    }

    /// Replaces the policies in force.
    pub fn apply(&self, policies: &str) -> Result<()> {
        let beside = self.folder.join("policies.new");
        fs::write(&beside, policies)?;
        Ok(fs::rename(beside, self.folder.join("config/policies.yaml"))?)
    }

    /// Who signs the tokens of this mesh.
    pub fn issuer(&self) -> &TokenIssuer {
        &self.issuer
    }

    /// A request from inside a workload's namespace.
    pub fn get(&self, from: &str, address: &str, path: &str, headers: &[&str]) -> Result<Reply> {
        let mut command = self.network.command(from, &self.helper);
        command.args(["get", address, path]);
        for header in headers {
            command.args(["-H", header]);
        }
        let answer = output(&mut command)?;
        let status = answer["status"].as_u64().unwrap_or_default() as u16;
        Ok(Reply { status, body: answer["body"].as_str().unwrap_or_default().to_owned() })
    }

    /// A request to a port of another's service.
    pub fn call(&self, from: &str, to: &str, port: u16, path: &str, headers: &[&str]) -> Result<Reply> {
        let workload = self.workload(to)?;
        let host = format!("host: {to}.{NAMESPACE}:{port}");
        let headers: Vec<&str> = std::iter::once(host.as_str()).chain(headers.iter().copied()).collect();
        self.get(from, &format!("{}:{port}", workload.service()), path, &headers)
    }

    /// A request straight to another's pod.
    pub fn call_pod(&self, from: &str, to: &str, port: u16) -> Result<Reply> {
        self.get(from, &format!("{}:{port}", self.workload(to)?.address()), "/", &[])
    }

    /// Load from one workload to another's service; wait for it with [`finish`].
    pub fn load(&self, from: &str, to: &str, rate: u32, seconds: u64) -> Result<Child> {
        let address = format!("{}:80", self.workload(to)?.service());
        let mut command = self.network.command(from, &self.helper);
        command.args(["load", &address, "/", "--host", &format!("{to}.{NAMESPACE}")]);
        command.args(["--rate", &rate.to_string(), "--seconds", &seconds.to_string()]);
        Ok(command.stdout(Stdio::piped()).spawn()?)
    }

    /// The serial number of the certificate that a sidecar uses now.
    pub fn serial(&self, of: &str) -> Result<String> {
        let reply = self.get(of, "127.0.0.1:15000", "/certs", &[])?;
        let certificates: Value = serde_json::from_str(&reply.body)?;
        let all = certificates["certificates"].as_array().context("no certificates")?;
        let serial = all.iter().find_map(|one| one["cert_chain"][0]["serial_number"].as_str());
        Ok(serial.context("no certificate chain")?.to_owned())
    }

    /// Waits until something holds; an ended process ends the wait with the end of its log.
    pub fn wait(&mut self, what: &str, mut holds: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        let limit = if what.ends_with("ready") { START_LIMIT } else { CHANGE_LIMIT };
        wait::until(what, limit, || {
            for process in &mut self.processes {
                if let Err(error) = process.check_running() {
                    return Ok(Some(Err(error)));
                }
            }
            Ok(holds(self).map_err(std::io::Error::other)?.then_some(Ok(())))
        })
        .with_context(|| self.logs())?
        .map_err(Into::into)
    }

    /// The ends of all logs, for a failure.
    pub fn logs(&self) -> String {
        let one = |process: &Process| format!("== {}\n{}\n", process.name(), process.log_end(12));
        self.processes.iter().map(one).collect()
    }

    fn workload(&self, name: &str) -> Result<&Workload> {
        self.workloads.iter().find(|one| one.name == name).with_context(|| format!("no workload {name}"))
    }

    fn start_control_plane(&mut self) -> Result<()> {
        let roots = self.folder.join("ca");
        let mut command = self.network.command("hub", &crate::binary::binary()?);
        command.args(["discovery", "--registries", "Mock", "--grpcAddr", "", "--httpsAddr", ""]);
        command.arg("--configDir").arg(self.folder.join("config")).arg("--caRootFolder").arg(&roots);
        command.args(["--secureGRPCAddr", &format!("{HUB}:15012")]);
        command.args(["--httpAddr", &format!("{HUB}:8080"), "--monitoringAddr", &format!("{HUB}:15014")]);
        command.env("JWT_RULE", self.issuer.rule());
        self.spawn("control plane", command)?;
        let file = roots.join("ca-cert.pem");
        self.wait("the control plane ready", |mesh| {
            Ok(file.is_file() && mesh.get("hub", &format!("{HUB}:8080"), "/ready", &[])?.status == 200)
        })?;
        // The folder of the root is its owner's alone.
        Ok(fs::write(self.folder.join("root-cert.pem"), fs::read(file)?)?)
    }

    fn start_application(&mut self, workload: &Workload) -> Result<()> {
        let mut command = self.network.command(workload.name, &self.helper);
        command.args(["serve", "0.0.0.0:8080", "0.0.0.0:8081"]);
        if workload.guard {
            command.arg("--guard");
        }
        self.spawn(&format!("application of {}", workload.name), command)
    }

    fn start_agent(&mut self, workload: &Workload, lifetime: &str) -> Result<()> {
        let name = workload.name;
        let own = self.folder.join(name);
        fs::create_dir_all(&own)?;
        let token = own.join("token");
        fs::write(&token, self.issuer.token(NAMESPACE, name))?;
        let owned = Command::new("chown").args(["-R", PROXY_USER]).arg(&own).status()?;
        ensure!(owned.success(), "chown failed");
        let mut command = self.network.proxy_command(name, &crate::binary::binary()?);
        command.args(["agent", "--discoveryAddress", &format!("{HUB}:15012")]);
        command.args(["--discoverySan", "istiod.istio-system.svc", "--podNamespace", NAMESPACE]);
        command.args(["--podName", name, "--serviceAccount", name, "--ip", &workload.address().to_string()]);
        command.args(["--label", &format!("app={name}"), "--label", "security.istio.io/tlsMode=istio"]);
        command.args(["--secretTTL", lifetime, "--concurrency", "1", "--terminationDrainDuration", "1s"]);
        command.arg("--rootCert").arg(self.folder.join("root-cert.pem")).arg("--tokenPath").arg(&token);
        command.arg("--binaryPath").arg(envoy::binary(envoy::NEWEST)?);
        command.arg("--configPath").arg(own.join("proxy")).arg("--secretsPath").arg(own.join("secrets"));
        self.spawn(&format!("agent of {name}"), command)
    }

    fn spawn(&mut self, name: &str, mut command: Command) -> Result<()> {
        let log = self.folder.join(format!("{}.log", name.replace(' ', "-")));
        self.processes.push(Process::start(name, &mut command, &log)?);
        Ok(())
    }
}

impl Drop for Mesh {
    fn drop(&mut self) {
        // An agent that is killed could not end its Envoy.
        while let Some(process) = self.processes.pop() {
            let _ = process.terminate(Duration::from_secs(15));
        }
        if !std::thread::panicking() {
            let _ = fs::remove_dir_all(&self.folder);
        }
    }
}

/// What a load came to.
pub fn finish(load: Child) -> Result<Value> {
    let output = load.wait_with_output()?;
    serde_json::from_slice(&output.stdout).context("the load has not reported")
}

fn output(command: &mut Command) -> Result<Value> {
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).with_context(|| format!("no answer from inside: {errors}"))
}
