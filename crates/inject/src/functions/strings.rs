//! Sprig's functions over text, and the printing ones of the language.

use gotmpl::Value;
use regex::{Regex, RegexBuilder};

use super::Look::{Deep, Shallow};
use super::arguments::{amount, at, last, show, text_at, whole, wrong};
use super::{Context, Outcome, Table};
use crate::value::{list, map, text};

pub(super) const TABLE: Table = &[
    ("print", Deep, |_, a| Ok(text(print(a)))),
    ("printf", Deep, printf),
    ("trim", Deep, |_, a| Ok(text(text_at("trim", a, 0)?.trim()))),
    ("upper", Deep, |_, a| Ok(text(text_at("upper", a, 0)?.to_uppercase()))),
    ("lower", Deep, |_, a| Ok(text(text_at("lower", a, 0)?.to_lowercase()))),
    ("title", Deep, |_, a| Ok(text(each_word(text_at("title", a, 0)?, upper_first)))),
    ("untitle", Deep, |_, a| Ok(text(each_word(text_at("untitle", a, 0)?, lower_first)))),
    ("swapcase", Deep, |_, a| Ok(text(swap_case(text_at("swapcase", a, 0)?)))),
    ("camelcase", Deep, |_, a| {
        Ok(text(words(text_at("camelcase", a, 0)?).iter().map(|w| upper_first(w)).collect::<String>()))
    }),
    ("snakecase", Deep, |_, a| Ok(text(words(text_at("snakecase", a, 0)?).join("_").to_lowercase()))),
    ("kebabcase", Deep, |_, a| Ok(text(words(text_at("kebabcase", a, 0)?).join("-").to_lowercase()))),
    ("nospace", Deep, |_, a| Ok(text(text_at("nospace", a, 0)?.split_whitespace().collect::<String>()))),
    ("initials", Deep, |_, a| {
        Ok(text(
            text_at("initials", a, 0)?
                .split_whitespace()
                .filter_map(|w| w.chars().next())
                .collect::<String>(),
        ))
    }),
    ("trimAll", Deep, |_, a| trim_of("trimAll", a, |t, set| t.trim_matches(|c| set.contains(c)))),
    ("trimSuffix", Deep, |_, a| trim_of("trimSuffix", a, |t, end| t.strip_suffix(end).unwrap_or(t))),
    ("trimPrefix", Deep, |_, a| trim_of("trimPrefix", a, |t, start| t.strip_prefix(start).unwrap_or(t))),
    ("hasPrefix", Deep, |_, a| {
        Ok(Value::Bool(text_at("hasPrefix", a, 1)?.starts_with(text_at("hasPrefix", a, 0)?)))
    }),
    ("hasSuffix", Deep, |_, a| {
        Ok(Value::Bool(text_at("hasSuffix", a, 1)?.ends_with(text_at("hasSuffix", a, 0)?)))
    }),
    ("trunc", Deep, |_, a| Ok(text(truncate(whole(at("trunc", a, 0)?), text_at("trunc", a, 1)?)))),
    ("abbrev", Deep, |_, a| Ok(text(abbreviate(amount("abbrev", a, 0)?, text_at("abbrev", a, 1)?)))),
    ("substr", Deep, substring),
    ("replace", Deep, |_, a| {
        limited(text_at("replace", a, 2)?.len() * (1 + text_at("replace", a, 1)?.len())).and_then(|()| {
            Ok(text(text_at("replace", a, 2)?.replace(text_at("replace", a, 0)?, text_at("replace", a, 1)?)))
        })
    }),
    ("repeat", Deep, |_, a| {
        let (times, what) = (amount("repeat", a, 0)?, text_at("repeat", a, 1)?);
        limited(times * what.len()).map(|()| text(what.repeat(times)))
    }),
    ("nindent", Deep, |_, a| indented("nindent", a).map(|lines| text(format!("\n{lines}")))),
    ("quote", Deep, |_, a| Ok(text(quoted(a, |t| gotmpl_quote(&t))))),
    ("squote", Deep, |_, a| Ok(text(quoted(a, |t| format!("'{t}'"))))),
    ("cat", Deep, |_, a| {
        Ok(text(a.iter().filter(|v| !matches!(v, Value::Nil)).map(show).collect::<Vec<_>>().join(" ")))
    }),
    ("plural", Deep, |_, a| Ok(text(text_at("plural", a, usize::from(whole(at("plural", a, 2)?) != 1))?))),
    ("toString", Deep, |_, a| Ok(text(show(at("toString", a, 0)?)))),
    ("split", Deep, |_, a| {
        let parts = text_at("split", a, 1)?.split(text_at("split", a, 0)?);
        Ok(map(parts.enumerate().map(|(i, part)| (format!("_{i}").into(), text(part))).collect()))
    }),
    ("splitn", Deep, |_, a| {
        let parts = text_at("splitn", a, 2)?.splitn(amount("splitn", a, 1)?, text_at("splitn", a, 0)?);
        Ok(map(parts.enumerate().map(|(i, part)| (format!("_{i}").into(), text(part))).collect()))
    }),
    ("splitList", Deep, |_, a| {
        let (separator, what) = (text_at("splitList", a, 0)?, text_at("splitList", a, 1)?);
        if separator.is_empty() {
            return Ok(list(what.chars().map(|letter| text(letter.to_string())).collect()));
        }
        Ok(list(what.split(separator).map(text).collect()))
    }),
    ("wrap", Deep, |_, a| Ok(text(wrap(amount("wrap", a, 0)?, "\n", text_at("wrap", a, 1)?)))),
    ("wrapWith", Deep, |_, a| {
        Ok(text(wrap(amount("wrapWith", a, 0)?, text_at("wrapWith", a, 1)?, text_at("wrapWith", a, 2)?)))
    }),
    ("regexMatch", Deep, |_, a| {
        Ok(Value::Bool(pattern(text_at("regexMatch", a, 0)?)?.is_match(text_at("regexMatch", a, 1)?)))
    }),
    ("mustRegexMatch", Deep, |_, a| {
        Ok(Value::Bool(pattern(text_at("mustRegexMatch", a, 0)?)?.is_match(text_at("mustRegexMatch", a, 1)?)))
    }),
    ("regexFind", Deep, |_, a| {
        let found = pattern(text_at("regexFind", a, 0)?)?;
        Ok(text(found.find(text_at("regexFind", a, 1)?).map_or("", |found| found.as_str())))
    }),
    ("regexFindAll", Deep, |_, a| {
        let wanted = whole(at("regexFindAll", a, 2)?);
        let found = pattern(text_at("regexFindAll", a, 0)?)?;
        let all = found.find_iter(text_at("regexFindAll", a, 1)?).map(|found| text(found.as_str()));
        Ok(list(all.take(usize::try_from(wanted).unwrap_or(usize::MAX)).collect()))
    }),
    ("regexReplaceAll", Deep, |_, a| {
        let found = pattern(text_at("regexReplaceAll", a, 0)?)?;
        let (what, with) = (text_at("regexReplaceAll", a, 1)?, text_at("regexReplaceAll", a, 2)?);
        limited((what.len() + 1) * (with.len() + 1)).map(|()| text(found.replace_all(what, with)))
    }),
    ("regexReplaceAllLiteral", Deep, |_, a| {
        let found = pattern(text_at("regexReplaceAllLiteral", a, 0)?)?;
        let (what, with) =
            (text_at("regexReplaceAllLiteral", a, 1)?, text_at("regexReplaceAllLiteral", a, 2)?);
        limited((what.len() + 1) * (with.len() + 1))
            .map(|()| text(found.replace_all(what, regex::NoExpand(with))))
    }),
    ("regexSplit", Deep, |_, a| {
        let found = pattern(text_at("regexSplit", a, 0)?)?;
        let parts = usize::try_from(whole(at("regexSplit", a, 2)?)).unwrap_or(usize::MAX);
        Ok(list(found.splitn(text_at("regexSplit", a, 1)?, parts).map(text).collect()))
    }),
    ("regexQuoteMeta", Deep, |_, a| Ok(text(regex::escape(text_at("regexQuoteMeta", a, 0)?)))),
    ("fail", Shallow, |_, a| Err(wrong(text_at("fail", a, 0)?))),
];

/// Refuses what would make a text beyond reason before it is made.
fn limited(length: usize) -> Result<(), gotmpl::TemplateError> {
    if length > 4 * super::MAX_VALUE {
        return Err(wrong("a text becomes too long"));
    }
    Ok(())
}

/// As Go's `Sprint`: a space between two operands of which neither is a string.
fn print(arguments: &[Value]) -> String {
    let mut printed = String::new();
    let mut after_text = true;
    for (index, argument) in arguments.iter().enumerate() {
        let is_text = matches!(argument, Value::String(_));
        if index > 0 && !is_text && !after_text {
            printed.push(' ');
        }
        after_text = is_text;
        printed.push_str(&show(argument));
    }
    printed
}

/// The language's own, but for widths and precisions beyond reason.
fn printf(_: &Context, arguments: &[Value]) -> Outcome {
    let format = text_at("printf", arguments, 0)?;
    let starred = format.contains('*') && arguments.iter().any(|argument| whole(argument).abs() > 4096);
    if widest(format) > 4096 || starred {
        return Err(wrong("printf: a width is too large"));
    }
    static_printf(arguments)
}

/// The largest width or precision of the verbs of a format.
fn widest(format: &str) -> usize {
    let verbs = format.split('%').skip(1).map(|verb| verb.trim_start_matches(['+', '-', '#', ' ', '0']));
    let sizes = verbs.flat_map(|verb| {
        let end = verb.find(|letter: char| !letter.is_ascii_digit() && letter != '.').unwrap_or(verb.len());
        verb.get(..end).unwrap_or_default().split('.')
    });
    sizes
        .map(|size| if size.len() > 6 { usize::MAX } else { size.parse().unwrap_or(0) })
        .max()
        .unwrap_or_default()
}

fn static_printf(arguments: &[Value]) -> Outcome {
    // The engine gives its own functions only through a template.
    let members =
        arguments.iter().enumerate().map(|(i, argument)| (format!("a{i}").into(), argument.clone()));
    let source: String =
        (0..arguments.len()).fold("{{printf".to_owned(), |source, i| format!("{source} .a{i}")) + "}}";
    let printed = gotmpl::execute(&source, &map(members.collect()))?;
    Ok(text(printed))
}

fn quoted(arguments: &[Value], quote: impl Fn(String) -> String) -> String {
    let shown = arguments.iter().filter(|value| !matches!(value, Value::Nil)).map(show);
    shown.map(quote).collect::<Vec<_>>().join(" ")
}

/// As Go's `%q`: JSON's escapes, which YAML's double quotes read too.
fn gotmpl_quote(what: &str) -> String {
    let mut quoted = String::with_capacity(what.len() + 2);
    quoted.push('"');
    for letter in what.chars() {
        match letter {
            '"' => quoted.push_str("\\\""),
            '\\' => quoted.push_str("\\\\"),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            '\t' => quoted.push_str("\\t"),
            '\u{7}' => quoted.push_str("\\a"),
            '\u{8}' => quoted.push_str("\\b"),
            '\u{b}' => quoted.push_str("\\v"),
            '\u{c}' => quoted.push_str("\\f"),
            control if control < ' ' || control == '\u{7f}' => {
                quoted.extend(format!("\\x{:02x}", u32::from(control)).chars());
            }
            wide if (wide.is_control() || matches!(wide, '\u{2028}' | '\u{2029}' | '\u{feff}')) => {
                quoted.extend(format!("\\u{:04x}", u32::from(wide)).chars());
            }
            letter => quoted.push(letter),
        }
    }
    quoted.push('"');
    quoted
}

fn trim_of(name: &str, arguments: &[Value], trim: impl for<'a> Fn(&'a str, &str) -> &'a str) -> Outcome {
    Ok(text(trim(text_at(name, arguments, 1)?, text_at(name, arguments, 0)?)))
}

/// Bytes from the front, or from the back if negative; never half a letter.
fn truncate(length: i64, what: &str) -> &str {
    let wanted = usize::try_from(length.unsigned_abs()).unwrap_or(usize::MAX);
    if wanted >= what.len() {
        return what;
    }
    if length < 0 {
        let mut from = what.len() - wanted;
        while !what.is_char_boundary(from) {
            from += 1;
        }
        what.get(from..).unwrap_or_default()
    } else {
        let mut to = wanted;
        while !what.is_char_boundary(to) {
            to -= 1;
        }
        what.get(..to).unwrap_or_default()
    }
}

fn abbreviate(width: usize, what: &str) -> String {
    if width < 4 || what.len() <= width {
        return what.to_owned();
    }
    format!("{}...", truncate((width - 3) as i64, what))
}

fn substring(_: &Context, arguments: &[Value]) -> Outcome {
    let (from, to) = (whole(at("substr", arguments, 0)?), whole(at("substr", arguments, 1)?));
    let what = text_at("substr", arguments, 2)?;
    let from = usize::try_from(from).unwrap_or(0);
    let to = usize::try_from(to).unwrap_or(what.len()).min(what.len());
    Ok(text(what.get(from..to).unwrap_or_default()))
}

/// Every line moved to the right.
pub(super) fn indented(name: &str, arguments: &[Value]) -> Result<String, gotmpl::TemplateError> {
    let (spaces, what) = (amount(name, arguments, 0)?, text_at(name, arguments, 1)?);
    let lines = what.matches('\n').count() + 1;
    limited(lines.saturating_mul(spaces))?;
    let pad = " ".repeat(spaces);
    Ok(format!("{pad}{}", what.replace('\n', &format!("\n{pad}"))))
}

fn upper_first(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_uppercase().to_string()).unwrap_or_default() + letters.as_str()
}

fn lower_first(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map(|first| first.to_lowercase().to_string()).unwrap_or_default() + letters.as_str()
}

fn each_word(what: &str, change: fn(&str) -> String) -> String {
    what.split_inclusive(char::is_whitespace).map(change).collect()
}

fn swap_case(what: &str) -> String {
    let swap = |letter: char| {
        if letter.is_uppercase() {
            letter.to_lowercase().to_string()
        } else {
            letter.to_uppercase().to_string()
        }
    };
    what.chars().map(swap).collect()
}

/// Words, parted at what is no letter or digit and where a capital follows a small letter.
fn words(what: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut after_small = false;
    for letter in what.chars() {
        if !letter.is_alphanumeric() {
            words.push(String::new());
            after_small = false;
            continue;
        }
        if letter.is_uppercase() && after_small {
            words.push(String::new());
        }
        after_small = letter.is_lowercase() || letter.is_numeric();
        if let Some(word) = words.last_mut() {
            word.push(letter);
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

fn wrap(width: usize, between: &str, what: &str) -> String {
    let mut wrapped = String::new();
    let mut column = 0;
    for word in what.split(' ') {
        if column > 0 && column + 1 + word.len() > width {
            wrapped.push_str(between);
            column = 0;
        } else if column > 0 {
            wrapped.push(' ');
            column += 1;
        }
        wrapped.push_str(word);
        column += word.len();
    }
    wrapped
}

/// A pattern; one that would grow large is refused. Matching takes time in proportion to the text.
fn pattern(source: &str) -> Result<Regex, gotmpl::TemplateError> {
    RegexBuilder::new(source)
        .size_limit(256 * 1024)
        .nest_limit(32)
        .build()
        .map_err(|error| wrong(format!("error parsing regexp: {error}")))
}

/// `last` of the arguments as text, for functions a pipe ends in.
pub(super) fn last_text<'a>(name: &str, arguments: &'a [Value]) -> Result<&'a str, gotmpl::TemplateError> {
    match last(name, arguments)? {
        Value::String(text) => Ok(text),
        Value::Nil => Ok(""),
        other => Err(wrong(format!("error calling {name}: expected string; found {}", other.type_name()))),
    }
}
