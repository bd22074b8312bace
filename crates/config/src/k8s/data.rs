//! Secret and ConfigMap. A Secret never shows its values when printed.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::de::Error as _;
use serde::{Deserialize, Deserializer};

/// A Secret. `stringData`, which only files have, is laid over `data` as the API server does it.
#[derive(Clone, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "SecretDocument")]
pub struct Secret {
    /// `Opaque` unless stated.
    pub secret_type: String,
    /// Decoded values by name.
    pub data: BTreeMap<String, Arc<[u8]>>,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.data.keys().collect();
        f.debug_struct("Secret")
            .field("secret_type", &self.secret_type)
            .field("names", &names)
            .finish_non_exhaustive()
    }
}

/// A ConfigMap.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Deserialize)]
#[serde(from = "ConfigMapDocument")]
pub struct ConfigMap {
    /// Texts by name.
    pub data: BTreeMap<String, String>,
    /// Decoded bytes by name.
    pub binary_data: BTreeMap<String, Arc<[u8]>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct SecretDocument {
    #[serde(rename = "type")]
    secret_type: String,
    data: BTreeMap<String, Base64>,
    string_data: BTreeMap<String, String>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct ConfigMapDocument {
    data: BTreeMap<String, String>,
    binary_data: BTreeMap<String, Base64>,
}

impl From<SecretDocument> for Secret {
    fn from(document: SecretDocument) -> Self {
        let secret_type = match document.secret_type.as_str() {
            "" => "Opaque".to_owned(),
            _ => document.secret_type,
        };
        let mut data: BTreeMap<String, Arc<[u8]>> =
            document.data.into_iter().map(|(name, value)| (name, value.0.into())).collect();
        data.extend(document.string_data.into_iter().map(|(name, value)| (name, value.into_bytes().into())));
        Self { secret_type, data }
    }
}

impl From<ConfigMapDocument> for ConfigMap {
    fn from(document: ConfigMapDocument) -> Self {
        let binary_data =
            document.binary_data.into_iter().map(|(name, value)| (name, value.0.into())).collect();
        Self { data: document.data, binary_data }
    }
}

/// Bytes that are written in base64.
struct Base64(Vec<u8>);

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        decode_base64(&text).map(Self).ok_or_else(|| D::Error::custom("is not base64"))
    }
}

/// Decodes standard base64; line breaks are passed over and padding is required, as in Go.
pub fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let symbols: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b'\n' | b'\r')).collect();
    if !symbols.len().is_multiple_of(4) {
        return None;
    }
    let n_padding = symbols.iter().rev().take(2).take_while(|byte| **byte == b'=').count();
    let (symbols, _) = symbols.split_at(symbols.len() - n_padding);
    let mut bytes = Vec::with_capacity(symbols.len() / 4 * 3 + 2);
    for group in symbols.chunks(4) {
        let mut bits = 0_u32;
        for symbol in group {
            let value = match symbol {
                b'A'..=b'Z' => symbol - b'A',
                b'a'..=b'z' => symbol - b'a' + 26,
                b'0'..=b'9' => symbol - b'0' + 52,
                b'+' => 62,
                b'/' => 63,
                _ => return None,
            };
            bits = bits << 6 | u32::from(value);
        }
        bits <<= 6 * (4 - group.len());
        let [_, first, second, third] = bits.to_be_bytes();
        bytes.extend([first, second, third].into_iter().take(group.len() - 1));
    }
    Some(bytes)
}
