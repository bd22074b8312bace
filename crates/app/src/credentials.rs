//! The certificates that gateways are sent, as operators watch them: when each runs out, and which cannot be read or
//! have run out already. They are sent all the same, as the proxy and its clients are the judges.

use std::collections::BTreeMap;
use std::sync::Arc;

use engine::Engine;
use model::{Fingerprint, Namespace};
use prost::Message;
use proto::envoy::core::data_source::Specifier;
use proto::envoy::google::Any;
use proto::envoy::tls::Secret;
use proto::envoy::tls::secret::Type;
use server::{Metrics, moment};

/// What was told of which secret.
#[derive(Default)]
pub(crate) struct Credentials {
    told: BTreeMap<(Namespace, Arc<str>), Fingerprint>,
}

impl Credentials {
    /// Takes in what proxies have now.
    pub(crate) fn note(&mut self, engine: &Engine, metrics: &Metrics) {
        let secrets = engine.secrets();
        let told: BTreeMap<_, _> =
            secrets.iter().map(|(key, resource)| (key.clone(), resource.fingerprint())).collect();
        if told == self.told {
            return;
        }
        let now = moment().map(|moment| moment.now).unwrap_or_default();
        metrics.forget_secrets();
        for (key, resource) in secrets {
            let (namespace, name) = &key;
            let expiry = expiry(&resource.body().whole());
            metrics.secret_runs_out(namespace, name, expiry.unwrap_or_default());
            let is_new = self.told.get(&key) != Some(&resource.fingerprint());
            let amiss = match expiry {
                None => Some("cannot be read"),
                Some(at) if at <= now => Some("has run out"),
                Some(_) => None,
            };
            if let Some(amiss) = amiss.filter(|_| is_new) {
                metrics.secret_errors(1);
                tracing::warn!(scope = "sds", "a certificate of {name} for proxies in {namespace} {amiss}");
            }
        }
        self.told = told;
    }
}

/// When the first certificate in an encoded secret runs out.
fn expiry(body: &[u8]) -> Option<i64> {
    let secret = Secret::decode(&*Any::decode(body).ok()?.value).ok()?;
    let source = match secret.r#type? {
        Type::TlsCertificate(certificate) => certificate.certificate_chain?,
        Type::ValidationContext(context) => context.trusted_ca?,
        _ => return None,
    };
    match source.specifier? {
        Specifier::InlineBytes(bytes) => ca::first_expiry(&bytes),
        _ => None,
    }
}
