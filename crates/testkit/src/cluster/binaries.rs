//! Where the programs of Kubernetes are: the folder that `KUBEBUILDER_ASSETS` names, or what `make tools-kubernetes`
//! built.

use std::path::PathBuf;

const PROGRAMS: [&str; 3] = ["etcd", "kube-apiserver", "kube-controller-manager"];
/// As in scripts/kubernetes.sh.
const FOLDER: &str = "kubernetes-1.34.4";

/// The folder with all programs. Without them there is `None`, said loudly, where a person runs a test alone; in CI,
/// where `make tools` has gone before, that is a failure.
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
    let message = format!("no Kubernetes in {}; `make tools-kubernetes` builds it", folder.display());
    assert!(std::env::var_os("CI").is_none(), "{message}");
    eprintln!("SKIPPED: {message}");
    None
}
