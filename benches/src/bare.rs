//! The bare reference server: the least that writing frames to sockets can cost.

use crate::Failure;

/// Serves until it is told to end.
pub async fn serve() -> Result<(), Failure> {
    std::future::ready(Err(Failure::usage("bare cannot be served yet"))).await
}
