//! What each file of the folder gave last, and what follows from all of them: the objects in force. Knows no
//! filesystem and no time; `advance` takes one scan and returns what changed.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use config::{AnyObject, Changeset, ConfigKey, Rejection};
use model::Fingerprint;

use crate::documents::read_documents;
use crate::scan::{Scan, Stamp};

/// The state behind a folder.
#[derive(Debug, Default)]
pub(crate) struct Catalog {
    files: BTreeMap<String, File>,
    /// Where each object stands: path and place in the file.
    holders: BTreeMap<ConfigKey, BTreeSet<(String, usize)>>,
    /// Those that stand in more than one place.
    contested: BTreeSet<ConfigKey>,
    in_force: BTreeMap<ConfigKey, AnyObject>,
}

/// What a file gave last.
#[derive(Debug, Default)]
struct File {
    stamp: Option<Stamp>,
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
    /// The stamp that a file had when it was last read.
    pub(crate) fn stamp(&self, path: &str) -> Option<Stamp> {
        self.files.get(path)?.stamp
    }

    /// Takes in a scan. Costs what changed, and a little for each file.
    pub(crate) fn advance(&mut self, scan: Scan) -> Outcome {
        let mut before = std::mem::take(&mut self.files);
        let mut touched = BTreeSet::new();
        for (path, found) in scan.files {
            let mut file = before.remove(&path).unwrap_or_default();
            file.stamp = found.stamp;
            if let Some(content) = found.content
                && !file.has(&content)
            {
                self.leave(&path, &file, &mut touched);
                file = file.advance(&path, content);
                self.enter(&path, &file, &mut touched);
            }
            self.files.insert(path, file);
        }
        // What cannot be looked at is not gone.
        for (path, file) in before {
            if scan.unreadable.keys().any(|folder| path.starts_with(&format!("{folder}/"))) {
                self.files.insert(path, file);
            } else {
                self.leave(&path, &file, &mut touched);
            }
        }
        let warnings = scan
            .unreadable
            .into_iter()
            .map(|(folder, error)| {
                format!("the folder {folder} cannot be read: {error}; its files stay as they were")
            })
            .collect();
        let changes = self.settle(touched);
        Outcome { changes, rejections: self.rejections(), warnings }
    }

    fn enter(&mut self, path: &str, file: &File, touched: &mut BTreeSet<ConfigKey>) {
        for (index, object) in file.objects.iter().enumerate() {
            let key = object.key();
            self.holders.entry(key.clone()).or_default().insert((path.to_owned(), index));
            touched.insert(key);
        }
    }

    fn leave(&mut self, path: &str, file: &File, touched: &mut BTreeSet<ConfigKey>) {
        for (index, object) in file.objects.iter().enumerate() {
            let key = object.key();
            if let Some(holders) = self.holders.get_mut(&key) {
                holders.remove(&(path.to_owned(), index));
            }
            touched.insert(key);
        }
    }

    /// What became of objects that came, went or stand elsewhere. Of two with one key the first by path wins.
    fn settle(&mut self, touched: BTreeSet<ConfigKey>) -> Changeset {
        let mut changes = Changeset::default();
        for key in touched {
            let holders = self.holders.get(&key);
            if holders.is_some_and(|holders| holders.len() > 1) {
                self.contested.insert(key.clone());
            } else {
                self.contested.remove(&key);
            }
            let first = holders.and_then(BTreeSet::first);
            let object = first.and_then(|(path, index)| self.files.get(path)?.objects.get(*index));
            match object {
                Some(object) => {
                    // Where it stands is no part of what it is, but is told.
                    let before = self.in_force.insert(key, object.clone());
                    if before.as_ref() != Some(object) {
                        changes.upsert(object.clone());
                    }
                }
                None => {
                    self.holders.remove(&key);
                    if self.in_force.remove(&key).is_some() {
                        changes.delete(key);
                    }
                }
            }
        }
        changes
    }

    /// All there is to complain of, by file.
    fn rejections(&self) -> Vec<Rejection> {
        let mut beside: BTreeMap<&str, BTreeMap<usize, Rejection>> = BTreeMap::new();
        for key in &self.contested {
            let Some(first) = self.in_force.get(key) else { continue };
            for (path, index) in self.holders.get(key).into_iter().flatten().skip(1) {
                let Some(object) = self.files.get(path).and_then(|file| file.objects.get(*index)) else {
                    continue;
                };
                let rejection = Rejection {
                    key: Some(key.clone()),
                    source: object.source().clone(),
                    path: String::new(),
                    reason: format!("{} has the same object and comes first", first.source()),
                };
                beside.entry(path).or_default().insert(*index, rejection);
            }
        }
        let mut all = Vec::new();
        for (path, file) in &self.files {
            all.extend(file.rejections.iter().cloned());
            all.extend(beside.remove(path.as_str()).into_iter().flat_map(BTreeMap::into_values));
        }
        all
    }
}

impl File {
    /// Whether that is what it gave last.
    fn has(&self, content: &Result<Vec<u8>, String>) -> bool {
        let Ok(bytes) = content else { return false };
        self.content == Some(Fingerprint::of(bytes))
    }

    /// The file after a reading of it.
    fn advance(self, path: &str, content: Result<Vec<u8>, String>) -> Self {
        let bytes = match content {
            Ok(bytes) => bytes,
            Err(error) => return self.keep(None, path, format!("the file cannot be read: {error}")),
        };
        let fingerprint = Some(Fingerprint::of(&bytes));
        let documents = match read_documents(&bytes, has_json_ending(path)) {
            Ok(documents) => documents,
            Err(error) => return self.keep(fingerprint, path, error),
        };

        let n_documents = documents.len();
        let mut last: HashMap<ConfigKey, AnyObject> =
            self.objects.into_iter().rev().map(|object| (object.key(), object)).collect();
        let mut file = Self { stamp: self.stamp, content: fingerprint, ..Self::default() };
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Found;

    /// Files `a.yaml` to `d.yaml`, each with services of some names, some of them in several files and some broken.
    fn scan_of(files: &BTreeMap<String, String>, unread: &BTreeSet<String>) -> Scan {
        let found = |(path, text): (&String, &String)| {
            let content = (!unread.contains(path)).then(|| Ok(text.clone().into_bytes()));
            (path.clone(), Found { stamp: None, content })
        };
        Scan { files: files.iter().map(found).collect(), unreadable: BTreeMap::new() }
    }

    fn text(seed: u64) -> String {
        let document = |bit: u64| match seed >> (bit * 3) & 7 {
            0 | 1 => String::new(),
            2 => "---\nkind: [\n".to_owned(),
            3 => format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{bit}}}\nspec: {{ports: 1}}\n"
            ),
            port => format!(
                "---\napiVersion: v1\nkind: Service\nmetadata: {{name: s{bit}}}\nspec: {{ports: [{{port: {port}}}]}}\n"
            ),
        };
        (0..4).map(document).collect()
    }

    #[test]
    fn edits_lead_where_reading_everything_anew_does() {
        let mut files: BTreeMap<String, String> = BTreeMap::new();
        let mut catalog = Catalog::default();
        let mut applied: BTreeMap<ConfigKey, AnyObject> = BTreeMap::new();
        let mut seed: u64 = 7;
        for _ in 0..2000 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let path = format!("{}.yaml", ["a", "b", "c", "d"][(seed >> 60) as usize % 4]);
            let unread: BTreeSet<String> = files.keys().filter(|known| **known != path).cloned().collect();
            if (seed >> 57).is_multiple_of(8) {
                files.remove(&path);
            } else {
                files.insert(path, text(seed >> 20));
            }
            let outcome = catalog.advance(scan_of(&files, &unread));
            for (key, object) in outcome.changes.iter() {
                match object {
                    Some(object) => drop(applied.insert(key.clone(), object.clone())),
                    None => assert!(applied.remove(key).is_some(), "{key:?} was not there"),
                }
            }
            assert_eq!(applied, catalog.in_force);
            // A broken file keeps what it last gave, which nobody can know who reads it for the first time.
            if catalog.files.values().all(|file| file.rejections.is_empty()) {
                let mut fresh = Catalog::default();
                let whole = fresh.advance(scan_of(&files, &BTreeSet::new()));
                assert_eq!((&fresh.in_force, whole.rejections), (&catalog.in_force, outcome.rejections));
            }
        }
    }
}
