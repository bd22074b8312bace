//! Runs scenarios and counts: a row per scenario, a total, and how each family that is promised stands.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use testkit::generate::{generate, mesh_of};
use testkit::parity::{Comparison, Scenario, compare, diff};

/// What to show beside the table.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Show the differing lines.
    pub diff: bool,
    /// Only this type of resource.
    pub kind: Option<String>,
    /// Only this proxy.
    pub proxy: Option<String>,
    /// Only resources whose name contains this.
    pub name: Option<String>,
}

/// A difference that users would want.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intended {
    /// Where it was recorded.
    pub scenario: String,
    /// For which proxy.
    pub proxy: String,
    /// `type name` of the resource.
    pub resource: String,
    /// What the real istiod does, and why ours is better.
    pub reason: String,
}

/// The list of intended differences, `tests/parity/intended.yaml`.
pub fn intended() -> Result<Vec<Intended>, Box<dyn std::error::Error>> {
    let text = std::fs::read_to_string(testkit::workspace().join("tests/parity/intended.yaml"))?;
    Ok(serde_yaml::from_str::<Option<Vec<Intended>>>(&text)?.unwrap_or_default())
}

/// Equal and total resources of one scenario, and by type.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Equal resources, and those that differ by intention.
    pub equal: usize,
    /// All resources.
    pub total: usize,
    /// Intended differences that were met, as `proxy type name`.
    pub intended: Vec<String>,
    /// By type: equal, total.
    pub by_kind: BTreeMap<String, (usize, usize)>,
    /// Why the scenario could not run.
    pub error: Option<String>,
}

/// All rows.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// By scenario.
    pub rows: BTreeMap<String, Row>,
}

/// The families that the translation of sidecars and of HTTP and TCP gateways covers.
pub const FAMILIES: [&str; 9] =
    ["bookinfo", "vs-", "dr-", "se-", "k8s-", "sidecar-", "tcp-", "proxy-m", "mesh-"];

impl Row {
    fn remark(&self) -> String {
        match (&self.error, self.intended.len()) {
            (Some(error), _) => format!("  {error}"),
            (None, 0) => String::new(),
            (None, n) => format!("  {n} of them differ by intention"),
        }
    }
}

impl Report {
    /// Equal and total over the scenarios that `keep` keeps.
    pub fn total(&self, keep: impl Fn(&str) -> bool) -> (usize, usize) {
        self.rows
            .iter()
            .filter(|(name, _)| keep(name))
            .fold((0, 0), |(equal, total), (_, row)| (equal + row.equal, total + row.total))
    }
}

/// Runs the scenarios of these names.
pub fn run(shared: &Path, names: &[String], options: &Options) -> Report {
    let mut report = Report::default();
    for name in names {
        let mut row = Row::default();
        if let Err(error) = run_one(shared, name, options, &mut row) {
            row.error = Some(format!("{error:#}"));
        }
        report.rows.insert(name.clone(), row);
    }
    report
}

fn run_one(
    shared: &Path,
    name: &str,
    options: &Options,
    row: &mut Row,
) -> Result<(), Box<dyn std::error::Error>> {
    let scenario = Scenario::load(shared, name)?;
    let intended = intended()?;
    let mesh = mesh_of(&scenario.objects)?;
    for proxy in &scenario.proxies {
        if options.proxy.as_ref().is_some_and(|wanted| *wanted != proxy.name) {
            continue;
        }
        let mut comparison = compare(&scenario.recorded(&proxy.name)?, &generate(&mesh, proxy)?);
        let is_intended = |resource: &str| {
            intended.iter().any(|i| i.scenario == name && i.proxy == proxy.name && i.resource == resource)
        };
        comparison.unequal.retain(|(resource, _, _)| {
            if is_intended(resource) {
                comparison.equal += 1;
                row.intended.push(format!("{} {resource}", proxy.name));
            }
            !is_intended(resource)
        });
        count(&comparison, &scenario.recorded(&proxy.name)?, row);
        if options.diff {
            show(name, &proxy.name, &comparison, options);
        }
    }
    Ok(())
}

fn count(comparison: &Comparison, recorded: &testkit::parity::Resources, row: &mut Row) {
    row.equal += comparison.equal;
    row.total += comparison.total;
    let mut unequal: BTreeMap<&str, usize> = BTreeMap::new();
    for (resource, _, _) in &comparison.unequal {
        *unequal.entry(resource.split(' ').next().unwrap_or_default()).or_default() += 1;
    }
    for kind in testkit::parity::TYPES {
        let n_unequal = unequal.get(kind).copied().unwrap_or_default();
        let n_unexpected = comparison
            .unequal
            .iter()
            .filter(|(resource, theirs, _)| theirs.is_none() && resource.starts_with(kind))
            .count();
        let n_total = recorded.get(kind).map_or(0, BTreeMap::len) + n_unexpected;
        let entry = row.by_kind.entry(kind.to_owned()).or_default();
        entry.0 += n_total - n_unequal;
        entry.1 += n_total;
    }
}

fn show(scenario: &str, proxy: &str, comparison: &Comparison, options: &Options) {
    for (resource, recorded, generated) in &comparison.unequal {
        let (kind, name) = resource.split_once(' ').unwrap_or((resource, ""));
        if options.kind.as_ref().is_some_and(|wanted| wanted != kind)
            || options.name.as_ref().is_some_and(|wanted| !name.contains(wanted.as_str()))
        {
            continue;
        }
        let state = match (recorded, generated) {
            (Some(_), None) => "MISSING",
            (None, Some(_)) => "UNEXPECTED",
            _ => "differs",
        };
        eprintln!("=== {scenario} {proxy} {resource}: {state}");
        if state == "differs" {
            eprint!("{}", diff(recorded.as_ref(), generated.as_ref()));
        }
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:24} {:>6} {:>6} {:>7}", "scenario", "equal", "total", "%")?;
        for kind in testkit::parity::TYPES {
            write!(f, " {kind:>9}")?;
        }
        writeln!(f)?;
        for (name, row) in &self.rows {
            write!(f, "{name:24} {:>6} {:>6} {:>7.1}", row.equal, row.total, percent(row.equal, row.total))?;
            for kind in testkit::parity::TYPES {
                let (equal, total) = row.by_kind.get(kind).copied().unwrap_or_default();
                write!(f, " {:>9}", format!("{equal}/{total}"))?;
            }
            writeln!(f, "{}", row.remark())?;
        }
        let (equal, total) = self.total(|_| true);
        let promised = |name: &str| FAMILIES.iter().any(|family| name.starts_with(family));
        let (family_equal, family_total) = self.total(promised);
        writeln!(
            f,
            "promised families: {family_equal} of {family_total} equal ({:.2} %)",
            percent(family_equal, family_total)
        )?;
        write!(f, "all scenarios: {equal} of {total} equal ({:.2} %)", percent(equal, total))
    }
}

/// The file with the floors.
pub fn floor_file() -> PathBuf {
    testkit::workspace().join("tests/parity/floor.yaml")
}

/// Lifts the floor of every scenario that ran to what it reached; none is lowered.
pub fn raise_floors(report: &Report) -> Result<(), Box<dyn std::error::Error>> {
    let path = floor_file();
    let text = std::fs::read_to_string(&path)?;
    let mut floors: BTreeMap<String, usize> = serde_yaml::from_str(&text)?;
    for (name, row) in &report.rows {
        let floor = floors.entry(name.clone()).or_default();
        *floor = row.equal.max(*floor);
    }
    let mut head = String::new();
    for line in text.lines().filter(|line| line.starts_with('#')) {
        head.push_str(line);
        head.push('\n');
    }
    std::fs::write(path, head + &serde_yaml::to_string(&floors)?)?;
    Ok(())
}

fn percent(equal: usize, total: usize) -> f64 {
    if total == 0 { 100.0 } else { 100.0 * equal as f64 / total as f64 }
}
