//! A child process that writes to a log file and never outlives its handle: dropping the handle ends the process
//! by its id, however the test or demo ends.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use crate::wait;

/// A running child. Its output, both streams, is in [`Process::log`].
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts the command with no input and its output in `log`.
    pub fn start(name: &str, command: &mut Command, log: &Path) -> io::Result<Self> {
        let output = File::create(log)?;
        let errors = output.try_clone()?;
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child =
            child.map_err(|error| io::Error::new(error.kind(), format!("starting {name}: {error}")))?;
        Ok(Self { name: name.to_owned(), child, log: log.to_path_buf() })
    }

    /// The name given at the start.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Where the output goes.
    pub fn log(&self) -> &Path {
        &self.log
    }

    /// An error with the end of the log if the process is no longer there.
    pub fn check_running(&mut self) -> io::Result<()> {
        match self.child.try_wait()? {
            None => Ok(()),
            Some(status) => {
                let message =
                    format!("{} ended with {status}; end of its log:\n{}", self.name, self.log_end(15));
                Err(io::Error::other(message))
            }
        }
    }

    /// Asks the process to end by SIGTERM and waits for it. One that does not end in time is an error.
    pub fn terminate(mut self, limit: Duration) -> io::Result<ExitStatus> {
        Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status()?;
        wait::until(&format!("{} ended", self.name), limit, || self.child.try_wait())
    }

    /// The last lines of the log.
    pub fn log_end(&self, n_lines: usize) -> String {
        let text = std::fs::read(&self.log).unwrap_or_default();
        let text = String::from_utf8_lossy(&text).into_owned();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(n_lines)..].join("\n")
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Both fail only when the process has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
