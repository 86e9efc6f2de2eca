//! TLS on the TCP port, with an authority of the test's own.

use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use campanile_tests::gateway::{API_KEY, Gateway, GatewayConfig};
use campanile_tests::metrics::Metrics;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually};
use futures_util::{SinkExt as _, StreamExt as _};
use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{ClientConfig, RootCertStore, SupportedProtocolVersion};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

/// Signs certificates, written into a folder under fixed names.
struct Authority {
    issuer: Issuer<'static, KeyPair>,
    certificate: CertificateDer<'static>,
    dir: TempDir,
}

impl Authority {
    fn new() -> Result<Self> {
        let mut params = CertificateParams::new([])?;
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, "the tests");
        let key = KeyPair::generate()?;
        let certificate = params.self_signed(&key)?.der().clone();
        Ok(Self {
            issuer: Issuer::new(params, key),
            certificate,
            dir: tempfile::tempdir()?,
        })
    }

    fn file(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    /// Writes another certificate and key of the gateway: the certificate.
    fn write(&self) -> Result<CertificateDer<'static>> {
        let key = KeyPair::generate()?;
        let params = CertificateParams::new(["127.0.0.1".to_owned()])?;
        let certificate = params.signed_by(&key, &self.issuer)?;
        fs::write(self.file("tls.key"), key.serialize_pem())?;
        fs::write(self.file("tls.crt"), certificate.pem())?;
        Ok(certificate.der().clone())
    }

    /// A gateway with the certificate in the folder, and a namespace in which subscribers get what the API publishes.
    fn config(&self) -> GatewayConfig {
        GatewayConfig::default()
            .set("http_server.tls.enabled", true)
            .set("http_server.tls.cert_pem", self.file("tls.crt"))
            .set("http_server.tls.key_pem", self.file("tls.key"))
            // Nobody is to be sent away for what the machine is busy with.
            .set("client.queue_max_size", 16 << 20)
            .set("client.ping_interval", "10m")
            .set("websocket.write_timeout", "10m")
            .namespace("news", &json!({ "allow_subscribe_for_client": true }))
    }

    /// A client that trusts this authority alone.
    fn client(&self, versions: &[&'static SupportedProtocolVersion]) -> Result<TlsConnector> {
        let mut roots = RootCertStore::empty();
        roots.add(self.certificate.clone())?;
        let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
            .with_protocol_versions(versions)?
            .with_root_certificates(roots)
            .with_no_client_auth();
        // Each handshake is to show the certificate anew.
        config.resumption = rustls::client::Resumption::disabled();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn connect(&self, gateway: &Gateway) -> Result<TlsStream<TcpStream>> {
        connect(&self.client(rustls::ALL_VERSIONS)?, gateway).await
    }

    /// The certificate that a new connection is shown.
    async fn shown(&self, gateway: &Gateway) -> Result<CertificateDer<'static>> {
        let stream = self.connect(gateway).await?;
        let chain = stream.get_ref().1.peer_certificates();
        let leaf = chain.and_then(|chain| chain.first()).context("a certificate")?;
        Ok(leaf.clone().into_owned())
    }

    /// The answer to a request, which the gateway ends properly.
    async fn ask(&self, gateway: &Gateway, head: &str, body: &str) -> Result<String> {
        let mut stream = self.connect(gateway).await?;
        let length = body.len();
        let request = format!(
            "{head} HTTP/1.1\r\nHost: h\r\nX-API-Key: {API_KEY}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        // An error, if the stream ends without TLS's own goodbye.
        timeout(SOON, stream.read_to_string(&mut answer)).await??;
        Ok(answer)
    }

    async fn publish(&self, gateway: &Gateway, data: &Value) -> Result<()> {
        let body = json!({ "channel": "news:a", "data": data }).to_string();
        let answer = self.ask(gateway, "POST /api/publish", &body).await?;
        ensure!(
            answer.starts_with("HTTP/1.1 200") && answer.contains("result"),
            "{answer}"
        );
        Ok(())
    }

    async fn metrics(&self, gateway: &Gateway) -> Result<Metrics> {
        Ok(Metrics::parse(&self.ask(gateway, "GET /metrics", "").await?))
    }

    async fn start(&self) -> Result<Gateway> {
        let gateway = Gateway::launch(&self.config()).await?;
        eventually("the gateway is ready", 2 * SOON, || async {
            let answer = self.ask(&gateway, "GET /ready", "").await;
            answer.is_ok_and(|answer| {
                answer.starts_with("HTTP/1.1 200") && answer.contains(r#""complete":true"#)
            })
        })
        .await;
        Ok(gateway)
    }
}

async fn connect(client: &TlsConnector, gateway: &Gateway) -> Result<TlsStream<TcpStream>> {
    let stream = TcpStream::connect(gateway.address()).await?;
    let name = ServerName::try_from("127.0.0.1")?;
    Ok(timeout(SOON, client.connect(name, stream)).await??)
}

/// A subscriber of `news:a` over wss.
struct Subscriber(WebSocketStream<TlsStream<TcpStream>>);

impl Subscriber {
    async fn begin(stream: TlsStream<TcpStream>, gateway: &Gateway) -> Result<Self> {
        let url = gateway.websocket_url();
        assert!(url.starts_with("wss://"), "{url}");
        let (socket, _) = timeout(SOON, client_async(url, stream)).await??;
        let mut this = Self(socket);
        let connect = json!({ "id": 1, "connect": { "token": token::connection("ann") } });
        let subscribe = json!({ "id": 2, "subscribe": { "channel": "news:a" } });
        for command in [connect, subscribe] {
            this.0.send(Message::text(command.to_string())).await?;
            let reply = this.next().await?;
            ensure!(
                reply["id"] == command["id"] && reply.get("error").is_none(),
                "{reply}"
            );
        }
        Ok(this)
    }

    /// The next message that is no ping.
    async fn next(&mut self) -> Result<Value> {
        loop {
            let message = timeout(SOON, self.0.next())
                .await?
                .context("an open connection")??;
            let reply: Value = serde_json::from_str(message.to_text()?)?;
            if reply != json!({}) {
                return Ok(reply);
            }
            self.0.send(Message::text("{}")).await?;
        }
    }

    async fn publication(&mut self) -> Result<Value> {
        let push = self.next().await?;
        let data = push.pointer("/push/pub/data").cloned();
        data.with_context(|| format!("a publication, not {push}"))
    }
}

#[tokio::test]
async fn clients_and_applications_speak_tls_in_both_versions() -> Result<()> {
    let authority = Authority::new()?;
    authority.write()?;
    let mut gateway = authority.start().await?;
    let mut subscribers = Vec::new();
    for version in [&rustls::version::TLS12, &rustls::version::TLS13] {
        let stream = connect(&authority.client(&[version])?, &gateway).await?;
        subscribers.push(Subscriber::begin(stream, &gateway).await?);
    }
    // Several records each, and together more than sockets take while nobody reads.
    let long = "x".repeat(200_000);
    for number in 0..20 {
        authority
            .publish(&gateway, &json!({ "number": number, "text": long }))
            .await?;
    }
    for subscriber in &mut subscribers {
        for number in 0..20 {
            let data = subscriber.publication().await?;
            ensure!(data["number"] == number && data["text"] == long, "not {number}");
        }
    }
    let metrics = authority.metrics(&gateway).await?;
    let completed = [("outcome", "completed")];
    assert!(metrics.count("campanile_tls_handshakes_total", &completed) > 20);
    assert!(metrics.sum("campanile_tls_certificate_expiry_seconds", &[]) > 0.0);

    let ended = tokio::spawn(async move {
        let status = gateway.process_mut().terminate(2 * SOON).await;
        (status, gateway)
    });
    for subscriber in &mut subscribers {
        let goodbye = timeout(SOON, subscriber.0.next()).await?.context("a goodbye")??;
        let Message::Close(Some(frame)) = goodbye else {
            panic!("a close frame, not {goodbye}");
        };
        assert_eq!(u16::from(frame.code), 3001);
        // Answers it, and waits for the end of the stream, which is TLS's own.
        while timeout(SOON, subscriber.0.next()).await?.is_some() {}
        let rest = subscriber.0.get_mut().read(&mut [0; 64]).await;
        assert_eq!(rest.context("the stream ends with a close_notify")?, 0);
    }
    let (status, _gateway) = ended.await?;
    assert!(status?.success());
    Ok(())
}

#[tokio::test]
async fn another_certificate_is_shown_to_those_who_come_and_nobody_is_sent_away() -> Result<()> {
    let authority = Authority::new()?;
    let first = authority.write()?;
    let gateway = authority.start().await?;
    assert_eq!(authority.shown(&gateway).await?, first);
    let stream = authority.connect(&gateway).await?;
    let mut early = Subscriber::begin(stream, &gateway).await?;

    let second = authority.write()?;
    eventually("the other certificate is shown", SOON, || async {
        authority.shown(&gateway).await.is_ok_and(|shown| shown == second)
    })
    .await;
    let stream = authority.connect(&gateway).await?;
    let mut late = Subscriber::begin(stream, &gateway).await?;
    authority.publish(&gateway, &json!(1)).await?;
    assert_eq!(early.publication().await?, json!(1));
    assert_eq!(late.publication().await?, json!(1));

    // What cannot be used changes nothing, and says so; also when it is told to look.
    fs::write(Path::new(&authority.file("tls.crt")), "nonsense")?;
    gateway.process().hang_up();
    eventually("the bad certificate is refused", SOON, || async {
        let refused = [("port", "public"), ("outcome", "refused")];
        let metrics = authority.metrics(&gateway).await;
        metrics.is_ok_and(|metrics| metrics.count("campanile_tls_reloads_total", &refused) > 0)
    })
    .await;
    assert_eq!(authority.shown(&gateway).await?, second);
    eventually("the log says why", SOON, || async {
        let why = "http_server.tls.cert_pem: there is no certificate in";
        gateway.process().log().contains(why)
    })
    .await;

    let third = authority.write()?;
    gateway.process().hang_up();
    eventually("a good one is taken over again", SOON, || async {
        authority.shown(&gateway).await.is_ok_and(|shown| shown == third)
    })
    .await;
    authority.publish(&gateway, &json!(2)).await?;
    assert_eq!(early.publication().await?, json!(2));
    assert_eq!(late.publication().await?, json!(2));
    Ok(())
}

#[tokio::test]
async fn who_is_silent_or_speaks_plain_http_is_told_or_given_up() -> Result<()> {
    let authority = Authority::new()?;
    authority.write()?;
    let gateway = authority.start().await?;
    let mut silent = TcpStream::connect(gateway.address()).await?;

    let mut plain = TcpStream::connect(gateway.address()).await?;
    plain
        .write_all(b"GET /health HTTP/1.1\r\nHost: h\r\n\r\n")
        .await?;
    let mut answer = String::new();
    timeout(SOON, plain.read_to_string(&mut answer)).await??;
    assert!(
        answer.starts_with("HTTP/1.1 400") && answer.contains("https://"),
        "{answer}"
    );
    let mut nonsense = TcpStream::connect(gateway.address()).await?;
    nonsense.write_all(&[0x16; 64]).await?;
    let mut alert = Vec::new();
    // It may be cut off, as it is no client's.
    let _ = timeout(SOON, nonsense.read_to_end(&mut alert)).await?;

    let mut end = [0; 1];
    let read = timeout(Duration::from_secs(60), silent.read(&mut end)).await?;
    assert_eq!(read?, 0, "a silent peer is given up after a while");
    for outcome in ["timeout", "plain_http", "failed"] {
        eventually(format!("{outcome} is counted"), SOON, || async {
            let metrics = authority.metrics(&gateway).await;
            let label = [("outcome", outcome)];
            metrics.is_ok_and(|metrics| metrics.count("campanile_tls_handshakes_total", &label) >= 1)
        })
        .await;
    }
    Ok(())
}

#[tokio::test]
async fn a_gateway_without_a_configuration_tells_which_certificate_it_has_made() -> Result<()> {
    let mut gateway = Gateway::launch_bare().await?;
    gateway.wait_until_ready().await;
    let (status, body) = gateway.get("/demo/certificate").await?;
    assert_eq!(status, 200);
    let told: Value = serde_json::from_str(&body)?;
    for (words, key) in [
        ("certificate SHA-256: ", "sha256"),
        ("certificate SHA-256 in base64: ", "base64"),
    ] {
        let hash = told[key].as_str().context("a hash")?;
        // It is printed after the address, which is what was waited for.
        eventually(format!("{words}{hash} is printed"), SOON, || async {
            let output = gateway.process().output();
            output.lines().any(|line| line.strip_prefix(words) == Some(hash))
        })
        .await;
    }
    Ok(())
}
