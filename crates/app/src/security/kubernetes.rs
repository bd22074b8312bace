//! The part of the API server: it keeps our root in a Secret, tells whose token it is, and holds the ConfigMap by
//! which the workloads of each namespace learn the roots (platform specification, 2.8 and 5.2).

use std::sync::Arc;
use std::time::Duration;

use ca::{Identity, Material, ServiceAccount};
use config::ConfigStore;
use config::k8s::Pod;
use kube_io::{
    Client, StoredSecret, keep_config_map, may_list_secrets, read_secret, review_token, write_secret,
};
use server::{AccessReviewer, Answer, CallerPod, Nodes, Refusal, ReviewedToken, Token, TokenReviewer};
use tokio::sync::watch;

use super::Bundle;
use crate::remotes::Known;
use crate::state::State;

/// Secrets of a root of our own: the usual one, and the one that istiod takes for a new root under
/// `USE_CACERTS_FOR_SELF_SIGNED_CA`, which is where plugged-in material is mounted from.
const ROOT_SECRET: &str = "istio-ca-secret";
const CACERTS_SECRET: &str = "cacerts";
const ROOT_SECRET_TYPE: &str = "istio.io/ca-root";
/// The key by which a Secret `cacerts` says that no operator wrote it.
pub(super) const GENERATED: &str = "istio-generated";
/// The lock of who writes the ConfigMaps.
pub(crate) const LOCK: &str = "istio-namespace-controller-election";
const ROOTS_KEY: &str = "root-cert.pem";
const REVOKED_KEY: &str = "ca-crl.pem";
/// Nobody runs workloads of a mesh there.
const LEFT_OUT: &[&str] = &["kube-public", "kube-node-lease", "local-path-storage"];
/// The pause after a request that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// How long the API server may think about what a service account may do.
const MAX_WAIT: Duration = Duration::from_secs(5);

/// The root in its Secret.
pub(crate) struct RootSecret {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// `USE_CACERTS_FOR_SELF_SIGNED_CA`: a new root goes into the Secret `cacerts`.
    pub(crate) in_cacerts: bool,
}

/// Which Secret was read, and which version of it.
pub(crate) struct ReadSecret {
    name: &'static str,
    stored: StoredSecret,
}

impl RootSecret {
    /// What is kept there, and over which version of it one may write. A Secret `istio-ca-secret` always goes first.
    pub(crate) async fn read(&self) -> anyhow::Result<(Option<Material>, Option<ReadSecret>)> {
        let names = if self.in_cacerts { &[ROOT_SECRET, CACERTS_SECRET][..] } else { &[ROOT_SECRET] };
        for name in names.iter().copied() {
            if let Some(stored) = read_secret(&self.client, &self.namespace, name).await? {
                let material = Material::from_root_secret(&stored.data);
                return Ok((material, Some(ReadSecret { name, stored })));
            }
        }
        Ok((None, None))
    }

    /// Keeps this instead. False if somebody was faster, whose root then counts.
    pub(crate) async fn write(&self, material: &Material, over: Option<&ReadSecret>) -> anyhow::Result<bool> {
        let usual = if self.in_cacerts { CACERTS_SECRET } else { ROOT_SECRET };
        let name = over.map_or(usual, |read| read.name);
        let mut data = material.to_root_secret();
        if name == CACERTS_SECRET {
            if over.is_some_and(|read| !read.stored.data.contains_key(GENERATED)) {
                anyhow::bail!("the Secret {name} is an operator's own and is not written over");
            }
            // Complete, so that it can be mounted as plugged-in material.
            for key in ["cert-chain.pem", "root-cert.pem"] {
                data.insert(key.to_owned(), material.certificate.clone().into_bytes());
            }
            data.insert(GENERATED.to_owned(), Vec::new());
        }
        let over = over.map(|read| &read.stored);
        Ok(write_secret(&self.client, &self.namespace, name, ROOT_SECRET_TYPE, &data, over).await?)
    }
}

/// Asks our own API server, or that of the remote cluster that a caller says it is in.
pub(crate) struct Reviewer {
    pub(crate) client: Client,
    pub(crate) audiences: Vec<String>,
    pub(crate) cluster_id: String,
    pub(crate) clusters: Arc<Known>,
}

impl TokenReviewer for Reviewer {
    fn review<'a>(
        &'a self,
        token: &'a Token,
        cluster: Option<&'a str>,
    ) -> Answer<'a, Result<Option<ReviewedToken>, Refusal>> {
        Box::pin(async move {
            let client = match cluster.filter(|cluster| *cluster != self.cluster_id) {
                None => self.client.clone(),
                Some(other) => self.clusters.client(other).ok_or_else(|| {
                    let other: String = other.chars().take(100).collect();
                    let (own, remote) = (&self.cluster_id, self.clusters.ids().join(", "));
                    let known = if remote.is_empty() { "no other" } else { &remote };
                    Refusal(format!(
                        "the cluster {other:?} is not known here: our own is {own}, and by Secrets {known} is known"
                    ))
                })?,
            };
            let reviewed = review_token(&client, token.reveal(), &self.audiences).await;
            let reviewed =
                reviewed.map_err(|error| Refusal(format!("the API server was asked in vain: {error}")))?;
            Ok(reviewed.map(|reviewed| ReviewedToken {
                user: reviewed.user,
                is_service_account: reviewed.is_service_account,
                pod: (!reviewed.pod_uid.is_empty())
                    .then_some(CallerPod { name: reviewed.pod_name, uid: reviewed.pod_uid }),
            }))
        })
    }
}

impl Nodes for State {
    fn node_of(&self, account: &ServiceAccount, pod: &CallerPod) -> Option<String> {
        let mesh = self.mesh()?;
        let found = mesh.store().pods().get(&account.namespace, &pod.name)?;
        let is_it = *found.meta.uid == *pod.uid && account_of(&found.spec) == account.name;
        (is_it && !found.spec.node_name.is_empty()).then(|| found.spec.node_name.clone())
    }

    fn has_on(&self, node: &str, account: &ServiceAccount) -> bool {
        let Some(mesh) = self.mesh() else { return false };
        let mut pods = mesh.store().pods().in_namespace(&account.namespace);
        pods.any(|pod| pod.spec.node_name == node && account_of(&pod.spec) == account.name)
    }
}

/// As whom a pod runs.
fn account_of(pod: &Pod) -> &str {
    if pod.service_account_name.is_empty() { "default" } else { &pod.service_account_name }
}

/// Asks the API server what service accounts may do.
pub(crate) struct Rights {
    pub(crate) client: Client,
}

impl AccessReviewer for Rights {
    fn may_list_secrets<'a>(&'a self, identity: &'a Identity) -> Answer<'a, Result<bool, Refusal>> {
        Box::pin(async move {
            let asked = may_list_secrets(&self.client, identity.namespace(), identity.service_account());
            match tokio::time::timeout(MAX_WAIT, asked).await {
                Ok(answer) => {
                    answer.map_err(|error| Refusal(format!("the API server was asked in vain: {error}")))
                }
                Err(_) => Err(Refusal("the API server does not answer".to_owned())),
            }
        })
    }
}

/// Names of the ConfigMaps by which workloads learn whom to trust; of revocations where these are told at all.
#[derive(Clone, Debug)]
pub(crate) struct ConfigMaps {
    pub(crate) roots: String,
    pub(crate) revoked: Option<String>,
}

/// Writes the bundle into every namespace that is selected, now and whenever something differs, until dropped.
pub(crate) async fn keep_roots(
    client: Client,
    state: Arc<State>,
    mut bundles: watch::Receiver<Bundle>,
    names: ConfigMaps,
) {
    let mut commits = state.commits();
    loop {
        commits.borrow_and_update();
        let bundle = bundles.borrow_and_update().clone();
        let mut has_failed = false;
        if let Some(mesh) = state.mesh() {
            let selected = mesh.selected_namespaces();
            let roots = (names.roots.as_str(), ROOTS_KEY, &*bundle.roots);
            let revoked = names.revoked.as_ref().map(|name| (name.as_str(), REVOKED_KEY, &*bundle.revoked));
            let all = std::iter::once(roots).chain(revoked).filter(|(.., text)| !text.is_empty());
            for (name, key, text) in all {
                for namespace in without(mesh.store(), &selected, name, key, text) {
                    if let Err(error) = keep_config_map(&client, &namespace, name, key, text).await {
                        tracing::warn!(
                            scope = "ca",
                            "the ConfigMap {namespace}/{name} is not written: {error}"
                        );
                        has_failed = true;
                    }
                }
            }
        }
        let pause =
            async { if has_failed { tokio::time::sleep(PAUSE).await } else { std::future::pending().await } };
        // What was written comes back as a change of the mesh.
        let outcome = tokio::select! {
            changed = commits.changed() => changed,
            changed = bundles.changed() => changed,
            () = pause => Ok(()),
        };
        if outcome.is_err() {
            return;
        }
    }
}

/// The namespaces whose ConfigMap is missing or says something else.
fn without(store: &ConfigStore, selected: &[String], name: &str, key: &str, text: &str) -> Vec<String> {
    let is_right = |namespace: &str| {
        store
            .config_maps()
            .get(namespace, name)
            .is_some_and(|map| map.spec.data.get(key).is_some_and(|stored| stored == text))
    };
    let needs = |namespace: &&String| !LEFT_OUT.contains(&namespace.as_str()) && !is_right(namespace);
    selected.iter().filter(needs).cloned().collect()
}
