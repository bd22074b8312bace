//! Sidecar resources: which one applies to a workload (spec 5.2).
