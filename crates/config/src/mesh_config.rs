//! The documents of the ConfigMap `istio`: mesh configuration and networks.

use proto::istio::mesh::{MeshConfig, MeshNetworks};

/// Mesh configuration before any document.
pub fn default_mesh() -> MeshConfig {
    MeshConfig::default()
}

/// Mesh configuration from the document `mesh`.
pub fn parse_mesh(document: &str) -> Result<MeshConfig, String> {
    serde_yaml::from_str(document).map_err(|error| error.to_string())
}

/// Networks from the document `meshNetworks`.
pub fn parse_networks(document: &str) -> Result<MeshNetworks, String> {
    serde_yaml::from_str(document).map_err(|error| error.to_string())
}
