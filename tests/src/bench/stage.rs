//! Everything that one case stands on: a filled world, a control plane that is ready, a swarm that has everything.

use std::cell::Cell;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use anyhow::Result;
use serde_json::Value;
use swarm::{Options, Place};
use tokio::runtime::Runtime;

use super::mesh::{Size, objects, places};
use super::plane::{Plane, Started, Usage};
use super::probe::{Moved, Probe, Seen, Synced};
use super::world::World;

/// Nothing that is measured takes longer.
pub(super) const LIMIT: Duration = Duration::from_mins(3);

/// What all cases need to know.
pub struct Bench {
    /// Runs swarms and requests.
    pub runtime: Runtime,
    /// Our own control plane.
    pub binary: PathBuf,
    /// Where worlds and logs lie.
    pub below: PathBuf,
    /// Whether objects lie in an API server.
    pub over_api: bool,
    /// Another control plane, by address and process id.
    pub target: Option<(String, u32)>,
    /// The API server that the other one reads.
    pub kubeconfig: Option<PathBuf>,
    /// How many changes a case makes.
    pub n_changes: usize,
    /// Multiplies the sizes of meshes and swarms.
    pub scale: f64,
}

/// One filled, running, connected setting.
pub struct Stage {
    /// Where objects lie.
    pub world: World,
    /// Who serves.
    pub plane: Plane,
    /// Who asks.
    pub probe: Probe,
    /// How long it took to be ready.
    pub started: Started,
    /// How the swarm came to have everything.
    pub synced: Synced,
    /// What that took of the processor.
    pub usage: Usage,
    /// Time from opening the swarm until all had everything.
    pub opening: Duration,
    /// Whether the object that changes is as the last change left it, or as it was at first.
    is_changed: Cell<bool>,
}

impl Bench {
    /// A number of services or proxies, scaled.
    pub fn n(&self, full: usize) -> usize {
        ((full as f64 * self.scale).round() as usize).max(1)
    }

    /// A size, its services scaled.
    pub fn size(&self, services: usize, endpoints: usize) -> Size {
        Size::new(self.n(services), endpoints)
    }

    /// A world with that mesh.
    pub fn world(&self, all: &[Value]) -> Result<World> {
        let handle = self.runtime.handle();
        let world = match &self.kubeconfig {
            Some(kubeconfig) => World::standing(handle, kubeconfig)?,
            None if self.over_api => World::cluster(handle)?,
            None => World::folder(handle, &self.below)?,
        };
        world.fill(all)?;
        Ok(world)
    }

    /// A control plane over a world, not started.
    pub fn plane(&self, world: &World) -> Result<Plane> {
        match &self.target {
            Some((target, pid)) => Ok(Plane::standing(target, *pid)),
            None => Plane::own(&self.binary, world, &self.below),
        }
    }

    /// The setting of most cases.
    pub fn stage(&self, size: Size, n_proxies: usize, adjust: impl FnOnce(&mut Options)) -> Result<Stage> {
        let world = self.world(&objects(size))?;
        let mut plane = self.plane(&world)?;
        let started = plane.start(LIMIT)?;
        let before = plane.usage()?;
        let mut options = Options::new(plane.target());
        adjust(&mut options);
        let opened = Instant::now();
        let places: Vec<Place> = places(size, n_proxies);
        let probe = Probe::open(self.runtime.handle(), options, &places);
        let synced = probe.wait_synced(LIMIT)?;
        let opening = synced.last.map(|last| last.saturating_duration_since(opened)).unwrap_or_default();
        let usage = plane.usage()?.since(before);
        probe.settle(Duration::from_secs(1));
        Ok(Stage { world, plane, probe, started, synced, usage, opening, is_changed: Cell::default() })
    }
}

impl Stage {
    /// Makes changes one after the other, a second apart at least, and gathers what was seen of them.
    pub fn changes(
        &self,
        n: usize,
        n_expected: usize,
        moved: &Moved,
        object: impl Fn(bool) -> Value,
    ) -> Result<(Vec<Seen>, Usage)> {
        let change = || {
            let is_changed = !self.is_changed.get();
            self.is_changed.set(is_changed);
            let changed = object(is_changed);
            self.probe.change(moved, n_expected, LIMIT, || self.world.put(&changed))
        };
        // The first one warms what the rest finds warm.
        change()?;
        let before = self.plane.usage()?;
        let all = (0..n).map(|_| change()).collect::<Result<Vec<_>>>()?;
        Ok((all, self.plane.usage()?.since(before)))
    }
}
