//! The commands that print something and end.

use std::io::{self, Write as _};
use std::time::SystemTime;

use campanile_common::Timestamp;

use super::{ConfigArguments, Exit, FingerprintArguments, TokenArguments};
use crate::auth::{TokenRequest, generate_token as sign};
use crate::config::options::Expected;
use crate::config::{Config, Invalid, generate};
use crate::tls::{PortCertificates, fingerprint_of_file};

/// `checkconfig`: prints what was found.
#[must_use]
pub fn check_config(arguments: ConfigArguments) -> Exit {
    match Config::load(&arguments.sources()) {
        Ok((config, mut report)) => match PortCertificates::open(&config.tls) {
            Ok(_) => print(&format!("{report}the configuration is valid")),
            Err(error) => {
                report.error(error.to_string());
                refuse(&Invalid(report))
            }
        },
        Err(invalid) => refuse(&invalid),
    }
}

/// `fingerprint`: prints that of a certificate.
#[must_use]
pub fn fingerprint(arguments: &FingerprintArguments) -> Exit {
    match fingerprint_of_file(&arguments.file) {
        Ok(fingerprint) => print(&format!("{fingerprint}\n{}", fingerprint.base64())),
        Err(error) => give_up(&error.to_string()),
    }
}

/// `genconfig`: prints a file to begin with.
#[must_use]
pub fn generate_config() -> Exit {
    print(generate::starter().trim_end())
}

/// `version`: prints the version.
#[must_use]
pub fn version() -> Exit {
    print(concat!("campanile ", env!("CARGO_PKG_VERSION")))
}

/// `gentoken`: prints a token.
#[must_use]
pub fn generate_token(arguments: TokenArguments) -> Exit {
    let config = match Config::load(&arguments.config.sources()) {
        Ok((config, _)) => config,
        Err(invalid) => return refuse(&invalid),
    };
    let rules = match arguments.channel {
        Some(_) => config.auth.subscription(),
        None => &config.auth.connection,
    };
    // A key that was made up for this very process opens nothing.
    let Some(keys) = rules.hmac.as_ref().filter(|_| config.demo.is_none()) else {
        complain(
            "client.token.hmac_secret_key: not set, so there is nothing to sign with; name a file with --config",
        );
        return Exit::Configuration;
    };
    let now = Timestamp::ZERO
        + SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
    let ttl = arguments.ttl.get();
    print(&sign(
        &keys.current,
        &TokenRequest {
            user: &arguments.user,
            channel: arguments.channel.as_deref(),
            issued_at: now,
            expires_at: (!ttl.is_zero()).then(|| now + ttl),
            audience: exactly(rules.audience.as_ref()),
            issuer: exactly(rules.issuer.as_ref()),
        },
    ))
}

/// What the rules demand, where they name one text.
fn exactly(expected: Option<&Expected>) -> Option<&str> {
    match expected {
        Some(Expected::Exactly(text)) => Some(text),
        Some(Expected::Matching(_)) | None => None,
    }
}

/// Tells what is wrong with the configuration.
#[must_use]
pub fn refuse(invalid: &Invalid) -> Exit {
    complain(invalid.to_string().trim_end());
    Exit::Configuration
}

/// Says why it could not go on.
#[must_use]
pub fn give_up(why: &str) -> Exit {
    complain(why);
    Exit::Failure
}

/// A line on standard output. Whoever closed it does not want it.
fn print(text: &str) -> Exit {
    let _ = writeln!(io::stdout(), "{text}");
    Exit::Success
}

/// A line on standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}
