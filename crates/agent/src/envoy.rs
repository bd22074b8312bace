//! The Envoy process: started with the bootstrap, watched, drained, ended by its own id.

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::admin;
use crate::{Drain, EnvoySettings};

/// Inbound listeners take no new connections, those there are end gently, and Envoy goes on with outbound ones.
pub(crate) const DRAIN: &str = "/drain_listeners?inboundonly&graceful&skip_exit";
const LOOK: Duration = Duration::from_millis(100);
/// How long Envoy has to end after it was told to.
const END_LIMIT: Duration = Duration::from_secs(5);

/// A running Envoy. Dropping it ends it.
pub(crate) struct Envoy {
    child: Child,
    admin: SocketAddr,
}

impl Envoy {
    pub(crate) fn start(settings: &EnvoySettings, bootstrap: &Path, admin: SocketAddr) -> io::Result<Self> {
        let mut command = Command::new(&settings.binary);
        command.arg("--config-path").arg(bootstrap);
        command.args(["--drain-time-s", &settings.drain_time.as_secs().to_string()]);
        command.args(["--drain-strategy", "immediate", "--disable-hot-restart"]);
        command.args(["--file-flush-interval-msec", "1000", "--allow-unknown-static-fields"]);
        command.args(["--log-level", &settings.log_level]);
        if !settings.component_log_level.is_empty() {
            command.args(["--component-log-level", &settings.component_log_level]);
        }
        if settings.concurrency > 0 {
            command.args(["--concurrency", &settings.concurrency.to_string()]);
        }
        let child = command.spawn()?;
        tracing::info!("Envoy started as process {}", child.id());
        Ok(Self { child, admin })
    }

    /// Waits until it ends by itself.
    pub(crate) async fn ended(&mut self) -> io::Result<ExitStatus> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            sleep(LOOK).await;
        }
    }

    /// Lets connections end, then ends it.
    pub(crate) async fn drain(&mut self, drain: Drain) {
        if let Err(error) = admin::post(self.admin, DRAIN).await {
            tracing::warn!("Envoy cannot be drained: {error}");
        } else if drain.until_idle {
            tracing::info!("draining until there are no connections, at least {:?}", drain.minimum);
            self.wait_or_end(drain.minimum).await;
            while let Some(n) = active_connections(self.admin).await {
                if n == 0 {
                    break;
                }
                tracing::info!("{n} connections are open");
                self.wait_or_end(Duration::from_secs(1)).await;
            }
        } else {
            tracing::info!("draining for {:?}", drain.duration);
            self.wait_or_end(drain.duration).await;
        }
        let _ = admin::post(self.admin, "/quitquitquit").await;
        self.wait_or_end(END_LIMIT).await;
    }

    /// Waits so long, or less if Envoy ends before.
    async fn wait_or_end(&mut self, limit: Duration) {
        let until = Instant::now() + limit;
        while Instant::now() < until && matches!(self.child.try_wait(), Ok(None)) {
            sleep(LOOK.min(limit)).await;
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // Both fail only when it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Open connections to listeners, less those to the administration, metrics and readiness. `None` when Envoy does
/// not say.
async fn active_connections(admin: SocketAddr) -> Option<u64> {
    let answer = admin::get(admin, "/stats?usedonly&filter=downstream_cx_active$").await.ok()?;
    Some(count(&String::from_utf8_lossy(&answer.body)))
}

fn count(stats: &str) -> u64 {
    let of_listeners = stats.lines().filter_map(|line| {
        let (name, value) = line.rsplit_once(": ")?;
        let name = name.strip_prefix("listener.")?;
        let is_ours = ["admin.", "_15090.", "_15021."].iter().any(|part| name.contains(part));
        let is_worker = name.contains(".worker_");
        (!is_ours && !is_worker).then(|| value.trim().parse::<u64>().ok())?
    });
    of_listeners.sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_of_applications_count_once_and_those_of_probes_do_not() {
        let stats = "listener.0.0.0.0_15006.downstream_cx_active: 2\n\
                     listener.0.0.0.0_15006.worker_0.downstream_cx_active: 2\n\
                     listener.0.0.0.0_15021.downstream_cx_active: 1\n\
                     listener.admin.downstream_cx_active: 1\n\
                     http.admin.downstream_cx_active: 1\n\
                     listener.10.0.0.1_80.downstream_cx_active: 3\n";
        assert_eq!(count(stats), 5);
    }
}
