//! The Kubernetes manifests, held to the schemas of Kubernetes, to each other, and to what they deploy.
//!
//! What the hooks and probes in them do to real processes is in `tests/tests/scale`.

mod configured;
mod confined;
mod custom;
mod image;
mod joined;
mod network;
mod placed;
mod referenced;
mod schemas;
mod sentinel;
mod sized;
mod timed;
mod users;
