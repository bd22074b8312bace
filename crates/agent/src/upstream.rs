//! Connections to the control plane over TLS, each with the roots, token and certificate of its moment, so that nothing
//! that was rotated needs a restart.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};
use tonic::transport::{Channel, Endpoint};

use crate::files;
use crate::secrets::Secrets;
use crate::settings::ControlPlane;

/// How long a connection may take to come about.
const CONNECT_LIMIT: Duration = Duration::from_secs(10);
const WINDOW: u32 = 4 << 20;

/// Why the control plane was not reached.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum UpstreamError {
    #[error("the roots of the control plane cannot be read: {0}")]
    Roots(#[source] io::Error),
    #[error("there is no root certificate in {0}")]
    NoRoots(String),
    #[error("the token cannot be read: {0}")]
    Token(#[source] io::Error),
    #[error("the token is not one: it has characters that a header cannot bear")]
    MalformedToken,
    #[error("the TLS settings are not accepted: {0}")]
    Tls(#[from] rustls::Error),
    #[error("{0:?} is no name that a certificate can have")]
    ServerName(String),
    #[error("the control plane at {address} is not reached: {source}")]
    Connect {
        address: String,
        #[source]
        source: tonic::transport::Error,
    },
}

/// Says also what lies below, which `tonic` keeps to itself.
pub(crate) fn full_reason(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut below = error.source();
    while let Some(error) = below {
        let reason = error.to_string();
        if !text.contains(&reason) {
            text = format!("{text}: {reason}");
        }
        below = error.source();
    }
    text
}

/// A connection, and what is presented with each call on it.
pub(crate) struct Connected {
    pub(crate) channel: Channel,
    token: Option<AsciiMetadataValue>,
    cluster_id: Option<AsciiMetadataValue>,
}

impl Connected {
    /// Puts in what proves who calls.
    pub(crate) fn credentials(&self, metadata: &mut MetadataMap) {
        if let Some(token) = &self.token {
            metadata.insert("authorization", token.clone());
        }
        if let Some(cluster_id) = &self.cluster_id {
            metadata.insert("clusterid", cluster_id.clone());
        }
    }
}

impl ControlPlane {
    /// Connects to `address`. The token is the credential where there is one, else the certificate.
    pub(crate) async fn connect(
        &self,
        address: &str,
        secrets: Option<&Secrets>,
    ) -> Result<Connected, UpstreamError> {
        let token = files::token(&self.token).map_err(UpstreamError::Token)?;
        let token = match token {
            Some(token) => {
                let value = AsciiMetadataValue::try_from(format!("Bearer {token}"));
                let mut value = value.map_err(|_| UpstreamError::MalformedToken)?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let config = self.client_config(secrets, token.is_none())?;
        let host = self.host(address);
        let name = ServerName::try_from(host.clone()).map_err(|_| UpstreamError::ServerName(host.clone()))?;
        let connector = TlsConnector::from(Arc::new(config));
        let target = address.to_owned();
        let connect = tower::service_fn(move |_| {
            let (connector, name, target) = (connector.clone(), name.clone(), target.clone());
            async move {
                let stream = TcpStream::connect(&target).await?;
                stream.set_nodelay(true)?;
                Ok::<_, io::Error>(TokioIo::new(connector.connect(name, stream).await?))
            }
        });
        let failed = |source| UpstreamError::Connect { address: address.to_owned(), source };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let channel = Endpoint::try_from(format!("https://{host}"))
            .map_err(failed)?
            .connect_timeout(CONNECT_LIMIT)
            .initial_stream_window_size(WINDOW)
            .initial_connection_window_size(WINDOW)
            .http2_keep_alive_interval(Duration::from_secs(30))
            .keep_alive_timeout(Duration::from_secs(10))
            .keep_alive_while_idle(true)
            .connect_with_connector(connect)
            .await
            .map_err(failed)?;
        let cluster_id = AsciiMetadataValue::try_from(self.cluster_id.clone()).ok();
        Ok(Connected { channel, token, cluster_id: cluster_id.filter(|_| !self.cluster_id.is_empty()) })
    }

    /// The name that the certificate at `address` must have.
    fn host(&self, address: &str) -> String {
        if !self.server_name.is_empty() {
            return self.server_name.clone();
        }
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        host.trim_start_matches('[').trim_end_matches(']').to_owned()
    }

    fn client_config(
        &self,
        secrets: Option<&Secrets>,
        as_certificate: bool,
    ) -> Result<ClientConfig, UpstreamError> {
        let pinned = files::read(&self.roots).map_err(UpstreamError::Roots)?;
        // What the pinned roots vouched for once may go on when they are replaced.
        let learned = secrets.map(|secrets| secrets.roots.as_str()).unwrap_or_default();
        let mut store = RootCertStore::empty();
        for text in [pinned.as_str(), learned] {
            store.add_parsable_certificates(
                CertificateDer::pem_slice_iter(text.as_bytes()).filter_map(Result::ok),
            );
        }
        if store.is_empty() {
            return Err(UpstreamError::NoRoots(self.roots.display().to_string()));
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(store);
        let identity = secrets.filter(|_| as_certificate).and_then(|secrets| {
            let chain =
                CertificateDer::pem_slice_iter(secrets.chain.as_bytes()).collect::<Result<Vec<_>, _>>();
            Some((chain.ok()?, PrivateKeyDer::from_pem_slice(secrets.key.as_bytes()).ok()?))
        });
        let mut config = match identity {
            Some((chain, key)) => builder.with_client_auth_cert(chain, key)?,
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = vec![b"h2".to_vec()];
        Ok(config)
    }
}
