//! Generates what the crate includes: Istio's API messages, the extension messages that `envoy-types` lacks, and the
//! descriptor set of them all. Each module writes its own files to `OUT_DIR`.

mod istio;

fn main() {
    istio::build();
}
