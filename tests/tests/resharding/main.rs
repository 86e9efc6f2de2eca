//! Shards come and go under load, and every client is told the truth.
//!
//! Real Redis processes, three gateways, the official SDKs, and clients by hand over each transport. Publishers write numbered messages to two thousand channels,
//! half of them with a stream; the SDKs count them, each channel by its own numbers. A shard is added, drained, killed,
//! brought back, and afterwards the sums must be right.

mod asked;
mod big;
mod dropped;
mod hand;
mod interrupted;
mod load;
mod lost;
mod planned;
mod repeated;
mod world;
