//! Sessions driven by hand: commands and outcomes in, outputs out.

mod connect;
mod driver;
mod history;
mod kit;
mod lanes;
mod permissions;
mod property;
mod publish;
mod refresh;
mod server;
mod size;
mod subscribe;
mod timers;
mod unsubscribe;
