//! The CA changes under load: the API server goes on calling, since old and new roots are believed together.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use ca::Material;
use testkit::secure::{KeyKind, connect, new_root};

use super::*;

/// How soon webhook configurations must hold new roots (reliability specification, 3).
const SOON: Duration = Duration::from_secs(5);

/// Writes files that are there whole or not at all.
fn write(folder: &Path, files: &BTreeMap<String, Vec<u8>>) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, bytes) in files {
        let beside = folder.join(format!(".{name}"));
        fs::write(&beside, bytes)?;
        fs::rename(beside, folder.join(name))?;
    }
    Ok(())
}

/// An authority as operators plug it in, with these roots trusted.
fn cacerts(material: &Material, roots: &[&str]) -> BTreeMap<String, Vec<u8>> {
    let files = [
        ("ca-key.pem", material.key.clone()),
        ("ca-cert.pem", material.certificate.clone()),
        ("cert-chain.pem", material.certificate.clone()),
        ("root-cert.pem", roots.concat()),
    ];
    files.into_iter().map(|(name, text)| (name.to_owned(), text.into_bytes())).collect()
}

/// Waits until all configurations hold a root, and tells how long after it came into force that was.
async fn until_held(hooked: &Hooked, plane: &Plane, root: &str) -> Result<Duration> {
    let deadline = Instant::now() + LIMIT;
    while !fs::read_to_string(&plane.control_plane.log)?.contains("changed CA material is in force") {
        ensure!(Instant::now() < deadline, "the new material is not taken");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let since = Instant::now();
    let holds = |found: &Value| roots_of(found).is_ok_and(|roots| roots.contains(root.trim()));
    hooked.until(&mutating(INJECTOR), holds).await?;
    for name in VALIDATORS {
        hooked.until(&validating(name), holds).await?;
    }
    Ok(since.elapsed())
}

/// Calls both webhooks as fast as they answer until told to stop. Returns how many calls there were.
async fn load(hooked: &Hooked, stop: &AtomicBool, calls: &AtomicUsize) -> Result<()> {
    while !stop.load(Ordering::Relaxed) {
        let number = calls.fetch_add(1, Ordering::Relaxed);
        let pod = hooked.pod("shop", &format!("load-{number}"), &json!({})).await?;
        ensure!(containers(&pod, "containers").len() == 2, "{pod}");
        let text = hooked.refusal(ROUTES, &broken()).await?.context("a broken VirtualService was taken")?;
        ensure!(text.contains("denied the request"), "{text}");
    }
    Ok(())
}

/// The certificate that webhooks are served with is of the newest root.
async fn until_served_by(plane: &Plane, root: &str) -> Result<()> {
    // Both TLS ports have the same.
    let address = plane.control_plane.secure.context("an address")?;
    let deadline = Instant::now() + LIMIT;
    loop {
        match connect(address, "istiod.istio-system.svc", root, None).await {
            Ok(_) => return Ok(()),
            Err(error) => ensure!(Instant::now() < deadline, "{error:#}"),
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

fn root() -> Result<Material> {
    new_root(KeyKind::P256, "cluster.local")
}

async fn rotates(name: &str, is_plugged_in: bool) -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let Some(hooked) = Hooked::start(name).await? else { return Ok(()) };
    let hooked = Arc::new(hooked);
    let mut plane = hooked.install("istiod", &[]).await?;
    hooked.namespace("shop", &json!({"istio-injection": "enabled"})).await?;
    let (first, second) = (root()?, root()?);
    let (own, plugged_in) = (hooked.cluster.folder().join("own-root"), plane.cacerts()?.to_path_buf());
    let put = |material: &Material, roots: &[&str]| {
        if is_plugged_in {
            write(&plugged_in, &cacerts(material, roots))
        } else {
            write(&own, &material.to_root_secret())
        }
    };
    put(&first, &[&first.certificate])?;
    let more = [("ISTIO_MULTIROOT_MESH", "true")];
    plane.control_plane.environment.extend(more.map(|(name, value)| (name.to_owned(), value.to_owned())));
    if !is_plugged_in {
        plane.control_plane.flags.extend(["--caRootFolder".to_owned(), own.display().to_string()]);
    }
    let running = plane.start()?;
    for name in VALIDATORS {
        hooked.until(&validating(name), is_strict).await?;
    }
    ensure!(
        hooked.roots("mutatingwebhookconfigurations", INJECTOR).await?.trim() == first.certificate.trim()
    );
    until_served_by(&plane, &first.certificate).await?;

    let (stop, calls) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let task = tokio::spawn({
        let (hooked, stop, calls) = (Arc::clone(&hooked), Arc::clone(&stop), Arc::clone(&calls));
        async move { load(&hooked, &stop, &calls).await }
    });
    put(&second, &[&first.certificate, &second.certificate])?;
    let took = until_held(&hooked, &plane, &second.certificate).await?;
    ensure!(took < SOON, "the new root came after {took:?}");
    let both = hooked.roots("mutatingwebhookconfigurations", INJECTOR).await?;
    ensure!(both.contains(first.certificate.trim()), "the old root is gone at once: {both}");
    until_served_by(&plane, &second.certificate).await?;
    // Some calls more with the new certificate.
    let wanted = calls.load(Ordering::Relaxed) + 10;
    while calls.load(Ordering::Relaxed) < wanted && !task.is_finished() {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    stop.store(true, Ordering::Relaxed);
    task.await??;
    ensure!(!running.log().contains("panicked") && !running.log().contains("PRIVATE KEY"));
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_plugged_in_certificates_are_replaced() -> Result<()> {
    rotates("hooked-cacerts", true).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_call_fails_while_a_root_of_our_own_is_replaced() -> Result<()> {
    rotates("hooked-root", false).await
}
