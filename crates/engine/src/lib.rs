//! One synchronous commit of a change set: classes, caches, reverse maps, snapshots and a report.
