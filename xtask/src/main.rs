//! Chores of the project: tidy, golden, parity, ci.

fn main() {}
