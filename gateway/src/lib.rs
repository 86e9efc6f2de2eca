//! The Campanile gateway: client connections at the edge, sessions, permissions, the hub, the server API.

pub mod auth;
pub mod config;
pub mod session;
pub mod transport;
