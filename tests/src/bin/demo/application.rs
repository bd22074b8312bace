//! Stand-ins for the applications: each answers with its name, its version and what the services it asks answered.
//! It asks them as a real one would, by host name, through its sidecar's outbound listener.

use std::net::SocketAddr;

use anyhow::Result;
use serde_json::{Map, Value, json};
use testkit::http;
use testkit::http_server::{Answer, Received, Server};

use crate::layout::{SERVICE_PORT, WORKLOADS, Workload};

/// Headers that an application hands on.
const PROPAGATED: &[&str] = &["end-user", "x-fault", "x-request-id"];

/// Starts one server per workload.
pub(crate) fn start_all() -> Result<Vec<Server>> {
    WORKLOADS.iter().map(|workload| start(workload, workload.application(), workload.outbound())).collect()
}

fn start(workload: &'static Workload, address: SocketAddr, outbound: SocketAddr) -> Result<Server> {
    let answer = move |request: &Received| {
        let mut calls = Map::new();
        for service in workload.asks {
            calls.insert((*service).to_owned(), ask(service, outbound, request));
        }
        let body = json!({"name": workload.app, "version": workload.version, "calls": calls});
        Answer::new(200, body.to_string()).header("content-type", "application/json")
    };
    Ok(Server::start(address, answer)?)
}

/// What a service answered: its JSON, or the status or error in its place.
fn ask(service: &str, outbound: SocketAddr, cause: &Received) -> Value {
    let mut request = http::get(outbound, "/").header("host", &format!("{service}:{SERVICE_PORT}"));
    for name in PROPAGATED {
        if let Some(value) = cause.header(name) {
            request = request.header(name, value);
        }
    }
    match request.send() {
        Ok(response) if response.status == 200 => {
            response.json().unwrap_or_else(|error| json!({"error": error.to_string()}))
        }
        Ok(response) => json!({"status": response.status}),
        Err(error) => json!({"error": error.to_string()}),
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    fn workload(name: &str) -> &'static Workload {
        WORKLOADS.iter().find(|workload| workload.name() == name).unwrap()
    }

    #[test]
    fn an_application_answers_with_what_it_was_answered() {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        // A sidecar that aborts on demand and else leads to ratings.
        let ratings = start(workload("ratings-v1"), anywhere, anywhere).unwrap();
        let behind = ratings.address();
        let sidecar = Server::start(anywhere, move |request| {
            assert_eq!(request.header("host"), Some("ratings:9080"));
            if request.header("x-fault").is_some() {
                return Answer::new(503, "fault filter abort");
            }
            Answer::new(200, http::get(behind, "/").send().unwrap().text())
        })
        .unwrap();
        let reviews = start(workload("reviews-v2"), anywhere, sidecar.address()).unwrap();
        let healthy = http::get(reviews.address(), "/").send().unwrap().json().unwrap();
        assert_eq!(healthy["version"], "v2");
        assert_eq!(healthy["calls"]["ratings"]["name"], "ratings");
        let aborted =
            http::get(reviews.address(), "/").header("x-fault", "abort").send().unwrap().json().unwrap();
        assert_eq!(aborted["calls"]["ratings"]["status"], 503);
    }

    #[test]
    fn a_missing_sidecar_is_an_error_in_the_answer() {
        let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let nobody = testkit::wait::free_address(Ipv4Addr::LOCALHOST.into()).unwrap();
        let reviews = start(workload("reviews-v3"), anywhere, nobody).unwrap();
        let answer = http::get(reviews.address(), "/").send().unwrap().json().unwrap();
        assert!(answer["calls"]["ratings"]["error"].is_string());
    }
}
