//! The Campanile gateway: client connections at the edge, sessions, permissions, the hub, the server API.

pub mod auth;
pub mod clock;
pub mod config;
pub mod connection;
pub mod hub;
pub mod registry;
pub mod session;
pub mod timers;
pub mod transport;
