//! The certificate that our own TLS ports serve, issued by the authority in force: anew when that changes, and when
//! half its life is over. Nothing is restarted for it.

use std::sync::Arc;
use std::time::Duration;

use ca::{Authority, PrivateKey};
use tokio::sync::watch;

use super::keys::{KeyKind, generate_key, moment, now};
use crate::Tls;

/// How often a certificate that could not be made is tried again, and how often the clock is looked at.
const TICK: Duration = Duration::from_secs(30);

/// What is served.
#[derive(Clone, Debug)]
pub struct ServingCertificate {
    /// DNS names.
    pub hosts: Vec<String>,
    /// In seconds.
    pub lifetime: i64,
}

impl ServingCertificate {
    /// Issues one and serves it. Returns when it should be replaced, in seconds since 1970.
    pub fn issue(&self, authority: &Authority, tls: &Tls) -> Result<i64, String> {
        let kind = if authority.is_rsa() { KeyKind::Rsa(2048) } else { KeyKind::P256 };
        let key = generate_key(kind).ok_or("there is no randomness")?;
        let at = moment().ok_or("there is no randomness")?;
        let public = PrivateKey::from_pem(&key).map_err(|error| error.to_string())?;
        let issued = authority
            .issue_server(public.public_key(), &self.hosts, self.lifetime, at)
            .map_err(|error| error.to_string())?;
        tls.trust(authority.root_certificates()).map_err(|error| error.to_string())?;
        tls.serve_certificate(&issued.chain.concat(), &key).map_err(|error| error.to_string())?;
        Ok(at.now + (issued.not_after - at.now) / 2)
    }
}

/// How long to wait for that moment; the clock may be set meanwhile, so it is looked at now and then.
fn until(due: i64) -> Duration {
    let seconds = due.saturating_sub(now()).max(1);
    TICK.min(Duration::from_secs(seconds.unsigned_abs()))
}

/// Believes callers by the roots in force, from the moment that these are.
pub async fn keep_trust(mut authorities: watch::Receiver<Option<Arc<Authority>>>, tls: Arc<Tls>) {
    loop {
        let authority = authorities.borrow_and_update().clone();
        if let Some(authority) = authority
            && let Err(error) = tls.trust(authority.root_certificates())
        {
            tracing::error!(scope = "ca", "the roots cannot be used: {error}");
        }
        if authorities.changed().await.is_err() {
            return;
        }
    }
}

/// Serves a certificate of the authority in force for as long as there are authorities to come.
pub async fn keep_serving_certificate(
    what: ServingCertificate,
    mut authorities: watch::Receiver<Option<Arc<Authority>>>,
    tls: Arc<Tls>,
) {
    let mut due = i64::MAX;
    let mut changed = true;
    loop {
        let authority = authorities.borrow_and_update().clone();
        if let Some(authority) = authority
            && (changed || now() >= due)
        {
            match what.issue(&authority, &tls) {
                Ok(next) => {
                    due = next;
                    tracing::info!(scope = "ca", "serving certificate issued for {}", what.hosts.join(", "));
                }
                Err(error) => {
                    due = now() + TICK.as_secs() as i64;
                    tracing::error!(scope = "ca", "no serving certificate: {error}");
                }
            }
        }
        changed = tokio::select! {
            changed = authorities.changed() => match changed {
                Ok(()) => true,
                Err(_) => return,
            },
            () = tokio::time::sleep(until(due)) => false,
        };
    }
}
