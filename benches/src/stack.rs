//! The local stack: Redis servers and gateways, started for a run and ended with it.

mod child;
mod config;
mod gateway;
pub mod guard;
mod redis;

use std::path::PathBuf;

use tempfile::TempDir;

use crate::Failure;
use crate::measure::processes::Watched;
use crate::target::{CodecName, Shard, Target};
use child::Child;
use gateway::Gateway;
use redis::Redis;

/// What a local stack is made of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StackOptions {
    /// Redis servers that are shards; 0: the gateway holds the channels itself.
    pub shards: usize,
    /// Redis servers that run and are no shards yet.
    pub spares: usize,
    /// Gateways.
    pub gateways: usize,
    /// The gateway's binary; `None`: `campanile` beside this program.
    pub gateway_binary: Option<PathBuf>,
    /// More configuration of the gateways: dotted keys and values.
    pub settings: Vec<(String, String)>,
    /// The codec of the clients.
    pub codec: CodecName,
    /// Whether clients connect over QUIC.
    pub quic: bool,
    /// Whether it is kept who is in the channels without a stream.
    pub presence: bool,
}

impl Default for StackOptions {
    fn default() -> Self {
        Self {
            shards: 1,
            spares: 0,
            gateways: 1,
            gateway_binary: None,
            settings: Vec::new(),
            codec: CodecName::default(),
            quic: false,
            presence: false,
        }
    }
}

/// A running stack. It ends when it is dropped, or when this process ends, however that happens.
#[derive(Debug)]
pub struct Stack {
    target: Target,
    // Gateways end before what they work with.
    gateways: Vec<Gateway>,
    servers: Vec<Redis>,
    // After the processes that write there.
    dir: TempDir,
}

impl Stack {
    /// Starts everything and waits until it is ready. To be called on the main thread: the children end with the thread that
    /// has started them.
    pub async fn start(options: &StackOptions) -> Result<Self, Failure> {
        if options.shards == 0 && options.gateways > 1 {
            return Err(Failure::usage("several gateways need shards that they share"));
        }
        let mut stack = Self {
            target: Target {
                codec: options.codec,
                api_key: format!("{:032x}", rand::random::<u128>()),
                namespace: config::NAMESPACE.to_owned(),
                stream_namespace: config::STREAM_NAMESPACE.to_owned(),
                ..Target::default()
            },
            gateways: Vec::new(),
            servers: Vec::new(),
            dir: tempfile::Builder::new().prefix("campanile-bench-").tempdir()?,
        };
        let started = stack.start_all(options).await;
        started.map_err(|failure| stack.explain(failure))?;
        Ok(stack)
    }

    /// How it is reached.
    #[must_use]
    pub const fn target(&self) -> &Target {
        &self.target
    }

    /// A failure of a run, with the ends of the logs of those that are no more, or of all gateways.
    #[must_use]
    pub fn explain(&mut self, failure: Failure) -> Failure {
        let Failure::Run(line) = failure else {
            return failure;
        };
        let servers = self.servers.iter_mut().map(|it| &mut it.child);
        let children: Vec<_> = servers
            .chain(self.gateways.iter_mut().map(|it| &mut it.child))
            .collect();
        let mut text = line;
        for child in children {
            let ended = child.has_ended();
            if ended || child.name().starts_with("gateway") {
                text.push_str(&child.tail(ended));
            }
        }
        Failure::Run(text)
    }

    async fn start_all(&mut self, options: &StackOptions) -> Result<(), Failure> {
        let mut store = None;
        if options.shards > 0 {
            store = Some(self.start_redis("store".to_owned()).await?.url);
            for number in 1..=options.shards + options.spares {
                let shard = self.start_redis(format!("redis-{number}")).await?;
                if number <= options.shards {
                    self.target.shards.push(shard);
                } else {
                    self.target.spares.push(shard);
                }
            }
        }
        let config = config::text(&self.target, store.as_deref(), options.presence);
        for number in 1..=options.gateways.max(1) {
            let name = format!("gateway-{number}");
            let gateway = Gateway::start(&name, &config, options, self.dir.path()).await?;
            self.target.urls.push(gateway.client_url(options.quic)?);
            self.target.apis.push(format!("{}/api", gateway.base));
            self.target.metrics.push(format!("{}/metrics", gateway.base));
            if options.quic {
                self.target.certificate.clone_from(&gateway.certificate);
            }
            self.watch(&gateway.child);
            self.gateways.push(gateway);
        }
        for gateway in &mut self.gateways {
            gateway.wait_until_ready().await?;
        }
        Ok(())
    }

    async fn start_redis(&mut self, name: String) -> Result<Shard, Failure> {
        let server = Redis::start(&name, self.dir.path()).await?;
        let shard = Shard {
            name,
            url: server.url(),
        };
        self.watch(&server.child);
        self.servers.push(server);
        Ok(shard)
    }

    fn watch(&mut self, child: &Child) {
        self.target.processes.push(Watched {
            name: child.name().to_owned(),
            pid: child.id(),
        });
    }
}
