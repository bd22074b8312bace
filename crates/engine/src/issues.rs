//! What users should know of their configuration, gathered once for each state and not once for each who asks: most
//! of it concerns the mesh, which looks at every object for it. Counts are for the gauges of the push status.

use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::sync::Arc;

use mesh::Mesh;
use model::{Findings, Gauge, Issue, findings};

/// Issues and counts of the present state, as far as somebody asked.
#[derive(Default)]
pub(crate) struct Issues {
    of_mesh: OnceCell<Findings>,
    all: OnceCell<All>,
    made: RefCell<Made>,
}

/// What was found in all that was made, put together. Most changes bring nothing new of that, and there are as many
/// parts as classes, each with as much as the mesh gives rise to.
#[derive(Default)]
struct Made {
    parts: Vec<Arc<Findings>>,
    together: Arc<Findings>,
}

impl Made {
    fn update(&mut self, parts: Vec<Arc<Findings>>) {
        let is_same = parts.len() == self.parts.len()
            && parts.iter().zip(&self.parts).all(|(new, old)| Arc::ptr_eq(new, old));
        if !is_same {
            let mut together = Findings::default();
            for part in &parts {
                together.add(part);
            }
            *self = Self { parts, together: Arc::new(together) };
        }
    }
}

/// Both in order.
pub(crate) struct All {
    pub(crate) issues: Arc<[Issue]>,
    pub(crate) counted: BTreeMap<Gauge, usize>,
}

impl Issues {
    /// The mesh is another.
    pub(crate) fn forget_mesh(&mut self) {
        self.of_mesh = OnceCell::new();
        self.all = OnceCell::new();
    }

    /// What is made of it is another.
    pub(crate) fn forget_made(&mut self) {
        self.all = OnceCell::new();
    }

    /// All of them; `made` are those of what is made of the mesh.
    pub(crate) fn all(&self, mesh: &Mesh, made: impl FnOnce() -> Vec<Arc<Findings>>) -> &All {
        self.all.get_or_init(|| {
            let mut all = self.of_mesh.get_or_init(|| of_mesh(mesh)).clone();
            let mut known = self.made.borrow_mut();
            known.update(made());
            all.add(&known.together);
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
