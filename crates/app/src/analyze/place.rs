//! On which line of a document a field stands, told by the indents of its lines: YAML that is written in blocks is
//! followed step by step, what is within braces is looked for by its name.

/// The lines of a document.
pub(super) struct Lines {
    lines: Vec<String>,
}

/// One step of a path.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(usize),
}

impl Lines {
    pub(super) fn new(document: &str) -> Self {
        Self { lines: document.lines().map(str::to_owned).collect() }
    }

    /// How many lines into the document a field is, or what is nearest to it.
    pub(super) fn find(&self, path: &str) -> usize {
        let mut lines: Vec<(usize, String)> = self
            .lines
            .iter()
            .enumerate()
            .filter(|(_, line)| !is_blank(line))
            .map(|(number, line)| (number, line.clone()))
            .collect();
        // The mark that begins a document is no content.
        if lines.first().is_some_and(|(_, line)| line.starts_with("---")) {
            lines.remove(0);
        }
        let mut rest: &mut [(usize, String)] = &mut lines;
        let mut found = rest.first().map_or(0, |(number, _)| *number);
        for step in steps(path) {
            if rest.first().is_some_and(|(_, line)| line.trim() == "{") {
                // So begins an object of JSON that is written over several lines.
                rest = &mut rest[1..];
            }
            let Some(next) = (match &step {
                Step::Name(name) => named(rest, name),
                Step::Index(index) => item(rest, *index),
            }) else {
                return within(rest, &step).unwrap_or(found);
            };
            let (from, to) = next;
            found = rest[from].0;
            let is_item = matches!(step, Step::Index(_));
            rest = &mut rest[if is_item { from } else { from + 1 }..to];
            if let (true, Some((_, line))) = (is_item, rest.first_mut()) {
                // What stands behind the dash is content of the item.
                let at = indent(line);
                if line.get(at..).is_some_and(|rest| rest.starts_with('-')) {
                    line.replace_range(at..=at, " ");
                }
            }
        }
        found
    }
}

fn is_blank(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start_matches(' ').len()
}

/// Whether a line, from its indent on, begins with this member; camel and snake case are one.
fn begins(line: &str, name: &str) -> bool {
    let line = line.trim_start_matches(' ');
    let quoted = line.strip_prefix(['"', '\'']);
    let end = quoted.map_or(line.split(':').next(), |rest| rest.split(['"', '\'']).next());
    let same = |member: &str| member == name || member.replace('_', "").eq_ignore_ascii_case(name);
    end.is_some_and(|member| line.contains(':') && same(member.trim_end()))
}

/// Where a member's lines begin, and where they end.
fn named(lines: &[(usize, String)], name: &str) -> Option<(usize, usize)> {
    let depth = indent(&lines.first()?.1);
    let from = lines.iter().position(|(_, line)| indent(line) == depth && begins(line, name))?;
    let is_over = |line: &str| {
        let is_item = line.trim_start_matches(' ').starts_with('-');
        indent(line) < depth || (indent(line) == depth && !is_item)
    };
    let to = lines.iter().skip(from + 1).position(|(_, line)| is_over(line));
    Some((from, to.map_or(lines.len(), |more| from + 1 + more)))
}

/// Where the lines of an item begin, and where they end.
fn item(lines: &[(usize, String)], index: usize) -> Option<(usize, usize)> {
    let depth = indent(&lines.first()?.1);
    let is_item = |line: &str| {
        indent(line) == depth && line.get(depth..).is_some_and(|rest| rest.starts_with(['-', '{']))
    };
    let mut items = lines.iter().enumerate().filter(|(_, (_, line))| is_item(line)).map(|(at, _)| at);
    let from = items.nth(index)?;
    Some((from, items.next().unwrap_or(lines.len())))
}

/// The first line that has a member within braces, as all of JSON is.
fn within(lines: &[(usize, String)], step: &Step) -> Option<usize> {
    let Step::Name(name) = step else { return None };
    let has = |line: &str| line.split(['{', ',', '[']).any(|piece| begins(piece, name));
    lines.iter().find(|(_, line)| has(line)).map(|(number, _)| *number)
}

/// The steps of a path such as `spec.http[0].headers["x.y"].exact`.
fn steps(path: &str) -> Vec<Step> {
    let mut steps = Vec::new();
    let mut rest = path;
    while !rest.is_empty() {
        if let Some(quoted) = rest.strip_prefix("[\"") {
            let (name, after) = quoted.split_once("\"]").unwrap_or((quoted, ""));
            steps.push(Step::Name(name.to_owned()));
            rest = after;
        } else if let Some(number) = rest.strip_prefix('[') {
            let (number, after) = number.split_once(']').unwrap_or((number, ""));
            steps.push(Step::Index(number.parse().unwrap_or_default()));
            rest = after;
        } else {
            rest = rest.trim_start_matches('.');
            let end = rest.find(['.', '[']).unwrap_or(rest.len());
            if end > 0 {
                steps.push(Step::Name(rest[..end].to_owned()));
            }
            rest = &rest[end..];
        }
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::Lines;

    const TEXT: &str = "---\n# comment\napiVersion: x/v1\nmetadata:\n  name: a\n  annotations:\n    \"a.b/c\": x\nspec:\n  \
                        hosts:\n  - one\n  - two\n  http:\n  - name: first\n    match:\n    - uri: {prefix: /a}\n      headers:\n        \
                        x.y:\n          exact: z\n  - name: second\n    route:\n    - destination:\n        host: h\n      weight: 1\n    \
                        - weight: 2\n  mirror_percent: 5\n";

    #[test]
    fn fields_are_found_on_their_lines() {
        let lines = Lines::new(TEXT);
        let line = |path: &str| TEXT.lines().nth(lines.find(path)).unwrap_or_default().trim();
        assert_eq!(line("metadata.name"), "name: a");
        assert_eq!(line("metadata.annotations[\"a.b/c\"]"), "\"a.b/c\": x");
        assert_eq!(line("spec.hosts[1]"), "- two");
        assert_eq!(line("spec.http[0].match[0].headers[\"x.y\"].exact"), "exact: z");
        assert_eq!(line("spec.http[1].route[0].destination.host"), "host: h");
        assert_eq!(line("spec.http[1].route[0].weight"), "weight: 1");
        assert_eq!(line("spec.http[1].route[1].weight"), "- weight: 2");
        assert_eq!(line("spec.mirrorPercent"), "mirror_percent: 5");
    }

    #[test]
    fn what_is_not_there_is_told_where_it_would_be() {
        let lines = Lines::new(TEXT);
        let line = |path: &str| TEXT.lines().nth(lines.find(path)).unwrap_or_default().trim();
        assert_eq!(line("spec.http[1].route[1].destination.host"), "- weight: 2");
        assert_eq!(line("spec.servers"), "spec:");
        assert_eq!(line(""), "apiVersion: x/v1");
        assert_eq!(Lines::new("").find("spec"), 0);
    }

    #[test]
    fn lists_at_the_indent_of_their_name_and_json_are_followed() {
        let text = "items:\n- kind: A\n  spec:\n    x: 1\n- kind: B\n  spec:\n    x: 2\nkind: List\n";
        let lines = Lines::new(text);
        assert_eq!(lines.find("items[1].spec.x"), 6);
        let text = "{\n  \"spec\": {\n    \"servers\": [\n      {\"port\": 1},\n      {\n        \"bind\": 2\n      }\n    ]\n  }\n}\n";
        assert_eq!(Lines::new(text).find("spec.servers"), 2);
        assert_eq!(Lines::new(text).find("spec.servers[0].port"), 3);
        assert_eq!(Lines::new(text).find("spec.servers[1].bind"), 5);
        assert_eq!(Lines::new("spec: {http: [{fault: 1}]}\n").find("spec.http[0].fault"), 0);
    }
}
