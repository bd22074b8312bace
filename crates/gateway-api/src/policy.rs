//! BackendTLSPolicy and XBackendTrafficPolicy become one DestinationRule for every host they are for. Of several
//! policies for one port, or for the whole of a host, the oldest holds.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use config::gateway_api::{BackendTlsPolicy, BackendTlsValidation, PolicyTarget, XBackendTrafficPolicy};
use config::{Object, Resource};
use model::{Labels, Timestamp};
use proto::istio::networking::client_tls_settings::TlSmode;
use proto::istio::networking::traffic_policy::{PortTrafficPolicy, RetryBudget};
use proto::istio::networking::{
    ClientTlsSettings, DestinationRule, LoadBalancerSettings, PortSelector, TrafficPolicy,
};
use proto::wkt::DoubleValue;

use crate::certificate::check_named_authorities;
use crate::derive::{Made, made};
use crate::fault::Fault;
use crate::lookup::Lookup;
use crate::names::{GATEWAY_SUFFIX, GroupKind, PARENTS};
use crate::outcome::{PolicyAncestor, PolicyOutcome, References};

/// A secret that no proxy gets: connections fail rather than go unverified.
const NO_SECRET: &str = "invalid://";
const TARGET_NOT_FOUND: &str = "TargetNotFound";
/// Retries that are always allowed, where a budget does not say how many.
const DEFAULT_MIN_RETRIES: u32 = 10;

/// Which Gateways lead to a backend: by group and kind, namespace and name, the Gateways' names.
pub(crate) type Ancestors = BTreeMap<(String, String, String), BTreeSet<(String, String)>>;

/// What policies become.
#[derive(Default)]
pub(crate) struct Policies {
    pub(crate) made: Vec<Made>,
    pub(crate) outcomes: Vec<PolicyOutcome>,
}

/// What a policy says about a host.
struct Said {
    creation: Timestamp,
    namespace: String,
    name: String,
    kind: &'static str,
    source: Arc<str>,
    section: Option<String>,
    tls: Option<ClientTlsSettings>,
    load_balancer: Option<LoadBalancerSettings>,
    budget: Option<RetryBudget>,
}

/// A Service or ServiceEntry: whether it is an entry, its namespace and name, and a host of it.
type Target = (bool, String, String, String);

/// Every policy.
pub(crate) fn convert(lookup: &Lookup<'_>, ancestors: &Ancestors) -> Policies {
    let mut said: BTreeMap<Target, Vec<Said>> = BTreeMap::new();
    let mut outcomes = Vec::new();
    for policy in lookup.store.backend_tls_policies() {
        outcomes.push(tls_policy(lookup, ancestors, policy, &mut said));
    }
    if lookup.settings.alpha {
        for policy in lookup.store.x_backend_traffic_policies() {
            outcomes.push(traffic_policy(lookup, policy, &mut said));
        }
    }
    let made = said.into_iter().map(|(target, said)| rule(lookup, &target, said)).collect();
    Policies { made, outcomes }
}

fn tls_policy(
    lookup: &Lookup<'_>,
    ancestors: &Ancestors,
    policy: &Object<BackendTlsPolicy>,
    said: &mut BTreeMap<Target, Vec<Said>>,
) -> PolicyOutcome {
    let namespace = &*policy.meta.namespace;
    let validation = &policy.spec.validation;
    let (credential, faults) = authorities(lookup, validation, namespace);
    let (mut unaccepted, unresolved) = faults;
    let names = validation.subject_alt_names.iter().filter_map(|name| match name.name_type.as_str() {
        "Hostname" => Some(name.hostname.clone().unwrap_or_default()),
        "URI" => Some(name.uri.clone().unwrap_or_default()),
        _ => None,
    });
    let tls = ClientTlsSettings {
        mode: TlSmode::Simple as i32,
        sni: validation.hostname.clone(),
        subject_alt_names: names.collect(),
        credential_name: credential,
        ..Default::default()
    };
    let mut gateways = BTreeSet::new();
    let mut targets = Vec::new();
    for target in &policy.spec.target_refs {
        match hosts(lookup, target, namespace) {
            Ok((is_entry, hosts)) => {
                for host in hosts {
                    let key = (is_entry, namespace.to_owned(), target.name.clone(), host);
                    let section = target.section_name.clone().filter(|name| !name.is_empty());
                    let tls = Some(tls.clone());
                    said.entry(key).or_default().push(Said {
                        section,
                        tls,
                        ..of(policy, "BackendTLSPolicy")
                    });
                }
                let kind = if is_entry { "ServiceEntry" } else { "Service" };
                let key = (kind.to_owned(), namespace.to_owned(), target.name.clone());
                gateways.extend(ancestors.get(&key).into_iter().flatten().cloned());
            }
            Err(why) => {
                unaccepted = Some(Fault::new(TARGET_NOT_FOUND, format!("targetRefs invalid: {why}")));
            }
        }
        targets.push(PolicyAncestor {
            target: target.clone(),
            unaccepted: unaccepted.clone(),
            references: unresolved.clone().map_or(References::Sound, References::Broken),
        });
    }
    let several = validation.ca_certificate_refs.len() > 1 && validation.well_known_ca_certificates.is_none();
    let warning = if several { "; warning: only the first caCertificateRefs will be used" } else { "" };
    PolicyOutcome {
        key: policy.key(),
        generation: policy.meta.generation,
        targets,
        gateways: gateways.into_iter().map(|(_, name)| name).collect(),
        warning: warning.to_owned(),
    }
}

/// What is wrong about acceptance, and about references.
type Faults = (Option<Fault>, Option<Fault>);

/// The secret with the authorities of backends; empty for those of the system.
fn authorities(lookup: &Lookup<'_>, validation: &BackendTlsValidation, namespace: &str) -> (String, Faults) {
    if let Some(known) = &validation.well_known_ca_certificates {
        let fault = (known != "System")
            .then(|| Fault::new("Invalid", format!("Unknown wellKnownCACertificates: {known}")));
        return (String::new(), (fault, None));
    }
    let Some(reference) = validation.ca_certificate_refs.first() else {
        return (String::new(), (None, None));
    };
    let (group, kind) =
        (reference.group.as_deref().unwrap_or_default(), reference.kind.as_deref().unwrap_or_default());
    let name = &reference.name;
    let unsupported = || format!("unsupported reference kind: {kind}");
    let not_found = || format!("reference {namespace}/{name} (of kind {kind}) not found");
    let fault = |reason, what: &str, why: &str| Fault::new(reason, format!("{what}: {why}"));
    let (why, unresolved) = match GroupKind(group, kind) {
        GroupKind::CONFIG_MAP => match lookup.config_map(namespace, name) {
            None => {
                let why = not_found();
                (why.clone(), fault("InvalidCACertificateRef", "Certificate reference not found", &why))
            }
            Some(map) => match check_named_authorities(&map.spec) {
                Ok(()) => return (format!("configmap://{namespace}/{name}"), (None, None)),
                Err(why) => (why.clone(), fault("InvalidCACertificateRef", "Certificate invalid", &why)),
            },
        },
        GroupKind::SECRET => match lookup.secret(namespace, name) {
            None => {
                let why = not_found();
                (why.clone(), fault("InvalidCACertificateRef", "Certificate reference not found", &why))
            }
            Some(_) => (unsupported(), fault("InvalidKind", "Certificate reference invalid", &unsupported())),
        },
        _ => {
            let why = format!("unsupported kind {kind}");
            (why.clone(), fault("InvalidKind", "Certificate reference not supported", &why))
        }
    };
    let unaccepted = fault("NoValidCACertificate", "Certificate reference invalid", &why);
    (NO_SECRET.to_owned(), (Some(unaccepted), Some(unresolved)))
}

/// Whether a target is a ServiceEntry, and its hosts. `Err` says why there is no such target.
fn hosts(lookup: &Lookup<'_>, target: &PolicyTarget, namespace: &str) -> Result<(bool, Vec<String>), String> {
    let not_found = || format!("reference {namespace}/{} (of kind {}) not found", target.name, target.kind);
    let has_port = |is_there: bool| match target.section_name.as_deref() {
        Some(section) if !section.is_empty() && !is_there => Err(format!(
            "sectionName \"{section}\" does not exist in {} {namespace}/{}",
            target.kind, target.name
        )),
        _ => Ok(()),
    };
    let section = target.section_name.as_deref().unwrap_or_default();
    match GroupKind(&target.group, &target.kind) {
        GroupKind::SERVICE => {
            let service = lookup.service(namespace, &target.name).ok_or_else(not_found)?;
            has_port(service.spec.ports.iter().any(|port| port.name == section))?;
            Ok((false, vec![lookup.service_host(namespace, &target.name)]))
        }
        GroupKind::SERVICE_ENTRY => {
            let entry = lookup.service_entry(namespace, &target.name).ok_or_else(not_found)?;
            has_port(entry.spec.ports.iter().any(|port| port.name == section))?;
            Ok((true, entry.spec.hosts.clone()))
        }
        _ => Err(format!("unsupported kind {}", target.kind)),
    }
}

fn traffic_policy(
    lookup: &Lookup<'_>,
    policy: &Object<XBackendTrafficPolicy>,
    said: &mut BTreeMap<Target, Vec<Said>>,
) -> PolicyOutcome {
    let namespace = &*policy.meta.namespace;
    let budget = policy.spec.retry_constraint.as_ref().map(|constraint| {
        let number = |path: &str| constraint.pointer(path).and_then(serde_json::Value::as_u64);
        let count = number("/minRetryRate/count").and_then(|count| u32::try_from(count).ok());
        RetryBudget {
            percent: number("/budget/percent").map(|percent| DoubleValue::from(percent.min(100) as f64)),
            min_retry_concurrency: count.unwrap_or(DEFAULT_MIN_RETRIES),
        }
    });
    let mut unaccepted = None;
    let mut targets = Vec::new();
    for target in &policy.spec.target_refs {
        match hosts(lookup, target, namespace) {
            Ok((false, hosts)) => {
                for host in hosts {
                    let key = (false, namespace.to_owned(), target.name.clone(), host);
                    said.entry(key).or_default().push(Said {
                        load_balancer: Some(LoadBalancerSettings::default()),
                        budget,
                        ..of(policy, "XBackendTrafficPolicy")
                    });
                }
            }
            other => {
                let why = other.err().unwrap_or(format!("unsupported reference kind: {}", target.kind));
                unaccepted = Some(Fault::new(TARGET_NOT_FOUND, format!("targetRefs invalid: {why}")));
            }
        }
        let (target, unaccepted) = (target.clone(), unaccepted.clone());
        targets.push(PolicyAncestor { target, unaccepted, references: References::None });
    }
    let warning = match &policy.spec.session_persistence {
        Some(_) => ", but Istio does not support the following fields: sessionPersistence",
        None => "",
    };
    let (key, generation) = (policy.key(), policy.meta.generation);
    PolicyOutcome { key, generation, targets, gateways: Vec::new(), warning: warning.to_owned() }
}

fn of<T: Resource>(policy: &Object<T>, kind: &'static str) -> Said {
    Said {
        creation: policy.meta.creation,
        namespace: policy.meta.namespace.to_string(),
        name: policy.meta.name.to_string(),
        kind,
        source: Arc::clone(&policy.source),
        section: None,
        tls: None,
        load_balancer: None,
        budget: None,
    }
}

fn rule(lookup: &Lookup<'_>, target: &Target, mut said: Vec<Said>) -> Made {
    let (is_entry, namespace, name, host) = target;
    said.sort_by(|a, b| (a.creation, &a.namespace, &a.name).cmp(&(b.creation, &b.namespace, &b.name)));
    let mut policy = TrafficPolicy::default();
    let mut of_ports: BTreeMap<&str, &ClientTlsSettings> = BTreeMap::new();
    let mut parents: Vec<String> = Vec::new();
    for one in &said {
        match (&one.tls, &one.section) {
            (Some(tls), Some(section)) => {
                of_ports.entry(section).or_insert(tls);
            }
            (Some(tls), None) if policy.tls.is_none() => policy.tls = Some(tls.clone()),
            _ => {}
        }
        if policy.load_balancer.is_none() {
            policy.load_balancer.clone_from(&one.load_balancer);
        }
        policy.retry_budget = policy.retry_budget.or(one.budget);
        let parent = format!("{}/{}.{}", one.kind, one.namespace, one.name);
        if !parents.contains(&parent) {
            parents.push(parent);
        }
    }
    let number = |wanted: &str| -> Option<u32> {
        if *is_entry {
            let entry = lookup.service_entry(namespace, name)?;
            return entry.spec.ports.iter().find(|port| port.name == wanted).map(|port| port.number);
        }
        let service = lookup.service(namespace, name)?;
        service.spec.ports.iter().find(|port| port.name == wanted).map(|port| port.port)
    };
    policy.port_level_settings = of_ports
        .into_iter()
        .map(|(section, tls)| PortTrafficPolicy {
            port: Some(PortSelector { number: number(section).unwrap_or_default() }),
            tls: Some(tls.clone()),
            ..Default::default()
        })
        .collect();
    let made_name = if *is_entry {
        format!("{name}~{}~{GATEWAY_SUFFIX}", host.replace('.', "-"))
    } else {
        format!("{name}~{GATEWAY_SUFFIX}")
    };
    let spec = DestinationRule { host: host.clone(), traffic_policy: Some(policy), ..Default::default() };
    let annotations = Labels::from([(PARENTS, parents.join(",").as_str())]);
    let source = said.first().map_or_else(|| Arc::from(""), |first| Arc::clone(&first.source));
    // It counts as older than every rule that a user wrote.
    let namespace = namespace.as_str().into();
    made(made_name, &namespace, annotations, Timestamp::default(), &source, spec)
}
