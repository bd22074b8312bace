//! What must not be shown.

use serde_json::json;

use super::redact::redact;

#[test]
fn inline_keys_passwords_and_pull_secrets_are_struck_out() {
    let mut value = json!({
        "tlsCertificates": [{
            "certificateChain": {"inlineBytes": "Y2hhaW4="},
            "privateKey": {"inlineBytes": "a2V5"},
            "password": {"inlineString": "pw"},
        }],
        "sessionTicketKeys": {"keys": [{"inlineBytes": "dGlja2V0"}, {"filename": "/k"}]},
        "environmentVariables": {"keyValues": {"ISTIO_META_WASM_IMAGE_PULL_SECRET": "x", "MODE": "y"}},
    });
    redact(&mut value);
    let text = value.to_string();
    for secret in ["a2V5", "pw", "dGlja2V0", "\"x\""] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
    for open in ["Y2hhaW4=", "/k", "\"y\""] {
        assert!(text.contains(open), "no {open} in {text}");
    }
}
