//! The Campanile gateway: client connections at the edge, sessions, permissions, the hub, the server API.

pub mod api;
pub mod app;
pub mod auth;
pub mod cli;
pub mod clock;
pub mod cluster;
pub mod config;
pub mod connection;
pub mod exporter;
pub mod http;
pub mod hub;
pub mod logging;
pub mod registry;
pub mod session;
pub mod timers;
pub mod transport;
