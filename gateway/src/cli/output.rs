//! What commands print. Results go to standard output, what went wrong to standard error, each a line at a time.
//!
//! Whoever has closed the output (`| head`) does not want the rest: nothing is said about it, and the process ends with the
//! code that it would have had.

use std::io::{self, Write as _};

use serde_json::{Value, json};

use super::Exit;
use crate::config::Invalid;

/// A line on standard output; whether anybody still wants it.
pub(super) fn say(line: impl AsRef<[u8]>) -> bool {
    let mut out = io::stdout().lock();
    let written = out.write_all(line.as_ref()).and_then(|()| out.write_all(b"\n"));
    written.and_then(|()| out.flush()).is_ok()
}

/// The result of a command: as an object with `json`, else as text.
pub(super) fn answer(json: bool, object: impl FnOnce() -> Value, text: impl FnOnce() -> String) -> Exit {
    if json {
        say(object().to_string());
    } else {
        say(text().trim_end_matches('\n'));
    }
    Exit::Success
}

/// A line on standard error.
pub(super) fn complain(text: &str) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// What went wrong, on standard error; for scripts also on standard output. The code is that of a gateway's refusal.
pub(super) fn fail(exit: Exit, json: bool, code: Option<u32>, message: &str) -> Exit {
    tell_scripts(json, code, message);
    complain(message);
    exit
}

/// What went wrong, on standard output where that is for scripts.
pub fn tell_scripts(json: bool, code: Option<u32>, message: &str) {
    if json {
        say(json!({ "error": { "code": code, "message": message } }).to_string());
    }
}

/// What must be changed in the configuration, a line for each; for scripts also on standard output.
#[must_use]
pub fn refuse(invalid: &Invalid, json: bool) -> Exit {
    let errors: Vec<String> = invalid.0.errors().map(ToString::to_string).collect();
    tell_scripts(json, None, &errors.join("; "));
    for error in errors {
        complain(&format!("error: {error}"));
    }
    invalid.0.kind().into()
}

/// Says why it could not go on; for scripts also on standard output.
#[must_use]
pub fn give_up(why: &str, json: bool) -> Exit {
    fail(Exit::Failure, json, None, why)
}
