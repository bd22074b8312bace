//! The `trierarch` binary: arguments, environment, wiring, signals.

fn main() {}
