//! RequestAuthentications to the filter that verifies tokens (security 3). The rules of all of them count, by issuer;
//! a request may come without a token, and with a token of any of the issuers.

use std::collections::BTreeSet;
use std::sync::Arc;

use config::Object;
use mesh::{KeySets, KeySource};
use proto::envoy;
use proto::envoy::google::Empty;
use proto::envoy::jwt_authn::jwt_provider::{JwksSourceSpecifier, NormalizePayload};
use proto::envoy::jwt_authn::jwt_requirement::RequiresType;
use proto::envoy::jwt_authn::{
    JwtAuthentication, JwtClaimToHeader, JwtHeader, JwtProvider, JwtRequirement, JwtRequirementAndList,
    JwtRequirementOrList, RequirementRule, requirement_rule::RequirementType,
};
use proto::istio::security::{JwtRule, RequestAuthentication};

use crate::rbac::is_header_name;
use crate::{Context, Input, Rendered};

/// The name of the filter.
pub(crate) const NAME: &str = "envoy.filters.http.jwt_authn";

/// Stands for keys that are not known, or that make no sense: a public key of which no private half exists, here or
/// anywhere, so that no token is good until the issuer's own keys are there (CVE-2026-31837). It is the one that istiod
/// sends since 1.29.1, a constant: replicas agree, a restart pushes nothing, and an upgrade from istiod moves no proxy.
const NO_KEYS: &str = concat!(
    "{\n  \"keys\": [\n    {\n      \"kty\": \"RSA\",\n      \"e\": \"AQAB\",\n      \"n\": \"",
    "0xObjM0UvS_oaazjpEYlAbwctEJ4L8pH3OuTb7qth7gUwqet-EzQB4dgFdvSdMgrLnSncQGRjpEYz3F3viIbH-3EN3TxSlPNviHx",
    "eOdyiBVfumN8dMxbLvVJUpfNOnvmMxJcl-8NNjAwcOjk4otSALaYgYYyOPyvKtgVdrQr-FoubWX4yrjxW-MJ2-7OBeepUUNOsVwG",
    "V23YX03sVkkyvY3otRflkBcY3_HKpBxJl9wk2GyOShN4_PNUF9-vwfnvOXMbCDX-w4PTef4geeb_GiT40YCKHTKMSPVanGRn5GEx",
    "IWmki-mmqh94-mPTJyBR74ShspL3BxPZitDL574T1w\"\n    }\n  ]\n}"
);

/// What the filter is made of.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct RequestAuthn {
    /// In the order in which they were found.
    policies: Vec<Arc<Object<RequestAuthentication>>>,
    /// What was fetched for rules that do not hold their keys.
    fetched: KeySets,
    /// Whether claims may lead to another route: they do on gateways.
    clear_route_cache: bool,
}

/// The filter of a class, if some rule is for it.
pub(crate) fn filter(ctx: &Context<'_>) -> Option<RequestAuthn> {
    let class = ctx.class();
    let policies = ctx.reader.request_authentications(&class.namespace, &class.labels);
    let has_rules = policies.iter().any(|policy| !policy.spec.jwt_rules.is_empty());
    let rules = policies.iter().flat_map(|policy| &policy.spec.jwt_rules);
    let fetched = rules
        .filter_map(KeySource::of)
        .filter_map(|source| ctx.reader.key_set(&source).map(|keys| (source, keys)))
        .collect();
    has_rules.then(|| RequestAuthn { policies, fetched, clear_route_cache: class.is_router() })
}

impl Input for RequestAuthn {
    type Output = JwtAuthentication;
    const TAG: &'static str = "RequestAuthn";

    fn render(&self) -> Rendered<JwtAuthentication> {
        let mut rules: Vec<&JwtRule> =
            self.policies.iter().flat_map(|policy| &policy.spec.jwt_rules).collect();
        rules.sort_by(|a, b| a.issuer.cmp(&b.issuer));
        let names: Vec<String> = (0..rules.len()).map(|index| format!("origins-{index}")).collect();
        let providers = rules.iter().map(|rule| provider(rule, &self.fetched, self.clear_route_cache));
        JwtAuthentication {
            providers: names.iter().cloned().zip(providers).collect(),
            rules: vec![RequirementRule {
                r#match: Some(envoy::route::RouteMatch {
                    path_specifier: Some(envoy::route::route_match::PathSpecifier::Prefix("/".to_owned())),
                    ..Default::default()
                }),
                requirement_type: Some(RequirementType::Requires(requirement(&names))),
            }],
            bypass_cors_preflight: true,
            ..Default::default()
        }
        .into()
    }
}

fn provider(rule: &JwtRule, fetched: &KeySets, clear_route_cache: bool) -> JwtProvider {
    let given = |list: &[String]| list.iter().filter(|text| !text.is_empty()).cloned().collect();
    let mut space_delimited = BTreeSet::from(["permission", "scope"]);
    space_delimited.extend(rule.space_delimited_claims.iter().map(String::as_str).filter(|c| !c.is_empty()));
    JwtProvider {
        issuer: rule.issuer.clone(),
        audiences: rule.audiences.clone(),
        forward: rule.forward_original_token,
        // Envoy refuses the whole listener for a name that is no header's.
        from_headers: rule
            .from_headers
            .iter()
            .filter(|from| is_header_name(&from.name))
            .map(|from| JwtHeader { name: from.name.clone(), value_prefix: from.prefix.clone() })
            .collect(),
        from_params: given(&rule.from_params),
        from_cookies: given(&rule.from_cookies),
        forward_payload_header: match rule.output_payload_to_header.as_str() {
            header if is_header_name(header) => header.to_owned(),
            _ => String::new(),
        },
        claim_to_headers: rule
            .output_claim_to_headers
            .iter()
            .filter(|to| is_header_name(&to.header) && !to.claim.is_empty())
            .map(|to| JwtClaimToHeader {
                header_name: to.header.clone(),
                claim_name: to.claim.clone(),
                ..Default::default()
            })
            .collect(),
        payload_in_metadata: "payload".to_owned(),
        normalize_payload_in_metadata: Some(NormalizePayload {
            space_delimited_claims: space_delimited.into_iter().map(str::to_owned).collect(),
        }),
        clear_route_cache,
        jwks_source_specifier: Some(JwksSourceSpecifier::LocalJwks(envoy::core::DataSource {
            specifier: Some(envoy::core::data_source::Specifier::InlineString(
                keys(rule, fetched).to_owned(),
            )),
            ..Default::default()
        })),
        ..Default::default()
    }
}

/// The keys that tokens are verified with; without a single one Envoy would refuse every listener that holds the rule,
/// so then no token is good.
fn keys<'a>(rule: &'a JwtRule, fetched: &'a KeySets) -> &'a str {
    let of_source = KeySource::of(rule).and_then(|source| fetched.get(&source));
    let text = of_source.map_or(rule.jwks.as_str(), |keys| keys);
    let set = serde_json::from_str::<serde_json::Value>(text).unwrap_or_default();
    let has_key = set["keys"].as_array().is_some_and(|keys| keys.iter().any(is_key));
    if has_key { text } else { NO_KEYS }
}

/// Whether a key has what its type needs.
fn is_key(key: &serde_json::Value) -> bool {
    let has = |member: &str| key[member].as_str().is_some_and(|text| !text.is_empty());
    match key["kty"].as_str() {
        Some("RSA") => has("n") && has("e"),
        Some("EC") => has("x") && has("y"),
        Some("OKP") => has("x"),
        Some("oct") => has("k"),
        _ => false,
    }
}

/// No token, or a good one, of which several issuers may have issued.
fn requirement(providers: &[String]) -> JwtRequirement {
    let optional = |name: &String| any(vec![of(name), missing()]);
    let own = |name: &String| of(name);
    match providers {
        [only] => optional(only),
        several => {
            let all = JwtRequirementAndList { requirements: several.iter().map(optional).collect() };
            let all = JwtRequirement { requires_type: Some(RequiresType::RequiresAll(all)) };
            any(several.iter().map(own).chain([all]).collect())
        }
    }
}

fn of(provider: &str) -> JwtRequirement {
    JwtRequirement { requires_type: Some(RequiresType::ProviderName(provider.to_owned())) }
}

fn missing() -> JwtRequirement {
    JwtRequirement { requires_type: Some(RequiresType::AllowMissing(Empty::default())) }
}

fn any(requirements: Vec<JwtRequirement>) -> JwtRequirement {
    let list = JwtRequirementOrList { requirements };
    JwtRequirement { requires_type: Some(RequiresType::RequiresAny(list)) }
}
