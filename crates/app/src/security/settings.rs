//! Settings of the CA and of authentication by the names that istiod has for them (platform specification, 1.6).

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result};
use ca::{Lifetimes, ServiceAccount, TokenRule};
use mesh::Compliance;
use serde_json::Value;
use server::{DebugAccess, Gate, MinVersion, TlsOptions};

use super::Rotation;
use super::serving::{Files, Provider};
use super::signing::Signers;
use crate::features::Source;

/// Settings of the CA and of authentication.
#[derive(Debug)]
pub(crate) struct Settings {
    /// `ENABLE_CA_SERVER`
    pub(crate) sign: bool,
    /// `ROOT_CA_DIR`
    pub(crate) root_ca_dir: PathBuf,
    /// `--caRootFolder`
    pub(crate) root_folder: Option<PathBuf>,
    /// `DEFAULT_WORKLOAD_CERT_TTL`, `MAX_WORKLOAD_CERT_TTL`
    pub(crate) lifetimes: Lifetimes,
    /// `CITADEL_SELF_SIGNED_CA_CERT_TTL`, in seconds
    pub(crate) root_lifetime: i64,
    /// The same for what our own ports serve.
    pub(crate) serving_lifetime: i64,
    /// `CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE`
    pub(crate) root_key_bits: usize,
    /// `JWT_RULE`: whose tokens are taken, and by which keys.
    pub(crate) token_rule: Option<(TokenRule, Keys)>,
    /// `TOKEN_AUDIENCES`
    pub(crate) audiences: Vec<String>,
    /// `ISTIO_MULTIROOT_MESH`
    pub(crate) takes_new_roots: bool,
    /// `USE_CACERTS_FOR_SELF_SIGNED_CA`
    pub(crate) root_in_cacerts: bool,
    /// When a root of our own is renewed.
    pub(super) rotation: Rotation,
    /// `PILOT_CA_CERT_CONFIGMAP`
    pub(crate) root_config_map: String,
    /// `PILOT_ENABLE_XDS_IDENTITY_CHECK`
    pub(crate) check_nodes: bool,
    /// `XDS_AUTH`
    pub(crate) authenticate: bool,
    /// `XDS_AUTH_PLAINTEXT`
    pub(crate) authenticate_plaintext: bool,
    /// `ENABLE_DEBUG_ON_HTTP`: debug pages also at --httpAddr.
    pub(crate) debug_on_http: bool,
    /// `ENABLE_DEBUG_ENDPOINT_AUTH`: workloads see debug pages of their own namespace only.
    pub(crate) debug_by_namespace: bool,
    /// `DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES`: whose workloads see all of them nevertheless.
    pub(crate) debug_namespaces: Vec<String>,
    /// `TRUSTED_GATEWAY_CIDR`: from where `x-forwarded-client-cert` is believed; nobody's is if empty.
    pub(crate) gateway_networks: Vec<String>,
    /// `CA_TRUSTED_NODE_ACCOUNTS`: who may ask for certificates of workloads on the same node.
    pub(crate) node_accounts: BTreeSet<ServiceAccount>,
    /// `ISTIOD_CUSTOM_HOST`
    pub(crate) custom_hosts: Vec<String>,
    /// `PILOT_CERT_PROVIDER`
    pub(super) provider: Provider,
    /// `--tlsCertFile`, `--tlsKeyFile`, `--caCertFile`
    pub(super) files: Option<Files>,
    /// `EXTERNAL_CA=ISTIOD_RA_KUBERNETES_API` with `K8S_SIGNER` and `CERT_SIGNER_DOMAIN`.
    pub(super) signers: Option<Signers>,
    /// `PILOT_CRL_CONFIGMAP`; nothing where `PILOT_ENABLE_CA_CRL` is false.
    pub(crate) revocation_config_map: Option<String>,
    /// `--tls-min-version`, `--tls-cipher-suites`, `COMPLIANCE_POLICY`
    pub(super) tls: TlsOptions,
}

/// Where the keys of an issuer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Keys {
    /// As JSON.
    Given(String),
    /// At this URI; where it is empty, the issuer says where.
    Fetched(String),
}

/// What flags say of TLS and the CA.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) ca_root_folder: Option<PathBuf>,
    pub(crate) ca_cert_file: PathBuf,
    pub(crate) tls_cert_file: PathBuf,
    pub(crate) tls_key_file: PathBuf,
    pub(crate) tls_min_version: MinVersion,
    pub(crate) tls_cipher_suites: Vec<String>,
}

const DAY: u64 = 24 * 3600;

impl Settings {
    /// Reads them through `variable`. Returns what could not be read, too.
    pub(crate) fn read(
        variable: &dyn Fn(&str) -> Option<String>,
        flags: Flags,
        compliance: Compliance,
    ) -> Result<(Self, Vec<String>)> {
        let mut source = Source { variable, problems: Vec::new() };
        let mut flag = |name: &str, default: bool| {
            let mut value = default;
            source.flag(name, &mut value);
            value
        };
        let sign = flag("ENABLE_CA_SERVER", true);
        let check_nodes = flag("PILOT_ENABLE_XDS_IDENTITY_CHECK", true);
        let takes_new_roots = flag("ISTIO_MULTIROOT_MESH", false);
        let authenticate = flag("XDS_AUTH", true);
        let authenticate_plaintext = flag("XDS_AUTH_PLAINTEXT", false);
        let debug_on_http = flag("ENABLE_DEBUG_ON_HTTP", true);
        let debug_by_namespace = flag("ENABLE_DEBUG_ENDPOINT_AUTH", true);
        let root_in_cacerts = flag("USE_CACERTS_FOR_SELF_SIGNED_CA", false);
        let tells_revoked = flag("PILOT_ENABLE_CA_CRL", true);
        let jitter = flag("CITADEL_ENABLE_JITTER_FOR_ROOT_CERT_ROTATOR", true);
        let mut seconds = |name: &str, default: u64| {
            let mut value = Duration::from_secs(default);
            source.duration(name, &mut value);
            value.as_secs() as i64
        };
        let lifetimes = Lifetimes {
            default: seconds("DEFAULT_WORKLOAD_CERT_TTL", DAY),
            max: seconds("MAX_WORKLOAD_CERT_TTL", 90 * DAY),
        };
        let root_lifetime = seconds("CITADEL_SELF_SIGNED_CA_CERT_TTL", 3650 * DAY);
        let mut root_key_bits = 2048;
        source.number("CITADEL_SELF_SIGNED_CA_RSA_KEY_SIZE", &mut root_key_bits);
        let mut grace_percent = 20_i64;
        source.number("CITADEL_SELF_SIGNED_ROOT_CERT_GRACE_PERIOD_PERCENTILE", &mut grace_percent);
        let interval = interval(&mut source, "CITADEL_SELF_SIGNED_ROOT_CERT_CHECK_INTERVAL");
        let mut text = |name: &str, default: &str| {
            let mut value = default.to_owned();
            source.text(name, &mut value);
            value
        };
        let root_ca_dir = PathBuf::from(text("ROOT_CA_DIR", "./etc/cacerts"));
        let audiences = list(&text("TOKEN_AUDIENCES", "istio-ca"));
        let custom_hosts = list(&text("ISTIOD_CUSTOM_HOST", ""));
        let debug_namespaces = list(&text("DEBUG_ENDPOINT_AUTH_ALLOWED_NAMESPACES", ""));
        let gateway_networks = list(&text("TRUSTED_GATEWAY_CIDR", ""));
        let node_accounts = list(&text("CA_TRUSTED_NODE_ACCOUNTS", ""));
        let root_config_map = text("PILOT_CA_CERT_CONFIGMAP", "istio-ca-root-cert");
        let revocation_config_map = text("PILOT_CRL_CONFIGMAP", "istio-ca-crl");
        let provider = Provider::parse(&text("PILOT_CERT_PROVIDER", "istiod"))?;
        let (default, domain) = (text("K8S_SIGNER", ""), text("CERT_SIGNER_DOMAIN", ""));
        let signers = match text("EXTERNAL_CA", "").as_str() {
            "" => None,
            "ISTIOD_RA_KUBERNETES_API" => Some(Signers { default, domain }),
            other => anyhow::bail!("EXTERNAL_CA={other:?} is not known; use ISTIOD_RA_KUBERNETES_API"),
        };
        let [certificate, key, roots] = [&flags.tls_cert_file, &flags.tls_key_file, &flags.ca_cert_file];
        let mut files = Files::of_flags([certificate, key, roots])?;
        if files.is_none() && provider != Provider::Nobody {
            files = Files::mounted();
        }
        if provider == Provider::Files && files.is_none() {
            anyhow::bail!(
                "PILOT_CERT_PROVIDER=custom: there is no certificate for our own ports; mount one at \
                 /var/run/secrets/istiod/tls with its roots, or name it by --tlsCertFile, --tlsKeyFile and --caCertFile"
            );
        }
        let rule = text("JWT_RULE", "");
        let tls = match compliance {
            Compliance::None => TlsOptions::new(flags.tls_min_version),
            Compliance::Fips140 => TlsOptions::fips_140_2(),
            Compliance::PostQuantum => TlsOptions::post_quantum(),
        };
        let is_free = compliance == Compliance::None;
        if !is_free && (flags.tls_min_version != MinVersion::default() || !flags.tls_cipher_suites.is_empty())
        {
            source.problems.push(
                "--tls-min-version and --tls-cipher-suites are passed over: COMPLIANCE_POLICY decides"
                    .to_owned(),
            );
        }
        let suites = if is_free { flags.tls_cipher_suites } else { Vec::new() };
        let (tls, weak) = tls
            .with_cipher_suites(&suites)
            .map_err(|problem| anyhow::anyhow!("--tls-cipher-suites: {problem}"))?;
        source
            .problems
            .extend(weak.iter().map(|name| format!("--tls-cipher-suites: {name} is weak and not served")));
        let token_rule =
            if rule.is_empty() { None } else { Some(token_rule(&rule, &audiences).context("JWT_RULE")?) };
        let node_accounts = node_accounts
            .iter()
            .map(|text| {
                let (namespace, name) = text.split_once('/').with_context(|| {
                    format!("CA_TRUSTED_NODE_ACCOUNTS: {text:?} is not namespace/service-account")
                })?;
                Ok(ServiceAccount { namespace: namespace.to_owned(), name: name.to_owned() })
            })
            .collect::<Result<_>>()?;
        let settings = Self {
            sign,
            root_ca_dir,
            root_folder: flags.ca_root_folder,
            lifetimes,
            root_lifetime,
            serving_lifetime: root_lifetime,
            root_key_bits,
            token_rule,
            audiences,
            takes_new_roots,
            root_in_cacerts,
            rotation: Rotation { interval, grace_percent: grace_percent.clamp(0, 100), jitter },
            root_config_map,
            check_nodes,
            authenticate,
            authenticate_plaintext,
            debug_on_http,
            debug_by_namespace,
            debug_namespaces,
            gateway_networks,
            node_accounts,
            custom_hosts,
            provider,
            files,
            signers,
            revocation_config_map: tells_revoked.then_some(revocation_config_map),
            tls,
        };
        Ok((settings, source.problems))
    }
}

impl Settings {
    /// Who may see debug pages; `namespace` is that of the control plane.
    pub(crate) fn debug_access(&self, gate: &Arc<Gate>, namespace: &str) -> DebugAccess {
        let mut namespaces = self.debug_namespaces.clone();
        namespaces.push(namespace.to_owned());
        DebugAccess { gate: Some(Arc::clone(gate)), namespaces, everybody: !self.debug_by_namespace }
    }
}

/// How often the root is looked at: an hour unless set; zero or less means never.
fn interval(source: &mut Source<'_>, name: &str) -> Option<Duration> {
    let text = (source.variable)(name).unwrap_or_default();
    if text.trim_start().starts_with('-') && crate::features::parse_duration(&text.trim()[1..]).is_some() {
        return None;
    }
    let mut interval = Duration::from_hours(1);
    source.duration(name, &mut interval);
    (!interval.is_zero()).then_some(interval)
}

/// The parts of a list, without blanks and empty ones.
pub(super) fn list(text: &str) -> Vec<String> {
    text.split(',').map(str::trim).filter(|part| !part.is_empty()).map(str::to_owned).collect()
}

/// `{issuer, jwks_uri, audiences}`; the keys may also be given in place as `jwks`, and the address be that of a file.
/// Without any, the issuer is asked where its keys are.
fn token_rule(text: &str, audiences: &[String]) -> Result<(TokenRule, Keys)> {
    let rule: Value = serde_json::from_str(text).context("it is not JSON")?;
    let field = |names: [&str; 2]| names.iter().find_map(|name| rule[*name].as_str());
    let issuer = rule["issuer"].as_str().context("the issuer is missing")?.to_owned();
    let own: Vec<String> = rule["audiences"]
        .as_array()
        .map(|all| all.iter().filter_map(Value::as_str).map(str::to_owned).collect())
        .unwrap_or_default();
    let address = field(["jwks_uri", "jwksUri"]).filter(|address| !address.is_empty());
    let keys = match (field(["jwks", "jwks"]), address) {
        (Some(keys), _) => Keys::Given(keys.to_owned()),
        (None, Some(address)) => match address.strip_prefix("file://") {
            Some(file) => {
                Keys::Given(std::fs::read_to_string(file).with_context(|| format!("{file} cannot be read"))?)
            }
            None => Keys::Fetched(address.to_owned()),
        },
        (None, None) => Keys::Fetched(String::new()),
    };
    if let Keys::Fetched(uri) = &keys {
        let asked = if uri.is_empty() { &issuer } else { uri };
        // Whoever could answer in plain text could make tokens for anybody.
        anyhow::ensure!(
            asked.starts_with("https://"),
            "keys are fetched over https only, not from {asked}; give them as jwks, or a jwks_uri of https:// or file://"
        );
    }
    let audiences = if own.is_empty() { audiences.to_vec() } else { own };
    Ok((TokenRule { issuer, audiences }, keys))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_an_issuer_are_given_or_fetched_over_https_only() {
        let keys = |text: &str| token_rule(text, &[]).map(|(_, keys)| keys);
        let given = keys(r#"{"issuer": "i", "jwks": "{}"}"#).unwrap();
        assert_eq!(given, Keys::Given("{}".into()));
        let fetched = keys(r#"{"issuer": "i", "jwks_uri": "https://a.test/k"}"#).unwrap();
        assert_eq!(fetched, Keys::Fetched("https://a.test/k".into()));
        assert_eq!(keys(r#"{"issuer": "https://i.test"}"#).unwrap(), Keys::Fetched(String::new()));
        for wrong in [r#"{"issuer": "i", "jwks_uri": "http://a.test/k"}"#, r#"{"issuer": "i"}"#, "{}", "x"] {
            assert!(keys(wrong).is_err(), "{wrong}");
        }
    }
}
