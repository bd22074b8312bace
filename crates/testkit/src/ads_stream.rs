//! One stream of the state of the world over a channel of the test's choice: asks for what the test names, accepts every
//! answer, and shows it as text.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use anyhow::{Context as _, Result, bail};
use proto::envoy::core::Node;
use proto::envoy::discovery::aggregated_discovery_service_client::AggregatedDiscoveryServiceClient;
use proto::envoy::discovery::{DiscoveryRequest, DiscoveryResponse};
use proto::envoy::google::{string_value, struct_of};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status, Streaming};

/// An open stream.
pub struct Stream {
    requests: mpsc::Sender<DiscoveryRequest>,
    responses: Streaming<DiscoveryResponse>,
    last: DiscoveryRequest,
    /// By type: the names that are subscribed to.
    names: BTreeMap<String, Vec<String>>,
}

impl Stream {
    /// Opens a stream as the node with that id and these texts as metadata. Nothing is subscribed to but listeners.
    pub async fn open(channel: Channel, token: Option<&str>, id: &str, metadata: &Value) -> Result<Self> {
        let texts = metadata.as_object().into_iter().flatten();
        let texts: Vec<(String, String)> =
            texts.map(|(key, value)| (key.clone(), value.as_str().unwrap_or_default().to_owned())).collect();
        let node = Node {
            id: id.to_owned(),
            metadata: Some(struct_of(texts.iter().map(|(key, text)| (key.as_str(), string_value(text))))),
            ..Node::default()
        };
        let (requests, outgoing) = mpsc::channel(16);
        let type_url = proto::type_url::LISTENER.to_owned();
        requests.send(DiscoveryRequest { node: Some(node), type_url, ..DiscoveryRequest::default() }).await?;
        let mut request = Request::new(ReceiverStream::new(outgoing));
        if let Some(token) = token {
            request.metadata_mut().insert("authorization", format!("Bearer {token}").parse()?);
        }
        let mut client = AggregatedDiscoveryServiceClient::new(channel);
        let responses = client.stream_aggregated_resources(request).await?.into_inner();
        Ok(Self { requests, responses, last: DiscoveryRequest::default(), names: BTreeMap::new() })
    }

    /// Opens a stream in plain text, without a credential.
    pub async fn plain(address: SocketAddr, id: &str, metadata: &Value) -> Result<Self> {
        let channel = Endpoint::try_from(format!("http://{address}"))?.connect().await?;
        Self::open(channel, None, id, metadata).await
    }

    /// Subscribes to exactly these names of a type.
    pub async fn subscribe(&mut self, type_url: &str, names: &[&str]) -> Result<()> {
        let response_nonce =
            if self.last.type_url == type_url { self.last.response_nonce.clone() } else { String::new() };
        self.last = DiscoveryRequest {
            type_url: type_url.to_owned(),
            resource_names: names.iter().map(|name| (*name).to_owned()).collect(),
            response_nonce,
            ..DiscoveryRequest::default()
        };
        self.names.insert(type_url.to_owned(), self.last.resource_names.clone());
        Ok(self.requests.send(self.last.clone()).await?)
    }

    /// The next answer of whatever type, which it tells, all its bytes as text.
    pub async fn next(&mut self) -> Result<(String, String)> {
        let response = self.responses.message().await?.context("the stream has ended")?;
        let accepted = DiscoveryRequest {
            type_url: response.type_url.clone(),
            resource_names: self.names.get(&response.type_url).cloned().unwrap_or_default(),
            response_nonce: response.nonce.clone(),
            ..DiscoveryRequest::default()
        };
        if self.last.type_url == response.type_url {
            self.last = accepted.clone();
        }
        self.requests.send(accepted).await?;
        Ok((response.type_url.clone(), text_of(&response)))
    }

    /// Waits for the first answer.
    pub async fn answered(&mut self) -> Result<()> {
        self.responses.message().await?.context("the stream has ended").map(drop)
    }

    /// Waits until the control plane ends the stream; an answer before that is an error.
    pub async fn refusal(&mut self) -> Result<Status> {
        match self.responses.message().await {
            Ok(Some(response)) => bail!("was answered {}", response.type_url),
            Ok(None) => bail!("the stream has ended without a word"),
            Err(status) => Ok(status),
        }
    }

    /// Reports, as agents do, that the application is well, or what failed.
    pub async fn report(&mut self, failure: Option<&str>) -> Result<()> {
        let error = |message: &str| proto::envoy::google::Status {
            code: 500,
            message: message.to_owned(),
            ..Default::default()
        };
        let request = DiscoveryRequest {
            type_url: proto::type_url::HEALTH_INFORMATION.to_owned(),
            error_detail: failure.map(error),
            ..DiscoveryRequest::default()
        };
        Ok(self.requests.send(request).await?)
    }

    /// The next answer of the type that was last subscribed to, all its bytes as text.
    pub async fn read(&mut self) -> Result<String> {
        loop {
            let response = self.responses.message().await?.context("the stream has ended")?;
            if response.type_url != self.last.type_url {
                continue;
            }
            self.last.response_nonce.clone_from(&response.nonce);
            self.requests.send(self.last.clone()).await?;
            return Ok(text_of(&response));
        }
    }
}

fn text_of(response: &DiscoveryResponse) -> String {
    response.resources.iter().map(|any| String::from_utf8_lossy(&any.value)).collect()
}
