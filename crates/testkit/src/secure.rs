//! Clients of the TLS port: a channel with or without a certificate of its own, and an issuer of tokens as a cluster
//! or an OIDC provider is one.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, Result};
use aws_lc_rs::rand::SystemRandom;
use aws_lc_rs::signature::{ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, KeyPair as _};
use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use ca::{Authority, Csr, Material, PrivateKey};
use hyper_util::rt::TokioIo;
use proto::istio::certificates::{IstioCertificateRequest, IstioCertificateResponse};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::{ClientConfig, RootCertStore};
use serde_json::{Value, json};
use server::{generate_key, moment};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Endpoint;
use tonic::{Request, Status};
use tonic_prost::ProstCodec;

pub use server::KeyKind;
pub use tonic::transport::Channel;

/// A key with its certificates, both as PEM.
#[derive(Clone, Debug)]
pub struct ClientIdentity {
    /// The certificate and its intermediates.
    pub chain: String,
    /// The private key.
    pub key: String,
}

/// A new root of its own, for a day.
pub fn new_root(kind: KeyKind, trust_domain: &str) -> Result<Material> {
    let key = generate_key(kind).context("no randomness")?;
    let private = PrivateKey::from_pem(&key)?;
    let at = moment().context("no randomness")?;
    let certificate = Authority::self_signed(&private, trust_domain, 86_400, at)?;
    Ok(Material { certificate, key, ..Material::default() })
}

/// A TLS channel to `address`, whose server must have a certificate for `server_name` by one of `roots` (PEM).
pub async fn connect(
    address: SocketAddr,
    server_name: &str,
    roots: &str,
    identity: Option<&ClientIdentity>,
) -> Result<Channel> {
    let mut store = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(roots.as_bytes()) {
        store.add(root?)?;
    }
    let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(store);
    let mut config = match identity {
        Some(identity) => {
            let chain =
                CertificateDer::pem_slice_iter(identity.chain.as_bytes()).collect::<Result<_, _>>()?;
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?)?
        }
        None => builder.with_no_client_auth(),
    };
    config.alpn_protocols = vec![b"h2".to_vec()];
    let name = ServerName::try_from(server_name.to_owned())?;
    let connector = TlsConnector::from(Arc::new(config));
    let connect = tower::service_fn(move |_| {
        let (connector, name) = (connector.clone(), name.clone());
        async move {
            let stream = TcpStream::connect(address).await?;
            stream.set_nodelay(true)?;
            Ok::<_, io::Error>(TokioIo::new(connector.connect(name, stream).await?))
        }
    });
    Ok(Endpoint::try_from(format!("https://{server_name}"))?.connect_with_connector(connect).await?)
}

/// Asks for a certificate.
pub async fn create_certificate(
    channel: &Channel,
    token: Option<&str>,
    request: IstioCertificateRequest,
) -> Result<Vec<String>, Status> {
    create_certificate_in(channel, token, None, request).await
}

/// Asks for a certificate, as one of that cluster.
pub async fn create_certificate_in(
    channel: &Channel,
    token: Option<&str>,
    cluster: Option<&str>,
    request: IstioCertificateRequest,
) -> Result<Vec<String>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
    let mut request = Request::new(request);
    if let Some(token) = token {
        let value = format!("Bearer {token}").parse().map_err(|_| Status::internal("no header"))?;
        request.metadata_mut().insert("authorization", value);
    }
    if let Some(cluster) = cluster {
        let value = cluster.parse().map_err(|_| Status::internal("no header"))?;
        request.metadata_mut().insert("clusterid", value);
    }
    let path = PathAndQuery::from_static("/istio.v1.auth.IstioCertificateService/CreateCertificate");
    let codec = ProstCodec::<IstioCertificateRequest, IstioCertificateResponse>::default();
    Ok(grpc.unary(request, path, codec).await?.into_inner().cert_chain)
}

/// A new key and a request for it, both as PEM.
pub fn new_request(kind: KeyKind) -> Result<(String, IstioCertificateRequest)> {
    let key = generate_key(kind).context("no randomness")?;
    let csr = Csr::request(&PrivateKey::from_pem(&key)?)?;
    Ok((key, IstioCertificateRequest { csr, ..Default::default() }))
}

/// The files of a new authority with its own root, in the form of `cacerts`.
pub fn plugged_in(kind: KeyKind) -> Result<Vec<(&'static str, String)>> {
    let Material { certificate, key, .. } = new_root(kind, "corp")?;
    Ok(vec![
        ("ca-cert.pem", certificate.clone()),
        ("ca-key.pem", key),
        ("cert-chain.pem", certificate.clone()),
        ("root-cert.pem", certificate),
    ])
}

/// Somebody who signs tokens.
pub struct TokenIssuer {
    key: EcdsaKeyPair,
    issuer: String,
    key_id: String,
}

impl TokenIssuer {
    /// With a new key.
    pub fn new(issuer: &str) -> Result<Self> {
        let key = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).ok().context("no key")?;
        Ok(Self { key, issuer: issuer.to_owned(), key_id: "one".to_owned() })
    }

    /// The same; its key is called so.
    #[must_use]
    pub fn named(self, key_id: &str) -> Self {
        Self { key_id: key_id.to_owned(), ..self }
    }

    /// Its public key as a JSON Web Key Set.
    pub fn key_set(&self) -> Value {
        let point = self.key.public_key().as_ref();
        let (x, y) = (&point[1..33], &point[33..65]);
        json!({"keys": [{"kty": "EC", "crv": "P-256", "kid": self.key_id, "alg": "ES256", "use": "sig",
                         "x": URL_SAFE_NO_PAD.encode(x), "y": URL_SAFE_NO_PAD.encode(y)}]})
    }

    /// A rule, as `JWT_RULE` has it, by which its tokens are taken.
    pub fn rule(&self) -> String {
        json!({"issuer": self.issuer, "jwks": self.key_set().to_string(), "audiences": ["istio-ca"]})
            .to_string()
    }

    /// A token of a service account, for an hour.
    pub fn token(&self, namespace: &str, account: &str) -> String {
        let subject = format!("system:serviceaccount:{namespace}:{account}");
        self.sign(&json!({"iss": self.issuer, "aud": ["istio-ca"], "sub": subject, "exp": now() + 3600}))
    }

    /// A token with these claims.
    pub fn sign(&self, claims: &Value) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text =
            format!("{}.{}", part(&json!({"alg": "ES256", "kid": self.key_id, "typ": "JWT"})), part(claims));
        let signature = self
            .key
            .sign(&SystemRandom::new(), text.as_bytes())
            .map(|s| s.as_ref().to_vec())
            .unwrap_or_default();
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(signature))
    }
}

/// A text as objects of Kubernetes hold bytes.
pub fn base64(text: &str) -> String {
    STANDARD.encode(text)
}

/// Seconds since 1970.
pub fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
