//! What a pod belongs to: the Deployment behind its ReplicaSet, the CronJob behind its Job, or itself. It names the
//! workload in telemetry (platform specification, 6.3: DeploymentMeta and TypeMeta).

use serde_json::Value;

use crate::pod;

/// The owner of a pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Owner {
    /// As `apps/v1`.
    pub api_version: String,
    /// As `Deployment`.
    pub kind: String,
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
}

/// Finds the owner of a pod from its references; only pods of generated names have any that counts.
pub fn owner(pod: &Value, namespace: &str) -> Owner {
    let own = |api_version: &str, kind: &str, name: &str| Owner {
        api_version: api_version.to_owned(),
        kind: kind.to_owned(),
        name: if name.is_empty() { pod::meta(pod, "name") } else { name }.to_owned(),
        namespace: namespace.to_owned(),
    };
    let itself = own("v1", "Pod", pod::meta(pod, "name"));
    if pod::meta(pod, "generateName").is_empty() {
        return itself;
    }
    let references = pod.pointer("/metadata/ownerReferences").and_then(Value::as_array);
    let controls = |reference: &&Value| reference.get("controller") == Some(&Value::Bool(true));
    let Some(reference) = references.into_iter().flatten().find(controls) else { return itself };
    let text = |member: &str| reference.get(member).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind, name) = (text("apiVersion"), text("kind"), text("name"));
    let without_hash = |label: &str| {
        let hash = pod::label(pod, label).filter(|hash| !hash.is_empty())?;
        let before = name.strip_suffix(hash)?;
        Some(before.strip_suffix('-').unwrap_or(name))
    };
    match kind {
        "ReplicaSet" => {
            if let Some(deployment) = without_hash("pod-template-hash") {
                return own(api_version, "Deployment", deployment);
            }
            if let Some(rollout) = without_hash("rollouts-pod-template-hash") {
                return own("v1alpha1", "Rollout", rollout);
            }
        }
        "ReplicationController" => {
            if let Some(config) = pod::label(pod, "deploymentconfig").filter(|config| !config.is_empty()) {
                return own(api_version, "DeploymentConfig", config);
            }
        }
        "Job" => {
            if let Some(cron_job) = of_cron_job(name) {
                return own("batch/v1", "CronJob", cron_job);
            }
        }
        _ => {}
    }
    own(api_version, kind, name)
}

/// A CronJob's Jobs end in the minute they were due, in eight to ten digits.
fn of_cron_job(job: &str) -> Option<&str> {
    let (name, digits) = job.rsplit_once('-')?;
    let due = (8..=10).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    (due && !name.is_empty()).then_some(name)
}
