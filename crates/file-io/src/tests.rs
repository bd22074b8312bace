//! Tests on real folders. Each waits for the event itself, never for a time.

use std::fmt::Write as _;
use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use config::{AnyObject, ConfigStore, SourceEvent};

use crate::{FolderError, FolderSource};

/// Only reached if the event never comes.
const NEVER: Duration = Duration::from_mins(1);

struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("folder-source-{}-{number}", std::process::id()));
        fs::create_dir_all(&path).expect("a temporary folder");
        Self(path)
    }

    fn write(&self, name: &str, text: &str) {
        let path = self.0.join(name);
        fs::create_dir_all(path.parent().expect("a parent")).expect("a folder");
        fs::write(path, text).expect("a file");
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

struct Watched {
    folder: Folder,
    events: Receiver<SourceEvent>,
    store: ConfigStore,
    last: SourceEvent,
    _source: FolderSource,
}

impl Watched {
    fn start(folder: Folder) -> Self {
        let (sender, events) = channel();
        let source = FolderSource::start(&folder.0, move |event| {
            let _ = sender.send(event);
        })
        .expect("a source");
        let last: SourceEvent = events.try_recv().expect("the first event comes before `start` returns");
        let mut store = ConfigStore::default();
        store.apply(last.changes.clone());
        Self { folder, events, store, last, _source: source }
    }

    /// Takes in events until the mesh is as wanted.
    fn until(&mut self, wanted: impl Fn(&ConfigStore, &SourceEvent) -> bool) {
        while !wanted(&self.store, &self.last) {
            self.last = self.events.recv_timeout(NEVER).expect("an event");
            self.store.apply(self.last.changes.clone());
        }
    }

    fn port(&self, name: &str) -> Option<u32> {
        port(&self.store, name)
    }
}

fn port(store: &ConfigStore, name: &str) -> Option<u32> {
    store.services().get("default", name).map(|service| service.spec.ports[0].port)
}

fn service(name: &str, port: impl std::fmt::Display) -> String {
    format!(
        "apiVersion: v1\nkind: Service\nmetadata: {{name: {name}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
    )
}

#[test]
fn every_file_and_document_is_read_at_the_start() {
    let folder = Folder::new();
    folder.write(
        "one.yaml",
        &format!("\u{feff}{}---\n---\n# nothing\n---\n{}", service("a", 1), service("b", 2)),
    );
    folder.write("deep/er/two.yml", &service("c", 3));
    folder.write(
        "three.json",
        r#"{"apiVersion": "v1", "kind": "List", "items": [{"apiVersion": "v1", "kind": "Service",
            "metadata": {"name": "d"}, "spec": {"ports": [{"port": 4}]}}]}"#,
    );
    folder.write("merge.yaml", "apiVersion: v1\nkind: Service\nmetadata: {name: e}\nspec:\n  ports:\n  - &p {port: 5, name: x}\n  - {<<: *p, name: y}\n");
    folder.write("deployment.yaml", "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: f}\n");
    folder.write("README.md", "not: [configuration");
    folder.write(".hidden/one.yaml", "not: [configuration");
    folder.write("empty.yaml", "");
    let watched = Watched::start(folder);
    assert_eq!(watched.last.rejections, []);
    assert_eq!(["a", "b", "c", "d", "e"].map(|name| watched.port(name)), [1, 2, 3, 4, 5].map(Some));
    let merged = watched.store.services().get("default", "e").expect("e");
    assert_eq!((merged.spec.ports[1].port, merged.spec.ports[1].name.as_str()), (5, "y"));
    assert_eq!(&*watched.store.services().get("default", "b").expect("b").source, "one.yaml#2");
}

#[test]
fn edits_new_folders_and_deletions_arrive_as_changes() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("a", 1));
    folder.write("b.yaml", &service("b", 1));
    let mut watched = Watched::start(folder);
    watched.folder.write("a.yaml", &service("a", 2));
    watched.until(|store, _| port(store, "a") == Some(2));
    assert_eq!(watched.last.changes.len(), 1);
    watched.folder.write("new/folder/c.yaml", &service("c", 3));
    watched.until(|store, _| port(store, "c") == Some(3));
    watched.folder.write("new/folder/c.yaml", &service("c", 4));
    watched.until(|store, _| port(store, "c") == Some(4));
    fs::remove_file(watched.folder.0.join("b.yaml")).expect("to remove");
    watched.until(|store, _| port(store, "b").is_none());
    fs::remove_dir_all(watched.folder.0.join("new")).expect("to remove");
    watched.until(|store, _| port(store, "c").is_none());
    assert_eq!(watched.port("a"), Some(2));
}

#[test]
fn a_file_that_is_not_yaml_keeps_its_last_objects() {
    let folder = Folder::new();
    folder.write("a.yaml", &service("a", 1));
    let mut watched = Watched::start(folder);
    watched.folder.write("a.yaml", "a: [b\n");
    watched.until(|_, event| !event.rejections.is_empty());
    assert!(watched.last.changes.is_empty());
    assert_eq!(&*watched.last.rejections[0].source, "a.yaml");
    watched.folder.write("a.yaml", &service("a", 2));
    watched.until(|store, _| port(store, "a") == Some(2));
    assert_eq!(watched.last.rejections, []);
}

#[test]
fn a_rejected_document_keeps_the_last_version_of_its_object() {
    let folder = Folder::new();
    folder.write("a.yaml", &format!("{}---\n{}", service("a", 1), service("b", 1)));
    let mut watched = Watched::start(folder);
    watched.folder.write("a.yaml", &format!("{}---\n{}", service("a", "one"), service("b", 2)));
    watched.until(|store, _| port(store, "b") == Some(2));
    assert_eq!(watched.port("a"), Some(1));
    assert_eq!(watched.last.rejections.len(), 1);
    assert_eq!(watched.last.rejections[0].path, "spec.ports[0].port");
    watched.folder.write("a.yaml", &service("b", 2));
    watched.until(|store, _| port(store, "a").is_none());
}

#[test]
fn of_two_files_with_one_object_the_first_by_path_wins() {
    let folder = Folder::new();
    folder.write("b.yaml", &service("a", 2));
    folder.write("c.yaml", &service("a", 3));
    let mut watched = Watched::start(folder);
    assert_eq!(watched.port("a"), Some(2));
    let complaint = watched.last.rejections[0].to_string();
    assert!(complaint.contains("c.yaml") && complaint.contains("b.yaml"), "{complaint}");
    watched.folder.write("a.yaml", &service("a", 1));
    watched.until(|store, _| port(store, "a") == Some(1));
    assert_eq!(watched.last.rejections.len(), 2);
    for name in ["a.yaml", "b.yaml"] {
        fs::remove_file(watched.folder.0.join(name)).expect("to remove");
    }
    watched.until(|store, event| port(store, "a") == Some(3) && event.rejections.is_empty());
}

#[cfg(unix)]
#[test]
fn a_mounted_config_map_is_followed_through_its_links() {
    use std::os::unix::fs::symlink;

    let folder = Folder::new();
    folder.write("..first/a.yaml", &service("a", 1));
    let root = folder.0.clone();
    symlink("..first", root.join("..data")).expect("a link");
    symlink("..data/a.yaml", root.join("a.yaml")).expect("a link");
    symlink(".", root.join("circle")).expect("a link");
    let mut watched = Watched::start(folder);
    assert_eq!(watched.port("a"), Some(1));
    watched.folder.write("..second/a.yaml", &service("a", 2));
    symlink("..second", root.join("..data_tmp")).expect("a link");
    fs::rename(root.join("..data_tmp"), root.join("..data")).expect("to swap");
    fs::remove_dir_all(root.join("..first")).expect("to remove");
    watched.until(|store, _| port(store, "a") == Some(2));
    assert_eq!(watched.last.rejections, []);
}

#[test]
fn a_folder_that_is_not_there_is_an_error() {
    let error = FolderSource::start("/nonexistent/folder", |_| {}).expect_err("no folder");
    assert!(matches!(error, FolderError::WatchFolder { .. }), "{error}");
}

#[test]
fn hostile_files_are_rejected_one_by_one() {
    let folder = Folder::new();
    let mut bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..9 {
        let last = level - 1;
        let items = vec![format!("*a{last}"); 10].join(", ");
        writeln!(bomb, "a{level}: &a{level} [{items}]").expect("a string takes everything");
    }
    folder.write("bomb.yaml", &bomb);
    folder.write("deep.yaml", &"[".repeat(100_000));
    folder.write("deep.json", &"[".repeat(100_000));
    folder.write("twice.yaml", "a: 1\na: 2\n");
    folder.write("text.yaml", "just text");
    folder.write("number.yaml", "{1: 2, ~: 3}");
    folder.write("tag.yaml", "!custom {a: b}");
    fs::write(folder.0.join("latin.yaml"), [0x61, 0xff, 0x62]).expect("a file");
    folder.write("good.yaml", &service("a", 1));
    let watched = Watched::start(folder);
    assert_eq!(watched.port("a"), Some(1));
    let sources: Vec<&str> = watched.last.rejections.iter().map(|rejection| &*rejection.source).collect();
    let bad = ["bomb", "deep", "deep", "latin", "number", "tag", "text", "twice"];
    assert_eq!(
        sources.iter().map(|source| source.split('.').next().unwrap_or_default()).collect::<Vec<_>>(),
        bad
    );
    assert!(watched.store.iter().all(|object| matches!(object, AnyObject::Service(_))));
}
