//! What a case found: one line of JSON for machines, one line for people.

use std::fmt::Write as _;
use std::time::Duration;

use serde_json::{Map, Value, json};

/// The figures of one case, in the order in which they were added.
#[derive(Clone, Debug)]
pub struct Figures {
    case: String,
    what: String,
    values: Vec<(&'static str, f64)>,
    goals: Vec<(&'static str, f64)>,
}

impl Figures {
    /// No figures yet. `what` says in words what was measured.
    pub fn new(case: &str, what: String) -> Self {
        Self { case: case.to_owned(), what, values: Vec::new(), goals: Vec::new() }
    }

    /// Adds a figure; its name ends in its unit.
    pub fn add(&mut self, name: &'static str, value: f64) {
        self.values.push((name, value));
    }

    /// Adds what must not be exceeded by the figure of that name.
    pub fn goal(&mut self, name: &'static str, most: f64) {
        self.goals.push((name, most));
    }

    /// A figure by its name.
    pub fn get(&self, name: &str) -> Option<f64> {
        self.values.iter().find(|(known, _)| *known == name).map(|(_, value)| *value)
    }

    /// Adds median, 99th percentile and the largest, in milliseconds.
    pub fn latencies(&mut self, mut all: Vec<Duration>) {
        all.sort();
        let at = |part: f64| {
            let index = ((all.len() as f64 * part).ceil() as usize).clamp(1, all.len().max(1)) - 1;
            all.get(index).map_or(f64::NAN, |time| time.as_secs_f64() * 1e3)
        };
        self.add("p50_ms", at(0.5));
        self.add("p99_ms", at(0.99));
        self.add("max_ms", at(1.0));
    }

    /// One line of JSON.
    pub fn json(&self) -> Value {
        let mut map = Map::new();
        map.insert("case".into(), json!(self.case));
        map.insert("what".into(), json!(self.what));
        for (name, value) in &self.values {
            map.insert((*name).into(), json!((value * 1e4).round() / 1e4));
        }
        let missed: Vec<&str> = self.missed().collect();
        map.insert("missed".into(), json!(missed));
        Value::Object(map)
    }

    /// One line for people; what misses its goal is marked with the goal.
    pub fn line(&self) -> String {
        let mut line = format!("{:<4} {}:", self.case, self.what);
        for (name, value) in &self.values {
            let (name, unit) = name.rsplit_once('_').unwrap_or((name, ""));
            let digits = if value.abs() >= 100.0 {
                0
            } else if value.abs() >= 10.0 {
                1
            } else {
                3
            };
            let _ = write!(line, " {} {value:.digits$} {unit},", name.replace('_', " "));
        }
        line.truncate(line.trim_end_matches(',').len());
        for name in self.missed() {
            let goal = self.goals.iter().find(|(known, _)| *known == name).map_or(f64::NAN, |goal| goal.1);
            let _ = write!(line, " [goal for {name}: {goal}]");
        }
        line
    }

    fn missed(&self) -> impl Iterator<Item = &'static str> {
        let exceeds = |(name, most): &&(&'static str, f64)| self.get(name).is_none_or(|value| value > *most);
        self.goals.iter().filter(exceeds).map(|(name, _)| *name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_those_of_the_whole_and_missed_goals_are_marked() {
        let mut figures = Figures::new("B0", "nothing".to_owned());
        figures.latencies((1..=100).rev().map(Duration::from_millis).collect());
        figures.goal("p99_ms", 50.0);
        figures.goal("p50_ms", 50.0);
        assert_eq!(figures.get("p50_ms"), Some(50.0));
        assert_eq!(figures.json()["p99_ms"], 99.0);
        assert_eq!(figures.json()["missed"], json!(["p99_ms"]));
        assert!(figures.line().ends_with("[goal for p99_ms: 50]"), "{}", figures.line());
    }
}
