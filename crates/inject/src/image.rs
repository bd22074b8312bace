//! The image of the proxy: `<hub>/<image>:<tag>[-<type>]` (platform specification, 6.4).

use crate::config::Values;

const TYPE: &str = "sidecar.istio.io/proxyImageType";

/// The image named by the values at a path, of the type that ProxyConfig or the pod's annotation wants.
pub(crate) fn image(values: &Values, path: &str, wanted_type: &str, annotated_type: Option<&str>) -> String {
    let name =
        Some(values.text(path)).filter(|name| !name.is_empty()).unwrap_or_else(|| "proxyv2".to_owned());
    let variant =
        if wanted_type.is_empty() { values.text("/global/variant") } else { wanted_type.to_owned() };
    let kind = annotated_type.unwrap_or(&variant);
    let tag = with_type(&values.text("/global/tag"), kind);
    format!("{}/{name}:{tag}", values.text("/global/hub"))
}

/// The annotation that names the type.
pub(crate) fn annotated_type(pod: &serde_json::Value) -> Option<&str> {
    crate::pod::annotation(pod, TYPE)
}

/// A tag of another type of image: the type it has gives way.
fn with_type(tag: &str, kind: &str) -> String {
    if kind.is_empty() {
        return tag.to_owned();
    }
    let bare = ["-distroless", "-debug"].iter().find_map(|known| tag.strip_suffix(known)).unwrap_or(tag);
    if kind == "default" { bare.to_owned() } else { format!("{bare}-{kind}") }
}
