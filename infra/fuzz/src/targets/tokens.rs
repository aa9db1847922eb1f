//! Tokens, and the key sets that they are checked with.
//!
//! An input is a token's head, a line feed, and its claims: a token is made of them, signed with a
//! key that is known, so that what is read after the signature is reached. The input itself is
//! tried as a token and as a key set, too. A token is good only when it says what one must say.

use std::collections::BTreeMap;

use ingest::Keys;
use jsonwebtoken::{Algorithm, EncodingKey};
use schemas::position::Timestamp;
use serde_json::Value;
use serde_json::value::RawValue;

use super::{Target, linear};

const SECRET: [u8; 32] = [7; 32];
const NOW: Timestamp = Timestamp(1_790_000_000_000);
const GOOD: &str = "{\"alg\":\"HS256\",\"typ\":\"JWT\",\"kid\":\"dev-fuzz\"}\n{\"sub\":\"ada\",\"device\":\"phone\",\"aud\":\"cursus\",\"iat\":1790000000,\"nbf\":1790000000,\"exp\":1790003600}";
const KEY_SETS: [&str; 3] = [
    r#"{"keys":[{"kty":"oct","alg":"HS256","kid":"a","k":"AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"}]}"#,
    r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"b","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#,
    r#"{"keys":[{"kty":"EC","crv":"P-256","kid":"c","x":"f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU","y":"x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0"}]}"#,
];

pub(super) struct Tokens {
    keys: Keys,
    signs: EncodingKey,
}

impl Tokens {
    pub(super) fn new() -> Self {
        let set = ingest::development_key("fuzz", &SECRET);
        Self {
            keys: Keys::from_jwk_set(&set).expect("a key set of our own"),
            signs: EncodingKey::from_secret(&SECRET),
        }
    }

    /// A token of this head and these claims, with a good signature.
    fn signed(&self, head: &[u8], claims: &[u8]) -> Option<String> {
        let message = format!("{}.{}", base64_url(head), base64_url(claims));
        let signature =
            jsonwebtoken::crypto::sign(message.as_bytes(), &self.signs, Algorithm::HS256);
        Some(format!("{message}.{}", signature.ok()?))
    }
}

impl Target for Tokens {
    fn name(&self) -> &'static str {
        "tokens"
    }

    fn samples(&self) -> Vec<Vec<u8>> {
        let crit = GOOD.replace("\"typ\"", "\"crit\":[\"exp\"],\"typ\"");
        let many = GOOD.replace("\"cursus\"", "[\"cursus\",\"else\"]");
        let mut samples: Vec<Vec<u8>> = [GOOD, &crit, &many]
            .map(|text| text.as_bytes().to_vec())
            .to_vec();
        samples.extend(KEY_SETS.map(|text| text.as_bytes().to_vec()));
        let (head, claims) = GOOD.split_once('\n').unwrap_or_default();
        samples.extend(
            self.signed(head.as_bytes(), claims.as_bytes())
                .map(String::into_bytes),
        );
        samples
    }

    fn bound_bytes(&self, input_bytes: usize) -> u64 {
        linear(input_bytes, 64)
    }

    fn run(&self, input: &[u8]) {
        let text = String::from_utf8_lossy(input);
        drop(self.keys.authenticate(&text, NOW));
        drop(Keys::from_jwk_set(&text));
        let mut parts = input.splitn(2, |byte| *byte == b'\n');
        let (Some(head), Some(claims)) = (parts.next(), parts.next()) else {
            return;
        };
        let Some(token) = self.signed(head, claims) else {
            return;
        };
        let Ok(who) = self.keys.authenticate(&token, NOW) else {
            return;
        };
        let said = fields(claims);
        let field = |name: &str| said.get(name).cloned().unwrap_or_default();
        assert_eq!(field("sub"), who.user.as_str());
        assert_eq!(field("device"), who.device.as_str());
        assert!(who.expires_at > NOW, "an expired token is good");
        let audience = field("aud").to_string();
        assert!(
            audience.contains("\"cursus\""),
            "for somebody else: {audience}"
        );
        let head = fields(head);
        assert_eq!(head.get("alg").and_then(Value::as_str), Some("HS256"));
        assert!(head.get("crit").is_none_or(Value::is_null), "{head:?}");
    }
}

/// The fields of one part of a good token, all of it JSON and so UTF-8. What no `Value` can hold is
/// left out: a number without bounds, half a surrogate pair; nobody asks for such a field.
fn fields(part: &[u8]) -> BTreeMap<String, Value> {
    let text = std::str::from_utf8(part).expect("a good token is UTF-8");
    let raw: BTreeMap<String, Box<RawValue>> =
        serde_json::from_str(text).expect("a good token is JSON");
    raw.into_iter()
        .filter_map(|(name, raw)| Some((name, serde_json::from_str(raw.get()).ok()?)))
        .collect()
}

/// Base64 as in JWTs: RFC 4648, section 5, without padding.
fn base64_url(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes)
}
