//! What the demo and the examples print: lines, and tables whose columns are as wide as their widest cell.

/// A measured value, the bound it must keep, and whether it did.
pub struct Check {
    /// What was measured.
    pub what: String,
    /// What came out.
    pub measured: String,
    /// What should have.
    pub bound: String,
    /// Whether it did.
    pub passed: bool,
}

impl Check {
    /// A check and its verdict.
    pub fn new(
        what: impl Into<String>,
        measured: impl Into<String>,
        bound: impl Into<String>,
        passed: bool,
    ) -> Self {
        Self { what: what.into(), measured: measured.into(), bound: bound.into(), passed }
    }
}

/// Prints a titled table of checks; true if all passed.
pub fn checks(title: &str, checks: &[Check]) -> bool {
    let verdict = |check: &Check| if check.passed { "PASS" } else { "FAIL" };
    let rows: Vec<Vec<String>> = checks
        .iter()
        .map(|check| {
            vec![check.what.clone(), check.measured.clone(), check.bound.clone(), verdict(check).to_owned()]
        })
        .collect();
    table(title, &["", "measured", "bound", ""], &rows);
    checks.iter().all(|check| check.passed)
}

/// Prints a titled table.
pub fn table(title: &str, header: &[&str], rows: &[Vec<String>]) {
    line("");
    line(title);
    for text in layout(header, rows) {
        line(&text);
    }
}

/// Prints one line.
#[expect(clippy::print_stdout, reason = "the report is the output of this program")]
pub fn line(text: &str) {
    println!("{text}");
}

fn layout(header: &[&str], rows: &[Vec<String>]) -> Vec<String> {
    let header: Vec<String> = header.iter().map(|cell| (*cell).to_owned()).collect();
    let all: Vec<&Vec<String>> = [&header].into_iter().chain(rows).collect();
    let width =
        |column: usize| all.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count()).max();
    all.iter()
        .map(|row| {
            let cells = row
                .iter()
                .enumerate()
                .map(|(column, cell)| format!("{cell:<w$}", w = width(column).unwrap_or(0)));
            format!("  {}", cells.collect::<Vec<_>>().join("  ")).trim_end().to_owned()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [vec!["reviews v1".to_owned(), "90%".to_owned()], vec!["x".to_owned(), "1".to_owned()]];
        assert_eq!(
            layout(&["", "share"], &rows),
            ["              share", "  reviews v1  90%", "  x           1"]
        );
    }
}
