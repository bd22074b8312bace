//! What users should know of their configuration, gathered once for each state and not once for each who asks: most
//! of it concerns the mesh, which looks at every object for it.

use std::cell::OnceCell;
use std::collections::BTreeSet;
use std::sync::Arc;

use mesh::Mesh;
use model::Issue;

/// Issues of the present state, as far as somebody asked.
#[derive(Default)]
pub(crate) struct Issues {
    of_mesh: OnceCell<BTreeSet<Issue>>,
    all: OnceCell<Arc<[Issue]>>,
}

impl Issues {
    /// The mesh is another.
    pub(crate) fn forget_mesh(&mut self) {
        *self = Self::default();
    }

    /// What is made of it is another.
    pub(crate) fn forget_made(&mut self) {
        self.all = OnceCell::new();
    }

    /// All, sorted, each once.
    pub(crate) fn all<'i>(&self, mesh: &Mesh, made: impl Iterator<Item = &'i Issue>) -> Arc<[Issue]> {
        let all = self.all.get_or_init(|| {
            let of_mesh = self.of_mesh.get_or_init(|| {
                let mut issues: BTreeSet<Issue> = mesh.settings_issues().iter().cloned().collect();
                issues.extend(mesh.virtual_service_issues().iter().cloned());
                issues.extend(mesh.dangling_references());
                issues
            });
            let made: BTreeSet<&Issue> = made.collect();
            of_mesh.iter().chain(made).collect::<BTreeSet<_>>().into_iter().cloned().collect()
        });
        Arc::clone(all)
    }
}
