//! The Campanile gateway: client connections at the edge, sessions, permissions, the hub, the server API.

pub mod config;
