//! The life of the workload's certificate: asked for, tried again, renewed in time, and at once when the roots that the
//! control plane is checked by have changed (platform specification, 5.1 and 5.3).

use std::io;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use ca::{Csr, PrivateKey};
use proto::istio::certificates::{IstioCertificateRequest, IstioCertificateResponse};
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

use crate::files;
use crate::secrets::{self, Secrets};
use crate::settings::{Certificates, ControlPlane};
use crate::upstream::{UpstreamError, full_reason};

const FIRST_PAUSE: Duration = Duration::from_millis(100);
const LONGEST_PAUSE: Duration = Duration::from_secs(15);
/// How long a reply may take.
const REPLY_LIMIT: Duration = Duration::from_secs(30);
/// How often the file of roots is looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Why there is no certificate yet.
#[derive(Debug, thiserror::Error)]
enum RenewalError {
    #[error(transparent)]
    Upstream(#[from] UpstreamError),
    #[error("no key could be made")]
    Key,
    #[error("the signing request could not be made: {0}")]
    Request(#[from] ca::KeyError),
    #[error("the CA refuses: {} ({:?})", .0.message(), .0.code())]
    Refused(Status),
    #[error("the CA does not answer in {REPLY_LIMIT:?}")]
    Silent,
    #[error("the reply of the CA cannot be used: {0}")]
    Reply(&'static str),
}

/// Keeps `current` filled for ever.
pub(crate) async fn keep(
    control_plane: ControlPlane,
    settings: Certificates,
    current: watch::Sender<Option<Arc<Secrets>>>,
) {
    let mut pause = FIRST_PAUSE;
    loop {
        let roots = files::read(&control_plane.roots).unwrap_or_default();
        let credential = current.borrow().clone().or_else(|| provisioned(&settings));
        match obtain(&control_plane, &settings, credential.as_deref()).await {
            Ok(secrets) => {
                pause = FIRST_PAUSE;
                let wait = until_renewal(&settings, secrets.not_after - now(), secrets::random());
                tracing::info!(
                    "certificate obtained, valid for {} s more, renewed in {} s",
                    secrets.not_after - now(),
                    wait.as_secs()
                );
                if let Err(error) = write(&settings, &secrets) {
                    tracing::warn!("the certificate cannot be written: {error}");
                }
                current.send_replace(Some(Arc::new(secrets)));
                wait_or_roots(wait, &control_plane, &roots).await;
            }
            Err(error) => {
                // The jitter keeps a fleet from asking all at once.
                let wait = pause.mul_f64(0.5 + secrets::random());
                tracing::warn!("no certificate: {}; trying again in {wait:.1?}", full_reason(&error));
                pause = (pause * 2).min(LONGEST_PAUSE);
                sleep(wait).await;
            }
        }
    }
}

/// How long until a certificate with so many seconds left is renewed.
fn until_renewal(settings: &Certificates, left: i64, random: f64) -> Duration {
    let part = settings.renew_at + settings.jitter * (2.0 * random - 1.0);
    Duration::from_secs_f64((left.max(0) as f64 * part.clamp(0.0, 1.0)).max(1.0))
}

async fn wait_or_roots(wait: Duration, control_plane: &ControlPlane, roots: &str) {
    let until = Instant::now() + wait;
    while Instant::now() < until {
        sleep(LOOK.min(until - Instant::now())).await;
        match files::read(&control_plane.roots) {
            Ok(text) if text != roots && secrets::count(&text) > 0 => {
                tracing::info!("the roots of the control plane have changed; the certificate is renewed");
                return;
            }
            _ => {}
        }
    }
}

async fn obtain(
    control_plane: &ControlPlane,
    settings: &Certificates,
    credential: Option<&Secrets>,
) -> Result<Secrets, RenewalError> {
    let kind = settings.key;
    // RSA takes its time.
    let key = tokio::task::spawn_blocking(move || secrets::new_key(kind)).await;
    let key = key.ok().flatten().ok_or(RenewalError::Key)?;
    let csr = Csr::request(&PrivateKey::from_pem(&key)?)?;
    let connected = control_plane.connect(&control_plane.ca, credential).await?;
    let body = IstioCertificateRequest {
        csr,
        validity_duration: settings.lifetime.as_secs() as i64,
        ..Default::default()
    };
    let mut request = Request::new(body);
    connected.credentials(request.metadata_mut());
    let mut grpc = Grpc::new(connected.channel);
    let answer = async {
        grpc.ready().await.map_err(|error| Status::unavailable(full_reason(&error)))?;
        let path = PathAndQuery::from_static("/istio.v1.auth.IstioCertificateService/CreateCertificate");
        let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
        grpc.unary(request, path, codec).await
    };
    let reply = timeout(REPLY_LIMIT, answer).await.map_err(|_| RenewalError::Silent)?;
    let reply = reply.map_err(RenewalError::Refused)?.into_inner().cert_chain;
    Secrets::of_reply(key, reply).map_err(RenewalError::Reply)
}

/// A certificate that was put here beforehand, or that an earlier run left.
fn provisioned(settings: &Certificates) -> Option<Arc<Secrets>> {
    let folder = settings.provisioned.as_ref()?;
    let read = |name: &str| files::read(&folder.join(name)).ok();
    let (chain, key) = (read("cert-chain.pem")?, read("key.pem")?);
    let not_after = secrets::end_of(&chain)?;
    Some(Arc::new(Secrets { chain, key, roots: read("root-cert.pem").unwrap_or_default(), not_after }))
}

fn write(settings: &Certificates, secrets: &Secrets) -> io::Result<()> {
    let Some(folder) = &settings.output else { return Ok(()) };
    files::private_folder(folder)?;
    files::write_private(&folder.join("cert-chain.pem"), &secrets.chain)?;
    files::write_private(&folder.join("key.pem"), &secrets.key)?;
    files::write_private(&folder.join("root-cert.pem"), &secrets.roots)
}

fn now() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() as i64)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::KeyKind;

    #[test]
    fn a_certificate_is_renewed_about_halfway_and_never_in_a_tight_loop() {
        let settings = Certificates {
            lifetime: Duration::from_secs(1000),
            renew_at: 0.5,
            jitter: 0.01,
            key: KeyKind::P256,
            output: None,
            provisioned: None,
        };
        assert_eq!(until_renewal(&settings, 1000, 0.5), Duration::from_secs(500));
        assert_eq!(until_renewal(&settings, 1000, 0.0), Duration::from_secs(490));
        assert_eq!(until_renewal(&settings, -5, 0.5), Duration::from_secs(1));
    }
}
