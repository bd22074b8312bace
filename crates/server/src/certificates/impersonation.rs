//! Who may ask for certificates of others: the proxy of a node, for the workloads of that node (platform
//! specification, 5.1). Whoever calls must have a token that is bound to its pod, so that a token that was carried off
//! to another node is of no use there.

use std::collections::BTreeSet;
use std::sync::Arc;

use ca::{Identity, ServiceAccount};

use crate::caller::{Caller, CallerPod, Refusal};

/// Who knows which pods run where.
pub trait Nodes: Send + Sync + 'static {
    /// The node of the pod with this name and uid in the namespace of this service account, if it runs as that.
    fn node_of(&self, account: &ServiceAccount, pod: &CallerPod) -> Option<String>;

    /// Whether a pod that runs as this service account is on that node.
    fn has_on(&self, node: &str, account: &ServiceAccount) -> bool;
}

/// Who may act for others.
#[derive(Clone)]
pub struct Impersonation {
    /// `CA_TRUSTED_NODE_ACCOUNTS`
    pub accounts: BTreeSet<ServiceAccount>,
    /// Where they and the others run.
    pub nodes: Arc<dyn Nodes>,
}

impl Impersonation {
    /// The identity that is asked for, if this caller may have certificates for it.
    pub(super) fn check(&self, caller: &Caller, wanted: &str) -> Result<Identity, Refusal> {
        let refusal = |reason: &str| Refusal(reason.to_owned());
        let own = caller.identity().ok_or_else(|| refusal("the credential names nobody"))?;
        let account = account_of(own);
        if !self.accounts.contains(&account) {
            return Err(refusal(
                "the caller may not act for others; CA_TRUSTED_NODE_ACCOUNTS does not name it",
            ));
        }
        let pod = caller.pod.as_ref().ok_or_else(|| refusal("the token of the caller is bound to no pod"))?;
        let wanted = Identity::parse(wanted).map_err(|error| Refusal(error.to_string()))?;
        if wanted.trust_domain() != own.trust_domain() {
            return Err(refusal("the identity that is asked for is of another trust domain"));
        }
        let node = self.nodes.node_of(&account, pod);
        let node = node.ok_or_else(|| refusal("the pod that the token is bound to does not run here"))?;
        if !self.nodes.has_on(&node, &account_of(&wanted)) {
            return Err(Refusal(format!("no pod of {wanted} runs on the node of the caller")));
        }
        Ok(wanted)
    }
}

fn account_of(identity: &Identity) -> ServiceAccount {
    ServiceAccount { namespace: identity.namespace().to_owned(), name: identity.service_account().to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(namespace: &str, name: &str) -> ServiceAccount {
        ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() }
    }

    fn pod(name: &str, uid: &str) -> CallerPod {
        CallerPod { name: name.to_owned(), uid: uid.to_owned() }
    }

    /// `ztunnel-1` (uid 1) and a pod of `shop/web` on node `a`, a pod of `shop/db` on node `b`.
    struct Two;

    impl Nodes for Two {
        fn node_of(&self, caller: &ServiceAccount, of: &CallerPod) -> Option<String> {
            let is_there = *caller == account("sys", "ztunnel") && *of == pod("ztunnel-1", "1");
            is_there.then(|| "a".to_owned())
        }

        fn has_on(&self, node: &str, wanted: &ServiceAccount) -> bool {
            [("a", account("shop", "web")), ("b", account("shop", "db"))].contains(&(node, wanted.clone()))
        }
    }

    fn ask(uri: &str, by: Option<CallerPod>, wanted: &str) -> Result<String, String> {
        let accounts = [account("sys", "ztunnel")].into();
        let caller = Caller { pod: by, ..Caller::new(Identity::parse(uri).expect("sound"), "test") };
        let outcome = Impersonation { accounts, nodes: Arc::new(Two) }.check(&caller, wanted);
        outcome.map(|identity| identity.to_string()).map_err(|refusal| refusal.0)
    }

    #[test]
    fn the_proxy_of_a_node_acts_for_workloads_of_that_node_alone() {
        let (ztunnel, own) = ("spiffe://td/ns/sys/sa/ztunnel", || Some(pod("ztunnel-1", "1")));
        let (web, db) = ("spiffe://td/ns/shop/sa/web", "spiffe://td/ns/shop/sa/db");
        assert_eq!(ask(ztunnel, own(), web), Ok(web.to_owned()));
        let refused = |uri, by, wanted, reason: &str| {
            let told = ask(uri, by, wanted).expect_err("refused");
            assert!(told.contains(reason), "{told}");
        };
        refused(ztunnel, own(), db, "runs on the node");
        refused("spiffe://td/ns/sys/sa/other", own(), web, "CA_TRUSTED_NODE_ACCOUNTS");
        refused(ztunnel, None, web, "bound to no pod");
        refused(ztunnel, Some(pod("ztunnel-1", "2")), web, "does not run here");
        refused(ztunnel, Some(pod("ztunnel-2", "1")), web, "does not run here");
        for wanted in ["", "web", "spiffe://td/ns/shop/sa/web/", "spiffe://td/ns/shop,x/sa/web"] {
            refused(ztunnel, own(), wanted, "not an identity");
        }
        refused(ztunnel, own(), "spiffe://other/ns/shop/sa/web", "another trust domain");
    }
}
