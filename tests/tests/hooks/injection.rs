//! Who gets a proxy: by the labels of namespaces and Pods, tags and revisions among them.

use super::*;

fn annotation<'a>(pod: &'a Value, name: &str) -> &'a str {
    pod["metadata"]["annotations"][name].as_str().unwrap_or_default()
}

/// The environment of the proxy.
fn variable<'a>(pod: &'a Value, name: &str) -> Option<&'a str> {
    let containers = pod["spec"]["containers"].as_array()?;
    let proxy = containers.iter().find(|container| container["name"] == "istio-proxy")?;
    let variables = proxy["env"].as_array()?;
    variables.iter().find(|variable| variable["name"] == name)?["value"].as_str()
}

/// A Pod as soon as the webhook answers.
async fn first(hooked: &Hooked, namespace: &str) -> Result<Value> {
    let deadline = std::time::Instant::now() + LIMIT;
    loop {
        match hooked.pod(namespace, "first", &json!({})).await {
            Ok(pod) => return Ok(pod),
            // Nobody gets a Pod without a proxy meanwhile.
            Err(error) => {
                let text = format!("{error:#}");
                ensure!(text.contains("failed calling webhook"), "{text}");
                ensure!(std::time::Instant::now() < deadline, "{text}");
            }
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pods_get_a_proxy_where_labels_tags_or_they_themselves_say_so() -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(mut hooked) = Hooked::start("hooked-pods").await? else { return Ok(()) };
    let plane = hooked.install("istiod", &["--set-json", r#"revisionTags=["prod"]"#]).await?;
    for (name, labels) in [
        ("shop", json!({"istio-injection": "enabled"})),
        ("pinned", json!({"istio.io/rev": "default"})),
        ("tagged", json!({"istio.io/rev": "prod"})),
        ("elsewhere", json!({"istio.io/rev": "canary"})),
        ("off", json!({"istio-injection": "disabled"})),
        ("plain", json!({})),
    ] {
        hooked.namespace(name, &labels).await?;
    }
    let refused = hooked.pod("shop", "early", &json!({})).await;
    ensure!(refused.is_err(), "a Pod came without a proxy before the control plane: {refused:?}");
    let mut running = plane.start()?;
    let pod = first(&hooked, "shop").await?;
    ensure!(containers(&pod, "containers") == ["web", "istio-proxy"], "{pod}");
    ensure!(containers(&pod, "initContainers") == ["istio-init"], "{pod}");
    ensure!(annotation(&pod, "istio.io/rev") == "default", "{pod}");

    let inject = |value: &str| json!({"labels": {"sidecar.istio.io/inject": value}});
    let annotated = json!({"annotations": {"sidecar.istio.io/inject": "false"}});
    let pinned = json!({"labels": {"istio.io/rev": "default"}});
    for (namespace, name, metadata, is_injected) in [
        ("pinned", "of-a-revision", json!({}), true),
        ("tagged", "of-a-tag", json!({}), true),
        ("elsewhere", "of-another-revision", json!({}), false),
        ("plain", "of-nobody", json!({}), false),
        ("plain", "asks", inject("true"), true),
        ("plain", "asks-a-revision", pinned.clone(), true),
        ("plain", "asks-a-tag", json!({"labels": {"istio.io/rev": "prod"}}), true),
        ("plain", "asks-another", json!({"labels": {"istio.io/rev": "canary"}}), false),
        ("off", "asks-in-vain", inject("true"), false),
        ("shop", "opted-out", inject("false"), false),
        ("shop", "opted-out-by-annotation", annotated.clone(), false),
        ("tagged", "opted-out", inject("false"), false),
    ] {
        let pod = hooked.pod(namespace, name, &metadata).await?;
        let has_proxy = containers(&pod, "containers").contains(&"istio-proxy".to_owned());
        ensure!(has_proxy == is_injected, "{namespace}/{name}: {pod}");
        ensure!(
            pod["metadata"]["annotations"]["sidecar.istio.io/status"].is_string() == is_injected,
            "{pod}"
        );
    }

    let native = json!({"annotations": {"sidecar.istio.io/nativeSidecar": "true"}});
    let pod = hooked.pod("shop", "native", &native).await?;
    ensure!(containers(&pod, "containers") == ["web"], "{pod}");
    ensure!(containers(&pod, "initContainers") == ["istio-init", "istio-proxy"], "{pod}");
    ensure!(pod["spec"]["initContainers"][1]["restartPolicy"] == "Always", "{pod}");

    // Made by controllers, and named after whoever made what made it.
    hooked.cluster.start_controllers_of(&["deployment-controller", "replicaset-controller"])?;
    let spec = json!({"serviceAccountName": "default", "containers": [{"name": "web", "image": "web:1"}]});
    let template = json!({"metadata": {"labels": {"app": "web"}}, "spec": spec});
    let deployment = json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": "shop"},
        "spec": {"replicas": 1, "selector": {"matchLabels": {"app": "web"}}, "template": template}});
    objects::apply(&hooked.client, &[deployment]).await?;
    let list = "/api/v1/namespaces/shop/pods?labelSelector=app%3Dweb";
    let list =
        hooked.until(list, |list| list["items"].as_array().is_some_and(|items| !items.is_empty())).await?;
    let pod = &list["items"][0];
    ensure!(containers(pod, "containers") == ["web", "istio-proxy"], "{pod}");
    ensure!(variable(pod, "ISTIO_META_WORKLOAD_NAME") == Some("web"), "{pod}");
    let owner = "kubernetes://apis/apps/v1/namespaces/shop/deployments/web";
    ensure!(variable(pod, "ISTIO_META_OWNER") == Some(owner), "{pod}");
    let name = &pod["metadata"]["labels"]["service.istio.io/canonical-name"];
    ensure!(name == "web", "{pod}");
    running.process().check_running()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_tag_moves_pods_from_one_revision_to_the_other() -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(hooked) = Hooked::start("hooked-revisions").await? else { return Ok(()) };
    let tag = ["--set-json", r#"revisionTags=["prod"]"#];
    let old = hooked.install("istiod", &tag).await?;
    let mut new = hooked.install("istiod-canary", &["--set", "revision=canary"]).await?;
    new.control_plane.environment.push(("REVISION".to_owned(), "canary".to_owned()));
    hooked.namespace("shop", &json!({"istio.io/rev": "prod"})).await?;
    hooked.namespace("field", &json!({"istio.io/rev": "canary"})).await?;
    let _processes = [old.start()?, new.start()?];
    let discovery = |pod: &Value| variable(pod, "CA_ADDR").unwrap_or_default().to_owned();
    let pod = first(&hooked, "shop").await?;
    ensure!(annotation(&pod, "istio.io/rev") == "default", "{pod}");
    ensure!(discovery(&pod) == "istiod.istio-system.svc:15012", "{pod}");
    let pod = first(&hooked, "field").await?;
    ensure!(annotation(&pod, "istio.io/rev") == "canary", "{pod}");
    ensure!(discovery(&pod) == "istiod-canary.istio-system.svc:15012", "{pod}");
    // Each keeps its own configurations only, and they have roots of one CA.
    let of_new = roots_of(&hooked.read(&mutating("istio-sidecar-injector-canary")).await?)?;
    ensure!(!of_new.is_empty() && of_new == roots_of(&hooked.read(&mutating(INJECTOR)).await?)?);

    // As `istioctl tag set prod --revision canary --overwrite` does it: the same name, leading elsewhere.
    let mut moved = old.object("MutatingWebhookConfiguration", "istio-revision-tag-prod")?;
    let target = &new.object("MutatingWebhookConfiguration", "istio-sidecar-injector-canary")?;
    moved["metadata"]["labels"]["istio.io/rev"] = json!("canary");
    for entry in moved["webhooks"].as_array_mut().context("entries")? {
        entry["clientConfig"] = target["webhooks"][0]["clientConfig"].clone();
    }
    objects::apply(&hooked.client, &[moved]).await?;
    let path = mutating("istio-revision-tag-prod");
    hooked.until(&path, |found| roots_of(found).is_ok_and(|roots| !roots.is_empty())).await?;
    for number in 0.. {
        let pod = hooked.pod("shop", &format!("moved-{number}"), &json!({})).await;
        if pod.as_ref().is_ok_and(|pod| annotation(pod, "istio.io/rev") == "canary") {
            break;
        }
        // The API server may not have seen it yet.
        if number > 200 {
            bail!("the tag has not moved: {pod:?}");
        }
        tokio::time::sleep(std::time::Duration::from_millis(50)).await;
    }
    Ok(())
}
