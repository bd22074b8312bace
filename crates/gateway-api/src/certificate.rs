//! Whether a Secret or ConfigMap holds certificates at all. A listener whose certificate cannot be read is left out
//! and its owner told, rather than sent to a proxy that would refuse it. No message repeats what a Secret holds.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use config::k8s::{ConfigMap, Secret, decode_base64};

/// The names of a certificate and its key, the generic ones first.
const CERTIFICATES: [(&str, &str); 2] = [("cert", "key"), ("tls.crt", "tls.key")];
/// The names of certificate authorities, the generic one first.
const AUTHORITIES: [&str; 2] = ["cacert", "ca.crt"];

/// Says why the certificate and key of a Secret cannot be used.
pub(crate) fn check_pair(secret: &Secret) -> Result<(), String> {
    let value = |name: &str| secret.data.get(name).map(AsRef::as_ref);
    let found = CERTIFICATES.iter().find_map(|(certificate, key)| {
        Some((value(certificate)?, value(key)?))
            .filter(|(certificate, key)| !certificate.is_empty() && !key.is_empty())
    });
    let Some((certificate, key)) = found else {
        let empty = CERTIFICATES.iter().find(|(a, b)| value(a).is_some() && value(b).is_some());
        return Err(match empty {
            Some((certificate, key)) => {
                format!("found keys \"{certificate}\" and \"{key}\", but they were empty")
            }
            None => format!(
                "found secret, but didn't have expected keys (cert and key) or (tls.crt and tls.key); found: {}",
                some_of(secret.data.keys())
            ),
        });
    };
    let malformed = |what: &str| Err(format!("the certificate is malformed: tls: {what}"));
    let certificates = blocks(certificate);
    if certificates.is_empty() {
        return malformed("failed to find any PEM data in certificate input");
    }
    let Some(first) = certificates.iter().find(|block| block.label == "CERTIFICATE") else {
        return malformed("failed to find \"CERTIFICATE\" PEM block in certificate input");
    };
    if !is_sequence(&first.content) {
        return malformed("failed to parse certificate");
    }
    let keys = blocks(key);
    if keys.is_empty() {
        return malformed("failed to find any PEM data in key input");
    }
    let is_key = |block: &Block| block.label == "PRIVATE KEY" || block.label.ends_with(" PRIVATE KEY");
    match keys.iter().find(|block| is_key(block)) {
        Some(key) if is_sequence(&key.content) => Ok(()),
        Some(_) => malformed("failed to parse private key"),
        None => malformed("failed to find PEM block with type ending in \"PRIVATE KEY\" in key input"),
    }
}

/// Says why the certificate authorities of a ConfigMap cannot be used.
pub(crate) fn check_config_map(map: &ConfigMap) -> Result<(), String> {
    check_authorities(&map.data, |text| text.as_bytes())
}

/// Whether the ConfigMap names certificate authorities, well-formed or not.
pub(crate) fn check_named_authorities(map: &ConfigMap) -> Result<(), String> {
    authorities(&map.data, |text| text.as_bytes()).map(|_| ())
}

/// Says why the certificate authorities of a Secret cannot be used.
pub(crate) fn check_secret_authorities(secret: &Secret) -> Result<(), String> {
    check_authorities(&secret.data, |bytes| bytes)
}

fn check_authorities<V>(data: &BTreeMap<String, V>, bytes: impl Fn(&V) -> &[u8]) -> Result<(), String> {
    let found = authorities(data, bytes)?;
    let usable = |block: &Block| block.label == "CERTIFICATE" && is_sequence(&block.content);
    if blocks(found).iter().any(usable) { Ok(()) } else { Err("the bundle is malformed".to_owned()) }
}

fn authorities<V>(data: &BTreeMap<String, V>, bytes: impl Fn(&V) -> &[u8]) -> Result<&[u8], String> {
    let value = |name: &str| data.get(name).map(&bytes);
    if let Some(found) = AUTHORITIES.iter().filter_map(|name| value(name)).find(|value| !value.is_empty()) {
        return Ok(found);
    }
    Err(match AUTHORITIES.iter().find(|name| value(name).is_some()) {
        Some(name) => format!("found key \"{name}\", but it was empty"),
        None => format!(
            "found secret, but didn't have expected keys cacert or ca.crt; found: {}",
            some_of(data.keys())
        ),
    })
}

/// The first names of a list, and how many more there are.
fn some_of<'a>(names: impl ExactSizeIterator<Item = &'a String>) -> String {
    let total = names.len();
    let mut shown = names.take(3).map(String::as_str).collect::<Vec<_>>().join(", ");
    if total >= 3 {
        let _ = write!(shown, ", and {} more...", total - 3);
    }
    shown
}

/// A block of PEM.
struct Block {
    label: String,
    content: Vec<u8>,
}

/// The well-formed blocks of a text.
fn blocks(text: &[u8]) -> Vec<Block> {
    let text = String::from_utf8_lossy(text);
    let mut found = Vec::new();
    let mut open: Option<(String, String)> = None;
    for line in text.lines().map(str::trim) {
        let delimiter = |word: &str| {
            line.strip_prefix("-----").and_then(|rest| rest.strip_suffix("-----"))?.strip_prefix(word)
        };
        if let Some(label) = delimiter("BEGIN ") {
            open = Some((label.to_owned(), String::new()));
        } else if let Some(end) = delimiter("END ") {
            if let Some((label, body)) = open.take().filter(|(label, _)| label == end) {
                found.extend(decode_base64(&body).map(|content| Block { label, content }));
            }
        } else if let Some((_, body)) = &mut open {
            // Headers of older formats stand before the content.
            if !line.contains(':') {
                body.push_str(line);
            }
        }
    }
    found
}

/// Whether the bytes are one DER sequence, as every certificate and key is.
fn is_sequence(bytes: &[u8]) -> bool {
    let [0x30, length, rest @ ..] = bytes else { return false };
    if *length < 0x80 {
        return rest.len() == usize::from(*length);
    }
    let n_octets = usize::from(length & 0x7f);
    let Some((octets, content)) = rest.split_at_checked(n_octets) else { return false };
    if n_octets == 0 || n_octets > 4 {
        return false;
    }
    octets.iter().fold(0_usize, |sum, octet| sum << 8 | usize::from(*octet)) == content.len()
}
