//! Comments of templates. The engine takes a comment that trims before itself as one that also trims behind itself,
//! which glues lines together; Istio's own templates have such comments. They become actions that print nothing.

use std::borrow::Cow;

/// The source with such comments replaced; lines stay where they were.
pub(super) fn made_plain(source: &str) -> Cow<'_, str> {
    if !source.contains("/*") {
        return Cow::Borrowed(source);
    }
    let mut plain = String::with_capacity(source.len());
    let mut rest = source;
    while let Some(open) = rest.find("{{") {
        let (before, action) = rest.split_at(open);
        plain.push_str(before);
        let length = match comment(action) {
            Some(Comment { length, trims_only_before: true }) => {
                let lines = action.get(..length).unwrap_or_default().matches('\n').count();
                plain.push_str("{{- \"\"");
                plain.push_str(&"\n".repeat(lines));
                plain.push_str(" }}");
                length
            }
            other => {
                let length = other.map_or_else(|| end_of_action(action), |comment| comment.length);
                plain.push_str(action.get(..length).unwrap_or_default());
                length
            }
        };
        rest = action.get(length..).unwrap_or_default();
    }
    plain.push_str(rest);
    Cow::Owned(plain)
}

struct Comment {
    length: usize,
    trims_only_before: bool,
}

/// The comment that starts with this action, if it is one.
fn comment(action: &str) -> Option<Comment> {
    let inside = action.strip_prefix("{{")?;
    let trimmed = inside.strip_prefix('-').filter(|inside| inside.starts_with(char::is_whitespace));
    let body = trimmed.unwrap_or(inside).trim_start().strip_prefix("/*")?;
    let after = body.split_once("*/")?.1;
    let tail = after.trim_start();
    let (end, trims_after) = match tail.strip_prefix("-}}").filter(|_| tail.len() < after.len()) {
        Some(end) => (end, true),
        None => (tail.strip_prefix("}}")?, false),
    };
    Some(Comment { length: action.len() - end.len(), trims_only_before: trimmed.is_some() && !trims_after })
}

/// Where an action ends: strings may hold what looks like an end.
fn end_of_action(action: &str) -> usize {
    let mut quote = None;
    let mut escaped = false;
    let mut letters = action.char_indices().skip(2).peekable();
    while let Some((index, letter)) = letters.next() {
        match quote {
            Some('`') if letter == '`' => quote = None,
            Some('`') => {}
            Some(_) if escaped => escaped = false,
            Some(_) if letter == '\\' => escaped = true,
            Some(open) if letter == open => quote = None,
            Some(_) => {}
            None if matches!(letter, '"' | '`' | '\'') => quote = Some(letter),
            None if letter == '}' && letters.peek().is_some_and(|(_, next)| *next == '}') => {
                return index + 2;
            }
            None => {}
        }
    }
    action.len()
}
