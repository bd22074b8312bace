//! Whether an answer is a key set at all, and whether two of them hold the same keys.

use serde_json::Value;

/// What two sets are compared by: their keys in the order of their ids. `None` for what is no set with a key in it.
pub(crate) fn canonical(text: &str) -> Option<Vec<Value>> {
    let Value::Object(mut set) = serde_json::from_str(text).ok()? else { return None };
    let Value::Array(mut keys) = set.remove("keys")? else { return None };
    if !keys.iter().any(|key| key["kty"].is_string()) {
        return None;
    }
    keys.sort_by_cached_key(|key| (key["kid"].as_str().unwrap_or_default().to_owned(), key.to_string()));
    Some(keys)
}

/// The address of the keys in what an issuer says of itself.
pub(crate) fn address_in(configuration: &[u8]) -> Option<String> {
    let configuration: Value = serde_json::from_slice(configuration).ok()?;
    configuration["jwks_uri"].as_str().filter(|uri| !uri.is_empty()).map(str::to_owned)
}
