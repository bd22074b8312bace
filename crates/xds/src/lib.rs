//! The xDS protocol without IO: resources, snapshots, subscriptions, sessions.
