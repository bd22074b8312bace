//! Whether a text is a regular expression of RE2, and how large a program it becomes, without compiling it: one pass,
//! bounded memory, no recursion. What RE2 lacks (looking around, back references) is refused, and so is a repetition
//! of more than 1000, alone or by nesting.

#[cfg(test)]
mod tests;

/// The largest program that Envoy takes under the bootstraps of Istio's agent and of ours
/// (`re2.max_program_size.error_level`).
const MAX_PROGRAM: u64 = 32_768;
/// Envoy has expressions match bytes.
const WIDEST: u32 = 0xff;
/// Instructions of a class with a name, such as `\w`, negated or not.
const NAMED_CLASS: u64 = 10;

/// What is known of an expression.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Program {
    /// About how many instructions it becomes: a little more at times, not less.
    pub size: u64,
    /// The largest number of a character that it escapes.
    pub widest: u32,
}

/// Why Envoy would refuse an expression.
pub fn refusal(pattern: &str) -> Option<String> {
    // Matches a byte, which Envoy's expressions may and those of configuration may not.
    if pattern.contains(r"\C") {
        return None;
    }
    let shown: String = pattern.chars().take(60).collect();
    let dots = if shown.len() < pattern.len() { "…" } else { "" };
    match check(pattern) {
        Err(reason) => Some(format!("\"{shown}{dots}\" is no regular expression: {reason}")),
        Ok(program) if program.size > MAX_PROGRAM => Some(format!(
            "\"{shown}{dots}\" is too large a regular expression: it takes about {} steps, {MAX_PROGRAM} are allowed",
            program.size
        )),
        Ok(program) if program.widest > WIDEST => {
            Some(format!("\"{shown}{dots}\" escapes a character that is no byte"))
        }
        Ok(_) => None,
    }
}

/// The largest count of a repetition.
const MAX_REPEAT: u32 = 1000;
/// Groups nest no deeper.
const MAX_DEPTH: usize = 1000;

/// Says what is wrong with a pattern, or what it becomes.
pub fn check(pattern: &str) -> Result<Program, String> {
    let mut scanner = Scanner { rest: pattern, names: Vec::new(), widest: 0 };
    let mut open: Vec<Part> = Vec::new();
    let mut part = Part::default();
    // What a repetition would repeat.
    let mut before = Before::Nothing;
    while let Some(c) = scanner.next() {
        before = match c {
            '(' => {
                // Flags for the rest of this group open none.
                if scanner.group()? {
                    if open.len() == MAX_DEPTH {
                        return Err("expression nests too deeply".to_owned());
                    }
                    open.push(std::mem::take(&mut part));
                }
                Before::Nothing
            }
            ')' => {
                let group = std::mem::replace(&mut part, open.pop().ok_or("unexpected )")?).closed();
                part.add(group.size.saturating_add(2), group.repeats);
                Before::Atom
            }
            '|' => {
                part.add(1, 1);
                part.add(0, 1);
                Before::Nothing
            }
            '[' => {
                let n_ranges = scanner.class()?;
                part.add(n_ranges.saturating_add(1), 1);
                Before::Atom
            }
            '*' | '+' | '?' => {
                let before = before.repeated(&mut scanner, c)?;
                part.last.size = part.last.size.saturating_add(1);
                before
            }
            '{' => match scanner.count()? {
                Some(count) => {
                    let before = before.repeated(&mut scanner, c)?;
                    part.last.repeat(count)?;
                    before
                }
                None => {
                    part.add(1, 1);
                    Before::Atom
                }
            },
            '\\' => {
                let rest = scanner.rest.len();
                let size = match scanner.escape(false)? {
                    Some(c) => c.len_utf8() as u64,
                    // A quoted text is as long as it is.
                    None => NAMED_CLASS.max((rest - scanner.rest.len()) as u64),
                };
                part.add(size, 1);
                Before::Atom
            }
            '.' => {
                part.add(2, 1);
                Before::Atom
            }
            c => {
                part.add(c.len_utf8() as u64, 1);
                Before::Atom
            }
        };
    }
    if !open.is_empty() {
        return Err("missing closing )".to_owned());
    }
    Ok(Program { size: part.closed().size.saturating_add(4), widest: scanner.widest })
}

/// A sequence: what came before its last element, and that element.
#[derive(Default)]
struct Part {
    before: Element,
    last: Element,
}

/// Instructions, and how often the innermost is repeated by counts.
#[derive(Clone, Copy)]
struct Element {
    size: u64,
    repeats: u32,
}

impl Default for Element {
    fn default() -> Self {
        Self { size: 0, repeats: 1 }
    }
}

impl Part {
    fn add(&mut self, size: u64, repeats: u32) {
        self.before = self.joined();
        self.last = Element { size, repeats };
    }

    fn joined(&self) -> Element {
        Element {
            size: self.before.size.saturating_add(self.last.size),
            repeats: self.before.repeats.max(self.last.repeats),
        }
    }

    fn closed(self) -> Element {
        self.joined()
    }
}

impl Element {
    /// Repeats it by a count: so often at least, so often at most unless there is no end.
    fn repeat(&mut self, (low, high): (u32, Option<u32>)) -> Result<(), String> {
        let copies = high.unwrap_or(low);
        self.repeats = self.repeats.saturating_mul(copies.max(1));
        if self.repeats > MAX_REPEAT {
            return Err(format!("repeats by nesting more often than {MAX_REPEAT} times"));
        }
        let ends = u64::from(high.map_or(1, |high| high - low));
        self.size = self.size.saturating_mul(u64::from(copies.max(1))).saturating_add(ends);
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Before {
    Nothing,
    Atom,
    Repeat,
}

impl Before {
    fn repeated(self, scanner: &mut Scanner<'_>, operator: char) -> Result<Self, String> {
        match self {
            Self::Nothing => Err(format!("missing argument to repetition operator: {operator}")),
            Self::Repeat => Err(format!("invalid nested repetition operator: {operator}")),
            Self::Atom => {
                scanner.eat('?');
                Ok(Self::Repeat)
            }
        }
    }
}

struct Scanner<'a> {
    rest: &'a str,
    names: Vec<&'a str>,
    widest: u32,
}

impl Scanner<'_> {
    fn next(&mut self) -> Option<char> {
        let c = self.rest.chars().next()?;
        self.rest = &self.rest[c.len_utf8()..];
        Some(c)
    }

    fn eat(&mut self, c: char) -> bool {
        let rest = self.rest.strip_prefix(c);
        self.rest = rest.unwrap_or(self.rest);
        rest.is_some()
    }

    /// What follows an opening parenthesis; whether a group is open then.
    fn group(&mut self) -> Result<bool, String> {
        if !self.eat('?') {
            return Ok(true);
        }
        let named = self.rest.strip_prefix("P<").or_else(|| self.rest.strip_prefix('<'));
        if let Some(named) = named.filter(|named| !named.starts_with(['=', '!'])) {
            let (name, after) = named.split_once('>').ok_or("invalid named capture")?;
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '_';
            if name.is_empty() || !name.chars().all(is_word) {
                return Err("invalid named capture".to_owned());
            }
            if self.names.contains(&name) {
                return Err(format!("duplicate capture group name {name}"));
            }
            self.names.push(name);
            self.rest = after;
            return Ok(true);
        }
        let (mut negated, mut any) = (false, false);
        loop {
            match self.next() {
                Some('i' | 'm' | 's' | 'U') => any = true,
                Some('-') if !negated => (negated, any) = (true, false),
                Some(':') if !negated || any => return Ok(true),
                Some(')') if any => return Ok(false),
                None => return Err("missing closing )".to_owned()),
                Some(_) => return Err("invalid or unsupported Perl syntax: (?".to_owned()),
            }
        }
    }

    /// The rest of `{n}`, `{n,}` or `{n,m}`; none if the brace stands for itself.
    fn count(&mut self) -> Result<Option<(u32, Option<u32>)>, String> {
        let Some((inside, after)) = self.rest.split_once('}') else { return Ok(None) };
        let number = |text: &str| -> Option<u32> {
            let plain = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            let leading = text.len() > 1 && text.starts_with('0');
            (plain && !leading).then(|| text.parse().unwrap_or(u32::MAX))
        };
        let (low, high) = match inside.split_once(',') {
            None => (number(inside), number(inside)),
            Some((low, "")) => (number(low), number(low)),
            Some((low, high)) => (number(low), number(high)),
        };
        let (Some(low), Some(high)) = (low, high) else { return Ok(None) };
        if low > MAX_REPEAT || high > MAX_REPEAT || low > high {
            return Err(format!("invalid repeat count: {{{inside}}}"));
        }
        self.rest = after;
        Ok(Some((low, (!inside.ends_with(',')).then_some(high))))
    }

    /// The rest of a class after its opening bracket; about how many ranges it has.
    fn class(&mut self) -> Result<u64, String> {
        let missing = || "missing closing ]".to_owned();
        self.eat('^');
        let mut first = true;
        let mut low: Option<char> = None;
        let mut n_ranges = 0_u64;
        loop {
            if self.rest.starts_with("[:")
                && let Some((name, after)) = self.rest[2..].split_once(":]")
            {
                let name = name.strip_prefix('^').unwrap_or(name);
                let known = [
                    "alnum", "alpha", "ascii", "blank", "cntrl", "digit", "graph", "lower", "print", "punct",
                    "space", "upper", "word", "xdigit",
                ];
                if !known.contains(&name) {
                    return Err(format!("invalid character class range: [:{name}:]"));
                }
                self.rest = after;
                n_ranges += NAMED_CLASS;
                (first, low) = (false, None);
                continue;
            }
            let c = self.next().ok_or_else(missing)?;
            match c {
                ']' if !first => return Ok(n_ranges),
                '-' if low.is_some() && !self.rest.starts_with(']') => {
                    let high = match self.next().ok_or_else(missing)? {
                        '\\' => self.escape(true)?,
                        c => Some(c),
                    };
                    if high.is_none() || low > high {
                        return Err("invalid character class range".to_owned());
                    }
                    low = None;
                }
                '\\' => {
                    low = self.escape(true)?;
                    n_ranges += low.map_or(NAMED_CLASS, |c| c.len_utf8() as u64);
                }
                c => {
                    n_ranges += c.len_utf8() as u64;
                    low = Some(c);
                }
            }
            first = false;
        }
    }

    /// What follows a backslash: the character it stands for, or none for a class or an assertion.
    fn escape(&mut self, in_class: bool) -> Result<Option<char>, String> {
        let c = self.next().ok_or("trailing backslash at end of expression")?;
        let invalid = || format!("invalid escape sequence: \\{c}");
        match c {
            'd' | 'D' | 's' | 'S' | 'w' | 'W' => Ok(None),
            'A' | 'z' | 'b' | 'B' if !in_class => Ok(None),
            'Q' if !in_class => {
                self.rest = self.rest.split_once("\\E").map_or("", |(_, after)| after);
                Ok(None)
            }
            'p' | 'P' => {
                let name = if self.eat('{') {
                    let (name, after) = self.rest.split_once('}').ok_or_else(invalid)?;
                    self.rest = after;
                    name.strip_prefix('^').unwrap_or(name).to_owned()
                } else {
                    self.next().ok_or_else(invalid)?.to_string()
                };
                let general = name.len() <= 2 && name.starts_with(['L', 'M', 'N', 'P', 'S', 'Z', 'C']);
                let script = name.len() > 2 && name.chars().all(|c| c.is_ascii_alphabetic() || c == '_');
                if general || script || name == "Any" {
                    Ok(None)
                } else {
                    Err(format!("invalid character class range: \\p{{{name}}}"))
                }
            }
            'a' => Ok(Some('\u{7}')),
            'f' => Ok(Some('\u{c}')),
            'n' => Ok(Some('\n')),
            'r' => Ok(Some('\r')),
            't' => Ok(Some('\t')),
            'v' => Ok(Some('\u{b}')),
            'x' => {
                let digits: String = if self.eat('{') {
                    let (digits, after) = self.rest.split_once('}').ok_or_else(invalid)?;
                    self.rest = after;
                    digits.to_owned()
                } else {
                    let digits = self.rest.get(..2).ok_or_else(invalid)?.to_owned();
                    self.rest = &self.rest[2..];
                    digits
                };
                let code = u32::from_str_radix(&digits, 16).map_err(|_| invalid())?;
                self.widest = self.widest.max(code);
                char::from_u32(code).map(Some).ok_or_else(invalid)
            }
            '0' => {
                let octal = self.rest.bytes().take(2).take_while(|byte| (b'0'..b'8').contains(byte)).count();
                self.rest = &self.rest[octal..];
                Ok(Some('\0'))
            }
            // A single digit other than zero would refer back.
            '1'..='7' if self.rest.starts_with(|c: char| ('0'..'8').contains(&c)) => {
                let octal = self.rest.bytes().take(2).take_while(|byte| (b'0'..b'8').contains(byte)).count();
                self.rest = &self.rest[octal..];
                Ok(Some(c))
            }
            'C' => Err(invalid()),
            c if c.is_ascii() && !c.is_ascii_alphanumeric() => Ok(Some(c)),
            _ => Err(invalid()),
        }
    }
}
