//! What a user of pilot-agent's flags and environment gets.

use clap::Parser as _;
use serde_json::json;

use super::*;
use crate::cli::{Cli, Command};

fn settings(args: &[&str], environment: &[(&str, &str)]) -> Result<Settings> {
    let args = ["trierarch", "agent", "--ip", "10.0.0.7", "--podName", "reviews-1"].iter().chain(args);
    let Command::Agent(options) = Cli::try_parse_from(args)?.command else {
        unreachable!("agent was asked for")
    };
    let environment: Vec<_> = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    options.settings(&environment)
}

#[test]
fn flags_the_environment_and_proxy_config_become_the_node() {
    let settings = settings(
        &["--podNamespace", "shop", "--label", "app=reviews", "--meta", "NETWORK=one"],
        &[
            ("ISTIO_META_CLUSTER_ID", "east"),
            ("ISTIO_METAJSON_LABELS", r#"{"LABELS": {"app": "other", "version": "v2"}}"#),
            ("PROXY_CONFIG", "discoveryAddress: plane.example:15012\nconcurrency: 3\ndrainDuration: 7s\n"),
        ],
    )
    .expect("settings");
    assert_eq!(settings.node.id(), "sidecar~10.0.0.7~reviews-1.shop~shop.svc.cluster.local");
    assert_eq!(settings.node.cluster, "reviews.shop");
    let metadata = &settings.node.metadata;
    assert_eq!(metadata["CLUSTER_ID"], "east");
    assert_eq!(metadata["NETWORK"], "one");
    assert_eq!(metadata["LABELS"]["app"], "reviews", "flags win");
    assert_eq!(metadata["LABELS"]["version"], "v2");
    assert_eq!(metadata["PROXY_CONFIG"]["concurrency"], json!(3));
    assert_eq!(settings.control_plane.discovery, "plane.example:15012");
    assert_eq!(settings.control_plane.ca, "plane.example:15012");
    let envoy = settings.envoy.expect("an Envoy");
    assert_eq!((envoy.concurrency, envoy.drain_time), (3, Duration::from_secs(7)));
}

#[test]
fn slips_are_told_with_the_flag_or_variable_at_fault() {
    for (args, environment, part) in [
        (vec!["--label", "app"], vec![], "--label \"app\""),
        (vec!["--discoveryAddress", "plane"], vec![], "\"plane\" is not host:port"),
        (vec!["--renewAt", "2"], vec![], "--renewAt"),
        (vec![], vec![("PROXY_CONFIG", "{")], "PROXY_CONFIG"),
        (vec![], vec![("ISTIO_METAJSON_X", "7")], "ISTIO_METAJSON_X"),
    ] {
        let error = settings(&args, &environment).expect_err(part);
        assert!(format!("{error:#}").contains(part), "{error:#}");
    }
}

#[test]
fn search_domains_are_those_of_the_last_line() {
    let text = "search old.example\nnameserver 10.0.0.1\nsearch Shop.svc.cluster.local. svc.cluster.local\n";
    assert_eq!(search(text), ["shop.svc.cluster.local", "svc.cluster.local"]);
    assert!(search("nameserver 10.0.0.1\n").is_empty());
}
