//! Tokens: what is good, and everything that is not, with its code.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use schemas::errors::{Code, Refusal};
use schemas::ids::Identity;
use schemas::position::Timestamp;
use serde_json::{Value, json};

use super::{KeyError, Keys, MAX_TOKEN_BYTES, development_key};
use crate::testing::{NOW, device, user};

const SECRET: [u8; 32] = [7; 32];
/// RFC 8037, appendix A.
const ED25519_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";
const ED25519_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
/// RFC 7515, appendix A.3.
const P256_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
const P256_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const P256_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";

fn bytes(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).unwrap()
}

fn ed25519() -> EncodingKey {
    // SEQUENCE { INTEGER 0, { OID 1.3.101.112 }, OCTET STRING { OCTET STRING d } } (RFC 8410, 7)
    let mut der = vec![
        0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20,
    ];
    der.extend(bytes(ED25519_D));
    EncodingKey::from_ed_der(&der)
}

fn p256() -> EncodingKey {
    // PrivateKeyInfo { 0, { ecPublicKey, prime256v1 }, ECPrivateKey { 1, d, [1] point } } (RFC 5915)
    let mut der = vec![0x30, 0x81, 0x87, 2, 1, 0, 0x30, 0x13, 6, 7];
    der.extend([0x2a, 0x86, 0x48, 0xce, 0x3d, 2, 1, 6, 8]);
    der.extend([
        0x2a, 0x86, 0x48, 0xce, 0x3d, 3, 1, 7, 4, 0x6d, 0x30, 0x6b, 2, 1, 1, 4, 0x20,
    ]);
    der.extend(bytes(P256_D));
    der.extend([0xa1, 0x44, 3, 0x42, 0, 4]);
    der.extend(bytes(P256_X));
    der.extend(bytes(P256_Y));
    EncodingKey::from_ec_der(&der)
}

/// A development key, an HMAC key and the public keys of two pairs.
fn keys() -> Keys {
    let set = json!({"keys": [
        {"kty": "oct", "kid": "h1", "alg": "HS256", "k": URL_SAFE_NO_PAD.encode([9; 32]), "use": "sig"},
        {"kty": "OKP", "crv": "Ed25519", "kid": "ed", "x": ED25519_X},
        {"kty": "EC", "crv": "P-256", "kid": "ec", "alg": "ES256", "x": P256_X, "y": P256_Y},
    ]});
    let development = Keys::from_jwk_set(&development_key("1", &SECRET)).unwrap();
    Keys::from_jwk_set(&set.to_string())
        .unwrap()
        .join(development)
        .unwrap()
}

fn header(kid: &str, alg: Algorithm) -> Header {
    Header {
        kid: Some(kid.to_owned()),
        ..Header::new(alg)
    }
}

fn claims() -> Value {
    let now = NOW.0 / 1_000;
    json!({"sub": "ada", "device": "phone", "aud": "cursus", "iat": now, "exp": now + 60})
}

fn with(field: &str, value: Value) -> Value {
    let mut claims = claims();
    claims[field] = value;
    claims
}

fn without(field: &str) -> Value {
    let mut claims = claims();
    claims.as_object_mut().unwrap().remove(field);
    claims
}

fn signed(claims: &Value) -> String {
    let key = EncodingKey::from_secret(&SECRET);
    jsonwebtoken::encode(&header("dev-1", Algorithm::HS256), claims, &key).unwrap()
}

/// A token of any header, even one that no library writes, with an HMAC of it.
fn forged(header: &Value, claims: &Value, secret: &[u8]) -> String {
    sealed(header.to_string(), claims.to_string(), secret)
}

/// A token of any bytes, with an HMAC of them.
fn sealed(header: impl AsRef<[u8]>, claims: impl AsRef<[u8]>, secret: &[u8]) -> String {
    let (header, claims) = (
        URL_SAFE_NO_PAD.encode(header),
        URL_SAFE_NO_PAD.encode(claims),
    );
    let message = format!("{header}.{claims}");
    let key = EncodingKey::from_secret(secret);
    let signature = jsonwebtoken::crypto::sign(message.as_bytes(), &key, Algorithm::HS256).unwrap();
    format!("{message}.{signature}")
}

fn authenticate(token: &str) -> Result<Identity, Refusal> {
    keys().authenticate(token, NOW)
}

fn code(token: &str) -> Code {
    authenticate(token).unwrap_err().code
}

#[test]
fn minted_token_speaks_for_its_user_and_device() {
    let keys = keys();
    let ttl = Duration::from_secs(60);
    let token = keys.mint(&user("ada"), &device("phone"), NOW, ttl).unwrap();
    let identity = keys.authenticate(&token, NOW).unwrap();
    assert_eq!(
        (identity.user, identity.device),
        (user("ada"), device("phone"))
    );
    assert_eq!(
        identity.expires_at,
        Timestamp(NOW.0 / 1_000 * 1_000 + 60_000)
    );
}

#[test]
fn token_of_every_kind_of_key_is_taken() {
    let hmac = EncodingKey::from_secret(&[9; 32]);
    let signers = [
        ("h1", Algorithm::HS256, hmac),
        ("ed", Algorithm::EdDSA, ed25519()),
        ("ec", Algorithm::ES256, p256()),
    ];
    for (kid, algorithm, key) in signers {
        let token = jsonwebtoken::encode(&header(kid, algorithm), &claims(), &key).unwrap();
        assert_eq!(
            authenticate(&token).map(|who| who.user),
            Ok(user("ada")),
            "{kid}"
        );
    }
}

#[test]
fn audience_may_be_one_of_several() {
    let token = signed(&with("aud", json!(["other", "cursus"])));
    assert!(authenticate(&token).is_ok());
}

#[test]
fn token_is_over_at_its_very_second_and_not_before() {
    let keys = keys();
    let token = signed(&claims());
    let end = NOW.0 / 1_000 * 1_000 + 60_000;
    assert!(keys.authenticate(&token, Timestamp(end - 1)).is_ok());
    let refusal = keys.authenticate(&token, Timestamp(end)).unwrap_err();
    assert_eq!(refusal.code, Code::TokenExpired);
}

#[test]
fn token_from_the_future_is_refused_beyond_a_minute() {
    let now = NOW.0 / 1_000;
    for (field, ahead, good) in [
        ("iat", 60, true),
        ("iat", 61, false),
        ("nbf", 60, true),
        ("nbf", 61, false),
    ] {
        let mut claims = with(field, json!(now + ahead));
        claims["exp"] = json!(now + 600);
        let answer = authenticate(&signed(&claims))
            .map(|_| ())
            .map_err(|refusal| refusal.code);
        let expected = if good {
            Ok(())
        } else {
            Err(Code::Unauthorized)
        };
        assert_eq!(answer, expected, "{field} {ahead}");
    }
}

#[test]
fn token_for_somebody_else_or_with_claims_missing_is_refused() {
    let bad = [
        with("aud", json!("other")),
        with("aud", json!(["other"])),
        with("aud", json!(7)),
        without("aud"),
        without("sub"),
        without("device"),
        without("iat"),
        without("exp"),
        with("sub", json!("Ada")),
        with("sub", json!("")),
        with("device", json!("a.b")),
        with("device", json!("x".repeat(65))),
        with("exp", json!("tomorrow")),
        with("exp", json!(-1)),
        with("exp", json!(null)),
        with("iat", json!(1.5)),
        json!([]),
        json!("ada"),
    ];
    for claims in bad {
        assert_eq!(code(&signed(&claims)), Code::Unauthorized, "{claims}");
    }
}

#[test]
fn time_beyond_all_bounds_is_no_trouble() {
    let mut claims = with("exp", json!(u64::MAX));
    assert_eq!(
        authenticate(&signed(&claims)).unwrap().expires_at,
        Timestamp(i64::MAX)
    );
    claims["iat"] = json!(u64::MAX);
    assert_eq!(code(&signed(&claims)), Code::Unauthorized);
    assert_eq!(code(&signed(&with("exp", json!(0)))), Code::TokenExpired);
}

#[test]
fn expired_token_with_a_wrong_signature_is_not_called_expired() {
    let token = forged(
        &json!({"alg": "HS256", "kid": "dev-1"}),
        &with("exp", json!(1)),
        &[8; 32],
    );
    assert_eq!(code(&token), Code::Unauthorized);
}

#[test]
fn unsigned_token_is_refused() {
    let part = |json: Value| URL_SAFE_NO_PAD.encode(json.to_string());
    for alg in ["none", "None", "NONE", ""] {
        let message = format!(
            "{}.{}",
            part(json!({"alg": alg, "kid": "dev-1"})),
            part(claims())
        );
        assert_eq!(code(&format!("{message}.")), Code::Unauthorized, "{alg}");
        assert_eq!(code(&message), Code::Unauthorized, "{alg}");
    }
    let stripped = signed(&claims());
    let (message, _) = stripped.rsplit_once('.').unwrap();
    assert_eq!(code(&format!("{message}.")), Code::Unauthorized);
}

#[test]
fn public_key_is_never_an_hmac_secret() {
    let point = [&[4][..], &bytes(P256_X), &bytes(P256_Y)].concat();
    for (kid, public) in [("ed", bytes(ED25519_X)), ("ec", point)] {
        let token = forged(&json!({"alg": "HS256", "kid": kid}), &claims(), &public);
        assert_eq!(code(&token), Code::Unauthorized, "{kid}");
    }
}

#[test]
fn header_cannot_choose_another_algorithm_of_the_same_family() {
    for alg in [
        "HS384", "HS512", "RS256", "PS256", "ES256", "ES384", "EdDSA",
    ] {
        let token = forged(&json!({"alg": alg, "kid": "dev-1"}), &claims(), &SECRET);
        assert_eq!(code(&token), Code::Unauthorized, "{alg}");
    }
    let hs512 = EncodingKey::from_secret(&SECRET);
    let token =
        jsonwebtoken::encode(&header("dev-1", Algorithm::HS512), &claims(), &hs512).unwrap();
    assert_eq!(code(&token), Code::Unauthorized);
}

#[test]
fn key_is_found_by_its_id_only() {
    let good = json!({"alg": "HS256", "kid": "dev-1"});
    assert!(authenticate(&forged(&good, &claims(), &SECRET)).is_ok());
    for header in [
        json!({"alg": "HS256"}),
        json!({"alg": "HS256", "kid": ""}),
        json!({"alg": "HS256", "kid": "h1"}),
        json!({"alg": "HS256", "kid": "DEV-1"}),
        json!({"alg": "HS256", "kid": "dev-1", "crit": ["b64"], "b64": false}),
        json!({"kid": "dev-1"}),
    ] {
        assert_eq!(
            code(&forged(&header, &claims(), &SECRET)),
            Code::Unauthorized,
            "{header}"
        );
    }
}

#[test]
fn a_token_that_is_no_utf8_is_refused_even_in_a_field_that_nobody_reads() {
    let header = json!({"alg": "HS256", "kid": "dev-1", "x": "?"}).to_string();
    let mut said = claims();
    said["x"] = json!("?");
    let said = said.to_string();
    let spoilt = |text: &str| -> Vec<u8> {
        let bytes = text.bytes();
        bytes
            .map(|byte| if byte == b'?' { 0x80 } else { byte })
            .collect()
    };
    assert!(authenticate(&sealed(&header, &said, &SECRET)).is_ok());
    for token in [
        sealed(spoilt(&header), &said, &SECRET),
        sealed(&header, spoilt(&said), &SECRET),
    ] {
        assert_eq!(code(&token), Code::Unauthorized);
    }
}

#[test]
fn key_carried_by_the_token_is_not_used() {
    let k = URL_SAFE_NO_PAD.encode([8; 32]);
    let jwk = json!({"kty": "oct", "alg": "HS256", "k": k});
    let header = json!({"alg": "HS256", "kid": "dev-1", "jwk": jwk});
    assert_eq!(
        code(&forged(&header, &claims(), &[8; 32])),
        Code::Unauthorized
    );
}

#[test]
fn token_changed_anywhere_is_refused() {
    let token = signed(&claims());
    // The last character of each part holds bits that base64 throws away: leave those out.
    let ends: Vec<usize> = token.match_indices('.').map(|(at, _)| at - 1).collect();
    for at in 0..token.len() - 1 {
        if ends.contains(&at) {
            continue;
        }
        let mut bytes = token.clone().into_bytes();
        bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(code(&changed), Code::Unauthorized, "at {at}");
    }
}

#[test]
fn what_is_no_token_is_refused() {
    let long = format!("{}.", "a".repeat(MAX_TOKEN_BYTES));
    for text in ["", ".", "..", "...", "a.b.c", "é.é.é", "{}", "\0", &long] {
        assert_eq!(code(text), Code::Unauthorized, "{text:?}");
    }
}

#[test]
fn good_token_over_4_kib_is_refused_unread() {
    let token = signed(&with("more", json!("x".repeat(MAX_TOKEN_BYTES))));
    let refusal = authenticate(&token).unwrap_err();
    assert_eq!(refusal.message, "the token is over 4 KiB");
    assert!(authenticate(&signed(&with("more", json!("x".repeat(1_000))))).is_ok());
}

#[test]
fn keys_can_be_rotated() {
    let old = Keys::from_jwk_set(&development_key("1", &SECRET)).unwrap();
    let new = Keys::from_jwk_set(&development_key("2", &[8; 32])).unwrap();
    let ttl = Duration::from_secs(60);
    let of_old = old.mint(&user("ada"), &device("phone"), NOW, ttl).unwrap();
    let of_new = new.mint(&user("ada"), &device("phone"), NOW, ttl).unwrap();
    assert!(new.authenticate(&of_old, NOW).is_err());
    let both = old.join(new).unwrap();
    assert!(both.authenticate(&of_old, NOW).is_ok());
    assert!(both.authenticate(&of_new, NOW).is_ok());
}

#[test]
fn only_development_keys_sign_and_are_told_apart() {
    let k = URL_SAFE_NO_PAD.encode([9; 32]);
    let set = json!({"keys": [{"kty": "oct", "kid": "h1", "k": k}]}).to_string();
    let keys = Keys::from_jwk_set(&set).unwrap();
    assert!(!keys.has_development_key());
    let minted = keys.mint(&user("ada"), &device("phone"), NOW, Duration::from_secs(1));
    assert!(matches!(minted, Err(KeyError::NoDevelopmentKey)));
    assert!(super::tests::keys().has_development_key());
    assert!(Keys::default().is_empty());
}

#[test]
fn keys_that_cannot_be_used_are_named_and_never_shown() {
    let k = URL_SAFE_NO_PAD.encode([9; 32]);
    let off_curve = URL_SAFE_NO_PAD.encode([1; 32]);
    let bad = [
        json!({"kty": "oct", "k": k}),
        json!({"kty": "oct", "kid": "a".repeat(129), "k": k}),
        json!({"kty": "oct", "kid": "bad"}),
        json!({"kty": "oct", "kid": "bad", "k": "secret"}),
        json!({"kty": "oct", "kid": "bad", "k": "not base64!"}),
        json!({"kty": "oct", "kid": "bad", "k": k, "alg": "HS512"}),
        json!({"kty": "oct", "kid": "bad", "k": k, "alg": "none"}),
        json!({"kty": "RSA", "kid": "bad", "n": k, "e": "AQAB"}),
        json!({"kty": "OKP", "crv": "X25519", "kid": "bad", "x": ED25519_X}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "bad"}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "bad", "x": "AAAA"}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "bad", "x": ED25519_X, "alg": "HS256"}),
        json!({"kty": "OKP", "crv": "Ed25519", "kid": "bad", "x": ED25519_X, "d": ED25519_D}),
        json!({"kty": "EC", "crv": "P-384", "kid": "bad", "x": P256_X, "y": P256_Y}),
        json!({"kty": "EC", "crv": "P-256", "kid": "bad", "x": P256_X}),
        json!({"kty": "EC", "crv": "P-256", "kid": "bad", "x": P256_X, "y": off_curve}),
        json!({"kty": "EC", "crv": "P-256", "kid": "bad", "x": "AAAA", "y": P256_Y}),
    ];
    for key in bad {
        let answer = Keys::from_jwk_set(&json!({"keys": [key]}).to_string());
        let Err(KeyError::Unusable { reason, .. }) = &answer else {
            panic!("{key}: {answer:?}")
        };
        assert!(!reason.contains(&k), "{reason}");
    }
    let twice = json!({"kty": "oct", "kid": "a", "k": k});
    assert!(Keys::from_jwk_set(&json!({"keys": [twice, twice]}).to_string()).is_err());
    for text in ["", "[]", "{}", r#"{"keys": 1}"#] {
        assert!(
            matches!(Keys::from_jwk_set(text), Err(KeyError::NotASet(_))),
            "{text}"
        );
    }
    assert_eq!(format!("{:?}", keys()), r#"["dev-1", "ec", "ed", "h1"]"#);
}

proptest::proptest! {
    /// Nothing that looks like a token makes the reader stumble, and nothing forged is taken.
    #[test]
    fn forged_token_of_any_shape_is_refused(
        header in ".{0,60}", claims in ".{0,60}", signature in "[A-Za-z0-9_-]{0,60}", joined in "[.]{0,3}",
    ) {
        let part = |text: &str| URL_SAFE_NO_PAD.encode(text);
        for header in [header.as_str(), r#"{"alg":"HS256","kid":"dev-1"}"#, r#"{"alg":"ES256","kid":"ec"}"#,
            r#"{"alg":"EdDSA","kid":"ed"}"#]
        {
            let token = format!("{}.{}.{signature}{joined}", part(header), part(&claims));
            proptest::prop_assert_eq!(code(&token), Code::Unauthorized);
        }
    }
}
