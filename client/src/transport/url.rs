//! From addresses to dialers.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Dial, QuicDialer, Race, WebSocketDialer};
use crate::{OpenError, TlsOptions};

/// How connections are opened, whatever they run over.
#[derive(Clone, Debug, Default)]
pub struct DialOptions {
    /// Whom to believe.
    pub tls: TlsOptions,
    /// More headers for the request of a WebSocket: names and values.
    pub headers: Vec<(String, String)>,
    /// The address of this machine from which a WebSocket's connection comes; `None`: whichever the system likes. One address
    /// has only as many connections to a server as there are ports. (Connections over QUIC share a port.)
    pub local_address: Option<IpAddr>,
}

/// The dialer for `urls`: `ws://host[:port]/path`, `wss://host[:port]/path` or `quic://host:port`, the one that is liked
/// best first. If there are several, they [`Race`].
pub fn dialer(urls: &[impl AsRef<str>], options: &DialOptions) -> Result<Arc<dyn Dial>, OpenError> {
    if let [url] = urls {
        return single(url.as_ref(), options);
    }
    let dialers = urls
        .iter()
        .map(|url| single(url.as_ref(), options))
        .collect::<Result<Vec<_>, _>>()?;
    if dialers.is_empty() {
        return Err(OpenError::Address("no address at all".into()));
    }
    Ok(Arc::new(Race::new(dialers)))
}

fn single(url: &str, options: &DialOptions) -> Result<Arc<dyn Dial>, OpenError> {
    if url.starts_with("quic://") {
        return Ok(Arc::new(QuicDialer::new(url, &options.tls)?));
    }
    let mut dialer = WebSocketDialer::new(url)?.tls(&options.tls);
    if let Some(address) = options.local_address {
        dialer = dialer.local_address(address);
    }
    let with_headers = options
        .headers
        .iter()
        .try_fold(dialer, |dialer, (name, value)| dialer.header(name, value))?;
    Ok(Arc::new(with_headers))
}
