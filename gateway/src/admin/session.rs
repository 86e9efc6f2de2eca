//! Sessions, and the browsers in which there were some: both are signed, have an end, and are kept by nobody but the browser.

use std::time::Duration;

use campanile_common::Timestamp;

use super::seal::{Pass, Purpose, Seal, new_id};
use crate::auth::keys_match;
use crate::config::AdminOptions;

/// How long a browser is known: as long as browsers keep a cookie at most (RFC 6265bis), longer than any session.
pub(super) const BROWSER_TTL: Duration = Duration::from_secs(400 * 24 * 60 * 60);

/// Characters of a session's name in the log: enough to tell sessions apart.
const LOGGED: usize = 8;

/// Issues sessions and recognises them.
pub(super) struct Sessions {
    seal: Seal,
    /// The password as it is signed here: what is compared has the same length whatever is presented.
    password: String,
    ttl: Duration,
}

/// One session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Session(Pass);

/// A browser in which somebody has logged in. It may be somebody else's by now: it opens nothing.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Browser(String);

impl Sessions {
    /// Sessions of gateways with these options.
    pub(super) fn new(options: &AdminOptions) -> Self {
        let seal = Seal::new(options);
        Self {
            password: seal.mark(Purpose::Password, options.password.expose()),
            seal,
            ttl: options.session_ttl,
        }
    }

    /// Whether that is the password. Takes a time that does not depend on where they differ, nor on how long the right one is.
    pub(super) fn is_password(&self, presented: &[u8]) -> bool {
        let presented = self.seal.mark(Purpose::Password, presented);
        keys_match(self.password.as_bytes(), presented.as_bytes())
    }

    /// A new session.
    pub(super) fn begin(&self, now: Timestamp) -> Session {
        Session(Pass {
            id: new_id(),
            expires_at: now + self.ttl,
        })
    }

    /// How long a session lasts.
    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// What a browser keeps of a session.
    pub(super) fn token(&self, session: &Session) -> String {
        self.seal.token(Purpose::Session, &session.0)
    }

    /// The session of a token; `None`: it was not issued here, or it is over.
    pub(super) fn recognise(&self, token: &str, now: Timestamp) -> Option<Session> {
        self.seal.recognise(Purpose::Session, token, now).map(Session)
    }

    /// What a call that may change something must carry beside the session.
    pub(super) fn csrf(&self, session: &Session) -> String {
        self.seal.mark(Purpose::Csrf, session.0.id.as_bytes())
    }

    /// Whether that is it.
    pub(super) fn is_csrf(&self, session: &Session, presented: &[u8]) -> bool {
        self.seal
            .is_mark(Purpose::Csrf, session.0.id.as_bytes(), presented)
    }

    /// The session's name in the log, the same on all gateways, from which the session cannot be made.
    pub(super) fn name(&self, session: &Session) -> String {
        let mut name = self.seal.mark(Purpose::Log, session.0.id.as_bytes());
        name.truncate(LOGGED);
        name
    }

    /// What a browser keeps for the next time that somebody logs in.
    pub(super) fn browser_token(&self, browser: Browser, now: Timestamp) -> String {
        let pass = Pass {
            id: browser.0,
            expires_at: now + BROWSER_TTL,
        };
        self.seal.token(Purpose::Browser, &pass)
    }

    /// The browser of such a token.
    pub(super) fn recognise_browser(&self, token: &str, now: Timestamp) -> Option<Browser> {
        let pass = self.seal.recognise(Purpose::Browser, token, now)?;
        Some(Browser(pass.id))
    }
}

impl Session {
    /// When it ends.
    pub(super) fn expires_at(&self) -> Timestamp {
        self.0.expires_at
    }
}

impl Browser {
    /// One that was never seen.
    pub(super) fn new() -> Self {
        Self(new_id())
    }
}
