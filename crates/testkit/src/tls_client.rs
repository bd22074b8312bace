//! A blocking TLS client: to see which certificate a server shows, and what it says to a client with the right one, a
//! wrong one or none. Under TLS 1.3 a refused certificate shows at the first read, not at the handshake.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::aws_lc_rs::default_provider;
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, RootCertStore, SignatureScheme, StreamOwned,
};

use crate::secure::ClientIdentity;

/// How to meet a server.
#[derive(Clone, Debug)]
pub struct TlsClient {
    /// Whom a server must have its certificate from, as PEM.
    pub roots: String,
    /// The name that it must be for, and the SNI. Empty: any server is taken, and no name sent.
    pub server_name: String,
    /// The client's own certificate.
    pub identity: Option<ClientIdentity>,
    /// Protocols that are offered.
    pub alpn: Vec<String>,
}

/// An open connection.
pub struct TlsStream(StreamOwned<ClientConnection, TcpStream>);

impl TlsClient {
    /// Connects and shakes hands; no read or write takes longer than `limit`.
    pub fn connect(&self, address: SocketAddr, limit: Duration) -> io::Result<TlsStream> {
        let mut connection = self.connection().map_err(io::Error::other)?;
        let mut stream = TcpStream::connect_timeout(&address, limit)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(limit))?;
        stream.set_write_timeout(Some(limit))?;
        while connection.is_handshaking() {
            connection.complete_io(&mut stream)?;
        }
        Ok(TlsStream(StreamOwned::new(connection, stream)))
    }

    fn connection(&self) -> anyhow::Result<ClientConnection> {
        let mut store = RootCertStore::empty();
        for root in CertificateDer::pem_slice_iter(self.roots.as_bytes()) {
            store.add(root?)?;
        }
        let builder = ClientConfig::builder_with_provider(Arc::new(default_provider()))
            .with_safe_default_protocol_versions()?;
        let takes_any = self.server_name.is_empty();
        let builder = if takes_any {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyServer(default_provider())))
        } else {
            builder.with_root_certificates(store)
        };
        let mut config = match &self.identity {
            Some(identity) => {
                let chain = CertificateDer::pem_slice_iter(identity.chain.as_bytes());
                let key = PrivateKeyDer::from_pem_slice(identity.key.as_bytes())?;
                builder.with_client_auth_cert(chain.collect::<Result<_, _>>()?, key)?
            }
            None => builder.with_no_client_auth(),
        };
        config.alpn_protocols = self.alpn.iter().map(|name| name.clone().into_bytes()).collect();
        config.enable_sni = !takes_any;
        let name = if takes_any { "any.invalid" } else { &self.server_name };
        let name = ServerName::try_from(name.to_owned())?;
        Ok(ClientConnection::new(Arc::new(config), name)?)
    }
}

impl TlsStream {
    /// The certificate that the server showed: its DER in Base64, as between the lines of PEM.
    pub fn peer(&self) -> String {
        let certificate = self.0.conn.peer_certificates().and_then(<[_]>::first);
        certificate.map(|der| STANDARD.encode(der)).unwrap_or_default()
    }
}

impl Read for TlsStream {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.0.read(into)
    }
}

impl Write for TlsStream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Takes every server that has the key of its certificate: workloads have no names that a client could check.
#[derive(Debug)]
struct AnyServer(CryptoProvider);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(message, certificate, signed, &self.0.signature_verification_algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
