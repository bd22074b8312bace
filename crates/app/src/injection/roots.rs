//! Keeps our roots in the webhook configurations of our revision, so that the API server trusts the webhook: at once
//! when they change, and within seconds where somebody writes or makes a configuration (platform specification, 6.7).

use std::sync::Arc;
use std::time::Duration;

use ca::Authority;
use kube_io::{Client, keep_injection_roots};
use tokio::sync::watch;

/// How long a configuration that somebody else wrote may stay as it is.
const INTERVAL: Duration = Duration::from_secs(3);

/// Runs until dropped; every replica does, as what is written is the same.
pub(crate) async fn keep(
    client: Client,
    revision: String,
    mut authorities: watch::Receiver<Option<Arc<Authority>>>,
) {
    let revision = if revision.is_empty() { "default".to_owned() } else { revision };
    let mut told = String::new();
    loop {
        let authority = authorities.borrow_and_update().clone();
        if let Some(authority) = authority {
            match keep_injection_roots(&client, &revision, authority.roots()).await {
                Ok(changed) => {
                    told.clear();
                    for name in changed {
                        tracing::info!(scope = "injector", "{name} trusts the webhook by the roots in force");
                    }
                }
                // Told once for as long as it lasts.
                Err(error) if told == error.to_string() => {}
                Err(error) => {
                    tracing::warn!(scope = "injector", "webhook configurations keep their roots: {error}");
                    told = error.to_string();
                }
            }
        }
        tokio::select! {
            changed = authorities.changed() => {
                if changed.is_err() {
                    return;
                }
            }
            () = tokio::time::sleep(INTERVAL) => {}
        }
    }
}
