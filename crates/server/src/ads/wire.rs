//! The messages of the two protocols from and to those of `xds`.

use bytes::Bytes;
use prost::Message;
use proto::envoy::core::{ControlPlane, Node};
use proto::envoy::discovery::{DeltaDiscoveryRequest, DiscoveryRequest};
use proto::envoy::google::Status;
use proto::raw::{RawDeltaDiscoveryResponse, RawDiscoveryResponse};
use xds::{Protocol, Request, RequestError, Resource, ResourceType};

use super::unwritten::{Form, Unwritten};

/// One of the two protocols.
pub(crate) trait Wire: Send + Sync + 'static {
    type Request: Message + Default + Send + 'static;
    /// Who speaks and of what: all that is read of a request before there is something to answer.
    type Introduction: Message + Default + Send + 'static;
    const PROTOCOL: Protocol;

    /// The node and the type.
    fn introduced(introduction: Self::Introduction) -> (Option<Node>, String);
    fn type_url(request: &Self::Request) -> &str;
    fn request(resource_type: ResourceType, request: Self::Request) -> Request;
    fn response(response: xds::Response) -> Unwritten;
    /// What the client says went wrong.
    fn failure(request: &Self::Request) -> Option<&str>;
    /// Names subscribed to.
    fn names(request: &Self::Request) -> &[String];
    /// A response of a type that sessions know nothing of; `identifier` says who answers.
    fn other(type_url: String, nonce: String, resources: Vec<Bytes>, identifier: Option<String>)
    -> Unwritten;
}

/// What a [`DiscoveryRequest`] begins with.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SotwIntroduction {
    #[prost(message, optional, tag = "2")]
    node: Option<Node>,
    #[prost(string, tag = "4")]
    type_url: String,
}

/// What a [`DeltaDiscoveryRequest`] begins with.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeltaIntroduction {
    #[prost(message, optional, tag = "1")]
    node: Option<Node>,
    #[prost(string, tag = "2")]
    type_url: String,
}

/// State of the world.
pub(crate) struct Sotw;

/// Incremental.
pub(crate) struct Delta;

impl Wire for Sotw {
    type Request = DiscoveryRequest;
    type Introduction = SotwIntroduction;
    const PROTOCOL: Protocol = Protocol::Sotw;

    fn introduced(introduction: SotwIntroduction) -> (Option<Node>, String) {
        (introduction.node, introduction.type_url)
    }

    fn type_url(request: &DiscoveryRequest) -> &str {
        &request.type_url
    }

    fn request(resource_type: ResourceType, request: DiscoveryRequest) -> Request {
        Request {
            subscribe: request.resource_names,
            nonce: request.response_nonce,
            error: request.error_detail.map(error),
            ..Request::new(resource_type)
        }
    }

    fn response(response: xds::Response) -> Unwritten {
        let head = RawDiscoveryResponse {
            version_info: response.version_info,
            type_url: response.resource_type.type_url().to_owned(),
            nonce: response.nonce,
            ..RawDiscoveryResponse::default()
        };
        Unwritten::new(&head, response.resources, Form::Bare)
    }

    fn failure(request: &DiscoveryRequest) -> Option<&str> {
        request.error_detail.as_ref().map(|status| status.message.as_str())
    }

    fn names(request: &DiscoveryRequest) -> &[String] {
        &request.resource_names
    }

    fn other(
        type_url: String,
        nonce: String,
        resources: Vec<Bytes>,
        identifier: Option<String>,
    ) -> Unwritten {
        let control_plane = identifier.map(|identifier| ControlPlane { identifier });
        let head = RawDiscoveryResponse { type_url, nonce, control_plane, ..RawDiscoveryResponse::default() };
        Unwritten::new(&head, nameless(resources), Form::Bare)
    }
}

impl Wire for Delta {
    type Request = DeltaDiscoveryRequest;
    type Introduction = DeltaIntroduction;
    const PROTOCOL: Protocol = Protocol::Delta;

    fn introduced(introduction: DeltaIntroduction) -> (Option<Node>, String) {
        (introduction.node, introduction.type_url)
    }

    fn type_url(request: &DeltaDiscoveryRequest) -> &str {
        &request.type_url
    }

    fn request(resource_type: ResourceType, request: DeltaDiscoveryRequest) -> Request {
        Request {
            resource_type,
            subscribe: request.resource_names_subscribe,
            unsubscribe: request.resource_names_unsubscribe,
            initial_versions: request.initial_resource_versions.into_iter().collect(),
            nonce: request.response_nonce,
            error: request.error_detail.map(error),
        }
    }

    fn response(response: xds::Response) -> Unwritten {
        let head = RawDeltaDiscoveryResponse {
            system_version_info: response.version_info,
            type_url: response.resource_type.type_url().to_owned(),
            removed_resources: response.removed.iter().map(ToString::to_string).collect(),
            nonce: response.nonce,
            ..RawDeltaDiscoveryResponse::default()
        };
        Unwritten::new(&head, response.resources, Form::Named)
    }

    fn failure(request: &DeltaDiscoveryRequest) -> Option<&str> {
        request.error_detail.as_ref().map(|status| status.message.as_str())
    }

    fn names(request: &DeltaDiscoveryRequest) -> &[String] {
        &request.resource_names_subscribe
    }

    fn other(
        type_url: String,
        nonce: String,
        resources: Vec<Bytes>,
        identifier: Option<String>,
    ) -> Unwritten {
        let control_plane = identifier.map(|identifier| ControlPlane { identifier });
        let head = RawDeltaDiscoveryResponse {
            type_url,
            nonce,
            control_plane,
            ..RawDeltaDiscoveryResponse::default()
        };
        Unwritten::new(&head, nameless(resources), Form::Named)
    }
}

fn nameless(bodies: Vec<Bytes>) -> Vec<Resource> {
    bodies.into_iter().map(|body| Resource::new("", body)).collect()
}

fn error(status: Status) -> RequestError {
    RequestError { code: status.code, message: status.message }
}
