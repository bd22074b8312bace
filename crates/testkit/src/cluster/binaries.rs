//! Where the programs of Kubernetes are: the folder that `KUBEBUILDER_ASSETS` names, or what `make tools-kubernetes`
//! built.

use std::path::PathBuf;

const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];
/// As in scripts/kubernetes.sh.
const FOLDER: &str = "kubernetes-1.34.4";

/// The folder with all programs; `None`, said loudly, when there is none: building them takes
/// minutes, so they are no part of `make tools`.
pub fn binaries() -> Option<PathBuf> {
    let tools = || {
        std::env::var_os("TRIERARCH_TOOLS")
            .map_or_else(|| crate::workspace().join(".tools"), PathBuf::from)
            .join(FOLDER)
    };
    let folder = std::env::var_os("KUBEBUILDER_ASSETS").map_or_else(tools, PathBuf::from);
    if PROGRAMS.iter().all(|program| folder.join(program).is_file()) {
        return Some(folder);
    }
    eprintln!("SKIPPED: no Kubernetes in {}: run `make tools-kubernetes` once", folder.display());
    None
}
