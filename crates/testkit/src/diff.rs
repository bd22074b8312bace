//! A small line diff for test output.

/// Lines only in `a` with `-`, lines only in `b` with `+`, a few lines of context around them.
pub fn lines(a: &str, b: &str) -> String {
    let (a, b): (Vec<&str>, Vec<&str>) = (a.lines().collect(), b.lines().collect());
    let prefix = a.iter().zip(&b).take_while(|(x, y)| x == y).count();
    let suffix = a[prefix..].iter().rev().zip(b[prefix..].iter().rev()).take_while(|(x, y)| x == y).count();
    let (middle_a, middle_b) = (&a[prefix..a.len() - suffix], &b[prefix..b.len() - suffix]);
    // Past this size the quadratic table is not worth its memory; show both sides.
    if middle_a.len() * middle_b.len() > 16_000_000 {
        let side = |sign: char, lines: &[&str]| {
            lines
                .iter()
                .flat_map(|line| [&format!("{sign} "), *line, "\n"].map(str::to_owned))
                .collect::<String>()
        };
        return side('-', middle_a) + &side('+', middle_b);
    }
    let mut out: Vec<(char, &str)> = a[..prefix].iter().map(|line| (' ', *line)).collect();
    out.extend(middle(middle_a, middle_b));
    out.extend(a[a.len() - suffix..].iter().map(|line| (' ', *line)));
    with_context(&out, 4)
}

fn middle<'t>(a: &[&'t str], b: &[&'t str]) -> Vec<(char, &'t str)> {
    let mut longest = vec![vec![0_u32; b.len() + 1]; a.len() + 1];
    for i in (0..a.len()).rev() {
        for j in (0..b.len()).rev() {
            longest[i][j] = if a[i] == b[j] {
                longest[i + 1][j + 1] + 1
            } else {
                longest[i + 1][j].max(longest[i][j + 1])
            };
        }
    }
    let (mut i, mut j, mut out) = (0, 0, Vec::new());
    while i < a.len() || j < b.len() {
        if i < a.len() && j < b.len() && a[i] == b[j] {
            out.push((' ', a[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == b.len() || (i < a.len() && longest[i + 1][j] >= longest[i][j + 1]) {
            out.push(('-', a[i]));
            i += 1;
        } else {
            out.push(('+', b[j]));
            j += 1;
        }
    }
    out
}

fn with_context(lines: &[(char, &str)], context: usize) -> String {
    let mut keep = vec![false; lines.len()];
    for (index, _) in lines.iter().enumerate().filter(|(_, (sign, _))| *sign != ' ') {
        let end = (index + context + 1).min(lines.len());
        keep[index.saturating_sub(context)..end].fill(true);
    }
    let mut out = String::new();
    let mut gap = false;
    for (line, kept) in lines.iter().zip(keep) {
        if !kept {
            gap = true;
            continue;
        }
        if gap {
            out.push_str("  ...\n");
            gap = false;
        }
        out.extend([line.0, ' ']);
        out.push_str(line.1);
        out.push('\n');
    }
    out
}
