//! What users should know of their configuration, gathered once for each state and not once for each who asks: most
//! of it concerns the mesh, which looks at every object for it. Counts are for the gauges of the push status.

use std::cell::OnceCell;
use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::Mesh;
use model::{Findings, Gauge, Issue, findings};

/// Issues and counts of the present state, as far as somebody asked.
#[derive(Default)]
pub(crate) struct Issues {
    of_mesh: OnceCell<Findings>,
    all: OnceCell<All>,
}

/// Both in order.
pub(crate) struct All {
    pub(crate) issues: Arc<[Issue]>,
    pub(crate) counted: BTreeMap<Gauge, usize>,
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

    /// All of them; `add_made` adds those of what is made of the mesh.
    pub(crate) fn all(&self, mesh: &Mesh, add_made: impl FnOnce(&mut Findings)) -> &All {
        self.all.get_or_init(|| {
            let mut all = self.of_mesh.get_or_init(|| of_mesh(mesh)).clone();
            add_made(&mut all);
            let mut counted: BTreeMap<Gauge, usize> =
                findings::GAUGES.iter().map(|gauge| (*gauge, 0)).collect();
            for (gauge, _) in &all.counted {
                *counted.entry(*gauge).or_default() += 1;
            }
            counted.insert(findings::ENDPOINT_NOT_READY, mesh.n_unready_endpoints());
            All { issues: all.issues.into_iter().collect(), counted }
        })
    }
}

fn of_mesh(mesh: &Mesh) -> Findings {
    let mut found = mesh.findings();
    found.issues.extend(mesh.settings_issues().iter().cloned());
    found.issues.extend(mesh.virtual_service_issues().iter().cloned());
    found
}
