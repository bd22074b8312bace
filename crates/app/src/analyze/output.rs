//! How findings are printed: lines, a table, JSON or YAML. What a document holds never steers the terminal.

use std::fmt::Write as _;

use anyhow::Result;
use serde_json::{Value, json};
use validate::Severity;

use super::{Found, Output};

/// Where Istio tells of a code.
const PAGES: &str = "https://istio.io/latest/docs/reference/config/analysis";

/// The text of all findings.
pub(super) fn text(found: &[&Found], output: Output, colours: bool) -> Result<String> {
    let values = || Value::Array(found.iter().map(|one| as_json(one)).collect());
    Ok(match output {
        Output::Json => format!("{:#}\n", values()),
        Output::Yaml => serde_yaml::to_string(&values())?,
        Output::Log => as_lines(found, colours),
        Output::Table => as_table(found, colours),
    })
}

fn as_json(one: &Found) -> Value {
    let mut value = json!({
        "code": one.code,
        "level": one.severity.to_string(),
        "message": one.message,
    });
    for (name, text) in [("origin", &one.origin), ("reference", &one.reference), ("field", &one.field)] {
        if !text.is_empty() {
            value[name] = Value::String(text.clone());
        }
    }
    if one.code.starts_with("IST") {
        let page = format!("{PAGES}/{}/", one.code.to_ascii_lowercase());
        value["documentationUrl"] = Value::String(page);
    }
    value
}

fn colour(severity: Severity, colours: bool) -> (&'static str, &'static str) {
    match severity {
        _ if !colours => ("", ""),
        Severity::Error => ("\u{1b}[1;31m", "\u{1b}[0m"),
        Severity::Warning => ("\u{1b}[33m", "\u{1b}[0m"),
        Severity::Info => ("\u{1b}[32m", "\u{1b}[0m"),
    }
}

fn harmless(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

fn as_lines(found: &[&Found], colours: bool) -> String {
    let mut text = String::new();
    for one in found {
        let (on, off) = colour(one.severity, colours);
        let place = [one.origin.as_str(), one.reference.as_str()].join(" ");
        let field = if one.field.is_empty() { String::new() } else { format!("{}: ", one.field) };
        let rest = harmless(&format!("({}) {field}{}", place.trim(), one.message));
        let _ = writeln!(text, "{on}{}{off} [{}] {rest}", one.severity, one.code);
    }
    text
}

fn as_table(found: &[&Found], colours: bool) -> String {
    let mut rows = vec![["LEVEL", "CODE", "OBJECT", "PLACE", "FIELD", "MESSAGE"].map(str::to_owned)];
    for one in found {
        let severity = one.severity.to_string();
        let cells = [&severity, one.code, &one.origin, &one.reference, &one.field, &one.message];
        rows.push(cells.map(harmless));
    }
    if found.is_empty() {
        return String::new();
    }
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or_default();
    let widths: Vec<usize> = (0..5).map(width).collect();
    let mut text = String::new();
    for (number, row) in rows.iter().enumerate() {
        let (on, off) = match number.checked_sub(1).and_then(|index| found.get(index)) {
            Some(one) => colour(one.severity, colours),
            None => ("", ""),
        };
        for (column, width) in widths.iter().enumerate() {
            let cell = &row[column];
            let (on, off) = if column == 0 { (on, off) } else { ("", "") };
            let _ = write!(text, "{on}{cell}{off}{}  ", " ".repeat(width - cell.chars().count()));
        }
        let _ = writeln!(text, "{}", row[5]);
    }
    text
}
