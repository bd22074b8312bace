//! Scope and mesh to Envoy resources: select gathers inputs, render makes bytes from them alone.
