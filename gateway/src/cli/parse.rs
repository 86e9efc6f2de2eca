//! From what was typed to a command, or to what is wrong with it.

use std::ffi::OsString;

use clap::Parser as _;

use super::output::tell_scripts;
use super::{Cli, Command, Exit};

/// The command of this command line, whose first word is the program's name.
///
/// # Errors
///
/// If there is nothing more to do: help was asked for, or the command line is wrong. Then all has been said.
pub fn parse(line: impl IntoIterator<Item = OsString>) -> Result<Command, Exit> {
    let line: Vec<OsString> = line.into_iter().collect();
    let error = match Cli::try_parse_from(&line) {
        Ok(cli) => return Ok(cli.into_command()),
        Err(error) => error,
    };
    if !error.use_stderr() {
        // Who closes the output does not want the rest of the help.
        let _ = error.print();
        return Err(Exit::Success);
    }
    // Nobody knows what a line means that is wrong, but who writes that wants JSON.
    let json = line.iter().any(|word| word == "--json");
    tell_scripts(json, None, &in_a_line(&error.to_string()));
    let _ = error.print();
    Err(Exit::Usage)
}

/// What is wrong, and the hints, without the summary of what could have been typed.
fn in_a_line(message: &str) -> String {
    let message = message.strip_prefix("error: ").unwrap_or(message);
    let lines = message.lines().map(str::trim);
    let lines =
        lines.take_while(|line| !line.starts_with("Usage:") && !line.starts_with("For more information"));
    let lines: Vec<&str> = lines.filter(|line| !line.is_empty()).collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn typed(line: &str) -> Result<Command, Exit> {
        parse(line.split_whitespace().map(OsString::from))
    }

    #[test]
    fn a_wrong_line_ends_with_its_code_and_help_does_not() {
        assert!(matches!(typed("campanile nodes"), Ok(Command::Nodes(_))));
        for wrong in ["campanile nods", "campanile serve --jso", "campanile --set x"] {
            assert_eq!(typed(wrong).err(), Some(Exit::Usage), "{wrong}");
        }
        assert_eq!(typed("campanile --version").err(), Some(Exit::Success));
    }

    #[test]
    fn what_is_wrong_is_said_in_a_line() {
        let error = Cli::try_parse_from(["campanile", "chekconfig", "--json"]).unwrap_err();
        let said = in_a_line(&error.to_string());
        assert!(!said.contains('\n') && !said.contains("Usage"), "{said}");
        assert!(
            said.contains("'chekconfig'") && said.contains("'checkconfig'"),
            "{said}"
        );
        assert!(!said.starts_with("error"), "{said}");
    }
}
