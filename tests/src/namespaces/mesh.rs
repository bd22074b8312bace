//! The control plane in the hub, and workloads around it, each with its agent and its application.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use testkit::process::Process;
use testkit::secure::TokenIssuer;
use testkit::{envoy, wait};

use super::network::{HUB, PROXY_USER};
use super::{Certified, Network};

const START_LIMIT: Duration = Duration::from_mins(1);
/// How long a change of policy may take to be seen.
pub const CHANGE_LIMIT: Duration = Duration::from_secs(20);
/// The namespace that all workloads are in.
pub const NAMESPACE: &str = "shop";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// What a workload is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// An application behind a sidecar.
    Sidecar,
    /// An application that speaks for itself.
    Plain,
    /// The same, refusing what does not say so in a header of that name: `yes`.
    Guard(&'static str),
    /// A gateway, labelled `istio: NAME`.
    Gateway,
}

/// Who takes part. The service of the same name has the address 10.96.0.N and leads port 80 to 8080 and 81 to 8081.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    pub name: &'static str,
    /// The last byte of its addresses.
    pub number: u8,
    pub role: Role,
}

/// What a mesh is started with.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The program `workload`.
    pub helper: &'a Path,
    /// Settings of the mesh, in YAML.
    pub mesh_config: &'a str,
    pub workloads: &'a [Workload],
    /// For how long certificates are asked for; they are renewed halfway.
    pub lifetime: &'a str,
    /// More variables of the control plane.
    pub environment: &'a [(&'a str, &'a str)],
    /// The authority that is plugged in; without one the control plane makes a root of its own.
    pub authority: Option<&'a PluggedIn>,
}

/// An authority as operators plug it in.
#[derive(Clone, Debug)]
pub struct PluggedIn {
    /// Who signs.
    pub signer: Certified,
    /// Its certificate and what leads from there to below the root, as PEM.
    pub chain: String,
    /// All roots, as PEM.
    pub roots: String,
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
        let labels = match self.role {
            Role::Sidecar => "\n    security.istio.io/tlsMode: istio".to_owned(),
            Role::Gateway => format!("\n    istio: {name}"),
            Role::Plain | Role::Guard(_) => String::new(),
        };
        format!(
            "---\napiVersion: v1\nkind: Service\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\nspec:\n  \
             clusterIP: {service}\n  selector:\n    app: {name}\n  ports:\n  - name: http\n    port: 80\n    \
             targetPort: 8080\n  - name: http-other\n    port: 81\n    targetPort: 8081\n---\napiVersion: v1\nkind: \
             Pod\nmetadata:\n  name: {name}\n  namespace: {NAMESPACE}\n  labels:\n    app: {name}{labels}\nspec:\n  \
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
    /// Over TLS: the server's certificate, its DER in Base64.
    pub peer: String,
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
    /// Starts everything and waits until all are ready.
    pub fn start(setting: &Setting<'_>) -> Result<Self> {
        let network = Network::new()?;
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder =
            std::env::temp_dir().join(format!("trierarch-namespaces-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("config"))?;
        let issuer = TokenIssuer::new("https://issuer.example")?;
        let mut mesh = Self {
            processes: Vec::new(),
            network,
            folder,
            helper: setting.helper.to_path_buf(),
            issuer,
            workloads: setting.workloads.to_vec(),
        };
        let objects: String = setting.workloads.iter().map(Workload::objects).collect();
        let indented = format!("    {}\n", setting.mesh_config.trim_end().replace('\n', "\n    "));
        let base = format!(
            "apiVersion: v1\nkind: Namespace\nmetadata:\n  name: istio-system\n---\napiVersion: v1\nkind: \
             Namespace\nmetadata:\n  name: {NAMESPACE}\n---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: \
             istio\n  namespace: istio-system\ndata:\n  mesh: |\n    rootNamespace: istio-system\n    trustDomain: \
             cluster.local\n{indented}"
        );
        fs::write(mesh.folder.join("config/mesh.yaml"), base + &objects)?;
        mesh.apply("")?;
        if let Some(authority) = setting.authority {
            mesh.plug_in(authority)?;
        }
        mesh.start_control_plane(setting)?;
        for workload in setting.workloads {
            mesh.network.join(workload.name, workload.address())?;
            if workload.role != Role::Gateway {
                mesh.start_application(workload)?;
            }
            if workload.role == Role::Sidecar {
                mesh.network.redirect(workload.name, &crate::binary::binary()?)?;
            }
            if matches!(workload.role, Role::Sidecar | Role::Gateway) {
                mesh.start_agent(workload, setting.lifetime)?;
            }
        }
        let has_proxy = |workload: &&Workload| matches!(workload.role, Role::Sidecar | Role::Gateway);
        for workload in setting.workloads.iter().filter(has_proxy) {
            let what = format!("{} ready", workload.name);
            mesh.wait(&what, |mesh| {
                Ok(mesh.get(workload.name, "127.0.0.1:15021", "/healthz/ready", &[])?.status == 200)
            })?;
        }
        Ok(mesh)
    }

    /// Replaces the policies in force.
    pub fn apply(&self, policies: &str) -> Result<()> {
        self.apply_as("policies", policies)
    }

    /// Replaces the objects of one file; others stay.
    pub fn apply_as(&self, file: &str, objects: &str) -> Result<()> {
        let beside = self.folder.join(format!("{file}.new"));
        fs::write(&beside, objects)?;
        Ok(fs::rename(beside, self.folder.join(format!("config/{file}.yaml")))?)
    }

    /// Replaces the authority that is plugged in, all its files at once as a mounted Secret changes, and tells the
    /// workloads of its roots as the ConfigMap `istio-ca-root-cert` does.
    pub fn plug_in(&self, authority: &PluggedIn) -> Result<()> {
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let own = self.folder.join(format!("cacerts-{number}"));
        fs::create_dir(&own)?;
        let PluggedIn { signer, chain, roots } = authority;
        for (name, text) in [
            ("ca-cert.pem", &signer.certificate),
            ("ca-key.pem", &signer.key),
            ("cert-chain.pem", chain),
            ("root-cert.pem", roots),
        ] {
            fs::write(own.join(name), text)?;
        }
        let beside = self.folder.join("cacerts.new");
        std::os::unix::fs::symlink(own, &beside)?;
        fs::rename(beside, self.folder.join("cacerts"))?;
        self.announce(roots)
    }

    fn announce(&self, roots: &str) -> Result<()> {
        let beside = self.folder.join("root-cert.new");
        fs::write(&beside, roots)?;
        Ok(fs::rename(beside, self.folder.join("root-cert.pem"))?)
    }

    /// A file for the programs inside, as a client's certificate.
    pub fn file(&self, name: &str, text: &str) -> Result<String> {
        let path = self.folder.join(name);
        fs::write(&path, text)?;
        Ok(path.display().to_string())
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
        reply(&mut command)
    }

    /// The same over TLS; `options` are those of the program `workload`.
    pub fn get_tls(&self, from: &str, address: &str, path: &str, options: &[&str]) -> Result<Reply> {
        let mut command = self.network.command(from, &self.helper);
        reply(command.args(["get", address, path]).args(options))
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

    /// The addresses of a name, asked inside a workload's namespace of a server that there is not.
    pub fn resolve(&self, from: &str, name: &str) -> Result<String> {
        let mut command = self.network.command(from, &self.helper);
        Ok(reply(command.args(["resolve", "192.0.2.53:53", name]))?.body)
    }

    /// Load from one workload to another's service. It goes on until it is stopped, at most for so many seconds.
    pub fn load(&self, from: &str, to: &str, rate: u32, seconds: u64) -> Result<Load> {
        let address = format!("{}:80", self.workload(to)?.service());
        self.load_with(from, &address, rate, seconds, &["--host", &format!("{to}.{NAMESPACE}")])
    }

    /// The same to any address; `options` are those of the program `workload`.
    pub fn load_with(
        &self,
        from: &str,
        address: &str,
        rate: u32,
        seconds: u64,
        options: &[&str],
    ) -> Result<Load> {
        let mut command = self.network.command(from, &self.helper);
        command.args(["load", address, "/", "--rate", &rate.to_string(), "--seconds", &seconds.to_string()]);
        let mut child = command.args(options).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        Ok(Load { stdin: child.stdin.take(), child })
    }

    /// A page of a proxy's administration.
    pub fn admin(&self, of: &str, path: &str) -> Result<String> {
        Ok(self.get(of, "127.0.0.1:15000", path, &[])?.body)
    }

    /// The samples of a proxy whose names match, added up.
    pub fn stat(&self, of: &str, filter: &str) -> Result<u64> {
        let page = self.admin(of, &format!("/stats?filter={filter}"))?;
        Ok(page.lines().filter_map(|line| line.rsplit_once(": ")?.1.parse::<u64>().ok()).sum())
    }

    /// The serial number of the certificate that a sidecar uses now.
    pub fn serial(&self, of: &str) -> Result<String> {
        let certificates: Value = serde_json::from_str(&self.admin(of, "/certs")?)?;
        let all = certificates["certificates"].as_array().context("no certificates")?;
        let serial = all.iter().find_map(|one| one["cert_chain"][0]["serial_number"].as_str());
        Ok(serial.context("no certificate chain")?.to_owned())
    }

    /// The chain that a sidecar shows and the roots that it checks peers by, both as PEM, as its Envoy has them.
    pub fn trust(&self, of: &str) -> Result<(String, String)> {
        let dump: Value =
            serde_json::from_str(&self.admin(of, "/config_dump?resource=dynamic_active_secrets")?)?;
        let secrets = dump["configs"].as_array().context("no secrets")?;
        let text = |name: &str, path: &str| {
            let secret =
                secrets.iter().find(|secret| secret["name"] == name).context("a secret is missing")?;
            let bytes = secret["secret"].pointer(path).and_then(Value::as_str).context("it is empty")?;
            Ok::<_, anyhow::Error>(String::from_utf8(STANDARD.decode(bytes)?)?)
        };
        Ok((
            text("default", "/tls_certificate/certificate_chain/inline_bytes")?,
            text("ROOTCA", "/validation_context/trusted_ca/inline_bytes")?,
        ))
    }

    /// Waits until something holds; an ended process ends the wait with the end of its log.
    pub fn wait(&mut self, what: &str, holds: impl FnMut(&Self) -> Result<bool>) -> Result<()> {
        self.wait_for(if what.ends_with("ready") { START_LIMIT } else { CHANGE_LIMIT }, what, holds)
    }

    /// The same for so long.
    pub fn wait_for(
        &mut self,
        limit: Duration,
        what: &str,
        mut holds: impl FnMut(&Self) -> Result<bool>,
    ) -> Result<()> {
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

    fn start_control_plane(&mut self, setting: &Setting<'_>) -> Result<()> {
        let roots = self.folder.join("ca");
        let mut command = self.network.command("hub", &crate::binary::binary()?);
        command.args(["discovery", "--registries", "Mock", "--grpcAddr", "", "--httpsAddr", ""]);
        command.arg("--configDir").arg(self.folder.join("config")).arg("--caRootFolder").arg(&roots);
        command.args(["--secureGRPCAddr", &format!("{HUB}:15012")]);
        command.args(["--httpAddr", &format!("{HUB}:8080"), "--monitoringAddr", &format!("{HUB}:15014")]);
        command.env("JWT_RULE", self.issuer.rule()).env("ROOT_CA_DIR", self.folder.join("cacerts"));
        command.envs(setting.environment.iter().copied());
        self.spawn("control plane", command)?;
        let own = roots.join("ca-cert.pem");
        let is_plugged_in = setting.authority.is_some();
        self.wait("the control plane ready", |mesh| {
            let answers = || mesh.get("hub", &format!("{HUB}:8080"), "/ready", &[]);
            Ok((is_plugged_in || own.is_file()) && answers()?.status == 200)
        })?;
        // The folder of the root is its owner's alone.
        if is_plugged_in { Ok(()) } else { self.announce(&fs::read_to_string(own)?) }
    }

    fn start_application(&mut self, workload: &Workload) -> Result<()> {
        let mut command = self.network.command(workload.name, &self.helper);
        command.args(["serve", "0.0.0.0:8080", "0.0.0.0:8081"]);
        if let Role::Guard(header) = workload.role {
            command.args(["--guard", header]);
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
        if workload.role == Role::Gateway {
            command.args(["agent", "router", "--label", &format!("istio={name}")]);
        } else {
            command.args(["agent", "sidecar", "--label", "security.istio.io/tlsMode=istio"]);
        }
        command.args(["--discoveryAddress", &format!("{HUB}:15012"), "--label", &format!("app={name}")]);
        command.args(["--discoverySan", "istiod.istio-system.svc", "--podNamespace", NAMESPACE]);
        command.args(["--podName", name, "--serviceAccount", name, "--ip", &workload.address().to_string()]);
        command.args(["--secretTTL", lifetime, "--concurrency", "1", "--terminationDrainDuration", "1s"]);
        command.arg("--rootCert").arg(self.folder.join("root-cert.pem")).arg("--tokenPath").arg(&token);
        command.arg("--binaryPath").arg(envoy::binary(envoy::NEWEST)?);
        // Nobody knows other names here.
        command.env("ISTIO_META_DNS_CAPTURE", "true").args(["--dnsServer", "127.0.0.1:9"]);
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

/// A load that is under way.
pub struct Load {
    child: Child,
    stdin: Option<ChildStdin>,
}

impl Load {
    /// Whether it has ended by itself.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// What it came to when its time was over.
    pub fn finish(mut self) -> Result<Value> {
        let stdin = self.stdin.take();
        let output = self.child.wait_with_output()?;
        drop(stdin);
        serde_json::from_slice(&output.stdout).context("the load has not reported")
    }

    /// Ends it now.
    pub fn stop(mut self) -> Result<Value> {
        self.stdin = None;
        self.finish()
    }
}

fn reply(command: &mut Command) -> Result<Reply> {
    let answer = output(command)?;
    let text = |key: &str| answer[key].as_str().unwrap_or_default().to_owned();
    let status = answer["status"].as_u64().unwrap_or_default() as u16;
    Ok(Reply { status, body: text("body"), peer: text("peer") })
}

fn output(command: &mut Command) -> Result<Value> {
    let output = command.output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).with_context(|| format!("no answer from inside: {errors}"))
}
