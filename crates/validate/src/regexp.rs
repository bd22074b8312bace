//! Whether a text is a regular expression of RE2, without compiling it: one pass, bounded memory, no recursion. What
//! RE2 lacks (looking around, back references) is refused, and so is a repetition of more than 1000.

/// The largest count of a repetition, alone or by nesting.
const MAX_REPEAT: u32 = 1000;
/// Groups nest no deeper.
const MAX_DEPTH: usize = 1000;

/// Says what is wrong with a pattern.
pub(crate) fn check(pattern: &str) -> Result<(), String> {
    let mut scanner = Scanner { rest: pattern, names: Vec::new() };
    let mut depth = 0_usize;
    // What a repetition would repeat.
    let mut before = Before::Nothing;
    while let Some(c) = scanner.next() {
        before = match c {
            '(' => {
                depth += 1;
                if depth > MAX_DEPTH {
                    return Err("expression nests too deeply".to_owned());
                }
                if scanner.group()? {
                    Before::Nothing
                } else {
                    // Flags for the rest of this group open none.
                    depth -= 1;
                    Before::Nothing
                }
            }
            ')' => {
                depth = depth.checked_sub(1).ok_or("unexpected )")?;
                Before::Atom
            }
            '|' => Before::Nothing,
            '[' => {
                scanner.class()?;
                Before::Atom
            }
            '*' | '+' | '?' => before.repeated(&mut scanner, c)?,
            '{' => match scanner.count()? {
                Some(()) => before.repeated(&mut scanner, c)?,
                None => Before::Atom,
            },
            '\\' => {
                scanner.escape(false)?;
                Before::Atom
            }
            _ => Before::Atom,
        };
    }
    if depth > 0 { Err("missing closing )".to_owned()) } else { Ok(()) }
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
    fn count(&mut self) -> Result<Option<()>, String> {
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
        Ok(Some(()))
    }

    /// The rest of a class after its opening bracket.
    fn class(&mut self) -> Result<(), String> {
        let missing = || "missing closing ]".to_owned();
        self.eat('^');
        let mut first = true;
        let mut low: Option<char> = None;
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
                (first, low) = (false, None);
                continue;
            }
            let c = self.next().ok_or_else(missing)?;
            match c {
                ']' if !first => return Ok(()),
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
                '\\' => low = self.escape(true)?,
                c => low = Some(c),
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
