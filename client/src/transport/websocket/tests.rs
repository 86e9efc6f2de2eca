//! From an address to an open WebSocket, with sockets, over TLS and without.

use std::future::{Future, poll_fn};
use std::time::Duration;

use campanile_common::message::{Command, ConnectRequest, PingRequest};
use futures_util::StreamExt as _;
use rcgen::CertifiedKey;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::{Instant, timeout};
use tokio_rustls::TlsAcceptor;
use tokio_tungstenite::accept_hdr_async;

use super::testing::agree;
use super::*;
use crate::CertificateHash;

/// Far beyond what any of these tests takes.
const PATIENCE: Duration = Duration::from_secs(60);

async fn within<T>(test: impl Future<Output = T>) -> T {
    timeout(PATIENCE, test).await.expect("the test hangs")
}

fn context() -> DialContext {
    DialContext::new(Codec::Json, Instant::now() + PATIENCE)
}

/// A listener, and its address with this scheme.
async fn listen(scheme: &str) -> (TcpListener, String) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("{scheme}://{}", listener.local_addr().unwrap());
    (listener, url)
}

async fn accept(listener: &TcpListener) -> TcpStream {
    listener.accept().await.unwrap().0
}

fn acceptor(key: &CertifiedKey<rcgen::KeyPair>) -> TlsAcceptor {
    let secret = PrivatePkcs8KeyDer::from(key.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![key.cert.der().clone()], secret.into())
        .unwrap();
    TlsAcceptor::from(Arc::new(config))
}

#[tokio::test]
async fn only_the_server_that_was_meant_is_believed() {
    within(Box::pin(async {
        let key = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
        let (listener, url) = listen("wss").await;
        let pinned = TlsOptions::default().certificate(CertificateHash::of(key.cert.der()));
        let authority = TlsOptions::default()
            .authority(key.cert.pem().as_bytes())
            .unwrap();
        let another = TlsOptions::default().certificate([7; 32].into());
        for (options, believed) in [
            (pinned, true),
            (authority, true),
            (another, false),
            (TlsOptions::default(), false),
        ] {
            let dialer = WebSocketDialer::new(&url).unwrap().tls(&options);
            let serve = async {
                let stream = acceptor(&key).accept(accept(&listener).await).await.ok()?;
                Box::pin(accept_hdr_async(stream, agree)).await.ok()
            };
            let (opened, served) = tokio::join!(dialer.dial(context()), serve);
            assert_eq!(served.is_some(), believed, "{options:?}");
            match opened {
                Ok(transport) => assert_eq!(transport.kind(), TransportKind::WebSocket),
                Err(error) => assert!(matches!(error, OpenError::Handshake(_)) && !believed),
            }
        }
    }))
    .await;
}

#[tokio::test]
async fn the_first_command_goes_out_before_the_others() {
    within(async {
        let (listener, url) = listen("ws").await;
        let dialer = WebSocketDialer::new(&url).unwrap();
        let first = Codec::Json.encode_command(&Command::new(1, ConnectRequest::default()));
        let second = Codec::Json.encode_command(&Command::new(2, PingRequest {}));
        let serve = async { accept_hdr_async(accept(&listener).await, agree).await.unwrap() };
        let dialing = dialer.dial(context().with_first(first.clone()));
        let (transport, mut server) = tokio::join!(dialing, serve);
        let mut transport = transport.unwrap();
        transport.start_send(second.clone()).unwrap();
        poll_fn(|cx| transport.poll_flush(cx)).await.unwrap();
        for expected in [first, second] {
            let message = server.next().await.unwrap().unwrap();
            assert_eq!(message.into_data(), expected);
        }
    })
    .await;
}

#[tokio::test]
async fn a_server_that_is_no_websocket_is_told_from_one_that_refuses() {
    within(async {
        let (listener, url) = listen("ws").await;
        let dialer = WebSocketDialer::new(&url).unwrap();
        let answer = async |answer: &[u8]| {
            let mut stream = accept(&listener).await;
            let mut request = [0; 1024];
            let read = stream.read(&mut request).await.unwrap();
            assert!(read > 0);
            stream.write_all(answer).await.unwrap();
        };
        let refusal = b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n";
        let (opened, ()) = tokio::join!(dialer.dial(context()), answer(refusal));
        assert!(matches!(opened, Err(OpenError::Refused(403))));
        let (opened, ()) = tokio::join!(dialer.dial(context()), answer(b"\x16\x03\x01\r\n\r\n"));
        assert!(matches!(opened, Err(OpenError::Handshake(_))));
    })
    .await;
}

#[tokio::test]
async fn a_server_that_says_nothing_is_waited_for_until_the_deadline() {
    for scheme in ["ws", "wss"] {
        let (_listener, url) = listen(scheme).await;
        let dialer = WebSocketDialer::new(&url).unwrap();
        let context = DialContext::new(Codec::Json, Instant::now() + Duration::from_millis(100));
        assert!(matches!(dialer.dial(context).await, Err(OpenError::Timeout)));
    }
}

#[tokio::test]
async fn a_connection_comes_from_the_address_that_was_given() {
    within(Box::pin(async {
        let (listener, url) = listen("ws").await;
        let local = "127.0.0.2".parse().unwrap();
        let dialer = WebSocketDialer::new(&url).unwrap().local_address(local);
        let serve = async {
            let (stream, from) = listener.accept().await.unwrap();
            drop(stream);
            from
        };
        let (_, from) = tokio::join!(dialer.dial(context()), serve);
        assert_eq!(from.ip(), local);
        let other_family = WebSocketDialer::new(&url)
            .unwrap()
            .local_address("::1".parse().unwrap());
        let refused = other_family.dial(context()).await.err();
        assert!(matches!(refused, Some(OpenError::Connect { .. })), "{refused:?}");
    }))
    .await;
}
