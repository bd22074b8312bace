//! Whose token this is, by the keys of an issuer: the subject must be a service account, the audience one of ours, the
//! time right (platform specification, 2.8). What is wrong is told, nothing of the token is.

use jsonwebtoken::jwk::{Jwk, KeyAlgorithm};
use jsonwebtoken::{Algorithm, DecodingKey, Validation, decode, decode_header};
use serde::Deserialize;
use serde_json::Value;

use crate::UnixSeconds;

/// Longer tokens are refused unread.
const MAX_TOKEN: usize = 16 * 1024;
/// A set with more keys is cut.
const MAX_KEYS: usize = 100;
/// Clocks of issuers may be ahead of ours by so much.
const CLOCK_SKEW: f64 = 60.0;
const ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// Why a token is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// It cannot be read.
    #[error("the token is not a signed JWT")]
    Malformed,
    /// Nobody we know signed it.
    #[error("the token names no key of the issuer")]
    UnknownKey,
    /// The signature does not fit.
    #[error("the signature of the token does not hold")]
    WrongSignature,
    /// It is by somebody else.
    #[error("the token is of another issuer")]
    Issuer,
    /// It is meant for somebody else.
    #[error("the token is for another audience")]
    Audience,
    /// It is too late.
    #[error("the token has run out")]
    Expired,
    /// It is too early.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// Its subject is something else.
    #[error("the subject of the token is no service account")]
    Subject,
}

/// Whose tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenRule {
    /// `iss`, exactly.
    pub issuer: String,
    /// One of these must stand in `aud`.
    pub audiences: Vec<String>,
}

/// A service account that a token is for.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceAccount {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl ServiceAccount {
    /// From `system:serviceaccount:<namespace>:<name>`, as Kubernetes names the user.
    pub fn of_user(user: &str) -> Option<Self> {
        let (namespace, name) = user.strip_prefix("system:serviceaccount:")?.split_once(':')?;
        if namespace.is_empty() || name.is_empty() || name.contains(':') {
            return None;
        }
        Some(Self { namespace: namespace.to_owned(), name: name.to_owned() })
    }
}

/// The public keys of an issuer.
#[derive(Clone)]
pub struct KeySet(Vec<Key>);

#[derive(Clone)]
struct Key {
    id: Option<String>,
    algorithm: Option<KeyAlgorithm>,
    decoding: DecodingKey,
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|key| &key.id)).finish()
    }
}

impl KeySet {
    /// A JSON Web Key Set (RFC 7517). Keys of other kinds and secret ones are left out; `None` if it is no set.
    pub fn parse(text: &str) -> Option<Self> {
        let set: Value = serde_json::from_str(text).ok()?;
        let keys = set.get("keys")?.as_array()?;
        let key = |key: &Value| {
            let jwk: Jwk = serde_json::from_value(key.clone()).ok()?;
            if matches!(jwk.algorithm, jsonwebtoken::jwk::AlgorithmParameters::OctetKey(_)) {
                return None;
            }
            let decoding = DecodingKey::from_jwk(&jwk).ok()?;
            Some(Key { id: jwk.common.key_id, algorithm: jwk.common.key_algorithm, decoding })
        };
        Some(Self(keys.iter().filter_map(key).take(MAX_KEYS).collect()))
    }

    /// Whether there is no key that could be used.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whose token this is.
    pub fn verify(
        &self,
        token: &str,
        rule: &TokenRule,
        now: UnixSeconds,
    ) -> Result<ServiceAccount, TokenError> {
        if token.len() > MAX_TOKEN {
            return Err(TokenError::Malformed);
        }
        let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(TokenError::Malformed);
        }
        let claims = self.claims(token, header.kid.as_deref(), header.alg)?;
        if claims.iss != rule.issuer {
            return Err(TokenError::Issuer);
        }
        if !claims.aud.all().iter().any(|audience| rule.audiences.contains(audience)) {
            return Err(TokenError::Audience);
        }
        let now = now as f64;
        if !claims.exp.is_some_and(|expires| expires > now) {
            return Err(TokenError::Expired);
        }
        if claims.nbf.is_some_and(|begins| begins > now + CLOCK_SKEW) {
            return Err(TokenError::NotYetValid);
        }
        ServiceAccount::of_user(&claims.sub).ok_or(TokenError::Subject)
    }

    /// What the first fitting key says that the token says.
    fn claims(&self, token: &str, id: Option<&str>, algorithm: Algorithm) -> Result<Claims, TokenError> {
        // Times are compared with the clock that was passed in, the rest where it can be told apart.
        let mut validation = Validation::new(algorithm);
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        let fits = |key: &&Key| {
            let by_id = id.is_none() || key.id.is_none() || key.id.as_deref() == id;
            by_id && key.algorithm.is_none_or(|meant| meant.to_string() == format!("{algorithm:?}"))
        };
        let mut error = TokenError::UnknownKey;
        for key in self.0.iter().filter(fits) {
            match decode::<Claims>(token, &key.decoding, &validation) {
                Ok(data) => return Ok(data.claims),
                Err(reason) if is_unreadable(&reason) => return Err(TokenError::Malformed),
                Err(_) => error = TokenError::WrongSignature,
            }
        }
        Err(error)
    }
}

/// Its parts cannot be read, whichever key is tried.
fn is_unreadable(error: &jsonwebtoken::errors::Error) -> bool {
    use jsonwebtoken::errors::ErrorKind;
    matches!(
        error.kind(),
        ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Json(_) | ErrorKind::Utf8(_)
    )
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Claims {
    iss: String,
    sub: String,
    aud: Audience,
    exp: Option<f64>,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Default for Audience {
    fn default() -> Self {
        Self::Many(Vec::new())
    }
}

impl Audience {
    fn all(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}
