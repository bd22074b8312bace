//! What `COMPLIANCE_POLICY` makes of a TLS context, last of all and whatever users asked for (security specification, 8).

use mesh::Compliance;
use proto::envoy;
use proto::envoy::tls::tls_parameters::TlsProtocol;

/// Approved cipher suites, by Envoy's names.
const CIPHERS: &[&str] = &[
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES256-GCM-SHA384",
];
/// X25519 and ML-KEM together.
const POST_QUANTUM_CURVE: &str = "X25519MLKEM768";

/// Holds a context to the policy.
pub(super) fn comply(policy: Compliance, common: &mut envoy::tls::CommonTlsContext) {
    match policy {
        Compliance::None => {}
        Compliance::Fips140 => {
            let params = common.tls_params.get_or_insert_default();
            params.tls_minimum_protocol_version = TlsProtocol::TlSv12 as i32;
            params.tls_maximum_protocol_version = TlsProtocol::TlSv12 as i32;
            // Without a list Envoy takes its own, which in a build for FIPS is approved.
            if !params.cipher_suites.is_empty() {
                params.cipher_suites.retain(|suite| CIPHERS.contains(&suite.as_str()));
                // An empty list would be Envoy's own again, not none.
                if params.cipher_suites.is_empty() {
                    params.cipher_suites = all();
                }
            }
            params.ecdh_curves.clear();
        }
        Compliance::PostQuantum => {
            let params = common.tls_params.get_or_insert_default();
            params.tls_minimum_protocol_version = TlsProtocol::TlSv13 as i32;
            // A most that is below the least would cost the whole listener.
            if params.tls_maximum_protocol_version != TlsProtocol::TlsAuto as i32 {
                params.tls_maximum_protocol_version = TlsProtocol::TlSv13 as i32;
            }
            params.cipher_suites = all();
            params.ecdh_curves = vec![POST_QUANTUM_CURVE.to_owned()];
        }
    }
}

fn all() -> Vec<String> {
    CIPHERS.iter().map(|&suite| suite.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(
        policy: Compliance,
        params: Option<envoy::tls::TlsParameters>,
    ) -> Option<envoy::tls::TlsParameters> {
        let mut common = envoy::tls::CommonTlsContext { tls_params: params, ..Default::default() };
        comply(policy, &mut common);
        common.tls_params
    }

    #[test]
    fn approved_cryptography_is_left_whatever_was_asked_for() {
        let asked = |suites: &[&str]| {
            Some(envoy::tls::TlsParameters {
                tls_minimum_protocol_version: TlsProtocol::TlSv10 as i32,
                tls_maximum_protocol_version: TlsProtocol::TlSv12 as i32,
                cipher_suites: suites.iter().map(|&suite| suite.to_owned()).collect(),
                ecdh_curves: vec!["X25519".to_owned()],
                ..Default::default()
            })
        };
        assert_eq!(held(Compliance::None, None), None);
        let mixed = asked(&["AES128-SHA", CIPHERS[1]]);
        let fips = held(Compliance::Fips140, mixed.clone()).expect("parameters");
        assert_eq!(fips.tls_minimum_protocol_version, TlsProtocol::TlSv12 as i32);
        assert_eq!(fips.tls_maximum_protocol_version, TlsProtocol::TlSv12 as i32);
        assert_eq!(fips.cipher_suites, [CIPHERS[1]]);
        assert!(fips.ecdh_curves.is_empty());
        // Nothing approved was asked for: what is approved, not what is asked for, and not Envoy's default.
        let fips = held(Compliance::Fips140, asked(&["AES128-SHA"])).expect("parameters");
        assert_eq!(fips.cipher_suites, CIPHERS);
        // Envoy's default in a build for FIPS.
        assert!(held(Compliance::Fips140, None).expect("parameters").cipher_suites.is_empty());
        let quantum = held(Compliance::PostQuantum, mixed).expect("parameters");
        assert_eq!(quantum.tls_minimum_protocol_version, TlsProtocol::TlSv13 as i32);
        assert_eq!(quantum.tls_maximum_protocol_version, TlsProtocol::TlSv13 as i32);
        assert_eq!(quantum.cipher_suites, CIPHERS);
        assert_eq!(quantum.ecdh_curves, [POST_QUANTUM_CURVE]);
    }
}
