//! Policies of the action CUSTOM (security 4.8): for each provider an RBAC filter that finds out what it is asked
//! about, and the filter that asks it. Where a provider cannot be asked, what it should be asked about is refused.

mod provider;

use std::collections::BTreeMap;
use std::sync::Arc;

use config::Object;
use model::Issue;
use proto::envoy;
use proto::istio::security::AuthorizationPolicy;
use proto::istio::security::authorization_policy::ActionDetail;

use crate::hcm::Slot;
use crate::policy_filters::PolicyFilters;
use crate::rbac::{self, HttpRbac, NetworkRbac, Purpose, RbacFacts};
use crate::{Context, Input, Rendered, Sealed};

const HTTP_FILTER: &str = "envoy.filters.http.ext_authz";
const NETWORK_FILTER: &str = "envoy.filters.network.ext_authz";

/// The filter that asks about requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct HttpExtAuthz(Sealed<envoy::ext_authz::ExtAuthz>);

impl Input for HttpExtAuthz {
    type Output = envoy::ext_authz::ExtAuthz;
    const TAG: &'static str = "HttpExtAuthz";

    fn render(&self) -> Rendered<Self::Output> {
        (*self.0).clone().into()
    }
}

/// The filter that asks about connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct NetworkExtAuthz(Sealed<envoy::network_ext_authz::ExtAuthz>);

impl Input for NetworkExtAuthz {
    type Output = envoy::network_ext_authz::ExtAuthz;
    const TAG: &'static str = "NetworkExtAuthz";

    fn render(&self) -> Rendered<Self::Output> {
        (*self.0).clone().into()
    }
}

/// Adds the filters for policies of the action CUSTOM.
pub(crate) fn add(
    ctx: &Context<'_>,
    policies: &[Arc<Object<AuthorizationPolicy>>],
    filters: &mut PolicyFilters,
) {
    let mut by_provider: BTreeMap<&str, Vec<Arc<Object<AuthorizationPolicy>>>> = BTreeMap::new();
    for policy in policies {
        by_provider.entry(provider_name(policy)).or_default().push(Arc::clone(policy));
    }
    // The filters of a provider come right after the one that finds out whether it is asked; names are in order, so
    // that of two, of which one is the beginning of the other, the shorter one comes first and sees no id of the other.
    let is_alone = by_provider.len() <= 1 || ctx.settings().features.multiple_custom_providers;
    let trust_domains = rbac::trust_domains(ctx.settings());
    for (name, policies) in by_provider {
        let found = if is_alone {
            provider::resolve(ctx, name)
        } else {
            Err("a workload can ask only one provider, unless PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS is true"
                .to_owned())
        };
        let slot = Slot::CustomAuthorization;
        match found {
            Ok(provider) => {
                let purpose = Purpose::Custom(name.to_owned());
                let facts = RbacFacts { purpose, policies, trust_domains: Arc::clone(&trust_domains) };
                filters.add_http(ctx, slot, rbac::HTTP_FILTER, &HttpRbac(facts.clone()));
                filters.add_http(ctx, slot, HTTP_FILTER, &HttpExtAuthz(Sealed::new(provider.http)));
                if let Some(tcp) = provider.tcp {
                    filters.add_tcp(ctx, slot, rbac::NETWORK_FILTER, &NetworkRbac(facts));
                    filters.add_tcp(ctx, slot, NETWORK_FILTER, &NetworkExtAuthz(Sealed::new(tcp)));
                }
            }
            Err(reason) => {
                filters.issues.extend(policies.iter().map(|policy| Issue {
                    object: format!("AuthorizationPolicy {}/{}", policy.meta.namespace, policy.meta.name),
                    path: "spec.provider".to_owned(),
                    message: format!("provider {name} cannot be asked, so what matches is refused: {reason}"),
                }));
                let purpose = Purpose::RefusedCustom(name.to_owned());
                let trust_domains = Arc::clone(&trust_domains);
                filters.add_rbac(ctx, slot, RbacFacts { purpose, policies, trust_domains });
            }
        }
    }
}

fn provider_name(policy: &Object<AuthorizationPolicy>) -> &str {
    match &policy.spec.action_detail {
        Some(ActionDetail::Provider(provider)) => &provider.name,
        None => "",
    }
}
