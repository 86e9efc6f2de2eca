//! The command line as scripts use it: mistakes that end a start, exit codes, JSON, and commands that ask gateways.

mod asking;
mod codes;
mod mistakes;
mod offline;
mod program;
mod tokens;
