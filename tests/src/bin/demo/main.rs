//! `make demo`: Bookinfo over real Envoys with our control plane, each promise measured and judged.
//! It starts everything, walks the story, prints tables with PASS or FAIL, and leaves no process behind, whether
//! it ends well, badly or by a signal. The exit code is 0 only if every check passed.

mod application;
mod household;
mod layout;
mod story;

use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use clap::Parser;
use household::Household;
use tests::report;
use tokio::signal::unix::{SignalKind, signal};

#[derive(Clone, Parser)]
#[command(about = "Bookinfo over real Envoys with our control plane")]
struct Arguments {
    /// Stay up after the checks, until a signal.
    #[arg(long)]
    keep: bool,
    /// The control plane; by default the release build beside this one.
    #[arg(long)]
    binary: Option<PathBuf>,
    /// Which of the installed Envoys to run.
    #[arg(long, default_value = testkit::envoy::OLDEST)]
    envoy: String,
    /// The folder for the copy of the example, bootstraps and logs; by default `.demo` in the workspace.
    #[arg(long)]
    folder: Option<PathBuf>,
}

fn main() -> Result<ExitCode> {
    let arguments = Arguments::parse();
    let folder = arguments.folder.clone().unwrap_or_else(|| testkit::workspace().join(".demo"));
    let place = folder.clone();
    let household = Arc::new(Household::default());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let code = runtime.block_on(until_end_or_signal(arguments, place, Arc::clone(&household)));
    // After this nothing can be started any more, even by a story that a signal left half way.
    household.close();
    runtime.shutdown_background();
    code.or_else(|error| {
        report::line(&format!("FAILED: {error:#}"));
        report::line(&format!("Logs of all processes: {}", folder.display()));
        Ok(ExitCode::FAILURE)
    })
}

async fn until_end_or_signal(
    arguments: Arguments,
    folder: PathBuf,
    household: Arc<Household>,
) -> Result<ExitCode> {
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    let keep = arguments.keep;
    let story = tokio::task::spawn_blocking(move || run(&arguments, &folder, &household));
    let whole = async {
        let passed = story.await.context("the story broke off")??;
        if keep {
            std::future::pending::<()>().await;
        }
        Ok(if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    };
    tokio::select! {
        code = whole => code,
        _ = interrupt.recv() => Ok(ExitCode::from(130)),
        _ = terminate.recv() => Ok(ExitCode::from(143)),
        _ = hangup.recv() => Ok(ExitCode::from(129)),
    }
}

/// Starts everything and walks the story. False: some check failed.
fn run(arguments: &Arguments, folder: &Path, household: &Household) -> Result<bool> {
    let folder = fresh_folder(folder)?;
    let config = folder.join("config");
    copy_example(&config)?;
    layout::check_addresses_are_free()?;
    let _applications = application::start_all()?;
    let envoy = testkit::envoy::binary(&arguments.envoy)?;
    let control_plane = match &arguments.binary {
        Some(path) => path.clone(),
        None => release_build()?,
    };
    let mesh = household.start_all(&control_plane, &envoy, &config, &folder)?;
    let passed = story::walk(&mesh, &config)?;
    if arguments.keep {
        report::line("");
        report::line(&format!("Staying up. Ask http://{}/productpage", layout::GATEWAY));
        report::line(&format!("Edit the files in {} and watch; Ctrl-C ends it.", config.display()));
        // The applications live as long as this thread.
        loop {
            std::thread::park();
        }
    }
    Ok(passed)
}

fn fresh_folder(folder: &Path) -> Result<PathBuf> {
    if folder.exists() {
        // Only what an earlier demo left may be removed.
        ensure!(
            folder.join("config/routing.yaml").exists(),
            "{} is not the demo's; remove it first",
            folder.display()
        );
        std::fs::remove_dir_all(folder).with_context(|| format!("emptying {}", folder.display()))?;
    }
    std::fs::create_dir_all(folder).with_context(|| format!("creating {}", folder.display()))?;
    Ok(folder.canonicalize()?)
}

fn copy_example(target: &Path) -> Result<()> {
    std::fs::create_dir_all(target)?;
    let example = testkit::workspace().join("examples/bookinfo");
    for entry in std::fs::read_dir(&example).with_context(|| format!("reading {}", example.display()))? {
        let path = entry?.path();
        if let (Some("yaml"), Some(name)) = (path.extension().and_then(|e| e.to_str()), path.file_name()) {
            let text = std::fs::read_to_string(&path)?;
            std::fs::write(target.join(name), with_mutual_tls(&text))?;
        }
    }
    Ok(())
}

/// The example is in plain text, for proxies without an agent; here each has one.
fn with_mutual_tls(text: &str) -> String {
    text.replace("enableAutoMtls: false", "enableAutoMtls: true").replace("mode: DISABLE", "mode: STRICT")
}

/// This program is `<target>/<profile>/demo`; the control plane is `<target>/release/trierarch`.
fn release_build() -> Result<PathBuf> {
    let own = std::env::current_exe()?;
    let target = own.ancestors().nth(2).context("this program lies in no target folder")?;
    Ok(target.join("release/trierarch"))
}
