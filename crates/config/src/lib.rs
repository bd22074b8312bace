//! Bytes to validated, fingerprinted objects or a Rejection that names object, field and reason.
