//! `headers` of a route or destination: what is set comes before what is added, each by name; the authority is not a
//! header to Envoy but a rewrite (row R22).

use std::collections::BTreeMap;

use proto::envoy::core::header_value_option::HeaderAppendAction;
use proto::envoy::core::{HeaderValue, HeaderValueOption};
use proto::istio::networking::Headers;
use proto::istio::networking::headers::HeaderOperations;

/// Changes to the headers of requests and responses.
#[derive(Default)]
pub(super) struct Operations {
    /// Set or added to requests.
    pub request_add: Vec<HeaderValueOption>,
    /// Removed from requests.
    pub request_remove: Vec<String>,
    /// Set or added to responses.
    pub response_add: Vec<HeaderValueOption>,
    /// Removed from responses.
    pub response_remove: Vec<String>,
    /// The authority that requests get, empty when it stays.
    pub authority: String,
}

/// The changes that `headers` asks for.
pub(super) fn operations(headers: Option<&Headers>) -> Operations {
    let Some(headers) = headers else { return Operations::default() };
    let mut result = Operations::default();
    if let Some(request) = &headers.request {
        (result.request_add, result.request_remove) = changes(request);
        let authority = authority(&request.set).or_else(|| authority(&request.add));
        result.authority.push_str(authority.unwrap_or_default());
    }
    if let Some(response) = &headers.response {
        (result.response_add, result.response_remove) = changes(response);
    }
    result
}

fn changes(operations: &HeaderOperations) -> (Vec<HeaderValueOption>, Vec<String>) {
    let options = |headers: &BTreeMap<String, String>, action: HeaderAppendAction| -> Vec<_> {
        headers
            .iter()
            .filter(|(name, _)| !is_internal(name))
            .map(|(name, value)| option(name, value, action))
            .collect()
    };
    let mut add = options(&operations.set, HeaderAppendAction::OverwriteIfExistsOrAdd);
    add.extend(options(&operations.add, HeaderAppendAction::AppendIfExistsOrAdd));
    (add, operations.remove.iter().filter(|name| !is_internal(name)).cloned().collect())
}

/// One header to set or add.
pub(super) fn option(name: &str, value: &str, action: HeaderAppendAction) -> HeaderValueOption {
    HeaderValueOption {
        header: Some(HeaderValue { key: name.to_owned(), value: value.to_owned(), ..Default::default() }),
        append_action: action as i32,
        ..Default::default()
    }
}

/// Whether Envoy refuses to change a header of that name.
fn is_internal(name: &str) -> bool {
    name.starts_with(':') || name.eq_ignore_ascii_case("host")
}

fn authority(headers: &BTreeMap<String, String>) -> Option<&str> {
    let is_authority =
        |name: &str| name.eq_ignore_ascii_case(":authority") || name.eq_ignore_ascii_case("host");
    headers
        .iter()
        .filter(|(name, value)| is_authority(name) && !value.is_empty())
        .map(|(_, value)| value.as_str())
        .next_back()
}
