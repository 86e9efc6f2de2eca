//! Configuration: what the other parts are told.

pub mod options;
