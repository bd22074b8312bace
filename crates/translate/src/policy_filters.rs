//! The filters of authorization and request authentication that every inbound and gateway chain of a class has, in
//! the order of their places (security 3.1, 4.2). Selected once for a class; each filter is a piece of its own, so
//! classes with the same policies share it.

use std::sync::Arc;

use config::Object;
use model::Issue;
use prost::Name;
use proto::envoy;
use proto::envoy::google::Any;
use proto::istio::security::AuthorizationPolicy;
use proto::istio::security::authorization_policy::Action;

use crate::hcm::Slot;
use crate::rbac::{self, HttpRbac, NetworkRbac, Purpose, RbacFacts};
use crate::{Context, Input, Sealed, ext_authz, jwt};

/// The filters of a class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct PolicyFilters {
    /// For connection managers.
    pub http: Vec<(Slot, Sealed<envoy::hcm::HttpFilter>)>,
    /// For chains that forward connections.
    pub tcp: Vec<(Slot, Sealed<envoy::listener::Filter>)>,
    /// What the user should know of the policies.
    pub issues: Vec<Issue>,
}

impl PolicyFilters {
    /// The filters of the class that is translated for.
    pub fn select(ctx: &Context<'_>) -> Self {
        let class = ctx.class();
        let mut filters = Self::default();
        let policies = ctx.reader.authorization_policies(&class.namespace, &class.labels);
        ext_authz::add(ctx, &of_action(&policies, Action::Custom), &mut filters);
        if let Some(filter) = jwt::filter(ctx) {
            filters.add_http(ctx, Slot::JwtAuthn, jwt::NAME, &filter);
        }
        for (action, purpose) in
            [(Action::Audit, Purpose::Audit), (Action::Deny, Purpose::Deny), (Action::Allow, Purpose::Allow)]
        {
            let policies = of_action(&policies, action);
            if !policies.is_empty() {
                let trust_domains = rbac::trust_domains(ctx.settings());
                filters.add_rbac(ctx, Slot::Rbac, RbacFacts { purpose, policies, trust_domains });
            }
        }
        filters
    }

    /// The network filters of some places.
    pub fn network_filters(&self, slots: &[Slot]) -> impl Iterator<Item = envoy::listener::Filter> {
        self.tcp.iter().filter(|(at, _)| slots.contains(at)).map(|(_, filter)| (**filter).clone())
    }

    /// Adds both filters of some policies.
    pub(crate) fn add_rbac(&mut self, ctx: &Context<'_>, slot: Slot, facts: RbacFacts) {
        self.add_http(ctx, slot, rbac::HTTP_FILTER, &HttpRbac(facts.clone()));
        self.add_tcp(ctx, slot, rbac::NETWORK_FILTER, &NetworkRbac(facts));
    }

    /// Adds a filter of requests.
    pub(crate) fn add_http<I: Input>(&mut self, ctx: &Context<'_>, slot: Slot, name: &str, input: &I) {
        use envoy::hcm::http_filter::ConfigType;
        let filter = envoy::hcm::HttpFilter {
            name: name.to_owned(),
            config_type: Some(ConfigType::TypedConfig(self.config(ctx, input))),
            ..Default::default()
        };
        self.http.push((slot, Sealed::new(filter)));
    }

    /// Adds a filter of connections.
    pub(crate) fn add_tcp<I: Input>(&mut self, ctx: &Context<'_>, slot: Slot, name: &str, input: &I) {
        use envoy::listener::filter::ConfigType;
        let filter = envoy::listener::Filter {
            name: name.to_owned(),
            config_type: Some(ConfigType::TypedConfig(self.config(ctx, input))),
        };
        self.tcp.push((slot, Sealed::new(filter)));
    }

    fn config<I: Input>(&mut self, ctx: &Context<'_>, input: &I) -> Any {
        let piece = ctx.piece(input);
        self.issues.extend(piece.issues.iter().cloned());
        Any { type_url: I::Output::type_url(), value: piece.bytes.whole().into() }
    }
}

fn of_action(
    policies: &[Arc<Object<AuthorizationPolicy>>],
    action: Action,
) -> Vec<Arc<Object<AuthorizationPolicy>>> {
    policies.iter().filter(|policy| policy.spec.action == action as i32).cloned().collect()
}
