//! How the process ends.

use std::fmt::Write as _;
use std::process::ExitCode;

use crate::config::Mistake;

/// How the process ends, for whoever started it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// It did what it was asked to.
    Success = 0,
    /// It could not go on.
    Failure = 1,
    /// The command line is wrong. (Mostly the parser says so, with the same code.)
    Usage = 2,
    /// The configuration has errors without a code of their own, or of several kinds.
    Configuration = 3,
    /// It was told to end a second time and did not wait for its connections.
    Forced = 4,
    /// A gateway refused what was asked of it, or gave it up.
    Refused = 5,
    /// It ended before everything had come that was asked for.
    Incomplete = 6,
    /// The token is not valid, and never will be.
    TokenRefused = 7,
    /// The token's time is over, or has not come.
    TokenExpired = 8,
    /// The configuration has a key that nobody knows.
    UnknownKey = 10,
    /// A value in it has the wrong type or unit.
    WrongType = 11,
    /// Two shards, or two namespaces, have one name.
    NameTaken = 12,
    /// A certificate cannot be used.
    Certificate = 13,
    /// An address cannot be listened on.
    Address = 14,
    /// The host of the topology store cannot be found.
    Store = 15,
    /// The configuration file is of no use.
    File = 16,
}

impl Exit {
    /// Every one of them, by number.
    pub const ALL: [Self; 16] = [
        Self::Success,
        Self::Failure,
        Self::Usage,
        Self::Configuration,
        Self::Forced,
        Self::Refused,
        Self::Incomplete,
        Self::TokenRefused,
        Self::TokenExpired,
        Self::UnknownKey,
        Self::WrongType,
        Self::NameTaken,
        Self::Certificate,
        Self::Address,
        Self::Store,
        Self::File,
    ];

    /// What it tells whoever started the process: as in `--help` and docs/cli.md.
    #[must_use]
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Success => "it did what it was asked to",
            Self::Failure => "it could not go on: no gateway answers, the system refused something",
            Self::Usage => "the command line is wrong",
            Self::Configuration => {
                "the configuration has errors of several kinds, or others than 10 to 16 stand for"
            }
            Self::Forced => "it was told to end a second time and did not wait for its connections",
            Self::Refused => "a gateway refused what was asked of it, or gave it up",
            Self::Incomplete => "it ended before everything had come that was asked for",
            Self::TokenRefused => "the token is not valid, and never will be",
            Self::TokenExpired => "the token has expired, or is not valid yet",
            Self::UnknownKey => "the configuration has a key that nobody knows",
            Self::WrongType => "a value in the configuration has the wrong type or unit",
            Self::NameTaken => "two shards, or two namespaces, have one name",
            Self::Certificate => "a certificate or its key cannot be read, or cannot be used",
            Self::Address => "an address cannot be listened on, mostly because another process has the port",
            Self::Store => "the host of the topology store cannot be found",
            Self::File => "the configuration file cannot be read, or is not understood",
        }
    }

    /// The table of all of them, for `--help`.
    pub(super) fn table() -> String {
        let mut text = "Exit codes:".to_owned();
        for exit in Self::ALL {
            // Writing to a string does not fail.
            let _ = write!(text, "\n  {:>2}  {}", exit as u8, exit.meaning());
        }
        text
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

impl From<Mistake> for Exit {
    fn from(mistake: Mistake) -> Self {
        match mistake {
            Mistake::UnknownKey => Self::UnknownKey,
            Mistake::WrongType => Self::WrongType,
            Mistake::NameTaken => Self::NameTaken,
            Mistake::Certificate => Self::Certificate,
            Mistake::File => Self::File,
            Mistake::Address => Self::Address,
            Mistake::Store => Self::Store,
            Mistake::Other => Self::Configuration,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = include_str!("../../../docs/cli.md");

    #[test]
    fn the_document_has_the_codes_as_they_are() {
        let (_, table) = DOCUMENT
            .split_once("## Exit codes\n\n| code | meaning |\n| --- | --- |\n")
            .expect("docs/cli.md has a table of exit codes");
        let listed: Vec<&str> = table.lines().take_while(|line| line.starts_with('|')).collect();
        let codes: Vec<String> = Exit::ALL
            .iter()
            .map(|exit| format!("| {} | {} |", *exit as u8, exit.meaning()))
            .collect();
        assert_eq!(listed, codes);
    }

    #[test]
    fn every_code_is_another_one() {
        let codes: Vec<u8> = Exit::ALL.iter().map(|exit| *exit as u8).collect();
        assert!(codes.is_sorted_by(|a, b| a < b), "{codes:?}");
        assert_eq!(Exit::table().lines().count(), 1 + Exit::ALL.len());
    }
}
