//! `trierarch discovery`: sources, control thread and servers wired together; a graceful stop on SIGTERM and SIGINT.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result, bail};
use config::SourceEvent;
use file_io::FolderSource;
use kube_io::{KubernetesSource, LockKind};
use mesh::Base;
use serde_json::json;
use server::{
    Ads, AdsOptions, AuthorityHolder, CertificateMetrics, ClusterMetrics, Connections, Debug, Metrics,
    RegistrationMetrics, Version, WebhookMetrics, monitoring_router, readiness_router,
};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::cli::Discovery;
use crate::control::{Control, Event};
use crate::features::{debounce, features, max_streams_per_second, parse_flag, push_throttle, send_timeout};
use crate::injection::{Live, Settings};
use crate::leadership::Leadership;
use crate::registration::{self, Registrar};
use crate::remotes::Remotes;
use crate::security::kubernetes::ConfigMaps;
use crate::security::{self, Bundles, Secure, Webhooks};
use crate::sources::{Origin, Sources};
use crate::state::{Ports, State};
use crate::statuses::{self, Part};
use crate::webhooks::{Keeper, Options as KeptWebhooks};
use crate::{addresses, jwks, logging, remotes, version};

/// Servers that run until they are told to stop.
type Tasks = tokio::task::JoinSet<Result<()>>;

/// How long answers over HTTP may take to end once all streams are gone.
const LAST_PROBES: Duration = Duration::from_millis(500);
/// How long it may take to write that machines are no longer connected.
const LAST_WRITES: Duration = Duration::from_secs(2);

/// Serves until a signal comes.
pub(crate) async fn run(options: Discovery, unknown_flags: Vec<String>) -> Result<()> {
    logging::start(&options.log_output_level, options.log_as_json)?;
    tracing::info!("trierarch {} starts", version());
    for flag in unknown_flags {
        tracing::warn!("the flag {flag} is not known and passed over");
    }
    let origins = origins(&options, std::env::var_os("KUBERNETES_SERVICE_HOST").is_some())?;
    let environment = |name: &str| std::env::var(name).ok();
    let n_cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let (mut features, mut problems) = features(&environment);
    features.cluster_id.clone_from(&options.cluster_id);
    let (debounce, more) = debounce(&environment);
    problems.extend(more);
    let (throttle, more) = push_throttle(&environment, n_cores);
    problems.extend(more);
    let (max_streams_per_second, more) = max_streams_per_second(&environment);
    problems.extend(more);
    let (write_timeout, more) = send_timeout(&environment);
    problems.extend(more);
    let (security_settings, more) =
        security::Settings::read(&environment, options.security(), features.compliance)?;
    problems.extend(more);
    let (jwks_settings, more) = jwks::Settings::read(&environment);
    problems.extend(more);
    let (registration, more) =
        registration::Options::read(own_name(&environment), options.max_connection_age, &environment);
    problems.extend(more);
    let of_secrets = options.cluster_registries_namespace.as_ref().unwrap_or(&options.namespace);
    let (remote_settings, more) = remotes::Settings::read(&environment, of_secrets, &options.cluster_id);
    problems.extend(more);
    for problem in problems {
        tracing::warn!("{problem}");
    }
    let base = Base {
        features,
        domain: options.domain.clone(),
        namespace: options.namespace.as_str().into(),
        revision: options.revision.clone(),
        shared_config_map: environment("SHARED_MESH_CONFIG").unwrap_or_default(),
    };

    let version = Version {
        version: version().to_owned(),
        revision: option_env!("TRIERARCH_REVISION").unwrap_or("unknown").to_owned(),
        status: "Clean".to_owned(),
    };
    let metrics = Metrics::new(&version.to_string()).context("the metrics cannot be registered")?;
    let state = Arc::new(State::default());
    let cluster_metrics = ClusterMetrics::new(metrics.registry()).context("the metrics of clusters")?;
    let runtime = tokio::runtime::Handle::current();
    let remotes = |events| {
        let launch = remotes::launcher(&remote_settings, &options.revision, runtime, events);
        let known = Arc::clone(&state.clusters);
        origins
            .contains(&Origin::Kubernetes)
            .then(|| Remotes::new(remote_settings, launch, cluster_metrics, known))
    };
    let sources = Sources::new(origins.clone());
    let control = Control::start(base, sources, remotes, debounce, metrics.clone(), Arc::clone(&state))?;
    let fetching = jwks_settings.clone();
    jwks_settings.start(&state, control.events(), metrics.clone())?;
    let cluster = options.cluster_id.clone();
    let ports = Arc::new(Ports { state: Arc::clone(&state), events: control.events(), cluster });
    let connections = Arc::new(Connections::default());
    let injector = Settings::read(&options.namespace, &options.revision, &environment);
    let injector = Arc::new(Live::new(Arc::clone(&state), injector));
    let api_server = if origins.contains(&Origin::Kubernetes) {
        Some(kube_io::connect(options.kubeconfig.as_deref()).await?)
    } else {
        None
    };
    let gate = security::gate(
        &security_settings,
        Arc::clone(&state) as _,
        api_server.clone(),
        &options.cluster_id,
        Arc::clone(&state.clusters),
        |issuer, uri| fetching.keys_of_issuer(issuer, uri, metrics.clone()),
    )?;
    let access = security_settings.debug_access(&gate, &options.namespace);
    let debug = Arc::new(Debug::new(Arc::clone(&connections), Arc::clone(&ports) as _, access));

    let (stop, stopped) = watch::channel(false);
    let mut tasks = Tasks::new();
    // Probes get an answer until the last stream has gone.
    let (stop_http, http_stopped) = watch::channel(false);
    let mut http = Tasks::new();
    // Both HTTP servers listen before configuration is read, so that probes get an answer.
    let monitoring = monitoring_router(metrics.clone(), version.clone(), Arc::clone(&debug));
    let shown = security_settings.debug_on_http.then(|| Arc::clone(&debug));
    let mut readiness = readiness_router(Arc::clone(&ports) as _, shown);
    let mut webhooks = None;
    let calls = server::injection_router(injector, metrics.registry()).context("the metrics of injection")?;
    let judgements = server::validation_router(metrics.registry()).context("the metrics of validation")?;
    let calls = calls.merge(judgements);
    if options.https_addr.is_empty() {
        // As istiod: without a port of their own the webhooks are here.
        readiness = readiness.merge(calls);
    } else if options.secure_grpc_addr.is_empty() {
        tracing::warn!("webhooks are not served: their certificate comes with --secureGRPCAddr");
    } else {
        let listener = listen(&options.https_addr, "--httpsAddr").await?;
        let ready = readiness_router(Arc::clone(&ports) as _, None);
        webhooks =
            Some(Webhooks { listener, router: calls.merge(ready), stop: Box::pin(until(stopped.clone())) });
    }
    if options.monitoring_addr.is_empty() {
        readiness = monitoring_router_at_readiness(readiness, monitoring);
    } else {
        let listener = listen(&options.monitoring_addr, "--monitoringAddr").await?;
        let serving = server::serve_http(listener, monitoring, until(http_stopped.clone()));
        http.spawn(async move { Ok(serving.await?) });
    }
    let listener = listen(&options.http_addr, "--httpAddr").await?;
    let serving = server::serve_http(listener, readiness, until(http_stopped));
    http.spawn(async move { Ok(serving.await?) });

    let folder = match &options.config_dir {
        Some(folder) => {
            let source = FolderSource::start(folder, taker(&control, Origin::Folder))
                .with_context(|| format!("--configDir {}", folder.display()))?;
            tracing::info!("configuration comes from {}", folder.display());
            Some(source)
        }
        None => None,
    };
    let mut leadership = None;
    let (authority, bundles) = (AuthorityHolder::default(), Bundles::default());
    let kubernetes = if let Some(client) = api_server.clone() {
        leadership = Some(controllers(&client, &options, &state, &environment));
        tracing::info!("configuration comes from the API server");
        let ours = kube_io::Options { revision: options.revision.clone(), ..kube_io::Options::default() };
        Some(KubernetesSource::start(client, ours, taker(&control, Origin::Kubernetes)))
    } else {
        None
    };

    let counters = RegistrationMetrics::new(metrics.registry()).context("the metrics of registration")?;
    let registrar = Registrar::new(api_server.clone(), registration.clone(), counters.clone());
    if let Some(leadership) = &mut leadership {
        tokio::spawn(registrar.clone().follow(Arc::clone(&state)));
        let state = Arc::clone(&state);
        leadership.run(LockKind::Lease, registration::LOCK, move |client| {
            registration::sweep(client, Arc::clone(&state), registration.clone(), counters.clone())
        });
    }

    let serves_grpc = !options.grpc_addr.is_empty() || !options.secure_grpc_addr.is_empty();
    if serves_grpc {
        let started = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let ads = Ads::with_debug_types(
            ports,
            connections,
            metrics.clone(),
            AdsOptions {
                max_streams_per_second,
                push_throttle: throttle,
                keepalive_interval: options.keepalive_interval,
                keepalive_timeout: options.keepalive_timeout,
                max_connection_age: options.max_connection_age,
                // The second half is for those that are slow to go.
                drain: options.shutdown_duration / 2,
                write_timeout,
                nonce_prefix: format!("{:x}-", started.as_nanos()),
                ..AdsOptions::default()
            },
            debug,
            identifier(&version),
        )
        .with_workloads(Arc::new(registrar.clone()));
        let plain = if security_settings.authenticate_plaintext {
            ads.behind(Arc::clone(&gate))
        } else {
            ads.clone()
        };
        if !options.secure_grpc_addr.is_empty() {
            let listener = listen(&options.secure_grpc_addr, "--secureGRPCAddr").await?;
            security_settings.check(api_server.is_some())?;
            if let Some(leadership) = &mut leadership {
                let (state, bundles) = (Arc::clone(&state), bundles.subscribe());
                let names = ConfigMaps {
                    roots: security_settings.root_config_map.clone(),
                    revoked: security_settings.revocation_config_map.clone(),
                };
                leadership.run(LockKind::ConfigMap, security::kubernetes::LOCK, move |client| {
                    security::kubernetes::keep_roots(
                        client,
                        Arc::clone(&state),
                        bundles.clone(),
                        names.clone(),
                    )
                });
            }
            let mut served = authority.watch();
            if let Some(client) = api_server.clone().filter(|_| webhooks.is_some()) {
                let kept = KeptWebhooks::read(&options.namespace, &options.revision, &environment);
                let counters = WebhookMetrics::new(metrics.registry()).context("the metrics of webhooks")?;
                let keeper = Keeper::new(client, kept, counters);
                if security_settings.serves_own() {
                    let (known, when_known) = watch::channel(None);
                    tokio::spawn(keeper.run(authority.watch(), known));
                    served = when_known;
                } else {
                    tokio::spawn(keeper.run(security::roots_of(bundles.subscribe()), watch::channel(None).0));
                }
            }
            let secure = Secure {
                settings: security_settings,
                state: Arc::clone(&state),
                ads,
                gate,
                metrics: CertificateMetrics::new(metrics.registry()).context("the metrics of the CA")?,
                client: api_server,
                authority,
                served,
                bundles,
                namespace: options.namespace.clone(),
                revision: options.revision.clone(),
                webhooks,
            };
            tasks.spawn(secure.serve(listener, until(stopped.clone())));
        }
        if !options.grpc_addr.is_empty() {
            let listener = listen(&options.grpc_addr, "--grpcAddr").await?;
            let serving = server::serve_ads(listener, plain, until(stopped));
            tasks.spawn(async move { Ok(serving.await?) });
        }
    }

    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM cannot be awaited")?;
    let ended = async |set: &mut Tasks| match set.join_next().await {
        Some(Ok(ended)) => ended,
        Some(Err(error)) => Err(error.into()),
        None => std::future::pending().await,
    };
    let result: Result<()> = tokio::select! {
        _ = terminate.recv() => Ok(()),
        result = tokio::signal::ctrl_c() => result.context("SIGINT cannot be awaited"),
        result = ended(&mut tasks) => result,
        result = ended(&mut http) => result,
    };
    tracing::info!("stopping; streams have {:?} to end", options.shutdown_duration);
    state.stop();
    stop.send_replace(true);
    if tokio::time::timeout(options.shutdown_duration, all_ended(&mut tasks)).await.is_err() {
        tracing::warn!("some streams did not end in time and are cut off");
    }
    // Who does not come back elsewhere is cleaned up the sooner.
    let _ = tokio::time::timeout(LAST_WRITES, registrar.settle()).await;
    if let Some(leadership) = leadership {
        leadership.release().await;
    }
    stop_http.send_replace(true);
    let _ = tokio::time::timeout(LAST_PROBES, all_ended(&mut http)).await;
    drop((folder, kubernetes));
    drop(control);
    result
}

/// Starts what only one replica does; each controller has a lock of its own.
fn controllers(
    client: &kube_io::Client,
    options: &Discovery,
    state: &Arc<State>,
    environment: &dyn Fn(&str) -> Option<String>,
) -> Leadership {
    let mut problems = Vec::new();
    let is_elected = parse_flag(environment, "ENABLE_LEADER_ELECTION", true, &mut problems);
    let identity = own_name(environment);
    let mut leadership = Leadership::new(client.clone(), options.namespace.clone(), identity, is_elected);
    let (prefixes, more) = addresses::prefixes(environment);
    problems.extend(more);
    if let Some(prefixes) = prefixes {
        let state = Arc::clone(state);
        leadership.run(LockKind::ConfigMap, addresses::LOCK, move |client| {
            addresses::run(client, Arc::clone(&state), prefixes)
        });
    }
    let revision = if options.revision.is_empty() { "default" } else { &options.revision };
    let mut statuses = |kind, lock: &str, part| {
        let (state, revision) = (Arc::clone(state), revision.to_owned());
        leadership
            .run(kind, lock, move |client| statuses::run(client, Arc::clone(&state), part, revision.clone()));
    };
    if parse_flag(environment, "PILOT_ENABLE_GATEWAY_API_STATUS", true, &mut problems) {
        let lock = format!("{}-{revision}", statuses::GATEWAY_LOCK);
        statuses(LockKind::Lease, &lock, Part::GatewayApi);
    }
    statuses(LockKind::ConfigMap, statuses::INGRESS_LOCK, Part::Ingress);
    for problem in problems {
        tracing::warn!("{problem}");
    }
    leadership
}

/// What this replica is called by in what it writes.
fn own_name(environment: &dyn Fn(&str) -> Option<String>) -> String {
    let host =
        || format!("unknown-{}", environment("HOSTNAME").unwrap_or_else(|| std::process::id().to_string()));
    environment("POD_NAME").filter(|name| !name.is_empty()).unwrap_or_else(host)
}

/// What this replica calls itself, as `istioctl` reads it.
fn identifier(version: &Version) -> String {
    let host = || std::env::var("HOSTNAME").unwrap_or_else(|_| std::process::id().to_string());
    let id = std::env::var("POD_NAME").ok().filter(|name| !name.is_empty()).unwrap_or_else(host);
    let Version { version, revision, status } = version;
    json!({
        "Component": "istiod",
        "ID": id,
        "Info": {"version": version, "revision": revision, "golang_version": "", "status": status, "tag": version},
    })
    .to_string()
}

async fn all_ended(tasks: &mut Tasks) {
    while tasks.join_next().await.is_some() {}
}

/// Hands on what a source says.
fn taker(control: &Control, origin: Origin) -> impl FnMut(SourceEvent) + Send + 'static {
    let events = control.events();
    move |event| {
        let _ = events.send(Event::Source(origin, event));
    }
}

/// Which sources there are.
fn origins(options: &Discovery, is_in_a_pod: bool) -> Result<BTreeSet<Origin>> {
    let mut origins = BTreeSet::new();
    if options.config_dir.is_some() {
        origins.insert(Origin::Folder);
    }
    if let Some(unknown) =
        options.registries.iter().find(|name| !matches!(name.as_str(), "Kubernetes" | "Mock" | ""))
    {
        bail!("--registries {unknown:?} is not known; use Kubernetes or Mock");
    }
    let is_asked_for = options.registries.iter().any(|name| name == "Kubernetes");
    let is_meant = options.registries.is_empty()
        && (options.config_dir.is_none() || options.kubeconfig.is_some() || is_in_a_pod);
    if is_asked_for || is_meant {
        origins.insert(Origin::Kubernetes);
    }
    if origins.is_empty() {
        bail!("no source of configuration: --registries Mock needs a folder of YAML files by --configDir");
    }
    Ok(origins)
}

/// With an empty `--monitoringAddr` its pages are served beside readiness.
fn monitoring_router_at_readiness(readiness: axum::Router, monitoring: axum::Router) -> axum::Router {
    readiness.fallback_service(monitoring)
}

async fn until(mut stopped: watch::Receiver<bool>) {
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Listens at `host:port`; an empty host is every address, as Go writes it.
async fn listen(address: &str, flag: &str) -> Result<TcpListener> {
    let listener = match address.strip_prefix(':') {
        Some(port) => {
            let port: u16 = port.parse().with_context(|| format!("{flag} {address:?} is not host:port"))?;
            // The IPv6 wildcard takes IPv4 too; where there is no IPv6 the other has to do.
            match TcpListener::bind(SocketAddr::from(([0_u16; 8], port))).await {
                Ok(listener) => Ok(listener),
                Err(_) => TcpListener::bind(SocketAddr::from(([0_u8; 4], port))).await,
            }
        }
        None => TcpListener::bind(address).await,
    };
    let listener = listener.with_context(|| format!("cannot listen at {flag} {address:?}"))?;
    tracing::info!("{flag} is {}", listener.local_addr().map(|a| a.to_string()).unwrap_or_default());
    Ok(listener)
}
