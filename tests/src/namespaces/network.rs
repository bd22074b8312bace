//! Network namespaces on one bridge, which is in a namespace itself, so that nothing of the machine's own network is
//! touched. What was made is removed by its name.

use std::net::Ipv4Addr;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result, bail};

/// Where the control plane is.
pub(super) const HUB: Ipv4Addr = Ipv4Addr::new(10, 77, 0, 1);
/// Under which Envoy and the agent run; theirs is the only traffic that is not redirected.
pub(super) const PROXY_USER: &str = "1337";

static NUMBER: AtomicU32 = AtomicU32::new(0);

/// Dropping it removes every namespace, and with them their devices.
pub struct Network {
    prefix: String,
    made: Vec<String>,
}

impl Network {
    /// A bridge with the hub's address on it.
    pub fn new() -> Result<Self> {
        let prefix = format!("tt{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let mut network = Self { prefix, made: Vec::new() };
        let hub = network.add("hub")?;
        ip(&["-n", &hub, "link", "add", "br0", "type", "bridge"])?;
        ip(&["-n", &hub, "addr", "add", &format!("{HUB}/16"), "dev", "br0"])?;
        ip(&["-n", &hub, "link", "set", "br0", "up"])?;
        Ok(network)
    }

    /// A namespace with an address; everything it knows no way to goes to the hub.
    pub fn join(&mut self, name: &str, address: Ipv4Addr) -> Result<()> {
        let space = self.add(name)?;
        let hub = self.space("hub");
        let end = format!("v{}", self.made.len());
        ip(&["-n", &hub, "link", "add", &end, "type", "veth", "peer", "name", "eth0", "netns", &space])?;
        ip(&["-n", &hub, "link", "set", &end, "master", "br0", "up"])?;
        ip(&["-n", &space, "addr", "add", &format!("{address}/16"), "dev", "eth0"])?;
        ip(&["-n", &space, "link", "set", "eth0", "up"])?;
        ip(&["-n", &space, "route", "add", "default", "via", &HUB.to_string()])
    }

    /// Leads the traffic of a namespace to its proxy, with the flags that `istio-init` has in a Pod that
    /// asks for names to be captured.
    pub fn redirect(&self, name: &str, trierarch: &Path) -> Result<()> {
        let flags = ["-p", "15001", "-z", "15006", "-u", PROXY_USER, "-m", "REDIRECT", "-i", "*", "-x", ""];
        let mut command = self.command(name, trierarch);
        command.arg("iptables").args(flags).args(["-b", "*", "-d", "15090,15021,15020"]);
        command.args(["--redirect-dns", "--capture-all-dns"]);
        run(&mut command, "trierarch iptables")?;
        Ok(())
    }

    /// A command that runs inside; its process id is that of the program.
    pub fn command(&self, name: &str, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.space(name)]).arg(program).stdin(Stdio::null());
        command
    }

    /// The same as the user whose traffic is not redirected.
    pub fn proxy_command(&self, name: &str, program: &Path) -> Command {
        let mut command = self.command(name, Path::new("setpriv"));
        command.args(["--reuid", PROXY_USER, "--regid", PROXY_USER, "--clear-groups", "--"]).arg(program);
        command
    }

    fn add(&mut self, name: &str) -> Result<String> {
        let space = self.space(name);
        ip(&["netns", "add", &space])?;
        self.made.push(space.clone());
        ip(&["-n", &space, "link", "set", "lo", "up"])?;
        Ok(space)
    }

    fn space(&self, name: &str) -> String {
        format!("{}-{name}", self.prefix)
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        for space in self.made.iter().rev() {
            let _ = ip(&["netns", "del", space]);
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    run(Command::new("ip").args(arguments).stdin(Stdio::null()), &format!("ip {}", arguments.join(" ")))?;
    Ok(())
}

/// Runs a command and returns what it printed.
pub fn run(command: &mut Command, what: &str) -> Result<String> {
    let output = command.output().with_context(|| what.to_owned())?;
    if !output.status.success() {
        bail!("{what}: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}
