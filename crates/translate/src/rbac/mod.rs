//! AuthorizationPolicies to RBAC filters of connections and of requests (security 4): one filter for each action that
//! some policy has, or for each provider that some policy asks.
//!
//! Reading order: `rule` (one rule), `field` and `text` (its parts), `trust_domain`.

mod field;
mod rule;
mod text;
mod trust_domain;

use std::sync::Arc;

use config::Object;
use mesh::MeshSettings;
use model::Issue;
use proto::envoy;
use proto::envoy::rbac::Rbac;
use proto::envoy::rbac::rbac::Action;
use proto::istio::security::AuthorizationPolicy;

pub(crate) use text::is_header_name;

use crate::{Input, Rendered};

/// The filter for requests.
pub(crate) const HTTP_FILTER: &str = "envoy.filters.http.rbac";
/// The filter for connections.
pub(crate) const NETWORK_FILTER: &str = "envoy.filters.network.rbac";
/// The start of the names of policies that a provider is asked for, before the provider's name.
pub(crate) const CUSTOM_PREFIX: &str = "istio-ext-authz-";

const DRY_RUN: &str = "istio.io/dry-run";

/// What the policies of a filter are for.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Purpose {
    /// Logging.
    Audit,
    /// Refusing.
    Deny,
    /// Letting through, and nothing else.
    Allow,
    /// Finding out what the provider of that name is asked about.
    Custom(String),
    /// Refusing what the provider of that name should be asked about and cannot be.
    RefusedCustom(String),
}

/// What a filter is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RbacFacts {
    /// What for.
    pub(crate) purpose: Purpose,
    /// Policies of one action.
    pub(crate) policies: Vec<Arc<Object<AuthorizationPolicy>>>,
    /// The trust domains of the mesh, its own first.
    pub(crate) trust_domains: Arc<[String]>,
}

/// A filter for requests.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct HttpRbac(pub(crate) RbacFacts);

/// A filter for connections.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct NetworkRbac(pub(crate) RbacFacts);

/// The trust domains that stand for each other.
pub(crate) fn trust_domains(settings: &MeshSettings) -> Arc<[String]> {
    let mut domains: Vec<String> = Vec::new();
    let own = settings.trust_domain().to_owned();
    for domain in std::iter::once(&own).chain(&settings.config.trust_domain_aliases) {
        if !domain.is_empty() && !domains.contains(domain) {
            domains.push(domain.clone());
        }
    }
    domains.into()
}

impl Input for HttpRbac {
    type Output = envoy::http_rbac::Rbac;
    const TAG: &'static str = "HttpRbac";

    fn render(&self) -> Rendered<Self::Output> {
        let rules = self.0.rules(false);
        let message = envoy::http_rbac::Rbac {
            rules: rules.enforced,
            shadow_rules: rules.shadow,
            shadow_rules_stat_prefix: rules.stat_prefix.to_owned(),
            ..Default::default()
        };
        Rendered { issues: rules.issues, ..message.into() }
    }
}

impl Input for NetworkRbac {
    type Output = envoy::network_rbac::Rbac;
    const TAG: &'static str = "NetworkRbac";

    fn render(&self) -> Rendered<Self::Output> {
        // A rule for requests alone is no mistake of the user's, so there are no issues here.
        let rules = self.0.rules(true);
        envoy::network_rbac::Rbac {
            rules: rules.enforced,
            shadow_rules: rules.shadow,
            shadow_rules_stat_prefix: rules.stat_prefix.to_owned(),
            stat_prefix: "tcp.".to_owned(),
            ..Default::default()
        }
        .into()
    }
}

/// The parts of a filter.
struct Rules {
    enforced: Option<Rbac>,
    shadow: Option<Rbac>,
    stat_prefix: &'static str,
    issues: Vec<Issue>,
}

impl RbacFacts {
    fn rules(&self, tcp: bool) -> Rules {
        let mut issues = Vec::new();
        let (dry, real): (Vec<_>, Vec<_>) = self.policies.iter().partition(|policy| is_dry_run(policy));
        let real = self.rbac(&real, tcp, &mut issues);
        let dry = self.rbac(&dry, tcp, &mut issues);
        let (enforced, shadow, stat_prefix) = match &self.purpose {
            // What the provider is asked about is found out without enforcing it.
            Purpose::Custom(_) => (dry, real, "istio_ext_authz_"),
            Purpose::RefusedCustom(_) => (real, None, ""),
            _ => {
                let stat_prefix = match dry.as_ref().map(Rbac::action) {
                    None | Some(Action::Allow) => "istio_dry_run_allow_",
                    Some(Action::Deny) => "istio_dry_run_deny_",
                    Some(Action::Log) => "",
                };
                (real, dry, stat_prefix)
            }
        };
        Rules { enforced, shadow, stat_prefix, issues }
    }

    /// The rules of some policies; nothing without a policy.
    fn rbac(
        &self,
        policies: &[&Arc<Object<AuthorizationPolicy>>],
        tcp: bool,
        issues: &mut Vec<Issue>,
    ) -> Option<Rbac> {
        if policies.is_empty() {
            return None;
        }
        let action = match self.purpose {
            Purpose::Audit => Action::Log,
            Purpose::Allow => Action::Allow,
            Purpose::Deny | Purpose::Custom(_) | Purpose::RefusedCustom(_) => Action::Deny,
        };
        let mut rbac = Rbac { action: action as i32, ..Default::default() };
        for policy in policies {
            let setting = rule::Setting {
                tcp,
                allows: self.purpose == Purpose::Allow,
                trust_domains: &self.trust_domains,
                namespace: &policy.meta.namespace,
            };
            if policy.spec.rules.is_empty() {
                rbac.policies.insert(self.key(policy, 0), rule::never());
            }
            for (index, of) in policy.spec.rules.iter().enumerate() {
                match rule::policy(of, setting) {
                    Ok(made) => {
                        rbac.policies.insert(self.key(policy, index), made);
                    }
                    Err(rule::Unfit) => issues.push(Issue {
                        object: format!("AuthorizationPolicy {}/{}", policy.meta.namespace, policy.meta.name),
                        path: format!("spec.rules[{index}]"),
                        message: "the rule asks for what cannot be checked, so it allows nothing".to_owned(),
                    }),
                }
            }
        }
        Some(rbac)
    }

    /// The name of a rule's policy.
    fn key(&self, policy: &Object<AuthorizationPolicy>, index: usize) -> String {
        let meta = &policy.meta;
        let key = format!("ns[{}]-policy[{}]-rule[{index}]", meta.namespace, meta.name);
        match &self.purpose {
            Purpose::Audit | Purpose::Deny | Purpose::Allow => key,
            Purpose::Custom(provider) => format!("{CUSTOM_PREFIX}{provider}-{key}"),
            Purpose::RefusedCustom(provider) => {
                format!("{CUSTOM_PREFIX}{provider}-{key}-deny-due-to-bad-CUSTOM-action")
            }
        }
    }
}

/// A text that some filter left in its dynamic metadata.
pub(crate) fn metadata_text(
    filter: &str,
    key: &str,
    text: envoy::matcher::StringMatcher,
) -> envoy::matcher::MetadataMatcher {
    text::metadata(filter, &[key], text::value(text))
}

/// Whether a policy is only tried out.
fn is_dry_run(policy: &Object<AuthorizationPolicy>) -> bool {
    matches!(policy.meta.annotation(DRY_RUN), Some("1" | "t" | "T" | "true" | "TRUE" | "True"))
}
