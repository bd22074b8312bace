//! The certificate authority, the TLS ports and who may pass them: settings as istiod names them, wired together.

pub(crate) mod kubernetes;
mod settings;
mod upkeep;

use std::future::Future;
use std::path::Path;
use std::pin::{Pin, pin};
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use ca::{Authority, KeySet, Material};
use kube_io::Client;
use server::{
    Ads, Authenticator, AuthorityHolder, CertificateAuthenticator, CertificateMetrics, Certificates,
    ForwardedAuthenticator, Gate, GateOptions, Impersonation, KubernetesAuthenticator, LocalIssuer,
    MinVersion, SecretRights, ServingCertificate, Tls, TokenAuthenticator, Trust, accept_tls,
    keep_serving_certificate, keep_trust, moment,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::state::State;

use kubernetes::RootSecret;
pub(crate) use settings::Settings;
use upkeep::{Origin, Rotation, Upkeep};

/// What is served over TLS.
pub(crate) struct Secure {
    pub(crate) settings: Settings,
    pub(crate) state: Arc<State>,
    pub(crate) ads: Ads,
    pub(crate) gate: Arc<Gate>,
    pub(crate) metrics: CertificateMetrics,
    /// The API server, where there is one.
    pub(crate) client: Option<Client>,
    pub(crate) authority: AuthorityHolder,
    /// The authority that the serving certificate is to be of: the one in force, once callers know its roots.
    pub(crate) served: watch::Receiver<Option<Arc<Authority>>>,
    pub(crate) namespace: String,
    pub(crate) revision: String,
    /// What is served beside it with the same certificate; nothing if webhooks are off.
    pub(crate) webhooks: Option<Webhooks>,
}

/// HTTP over TLS, for the API server.
pub(crate) struct Webhooks {
    pub(crate) listener: TcpListener,
    pub(crate) router: axum::Router,
    /// Done when serving shall end.
    pub(crate) stop: Pin<Box<dyn Future<Output = ()> + Send>>,
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
        let tls = start(
            &self.settings,
            self.settings.origin(self.client, &self.namespace)?,
            &self.authority,
            self.served,
            &trust_domain,
            self.metrics.clone(),
            hosts,
        )
        .await?;
        let accounts = self.settings.node_accounts.clone();
        let impersonation = Impersonation { accounts, nodes: Arc::clone(&self.state) as _ };
        let issuer = Arc::new(LocalIssuer::new(self.authority, self.settings.lifetimes));
        let certificates = self.settings.sign.then(|| {
            Certificates::with_impersonation(Arc::clone(&self.gate), issuer, self.metrics, impersonation)
        });
        let incoming = accept_tls(listener, tls.grpc()?).context("connections cannot be accepted")?;
        let ads = if self.settings.authenticate { self.ads.behind(self.gate) } else { self.ads };
        let streams = server::serve_secure(incoming, ads, certificates, stop);
        let Some(webhooks) = self.webhooks else { return Ok(streams.await?) };
        let incoming =
            accept_tls(webhooks.listener, tls.https()?).context("connections cannot be accepted")?;
        let calls = server::serve_https(incoming, webhooks.router, webhooks.stop);
        tokio::try_join!(streams, calls)?;
        Ok(())
    }
}

/// Finds the authority and serves a certificate of it.
async fn start(
    settings: &Settings,
    origin: Origin,
    authority: &AuthorityHolder,
    served: watch::Receiver<Option<Arc<Authority>>>,
    trust_domain: &str,
    metrics: CertificateMetrics,
    hosts: Vec<String>,
) -> Result<Arc<Tls>> {
    let tls = Arc::new(Tls::new(MinVersion::default()));
    let material = origin.first(settings, trust_domain).await?;
    let at = moment().context("there is no randomness")?;
    let first = Authority::new(&material, at.now).context("the CA material cannot be used")?;
    metrics.root_runs_out(first.roots_expire(), at.now);
    authority.replace(first);
    let upkeep = Upkeep {
        origin,
        material,
        holder: authority.clone(),
        metrics,
        takes_new_roots: settings.takes_new_roots,
        root_lifetime: settings.root_lifetime,
        rotation: settings.rotation,
    };
    tokio::spawn(upkeep.run());
    let serving = ServingCertificate { hosts, lifetime: settings.serving_lifetime };
    tokio::spawn(keep_trust(authority.watch(), Arc::clone(&tls)));
    tokio::spawn(keep_serving_certificate(serving, served, Arc::clone(&tls)));
    Ok(tls)
}

/// Who may pass the ports where credentials are asked for.
pub(crate) fn gate(
    settings: &Settings,
    trust: Arc<dyn Trust>,
    client: Option<Client>,
    cluster_id: &str,
) -> Result<Arc<Gate>> {
    let mut authenticators: Vec<Box<dyn Authenticator>> = vec![Box::new(CertificateAuthenticator)];
    if let Some((rule, keys)) = &settings.token_rule {
        let keys = KeySet::parse(keys).context("the keys of JWT_RULE are not a JSON Web Key Set")?;
        if keys.is_empty() {
            bail!("there is no key in JWT_RULE that could be used");
        }
        let authenticator = TokenAuthenticator::new(rule.clone(), Arc::new(keys), Arc::clone(&trust));
        authenticators.push(Box::new(authenticator));
    }
    let rights = match &client {
        Some(client) => SecretRights::new(Arc::new(kubernetes::Rights { client: client.clone() })),
        None => SecretRights::default(),
    };
    if let Some(client) = client {
        let (audiences, cluster_id) = (settings.audiences.clone(), cluster_id.to_owned());
        let reviewer = Arc::new(kubernetes::Reviewer { client, audiences, cluster_id });
        authenticators.push(Box::new(KubernetesAuthenticator::new(reviewer, Arc::clone(&trust))));
    }
    if !settings.gateway_networks.is_empty() {
        let gateways = ForwardedAuthenticator::new(&settings.gateway_networks, Arc::clone(&trust));
        authenticators.push(Box::new(gateways.context("TRUSTED_GATEWAY_CIDR")?));
    }
    let options = GateOptions { check_nodes: settings.check_nodes };
    Ok(Arc::new(Gate::new(authenticators, trust, options).with_secrets(rights)))
}

impl Settings {
    fn origin(&self, client: Option<Client>, namespace: &str) -> Result<Origin> {
        if plugged_in(&self.root_ca_dir)?.is_some() {
            tracing::info!(scope = "ca", "certificates are signed by {}", self.root_ca_dir.display());
            return Ok(Origin::PluggedIn(self.root_ca_dir.clone()));
        }
        Ok(match (&self.root_folder, client) {
            (Some(folder), _) => Origin::Folder(folder.clone()),
            (None, Some(client)) => {
                let (namespace, in_cacerts) = (namespace.to_owned(), self.root_in_cacerts);
                Origin::Secret(RootSecret { client, namespace, in_cacerts })
            }
            (None, None) => {
                tracing::warn!(scope = "ca", "the root is kept nowhere; set --caRootFolder to keep it");
                Origin::Memory
            }
        })
    }

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

/// What operators plugged in. A root of our own that is mounted there is none of theirs.
fn plugged_in(folder: &Path) -> Result<Option<Material>> {
    let files = file_io::read_flat(folder).with_context(|| format!("{} cannot be read", folder.display()))?;
    if files.contains_key(kubernetes::GENERATED) {
        return Ok(None);
    }
    Material::from_files(&files)
        .with_context(|| format!("the CA material in {} is not complete", folder.display()))
}
