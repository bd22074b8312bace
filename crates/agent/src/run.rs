//! One agent from start to stop.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{Notify, watch};

use crate::dns::{self, Table};
use crate::envoy::Envoy;
use crate::relay::{Names, Relay};
use crate::sds::Sds;
use crate::status::{self, Status};
use crate::{Settings, bootstrap, files, renewal, socket};

/// Why an agent ended other than by being asked to.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AgentError {
    /// A folder or the bootstrap could not be written.
    #[error("{path} cannot be written")]
    Write {
        /// Which.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A socket could not be opened.
    #[error("cannot listen at {0}")]
    Listen(String, #[source] io::Error),
    /// Envoy did not start.
    #[error("{} cannot be started; name Envoy by --binaryPath", .0.display())]
    Start(PathBuf, #[source] io::Error),
    /// Envoy ended by itself.
    #[error("Envoy ended by itself with {0}; its last lines say why")]
    Envoy(ExitStatus),
    /// Something else of the system.
    #[error(transparent)]
    System(#[from] io::Error),
    /// A socket stopped being served.
    #[error("a socket is served no more")]
    Serve(#[source] tonic::transport::Error),
}

/// Runs until SIGTERM, SIGINT or `/quitquitquit`, then drains. An Envoy that ends by itself is an error.
pub async fn run(settings: Settings) -> Result<(), AgentError> {
    let folder = |path: &Path| {
        files::private_folder(path).map_err(|source| AgentError::Write { path: path.to_owned(), source })
    };
    folder(&settings.config_folder)?;
    folder(&settings.secrets_folder)?;
    let ads = absolute(&settings.config_folder.join("XDS"))?;
    let sds = absolute(&settings.secrets_folder.join("socket"))?;
    let bind = |path: &Path| {
        socket::listen(path).map_err(|error| AgentError::Listen(path.display().to_string(), error))
    };
    let (ads_listener, sds_listener) = (bind(&ads)?, bind(&sds)?);
    let address = settings.ports.agent;
    let listener = TcpListener::bind(address).await;
    let listener = listener.map_err(|error| AgentError::Listen(address.to_string(), error))?;

    let (table, tables) = watch::channel(Arc::<Table>::default());
    let names = settings.names.as_ref().map(|_| Names {
        publish: table,
        namespace: settings.node.namespace.clone(),
        domain: settings.node.domain.clone(),
    });
    let answering = name_service(&settings, tables).await?;

    let (publish, secrets) = watch::channel(None);
    let keeping = renewal::keep(settings.control_plane.clone(), settings.certificates.clone(), publish);
    let relay = Relay::new(settings.control_plane.clone(), secrets.clone(), names);
    let status = Arc::new(Status {
        admin: settings.envoy.as_ref().map(|_| settings.ports.admin),
        secrets: secrets.clone(),
        draining: AtomicBool::new(false),
        stop: Notify::new(),
    });
    let pages = status::router(Arc::clone(&status)).into_make_service_with_connect_info::<SocketAddr>();

    let mut envoy = match &settings.envoy {
        Some(envoy) => {
            let path = absolute(&settings.config_folder.join("envoy-rev.json"))?;
            let text = bootstrap::bootstrap(&settings.node, settings.ports, &ads, &sds);
            files::write_private(&path, &format!("{text:#}\n"))
                .map_err(|source| AgentError::Write { path: path.clone(), source })?;
            let started = Envoy::start(envoy, &path, settings.ports.admin);
            Some(started.map_err(|error| AgentError::Start(envoy.binary.clone(), error))?)
        }
        None => None,
    };

    let mut terminate = signal(SignalKind::terminate())?;
    let serving = async {
        tokio::select! {
            () = keeping => Ok(()),
            () = answering => Ok(()),
            result = socket::serve(ads_listener, relay) => result.map_err(AgentError::Serve),
            result = socket::serve(sds_listener, Sds::new(secrets)) => result.map_err(AgentError::Serve),
            result = async { axum::serve(listener, pages).await } => result.map_err(AgentError::System),
        }
    };
    let mut serving = std::pin::pin!(serving);
    let ended = async {
        match &mut envoy {
            Some(envoy) => envoy.ended().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        result = &mut serving => return result,
        status = ended => return Err(AgentError::Envoy(status?)),
        _ = terminate.recv() => {}
        result = tokio::signal::ctrl_c() => result?,
        () = status.stop.notified() => {}
    }
    status.draining.store(true, Ordering::Release);
    if let Some(envoy) = &mut envoy {
        // Configuration and secrets go on coming meanwhile; a second signal ends the wait.
        tokio::select! {
            () = envoy.drain(settings.drain) => {}
            result = &mut serving => return result,
            _ = terminate.recv() => tracing::warn!("asked twice; ending at once"),
        }
    }
    for path in [&ads, &sds] {
        let _ = std::fs::remove_file(path);
    }
    tracing::info!("stopped");
    Ok(())
}

/// Opens the sockets of the name service; what is returned serves them, or nothing, until it is dropped.
async fn name_service(
    settings: &Settings,
    tables: watch::Receiver<Arc<Table>>,
) -> Result<impl Future<Output = ()> + use<>, AgentError> {
    let service = match settings.names.clone() {
        Some(names) => {
            let address = names.address;
            let sockets = dns::Sockets::bind(address).await;
            let sockets = sockets.map_err(|error| AgentError::Listen(address.to_string(), error))?;
            Some((sockets, names))
        }
        None => None,
    };
    Ok(async move {
        match service {
            Some((sockets, names)) => sockets.serve(names, tables).await,
            None => std::future::pending().await,
        }
    })
}

/// Envoy may have another working directory.
fn absolute(path: &Path) -> io::Result<PathBuf> {
    std::path::absolute(path)
}
