//! tonic and HTTP shells: ADS, readiness, metrics, debug.
