//! Objects are judged together: what one refers to and no other is, what two say of the same thing, what selects
//! nothing, what hides something. [`across`] takes all objects that are known; codes are those of `istioctl analyze`
//! where it finds the same, and `TRI` codes where it has no such finding.
//!
//! Nothing is said where the objects cannot tell: a selector is only judged if there are workloads or Services among
//! them, since configuration is often kept apart from what it is for. Names that are missing are always told.

mod destination_rule;
mod envoy_filter;
mod gateway;
mod hosts;
mod namespace;
mod policy;
mod service;
mod sidecar;
mod virtual_service;
mod workload;
mod world;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::cursor::Node;
use crate::finding::{Finding, Severity};
use world::{Subject, World};

/// What is known beside the objects.
#[derive(Clone, Debug)]
pub struct Surroundings {
    /// Namespace whose policies are for the whole mesh.
    pub root_namespace: String,
    /// What the names of Services end with.
    pub domain: String,
    /// Whether these are all objects of a cluster, so that what is not among them does not exist.
    pub is_complete: bool,
}

impl Default for Surroundings {
    fn default() -> Self {
        Self {
            root_namespace: "istio-system".to_owned(),
            domain: "cluster.local".to_owned(),
            is_complete: false,
        }
    }
}

/// More findings help nobody.
const MAX_FINDINGS: usize = 10_000;
/// A finding names at most so many other objects.
const MAX_NAMED: usize = 10;

/// Judges objects together. Each should state its namespace. Findings come with the position of the object that they
/// are about, in the order of the objects.
pub fn across(objects: &[Value], surroundings: &Surroundings) -> Vec<(usize, Finding)> {
    let world = World::new(objects, surroundings);
    let mut report = Report::default();
    virtual_service::check(&world, &mut report);
    gateway::check(&world, &mut report);
    destination_rule::check(&world, &mut report);
    sidecar::check(&world, &mut report);
    policy::check(&world, &mut report);
    envoy_filter::check(&world, &mut report);
    service::check(&world, &mut report);
    namespace::check(&world, &mut report);
    workload::check(&world, &mut report);
    report.found.sort_by_key(|(index, _)| *index);
    report.found
}

/// The findings so far.
#[derive(Debug, Default)]
struct Report {
    found: Vec<(usize, Finding)>,
}

impl Report {
    fn error(&mut self, of: &Subject<'_>, code: &'static str, at: &Node<'_>, message: String) {
        self.add(Severity::Error, of, code, at, message);
    }

    fn warn(&mut self, of: &Subject<'_>, code: &'static str, at: &Node<'_>, message: String) {
        self.add(Severity::Warning, of, code, at, message);
    }

    fn info(&mut self, of: &Subject<'_>, code: &'static str, at: &Node<'_>, message: String) {
        self.add(Severity::Info, of, code, at, message);
    }

    /// Something that is referred to and is not there, with what to do about it.
    fn missing(&mut self, of: &Subject<'_>, at: &Node<'_>, what: &str, name: &str, advice: &str) {
        let name = crate::finding::quoted(name);
        self.error(of, "IST0101", at, format!("Referenced {what} not found: {name}; {advice}"));
    }

    fn add(
        &mut self,
        severity: Severity,
        of: &Subject<'_>,
        code: &'static str,
        at: &Node<'_>,
        message: String,
    ) {
        let finding = Finding { severity, code, path: at.path().to_owned(), message };
        if self.found.len() < MAX_FINDINGS {
            self.found.push((of.index, finding));
        }
    }
}

/// Some names, in order, the first of them if they are many.
fn listed(mut names: Vec<String>) -> String {
    names.sort();
    names.dedup();
    let more = names.len().saturating_sub(MAX_NAMED);
    names.truncate(MAX_NAMED);
    let listed = names.join(", ");
    if more == 0 { listed } else { format!("{listed} and {more} more") }
}
