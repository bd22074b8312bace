//! The vocabulary of the mesh: hosts, namespaces, labels, protocols, localities, fingerprints.
