//! The same load on two servers in turns, A B A B, and how they compare.

use crate::Failure;
use crate::execute::Order;

/// Runs the load on both servers in turns and prints ratios with their spread.
pub async fn compare(order: &Order, with: &str) -> Result<bool, Failure> {
    let _ = order;
    std::future::ready(Err(Failure::usage(format!("{with}: cannot compare yet")))).await
}
