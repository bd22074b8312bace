//! Content fingerprints: 128-bit xxh3 over bytes. The key of every cache is a fingerprint of all inputs (invariant
//! I2), so a changed fact makes a different key and nothing has to be invalidated.

use std::fmt;
use std::hash::Hasher;

use xxhash_rust::xxh3::{Xxh3, xxh3_128};

/// A 128-bit fingerprint of content. Equal content has equal fingerprints on every replica and in every version
/// that encodes the content alike; it is not meant against an adversary.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(pub u128);

impl Fingerprint {
    /// The fingerprint of some bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(xxh3_128(bytes))
    }

    /// The fingerprint of a value through its `Hash` implementation (strings, numbers, collections).
    pub fn of_hash<T: std::hash::Hash + ?Sized>(value: &T) -> Self {
        let mut hasher = Fingerprinter::default();
        value.hash(&mut hasher);
        hasher.fingerprint()
    }

    /// Sixteen hexadecimal digits, short enough for a version string.
    pub fn short(self) -> String {
        format!("{:016x}", self.folded())
    }

    /// Whether that is its short form.
    pub fn is_short(self, text: &str) -> bool {
        text.len() == 16 && u64::from_str_radix(text, 16) == Ok(self.folded())
    }

    fn folded(self) -> u64 {
        (self.0 >> 64) as u64 ^ self.0 as u64
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// Feeds values into one fingerprint; usable as a `Hasher` so that `#[derive(Hash)]` types can be fed.
#[derive(Clone, Default)]
pub struct Fingerprinter(Xxh3);

impl Fingerprinter {
    /// The fingerprint of all that was fed.
    pub fn fingerprint(&self) -> Fingerprint {
        Fingerprint(self.0.digest128())
    }
}

impl Hasher for Fingerprinter {
    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn finish(&self) -> u64 {
        self.0.digest()
    }
}
