//! The certificate authority, the TLS ports and who may pass them: settings as istiod names them, wired together.

pub(crate) mod kubernetes;
mod serving;
mod settings;
mod signing;
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
    ForwardedAuthenticator, Gate, GateOptions, Impersonation, Issuer, KeySource, KubernetesAuthenticator,
    LocalIssuer, SecretRights, ServingCertificate, Tls, TokenAuthenticator, Trust, accept_tls,
    keep_serving_certificate, keep_trust, moment,
};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::jwks::IssuerKeys;
use crate::remotes::Known;
use crate::state::State;

use kubernetes::RootSecret;
use serving::Provider;
pub(crate) use serving::{Bundle, Bundles, roots_of};
use settings::Keys;
pub(crate) use settings::{Flags, Settings};
use signing::ClusterIssuer;
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
    /// The authority that a serving certificate of ours is to be of: the one in force, once callers know its roots.
    pub(crate) served: watch::Receiver<Option<Arc<Authority>>>,
    /// Told of what others have to trust.
    pub(crate) bundles: Bundles,
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
        if self.settings.provider == Provider::Nobody && self.settings.files.is_none() {
            tracing::warn!(scope = "ca", "nothing is served over TLS: PILOT_CERT_PROVIDER is none");
            stop.await;
            return Ok(());
        }
        let ground = Ground {
            settings: &self.settings,
            state: &self.state,
            client: self.client.as_ref(),
            authority: &self.authority,
            served: &self.served,
            bundles: &self.bundles,
            metrics: &self.metrics,
            namespace: &self.namespace,
        };
        let tls = ground.start(hosts).await?;
        let accounts = self.settings.node_accounts.clone();
        let impersonation = Impersonation { accounts, nodes: Arc::clone(&self.state) as _ };
        let issuer: Arc<dyn Issuer> = match (&self.settings.signers, &self.client) {
            (Some(signers), Some(client)) => {
                let (client, state) = (client.clone(), Arc::clone(&self.state));
                Arc::new(ClusterIssuer::new(client, state, signers.clone(), self.settings.lifetimes))
            }
            _ => Arc::new(LocalIssuer::new(self.authority, self.settings.lifetimes)),
        };
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

/// What a start stands on.
struct Ground<'a> {
    settings: &'a Settings,
    state: &'a Arc<State>,
    client: Option<&'a Client>,
    authority: &'a AuthorityHolder,
    served: &'a watch::Receiver<Option<Arc<Authority>>>,
    bundles: &'a Bundles,
    metrics: &'a CertificateMetrics,
    namespace: &'a str,
}

impl Ground<'_> {
    /// Finds the authority, unless the cluster signs everything, and serves a certificate for these hosts.
    async fn start(&self, hosts: Vec<String>) -> Result<Arc<Tls>> {
        let settings = self.settings;
        let tls = Arc::new(Tls::new(settings.tls.clone()));
        let lifetime = settings.serving_lifetime;
        let signer = match (&settings.files, &settings.provider) {
            (None, Provider::Signer(signer)) => Some(signer.clone()),
            _ => None,
        };
        if signer.is_none() || settings.signers.is_none() {
            self.start_authority().await?;
            let serves_other = settings.files.is_some() || signer.is_some();
            let follow =
                serving::follow_authority(self.authority.watch(), self.bundles.clone(), serves_other);
            tokio::spawn(follow);
        }
        tokio::spawn(keep_trust(self.authority.watch(), Arc::clone(&tls)));
        if settings.signers.is_some() {
            tokio::spawn(serving::follow_signers(Arc::clone(self.state), Arc::clone(&tls)));
        }
        if let Some(files) = &settings.files {
            let served = files.start(&tls, self.bundles)?;
            tracing::info!(scope = "ca", "our own ports serve {}", files.certificate.display());
            let (bundles, metrics) = (self.bundles.clone(), self.metrics.clone());
            tokio::spawn(files.clone().keep(served, Arc::clone(&tls), bundles, metrics));
        } else if let Some(signer) = signer {
            let client = self.client.cloned().context("a signer of the cluster needs an API server")?;
            let signed = serving::Signed { client, state: Arc::clone(self.state), signer, hosts, lifetime };
            tokio::spawn(signed.keep(Arc::clone(&tls), self.bundles.clone()));
        } else {
            let serving = ServingCertificate { hosts, lifetime };
            tokio::spawn(keep_serving_certificate(serving, self.served.clone(), Arc::clone(&tls)));
        }
        Ok(tls)
    }

    async fn start_authority(&self) -> Result<()> {
        let (settings, authority, metrics) = (self.settings, self.authority, self.metrics.clone());
        let origin = settings.origin(self.client.cloned(), self.namespace)?;
        let material = origin.first(settings, &self.state.trust_domain()).await?;
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
        Ok(())
    }
}

/// Who may pass the ports where credentials are asked for. `client` is of our own cluster, which has that ID; tokens
/// of remote clusters are for those to judge.
pub(crate) fn gate(
    settings: &Settings,
    trust: Arc<dyn Trust>,
    client: Option<Client>,
    cluster_id: &str,
    clusters: Arc<Known>,
    fetch: impl FnOnce(&str, &str) -> Result<IssuerKeys>,
) -> Result<Arc<Gate>> {
    let mut authenticators: Vec<Box<dyn Authenticator>> = vec![Box::new(CertificateAuthenticator)];
    if let Some((rule, keys)) = &settings.token_rule {
        let keys: Arc<dyn KeySource> = match keys {
            Keys::Given(keys) => {
                let keys = KeySet::parse(keys).context("the keys of JWT_RULE are not a JSON Web Key Set")?;
                if keys.is_empty() {
                    bail!("there is no key in JWT_RULE that could be used");
                }
                Arc::new(keys)
            }
            Keys::Fetched(uri) => Arc::new(fetch(&rule.issuer, uri)?),
        };
        let authenticator = TokenAuthenticator::new(rule.clone(), keys, Arc::clone(&trust));
        authenticators.push(Box::new(authenticator));
    }
    let rights = match &client {
        Some(client) => SecretRights::new(Arc::new(kubernetes::Rights { client: client.clone() })),
        None => SecretRights::default(),
    };
    if let Some(client) = client {
        let (audiences, cluster_id) = (settings.audiences.clone(), cluster_id.to_owned());
        let reviewer = Arc::new(kubernetes::Reviewer { client, audiences, cluster_id, clusters });
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

    /// Whether our own authority certifies our own ports.
    pub(crate) fn serves_own(&self) -> bool {
        self.files.is_none() && self.provider == Provider::Own
    }

    /// Checks what operators plugged in, so that a start with broken material fails at once.
    pub(crate) fn check(&self, has_api_server: bool) -> Result<()> {
        if !has_api_server && (self.signers.is_some() || matches!(self.provider, Provider::Signer(_))) {
            bail!("EXTERNAL_CA and PILOT_CERT_PROVIDER=k8s.io/… need an API server, and there is none");
        }
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
