//! A folder of YAML files as a source of configuration.
