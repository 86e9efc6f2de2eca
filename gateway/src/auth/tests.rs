use std::time::Duration;

use campanile_common::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use regex::Regex;
use serde_json::{Value, json};

use super::{
    Authenticator, ConnectionToken, ServerSubscription, Switch, TokenError, TokenFault, TokenRequest,
    generate_token, keys_match,
};
use crate::config::options::{AuthOptions, Expected, HmacKeys, PreviousKey, SecretKey, TokenOptions};

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);

fn key(text: &str) -> SecretKey {
    SecretKey::new(text.as_bytes()).unwrap()
}

fn options() -> TokenOptions {
    TokenOptions {
        hmac: Some(HmacKeys {
            current: key("new"),
            previous: None,
        }),
        ..TokenOptions::default()
    }
}

fn verify_with(options: TokenOptions, token: &str) -> Result<ConnectionToken, TokenError> {
    Authenticator::new(&AuthOptions {
        connection: options,
        subscription: None,
    })
    .connection(token, NOW)
}

fn verify(token: &str) -> Result<ConnectionToken, TokenError> {
    verify_with(options(), token)
}

fn sign_with(algorithm: Algorithm, secret: &str, claims: &Value) -> String {
    let key = EncodingKey::from_secret(secret.as_bytes());
    jsonwebtoken::encode(&Header::new(algorithm), claims, &key).unwrap()
}

fn sign(claims: &Value) -> String {
    sign_with(Algorithm::HS256, "new", claims)
}

fn fault(fault: TokenFault) -> Result<ConnectionToken, TokenError> {
    Err(TokenError::Invalid(fault))
}

#[test]
fn hmac_of_each_size_is_believed() {
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        let token = sign_with(algorithm, "new", &json!({"sub": "anna"}));
        assert_eq!(verify(&token).unwrap().user, "anna", "{algorithm:?}");
    }
}

#[test]
fn nothing_else_is() {
    let good = sign(&json!({"sub": "anna"}));
    let (message, signature) = good.rsplit_once('.').unwrap();
    let (_, claims) = message.split_once('.').unwrap();
    let header = |text: &str| {
        use base64::Engine;
        base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(text)
    };
    for token in [
        String::new(),
        "x".into(),
        "..".into(),
        format!("{message}."),
        format!("{}.{claims}.", header(r#"{"alg":"none"}"#)),
        format!("{}.{claims}.{signature}", header(r#"{"alg":"none"}"#)),
        format!("{}.{claims}.{signature}", header(r#"{"alg":"RS256"}"#)),
        format!("{}.{claims}.{signature}", header(r#"{"alg":"EdDSA"}"#)),
        format!("{}.{claims}.{signature}", header(r#"{"alg":"HS512"}"#)),
        sign_with(Algorithm::HS256, "other", &json!({"sub": "anna"})),
        good.replace('.', ".A"),
    ] {
        assert_eq!(verify(&token), fault(TokenFault::Signature), "{token}");
    }
    assert_eq!(
        verify_with(TokenOptions::default(), &good),
        fault(TokenFault::Signature),
        "no key is configured"
    );
}

#[test]
fn the_previous_key_is_believed_until_its_time() {
    let with_previous = |valid_until| {
        let previous = Some(PreviousKey {
            key: key("old"),
            valid_until,
        });
        TokenOptions {
            hmac: Some(HmacKeys {
                current: key("new"),
                previous,
            }),
            ..TokenOptions::default()
        }
    };
    let (old, new) = (sign_with(Algorithm::HS256, "old", &json!({})), sign(&json!({})));
    assert!(verify_with(with_previous(None), &old).is_ok());
    assert!(verify_with(with_previous(None), &new).is_ok());
    assert!(verify_with(with_previous(Some(NOW + Duration::from_secs(1))), &old).is_ok());
    assert_eq!(
        verify_with(with_previous(Some(NOW)), &old),
        fault(TokenFault::Signature)
    );
}

#[test]
fn time_is_checked_against_the_given_clock() {
    let secs = NOW.as_secs();
    for (claims, valid) in [
        (json!({"exp": secs}), false),
        (json!({"exp": secs - 1}), false),
        (json!({"exp": secs + 1}), true),
        (json!({"exp": 1_800_000_000.5}), true),
        (json!({"exp": -1}), false),
        (json!({"nbf": secs + 60}), true),
        (json!({"nbf": secs + 61}), false),
        (json!({"iat": secs + 60}), true),
        (json!({"iat": secs + 61}), false),
        (json!({}), true),
    ] {
        let found = verify(&sign(&claims));
        assert_eq!(found.is_ok(), valid, "{claims}");
        if !valid {
            assert_eq!(found, Err(TokenError::Expired), "{claims}");
        }
    }
    for claims in [
        json!({"exp": "soon"}),
        json!({"sub": 7}),
        json!({"info": 1, "subs": []}),
    ] {
        assert_eq!(verify(&sign(&claims)), fault(TokenFault::Malformed), "{claims}");
    }
}

#[test]
fn a_connection_expires_with_its_token_or_when_it_says() {
    let at = |secs| Some(Timestamp::from_secs(secs));
    let exp = NOW.as_secs() + 10;
    for (claims, expected) in [
        (json!({"exp": exp}), at(1_800_000_010)),
        (json!({"exp": exp, "expire_at": 1_900_000_000}), at(1_900_000_000)),
        (json!({"exp": exp, "expire_at": 0}), None),
        (json!({}), None),
    ] {
        assert_eq!(verify(&sign(&claims)).unwrap().expires_at, expected, "{claims}");
    }
}

#[test]
fn audience_and_issuer_must_be_as_expected() {
    let exactly = |text: &str| Some(Expected::Exactly(text.into()));
    let matching = |text: &str| Some(Expected::Matching(Regex::new(text).unwrap()));
    let both = || TokenOptions {
        audience: exactly("chat"),
        issuer: matching("^app-"),
        ..options()
    };
    for (claims, expected) in [
        (json!({"aud": "chat", "iss": "app-1"}), None),
        (json!({"aud": ["mail", "chat"], "iss": "app-1"}), None),
        (json!({"aud": "mail", "iss": "app-1"}), Some(TokenFault::Audience)),
        (json!({"aud": [], "iss": "app-1"}), Some(TokenFault::Audience)),
        (json!({"iss": "app-1"}), Some(TokenFault::Audience)),
        (
            json!({"aud": "chat", "iss": "my-app-1"}),
            Some(TokenFault::Issuer),
        ),
        (json!({"aud": "chat"}), Some(TokenFault::Issuer)),
    ] {
        let found = verify_with(both(), &sign(&claims));
        assert_eq!(found.err(), expected.map(TokenError::Invalid), "{claims}");
    }
}

#[test]
fn the_user_may_be_in_another_claim() {
    let other = || TokenOptions {
        user_id_claim: Some("user_id".into()),
        ..options()
    };
    for (claims, user) in [
        (json!({"sub": "x", "user_id": "anna"}), "anna"),
        (json!({"sub": "x", "user_id": 42}), "42"),
        (json!({"sub": "x"}), ""),
    ] {
        assert_eq!(
            verify_with(other(), &sign(&claims)).unwrap().user,
            user,
            "{claims}"
        );
    }
    assert_eq!(
        verify_with(other(), &sign(&json!({"user_id": true}))),
        fault(TokenFault::Malformed)
    );
}

#[test]
fn payloads_keep_their_text() {
    // Numbers beyond what a JSON library would print again, and the order of keys.
    let claims =
        r#"{"info":{"b":1.10,"a":12345678901234567890123},"subs":{"x":{"b64info":"aGk=","data":[ 1 ]}}}"#;
    let key = EncodingKey::from_secret(b"new");
    let raw: Box<serde_json::value::RawValue> = serde_json::from_str(claims).unwrap();
    let token = jsonwebtoken::encode(&Header::default(), &raw, &key).unwrap();
    let token = verify(&token).unwrap();
    assert_eq!(token.info, r#"{"b":1.10,"a":12345678901234567890123}"#);
    assert_eq!(token.subscriptions[0].info, "hi");
    assert_eq!(token.subscriptions[0].data, "[ 1 ]");
    assert_eq!(
        verify(&sign(&json!({"b64info": "!"}))),
        fault(TokenFault::Malformed)
    );
}

#[test]
fn channels_stand_in_for_subs() {
    let names = |claims: Value| {
        let token = verify(&sign(&claims)).unwrap();
        token
            .subscriptions
            .into_iter()
            .map(|subscription| subscription.channel)
            .collect::<Vec<_>>()
    };
    assert_eq!(names(json!({"channels": ["a", "b"]})), ["a", "b"]);
    assert_eq!(names(json!({"channels": ["a"], "subs": {"c": {}}})), ["c"]);
}

#[test]
fn overrides_are_said_or_not() {
    let claims = json!({"subs": {"x": {"override": {"presence": {"value": true}, "join_leave": {}}}}});
    let [ServerSubscription { overrides, .. }] =
        verify(&sign(&claims)).unwrap().subscriptions.try_into().unwrap();
    assert_eq!(overrides.presence, Some(Switch { value: true }));
    assert_eq!(overrides.join_leave, Some(Switch { value: false }));
    assert_eq!(overrides.force_recovery, None);
}

#[test]
fn the_two_kinds_are_not_mixed_up() {
    let both = Authenticator::new(&AuthOptions {
        connection: options(),
        subscription: None,
    });
    let (connection, subscription) = (
        sign(&json!({"sub": "a"})),
        sign(&json!({"sub": "a", "channel": "x"})),
    );
    let kind = TokenError::Invalid(TokenFault::Kind);
    assert_eq!(both.connection(&subscription, NOW).err(), Some(kind));
    assert_eq!(both.subscription(&connection, NOW).err(), Some(kind));
    assert_eq!(
        both.subscription(&subscription, NOW)
            .unwrap()
            .subscription
            .channel,
        "x"
    );
}

#[test]
fn subscription_tokens_may_have_rules_of_their_own() {
    let own = TokenOptions {
        hmac: Some(HmacKeys {
            current: key("own"),
            previous: None,
        }),
        ..options()
    };
    let both = Authenticator::new(&AuthOptions {
        connection: options(),
        subscription: Some(own),
    });
    let claims = json!({"channel": "x"});
    assert!(
        both.subscription(&sign_with(Algorithm::HS256, "own", &claims), NOW)
            .is_ok()
    );
    assert!(both.subscription(&sign(&claims), NOW).is_err());
}

#[test]
fn generated_tokens_are_believed() {
    let expires_at = Some(NOW + Duration::from_secs(60));
    let request = TokenRequest {
        user: "anna",
        issued_at: NOW,
        expires_at,
        ..TokenRequest::default()
    };
    let token = verify(&generate_token(&key("new"), &request)).unwrap();
    assert_eq!((token.user.as_str(), token.expires_at), ("anna", expires_at));
    let both = Authenticator::new(&AuthOptions {
        connection: options(),
        subscription: None,
    });
    let token = generate_token(
        &key("new"),
        &TokenRequest {
            channel: Some("x"),
            ..request
        },
    );
    assert_eq!(both.subscription(&token, NOW).unwrap().subscription.channel, "x");
}

#[test]
fn keys_match_only_themselves() {
    assert!(keys_match(b"key", b"key"));
    for presented in ["", "ke", "kez", "keyy"] {
        assert!(!keys_match(b"key", presented.as_bytes()), "{presented}");
    }
    assert!(!keys_match(b"", b""), "no key is no key");
}
