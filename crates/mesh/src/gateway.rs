//! Gateways: which of them a router serves (spec 4.3). A user's Gateway selects by labels, in whatever namespace it is
//! unless `PILOT_SCOPE_GATEWAY_TO_NAMESPACE` binds it to its own. One made of the Gateway API names Services of its
//! namespace instead, and holds for the workloads behind them. The oldest comes first.

use std::sync::Arc;

use config::{AnyObject, Kind, Object};
use model::{Labels, Namespace};
use proto::istio::networking::Gateway;

use crate::reader::Question;
use crate::{OwnService, Reader};

/// The hosts of the Services that a made Gateway is behind, several with commas.
const GATEWAY_SERVICE: &str = "internal.istio.io/gateway-service";
/// The namespace of these Services, where it is another than the Gateway's.
const PARENT_NAMESPACE: &str = "internal.istio.io/parent-namespace";
/// The service account of these proxies.
const SERVICE_ACCOUNT: &str = "internal.istio.io/service-account-name";
/// Says that one is made of the Gateway API, not of an Ingress.
const SEMANTICS: &str = "internal.istio.io/gateway-semantics";

/// A Gateway that a router serves.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BoundGateway {
    /// The Gateway.
    pub gateway: Arc<Object<Gateway>>,
    /// For a Gateway bound to Services those of the router's own that are meant; `None` for one that selects by
    /// labels. The ports of the former are ports of these Services and nothing else.
    pub services: Option<Vec<OwnService>>,
    /// For one made of the Gateway API: what that found out. No object of a user's has it, whatever it is annotated
    /// with.
    pub made: Option<MadeGateway>,
}

/// What is known of a Gateway that was made of the Gateway API. Its certificates are those of its own namespace and
/// those that a ReferenceGrant lends it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MadeGateway {
    /// The namespace of the proxies.
    pub namespace: Namespace,
    /// Their service account; empty for proxies that somebody else has made.
    pub account: String,
}

impl Reader<'_> {
    /// The Gateways for a router with these labels and services in this namespace, by age. One without a selector is
    /// for all.
    pub fn gateways(&self, namespace: &Namespace, labels: &Labels, own: &[OwnService]) -> Vec<BoundGateway> {
        let scoped = self.settings().features.scope_gateway_to_namespace;
        self.note(&Question::Kind(Kind::Gateway));
        let mut found: Vec<_> = self
            .store()
            .gateways()
            .iter()
            .filter(|gateway| !scoped || gateway.meta.namespace == *namespace)
            .filter_map(|gateway| bound(gateway, labels, own))
            .map(|bound| BoundGateway { made: self.made(&bound.gateway), ..bound })
            .collect();
        found.sort_by(|a, b| {
            let (a, b) = (&a.gateway.meta, &b.gateway.meta);
            (a.creation, &a.name, &a.namespace).cmp(&(b.creation, &b.name, &b.namespace))
        });
        found
    }

    fn made(&self, gateway: &Arc<Object<Gateway>>) -> Option<MadeGateway> {
        let meta = &gateway.meta;
        let is_made = matches!(self.mesh().derived().get(&gateway.key()),
            Some(AnyObject::Gateway(made)) if made.fingerprint == gateway.fingerprint);
        let annotation = |name: &str| meta.annotation(name).filter(|text| !text.is_empty());
        (is_made && annotation(SEMANTICS) == Some("gateway")).then(|| MadeGateway {
            namespace: annotation(PARENT_NAMESPACE).unwrap_or(&meta.namespace).into(),
            account: annotation(SERVICE_ACCOUNT).unwrap_or_default().to_owned(),
        })
    }
}

fn bound(gateway: &Arc<Object<Gateway>>, labels: &Labels, own: &[OwnService]) -> Option<BoundGateway> {
    let meta = &gateway.meta;
    let services = match meta.annotation(GATEWAY_SERVICE) {
        Some(hosts) => {
            let parent = meta.annotation(PARENT_NAMESPACE).filter(|name| !name.is_empty());
            let namespace = parent.unwrap_or(&meta.namespace);
            let is_meant = |own: &&OwnService| {
                *own.service.namespace == *namespace
                    && hosts.split(',').any(|host| *own.service.host == *host)
            };
            let meant: Vec<OwnService> = own.iter().filter(is_meant).cloned().collect();
            if meant.is_empty() {
                return None;
            }
            Some(meant)
        }
        None if labels.selected_by(&gateway.spec.selector) => None,
        None => return None,
    };
    Some(BoundGateway { gateway: Arc::clone(gateway), services, made: None })
}
