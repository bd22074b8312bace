//! `trierarch analyze`: the rules of the validation webhook over files, without a cluster (platform specification,
//! section 7). Each finding names file, line, object and field; codes are those of `istioctl analyze`.

use std::fmt::Write as _;
use std::io::{IsTerminal as _, Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use validate::Severity;

/// What `analyze` takes. Names are those of `istioctl analyze`.
#[derive(Args, Clone, Debug)]
pub(crate) struct Options {
    /// Files of YAML or JSON and folders of them; `-` for the standard input.
    #[arg(short, long = "filename", value_name = "FILE", num_args = 1.., required = true)]
    filenames: Vec<String>,
    /// Namespace of objects that name none.
    #[arg(short, long, default_value = "default")]
    namespace: String,
    /// How findings are printed.
    #[arg(short, long, value_enum, default_value_t = Output::Log)]
    output: Output,
    /// The least severity that makes the command fail.
    #[arg(long = "failure-threshold", value_enum, ignore_case = true, default_value_t = Threshold::Error)]
    threshold: Threshold,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// Lines for readers.
    Log,
    /// One JSON document.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Threshold {
    Info,
    Warning,
    Error,
}

/// One finding and where it is.
struct Found {
    severity: Severity,
    code: &'static str,
    origin: String,
    file: String,
    line: usize,
    path: String,
    message: String,
}

/// Analyzes files; fails with 1 when something as severe as the threshold was found.
pub(crate) fn run(options: &Options) -> Result<ExitCode> {
    let mut found = Vec::new();
    let mut n_objects = 0;
    for (name, text) in inputs(&options.filenames)? {
        n_objects += analyze(&name, &text, &options.namespace, &mut found);
    }
    found.sort_by(|a, b| (b.severity, &a.file, a.line).cmp(&(a.severity, &b.file, b.line)));
    let text = match options.output {
        Output::Json => format!("{:#}\n", Value::Array(found.iter().map(as_json).collect())),
        Output::Log => as_lines(&found, n_objects, std::io::stdout().is_terminal()),
    };
    std::io::stdout().write_all(text.as_bytes())?;
    let threshold = match options.threshold {
        Threshold::Info => Severity::Info,
        Threshold::Warning => Severity::Warning,
        Threshold::Error => Severity::Error,
    };
    let failed = found.iter().any(|one| one.severity >= threshold);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Names and texts of all files, those of folders in the order of their names.
fn inputs(names: &[String]) -> Result<Vec<(String, String)>> {
    let mut inputs = Vec::new();
    for name in names {
        if name == "-" {
            let mut text = String::new();
            std::io::stdin().read_to_string(&mut text).context("the standard input cannot be read")?;
            inputs.push(("-".to_owned(), text));
            continue;
        }
        for file in files(Path::new(name))? {
            let text = std::fs::read_to_string(&file);
            let text = text.with_context(|| format!("{} cannot be read", file.display()))?;
            inputs.push((file.display().to_string(), text));
        }
    }
    Ok(inputs)
}

fn files(path: &Path) -> Result<Vec<PathBuf>> {
    let unreadable = || format!("{} cannot be read", path.display());
    if !std::fs::metadata(path).with_context(unreadable)?.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in std::fs::read_dir(path).with_context(unreadable)? {
        let entry = entry.with_context(unreadable)?;
        // Links are passed over: they may lead in a circle.
        let kind = entry.file_type().with_context(unreadable)?;
        let is_document =
            entry.path().extension().is_some_and(|end| end == "yaml" || end == "yml" || end == "json");
        if kind.is_dir() {
            found.extend(files(&entry.path())?);
        } else if kind.is_file() && is_document {
            found.push(entry.path());
        }
    }
    found.sort();
    Ok(found)
}

/// Analyzes the documents of a text and returns how many objects it had.
fn analyze(file: &str, text: &str, namespace: &str, found: &mut Vec<Found>) -> usize {
    let mut add = |severity, code, origin: String, line, path: String, message| {
        found.push(Found { severity, code, origin, file: file.to_owned(), line, path, message });
    };
    let mut n_objects = 0;
    for (start, part) in parts(text) {
        let documents = match config::yaml::documents(part) {
            Ok(documents) => documents,
            Err(error) => {
                let message = format!("this is neither YAML nor JSON: {error}");
                add(Severity::Error, "IST0106", String::new(), start, String::new(), message);
                continue;
            }
        };
        for (below, mut object) in documents.into_iter().flat_map(opened) {
            n_objects += 1;
            if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
                metadata.entry("namespace").or_insert_with(|| Value::String(namespace.to_owned()));
            }
            let text_at = |path: &str| object.pointer(path).and_then(Value::as_str).unwrap_or_default();
            let (name, namespace) = (text_at("/metadata/name"), text_at("/metadata/namespace"));
            let origin = format!("{} {namespace}/{name}", text_at("/kind"));
            let line = |path: &str| start + line_of(part, &format!("{below}{path}"));
            match validate::check(&object) {
                Ok(findings) => {
                    for one in findings {
                        let line = line(&one.path);
                        add(one.severity, one.code, origin.clone(), line, one.path, one.message);
                    }
                }
                Err(rejection) => {
                    let line = line(&rejection.path);
                    add(Severity::Error, "IST0106", origin, line, rejection.path, rejection.reason);
                }
            }
        }
    }
    n_objects
}

/// The object of a document, or the items of a `List` as `kubectl get -o yaml` prints it, each with the path to it.
fn opened(mut document: Value) -> Vec<(String, Value)> {
    let is = |name: &str, text: &str| document.get(name).is_some_and(|value| value == text);
    let is_list = is("kind", "List") && is("apiVersion", "v1");
    let items = document.get_mut("items").filter(|_| is_list).map(Value::take);
    match items {
        Some(Value::Array(items)) => items
            .into_iter()
            .enumerate()
            .filter(|(_, item)| !item.is_null())
            .map(|(index, item)| (format!("items[{index}]."), item))
            .collect(),
        _ if is_list || document.is_null() => Vec::new(),
        _ => vec![(String::new(), document)],
    }
}

/// The documents of a text, each with the number of its first line.
fn parts(text: &str) -> Vec<(usize, &str)> {
    let mut parts = Vec::new();
    let (mut begin, mut first, mut at) = (0, 1, 0);
    for (index, line) in text.split_inclusive('\n').enumerate() {
        let is_mark = line.trim_end() == "---" || line.starts_with("--- ");
        if is_mark && at > begin {
            parts.push((first, &text[begin..at]));
            (begin, first) = (at, index + 1);
        }
        at += line.len();
    }
    parts.push((first, &text[begin..]));
    parts
}

/// How many lines into a document the field of this path is, as near as it can be told from its lines: each step of
/// the path is looked for behind the one before.
fn line_of(document: &str, path: &str) -> usize {
    let lines: Vec<&str> = document.lines().collect();
    let mut at = 0;
    for step in path.split('.') {
        let (name, index) = step.split_once('[').map_or((step, 0), |(name, rest)| {
            (name, rest.trim_end_matches(']').parse::<usize>().unwrap_or_default())
        });
        let named = |line: &str| {
            let line = line.trim_start_matches([' ', '-']);
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(':'))
        };
        let Some(next) = lines.iter().skip(at).position(|line| named(line)) else { break };
        at += next;
        if step.contains('[') {
            let items = lines.iter().enumerate().skip(at + 1);
            let mut items = items.filter(|(_, line)| line.trim_start().starts_with('-'));
            let indent = |line: &str| line.len() - line.trim_start().len();
            let first = items.next();
            let item = first.and_then(|(line, text)| {
                let depth = indent(text);
                std::iter::once((line, *text))
                    .chain(items.map(|(line, text)| (line, *text)))
                    .filter(|(_, text)| indent(text) == depth)
                    .nth(index)
            });
            at = item.map_or(at, |(line, _)| line);
        }
    }
    at
}

fn as_json(one: &Found) -> Value {
    json!({
        "code": one.code,
        "level": one.severity.to_string(),
        "origin": one.origin,
        "reference": format!("{}:{}", one.file, one.line),
        "field": one.path,
        "message": one.message,
    })
}

fn as_lines(found: &[Found], n_objects: usize, colours: bool) -> String {
    let mut text = String::new();
    for one in found {
        let (on, off) = match one.severity {
            _ if !colours => ("", ""),
            Severity::Error => ("\u{1b}[1;31m", "\u{1b}[0m"),
            Severity::Warning => ("\u{1b}[33m", "\u{1b}[0m"),
            Severity::Info => ("\u{1b}[32m", "\u{1b}[0m"),
        };
        let field = if one.path.is_empty() { String::new() } else { format!("{}: ", one.path) };
        let (severity, code, origin) = (one.severity, one.code, &one.origin);
        let place = format!("{}:{}", one.file, one.line);
        // What a document holds may not steer the terminal.
        let message: String = format!("({origin} {place}) {field}{}", one.message)
            .chars()
            .flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] })
            .collect();
        let _ = writeln!(text, "{on}{severity}{off} [{code}] {message}");
    }
    if found.is_empty() {
        let _ = writeln!(text, "✔ No validation issues found in {n_objects} objects.");
    }
    text
}
