//! `process_*`, which Kiali reads: processor time, memory, open files and start of this process, from `/proc` each
//! time metrics are asked for. Where there is no `/proc` nothing is shown.

use std::fs;

use prometheus::core::{Collector, Desc};
use prometheus::proto::MetricFamily;
use prometheus::{Counter, Gauge, Opts};

/// Linux counts processor time in hundredths of a second on every machine that it runs on today.
const TICKS_PER_SECOND: f64 = 100.0;
/// The unit of `/proc/self/status`.
const KIB: f64 = 1024.0;

pub(crate) struct Process {
    cpu: Counter,
    resident: Gauge,
    virtual_memory: Gauge,
    open_files: Gauge,
    start_time: Gauge,
}

impl Process {
    pub(crate) fn new() -> prometheus::Result<Self> {
        let gauge = |name: &str, help: &str| Gauge::with_opts(Opts::new(name, help));
        Ok(Self {
            cpu: Counter::with_opts(Opts::new(
                "process_cpu_seconds_total",
                "Processor time used, in seconds.",
            ))?,
            resident: gauge("process_resident_memory_bytes", "Memory held, in bytes.")?,
            virtual_memory: gauge("process_virtual_memory_bytes", "Memory mapped, in bytes.")?,
            open_files: gauge("process_open_fds", "Files and sockets that are open.")?,
            start_time: gauge(
                "process_start_time_seconds",
                "When the process started, in seconds since 1970.",
            )?,
        })
    }

    fn update(&self) -> Option<()> {
        let stat = fs::read_to_string("/proc/self/stat").ok()?;
        // The name of the program stands in brackets and may hold anything; fields count from behind it.
        let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
        let number = |index: usize| fields.get(index).and_then(|field| field.parse::<f64>().ok());
        let cpu = (number(11)? + number(12)?) / TICKS_PER_SECOND;
        self.cpu.inc_by((cpu - self.cpu.get()).max(0.0));
        self.virtual_memory.set(number(20)?);
        let status = fs::read_to_string("/proc/self/status").ok()?;
        self.resident.set(labelled(&status, "VmRSS:")? * KIB);
        let boot = labelled(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
        self.start_time.set(boot + number(19)? / TICKS_PER_SECOND);
        self.open_files.set(fs::read_dir("/proc/self/fd").ok()?.count() as f64);
        Some(())
    }
}

/// The number behind a label at the start of a line.
fn labelled(text: &str, label: &str) -> Option<f64> {
    let line = text.lines().find_map(|line| line.strip_prefix(label))?;
    line.split_whitespace().next()?.parse().ok()
}

impl Collector for Process {
    fn desc(&self) -> Vec<&Desc> {
        let gauges = [&self.resident, &self.virtual_memory, &self.open_files, &self.start_time];
        self.cpu.desc().into_iter().chain(gauges.into_iter().flat_map(Collector::desc)).collect()
    }

    fn collect(&self) -> Vec<MetricFamily> {
        if self.update().is_none() {
            return Vec::new();
        }
        let gauges = [&self.resident, &self.virtual_memory, &self.open_files, &self.start_time];
        self.cpu.collect().into_iter().chain(gauges.into_iter().flat_map(Collector::collect)).collect()
    }
}
