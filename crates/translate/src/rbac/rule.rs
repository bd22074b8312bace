//! One rule of an AuthorizationPolicy to one policy of Envoy (security 4.3, 4.6). On TCP, and where a value makes no
//! sense, an ALLOW rule goes as a whole and every other rule loses just that part: neither lets anything through that
//! the rule was to stop.

use proto::envoy::rbac::principal::Identifier;
use proto::envoy::rbac::{Permission, Policy, Principal, permission, principal};
use proto::istio::security::{Condition, Operation, Rule, Source};

use super::field::{self, Field};
use super::trust_domain;

/// Where a rule is checked, and for what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Setting<'a> {
    /// On connections, not on requests.
    pub(super) tcp: bool,
    /// Whether the rule lets through what it matches, so that it must never match more than it says.
    pub(super) allows: bool,
    /// The trust domains of the mesh, its own first.
    pub(super) trust_domains: &'a [String],
    /// The namespace of the policy.
    pub(super) namespace: &'a str,
}

/// The rule cannot be told here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Unfit;

/// A policy that nothing meets: that of an AuthorizationPolicy without rules.
pub(super) fn never() -> Policy {
    let any_permission = field::permission(permission::Rule::Any(true));
    let any_principal = field::principal(Identifier::Any(true));
    Policy {
        permissions: vec![field::permission(permission::Rule::NotRule(Box::new(any_permission)))],
        principals: vec![field::principal(Identifier::NotId(Box::new(any_principal)))],
        ..Default::default()
    }
}

/// The policy of a rule.
pub(super) fn policy(rule: &Rule, setting: Setting<'_>) -> Result<Policy, Unfit> {
    let mut of_permissions = Vec::new();
    let mut of_principals = Vec::new();
    for condition in &rule.when {
        match Field::of_key(&condition.key) {
            Some(field) if field.is_permission() => of_permissions.push((field, condition)),
            Some(field) => of_principals.push((field, condition)),
            // A condition that nobody understands holds back no refusal, and lets nothing through.
            None if setting.allows => return Err(Unfit),
            None => {}
        }
    }
    // What is empty where something must stand says nothing: a slip there must not let everybody through.
    if setting.allows && has_gap(rule) {
        return Err(Unfit);
    }
    let operations: Vec<Operation> = if rule.to.is_empty() {
        vec![Operation::default()]
    } else {
        rule.to.iter().map(|to| to.operation.clone().unwrap_or_default()).collect()
    };
    let sources: Vec<Source> = if rule.from.is_empty() {
        vec![Source::default()]
    } else {
        rule.from.iter().map(|from| from.source.clone().unwrap_or_default()).collect()
    };
    let permissions = operations.iter().map(|operation| permission(operation, &of_permissions, setting));
    let principals = sources.iter().map(|source| principal(source, &of_principals, setting));
    Ok(Policy {
        permissions: permissions.collect::<Result<_, _>>()?,
        principals: principals.collect::<Result<_, _>>()?,
        ..Default::default()
    })
}

/// Whether a part of the rule is empty that admission would not let be empty.
fn has_gap(rule: &Rule) -> bool {
    let is_empty = |condition: &Condition| condition.values.is_empty() && condition.not_values.is_empty();
    rule.when.iter().any(is_empty)
        || rule.from.iter().any(|from| from.source.as_ref().is_none_or(|source| *source == Source::default()))
        || rule.to.iter().any(|to| to.operation.as_ref().is_none_or(|to| *to == Operation::default()))
}

type Conditions<'a> = [(Field<'a>, &'a Condition)];

fn permission(
    operation: &Operation,
    when: &Conditions<'_>,
    setting: Setting<'_>,
) -> Result<Permission, Unfit> {
    let fields = [
        (Field::Hosts, &operation.hosts, &operation.not_hosts),
        (Field::Methods, &operation.methods, &operation.not_methods),
        (Field::Paths, &operation.paths, &operation.not_paths),
        (Field::Ports, &operation.ports, &operation.not_ports),
    ];
    let when = when.iter().map(|(field, condition)| (*field, &condition.values, &condition.not_values));
    let mut rules = Vec::new();
    for (field, values, not_values) in fields.into_iter().chain(when) {
        rules.extend(one_permission(field, values, setting)?);
        let not = one_permission(field, not_values, setting)?;
        rules.extend(not.map(|rule| field::permission(permission::Rule::NotRule(Box::new(rule)))));
    }
    if rules.is_empty() {
        rules.push(field::permission(permission::Rule::Any(true)));
    }
    Ok(field::permission(permission::Rule::AndRules(permission::Set { rules })))
}

fn one_permission(
    field: Field<'_>,
    values: &[String],
    setting: Setting<'_>,
) -> Result<Option<Permission>, Unfit> {
    let Some(values) = usable(field, values, setting)? else { return Ok(None) };
    let rules = sound(field.permissions(values), setting)?;
    let mut rules: Vec<_> = rules.into_iter().map(field::permission).collect();
    if rules.is_empty() && setting.allows {
        return Err(Unfit);
    }
    if rules.is_empty() || (field.is_bare_when_single() && rules.len() == 1) {
        return Ok(rules.pop());
    }
    Ok(Some(field::permission(permission::Rule::OrRules(permission::Set { rules }))))
}

fn principal(source: &Source, when: &Conditions<'_>, setting: Setting<'_>) -> Result<Principal, Unfit> {
    // Trust domains of sources are not told apart, so a rule that allows some of them allows nobody.
    if setting.allows && !(source.trust_domains.is_empty() && source.not_trust_domains.is_empty()) {
        return Err(Unfit);
    }
    let fields = [
        (Field::Principals, &source.principals, &source.not_principals),
        (Field::RequestPrincipals, &source.request_principals, &source.not_request_principals),
        (Field::ServiceAccounts, &source.service_accounts, &source.not_service_accounts),
        (Field::Namespaces, &source.namespaces, &source.not_namespaces),
        (Field::RemoteIp, &source.remote_ip_blocks, &source.not_remote_ip_blocks),
        (Field::DirectRemoteIp, &source.ip_blocks, &source.not_ip_blocks),
    ];
    let when = when.iter().map(|(field, condition)| (*field, &condition.values, &condition.not_values));
    let mut ids = Vec::new();
    for (field, values, not_values) in fields.into_iter().chain(when) {
        ids.extend(one_principal(field, values, setting)?);
        let not = one_principal(field, not_values, setting)?;
        ids.extend(not.map(|id| field::principal(Identifier::NotId(Box::new(id)))));
    }
    if ids.is_empty() {
        ids.push(field::principal(Identifier::Any(true)));
    }
    Ok(field::principal(Identifier::AndIds(principal::Set { ids })))
}

fn one_principal(
    field: Field<'_>,
    values: &[String],
    setting: Setting<'_>,
) -> Result<Option<Principal>, Unfit> {
    let Some(values) = usable(field, values, setting)? else { return Ok(None) };
    let expanded;
    let values = if field == Field::Principals {
        expanded = trust_domain::expanded(values, setting.trust_domains);
        expanded.as_slice()
    } else {
        values
    };
    let ids = sound(field.principals(values, setting.namespace), setting)?;
    let mut ids: Vec<_> = ids.into_iter().map(field::principal).collect();
    if ids.is_empty() && setting.allows {
        return Err(Unfit);
    }
    if ids.is_empty() || (field.is_bare_when_single() && ids.len() == 1) {
        return Ok(ids.pop());
    }
    Ok(Some(field::principal(Identifier::OrIds(principal::Set { ids }))))
}

/// The values of a field, if it has any and can be told here.
fn usable<'v>(
    field: Field<'_>,
    values: &'v [String],
    setting: Setting<'_>,
) -> Result<Option<&'v [String]>, Unfit> {
    if values.is_empty() {
        return Ok(None);
    }
    match (setting.tcp && field.is_http(), setting.allows) {
        (false, _) => Ok(Some(values)),
        (true, true) => Err(Unfit),
        (true, false) => Ok(None),
    }
}

/// The matchers without those of senseless values.
fn sound<T>(matchers: Vec<Option<T>>, setting: Setting<'_>) -> Result<Vec<T>, Unfit> {
    if setting.allows && matchers.iter().any(Option::is_none) {
        return Err(Unfit);
    }
    Ok(matchers.into_iter().flatten().collect())
}

#[cfg(test)]
mod tests;
