//! The keys tokens are checked with: by id, several at once for rotation, each with one algorithm.
//!
//! The algorithm is the key's, never the token's: a token whose header names another one is refused
//! before any arithmetic, so a public key can never serve as an HMAC secret, nor "none" as a
//! signature (RFC 8725, 3.1). Keys come as a JWK set (RFC 7517). Only a development key can sign.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use schemas::errors::{Code, Refusal};
use schemas::ids::{DeviceId, Identity, UserId};
use schemas::position::Timestamp;
use serde::Deserialize;

use super::claims::{Claims, seconds};
use super::{AUDIENCE, DEVELOPMENT_PREFIX, MAX_TOKEN_BYTES};

/// The shortest HMAC secret: as long as the hash (RFC 7518, 3.2).
const MIN_SECRET_BYTES: usize = 32;
/// The longest key id.
const MAX_KEY_ID_BYTES: usize = 128;
/// The length of an Ed25519 public key.
const ED25519_BYTES: usize = 32;

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeyError {
    /// Not a JWK set.
    #[error("not a JWK set: {0}")]
    NotASet(#[from] serde_json::Error),
    /// One of its keys is of no use here.
    #[error("key {id:?}: {reason}")]
    Unusable {
        /// The key's id.
        id: String,
        /// What is wrong with it; never its content.
        reason: &'static str,
    },
    /// Tokens are minted with a development key, and there is none.
    #[error("there is no development key to mint a token with")]
    NoDevelopmentKey,
    /// The token would be longer than a token may be, or its time is out of range.
    #[error("the token cannot be made: {0}")]
    Mint(#[from] jsonwebtoken::errors::Error),
}

/// Keys by id. Holds secrets: has no `Debug` that shows them.
#[derive(Default)]
pub struct Keys {
    by_id: BTreeMap<String, Key>,
}

struct Key {
    verifies: DecodingKey,
    /// Names the key's one algorithm and the audience.
    rules: Validation,
    /// Only development keys sign.
    signs: Option<EncodingKey>,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.by_id.keys()).finish()
    }
}

#[derive(Deserialize)]
struct JwkSet {
    keys: Vec<Jwk>,
}

/// The members of a JWK (RFC 7518, 6; RFC 8037) that matter here.
#[derive(Deserialize)]
struct Jwk {
    #[serde(default)]
    kid: String,
    kty: String,
    #[serde(default)]
    crv: String,
    alg: Option<String>,
    /// The private part of a key pair, which has no business here.
    d: Option<serde::de::IgnoredAny>,
    k: Option<String>,
    x: Option<String>,
    y: Option<String>,
}

/// A new development key as a JWK set, to be kept in a file. `secret` must be random and secret;
/// `name` tells it from others of its kind.
#[must_use]
pub fn development_key(name: &str, secret: &[u8; MIN_SECRET_BYTES]) -> String {
    let key = serde_json::json!({
        "kty": "oct", "alg": "HS256", "kid": format!("{DEVELOPMENT_PREFIX}{name}"),
        "k": URL_SAFE_NO_PAD.encode(secret),
    });
    serde_json::json!({ "keys": [key] }).to_string()
}

impl Keys {
    /// Reads a JWK set. Keys are `oct` (HS256), `OKP` with Ed25519 (EdDSA) or `EC` with P-256
    /// (ES256); each has a `kid` of its own.
    ///
    /// # Errors
    /// When it is no JWK set, or any key in it is of no use: a key that is passed over in silence is
    /// found missing at the worst time.
    pub fn from_jwk_set(json: &str) -> Result<Self, KeyError> {
        let mut keys = Self::default();
        for jwk in serde_json::from_str::<JwkSet>(json)?.keys {
            let id = jwk.kid.clone();
            let unusable = |reason| KeyError::Unusable {
                id: id.clone(),
                reason,
            };
            if id.is_empty() || id.len() > MAX_KEY_ID_BYTES {
                return Err(unusable("kid: 1 to 128 bytes"));
            }
            let key = jwk.into_key().map_err(unusable)?;
            if keys.by_id.insert(id.clone(), key).is_some() {
                return Err(unusable("the id stands twice"));
            }
        }
        Ok(keys)
    }

    /// Adds the keys of another set.
    ///
    /// # Errors
    /// When both have a key of the same id.
    pub fn join(mut self, other: Self) -> Result<Self, KeyError> {
        for (id, key) in other.by_id {
            if self.by_id.contains_key(&id) {
                return Err(KeyError::Unusable {
                    id,
                    reason: "the id stands twice",
                });
            }
            self.by_id.insert(id, key);
        }
        Ok(self)
    }

    /// True when no token can be valid.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_id.is_empty()
    }

    /// True when a development key is among them: fit for loopback only.
    #[must_use]
    pub fn has_development_key(&self) -> bool {
        self.by_id
            .keys()
            .any(|id| id.starts_with(DEVELOPMENT_PREFIX))
    }

    /// Makes a token with the development key, valid from `now` on for `ttl`, in whole seconds.
    ///
    /// # Errors
    /// When there is no development key.
    pub fn mint(
        &self,
        user: &UserId,
        device: &DeviceId,
        now: Timestamp,
        ttl: Duration,
    ) -> Result<String, KeyError> {
        let signing = self
            .by_id
            .iter()
            .find_map(|(id, key)| Some((id, key.signs.as_ref()?)));
        let (id, key) = signing.ok_or(KeyError::NoDevelopmentKey)?;
        let header = Header {
            kid: Some(id.clone()),
            ..Header::new(Algorithm::HS256)
        };
        let claims = Claims {
            sub: user.clone(),
            device: device.clone(),
            aud: AUDIENCE,
            iat: seconds(now),
            nbf: None,
            exp: seconds(now).saturating_add(ttl.as_secs()),
        };
        Ok(jsonwebtoken::encode(&header, &claims, key)?)
    }

    /// Says who a token speaks for.
    ///
    /// # Errors
    /// `token_expired` for a good token whose time is over, else `unauthorized`.
    pub fn authenticate(&self, token: &str, now: Timestamp) -> Result<Identity, Refusal> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(unauthorized("the token is over 4 KiB"));
        }
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| unauthorized("the token is no JWT, or of no known algorithm"))?;
        if header.crit.is_some() {
            // Whoever does not understand a critical extension must refuse (RFC 7515, 4.1.11).
            return Err(unauthorized("the token asks for extensions"));
        }
        let key = header.kid.as_deref().and_then(|id| self.by_id.get(id));
        let key = key.ok_or_else(|| unauthorized("the token's key is not known here"))?;
        let good = jsonwebtoken::decode::<Claims>(token, &key.verifies, &key.rules)
            .map_err(|error| unauthorized(reason(error.kind())))?;
        if !is_text(token) {
            return Err(unauthorized("the token is not UTF-8"));
        }
        good.claims.identity(now)
    }
}

/// True when head and claims are UTF-8, as all JSON is: the library passes over fields that it does
/// not know without a look at their bytes.
fn is_text(token: &str) -> bool {
    token.split('.').take(2).all(|part| {
        let bytes = URL_SAFE_NO_PAD.decode(part);
        bytes.is_ok_and(|bytes| std::str::from_utf8(&bytes).is_ok())
    })
}

fn unauthorized(reason: &str) -> Refusal {
    Refusal::new(Code::Unauthorized, reason)
}

fn reason(error: &jsonwebtoken::errors::ErrorKind) -> &'static str {
    use jsonwebtoken::errors::ErrorKind;
    if matches!(error, ErrorKind::InvalidAudience) {
        "the token is for somebody else"
    } else if matches!(
        error,
        ErrorKind::InvalidAlgorithm | ErrorKind::InvalidSignature
    ) {
        "the token's signature is wrong"
    } else {
        "the token lacks a claim, or one is not of its shape"
    }
}

impl Jwk {
    fn into_key(self) -> Result<Key, &'static str> {
        if self.d.is_some() {
            return Err("it holds a private key; only the public part belongs here");
        }
        let (algorithm, verifies) = match (self.kty.as_str(), self.crv.as_str()) {
            ("oct", _) => (Algorithm::HS256, self.secret()?),
            ("OKP", "Ed25519") => (Algorithm::EdDSA, self.ed25519()?),
            ("EC", "P-256") => (Algorithm::ES256, self.p256()?),
            _ => return Err("only oct, OKP with Ed25519 and EC with P-256 are known"),
        };
        if self.alg.is_some_and(|alg| alg.parse() != Ok(algorithm)) {
            return Err("alg does not go with kty: HS256, EdDSA or ES256");
        }
        // A point that is not on its curve shows only when it is used.
        jsonwebtoken::crypto::verify("", b"", &verifies, algorithm)
            .map_err(|_| "it is no key of its kind")?;
        let signs = self.kid.starts_with(DEVELOPMENT_PREFIX) && algorithm == Algorithm::HS256;
        let signs = signs.then(|| verifies.try_get_as_bytes().map(EncodingKey::from_secret));
        let signs = signs.transpose().map_err(|_| "it is no key of its kind")?;
        Ok(Key {
            verifies,
            rules: rules(algorithm),
            signs,
        })
    }

    fn secret(&self) -> Result<DecodingKey, &'static str> {
        let text = self.k.as_deref().ok_or("k is missing")?;
        let bytes = URL_SAFE_NO_PAD
            .decode(text)
            .map_err(|_| "k: not base64url")?;
        if bytes.len() < MIN_SECRET_BYTES {
            return Err("k: at least 32 bytes");
        }
        Ok(DecodingKey::from_secret(&bytes))
    }

    fn ed25519(&self) -> Result<DecodingKey, &'static str> {
        let x = self.x.as_deref().ok_or("x is missing")?;
        let bytes = URL_SAFE_NO_PAD.decode(x).map_err(|_| "x: not base64url")?;
        // The library takes the first 32 bytes, and panics where there are fewer.
        if bytes.len() != ED25519_BYTES {
            return Err("x: 32 bytes");
        }
        Ok(DecodingKey::from_ed_der(&bytes))
    }

    fn p256(&self) -> Result<DecodingKey, &'static str> {
        let x = self.x.as_deref().ok_or("x is missing")?;
        let y = self.y.as_deref().ok_or("y is missing")?;
        DecodingKey::from_ec_components(x, y).map_err(|_| "x, y: not base64url")
    }
}

/// What the library checks: the key's own algorithm, the audience, and that the claims are there.
/// Times are checked against the runtime's clock, which the library does not know.
fn rules(algorithm: Algorithm) -> Validation {
    let mut rules = Validation::new(algorithm);
    rules.set_audience(&[AUDIENCE]);
    rules.set_required_spec_claims(&["sub", "aud", "exp"]);
    rules.validate_exp = false;
    rules.validate_nbf = false;
    rules
}
