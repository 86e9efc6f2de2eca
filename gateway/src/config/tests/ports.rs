//! What is served where: TLS, QUIC, the administration page.

use super::*;

#[test]
fn tls_is_for_both_ports_unless_said_otherwise() {
    let tls = |more: &str| {
        let pem = "cert_pem: c.pem, key_pem: k.pem";
        let text = format!("http_server: {{tls: {{enabled: true, {pem}}}{more}}}");
        Written::file("c.yaml", &text).load().0.tls
    };
    let both = tls("");
    assert!(both.public && both.internal == InternalTls::Shared);
    let Some(CertificateSource::Given { certificate, .. }) = both.certificate else {
        panic!("a certificate is given");
    };
    assert_eq!(certificate, PemSource::File("c.pem".into()));
    assert_eq!(tls(", tls_external: true").internal, InternalTls::Off);
    let own = tls(", tls_external: true, internal_tls: {enabled: true, cert_pem: i.pem, key_pem: j.pem}");
    assert!(
        matches!(
            own.internal,
            InternalTls::Own(CertificateSource::Given {
                section: "http_server.internal_tls",
                ..
            })
        ),
        "{:?}",
        own.internal
    );
}

#[test]
fn a_certificate_is_there_for_quic_although_tcp_is_plain() {
    let given = "http_server: {tls: {cert_pem: c.pem, key_pem: k.pem}}\n";
    for (text, is_given) in [
        ("quic: {enabled: true}", true),
        ("quic: {enabled: true, generated_certificate: true}", true),
        ("", false),
    ] {
        let tls = Written::file("c.yaml", &format!("{given}{text}")).load().0.tls;
        assert!(!tls.public && tls.internal == InternalTls::Off, "{text}");
        assert_ne!(tls.certificate, Some(CertificateSource::Generated), "{text}");
        assert_eq!(tls.certificate.is_some(), is_given, "{text}");
    }
    let generated = "http_server: {tls: {enabled: true}}\nquic: {generated_certificate: true}";
    let generated = Written::file("c.yaml", generated).load().0.tls;
    assert_eq!(generated.certificate, Some(CertificateSource::Generated));
    assert!(generated.public);
    let without = Config::load(&without_file()).unwrap().0.tls;
    assert_eq!(without.certificate, Some(CertificateSource::Generated));
    assert!(!without.public);
}

#[test]
fn quic_needs_a_certificate_and_listens_beside_tcp() {
    let off = Written::file("c.yaml", "{}").load().0;
    assert!(off.quic.is_none(), "with a file it is off unless it is asked for");
    let text =
        "http_server: {address: 127.0.0.1, port: 9001}\nquic: {enabled: true, generated_certificate: true}";
    let quic = Written::file("c.yaml", text).load().0.quic.unwrap();
    assert_eq!(quic.address.to_string(), "127.0.0.1:9001");
    let text = "quic: {enabled: true, generated_certificate: true, address: '::1', port: 9002}";
    let quic = Written::file("c.yaml", text).load().0.quic.unwrap();
    assert_eq!(quic.address.to_string(), "[::1]:9002");
    let errors = Written::file("c.yaml", "quic: {enabled: true}").errors();
    assert!(errors[0].contains("QUIC needs a certificate"), "{errors:?}");
    let text = "quic: {enabled: true, generated_certificate: true, message_size_limit: 0, max_handshakes: 0}";
    assert_eq!(Written::file("c.yaml", text).errors().len(), 2);
    let webtransport = Written::file("c.yaml", "webtransport: {enabled: true}").errors();
    assert!(webtransport[0].contains("set quic.enabled"), "{webtransport:?}");
}

#[test]
fn the_administration_page_needs_a_password_and_a_place_of_its_own() {
    let admin = |text: &str| Written::file("c.yaml", text).load().0.admin;
    for off in [
        "{}",
        "admin: {enabled: true, secret: a-long-enough-secret}",
        "admin: {enabled: false, password: a-long-enough-password}",
    ] {
        assert!(admin(off).is_none(), "{off}");
    }
    let on = admin("admin: {password: a-long-enough-password}").unwrap();
    assert_eq!(
        (on.prefix.as_str(), on.session_ttl),
        ("/admin", Duration::from_secs(12 * 3600))
    );
    assert!(on.secret.is_none());
    let moved = admin("admin: {password: a-long-enough-password, handler_prefix: /ops/}").unwrap();
    assert_eq!(moved.prefix, "/ops");
    for taken in ["/api", "/ready", "/demo", "/connection", "ops"] {
        let text = format!("admin: {{password: a-long-enough-password, handler_prefix: {taken}}}");
        let errors = Written::file("c.yaml", &text).errors();
        assert!(errors[0].starts_with("admin.handler_prefix: "), "{errors:?}");
    }
    let text = "admin: {password: a-long-enough-password, secret: short}";
    let warnings = texts(&Written::file("c.yaml", text).load().1, Severity::Security);
    assert!(warnings[0].starts_with("admin.secret: "), "{warnings:?}");
    let errors = Written::file("c.yaml", "admin: {password: 'nine char'}").errors();
    assert!(errors[0].starts_with("admin.password: "), "{errors:?}");
    let text = "admin: {password: a-long-enough-password, session_ttl: 0s}";
    assert_eq!(Written::file("c.yaml", text).errors().len(), 1);
}
