//! One GET, bounded in every way. A name is resolved here, its addresses are judged, and the connection is made to an
//! address that was judged: a name that answers differently a moment later leads nowhere else. Each redirect is judged
//! anew.

use std::future::poll_fn;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::body::{Body as _, Incoming};
use hyper::header::{ACCEPT, CONTENT_LENGTH, HOST, LOCATION};
use hyper::{Request, Response, Uri};
use hyper_util::rt::TokioIo;
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;

use crate::Guard;

/// What a client is told.
#[derive(Clone, Debug)]
pub struct Options {
    /// Which addresses it may ask.
    pub guard: Guard,
    /// Authorities besides those of the system, in PEM, if the file is there.
    pub extra_roots: Option<PathBuf>,
    /// How long one fetch may take, with everything in it.
    pub time: Duration,
    /// The longest answer, in bytes.
    pub size: usize,
    /// How often one may be sent elsewhere.
    pub redirects: usize,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            guard: Guard::default(),
            extra_roots: None,
            time: Duration::from_secs(10),
            size: 1 << 20,
            redirects: 3,
        }
    }
}

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// The file of further authorities is not one.
    #[error("the authorities in {} cannot be read: {reason}", file.display())]
    ReadRoots {
        /// The file.
        file: PathBuf,
        /// Why.
        reason: String,
    },
    /// TLS cannot be set up.
    #[error("TLS cannot be set up")]
    SetUpTls(#[from] rustls::Error),
}

/// Why a fetch failed. Quotes nothing of what was answered.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FetchError {
    /// It is no URI that keys can be fetched from.
    #[error("{uri:?} is no http or https URI with a host")]
    Uri {
        /// As it was written.
        uri: String,
    },
    /// It leads to where nobody may be asked.
    #[error(
        "{host} is at {address}, an address inside; if it is meant, allow it by TRIERARCH_JWKS_ALLOWED_CIDRS"
    )]
    Refused {
        /// The host.
        host: String,
        /// Its address.
        address: IpAddr,
    },
    /// The name has no address.
    #[error("{host} cannot be resolved: {reason}")]
    Resolve {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// Nobody answers there, or not as HTTP or TLS have it.
    #[error("{host} does not answer: {reason}")]
    Connect {
        /// The host.
        host: String,
        /// Why.
        reason: String,
    },
    /// The answer is none of success.
    #[error("{host} answers with status {status}")]
    Status {
        /// The host.
        host: String,
        /// The status.
        status: u16,
    },
    /// It leads on and on, or from TLS to plain text.
    #[error("{host} sends elsewhere too often, or out of TLS")]
    Redirect {
        /// The host.
        host: String,
    },
    /// The answer is too long.
    #[error("{host} answers with more than {limit} bytes")]
    Size {
        /// The host.
        host: String,
        /// How much is taken.
        limit: usize,
    },
    /// It took too long.
    #[error("there was no answer within {0:?}")]
    Time(Duration),
    /// It is no key set, or none that says where the keys are.
    #[error("what {uri} answers holds no keys")]
    Content {
        /// Where that came from.
        uri: String,
    },
}

/// Fetches.
#[derive(Clone)]
pub struct Client {
    options: Options,
    tls: TlsConnector,
}

/// Ends a task with whoever started it.
struct Driven(JoinHandle<()>);

impl Drop for Driven {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A URI taken apart.
struct Target {
    uri: Uri,
    is_tls: bool,
    host: String,
    port: u16,
}

impl Client {
    /// A client that trusts the authorities of the system and those of the file.
    pub fn new(options: Options) -> Result<Self, ClientError> {
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if let Some(file) = options.extra_roots.as_ref().filter(|file| file.exists()) {
            let fault = |reason: String| ClientError::ReadRoots { file: file.clone(), reason };
            for certificate in
                CertificateDer::pem_file_iter(file).map_err(|error| fault(error.to_string()))?
            {
                let certificate = certificate.map_err(|error| fault(error.to_string()))?;
                roots.add(certificate).map_err(|error| fault(error.to_string()))?;
            }
        }
        let config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(Self { options, tls: TlsConnector::from(Arc::new(config)) })
    }

    /// What stands at a URI.
    pub async fn get(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        let all = timeout(self.options.time, self.follow(uri));
        all.await.unwrap_or(Err(FetchError::Time(self.options.time)))
    }

    async fn follow(&self, uri: &str) -> Result<Vec<u8>, FetchError> {
        let mut target = Target::parse(uri)?;
        for _ in 0..=self.options.redirects {
            let (response, _driven) = self.ask(&target).await?;
            let status = response.status();
            if status.is_success() {
                return self.read(&target.host, response).await;
            }
            if !status.is_redirection() {
                return Err(FetchError::Status { host: target.host, status: status.as_u16() });
            }
            target = target.led_on(&response)?;
        }
        Err(FetchError::Redirect { host: target.host })
    }

    async fn ask(&self, target: &Target) -> Result<(Response<Incoming>, Driven), FetchError> {
        let fault = |reason: String| FetchError::Connect { host: target.host.clone(), reason };
        let mut last = fault("it has no address".to_owned());
        for address in self.addresses(target).await? {
            let stream = match TcpStream::connect(address).await {
                Ok(stream) => stream,
                Err(error) => {
                    last = fault(error.to_string());
                    continue;
                }
            };
            if !target.is_tls {
                return target.send(stream).await;
            }
            let name = ServerName::try_from(target.host.clone()).map_err(|error| fault(error.to_string()))?;
            let stream = self.tls.connect(name, stream).await.map_err(|error| fault(error.to_string()))?;
            return target.send(stream).await;
        }
        Err(last)
    }

    /// Addresses that may be connected to; the error says which one is refused if there is no other.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>, FetchError> {
        let host = &target.host;
        let all: Vec<SocketAddr> = match host.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, target.port)],
            Err(_) => tokio::net::lookup_host((host.as_str(), target.port))
                .await
                .map_err(|error| FetchError::Resolve { host: host.clone(), reason: error.to_string() })?
                .collect(),
        };
        let (good, bad): (Vec<_>, Vec<_>) =
            all.into_iter().partition(|address| self.options.guard.permits(address.ip()));
        match (good.is_empty(), bad.first()) {
            (true, Some(refused)) => Err(FetchError::Refused { host: host.clone(), address: refused.ip() }),
            _ => Ok(good),
        }
    }

    async fn read(&self, host: &str, response: Response<Incoming>) -> Result<Vec<u8>, FetchError> {
        let limit = self.options.size;
        let too_long = || FetchError::Size { host: host.to_owned(), limit };
        let stated = response.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok());
        if stated.and_then(|length| length.parse::<usize>().ok()).is_some_and(|length| length > limit) {
            return Err(too_long());
        }
        let mut body = pin!(response.into_body());
        let mut all = Vec::new();
        while let Some(frame) = poll_fn(|context| body.as_mut().poll_frame(context)).await {
            let frame = frame
                .map_err(|error| FetchError::Connect { host: host.to_owned(), reason: error.to_string() })?;
            let Ok(data) = frame.into_data() else { continue };
            if all.len() + data.len() > limit {
                return Err(too_long());
            }
            all.extend_from_slice(&data);
        }
        Ok(all)
    }
}

impl Target {
    fn parse(text: &str) -> Result<Self, FetchError> {
        let fault = || FetchError::Uri { uri: text.chars().take(200).collect() };
        let uri: Uri = text.parse().map_err(|_| fault())?;
        let is_tls = match uri.scheme_str() {
            Some("https") => true,
            Some("http") => false,
            _ => return Err(fault()),
        };
        // Credentials in a URI are not sent, and may be meant to mislead whoever reads it.
        let authority = uri.authority().filter(|authority| !authority.as_str().contains('@'));
        let host = authority.ok_or_else(fault)?.host();
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        if host.is_empty() {
            return Err(fault());
        }
        let port = uri.port_u16().unwrap_or(if is_tls { 443 } else { 80 });
        Ok(Self { uri, is_tls, host, port })
    }

    /// Where a response sends.
    fn led_on(&self, response: &Response<Incoming>) -> Result<Self, FetchError> {
        let fault = || FetchError::Redirect { host: self.host.clone() };
        let location = response.headers().get(LOCATION).and_then(|text| text.to_str().ok());
        let location = location.ok_or_else(fault)?;
        let next = if location.starts_with('/') && !location.starts_with("//") {
            let authority = self.uri.authority().ok_or_else(fault)?;
            Self::parse(&format!("{}://{authority}{location}", if self.is_tls { "https" } else { "http" }))
        } else {
            Self::parse(location)
        }?;
        if self.is_tls && !next.is_tls { Err(fault()) } else { Ok(next) }
    }

    async fn send<S>(&self, stream: S) -> Result<(Response<Incoming>, Driven), FetchError>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let fault =
            |error: hyper::Error| FetchError::Connect { host: self.host.clone(), reason: error.to_string() };
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.map_err(fault)?;
        let driven = Driven(tokio::spawn(async move {
            // Whatever goes wrong is told to whoever awaits the response.
            let _ = connection.await;
        }));
        let authority = self.uri.authority().map_or(self.host.as_str(), |authority| authority.as_str());
        let path = self.uri.path_and_query().map_or("/", |path| path.as_str());
        let request = Request::get(path)
            .header(HOST, authority)
            .header(ACCEPT, "application/json, */*")
            .body(String::new())
            .map_err(|_| FetchError::Uri { uri: self.uri.to_string() })?;
        Ok((sender.send_request(request).await.map_err(fault)?, driven))
    }
}
