use std::net::SocketAddr;

use campanile_client::CertificateHash;
use rcgen::generate_simple_self_signed;
use rustls::ServerConfig;
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;

use super::*;
use crate::tls::provider;

const ANSWER: &str = "HTTP/1.1 200 OK\r\ncontent-length: 21\r\n\r\n{\"result\":{\"n\":1234}}";

/// A server on TLS that has an answer to any first request; where it is, its certificate, and that in PEM.
async fn server() -> (SocketAddr, Vec<u8>, String) {
    let made = generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
    let (der, pem) = (made.cert.der().to_vec(), made.cert.pem());
    let key = made.signing_key.serialize_der().try_into().unwrap();
    let config = ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let Ok(mut stream) = acceptor.accept(stream).await else {
                continue;
            };
            let mut request = [0; 4096];
            let length = stream.read(&mut request).await.unwrap();
            assert!(request[..length].starts_with(b"POST /api/info HTTP/1.1\r\n"));
            stream.write_all(ANSWER.as_bytes()).await.unwrap();
            stream.flush().await.unwrap();
        }
    });
    (address, der, pem)
}

async fn ask(url: &str, trust: &TlsOptions) -> Result<String, CallError> {
    let caller = Caller::new(url, Some("key".to_owned()), trust)?;
    let answer = caller.call("info", &json!({})).await?;
    Ok(answer.get().to_owned())
}

#[tokio::test]
async fn a_gateway_on_tls_is_asked_if_it_is_believed() {
    let (address, certificate, pem) = server().await;
    let url = format!("https://{address}");
    let believed = [
        TlsOptions::default().certificate(CertificateHash::of(&certificate)),
        TlsOptions::default().authority(pem.as_bytes()).unwrap(),
    ];
    for trust in believed {
        assert_eq!(ask(&url, &trust).await.unwrap(), r#"{"n":1234}"#);
    }
    let other = TlsOptions::default().certificate(CertificateHash::of(b"another"));
    for trust in [TlsOptions::default(), other] {
        let error = ask(&url, &trust).await.unwrap_err();
        assert!(matches!(error, CallError::Untrusted { .. }), "{error}");
        assert!(!error.is_passing() && error.exit() == Exit::Failure, "{error}");
    }
}

#[tokio::test]
async fn what_is_typed_wrong_and_what_is_refused_have_their_codes() {
    let trust = TlsOptions::default();
    for url in ["gateway", "ws://127.0.0.1:8000", "http://", "https://a b"] {
        let error = ask(url, &trust).await.unwrap_err();
        assert!(matches!(error, CallError::Url(_)), "{error}");
        assert_eq!(error.exit(), Exit::Usage, "{url}");
    }
    assert_eq!(CallError::Unauthorized.exit(), Exit::Refused);
    let nobody = ask("http://127.0.0.1:1", &trust).await.unwrap_err();
    assert_eq!(nobody.exit(), Exit::Failure, "{nobody}");
}
