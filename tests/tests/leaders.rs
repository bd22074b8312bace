//! Several replicas over one API server: one writes, another goes on when it stops, and two that both believe to lead
//! agree on what is written. Answers "Leader election" of the platform specification and of the reliability one.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, ensure};
use config::Kind;
use kube_io::Client;
use serde_json::{Value, json};
use testkit::cluster::{Cluster, binaries, objects};
use tests::binary::binary;
use tests::replica::{Options, Replica};

/// One cluster at a time is enough for a small machine.
static ONE_AT_A_TIME: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());

const LOCK: &str = "/api/v1/namespaces/istio-system/configmaps/istio-ip-autoallocate";

/// An entry without an address of its own, whose status says that it was given these.
fn entry(name: &str, given: &[&str]) -> Value {
    let host = format!("{name}.test");
    let given: Vec<Value> = given.iter().map(|value| json!({"host": host, "value": value})).collect();
    let mut entry = json!({"apiVersion": "networking.istio.io/v1", "kind": "ServiceEntry",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"hosts": [host], "location": "MESH_EXTERNAL", "resolution": "DNS",
                 "ports": [{"number": 9000, "name": "tcp", "protocol": "TCP"}]}});
    if !given.is_empty() {
        entry["status"] = json!({"addresses": given});
    }
    entry
}

/// Version and addresses of each entry.
async fn entries(client: &Client) -> Result<BTreeMap<String, (String, Vec<String>)>> {
    let text = objects::get(client, "/apis/networking.istio.io/v1/serviceentries").await?;
    let list: Value = serde_json::from_str(&text)?;
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let one = |item: &Value| {
        let addresses = item["status"]["addresses"].as_array();
        let addresses = addresses.into_iter().flatten().map(|address| text(&address["value"])).collect();
        (text(&item["metadata"]["name"]), (text(&item["metadata"]["resourceVersion"]), addresses))
    };
    Ok(list["items"].as_array().context("a list")?.iter().map(one).collect())
}

/// Waits until this many entries have two addresses each, all different.
async fn until_all_have_their_own(client: &Client, replicas: &mut [Replica], n_entries: usize) -> Result<()> {
    for _ in 0..2400 {
        let entries = entries(client).await?;
        let mut all: Vec<&String> = entries.values().flat_map(|(_, addresses)| addresses).collect();
        all.sort();
        all.dedup();
        if entries.len() == n_entries && all.len() == 2 * n_entries {
            return Ok(());
        }
        for replica in &mut *replicas {
            replica.check()?;
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    anyhow::bail!("not all have addresses: {:?}", entries(client).await?)
}

async fn holder(client: &Client) -> Result<String> {
    let lock: Value = serde_json::from_str(&objects::get(client, LOCK).await?)?;
    let record = lock["metadata"]["annotations"]["control-plane.alpha.kubernetes.io/leader"].as_str();
    let record: Value = serde_json::from_str(record.context("a record")?)?;
    Ok(record["holderIdentity"].as_str().unwrap_or_default().to_owned())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_replica_writes_and_another_goes_on_when_it_stops() -> Result<()> {
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let binary = binary()?;
    let cluster = Cluster::start(&programs, "leaders").await?;
    let client = cluster.client().await?;
    objects::define(&client, Kind::ServiceEntry).await?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "istio-system"}});
    objects::apply(&client, &[namespace, entry("a", &[])]).await?;
    let first = Replica::ready(&binary, &cluster, &Options::named("first")).await?;
    let mut replicas = [first];
    until_all_have_their_own(&client, &mut replicas, 1).await?;
    ensure!(holder(&client).await? == "first");
    let [first] = replicas;
    let second = Replica::ready(&binary, &cluster, &Options::named("second")).await?;
    ensure!(holder(&client).await? == "first", "two replicas and one lock");

    // A graceful stop gives the lock back before the process is gone, so it is nobody's or already the other's.
    first.stop()?;
    ensure!(holder(&client).await? != "first", "the lock was not given back");
    objects::apply(&client, &[entry("b", &[])]).await?;
    let mut replicas = [second];
    until_all_have_their_own(&client, &mut replicas, 2).await?;
    ensure!(holder(&client).await? == "second");
    let [mut second] = replicas;
    second.assert_fresh(&binary, &cluster, &Options::named("second")).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_that_both_lead_agree_and_then_leave_things_alone() -> Result<()> {
    const N_ENTRIES: usize = 40;
    let Some(programs) = binaries() else { return Ok(()) };
    let _alone = ONE_AT_A_TIME.lock().await;
    let binary = binary()?;
    let cluster = Cluster::start(&programs, "both").await?;
    let client = cluster.client().await?;
    objects::define(&client, Kind::ServiceEntry).await?;
    let namespace = json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}});
    objects::apply(&client, &[namespace]).await?;
    // Without an election every replica acts as leader.
    let everybody = |name: &str| Options {
        environment: vec![("ENABLE_LEADER_ELECTION".to_owned(), "false".to_owned())],
        ..Options::named(name)
    };
    let mut replicas = [
        Replica::ready(&binary, &cluster, &everybody("one")).await?,
        Replica::ready(&binary, &cluster, &everybody("two")).await?,
    ];
    // Half of them come with addresses that clash.
    let all: Vec<Value> = (0..N_ENTRIES)
        .map(|index| {
            entry(&format!("e{index}"), if index % 2 == 0 { &["240.240.0.3", "2001:2::3"] } else { &[] })
        })
        .collect();
    objects::apply_at_once(&client, &all).await?;
    until_all_have_their_own(&client, &mut replicas, N_ENTRIES).await?;
    for replica in &mut replicas {
        replica.assert_fresh(&binary, &cluster, &everybody("fresh")).await?;
    }
    // Both look at everything again when something else changes: once to be done with it, then to find nothing to do.
    let mut before = BTreeMap::new();
    for name in ["till", "shelf"] {
        before = entries(&client).await?;
        let service = json!({"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "shop"},
                             "spec": {"ports": [{"port": 80}], "clusterIP": "None"}});
        objects::apply(&client, &[service]).await?;
        for replica in &mut replicas {
            let host = format!("{name}.shop");
            replica.until("another change", |replica| Ok(replica.all_mention(&host, true))).await?;
            replica.assert_fresh(&binary, &cluster, &everybody("fresh")).await?;
        }
    }
    ensure!(entries(&client).await? == before, "something was written twice");
    Ok(())
}
