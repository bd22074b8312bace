//! Where the authority comes from, and that it stays right: plugged-in files that change are taken over when they are
//! sound, a root of our own is renewed in the last fifth of its life, what another replica has written is read
//! (platform specification, 5.2). What is broken leaves the old in force, and a metric moves.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ca::{Authority, Material, PrivateKey};
use kube_io::StoredSecret;
use server::{AuthorityHolder, CertificateMetrics, KeyKind, generate_key, moment};

use super::kubernetes::RootSecret;
use super::{Settings, plugged_in};

/// How often files are looked at.
const FILES: Duration = Duration::from_secs(1);
/// How often what is kept elsewhere is.
const ELSEWHERE: Duration = Duration::from_mins(1);
/// The pause after a request that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// Where the material of the authority is.
pub(super) enum Origin {
    /// Files that operators plug in.
    PluggedIn(PathBuf),
    /// A root of our own in a Secret.
    Secret(RootSecret),
    /// A root of our own in a folder.
    Folder(PathBuf),
    /// A root of our own, kept nowhere.
    Memory,
}

/// Over which version one may write.
type Version = Option<StoredSecret>;

impl Origin {
    /// The material, made anew where there is none yet.
    pub(super) async fn first(&self, settings: &Settings, trust_domain: &str) -> Result<Material> {
        loop {
            match self.read().await {
                Ok((Some(material), _)) => return Ok(material),
                Ok((None, version)) => {
                    let material = new_root(settings, trust_domain)?;
                    match self.write(&material, version.as_ref()).await {
                        Ok(true) => return Ok(material),
                        Ok(false) => {}
                        Err(error) => self.pause(&error).await?,
                    }
                }
                Err(error) => self.pause(&error).await?,
            }
        }
    }

    /// An API server may come back; a folder that cannot be used stays so.
    async fn pause(&self, error: &anyhow::Error) -> Result<()> {
        if !matches!(self, Self::Secret(_)) {
            anyhow::bail!("the root cannot be kept: {error:#}");
        }
        tracing::warn!(scope = "ca", "the root cannot be read or kept: {error:#}");
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    async fn read(&self) -> Result<(Option<Material>, Version)> {
        match self {
            Self::PluggedIn(folder) => Ok((plugged_in(folder)?, None)),
            Self::Secret(secret) => secret.read().await,
            Self::Folder(folder) => {
                let files = file_io::read_flat(folder).with_context(|| folder.display().to_string())?;
                Ok((Material::from_root_secret(&files), None))
            }
            Self::Memory => Ok((None, None)),
        }
    }

    async fn write(&self, material: &Material, over: Option<&StoredSecret>) -> Result<bool> {
        match self {
            Self::PluggedIn(_) => Ok(false),
            Self::Secret(secret) => secret.write(material, over).await,
            Self::Folder(folder) => {
                file_io::write_private(folder, &material.to_root_secret())
                    .with_context(|| folder.display().to_string())?;
                Ok(true)
            }
            Self::Memory => Ok(true),
        }
    }
}

/// A new root of our own.
fn new_root(settings: &Settings, trust_domain: &str) -> Result<Material> {
    let at = moment().context("there is no randomness")?;
    let key = generate_key(KeyKind::Rsa(settings.root_key_bits)).context("no key was generated")?;
    let private = PrivateKey::from_pem(&key)?;
    let certificate = Authority::self_signed(&private, trust_domain, settings.root_lifetime, at)?;
    tracing::info!(scope = "ca", "a new root is made for {trust_domain}");
    Ok(Material { certificate, key, ..Material::default() })
}

/// What keeps the authority in force right.
pub(super) struct Upkeep {
    pub(super) origin: Origin,
    pub(super) material: Material,
    pub(super) holder: AuthorityHolder,
    pub(super) metrics: CertificateMetrics,
    /// `ISTIO_MULTIROOT_MESH`
    pub(super) takes_new_roots: bool,
    pub(super) root_lifetime: i64,
    /// `CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE`
    pub(super) grace_percent: i64,
}

impl Upkeep {
    /// Goes on until dropped.
    pub(super) async fn run(mut self) {
        let pause = if matches!(self.origin, Origin::Secret(_)) { ELSEWHERE } else { FILES };
        let mut told = String::new();
        loop {
            tokio::time::sleep(pause).await;
            match self.look().await {
                Ok(()) => told.clear(),
                Err(error) => {
                    let message = format!("{error:#}");
                    if message != told {
                        self.metrics.reload_failed();
                        tracing::error!(scope = "ca", "the CA material stays as it was: {message}");
                        told = message;
                    }
                }
            }
        }
    }

    async fn look(&mut self) -> Result<()> {
        let at = moment().context("there is no randomness")?;
        let (found, version) = self.origin.read().await?;
        if let Some(found) = found.filter(|found| *found != self.material) {
            let next = Authority::new(&found, at.now)?;
            self.admit(&next)?;
            tracing::info!(scope = "ca", "changed CA material is in force");
            self.holder.replace(next);
            self.material = found;
        }
        let Some(current) = self.holder.current() else { return Ok(()) };
        self.metrics.root_runs_out(current.roots_expire(), at.now);
        let is_ours = !matches!(self.origin, Origin::PluggedIn(_));
        if is_ours && current.is_due(at.now, self.grace_percent) {
            let certificate = current.renewed(self.root_lifetime, at)?;
            let next = Material { certificate, key: self.material.key.clone(), ..Material::default() };
            let authority = Authority::new(&next, at.now)?;
            // Where another replica was faster, its root is read the next time.
            if self.origin.write(&next, version.as_ref()).await? {
                tracing::info!(scope = "ca", "the root is renewed with the same key");
                self.holder.replace(authority);
                self.material = next;
            }
        }
        Ok(())
    }

    /// Whether plugged-in roots may come into force: workloads would not know a root that is new to them.
    fn admit(&self, next: &Authority) -> Result<()> {
        let Some(current) = self.holder.current().filter(|_| matches!(self.origin, Origin::PluggedIn(_)))
        else {
            return Ok(());
        };
        let (old, new) = (current.root_certificates(), next.root_certificates());
        let grows = old.iter().all(|root| new.contains(root));
        let shrinks = new.iter().all(|root| old.contains(root));
        if grows && shrinks || self.takes_new_roots && (grows || shrinks) {
            return Ok(());
        }
        anyhow::bail!(
            "the roots differ from those in force; set ISTIO_MULTIROOT_MESH=true and add the new root beside the old \
             ones first"
        )
    }
}
