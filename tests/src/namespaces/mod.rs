//! A mesh in which each workload has a network namespace of its own: its traffic is redirected to a stock Envoy that
//! `trierarch agent` runs, as in a pod. Needs root, `ip`, `iptables`, `setpriv` and `openssl`; where one is missing a test says
//! loudly that it is skipped, and in CI fails.

pub mod load;
mod mesh;
mod network;
mod pki;
pub mod resolve;

pub use mesh::{CHANGE_LIMIT, Load, Mesh, NAMESPACE, PluggedIn, Reply, Role, Setting, Workload};
pub use network::{Network, run};
pub use pki::{Certified, Issuer};

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Result, bail};

/// Whether such a mesh can be here. `Ok(false)` after it was said loudly that it cannot.
pub fn are_possible() -> Result<bool> {
    // Asked once: tests that run at the same time would take each other's namespace away.
    static MISSING: OnceLock<Option<String>> = OnceLock::new();
    let Some(reason) = MISSING.get_or_init(missing) else { return Ok(true) };
    if std::env::var_os("CI").is_some() {
        bail!("tests with network namespaces cannot run, and CI may not skip them: {reason}");
    }
    crate::report::line(&format!("SKIPPED, tests with network namespaces: {reason}"));
    Ok(false)
}

fn missing() -> Option<String> {
    let succeeds = |program: &str, arguments: &[&str]| {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        command.status().is_ok_and(|status| status.success())
    };
    if !cfg!(target_os = "linux") {
        return Some("this is no Linux".to_owned());
    }
    for (program, package) in
        [("ip", "iproute2"), ("iptables", "iptables"), ("setpriv", "util-linux"), ("openssl", "openssl")]
    {
        if !["--version", "-V", "version"].iter().any(|flag| succeeds(program, &[flag])) {
            return Some(format!(
                "{program} is missing (Debian's package {package}; `make tools` installs it)"
            ));
        }
    }
    let name = format!("tt{}-probe", std::process::id());
    if !succeeds("ip", &["netns", "add", &name]) {
        return Some("network namespaces cannot be made here; run as root".to_owned());
    }
    let filters = succeeds("ip", &["netns", "exec", &name, "iptables", "-t", "nat", "-L"]);
    let removed = succeeds("ip", &["netns", "del", &name]);
    (!filters || !removed).then(|| "iptables does not work inside a network namespace".to_owned())
}
