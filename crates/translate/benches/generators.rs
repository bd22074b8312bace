//! What each translator costs for one class of proxies, by the size of the mesh: `cold` selects and renders everything,
//! `known` selects what is all rendered already, as for a second class that gets the same. Performance specification,
//! 4, B13. `cargo bench -p translate -- clusters` measures some of them.

#![expect(clippy::expect_used, reason = "the meshes are made here")]

mod mesh_of;

use std::cell::RefCell;
use std::collections::{BTreeSet, HashMap};
use std::hint::black_box;
use std::sync::Arc;

use criterion::{BenchmarkId, Criterion, SamplingMode, criterion_group, criterion_main};
use mesh::{Mesh, Reader};
use model::Fingerprint;
use scope::{Proxy, ProxyClass, ProxyScope};
use translate::policy_filters::PolicyFilters;
use translate::{Context, Piece, Reference, RenderCache, Resource};

/// Services of the meshes.
const SIZES: [usize; 3] = [100, 1_000, 10_000];

/// Pieces by key.
#[derive(Default)]
struct Cache(RefCell<HashMap<Fingerprint, Arc<Piece>>>);

impl RenderCache for Cache {
    fn piece(&self, key: Fingerprint, _: &'static str, render: &mut dyn FnMut() -> Piece) -> Arc<Piece> {
        if let Some(piece) = self.0.borrow().get(&key) {
            return Arc::clone(piece);
        }
        // Rendering may ask for pieces itself.
        let piece = Arc::new(render());
        self.0.borrow_mut().insert(key, Arc::clone(&piece));
        piece
    }
}

/// Lets a translator work for a sidecar of the first service, with what is rendered already in `cache`.
fn translated<T>(mesh: &Mesh, proxy: &Proxy, cache: &Cache, translate: impl FnOnce(&Context<'_>) -> T) -> T {
    let reader = Reader::new(mesh);
    let scope = ProxyScope::build(Arc::new(ProxyClass::of(proxy, &reader)), &reader);
    let findings = RefCell::default();
    translate(&Context { reader: &reader, scope: &scope, cache, findings: &findings })
}

fn names(resources: &[Resource], of: impl Fn(&Reference) -> Option<&String>) -> BTreeSet<String> {
    resources.iter().flat_map(|resource| resource.piece.references.iter()).filter_map(of).cloned().collect()
}

fn clusters(ctx: &Context<'_>) -> usize {
    translate::cluster::generate(ctx).len()
}

fn listeners(ctx: &Context<'_>) -> usize {
    translate::listener::generate(ctx).len()
}

fn rbac(ctx: &Context<'_>) -> usize {
    PolicyFilters::select(ctx).http.len()
}

/// Measures one translator over all sizes.
fn measure<T>(
    criterion: &mut Criterion,
    name: &str,
    prepare: impl Fn(&Context<'_>) -> T,
    run: impl Fn(&Context<'_>, &T) -> usize,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10).sampling_mode(SamplingMode::Flat);
    let proxy = mesh_of::proxy();
    for size in SIZES {
        let mesh = mesh_of::services(size);
        let cache = Cache::default();
        let prepared = translated(&mesh, &proxy, &cache, &prepare);
        let n_made = translated(&mesh, &proxy, &cache, |ctx| run(ctx, &prepared));
        assert!(n_made > 0, "{name} makes something for {size} services");
        let reader = Reader::new(&mesh);
        let scope = ProxyScope::build(Arc::new(ProxyClass::of(&proxy, &reader)), &reader);
        let once = |cache: &Cache| {
            let findings = RefCell::default();
            let ctx = Context { reader: &reader, scope: &scope, cache, findings: &findings };
            let n_made = run(black_box(&ctx), &prepared);
            // What was asked is taken away after each group in the engine, too.
            (n_made, reader.take_reads())
        };
        group.bench_function(BenchmarkId::new("cold", size), |bencher| {
            bencher.iter(|| once(&Cache::default()));
        });
        group.bench_function(BenchmarkId::new("known", size), |bencher| bencher.iter(|| once(&cache)));
    }
    group.finish();
}

fn all(criterion: &mut Criterion) {
    measure(criterion, "clusters", |_| (), |ctx, ()| clusters(ctx));
    measure(
        criterion,
        "endpoints",
        |ctx| {
            names(&translate::cluster::generate(ctx), |reference| match reference {
                Reference::Endpoints(name) => Some(name),
                _ => None,
            })
        },
        |ctx, names| names.iter().filter_map(|name| translate::endpoint::generate(ctx, name)).count(),
    );
    measure(criterion, "listeners", |_| (), |ctx, ()| listeners(ctx));
    measure(
        criterion,
        "routes",
        |ctx| {
            names(&translate::listener::generate(ctx), |reference| match reference {
                Reference::Routes(name) => Some(name),
                _ => None,
            })
        },
        |ctx, names| names.iter().filter_map(|name| translate::route::generate(ctx, name)).count(),
    );
    measure(criterion, "rbac", |_| (), |ctx, ()| rbac(ctx));
}

criterion_group!(benches, all);
criterion_main!(benches);
