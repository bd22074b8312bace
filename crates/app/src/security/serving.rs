//! Where the certificate of our own TLS ports comes from, and what others have to trust to believe it: flags, mounted
//! files, our own authority, or a signer of the cluster, in this order (platform specification, 5.2). What is told here
//! is what webhooks and the root ConfigMap hold.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use ca::{Authority, Csr, Foreign, PrivateKey, Roots};
use kube_io::{Client, SigningRequest, sign_by_cluster};
use server::{CertificateMetrics, KeyKind, Tls, generate_key, moment};
use tokio::sync::watch;

use super::signing::{PATIENCE, SHORTEST, roots_of as roots_of_signer};
use crate::state::State;

/// Where a certificate for our own ports may be mounted.
const MOUNTED: &str = "/var/run/secrets/istiod";
/// How often files are looked at, and how often a certificate of a signer is.
const FILES: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_secs(10);
const USAGES: &[&str] = &["digital signature", "key encipherment", "server auth"];

/// What others have to trust, as PEM.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bundle {
    /// All roots; empty as long as none is known.
    pub(crate) roots: Arc<str>,
    /// Revocation lists; empty where there are none.
    pub(crate) revoked: Arc<str>,
}

/// Tells of the bundle in force.
pub(crate) type Bundles = watch::Sender<Bundle>;

/// The roots of the bundle in force, for those who keep webhook configurations right; follows it until nobody asks.
pub(crate) fn roots_of(mut bundles: watch::Receiver<Bundle>) -> watch::Receiver<Option<Arc<Roots>>> {
    let (tell, told) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let roots = Roots::parse(&bundles.borrow_and_update().roots).map(Arc::new);
            tell.send_if_modified(|known| {
                let differs = roots.is_some() && *known != roots;
                if differs {
                    known.clone_from(&roots);
                }
                differs
            });
            tokio::select! {
                changed = bundles.changed() => if changed.is_err() {
                    return;
                },
                () = tell.closed() => return,
            }
        }
    });
    told
}

/// `PILOT_CERT_PROVIDER`
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Provider {
    /// `istiod`: our own authority.
    #[default]
    Own,
    /// `custom`: files.
    Files,
    /// `none`: no TLS ports.
    Nobody,
    /// `k8s.io/<signer>`: a signer of the cluster.
    Signer(String),
}

impl Provider {
    pub(super) fn parse(text: &str) -> Result<Self> {
        Ok(match text {
            "" | "istiod" => Self::Own,
            "custom" => Self::Files,
            "none" => Self::Nobody,
            "kubernetes" => anyhow::bail!(
                "PILOT_CERT_PROVIDER=kubernetes is not supported any more, as with istiod; use k8s.io/<signer>"
            ),
            other => match other.strip_prefix("k8s.io/").filter(|signer| !signer.is_empty()) {
                Some(signer) => Self::Signer(signer.to_owned()),
                None => anyhow::bail!(
                    "PILOT_CERT_PROVIDER={other:?} is not known; use istiod, custom, none or k8s.io/<signer>"
                ),
            },
        })
    }
}

/// Files of a certificate for our own ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Files {
    pub(super) certificate: PathBuf,
    pub(super) key: PathBuf,
    pub(super) roots: PathBuf,
    /// Whether callers are verified by these roots, too.
    pub(super) verifies_callers: bool,
}

impl Files {
    /// As flags name them; an error where some are missing.
    pub(super) fn of_flags([certificate, key, roots]: [&Path; 3]) -> Result<Option<Self>> {
        let given = [certificate, key, roots].map(|path| !path.as_os_str().is_empty());
        if given == [false; 3] {
            return Ok(None);
        }
        ensure!(
            given == [true; 3],
            "--tlsCertFile, --tlsKeyFile and --caCertFile are given together or not at all"
        );
        let [certificate, key, roots] = [certificate, key, roots].map(Path::to_path_buf);
        Ok(Some(Self { certificate, key, roots, verifies_callers: true }))
    }

    /// Where they are mounted, if they are.
    pub(super) fn mounted() -> Option<Self> {
        Self::mounted_at(Path::new(MOUNTED))
    }

    fn mounted_at(folder: &Path) -> Option<Self> {
        let (certificate, key) = (folder.join("tls/tls.crt"), folder.join("tls/tls.key"));
        let roots = [folder.join("ca/root-cert.pem"), folder.join("tls/ca.crt")];
        let roots = roots.into_iter().find(|file| file.is_file())?;
        (certificate.is_file() && key.is_file()).then_some(Self {
            certificate,
            key,
            roots,
            verifies_callers: false,
        })
    }

    fn read(&self) -> Result<[String; 3]> {
        let read = |path: &Path| {
            std::fs::read_to_string(path).with_context(|| format!("{} cannot be read", path.display()))
        };
        Ok([read(&self.certificate)?, read(&self.key)?, read(&self.roots)?])
    }

    /// Serves what is in the files.
    fn serve(&self, [certificate, key, roots]: &[String; 3], tls: &Tls, bundles: &Bundles) -> Result<()> {
        let name = self.roots.display();
        let all = ca::certificates_in(roots).filter(|all| !all.is_empty());
        let all = all.with_context(|| format!("{name} holds no certificate in PEM"))?;
        tls.serve_certificate(certificate, key).with_context(|| self.certificate.display().to_string())?;
        if self.verifies_callers {
            tls.trust_also(&all).with_context(|| name.to_string())?;
        }
        bundles.send_modify(|bundle| bundle.roots = roots.as_str().into());
        Ok(())
    }

    /// Serves them now, so that broken ones stop a start; what `keep` needs to know of them is returned.
    pub(super) fn start(&self, tls: &Tls, bundles: &Bundles) -> Result<[String; 3]> {
        let content = self.read()?;
        self.serve(&content, tls, bundles).context("the certificate of our own ports cannot be used")?;
        Ok(content)
    }

    /// Follows their changes until dropped; broken ones leave the old in force.
    pub(super) async fn keep(
        self,
        mut served: [String; 3],
        tls: Arc<Tls>,
        bundles: Bundles,
        metrics: CertificateMetrics,
    ) {
        let mut told = String::new();
        loop {
            tokio::time::sleep(FILES).await;
            let read = self.read().and_then(|content| {
                if content == served {
                    return Ok(None);
                }
                self.serve(&content, &tls, &bundles)?;
                Ok(Some(content))
            });
            match read {
                Ok(None) => told.clear(),
                Ok(Some(content)) => {
                    served = content;
                    told.clear();
                    tracing::info!(scope = "ca", "the changed certificate of our own ports is served");
                }
                Err(error) => {
                    let message = format!("{error:#}");
                    if message != told {
                        metrics.reload_failed();
                        tracing::error!(
                            scope = "ca",
                            "the certificate of our own ports stays as it was: {message}"
                        );
                        told = message;
                    }
                }
            }
        }
    }
}

/// Tells the roots of our own authority, now and whenever it changes. Of files as `serves_other` others are told.
pub(super) async fn follow_authority(
    mut authorities: watch::Receiver<Option<Arc<Authority>>>,
    bundles: Bundles,
    serves_other: bool,
) {
    loop {
        if let Some(authority) = authorities.borrow_and_update().clone() {
            bundles.send_modify(|bundle| {
                bundle.revoked = authority.revoked().into();
                if !serves_other {
                    bundle.roots = authority.roots().into();
                }
            });
        }
        if authorities.changed().await.is_err() {
            return;
        }
    }
}

/// Lets callers be verified by the roots of signers, as the mesh configuration names them.
pub(super) async fn follow_signers(state: Arc<State>, tls: Arc<Tls>) {
    let mut commits = state.commits();
    let mut told = None;
    loop {
        commits.borrow_and_update();
        let roots = state.roots_of_signers()
            + &std::fs::read_to_string(super::signing::EXTERNAL_ROOTS).unwrap_or_default();
        if told.as_ref() != Some(&roots) {
            match ca::certificates_in(&roots).map(|all| tls.trust_also(&all)) {
                Some(Ok(())) => {}
                Some(Err(error)) => tracing::error!(scope = "ca", "roots of signers: {error}"),
                None => tracing::error!(
                    scope = "ca",
                    "caCertificates hold something that is no certificate in PEM"
                ),
            }
            told = Some(roots);
        }
        if commits.changed().await.is_err() {
            return;
        }
    }
}

/// A certificate for our own ports by a signer of the cluster.
pub(super) struct Signed {
    pub(super) client: Client,
    pub(super) state: Arc<State>,
    pub(super) signer: String,
    pub(super) hosts: Vec<String>,
    pub(super) lifetime: i64,
}

impl Signed {
    /// Serves one, and a new one at half its life, until dropped.
    pub(super) async fn keep(self, tls: Arc<Tls>, bundles: Bundles) {
        let mut due = i64::MIN;
        loop {
            let now = moment().map_or(0, |at| at.now);
            if now >= due {
                match self.issue(&tls, now).await {
                    Ok(next) => {
                        due = next;
                        tracing::info!(scope = "ca", "serving certificate issued by {}", self.signer);
                    }
                    Err(error) => tracing::error!(scope = "ca", "no serving certificate: {error:#}"),
                }
            }
            let roots: Arc<str> = roots_of_signer(&self.state, &self.signer).into();
            bundles.send_if_modified(|bundle| {
                let differs = !roots.is_empty() && bundle.roots != roots;
                if differs {
                    bundle.roots = roots;
                }
                differs
            });
            tokio::time::sleep(if due == i64::MIN { FILES } else { TICK }).await;
        }
    }

    async fn issue(&self, tls: &Tls, now: i64) -> Result<i64> {
        let key = generate_key(KeyKind::P256).context("there is no randomness")?;
        let hosts: Vec<&str> = self.hosts.iter().map(String::as_str).collect();
        let asked = SigningRequest {
            prefix: "csr-istiod-",
            pem: Csr::request_for(&PrivateKey::from_pem(&key)?, &[], &hosts)?,
            signer: self.signer.clone(),
            lifetime: self.lifetime.clamp(SHORTEST, i64::from(i32::MAX)),
            usages: USAGES,
            patience: PATIENCE,
        };
        let issued = sign_by_cluster(&self.client, &asked).await?;
        let foreign = Foreign::parse(&issued)?;
        tls.serve_certificate(&issued, &key)?;
        Ok(now + (foreign.expires() - now).max(2) / 2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn providers_are_known_by_name_and_others_refused_with_what_there_is() {
        assert_eq!(Provider::parse("").unwrap(), Provider::Own);
        assert_eq!(Provider::parse("k8s.io/a.test/b").unwrap(), Provider::Signer("a.test/b".into()));
        for wrong in ["kubernetes", "k8s.io/", "vault"] {
            assert!(Provider::parse(wrong).unwrap_err().to_string().contains("k8s.io/<signer>"), "{wrong}");
        }
    }

    #[test]
    fn files_by_flags_are_given_all_or_none() {
        let path = Path::new;
        assert_eq!(Files::of_flags([path(""), path(""), path("")]).unwrap(), None);
        assert!(Files::of_flags([path("a"), path("b"), path("c")]).unwrap().is_some());
        assert!(Files::of_flags([path("a"), path("b"), path("")]).is_err());
    }
}
