//! Making a client.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::future::Future;
use std::hash::BuildHasher;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use campanile_common::Codec;

use crate::driver::Driver;
use crate::protocol::{Delays, Machine, Settings};
use crate::shared::Shared;
use crate::token::{self, TokenSource};
use crate::transport::{Dial, DialOptions, Race, dialer};
use crate::{BuildError, Client, OpenError, TlsOptions, TokenError};

/// Bytes of events that may wait for one reader, if nothing else is said: some ten thousand small publications.
const EVENT_BUFFER: usize = 4 << 20;

/// Makes a [`Client`].
#[must_use = "nothing happens before `build`"]
pub struct ClientBuilder {
    /// The one that is liked best first; at least one.
    endpoints: Vec<Endpoint>,
    dial: DialOptions,
    codec: Codec,
    settings: Settings,
    token_source: Option<TokenSource>,
    event_buffer: usize,
}

/// Where to connect to.
enum Endpoint {
    Url(String),
    Dialer(Arc<dyn Dial>),
}

impl ClientBuilder {
    pub(crate) fn new(url: String) -> Self {
        Self::at(Endpoint::Url(url))
    }

    pub(crate) fn with_dialer(dialer: impl Dial) -> Self {
        Self::at(Endpoint::Dialer(Arc::new(dialer)))
    }

    fn at(endpoint: Endpoint) -> Self {
        Self {
            endpoints: vec![endpoint],
            dial: DialOptions::default(),
            codec: Codec::Protobuf,
            settings: Settings::default(),
            token_source: None,
            event_buffer: EVENT_BUFFER,
        }
    }

    /// Another way to the same server, or to another of the same deployment: `wss://…` for where UDP is blocked, beside a
    /// `quic://…` that is preferred. Whichever opens first is taken, and tried first for some time: see [`Race`].
    pub fn fallback(mut self, url: impl Into<String>) -> Self {
        self.endpoints.push(Endpoint::Url(url.into()));
        self
    }

    /// Whom to believe to be the server. Default: whoever has a certificate for its name from an authority that Mozilla's
    /// browsers trust. Of no effect on a dialer that is given.
    pub fn tls(mut self, options: TlsOptions) -> Self {
        self.dial.tls = options;
        self
    }

    /// A header of the HTTP request with which a WebSocket is opened, for example `Origin`. Of no effect on a dialer that is
    /// given.
    pub fn http_header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.dial.headers.push((name.into(), value.into()));
        self
    }

    /// The codec of the connection. Default: Protobuf. With JSON, payloads must be JSON.
    pub fn codec(mut self, codec: Codec) -> Self {
        self.codec = codec;
        self
    }

    /// The first token of the connection.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.settings.token = token.into();
        self
    }

    /// Where tokens of the connection come from: asked when there is none, and when one expires.
    pub fn token_source<F, T>(mut self, fetch: F) -> Self
    where
        F: Fn() -> T + Send + Sync + 'static,
        T: Future<Output = Result<String, TokenError>> + Send + 'static,
    {
        self.settings.has_token_source = true;
        self.token_source = Some(token::source(fetch));
        self
    }

    /// Something for the application's server side, sent along with each connect.
    pub fn data(mut self, data: impl Into<Bytes>) -> Self {
        self.settings.data = data.into();
        self
    }

    /// The kind of this client, for the server's statistics: one of few. Default: `rust`.
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.settings.name = name.into();
        self
    }

    /// The version of the application, for the server's statistics. Default: that of this crate.
    pub fn version(mut self, version: impl Into<String>) -> Self {
        self.settings.version = version.into();
        self
    }

    /// A header sent along in the connect command, which the server treats as one of the HTTP request's.
    pub fn header(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.settings.headers.insert(name.into(), value.into());
        self
    }

    /// The shortest and the longest wait between attempts to connect. Default: 500 ms and 20 s.
    pub fn reconnect_delay(mut self, min: Duration, max: Duration) -> Self {
        self.settings.reconnect = Delays { min, max };
        self
    }

    /// How long a connection may take to open, and each request to be answered. Default: 5 s.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.settings.timeout = timeout;
        self
    }

    /// How much later than announced a ping of the server may come before the connection is given up. Default: 10 s.
    pub fn max_ping_delay(mut self, delay: Duration) -> Self {
        self.settings.max_ping_delay = delay;
        self
    }

    /// About how many bytes of events may wait for one reader of them before the oldest are dropped. Default: 4 MiB.
    pub fn event_buffer(mut self, bytes: usize) -> Self {
        self.event_buffer = bytes;
        self
    }

    /// The client, not yet [connecting](Client::connect). Its task runs on the tokio runtime from which this is called.
    pub fn build(self) -> Result<Client, BuildError> {
        let runtime = tokio::runtime::Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let dialer = one_of(self.endpoints, &self.dial)?;
        let timeout = self.settings.timeout;
        // The standard library keys each hasher of its own at random.
        let seed = RandomState::new().hash_one(0);
        let machine = Machine::new(self.settings, seed);
        let shared = Arc::new(Shared::new(machine, timeout, self.event_buffer));
        let driver = Driver::new(Arc::clone(&shared), dialer, self.codec, self.token_source);
        runtime.spawn(driver);
        Ok(Client::new(shared))
    }
}

/// The dialer for `endpoints`.
fn one_of(endpoints: Vec<Endpoint>, options: &DialOptions) -> Result<Arc<dyn Dial>, OpenError> {
    let dialer = |endpoint| match endpoint {
        Endpoint::Url(url) => dialer(&[url], options),
        Endpoint::Dialer(dialer) => Ok(dialer),
    };
    let mut dialers = endpoints.into_iter().map(dialer).collect::<Result<Vec<_>, _>>()?;
    if dialers.len() == 1 {
        Ok(dialers.remove(0))
    } else {
        Ok(Arc::new(Race::new(dialers)))
    }
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut builder = f.debug_struct("ClientBuilder");
        if let Some(Endpoint::Url(url)) = self.endpoints.first() {
            builder.field("url", url);
        }
        builder.field("codec", &self.codec).finish_non_exhaustive()
    }
}
