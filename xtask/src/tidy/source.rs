//! Rust text with everything that is not code made blank. Blanks keep every byte's place, so an offset or a line
//! number of the blanked text holds in the original too.

/// The text with comments, strings and character literals blanked.
pub(crate) fn code(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut code = bytes.to_vec();
    let mut at = 0;
    while at < bytes.len() {
        let end = match bytes[at] {
            b'/' if bytes[at..].starts_with(b"//") => at + find(&bytes[at..], b"\n"),
            b'/' if bytes[at..].starts_with(b"/*") => end_of_block_comment(bytes, at),
            b'"' => end_of_string(bytes, at),
            b'r' if !continues_identifier(bytes, at) => end_of_raw_string(bytes, at).unwrap_or(at),
            b'\'' => end_of_character(bytes, at),
            _ => at,
        };
        if end == at {
            at += 1;
        } else {
            blank(&mut code, at, end);
            at = end;
        }
    }
    into_text(code)
}

/// The code without its test parts: whatever item follows a `#[cfg(test)]`.
pub(crate) fn without_tests(code: &str) -> String {
    const MARK: &str = "#[cfg(test)]";
    let mut bytes = code.as_bytes().to_vec();
    let mut from = 0;
    while let Some(found) = code[from..].find(MARK) {
        let start = from + found;
        let end = end_of_item(code.as_bytes(), start + MARK.len());
        blank(&mut bytes, start, end);
        from = end;
    }
    into_text(bytes)
}

/// The number of the line, from 1, on which an offset lies.
pub(crate) fn line_at(text: &str, offset: usize) -> usize {
    text[..offset].matches('\n').count() + 1
}

/// Whether the byte could be part of a name.
pub(crate) fn is_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_'
}

/// The end of the item that begins after an attribute: a semicolon, or the brace that closes its first one.
fn end_of_item(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    for (index, byte) in bytes.iter().enumerate().skip(start) {
        match byte {
            b'{' => depth += 1,
            b'}' if depth <= 1 => return index + 1,
            b'}' => depth -= 1,
            b';' if depth == 0 => return index + 1,
            _ => {}
        }
    }
    bytes.len()
}

fn blank(bytes: &mut [u8], start: usize, end: usize) {
    for byte in &mut bytes[start..end] {
        if *byte != b'\n' {
            *byte = b' ';
        }
    }
}

/// Blanking replaces whole literals and comments, so the rest stays UTF-8.
fn into_text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).unwrap_or_default()
}

fn find(bytes: &[u8], what: &[u8]) -> usize {
    bytes.windows(what.len()).position(|window| window == what).unwrap_or(bytes.len())
}

fn continues_identifier(bytes: &[u8], at: usize) -> bool {
    // `br"..."` is a raw string too, so a lone `b` before does not count.
    match at.checked_sub(1).map(|before| bytes[before]) {
        Some(b'b') => at >= 2 && is_name(bytes[at - 2]),
        Some(before) => is_name(before),
        None => false,
    }
}

fn end_of_block_comment(bytes: &[u8], start: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = start;
    while at < bytes.len() {
        if bytes[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if bytes[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    bytes.len()
}

fn end_of_string(bytes: &[u8], start: usize) -> usize {
    let mut at = start + 1;
    while at < bytes.len() {
        match bytes[at] {
            b'\\' => at += 2,
            b'"' => return at + 1,
            _ => at += 1,
        }
    }
    bytes.len()
}

fn end_of_raw_string(bytes: &[u8], start: usize) -> Option<usize> {
    let hashes = bytes[start + 1..].iter().take_while(|byte| **byte == b'#').count();
    let body = start + 1 + hashes;
    if bytes.get(body) != Some(&b'"') {
        return None;
    }
    let mut closing = vec![b'"'];
    closing.extend(std::iter::repeat_n(b'#', hashes));
    let end = body + 1 + find(&bytes[body + 1..], &closing) + closing.len();
    Some(end.min(bytes.len()))
}

/// A quote opens a character only if another closes it; else it opens a lifetime.
fn end_of_character(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start + 1..];
    let length = match rest.first() {
        Some(b'\\') => 2 + find(&rest[2.min(rest.len())..], b"'"),
        // A character takes one to four bytes.
        Some(_) => match rest.iter().take(5).skip(1).position(|byte| *byte == b'\'') {
            Some(more) if more == 0 || !rest[0].is_ascii() => more + 1,
            _ => return start,
        },
        None => return start,
    };
    (start + 1 + length + 1).min(bytes.len())
}
