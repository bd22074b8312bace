//! The `trierarch` binary: arguments, environment, wiring, signals.

mod addresses;
mod agent;
mod analyze;
mod cli;
mod control;
mod credentials;
mod debug;
mod discovery;
mod features;
mod heartbeat;
mod injection;
mod iptables;
mod jwks;
mod leadership;
mod logging;
mod registration;
mod remotes;
mod request;
mod security;
mod sources;
mod state;
mod statuses;
mod webhooks;

use std::io::Write as _;
use std::process::ExitCode;

use clap::{CommandFactory, Parser};
use cli::{Cli, Command};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What this build calls itself.
pub(crate) fn version() -> &'static str {
    env!("CARGO_PKG_VERSION")
}

fn main() -> ExitCode {
    let (args, unknown_flags) = cli::without_unknown_flags(std::env::args().collect());
    let result = match Cli::parse_from(args).command {
        Command::Discovery(options) => {
            keep_pages_small();
            in_a_runtime(discovery::run(*options, unknown_flags))
        }
        Command::Agent(options) => in_a_runtime(agent::run(*options)),
        Command::Request { method, path, address } => request::run(&method, &path, &address),
        Command::Inject(options) => injection::run(&options),
        Command::Analyze(options) => match analyze::run(&options) {
            Ok(code) => return code,
            Err(error) => Err(error),
        },
        Command::Iptables(options) => iptables::run(&options),
        Command::Crds => print_definitions().map_err(Into::into),
        Command::Version => writeln!(std::io::stdout(), "{}", version()).map_err(Into::into),
        Command::Completion { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "trierarch", &mut std::io::stdout());
            Ok(())
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// A heap of small objects that come and go fills huge pages with holes: with them a control plane of 1,000 proxies
/// takes half as much memory again. Not of the agent, from which its Envoy would inherit it.
fn keep_pages_small() {
    // A kernel that does not know how has none either.
    #[cfg(target_os = "linux")]
    let _ = rustix::thread::disable_transparent_huge_pages(true);
}

fn in_a_runtime(run: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(run)
}

/// All definitions as one YAML stream, which `kubectl apply` takes.
fn print_definitions() -> std::io::Result<()> {
    let mut output = std::io::stdout().lock();
    for definition in config::crd::definitions() {
        write!(output, "---\n{}", definition.to_yaml())?;
    }
    Ok(())
}
