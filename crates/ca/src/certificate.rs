//! A certificate from its parts (RFC 5280): what each kind says of itself, and the bytes that are signed. The name of
//! the issuer is taken over byte for byte, or chains through an authority with an unusual name would break.

use aws_lc_rs::digest;

use crate::der::{self, OBJECT_IDENTIFIER, OCTET_STRING};
use crate::{KeyError, PrivateKey, SerialNumber, UnixSeconds};

const EXTENSION_REQUEST: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e];
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];
const ORGANIZATION: &[u8] = &[0x55, 0x04, 0x0a];
const SUBJECT_KEY_ID: &[u8] = &[0x55, 0x1d, 0x0e];
const KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x0f];
const SUBJECT_ALTERNATIVE_NAME: &[u8] = &[0x55, 0x1d, 0x11];
const BASIC_CONSTRAINTS: &[u8] = &[0x55, 0x1d, 0x13];
const AUTHORITY_KEY_ID: &[u8] = &[0x55, 0x1d, 0x23];
const EXTENDED_KEY_USAGE: &[u8] = &[0x55, 0x1d, 0x25];
const SERVER_AUTHENTICATION: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01];
const CLIENT_AUTHENTICATION: &[u8] = &[0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02];
const DIGITAL_SIGNATURE: u8 = 0x80;
const KEY_ENCIPHERMENT: u8 = 0x20;
const CERTIFICATE_SIGNING: u8 = 0x04;

/// From when until when, both included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) not_before: UnixSeconds,
    pub(crate) not_after: UnixSeconds,
}

/// A name that a certificate is for.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Name<'a> {
    Uri(&'a str),
    Dns(&'a str),
}

/// Everything that is signed.
pub(crate) struct Certificate<'a> {
    pub(crate) serial: SerialNumber,
    /// In DER.
    pub(crate) issuer: &'a [u8],
    /// In DER.
    pub(crate) subject: Vec<u8>,
    pub(crate) validity: Validity,
    /// In DER.
    pub(crate) public_key: &'a [u8],
    /// Each in DER.
    pub(crate) extensions: Vec<Vec<u8>>,
}

impl Certificate<'_> {
    /// The signed certificate in DER.
    pub(crate) fn sign(&self, key: &PrivateKey) -> Result<Vec<u8>, KeyError> {
        let extensions: Vec<&[u8]> = self.extensions.iter().map(Vec::as_slice).collect();
        let mut serial = self.serial;
        // Never zero, never negative, always of one length.
        serial[0] = serial[0] & 0x7f | 0x40;
        let signed = der::sequence(&[
            &der::tagged(0, &der::integer(&[2])),
            &der::integer(&serial),
            key.algorithm(),
            self.issuer,
            &der::sequence(&[&der::time(self.validity.not_before), &der::time(self.validity.not_after)]),
            &self.subject,
            self.public_key,
            &der::tagged(3, &der::sequence(&extensions)),
        ]);
        let signature = key.sign(&signed)?;
        Ok(der::sequence(&[&signed, key.algorithm(), &der::bit_string(&signature)]))
    }
}

/// A name with one organization, or with one common name, or with none.
pub(crate) fn subject(organization: Option<&str>, common_name: Option<&str>) -> Vec<u8> {
    let attribute = |oid: &[u8], text: &str| {
        let text = der::value(der::UTF8_STRING, text.as_bytes());
        der::value(der::SET, &der::sequence(&[&der::value(OBJECT_IDENTIFIER, oid), &text]))
    };
    let organization = organization.map(|text| attribute(ORGANIZATION, text)).unwrap_or_default();
    let common_name = common_name.map(|text| attribute(COMMON_NAME, text)).unwrap_or_default();
    der::sequence(&[&organization, &common_name])
}

/// What a workload or server says of itself. `is_only_name` when its subject is empty.
pub(crate) fn leaf_extensions(names: &[Name<'_>], is_only_name: bool, signer_id: &[u8]) -> Vec<Vec<u8>> {
    let usage = |oid: &[u8]| der::value(OBJECT_IDENTIFIER, oid);
    let mut extensions = vec![
        extension(KEY_USAGE, true, &der::named_bits(DIGITAL_SIGNATURE | KEY_ENCIPHERMENT)),
        extension(
            EXTENDED_KEY_USAGE,
            false,
            &der::sequence(&[&usage(SERVER_AUTHENTICATION), &usage(CLIENT_AUTHENTICATION)]),
        ),
        extension(BASIC_CONSTRAINTS, true, &der::sequence(&[])),
    ];
    if !signer_id.is_empty() {
        let id = der::sequence(&[&der::value(0x80, signer_id)]);
        extensions.push(extension(AUTHORITY_KEY_ID, false, &id));
    }
    extensions.push(alternative_names(names, is_only_name));
    extensions
}

fn alternative_names(names: &[Name<'_>], is_critical: bool) -> Vec<u8> {
    let name = |name: &Name<'_>| match name {
        Name::Uri(uri) => der::value(0x86, uri.as_bytes()),
        Name::Dns(host) => der::value(0x82, host.as_bytes()),
    };
    let names: Vec<u8> = names.iter().flat_map(name).collect();
    extension(SUBJECT_ALTERNATIVE_NAME, is_critical, &der::sequence(&[&names]))
}

/// The attribute of a signing request that asks for these names (RFC 2986).
pub(crate) fn requested_names(names: &[Name<'_>]) -> Vec<u8> {
    let extensions = der::sequence(&[&alternative_names(names, true)]);
    der::sequence(&[&der::value(OBJECT_IDENTIFIER, EXTENSION_REQUEST), &der::value(der::SET, &extensions)])
}

/// What a root says of itself.
pub(crate) fn root_extensions(public_key: &[u8]) -> Vec<Vec<u8>> {
    vec![
        extension(KEY_USAGE, true, &der::named_bits(CERTIFICATE_SIGNING)),
        extension(BASIC_CONSTRAINTS, true, &der::sequence(&[der::BOOLEAN_TRUE])),
        extension(SUBJECT_KEY_ID, false, &der::value(OCTET_STRING, &key_id(public_key))),
    ]
}

/// A short name for a key (RFC 7093): 160 bits of its digest.
fn key_id(public_key: &[u8]) -> Vec<u8> {
    digest::digest(&digest::SHA256, public_key).as_ref()[..20].to_vec()
}

fn extension(oid: &[u8], is_critical: bool, content: &[u8]) -> Vec<u8> {
    let critical: &[u8] = if is_critical { der::BOOLEAN_TRUE } else { &[] };
    der::sequence(&[&der::value(OBJECT_IDENTIFIER, oid), critical, &der::value(OCTET_STRING, content)])
}
