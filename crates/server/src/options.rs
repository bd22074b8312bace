//! Settings of the ADS shell with the defaults of the platform specification (1.1, 1.6, 2.1).

use std::time::Duration;

/// Settings of the ADS shell.
#[derive(Clone, Debug)]
pub struct AdsOptions {
    /// New streams per second, 0 for no limit; none waits longer than a second for its turn. Proxies of a class
    /// share all that is made for them, so by default far more are let in than istiod would.
    pub max_streams_per_second: u32,
    /// Pushes that are made at the same time.
    pub push_throttle: usize,
    /// Streams per connection.
    pub max_concurrent_streams: u32,
    /// Longest request.
    pub max_request_bytes: usize,
    /// Names that one stream may subscribe to.
    pub max_names: usize,
    /// How often an idle connection is probed.
    pub keepalive_interval: Duration,
    /// How long an answer to that may take.
    pub keepalive_timeout: Duration,
    /// When a connection is asked to go, a tenth earlier or later, so that load spreads; never by default.
    pub max_connection_age: Option<Duration>,
    /// How long it may take to go, then or at a stop.
    pub max_connection_age_grace: Duration,
    /// The time over which connections are spread that a stop asks to go, so that other replicas are not stormed.
    pub drain: Duration,
    /// How long a client may take to read a response, and once more for each further MiB of it; then its connection
    /// is cut. Zero is for ever.
    pub write_timeout: Duration,
    /// Every nonce begins with it: different for each start of the process.
    pub nonce_prefix: String,
    /// Whether ztunnels are served.
    pub ambient: bool,
}

impl AdsOptions {
    /// How many pushes at once suit a machine with that many cores; istiod admits as many streams per second.
    pub fn limit_for(n_cores: usize) -> usize {
        (15 + 5 * n_cores).min(100)
    }
}

impl Default for AdsOptions {
    fn default() -> Self {
        Self {
            max_streams_per_second: 1000,
            push_throttle: 25,
            max_concurrent_streams: 100_000,
            max_request_bytes: 4_194_304,
            max_names: 500_000,
            keepalive_interval: Duration::from_secs(30),
            keepalive_timeout: Duration::from_secs(10),
            max_connection_age: None,
            max_connection_age_grace: Duration::from_secs(10),
            drain: Duration::ZERO,
            write_timeout: Duration::from_secs(30),
            nonce_prefix: String::new(),
            ambient: false,
        }
    }
}
