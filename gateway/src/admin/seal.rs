//! What is signed here, any gateway with the same secret and password believes; nobody keeps a list of it. Changing either
//! of the two ends it all.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use campanile_common::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, crypto};

use crate::auth::keys_match;
use crate::config::{AdminOptions, generate};

/// Longer than any token that is issued here: longer ones are not worth a hash.
const MAX_TOKEN: usize = 256;

/// The form of a token. Another one would need another name.
const VERSION: &str = "1";

/// Signs.
pub(super) struct Seal(EncodingKey);

/// What a signature is for, so that none passes for another.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    /// Of a session.
    Session,
    /// Of a browser that is known.
    Browser,
    /// What goes with calls that may change something.
    Csrf,
    /// The password, for a comparison.
    Password,
    /// A session's name in the log.
    Log,
}

/// What a token stands for, until its end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Pass {
    pub(super) id: String,
    /// When it ends.
    pub(super) expires_at: Timestamp,
}

impl Purpose {
    fn name(self) -> &'static str {
        match self {
            Self::Session => "session",
            Self::Browser => "browser",
            Self::Csrf => "csrf",
            Self::Password => "password",
            Self::Log => "log",
        }
    }
}

impl Seal {
    /// Signs with a key that is made of the secret and the password. A secret that also signs tokens of clients makes another
    /// key here.
    pub(super) fn new(options: &AdminOptions) -> Self {
        let made_up = generate::secret();
        let secret = options.secret.as_ref();
        let secret = secret.map_or(made_up.as_bytes(), |secret| secret.expose());
        let seed = [b"campanile administration\0", options.password.expose()].concat();
        let key = sign(&EncodingKey::from_secret(secret), &seed);
        Self(EncodingKey::from_secret(key.as_bytes()))
    }

    /// The signature of `content`.
    pub(super) fn mark(&self, purpose: Purpose, content: &[u8]) -> String {
        sign(&self.0, &[purpose.name().as_bytes(), b"\0", content].concat())
    }

    /// Whether that is it. Takes a time that does not depend on where they differ.
    pub(super) fn is_mark(&self, purpose: Purpose, content: &[u8], presented: &[u8]) -> bool {
        keys_match(self.mark(purpose, content).as_bytes(), presented)
    }

    /// What a browser keeps of a pass.
    pub(super) fn token(&self, purpose: Purpose, pass: &Pass) -> String {
        let content = format!("{VERSION}.{}.{}", pass.id, pass.expires_at.as_millis());
        let signature = self.mark(purpose, content.as_bytes());
        format!("{content}.{signature}")
    }

    /// The pass of a token; `None`: it was not issued here for this purpose, or it is over.
    pub(super) fn recognise(&self, purpose: Purpose, token: &str, now: Timestamp) -> Option<Pass> {
        if token.len() > MAX_TOKEN {
            return None;
        }
        let (content, signature) = token.rsplit_once('.')?;
        if !self.is_mark(purpose, content.as_bytes(), signature.as_bytes()) {
            return None;
        }
        let mut parts = content.split('.');
        let (VERSION, id, expiry) = (parts.next()?, parts.next()?, parts.next()?) else {
            return None;
        };
        let pass = Pass {
            id: id.to_owned(),
            expires_at: Timestamp::from_millis(expiry.parse().ok()?),
        };
        (pass.expires_at > now).then_some(pass)
    }
}

/// A name that nothing else has.
pub(super) fn new_id() -> String {
    let id: [u8; 16] = rand::random();
    URL_SAFE_NO_PAD.encode(id)
}

fn sign(key: &EncodingKey, content: &[u8]) -> String {
    crypto::sign(content, key, Algorithm::HS256).expect("HMAC signs anything with any key")
}
