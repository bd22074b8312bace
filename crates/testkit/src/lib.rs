//! Helpers for tests: scenarios, generation for one proxy, comparison.
