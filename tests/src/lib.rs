//! What the end-to-end tests are made of: real processes on loopback, the official SDKs as puppets, and a way to wait.
//!
//! A test builds a [`Cluster`](cluster::Cluster) out of [`RedisServer`](redis::RedisServer)s and
//! [`Gateway`](gateway::Gateway)s, puts clients in front of it — this workspace's own
//! [`campanile_client`], or the SDKs as [`Puppet`](puppet::Puppet)s — reaches it through a
//! [`Balancer`](balancer::Balancer) when connections are to be cut or moved, breaks something, and then polls with
//! [`eventually`](wait::eventually) for what must come to be. There are no sleeps that hope.
//!
//! Everything that is started ends with the value that stands for it. When a test fails, the processes it was using print
//! the end of their logs.
//!
//! | module | |
//! | --- | --- |
//! | [`process`] | a child process: signals, its log, its end |
//! | [`redis`] | `redis-server` |
//! | [`sentinel`] | Redis Sentinels |
//! | [`users`] | servers with the documented users |
//! | [`authority`] | certificates of the test's own |
//! | [`gateway`] | the `campanile` binary and its configuration |
//! | [`mod@bench`] | the `campanile-bench` binary |
//! | [`cluster`] | several of both, joined |
//! | [`balancer`] | a TCP proxy that can be cut and pointed elsewhere |
//! | [`relay`] | a UDP relay that can be cut |
//! | [`island`] | a network and names of a test's own |
//! | [`link`] | network namespaces joined by an emulated link |
//! | [`puppet`] | the SDKs for JavaScript and Python, driven line by line |
//! | [`api`] | the HTTP server API |
//! | [`manifests`] | the Kubernetes manifests, built |
//! | [`name_server`] | a name server that lists the pods of a service |
//! | [`metrics`] | what `/metrics` says |
//! | [`promql`] | what a dashboard or an alert asks of them |
//! | [`token`] | connection and subscription tokens |
//! | [`wait`] | polling with a deadline |
//! | [`suite`] | one test over each transport |
//! | [`wire`] | the client protocol by hand, over each transport |

pub mod api;
pub mod authority;
pub mod balancer;
pub mod bench;
pub mod cluster;
pub mod gateway;
pub mod island;
pub mod link;
pub mod manifests;
pub mod metrics;
pub mod name_server;
pub mod process;
pub mod promql;
pub mod puppet;
pub mod redis;
pub mod relay;
pub mod sentinel;
pub mod suite;
pub mod token;
pub mod users;
pub mod wait;
pub mod wire;
