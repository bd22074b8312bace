//! Policies by namespace and workload: PeerAuthentication now; the others come with identity.
