//! Classes of proxies and what one class may see.
