//! `docs/parity.md` lists every row of the checklists of traffic and security with what shows it, and nothing it names is missing: golden
//! cases, examples, test functions, and recorded scenarios together with the proxy and the resource that is meant.

use std::collections::BTreeMap;

use super::{Finding, Tree};

const DOCUMENT: &str = "docs/parity.md";
const FLOOR: &str = "tests/parity/floor.yaml";

/// The rows of the checklist of traffic: clusters, endpoints, routes, listeners, scoping, Kubernetes, EnvoyFilter and
/// extensions, Telemetry; and of those of security: PeerAuthentication, mutual TLS of clients, RequestAuthentication,
/// AuthorizationPolicy, gateways, Secrets (D), identities, compliance (Q), normal paths; each numbered from 01.
const ROWS: [(char, usize); 17] = [
    ('C', 27),
    ('E', 23),
    ('R', 30),
    ('L', 30),
    ('S', 20),
    ('K', 16),
    ('F', 20),
    ('T', 17),
    ('P', 10),
    ('M', 10),
    ('J', 11),
    ('A', 22),
    ('G', 9),
    ('D', 6),
    ('I', 4),
    ('Q', 2),
    ('N', 4),
];

/// Rows of what is not built yet. They are listed with the reason; once something shows a row it leaves this list.
const NOT_YET: [&str; 0] = [];

pub(crate) fn check(tree: &Tree) -> Vec<Finding> {
    let Some(text) = tree.files.get(DOCUMENT) else {
        let expected = tree.files.keys().any(|path| path.starts_with("tests/golden/"));
        let missing = || Finding::new(DOCUMENT, 0, "is missing; it lists the rows of the checklist");
        return expected.then(missing).into_iter().collect();
    };
    let mut findings = Vec::new();
    let mut listed: BTreeMap<&str, usize> = BTreeMap::new();
    for (index, line) in text.lines().enumerate() {
        let cells: Vec<&str> = line.trim().trim_matches('|').split('|').map(str::trim).collect();
        let (Some(row), true) = (cells.first().filter(|cell| looks_like_row(cell)), line.starts_with('|'))
        else {
            continue;
        };
        let mut finding = |message: String| findings.push(Finding::new(DOCUMENT, index + 1, message));
        if !rows().any(|known| known == *row) {
            finding(format!("the checklist has no row {row}"));
        }
        if let Some(before) = listed.insert(row, index + 1) {
            finding(format!("row {row} is listed already, in line {before}"));
        }
        let shown = without_remarks(cells.last().copied().unwrap_or_default());
        let named = named(&shown);
        match (named.is_empty(), NOT_YET.contains(row)) {
            (true, false) => finding(format!("row {row} names nothing that shows it")),
            (false, true) => finding(format!("row {row} is shown now: take it off the list in {}", file!())),
            _ => {}
        }
        for (kind, name) in named {
            if let Some(problem) = problem(tree, kind, name) {
                finding(format!("row {row}: {problem}"));
            }
        }
    }
    let absent = rows().filter(|row| !listed.contains_key(row.as_str()));
    findings.extend(absent.map(|row| Finding::new(DOCUMENT, 0, format!("row {row} is not listed"))));
    findings
}

fn rows() -> impl Iterator<Item = String> {
    ROWS.into_iter().flat_map(|(letter, n)| (1..=n).map(move |number| format!("{letter}{number:02}")))
}

fn looks_like_row(cell: &str) -> bool {
    let mut letters = cell.chars();
    letters.next().is_some_and(|first| first.is_ascii_uppercase())
        && cell.len() == 3
        && letters.all(|c| c.is_ascii_digit())
}

/// The text without what stands in brackets.
fn without_remarks(text: &str) -> String {
    let mut depth = 0_usize;
    text.chars()
        .filter(|c| {
            depth += usize::from(*c == '(');
            let outside = depth == 0;
            depth -= usize::from(*c == ')' && depth > 0);
            outside
        })
        .collect()
}

/// What stands in code quotes, each with the kind that was named before it.
fn named(text: &str) -> Vec<(&'static str, &str)> {
    let mut kind = "";
    let mut named = Vec::new();
    for (place, part) in text.split('`').enumerate() {
        if place % 2 == 1 {
            named.push((kind, part));
        } else if let Some(known) =
            ["golden", "example", "test", "scenario"].into_iter().find(|known| part.contains(known))
        {
            kind = known;
        }
    }
    named
}

/// Why a name leads nowhere.
fn problem(tree: &Tree, kind: &str, name: &str) -> Option<String> {
    let has = |path: &str| tree.files.contains_key(path);
    match kind {
        "golden" => {
            (!has(&format!("tests/golden/{name}/case.yaml"))).then(|| format!("no golden case {name}"))
        }
        "example" => (!has(&format!("examples/{name}/README.md"))).then(|| format!("no example {name}")),
        "test" => {
            let found = name.split_once("::").and_then(|(path, function)| {
                Some(tree.files.get(path)?.contains(&format!("fn {function}(")))
            });
            (found != Some(true)).then(|| format!("no test {name}; write `path::function`"))
        }
        "scenario" => {
            let parts: Vec<&str> = name.split_whitespace().collect();
            let [scenario, _proxy, _kind, ..] = parts[..] else {
                return Some(format!("{name}: write `scenario proxy type resource`"));
            };
            let recorded = tree
                .files
                .get(FLOOR)
                .is_some_and(|floor| floor.lines().any(|line| line.split(':').next() == Some(scenario)));
            (!recorded).then(|| format!("no scenario {scenario}"))
        }
        _ => Some(format!("{name}: say whether it is a golden case, an example, a test or a scenario")),
    }
}
