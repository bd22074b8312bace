//! The table of names on Envoy's own stream: asked for after Envoy has asked for listeners, taken out of what comes
//! back and acknowledged, so that Envoy never sees it (platform specification, 2.9). An empty answer is passed over.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message as _;
use proto::envoy::discovery::{DeltaDiscoveryRequest, DiscoveryRequest};
use proto::envoy::google::Any;
use proto::nds::NameTable;
use proto::raw::{RawDeltaDiscoveryResponse, RawDiscoveryResponse};
use proto::type_url;
use tokio::sync::watch;

use crate::dns::Table;

/// Where tables go, and whose they are.
#[derive(Clone)]
pub(crate) struct Names {
    pub(crate) publish: watch::Sender<Arc<Table>>,
    pub(crate) namespace: String,
    pub(crate) domain: String,
}

/// What was done with a response.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// It is Envoy's.
    No,
    /// It was empty.
    Ignored,
    /// It is in force, and this acknowledges it.
    Used(Bytes),
}

/// The table on one stream.
pub(super) struct OnStream {
    names: Names,
    is_delta: bool,
}

impl OnStream {
    pub(super) fn new(names: Names, is_delta: bool) -> Self {
        Self { names, is_delta }
    }

    /// What to send behind this request of Envoy's, if it is the first for listeners.
    pub(super) fn behind(&self, request: &Bytes) -> Option<Bytes> {
        let (url, is_first) = if self.is_delta {
            let request = DeltaDiscoveryRequest::decode(request.clone()).ok()?;
            (request.type_url, request.response_nonce.is_empty())
        } else {
            let request = DiscoveryRequest::decode(request.clone()).ok()?;
            (request.type_url, request.response_nonce.is_empty())
        };
        (is_first && url == type_url::LISTENER).then(|| self.request(String::new(), String::new()))
    }

    /// Takes a response with the table.
    pub(super) fn take(&self, response: &Bytes) -> Taken {
        let Some((url, resource, version, nonce)) = self.read(response) else { return Taken::No };
        if url != type_url::NAME_TABLE {
            return Taken::No;
        }
        let any = resource.and_then(|any| Any::decode(any).ok());
        let Some(table) = any.and_then(|any| NameTable::decode(any.value.as_slice()).ok()) else {
            return Taken::Ignored;
        };
        let table = Table::new(&table, &self.names.namespace, &self.names.domain);
        self.names.publish.send_replace(Arc::new(table));
        Taken::Used(self.request(version, nonce))
    }

    /// Type, first resource, version and nonce.
    fn read(&self, response: &Bytes) -> Option<(String, Option<Bytes>, String, String)> {
        if self.is_delta {
            let response = RawDeltaDiscoveryResponse::decode(response.clone()).ok()?;
            let resource = response.resources.into_iter().next().map(|resource| resource.resource);
            return Some((response.type_url, resource, response.system_version_info, response.nonce));
        }
        let response = RawDiscoveryResponse::decode(response.clone()).ok()?;
        let resource = response.resources.into_iter().next();
        Some((response.type_url, resource, response.version_info, response.nonce))
    }

    fn request(&self, version_info: String, response_nonce: String) -> Bytes {
        let type_url = type_url::NAME_TABLE.to_owned();
        if self.is_delta {
            let request = DeltaDiscoveryRequest { type_url, response_nonce, ..Default::default() };
            return request.encode_to_vec().into();
        }
        let request = DiscoveryRequest { type_url, version_info, response_nonce, ..Default::default() };
        request.encode_to_vec().into()
    }
}

#[cfg(test)]
mod tests {
    use proto::nds::name_table::NameInfo;
    use proto::raw::RawResource;

    use super::*;

    fn names() -> (Names, watch::Receiver<Arc<Table>>) {
        let (publish, table) = watch::channel(Arc::default());
        (Names { publish, namespace: "shop".to_owned(), domain: "shop.svc.cluster.local".to_owned() }, table)
    }

    fn body() -> Bytes {
        let info = NameInfo { ips: vec!["10.0.0.1".to_owned()], ..NameInfo::default() };
        proto::pack::encoded_any(&NameTable { table: [("api.example".to_owned(), info)].into() })
    }

    #[test]
    fn it_is_asked_for_once_behind_the_first_request_for_listeners() {
        let stream = OnStream::new(names().0, true);
        let request = |url: &str, nonce: &str| -> Bytes {
            let (type_url, response_nonce) = (url.to_owned(), nonce.to_owned());
            DeltaDiscoveryRequest { type_url, response_nonce, ..Default::default() }.encode_to_vec().into()
        };
        assert_eq!(stream.behind(&request(type_url::CLUSTER, "")), None);
        assert_eq!(stream.behind(&request(type_url::LISTENER, "1")), None);
        let sent = stream.behind(&request(type_url::LISTENER, "")).expect("a request");
        let sent = DeltaDiscoveryRequest::decode(sent).expect("it is one");
        assert_eq!((sent.type_url.as_str(), sent.node), (type_url::NAME_TABLE, None));
        assert!(sent.resource_names_subscribe.is_empty());
    }

    #[test]
    fn it_is_taken_out_and_acknowledged_in_both_variants() {
        let resource = RawResource { resource: body(), ..RawResource::default() };
        let delta = RawDeltaDiscoveryResponse {
            type_url: type_url::NAME_TABLE.to_owned(),
            nonce: "n".to_owned(),
            resources: vec![resource],
            ..Default::default()
        };
        let whole = RawDiscoveryResponse {
            type_url: type_url::NAME_TABLE.to_owned(),
            nonce: "n".to_owned(),
            version_info: "v".to_owned(),
            resources: vec![body()],
            control_plane: None,
        };
        for (is_delta, message) in [(true, delta.encode_to_vec()), (false, whole.encode_to_vec())] {
            let (names, table) = names();
            let Taken::Used(ack) = OnStream::new(names, is_delta).take(&message.into()) else {
                panic!("it was not taken")
            };
            if is_delta {
                assert_eq!(DeltaDiscoveryRequest::decode(ack).expect("one").response_nonce, "n");
            } else {
                let ack = DiscoveryRequest::decode(ack).expect("one");
                assert_eq!((ack.response_nonce.as_str(), ack.version_info.as_str()), ("n", "v"));
            }
            assert!(table.borrow().find("api.example", &[]).is_some());
        }
    }

    #[test]
    fn what_is_envoys_passes_and_an_empty_answer_is_neither_passed_nor_acknowledged() {
        let (names, table) = names();
        let stream = OnStream::new(names, true);
        let response = |url: &str| -> Bytes {
            RawDeltaDiscoveryResponse { type_url: url.to_owned(), ..Default::default() }
                .encode_to_vec()
                .into()
        };
        assert_eq!(stream.take(&response(type_url::CLUSTER)), Taken::No);
        assert_eq!(stream.take(&Bytes::from_static(b"\xff")), Taken::No);
        assert_eq!(stream.take(&response(type_url::NAME_TABLE)), Taken::Ignored);
        assert!(!table.has_changed().expect("open"));
    }
}
