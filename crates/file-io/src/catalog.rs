//! What each file of the folder gave last, and what follows from all of them: the objects in force. Knows no
//! filesystem and no time; `advance` takes one scan and returns what changed.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use config::{AnyObject, Changeset, ConfigKey, Rejection};
use model::Fingerprint;

use crate::documents::read_documents;
use crate::scan::Scan;

/// The state behind a folder.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    files: BTreeMap<String, File>,
    in_force: BTreeMap<ConfigKey, AnyObject>,
}

/// What a file gave last.
#[derive(Debug, Default)]
struct File {
    /// Of the content that was last read, good or not; none if it could not be read.
    content: Option<Fingerprint>,
    objects: Vec<AnyObject>,
    rejections: Vec<Rejection>,
}

/// What came of one scan.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Outcome {
    pub(crate) changes: Changeset,
    pub(crate) rejections: Vec<Rejection>,
    pub(crate) warnings: Vec<String>,
}

impl Catalog {
    /// Takes in a scan.
    pub(crate) fn advance(&mut self, scan: Scan) -> Outcome {
        let mut before = std::mem::take(&mut self.files);
        for (path, content) in scan.files {
            let last = before.remove(&path).unwrap_or_default();
            self.files.insert(path.clone(), last.advance(&path, content));
        }
        // What cannot be looked at is not gone.
        for (path, file) in before {
            if scan.unreadable.keys().any(|folder| path.starts_with(&format!("{folder}/"))) {
                self.files.insert(path, file);
            }
        }
        let warnings = scan
            .unreadable
            .into_iter()
            .map(|(folder, error)| {
                format!("the folder {folder} cannot be read: {error}; its files stay as they were")
            })
            .collect();

        let (in_force, rejections) = self.settle();
        let mut changes = Changeset::default();
        for key in self.in_force.keys().filter(|key| !in_force.contains_key(key)) {
            changes.delete(key.clone());
        }
        for (key, object) in &in_force {
            if self.in_force.get(key) != Some(object) {
                changes.upsert(object.clone());
            }
        }
        self.in_force = in_force;
        Outcome { changes, rejections, warnings }
    }

    /// The objects in force, and all there is to complain of. Of two objects with one key the first by path wins.
    fn settle(&self) -> (BTreeMap<ConfigKey, AnyObject>, Vec<Rejection>) {
        let mut in_force: BTreeMap<ConfigKey, AnyObject> = BTreeMap::new();
        let mut rejections = Vec::new();
        for file in self.files.values() {
            rejections.extend(file.rejections.iter().cloned());
            for object in &file.objects {
                let key = object.key();
                if let Some(first) = in_force.get(&key) {
                    rejections.push(Rejection {
                        key: Some(key),
                        source: object.source().clone(),
                        path: String::new(),
                        reason: format!("{} has the same object and comes first", first.source()),
                    });
                } else {
                    in_force.insert(key, object.clone());
                }
            }
        }
        (in_force, rejections)
    }
}

impl File {
    /// The file after a reading of it.
    fn advance(self, path: &str, content: Result<Vec<u8>, String>) -> Self {
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(error) => return self.keep(None, path, format!("the file cannot be read: {error}")),
        };
        let fingerprint = Some(Fingerprint::of(&bytes));
        if self.content == fingerprint {
            return self;
        }
        let documents = match read_documents(&bytes, has_json_ending(path)) {
            Ok(documents) => documents,
            Err(error) => return self.keep(fingerprint, path, error),
        };

        let n_documents = documents.len();
        let mut last: HashMap<ConfigKey, AnyObject> =
            self.objects.into_iter().rev().map(|object| (object.key(), object)).collect();
        let mut file = Self { content: fingerprint, ..Self::default() };
        for (index, document) in documents.into_iter().enumerate() {
            let source = if n_documents == 1 { path.to_owned() } else { format!("{path}#{}", index + 1) };
            match config::parse(document, &source) {
                Ok(object) => file.objects.extend(object),
                Err(rejection) => {
                    file.objects.extend(rejection.key.as_ref().and_then(|key| last.remove(key)));
                    file.rejections.push(rejection);
                }
            }
        }
        file
    }

    /// The file with the objects it last had, and the reason why.
    fn keep(mut self, content: Option<Fingerprint>, path: &str, reason: String) -> Self {
        self.content = content;
        self.rejections = vec![Rejection::of_document(&Arc::from(path), reason)];
        self
    }
}

fn has_json_ending(path: &str) -> bool {
    path.rsplit_once('.').is_some_and(|(_, ending)| ending == "json")
}
