//! The controller that writes addresses into the status of ServiceEntries that have none (`istio-ip-autoallocate`).
//! What is to be written follows from what is stored alone, so a write that was lost is made again and one that was
//! made is not.

use std::sync::Arc;
use std::time::Duration;

use kube_io::{Client, merge_status};
use mesh::{Prefixes, allocate};
use serde_json::{Value, json};

use crate::features::parse_flag;
use crate::state::State;

/// The name of the lock.
pub(crate) const LOCK: &str = "istio-ip-autoallocate";
/// The pause after a write that failed.
const PAUSE: Duration = Duration::from_secs(2);

/// The ranges that the environment names; `None` if nothing is to be allocated. Slips are returned with the defaults.
pub(crate) fn prefixes(variable: &dyn Fn(&str) -> Option<String>) -> (Option<Prefixes>, Vec<String>) {
    let mut problems = Vec::new();
    let mut range = |name: &str, default: &str| {
        let text = variable(name).filter(|text| !text.is_empty());
        let parsed = text.as_deref().unwrap_or(default).parse();
        if parsed.is_err() {
            problems.push(format!(
                "{name}={:?} is not a range of addresses such as {default}",
                text.unwrap_or_default()
            ));
        }
        parsed.or_else(|_| default.parse()).ok()
    };
    let v4 = range("PILOT_IP_AUTOALLOCATE_IPV4_PREFIX", "240.240.0.0/16");
    let v6 = range("PILOT_IP_AUTOALLOCATE_IPV6_PREFIX", "2001:2::/48");
    let is_on = parse_flag(variable, "PILOT_ENABLE_IP_AUTOALLOCATE", true, &mut problems);
    let both = v4.zip(v6).map(|(v4, v6)| Prefixes { v4, v6 });
    (both.filter(|_| is_on), problems)
}

/// Writes what is missing now and whenever the mesh changes, until dropped.
pub(crate) async fn run(client: Client, state: Arc<State>, prefixes: Prefixes) {
    let mut commits = state.commits();
    loop {
        commits.borrow_and_update();
        let mut has_failed = false;
        let wanted = state.mesh().map(|mesh| allocate(mesh.store(), &prefixes)).unwrap_or_default();
        for allocation in wanted {
            let status = match allocation.addresses.as_slice() {
                [] => json!({"addresses": Value::Null}),
                some => {
                    let list: Vec<Value> =
                        some.iter().map(|(host, address)| json!({"value": address, "host": host})).collect();
                    json!({"addresses": list})
                }
            };
            match merge_status(&client, &allocation.key, &status).await {
                Ok(_) => {}
                Err(error) => {
                    tracing::warn!("{error}");
                    has_failed = true;
                    break;
                }
            }
        }
        // What was written comes back as a change of the mesh; what failed does not.
        let changed = commits.changed();
        let outcome = if has_failed {
            tokio::time::timeout(PAUSE, changed).await.unwrap_or(Ok(()))
        } else {
            changed.await
        };
        if outcome.is_err() {
            return;
        }
    }
}
