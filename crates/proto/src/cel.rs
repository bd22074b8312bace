//! Whether a text is an expression of CEL, by its grammar (the CEL specification's section on syntax): names are not
//! resolved and types not checked. Nesting is bounded.

use std::iter::Peekable;
use std::str::CharIndices;

/// Expressions nest no deeper.
const MAX_DEPTH: usize = 200;

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    Literal,
    Sign(&'static str),
    End,
}

/// Says what is wrong with an expression.
pub fn check(text: &str) -> Result<(), String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    parser.expression()?;
    match parser.peek() {
        Token::End => Ok(()),
        other => Err(format!("unexpected {}", shown(other))),
    }
}

fn shown(token: &Token) -> String {
    match token {
        Token::Name(name) => format!("`{name}`"),
        Token::Literal => "a literal".to_owned(),
        Token::Sign(sign) => format!("`{sign}`"),
        Token::End => "the end of the expression".to_owned(),
    }
}

const SIGNS: [&str; 24] = [
    "==", "!=", "<=", ">=", "&&", "||", "<", ">", "[", "]", "{", "}", "(", ")", ".", ",", "-", "!", "?", ":",
    "+", "*", "/", "%",
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = Vec::new();
    let mut chars = text.char_indices().peekable();
    while let Some(&(start, c)) = chars.peek() {
        if c.is_ascii_whitespace() {
            chars.next();
        } else if text[start..].starts_with("//") {
            while chars.next().is_some_and(|(_, c)| c != '\n') {}
        } else if let Some(prefix) = quote_at(&text[start..]) {
            literal(text, start, prefix, &mut chars)?;
            tokens.push(Token::Literal);
        } else if c.is_ascii_alphabetic() || c == '_' {
            let name = word(&mut chars);
            tokens.push(match name.as_str() {
                "true" | "false" | "null" => Token::Literal,
                "in" => Token::Sign("in"),
                _ => Token::Name(name),
            });
        } else if c.is_ascii_digit() {
            number(&mut chars);
            tokens.push(Token::Literal);
        } else if let Some(sign) = SIGNS.into_iter().find(|sign| text[start..].starts_with(sign)) {
            for _ in sign.chars() {
                chars.next();
            }
            tokens.push(Token::Sign(sign));
        } else {
            return Err(format!("character {c:?} at {} has no meaning", start + 1));
        }
    }
    tokens.push(Token::End);
    Ok(tokens)
}

fn word(chars: &mut Peekable<CharIndices<'_>>) -> String {
    let mut name = String::new();
    while let Some((_, c)) = chars.next_if(|(_, c)| c.is_ascii_alphanumeric() || *c == '_') {
        name.push(c);
    }
    name
}

/// Digits, a fraction, an exponent, a suffix; where it is no number the parser meets what is left.
fn number(chars: &mut Peekable<CharIndices<'_>>) {
    let mut last = ' ';
    while let Some((_, c)) = chars.next_if(|(_, c)| {
        c.is_ascii_alphanumeric() || *c == '.' || (matches!(*c, '+' | '-') && matches!(last, 'e' | 'E'))
    }) {
        last = c;
    }
}

/// How many letters stand before a quote, if a text or bytes begin here.
fn quote_at(text: &str) -> Option<usize> {
    let prefix = text.bytes().take(2).take_while(|b| matches!(b, b'r' | b'R' | b'b' | b'B')).count();
    matches!(text.as_bytes().get(prefix), Some(b'"' | b'\'')).then_some(prefix)
}

/// Passes over a text in quotes, one or three of them.
fn literal(
    text: &str,
    start: usize,
    prefix: usize,
    chars: &mut Peekable<CharIndices<'_>>,
) -> Result<(), String> {
    let raw = text[start..start + prefix].contains(['r', 'R']);
    let opening = &text[start + prefix..];
    let quote = &opening[..1];
    let triple =
        opening.len() >= 3 && opening.as_bytes().iter().take(3).all(|byte| *byte == quote.as_bytes()[0]);
    let end = if triple { quote.repeat(3) } else { quote.to_owned() };
    for _ in 0..prefix + end.len() {
        chars.next();
    }
    while let Some(&(at, c)) = chars.peek() {
        if text[at..].starts_with(&end) {
            for _ in 0..end.len() {
                chars.next();
            }
            return Ok(());
        }
        if c == '\n' && !triple {
            break;
        }
        chars.next();
        if c == '\\' && !raw {
            chars.next();
        }
    }
    Err(format!("the text that begins at {} does not end", start + 1))
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> &Token {
        self.tokens.get(self.at).unwrap_or(&Token::End)
    }

    fn eat(&mut self, sign: &str) -> bool {
        let found = matches!(self.peek(), Token::Sign(found) if *found == sign);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, sign: &str) -> Result<(), String> {
        if self.eat(sign) { Ok(()) } else { Err(format!("expected `{sign}` before {}", shown(self.peek()))) }
    }

    /// `a ? b : c`, or less.
    fn expression(&mut self) -> Result<(), String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("the expression nests too deeply".to_owned());
        }
        self.operands()?;
        if self.eat("?") {
            self.operands()?;
            self.expect(":")?;
            self.expression()?;
        }
        self.depth -= 1;
        Ok(())
    }

    /// Members with operators between them. What binds stronger does not matter for whether it is well formed.
    fn operands(&mut self) -> Result<(), String> {
        const BETWEEN: [&str; 14] =
            ["||", "&&", "==", "!=", "<=", ">=", "<", ">", "in", "+", "-", "*", "/", "%"];
        loop {
            if self.eat("!") {
                while self.eat("!") {}
            } else {
                while self.eat("-") {}
            }
            self.member()?;
            if !BETWEEN.into_iter().any(|operator| self.eat(operator)) {
                return Ok(());
            }
        }
    }

    fn member(&mut self) -> Result<(), String> {
        self.primary()?;
        loop {
            if self.eat(".") {
                self.name()?;
                if self.eat("(") {
                    self.list(")")?;
                }
            } else if self.eat("[") {
                self.expression()?;
                self.expect("]")?;
            } else if self.eat("{") {
                self.fields(true)?;
            } else {
                return Ok(());
            }
        }
    }

    fn primary(&mut self) -> Result<(), String> {
        if self.eat("(") {
            self.expression()?;
            return self.expect(")");
        }
        if self.eat("[") {
            return self.list("]");
        }
        if self.eat("{") {
            return self.fields(false);
        }
        if *self.peek() == Token::Literal {
            self.at += 1;
            return Ok(());
        }
        self.eat(".");
        self.name()?;
        if self.eat("(") { self.list(")") } else { Ok(()) }
    }

    fn name(&mut self) -> Result<(), String> {
        match self.peek() {
            Token::Name(_) => {
                self.at += 1;
                Ok(())
            }
            other => Err(format!("expected a value or name before {}", shown(other))),
        }
    }

    fn list(&mut self, end: &str) -> Result<(), String> {
        while !self.eat(end) {
            self.expression()?;
            if !self.eat(",") {
                return self.expect(end);
            }
        }
        Ok(())
    }

    /// What stands in braces: fields of a message, or entries of a map.
    fn fields(&mut self, of_message: bool) -> Result<(), String> {
        while !self.eat("}") {
            if of_message {
                self.name()?;
            } else {
                self.expression()?;
            }
            self.expect(":")?;
            self.expression()?;
            if !self.eat(",") {
                return self.expect("}");
            }
        }
        Ok(())
    }
}
