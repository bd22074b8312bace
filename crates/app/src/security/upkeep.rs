//! Where the authority comes from, and that it stays right: plugged-in files that change are taken over when they are
//! sound, a root of our own is renewed in the last fifth of its life, what another replica has written is read
//! (platform specification, 5.2). What is broken leaves the old in force, and a metric moves.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use ca::{Authority, Material, PrivateKey};
use server::{AuthorityHolder, CertificateMetrics, KeyKind, generate_key, moment};

use super::kubernetes::{ReadSecret, RootSecret};
use super::{Settings, plugged_in};

/// How often files are looked at.
const FILES: Duration = Duration::from_secs(1);
/// How often what is kept elsewhere is.
const ELSEWHERE: Duration = Duration::from_mins(1);
/// No pause is shorter.
const SHORTEST: Duration = Duration::from_millis(100);
/// How often one tries to write a root when others write it as well.
const ATTEMPTS: usize = 5;
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
type Version = Option<ReadSecret>;

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

    async fn write(&self, material: &Material, over: Option<&ReadSecret>) -> Result<bool> {
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
    pub(super) rotation: Rotation,
}

/// When a root of our own is looked at, and from when on it is due.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rotation {
    /// `CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL`; `None` means that it is never renewed.
    pub(super) interval: Option<Duration>,
    /// `CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE`
    pub(super) grace_percent: i64,
    /// `CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR`: the first look comes at a random moment of the first interval,
    /// so that replicas that start together do not all write at once.
    pub(super) jitter: bool,
}

impl Rotation {
    /// When to look first; `random` are any bytes.
    fn first(&self, now: Instant, random: [u8; 16]) -> Option<Instant> {
        let interval = self.interval?;
        let part = f64::from(u16::from_le_bytes([random[0], random[1]])) / f64::from(u16::MAX);
        Some(now + if self.jitter { interval.mul_f64(part) } else { interval })
    }
}

impl Upkeep {
    /// Goes on until dropped.
    pub(super) async fn run(mut self) {
        let at_most = if matches!(self.origin, Origin::Secret(_)) { ELSEWHERE } else { FILES };
        let pause = self.rotation.interval.map_or(at_most, |interval| interval.clamp(SHORTEST, at_most));
        let random = moment().map(|at| at.serial).unwrap_or_default();
        let mut renewal = self.rotation.first(Instant::now(), random);
        let mut told = String::new();
        loop {
            tokio::time::sleep(pause).await;
            let renews = renewal.is_some_and(|at| at <= Instant::now());
            if renews {
                renewal = self.rotation.interval.map(|interval| Instant::now() + interval);
            }
            match self.look(renews).await {
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

    /// Takes over what has changed, and renews the root if that is to be done now and it is due.
    async fn look(&mut self, renews: bool) -> Result<()> {
        for _ in 0..ATTEMPTS {
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
            if !renews || !is_ours || !current.is_due(at.now, self.rotation.grace_percent) {
                return Ok(());
            }
            // The same name and key: whoever has the old root only believes what the new one signs, and the reverse.
            let certificate = current.renewed(self.root_lifetime, at)?;
            let next = Material { certificate, key: self.material.key.clone(), ..Material::default() };
            let authority = Authority::new(&next, at.now)?;
            if self.origin.write(&next, version.as_ref()).await? {
                tracing::info!(scope = "ca", "the root is renewed with the same key");
                self.metrics.root_runs_out(authority.roots_expire(), at.now);
                self.holder.replace(authority);
                self.material = next;
                return Ok(());
            }
            // Another replica was faster: its root is read at once.
        }
        anyhow::bail!("the root could not be renewed: others write its Secret again and again")
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
