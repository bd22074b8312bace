//! What is refused, and when: lenient until validation is seen to work, strict from then on.

use super::*;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn broken_objects_are_refused_once_validation_is_seen_to_work() -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(hooked) = Hooked::start("hooked-rules").await? else { return Ok(()) };
    let plane = hooked.install("istiod", &[]).await?;
    hooked.namespace("shop", &json!({})).await?;
    // Another revision's is for that one to keep.
    let mut other = plane.object("ValidatingWebhookConfiguration", VALIDATORS[0])?;
    other["metadata"]["name"] = json!("istio-validator-canary-istio-system");
    other["metadata"]["labels"]["istio.io/rev"] = json!("canary");
    other["webhooks"][0]["objectSelector"]["matchExpressions"][0]["values"] = json!(["canary"]);
    objects::apply(&hooked.client, &[other]).await?;
    ensure!(hooked.refusal(ROUTES, &broken()).await?.is_none(), "lenient while nobody is there");

    let running = plane.start()?;
    for name in VALIDATORS {
        hooked.until(&validating(name), is_strict).await?;
    }
    let text = hooked.refusal(ROUTES, &broken()).await?.context("a broken VirtualService was taken")?;
    ensure!(text.contains("validation.istio.io\" denied the request") && text.contains("weight"), "{text}");
    ensure!(hooked.refusal(ROUTES, &route(&[100])).await?.is_none());
    let mut of_revision = broken();
    of_revision["metadata"]["labels"] = json!({"istio.io/rev": "default"});
    let text = hooked.refusal(ROUTES, &of_revision).await?.context("nobody validates the revision")?;
    ensure!(text.contains("rev.validation.istio.io"), "{text}");
    let left = hooked.read(&validating("istio-validator-canary-istio-system")).await?;
    ensure!(!is_strict(&left) && roots_of(&left)?.is_empty(), "{left}");

    // Somebody makes it lenient, takes out the roots, or makes it anew: within seconds it is right again.
    for name in VALIDATORS {
        let fresh = plane.object("ValidatingWebhookConfiguration", name)?;
        let mut spoilt = fresh.clone();
        spoilt["webhooks"][0]["failurePolicy"] = json!("Ignore");
        spoilt["webhooks"][0]["clientConfig"]["caBundle"] = json!("");
        spoilt["webhooks"][0]["timeoutSeconds"] = json!(7);
        objects::apply(&hooked.client, &[spoilt]).await?;
        let is_right = |found: &Value| {
            is_strict(found) && roots_of(found).is_ok_and(|roots| roots.contains("BEGIN CERTIFICATE"))
        };
        let found = hooked.until(&validating(name), is_right).await?;
        ensure!(found["webhooks"][0]["timeoutSeconds"] == 7, "what others wrote stays: {found}");
        objects::delete(&hooked.client, std::slice::from_ref(&fresh)).await?;
        objects::apply(&hooked.client, &[fresh]).await?;
        hooked.until(&validating(name), is_right).await?;
    }
    ensure!(hooked.refusal(ROUTES, &broken()).await?.is_some());
    let writes = running.metric("galley_validation_config_updates")?;
    ensure!(writes >= 4.0, "{writes}");
    ensure!(!running.log().contains("panicked"));

    // Strict stays strict: without anybody to ask nothing of the mesh is taken.
    drop(running);
    let text = hooked.refusal(ROUTES, &route(&[100])).await?.context("taken without being validated")?;
    ensure!(text.contains("failed calling webhook"), "{text}");
    let mut running = plane.start()?;
    running.process().check_running()?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn validation_stays_lenient_while_calls_do_not_arrive() -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(hooked) = Hooked::start("hooked-lenient").await? else { return Ok(()) };
    let plane = hooked.install("istiod", &[]).await?;
    hooked.namespace("shop", &json!({})).await?;
    // The Service leads to a machine where nobody listens.
    for name in VALIDATORS {
        let mut astray = plane.object("ValidatingWebhookConfiguration", name)?;
        astray["webhooks"][0]["clientConfig"]["service"]["port"] = json!(9);
        objects::apply(&hooked.client, &[astray]).await?;
    }
    let running = plane.start()?;
    let told = |running: &testkit::control_plane::Running| running.log().contains("validation stays lenient");
    testkit::wait::until("a word about it", LIMIT, || Ok(told(&running).then_some(())))?;
    for name in VALIDATORS {
        let found = hooked.read(&validating(name)).await?;
        ensure!(!is_strict(&found), "{found}");
    }
    ensure!(hooked.refusal(ROUTES, &broken()).await?.is_none());
    for name in VALIDATORS {
        objects::apply(&hooked.client, &[plane.object("ValidatingWebhookConfiguration", name)?]).await?;
        hooked.until(&validating(name), is_strict).await?;
    }
    Ok(())
}
