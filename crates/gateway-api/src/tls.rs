//! TLS of a listener as server settings: certificates by reference, validation of clients, modes by option.

use config::gateway_api::{FrontendTlsConfig, GatewayTls, Listener, ListenerTls, ObjectReference};
use model::Labels;
use proto::istio::networking::ServerTlsSettings;
use proto::istio::networking::server_tls_settings::TlSmode;

use crate::certificate::{check_config_map, check_pair, check_secret_authorities};
use crate::fault::{Fault, INVALID_CERTIFICATE, REF_NOT_PERMITTED};
use crate::grant::Grants;
use crate::lookup::Lookup;
use crate::names::GroupKind;

/// Chooses how TLS ends.
const TERMINATE_MODE: &str = "gateway.istio.io/tls-terminate-mode";
/// Chooses cipher suites.
const CIPHER_SUITES: &str = "gateway.istio.io/tls-cipher-suites";
/// Chooses what a listener is for.
const LISTENER_MODE: &str = "gateway.istio.io/listener-protocol";
const NETWORK: &str = "topology.istio.io/network";
const GATEWAY_PORT: &str = "networking.istio.io/gatewayPort";
const DEFAULT_GATEWAY_PORT: &str = "15443";
/// The workload's own certificate, by a name that is no Secret's.
const BUILTIN: &str = "builtin://";
/// How many certificates a listener may have.
const MAX_CERTIFICATES: usize = 2;

/// Whose listener it is.
pub(crate) struct Owner<'a> {
    pub(crate) kind: GroupKind<'static>,
    pub(crate) namespace: &'a str,
    pub(crate) labels: &'a Labels,
}

/// The settings of a listener, and what is wrong with them; a listener at fault is left out.
pub(crate) fn server(
    lookup: &Lookup<'_>,
    grants: &Grants<'_>,
    owner: &Owner<'_>,
    listener: &Listener,
    of_gateway: Option<&GatewayTls>,
) -> (Option<ServerTlsSettings>, Option<Fault>) {
    let Some(tls) = &listener.tls else { return (None, None) };
    let mut settings = ServerTlsSettings::default();
    let fault = match tls.mode.as_str() {
        "Passthrough" => {
            let mode =
                if passes_on(owner, listener, tls) { TlSmode::AutoPassthrough } else { TlSmode::Passthrough };
            settings.set_mode(mode);
            None
        }
        _ => {
            let frontend = of_gateway.and_then(|tls| frontend(tls, listener.port));
            terminate(lookup, grants, owner, tls, frontend, &mut settings).err()
        }
    };
    let builtin = settings.mode() == TlSmode::IstioMutual || settings.credential_name == BUILTIN;
    if fault.is_none() && !builtin {
        let suites = tls.options.get(CIPHER_SUITES).map_or("", String::as_str);
        settings.cipher_suites =
            suites.split(',').map(str::trim).filter(|suite| !suite.is_empty()).map(str::to_owned).collect();
    }
    (Some(settings), fault)
}

/// Whether mutual TLS between networks comes in here.
fn passes_on(owner: &Owner<'_>, listener: &Listener, tls: &ListenerTls) -> bool {
    if tls.options.get(LISTENER_MODE).is_some_and(|mode| mode == "auto-passthrough") {
        return true;
    }
    let expected = owner.labels.value(GATEWAY_PORT).unwrap_or(DEFAULT_GATEWAY_PORT);
    owner.labels.value(NETWORK).is_some() && listener.port.to_string() == expected
}

/// The Gateway's settings towards clients at a port.
fn frontend(tls: &GatewayTls, port: u32) -> Option<&FrontendTlsConfig> {
    let frontend = tls.frontend.as_ref()?;
    let of_port = frontend.per_port.iter().find(|of_port| of_port.port == port);
    of_port.map(|of_port| &of_port.tls).or(frontend.default.as_ref())
}

fn terminate(
    lookup: &Lookup<'_>,
    grants: &Grants<'_>,
    owner: &Owner<'_>,
    tls: &ListenerTls,
    frontend: Option<&FrontendTlsConfig>,
    settings: &mut ServerTlsSettings,
) -> Result<(), Fault> {
    let option = tls.options.get(TERMINATE_MODE).map(String::as_str);
    settings.set_mode(match option {
        Some("MUTUAL") => TlSmode::Mutual,
        Some("OPTIONAL_MUTUAL") => TlSmode::OptionalMutual,
        Some("ISTIO_MUTUAL") => TlSmode::IstioMutual,
        _ => TlSmode::Simple,
    });
    match option {
        Some("ISTIO_MUTUAL") => return Ok(()),
        Some("ISTIO_SIMPLE") => {
            BUILTIN.clone_into(&mut settings.credential_name);
            return Ok(());
        }
        _ => {}
    }
    certificates(lookup, grants, owner, tls, settings)?;
    if settings.credential_name.is_empty() && settings.credential_names.is_empty() {
        return Ok(());
    }
    let authorities =
        frontend.and_then(|f| f.validation.as_ref()).map_or(&[][..], |v| &v.ca_certificate_refs);
    match authorities {
        [] => Ok(()),
        [only] => {
            settings.ca_cert_credential_name = authority(lookup, grants, owner, only)?;
            settings.set_mode(match option {
                Some("OPTIONAL_MUTUAL") => TlSmode::OptionalMutual,
                _ => TlSmode::Mutual,
            });
            Ok(())
        }
        _ => Err(Fault::new(INVALID_CERTIFICATE, "only one caCertificateRef is supported")),
    }
}

fn certificates(
    lookup: &Lookup<'_>,
    grants: &Grants<'_>,
    owner: &Owner<'_>,
    tls: &ListenerTls,
    settings: &mut ServerTlsSettings,
) -> Result<(), Fault> {
    if tls.certificate_refs.len() > MAX_CERTIFICATES {
        let message = "TLS mode can only support up to 2 server certificates";
        return Err(Fault::new(INVALID_CERTIFICATE, message));
    }
    let mut fault = None;
    let mut names = Vec::new();
    for reference in &tls.certificate_refs {
        match certificate(lookup, grants, owner, reference) {
            Ok(name) => names.push(name),
            Err(found) => fault = Fault::joined(fault, Some(found)),
        }
    }
    // One usable certificate is enough.
    match (<[String; 1]>::try_from(names), fault) {
        (Ok([only]), _) => settings.credential_name = only,
        (Err(none), Some(fault)) if none.is_empty() => return Err(fault),
        (Err(several), _) => settings.credential_names = several,
    }
    Ok(())
}

/// The name of a certificate towards proxies.
fn certificate(
    lookup: &Lookup<'_>,
    grants: &Grants<'_>,
    owner: &Owner<'_>,
    reference: &ObjectReference,
) -> Result<String, Fault> {
    let invalid = |why: String| {
        Fault::new(
            INVALID_CERTIFICATE,
            format!("invalid certificate reference {}, {why}", shown(reference, "", "Secret")),
        )
    };
    if kind_of(reference, GroupKind::SECRET) != GroupKind::SECRET {
        return Err(invalid("only secret is allowed".to_owned()));
    }
    let namespace = reference.namespace.as_deref().unwrap_or(owner.namespace);
    let name = reference.name.as_str();
    let secret = lookup
        .secret(namespace, name)
        .ok_or_else(|| invalid(format!("secret {namespace}/{name} not found")))?;
    check_pair(&secret.spec).map_err(invalid)?;
    let is_own = namespace == owner.namespace;
    if !is_own && !grants.allow(owner.kind, owner.namespace, GroupKind::SECRET, namespace, name) {
        return Err(not_permitted("certificateRef", name, namespace, owner));
    }
    Ok(format!("kubernetes-gateway://{namespace}/{name}"))
}

/// The name of certificate authorities towards proxies.
fn authority(
    lookup: &Lookup<'_>,
    grants: &Grants<'_>,
    owner: &Owner<'_>,
    reference: &ObjectReference,
) -> Result<String, Fault> {
    let invalid = |why: String| {
        Fault::new(
            INVALID_CERTIFICATE,
            format!("invalid CA certificate reference {}, {why}", shown(reference, "", "")),
        )
    };
    let namespace = reference.namespace.as_deref().unwrap_or(owner.namespace);
    let name = reference.name.as_str();
    let kind = kind_of(reference, GroupKind("", ""));
    let scheme = match kind {
        GroupKind::CONFIG_MAP => {
            let map = lookup
                .config_map(namespace, name)
                .ok_or_else(|| invalid(format!("configmap {namespace}/{name} not found")))?;
            check_config_map(&map.spec).map_err(invalid)?;
            "configmap"
        }
        GroupKind::SECRET => {
            let secret = lookup
                .secret(namespace, name)
                .ok_or_else(|| invalid(format!("secret {namespace}/{name} not found")))?;
            check_secret_authorities(&secret.spec).map_err(invalid)?;
            "kubernetes-gateway"
        }
        _ => return Err(invalid("only secret and configmap are allowed".to_owned())),
    };
    if namespace != owner.namespace && !grants.allow(owner.kind, owner.namespace, kind, namespace, name) {
        // Here the namespace comes first.
        return Err(not_permitted("caCertificateRef", namespace, name, owner));
    }
    Ok(format!("{scheme}://{namespace}/{name}-cacert"))
}

fn not_permitted(field: &str, first: &str, second: &str, owner: &Owner<'_>) -> Fault {
    let message = format!(
        "{field} {first}/{second} not accessible to a Gateway in namespace \"{}\" (missing a ReferenceGrant?)",
        owner.namespace
    );
    Fault::new(REF_NOT_PERMITTED, message)
}

fn kind_of<'a>(reference: &'a ObjectReference, default: GroupKind<'a>) -> GroupKind<'a> {
    GroupKind(reference.group.as_deref().unwrap_or(default.0), reference.kind.as_deref().unwrap_or(default.1))
}

/// A reference as messages show it; `group` and `kind` are what the API's schema writes out.
fn shown(reference: &ObjectReference, group: &str, kind: &str) -> String {
    format!(
        "{}/{}/{}.{}",
        reference.group.as_deref().unwrap_or(group),
        reference.kind.as_deref().unwrap_or(kind),
        reference.name,
        reference.namespace.as_deref().unwrap_or_default()
    )
}
