//! What can be seen only over a network: connections across emulated links between network namespaces.
//!
//! `link` holds the links themselves to what they promise.

mod link;
