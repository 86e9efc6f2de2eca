//! Sessions: signed, with an end, and nothing else. Nobody keeps a list of them, so any gateway with the same secret and
//! password believes them, and changing either ends them all.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use campanile_common::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

use crate::auth::keys_match;
use crate::config::{AdminOptions, generate};

/// Longer than any session that is issued here: longer ones are not worth a hash.
const MAX_TOKEN: usize = 256;

/// The form of a session. Another one would need another name.
const VERSION: &str = "1";

/// Issues sessions and recognises them.
pub(super) struct Sessions {
    key: EncodingKey,
    /// The password under this key: what is compared has the same length whatever is presented.
    password: String,
    ttl: Duration,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session {
    id: String,
    /// When it ends.
    pub(super) expires_at: Timestamp,
}

/// What a signature is for, so that none passes for another.
#[derive(Clone, Copy)]
enum Purpose {
    Session,
    Csrf,
    Password,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Csrf => "csrf",
            Self::Password => "password",
        }
    }
}

impl Sessions {
    /// Sessions signed with a key that is made of the secret and the password. A secret that also signs tokens of clients makes
    /// another key here.
    pub(super) fn new(options: &AdminOptions) -> Self {
        let made_up = generate::secret();
        let secret = options.secret.as_ref();
        let secret = secret.map_or(made_up.as_bytes(), |secret| secret.expose());
        let password = options.password.expose();
        let seed = [b"campanile administration\0", password].concat();
        let key = EncodingKey::from_secret(sign(&EncodingKey::from_secret(secret), &seed).as_bytes());
        Self {
            password: mark(&key, Purpose::Password, password),
            key,
            ttl: options.session_ttl,
        }
    }

    /// Whether that is the password. Takes a time that does not depend on where they differ, nor on how long the right one is.
    pub(super) fn is_password(&self, presented: &[u8]) -> bool {
        let presented = mark(&self.key, Purpose::Password, presented);
        keys_match(self.password.as_bytes(), presented.as_bytes())
    }

    /// A new session.
    pub(super) fn begin(&self, now: Timestamp) -> Session {
        let id: [u8; 16] = rand::random();
        Session {
            id: URL_SAFE_NO_PAD.encode(id),
            expires_at: now + self.ttl,
        }
    }

    /// How long a session lasts.
    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// What a browser keeps of a session.
    pub(super) fn token(&self, session: &Session) -> String {
        let content = content(session);
        let signature = mark(&self.key, Purpose::Session, content.as_bytes());
        format!("{content}.{signature}")
    }

    /// The session of a token; `None`: it was not issued here, or it is over.
    pub(super) fn recognise(&self, token: &str, now: Timestamp) -> Option<Session> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (content, signature) = token.rsplit_once('.')?;
        let expected = mark(&self.key, Purpose::Session, content.as_bytes());
        if !keys_match(expected.as_bytes(), signature.as_bytes()) {
            return None;
        }
        let mut parts = content.split('.');
        let (VERSION, id, expiry) = (parts.next()?, parts.next()?, parts.next()?) else {
            return None;
        };
        let session = Session {
            id: id.to_owned(),
            expires_at: Timestamp::from_millis(expiry.parse().ok()?),
        };
        (session.expires_at > now).then_some(session)
    }

    /// What a call that may change something must carry beside the session.
    pub(super) fn csrf(&self, session: &Session) -> String {
        mark(&self.key, Purpose::Csrf, session.id.as_bytes())
    }

    /// Whether that is it.
    pub(super) fn is_csrf(&self, session: &Session, presented: &[u8]) -> bool {
        keys_match(self.csrf(session).as_bytes(), presented)
    }
}

fn content(session: &Session) -> String {
    format!("{VERSION}.{}.{}", session.id, session.expires_at.as_millis())
}

fn mark(key: &EncodingKey, purpose: Purpose, content: &[u8]) -> String {
    sign(key, &[purpose.name().as_bytes(), b"\0", content].concat())
}

fn sign(key: &EncodingKey, content: &[u8]) -> String {
    crypto::sign(content, key, Algorithm::HS256).expect("HMAC signs anything with any key")
}
