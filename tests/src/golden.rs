//! Our own golden cases: a folder with `case.yaml` (what a user expects, which proxies ask, what to show),
//! `input.yaml` (objects) and `want/<proxy>.yaml` (resources as protobuf JSON, decoded from the bytes that would be
//! sent). Beside them stand single values (`expect`) and the ways of simulated calls. Missing and orphan files are
//! failures; `cargo xtask golden --update` writes what is generated.

mod expect;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};
use mesh::{Base, Compliance, Mesh};
use serde::Deserialize;
use serde_json::{Value, json};
use testkit::generate::{generate_as, mesh_under};
use testkit::parity::Resources;
use testkit::simulator::{Call, simulate};

use expect::{Expectation, fits};

/// `case.yaml`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// One sentence: what a user expects.
    about: String,
    /// Who asks.
    proxies: Vec<AskingProxy>,
    /// `PILOT_*` switches that are set; the others have istiod's defaults.
    #[serde(default)]
    switches: BTreeMap<String, bool>,
    /// `COMPLIANCE_POLICY`
    #[serde(default)]
    compliance: String,
    /// `type name` of what is compared whole; a final `*` is a wildcard.
    #[serde(default)]
    show: Vec<String>,
    /// Single values.
    #[serde(default)]
    expect: Vec<Expectation>,
    /// Calls, each with the way it takes.
    #[serde(default)]
    calls: Vec<ExpectedCall>,
}

/// A call, who makes it (the first proxy where nobody is named), and the parts of its way that the case is about.
#[derive(Deserialize)]
struct ExpectedCall {
    from: Option<String>,
    /// What a user expects of this call, in a few words.
    because: Option<String>,
    listener: Option<String>,
    chain: Option<String>,
    virtual_host: Option<String>,
    route: Option<String>,
    takes: Option<String>,
    call: Call,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskingProxy {
    name: String,
    #[serde(default = "sidecar")]
    r#type: String,
    #[serde(default = "namespace")]
    namespace: String,
    #[serde(default = "address")]
    ip: String,
    #[serde(default)]
    labels: BTreeMap<String, String>,
    #[serde(default)]
    metadata: BTreeMap<String, Value>,
    /// `region/zone/subzone` as Envoy says it.
    #[serde(default)]
    locality: String,
    /// Extensions that the proxy lists; none means a build of Istio's.
    #[serde(default)]
    extensions: Vec<String>,
}

fn sidecar() -> String {
    "sidecar".to_owned()
}

fn namespace() -> String {
    "default".to_owned()
}

fn address() -> String {
    "10.0.0.9".to_owned()
}

/// The folder of all cases.
pub fn folder() -> PathBuf {
    testkit::workspace().join("tests/golden")
}

/// Every case, as paths below [`folder`]: `area/case`.
pub fn cases() -> Result<Vec<PathBuf>> {
    let mut cases = Vec::new();
    for area in entries(&folder())? {
        for case in entries(&area)? {
            ensure!(case.join("case.yaml").is_file(), "{} has no case.yaml", case.display());
            cases.push(case);
        }
    }
    Ok(cases)
}

fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut entries: Vec<PathBuf> = std::fs::read_dir(folder)
        .with_context(|| folder.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    entries.sort();
    Ok(entries)
}

/// The nodes of a case, each with what it gets where it lists these extensions.
pub fn generated(folder: &Path, extensions: &[String]) -> Result<Vec<(Value, Resources)>> {
    let case = Case::read(folder)?;
    let mesh = case.mesh(folder)?;
    let of_node = |node: Value| {
        let resources = generate_as(&mesh, &node, extensions)?;
        Ok((node, resources))
    };
    case.proxies.iter().map(AskingProxy::node).map(of_node).collect()
}

/// Checks one case, or writes what it generates. An error says what differs.
pub fn check(folder: &Path, update: bool) -> Result<()> {
    let case = Case::read(folder)?;
    ensure!(case.about.len() > 15, "`about` says in a sentence what a user expects");
    ensure!(
        !(case.show.is_empty() && case.calls.is_empty() && case.expect.is_empty()),
        "the case neither shows nor expects nor calls anything"
    );
    let asks = |name: &String| case.proxies.iter().any(|proxy| proxy.name == *name);
    let named = case.calls.iter().filter_map(|call| call.from.as_ref());
    for name in named.chain(case.expect.iter().filter_map(|expected| expected.from.as_ref())) {
        ensure!(asks(name), "no proxy of the case is called {name}");
    }
    let mesh = case.mesh(folder)?;
    let mut wanted_files = BTreeSet::new();
    for (place, proxy) in case.proxies.iter().enumerate() {
        let file = folder.join("want").join(format!("{}.yaml", proxy.name));
        let all = generate_as(&mesh, &proxy.node(), &proxy.extensions)?;
        let calls = case
            .calls
            .iter()
            .filter(|call| call.from.as_ref().map_or(place == 0, |name| *name == proxy.name))
            .map(|call| call.check(&all));
        let expected = case
            .expect
            .iter()
            .filter(|expected| expected.from.as_ref().is_none_or(|name| *name == proxy.name))
            .map(|expected| expected.check(&all));
        let failures: Vec<String> =
            calls.chain(expected).filter_map(|result| Some(format!("{:#}", result.err()?))).collect();
        ensure!(failures.is_empty(), "{} ({}): {}", case.about.trim(), proxy.name, failures.join("\n  "));
        if case.show.is_empty() {
            continue;
        }
        wanted_files.insert(file.clone());
        let mut shown = BTreeMap::new();
        for pattern in &case.show {
            let before = shown.len();
            for (kind, of_kind) in &all {
                for (name, resource) in of_kind {
                    let full = format!("{kind} {name}");
                    if fits(pattern, &full) {
                        shown.insert(full, resource.clone());
                    }
                }
            }
            ensure!(shown.len() > before, "`show: {pattern}` matches nothing that {} gets", proxy.name);
        }
        let got = serde_yaml::to_string(&shown)?;
        if update {
            std::fs::create_dir_all(folder.join("want"))?;
            std::fs::write(&file, &got)?;
            continue;
        }
        let want = std::fs::read_to_string(&file).with_context(|| {
            format!("{} is missing; `cargo xtask golden --update` writes it", file.display())
        })?;
        if want != got {
            bail!("{} ({}) differs:\n{}", file.display(), case.about, testkit::diff::lines(&want, &got));
        }
    }
    let want = folder.join("want");
    let files = if want.is_dir() { entries(&want)? } else { Vec::new() };
    for file in files {
        if !wanted_files.contains(&file) {
            ensure!(update, "{} belongs to no proxy of the case", file.display());
            std::fs::remove_file(&file)?;
        }
    }
    Ok(())
}

impl Case {
    fn read(folder: &Path) -> Result<Self> {
        Ok(serde_yaml::from_str(&std::fs::read_to_string(folder.join("case.yaml"))?)?)
    }

    /// The objects of the case under its switches.
    fn mesh(&self, folder: &Path) -> Result<Mesh> {
        let objects = config::yaml::documents(&std::fs::read_to_string(folder.join("input.yaml"))?)
            .map_err(|error| anyhow::anyhow!("input.yaml: {error}"))?;
        mesh_under(&objects, self.base()?)
    }

    /// What the process was started with.
    fn base(&self) -> Result<Base> {
        let mut base = Base::default();
        let f = &mut base.features;
        for (name, on) in &self.switches {
            let switch = match name.as_str() {
                "PILOT_SEND_UNHEALTHY_ENDPOINTS" => &mut f.send_unhealthy_endpoints,
                "PILOT_ENABLE_PERSISTENT_SESSION_FILTER" => &mut f.persistent_session_filter,
                "PILOT_ENABLE_MONGO_FILTER" => &mut f.mongo_filter,
                "PILOT_ENABLE_MYSQL_FILTER" => &mut f.mysql_filter,
                "PILOT_ENABLE_REDIS_FILTER" => &mut f.redis_filter,
                "PILOT_ENABLE_QUIC_LISTENERS" => &mut f.quic_listeners,
                "PILOT_ENABLE_WORKLOAD_ENTRY_HEALTHCHECKS" => &mut f.workload_entry_health_checks,
                "PILOT_FILTER_GATEWAY_CLUSTER_CONFIG" => &mut f.filter_gateway_cluster_config,
                "ENABLE_TLS_ON_SIDECAR_INGRESS" => &mut f.tls_on_sidecar_ingress,
                "PILOT_HTTP10" => &mut f.http10,
                "ISTIO_DUAL_STACK" => &mut f.dual_stack,
                "PILOT_ENABLE_MULTIPLE_CUSTOM_AUTHZ_PROVIDERS" => &mut f.multiple_custom_providers,
                _ => bail!("no case may set {name} yet; name it in {}", file!()),
            };
            *switch = *on;
        }
        f.compliance = match self.compliance.as_str() {
            "" => Compliance::None,
            "fips-140-2" => Compliance::Fips140,
            "pqc" => Compliance::PostQuantum,
            other => bail!("there is no policy {other}"),
        };
        Ok(base)
    }
}

impl ExpectedCall {
    /// Compares those parts of the way that the case names.
    fn check(&self, resources: &Resources) -> Result<()> {
        let way = simulate(resources, &self.call);
        let parts = [
            ("listener", &self.listener, &way.listener),
            ("chain", &self.chain, &way.chain),
            ("virtual_host", &self.virtual_host, &way.virtual_host),
            ("route", &self.route, &way.route),
            ("takes", &self.takes, &way.takes),
        ];
        ensure!(
            parts.iter().any(|(_, want, _)| want.is_some()),
            "a call without expectation: {:?}",
            self.call
        );
        for (part, want, got) in parts {
            let because = self.because.as_deref().unwrap_or_default();
            if want.as_ref().is_some_and(|want| want != got) {
                bail!("{:?}: {part} should be {want:?}, not {got:?} ({because}); {way:?}", self.call);
            }
        }
        Ok(())
    }
}

impl AskingProxy {
    fn node(&self) -> Value {
        let (ns, ip) = (&self.namespace, &self.ip);
        let mut metadata = json!({
            "NAMESPACE": ns, "INSTANCE_IPS": ip, "CLUSTER_ID": "Kubernetes", "ISTIO_VERSION": "1.30.0",
            "LABELS": self.labels,
        });
        for (key, value) in &self.metadata {
            metadata[key] = value.clone();
        }
        let mut parts = self.locality.split('/');
        let mut part = || parts.next().unwrap_or_default();
        json!({
            "locality": {"region": part(), "zone": part(), "sub_zone": part()},
            "id": format!("{}~{ip}~{}.{ns}~{ns}.svc.cluster.local", self.r#type, self.name),
            "cluster": format!("{}.{ns}", self.name),
            "metadata": metadata,
        })
    }
}
