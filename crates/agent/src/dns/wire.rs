//! As much of RFC 1035 as it takes to read one question for an address and to answer it. Whatever else comes is not
//! ours to answer.

use std::net::IpAddr;

const HEADER: usize = 12;
const ADDRESS_V4: u16 = 1;
const ALIAS: u16 = 5;
const ADDRESS_V6: u16 = 28;
const INTERNET: u16 = 1;
/// How long an answer may be kept, in seconds.
const LIFETIME: u32 = 30;
/// A response, with authority; recursion was available.
const RESPONSE: u16 = 0x8480;
const RECURSION_DESIRED: u16 = 0x0100;
const TRUNCATED: u16 = 0x0200;
const SERVER_FAILED: u16 = 2;
/// The name of the question, as a pointer to it.
const ASKED_NAME: u16 = 0xc000 | HEADER as u16;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    A,
    Aaaa,
}

/// A question for addresses.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Question {
    /// In lower case, without a dot at the end.
    pub(super) name: String,
    pub(super) kind: Kind,
    /// Where the question ends.
    end: usize,
}

impl Question {
    /// Reads a message with one question for addresses. `None` for anything else.
    pub(super) fn read(message: &[u8]) -> Option<Self> {
        let flags = number(message, 2)?;
        // A response, or another operation than a query.
        if flags & 0xf800 != 0 || number(message, 4)? != 1 {
            return None;
        }
        let (mut name, mut at) = (String::new(), HEADER);
        loop {
            let length = usize::from(*message.get(at)?);
            at += 1;
            if length == 0 {
                break;
            }
            // Longer ones are pointers, of which a question has none.
            if length > 63 || name.len() + length > 253 {
                return None;
            }
            let label = std::str::from_utf8(message.get(at..at + length)?).ok()?;
            if label.contains('.') {
                return None;
            }
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(&label.to_ascii_lowercase());
            at += length;
        }
        let kind = match number(message, at)? {
            ADDRESS_V4 => Kind::A,
            ADDRESS_V6 => Kind::Aaaa,
            _ => return None,
        };
        (number(message, at + 2)? == INTERNET).then_some(Self { name, kind, end: at + 4 })
    }

    /// Answers with addresses of the kind that was asked for, each of the alias where there is one. What is longer
    /// than allowed is cut and says so.
    pub(super) fn answer(
        &self,
        message: &[u8],
        alias: Option<&str>,
        addresses: &[IpAddr],
        longest: usize,
    ) -> Vec<u8> {
        let mut body = message.get(HEADER..self.end).unwrap_or_default().to_vec();
        let (mut n_answers, mut owner) = (0_u16, ASKED_NAME.to_be_bytes().to_vec());
        if let Some(alias) = alias {
            let target = name_of(alias);
            record(&mut body, &owner, ALIAS, &target);
            owner = target;
            n_answers += 1;
        }
        let mut flags = RESPONSE;
        for address in addresses {
            let (kind, data) = match address {
                IpAddr::V4(ip) => (ADDRESS_V4, ip.octets().to_vec()),
                IpAddr::V6(ip) => (ADDRESS_V6, ip.octets().to_vec()),
            };
            let before = body.len();
            record(&mut body, &owner, kind, &data);
            if HEADER + body.len() > longest {
                body.truncate(before);
                flags |= TRUNCATED;
                break;
            }
            n_answers += 1;
        }
        let mut answer = header(message, flags, 1, n_answers);
        answer.append(&mut body);
        answer
    }
}

/// Says that nobody could be asked; `None` to what is no question.
pub(super) fn failure(message: &[u8]) -> Option<Vec<u8>> {
    let is_question = message.len() >= HEADER && number(message, 2)? & 0x8000 == 0;
    is_question.then(|| header(message, (RESPONSE & !0x0400) | SERVER_FAILED, 0, 0))
}

fn header(message: &[u8], flags: u16, n_questions: u16, n_answers: u16) -> Vec<u8> {
    let asked = number(message, 2).unwrap_or_default();
    let id = number(message, 0).unwrap_or_default();
    let parts = [id, flags | asked & RECURSION_DESIRED, n_questions, n_answers, 0, 0];
    parts.iter().flat_map(|part| part.to_be_bytes()).collect()
}

fn record(body: &mut Vec<u8>, owner: &[u8], kind: u16, data: &[u8]) {
    body.extend_from_slice(owner);
    body.extend_from_slice(&kind.to_be_bytes());
    body.extend_from_slice(&INTERNET.to_be_bytes());
    body.extend_from_slice(&LIFETIME.to_be_bytes());
    body.extend_from_slice(&(data.len() as u16).to_be_bytes());
    body.extend_from_slice(data);
}

/// Labels, each after its length. The name was read from a question, so each fits.
fn name_of(name: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(name.len() + 2);
    for label in name.split('.') {
        bytes.push(label.len() as u8);
        bytes.extend_from_slice(label.as_bytes());
    }
    bytes.push(0);
    bytes
}

fn number(message: &[u8], at: usize) -> Option<u16> {
    let bytes = message.get(at..at + 2)?;
    Some(u16::from_be_bytes([bytes[0], bytes[1]]))
}
