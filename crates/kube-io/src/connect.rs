//! How to reach the API server: a kubeconfig file, or what surroundings tell (`KUBECONFIG`, the home folder, the
//! service account that is mounted into a pod).

use std::path::{Path, PathBuf};
use std::time::Duration;

use kube::config::{InferConfigError, KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectError {
    /// The file does not tell how to connect.
    #[error("the kubeconfig {} cannot be used", file.display())]
    ReadFile {
        /// The file.
        file: PathBuf,
        /// Why.
        source: Box<KubeconfigError>,
    },
    /// There is neither a kubeconfig nor a service account.
    #[error("no kubeconfig and no service account tell how to reach an API server")]
    Infer {
        /// Why.
        source: Box<InferConfigError>,
    },
    /// What was told does not make a client.
    #[error("the client of the API server cannot be made")]
    MakeClient {
        /// Why.
        source: Box<kube::Error>,
    },
}

/// A client of the API server. Nothing is sent yet.
pub async fn connect(kubeconfig: Option<&Path>) -> Result<Client, ConnectError> {
    let mut config = match kubeconfig {
        Some(file) => {
            let at_fault =
                |source| ConnectError::ReadFile { file: file.to_path_buf(), source: Box::new(source) };
            let read = Kubeconfig::read_from(file).map_err(at_fault)?;
            Config::from_custom_kubeconfig(read, &KubeConfigOptions::default()).await.map_err(at_fault)?
        }
        None => Config::infer().await.map_err(|source| ConnectError::Infer { source: Box::new(source) })?,
    };
    config.connect_timeout = Some(Duration::from_secs(10));
    Client::try_from(config).map_err(|source| ConnectError::MakeClient { source: Box::new(source) })
}
