use clap::{CommandFactory as _, Parser as _};

use super::*;

#[test]
fn the_definition_is_consistent() {
    Cli::command().debug_assert();
}

#[test]
fn without_a_command_it_serves() {
    for line in [
        &["campanile", "--http.port", "0"][..],
        &["campanile", "serve", "--http_server.port=0"],
    ] {
        let Command::Serve(arguments) = Cli::parse_from(line).into_command() else {
            panic!("{line:?} does not serve");
        };
        assert_eq!(
            arguments.into_parts().0.flags,
            [("http_server.port".to_owned(), "0".to_owned())]
        );
    }
}

#[test]
fn a_key_set_by_name_wins() {
    let line = [
        "campanile",
        "--log.level=info",
        "--set",
        "log.level=debug",
        "--set",
        "a=b=c",
    ];
    let Command::Serve(arguments) = Cli::parse_from(line).into_command() else {
        panic!("it does not serve");
    };
    let flags = arguments.into_parts().0.flags;
    assert_eq!(flags[1], ("log.level".to_owned(), "debug".to_owned()));
    assert_eq!(flags[2], ("a".to_owned(), "b=c".to_owned()));
}

#[test]
fn every_command_that_prints_can_print_json() {
    for command in Cli::command().get_subcommands() {
        // What it prints is a script.
        if command.get_name() != "completions" {
            let takes_json = command.get_arguments().any(|it| it.get_long() == Some("json"));
            assert!(takes_json, "{}", command.get_name());
        }
    }
}

#[test]
fn every_command_is_documented() {
    const DOCUMENT: &str = include_str!("../../../docs/cli.md");
    for command in Cli::command().get_subcommands() {
        let name = command.get_name();
        assert!(DOCUMENT.contains(&format!("\n| `{name}")), "{name}");
        assert!(command.get_about().is_some(), "{name}");
    }
}

#[test]
fn neither_keys_nor_tokens_show_when_arguments_are_printed() {
    for line in [
        &["campanile", "nodes", "--api-key", "hidden"][..],
        &["campanile", "channels", "--api-key", "hidden", "a*"],
        &["campanile", "checktoken", "hidden"],
    ] {
        let command = Cli::parse_from(line).into_command();
        assert!(!format!("{command:?}").contains("hidden"), "{line:?}");
    }
}
