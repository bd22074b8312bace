//! The certificate authority, the TLS ports and who may pass them: settings as istiod names them, wired together.

mod settings;

use std::collections::BTreeMap;
use std::future::Future;
use std::path::Path;
use std::pin::pin;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use ca::{Authority, KeySet, Material, PrivateKey};
use server::{
    Ads, Authenticator, AuthorityHolder, CertificateAuthenticator, CertificateMetrics, Certificates, Gate,
    GateOptions, KeyKind, LocalIssuer, MinVersion, ServingCertificate, Tls, TokenAuthenticator, Trust,
    accept_tls, generate_key, keep_serving_certificate, moment,
};
use tokio::net::TcpListener;

use crate::state::State;

pub(crate) use settings::Settings;

/// What is served over TLS.
pub(crate) struct Secure {
    pub(crate) settings: Settings,
    pub(crate) state: Arc<State>,
    pub(crate) ads: Ads,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: CertificateMetrics,
    pub(crate) namespace: String,
    pub(crate) revision: String,
}

impl Secure {
    /// Waits until configuration is read, since it names the trust domain; then serves until `stop` is done.
    pub(crate) async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> Result<()> {
        let mut stop = pin!(stop);
        tokio::select! {
            () = &mut stop => return Ok(()),
            () = self.state.until_committed() => {}
        }
        let address = self.state.discovery_address();
        let hosts = ca::serving_names(&self.settings.custom_hosts, &address, &self.namespace, &self.revision);
        let trust_domain = self.state.trust_domain();
        let (tls, certificates) = start(&self.settings, &self.gate, &trust_domain, self.metrics, hosts)?;
        let incoming = accept_tls(listener, tls.grpc()?).context("connections cannot be accepted")?;
        let ads = if self.settings.authenticate { self.ads.behind(self.gate) } else { self.ads };
        Ok(server::serve_secure(incoming, ads, certificates, stop).await?)
    }
}

/// Finds the authority and serves a certificate of it. Returns the service that signs for workloads, if it is wanted.
fn start(
    settings: &Settings,
    gate: &Arc<Gate>,
    trust_domain: &str,
    metrics: CertificateMetrics,
    hosts: Vec<String>,
) -> Result<(Arc<Tls>, Option<Certificates>)> {
    let authority = AuthorityHolder::default();
    let tls = Arc::new(Tls::new(MinVersion::default()));
    let material = match plugged_in(&settings.root_ca_dir)? {
        Some(material) => {
            tracing::info!(scope = "ca", "certificates are signed by {}", settings.root_ca_dir.display());
            material
        }
        None => self_signed(settings, trust_domain)?,
    };
    let at = moment().context("there is no randomness")?;
    let first = Authority::new(&material, at.now).context("the CA material cannot be used")?;
    metrics.root_runs_out(first.roots_expire(), at.now);
    authority.replace(first);
    let serving = ServingCertificate { hosts, lifetime: settings.serving_lifetime };
    tokio::spawn(keep_serving_certificate(serving, authority.watch(), Arc::clone(&tls)));

    let issuer = Arc::new(LocalIssuer::new(authority.clone(), settings.lifetimes));
    let certificates = settings.sign.then(|| Certificates::new(Arc::clone(gate), issuer, metrics));
    Ok((tls, certificates))
}

/// Who may pass the ports where credentials are asked for.
pub(crate) fn gate(settings: &Settings, trust: Arc<dyn Trust>) -> Result<Arc<Gate>> {
    let mut authenticators: Vec<Box<dyn Authenticator>> = vec![Box::new(CertificateAuthenticator)];
    if let Some((rule, keys)) = &settings.token_rule {
        let keys = KeySet::parse(keys).context("the keys of JWT_RULE are not a JSON Web Key Set")?;
        if keys.is_empty() {
            bail!("there is no key in JWT_RULE that could be used");
        }
        let authenticator = TokenAuthenticator::new(rule.clone(), Arc::new(keys), Arc::clone(&trust));
        authenticators.push(Box::new(authenticator));
    }
    let options = GateOptions { check_nodes: settings.check_nodes };
    Ok(Arc::new(Gate::new(authenticators, trust, options)))
}

impl Settings {
    /// Checks what operators plugged in, so that a start with broken material fails at once.
    pub(crate) fn check(&self) -> Result<()> {
        if let Some(material) = plugged_in(&self.root_ca_dir)? {
            let at = moment().context("there is no randomness")?;
            Authority::new(&material, at.now).with_context(|| {
                format!("the CA material in {} cannot be used", self.root_ca_dir.display())
            })?;
        }
        Ok(())
    }
}

/// What operators plugged in.
fn plugged_in(folder: &Path) -> Result<Option<Material>> {
    let files = file_io::read_flat(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    Material::from_files(&files)
        .with_context(|| format!("the CA material in {} is not complete", folder.display()))
}

/// A root of our own: the one that is kept, or a new one.
fn self_signed(settings: &Settings, trust_domain: &str) -> Result<Material> {
    let kept = match &settings.root_folder {
        Some(folder) => Material::from_root_secret(&read_kept(folder)?),
        None => None,
    };
    if let Some(kept) = kept {
        return Ok(kept);
    }
    let at = moment().context("there is no randomness")?;
    let key = generate_key(KeyKind::Rsa(settings.root_key_bits)).context("no key was generated")?;
    let private = PrivateKey::from_pem(&key)?;
    let certificate = Authority::self_signed(&private, trust_domain, settings.root_lifetime, at)?;
    let material = Material { certificate, key, ..Material::default() };
    match &settings.root_folder {
        Some(folder) => {
            file_io::write_private(folder, &material.to_root_secret())
                .with_context(|| format!("the root cannot be kept in {}", folder.display()))?;
            tracing::info!(scope = "ca", "a new root is kept in {}", folder.display());
        }
        None => tracing::warn!(
            scope = "ca",
            "a new root is kept nowhere; workloads will not trust the next start"
        ),
    }
    Ok(material)
}

fn read_kept(folder: &Path) -> Result<BTreeMap<String, Vec<u8>>> {
    file_io::read_flat(folder).with_context(|| format!("{} cannot be read", folder.display()))
}
