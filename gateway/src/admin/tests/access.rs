//! Who gets in, and who does not.

use super::session::{BROWSER_TTL, Browser};
use super::*;

/// Every call that needs a session.
const CALLS: [(Method, &str); 7] = [
    (Method::GET, "/api/state"),
    (Method::GET, "/api/channels"),
    (Method::GET, "/api/channel?channel=a"),
    (Method::POST, "/api/publish"),
    (Method::POST, "/api/disconnect"),
    (Method::POST, "/api/shards/plan"),
    (Method::POST, "/api/shards/change"),
];

#[tokio::test]
async fn only_the_password_opens() {
    let world = World::new().await;
    for wrong in ["", "correct", "correct horse battery staple "] {
        let reply = world.login(wrong).await;
        assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{wrong}");
        assert!(reply.headers.get(header::SET_COOKIE).is_none(), "{wrong}");
    }
    let reply = world.login(PASSWORD).await;
    assert_eq!(reply.status, StatusCode::OK);
    let cookies = cookies_of(&reply);
    assert_eq!(cookies.len(), 2);
    let browser_ttl = BROWSER_TTL.as_secs();
    assert!(browser_ttl > 3600, "longer than a session");
    let attributes = [
        "; Path=/admin; Max-Age=3600; HttpOnly; SameSite=Strict".to_owned(),
        format!("; Path=/admin/api/login; Max-Age={browser_ttl}; HttpOnly; SameSite=Strict"),
    ];
    for (cookie, attributes) in cookies.iter().zip(attributes) {
        // With `Secure` the browser would not send it back.
        assert!(cookie.ends_with(&attributes), "{cookie}");
    }
}

#[tokio::test]
async fn the_cookies_are_for_tls_alone_where_there_is_tls() {
    let world = World::new().await;
    let behind_proxy = with(&page(), "x-forwarded-proto", Some("https, http"));
    let proxied = world.login_with(&behind_proxy, PASSWORD).await;
    let world = World {
        visitor: visitor(&world.admin, true),
        ..world
    };
    for reply in [proxied, world.login(PASSWORD).await] {
        let cookies = cookies_of(&reply);
        assert_eq!(cookies.len(), 2);
        assert!(
            cookies.iter().all(|cookie| cookie.ends_with("; Secure")),
            "{cookies:?}"
        );
    }
}

/// The cookie of a session that is over.
fn expired(world: &World) -> String {
    let expired = world.admin.sessions.begin(Timestamp::from_secs(1));
    format!("{}={}", cookie::SESSION, world.admin.sessions.token(&expired))
}

#[tokio::test]
async fn without_a_session_nothing_is_told_or_done() {
    let world = World::new().await;
    let session = world.session().await;
    let expired = expired(&world);
    let now = world.admin.parts.clock.now();
    let browser = world.admin.sessions.browser_token(Browser::new(), now);
    let browser = format!("{0}={browser}; {1}={browser}", cookie::SESSION, cookie::BROWSER);
    let cookies = [
        None,
        Some("campanile_admin="),
        Some("campanile_admin=1.x.9"),
        Some(expired.as_str()),
        Some(browser.as_str()),
    ];
    for (method, path) in CALLS {
        for cookie in cookies {
            let headers = with(&session, "cookie", cookie);
            let reply = world
                .call(&headers, &method, path, &json!({ "user": "ann" }))
                .await;
            assert_eq!(reply.status, StatusCode::UNAUTHORIZED, "{path} {cookie:?}");
        }
    }
    assert!(world.channels.0.lock().is_empty() && world.shards.asked.lock().is_empty());
    let reply = world.get(&[], "/api/session").await;
    assert_eq!(
        (reply.status, reply.json()),
        (StatusCode::OK, Value::Null),
        "nor how to call"
    );
}

#[tokio::test]
async fn what_another_site_asks_for_is_not_done() {
    let world = World::new().await;
    let session = world.session().await;
    let foreign = [
        ("origin", Some("https://evil.example")),
        ("origin", Some("https://gateway.example:8001")),
        ("origin", Some("null")),
        ("origin", None),
        ("sec-fetch-site", Some("cross-site")),
        ("sec-fetch-site", Some("same-site")),
        ("sec-fetch-site", Some("none")),
        (guard::CSRF_HEADER, None),
        (guard::CSRF_HEADER, Some("")),
        (guard::CSRF_HEADER, Some("AAAA")),
    ];
    for (method, path) in CALLS.into_iter().filter(|(method, _)| method == Method::POST) {
        for (name, value) in foreign {
            let headers = with(&session, name, value);
            let reply = world
                .call(&headers, &method, path, &json!({ "user": "ann" }))
                .await;
            assert_eq!(reply.status, StatusCode::FORBIDDEN, "{path} {name}: {value:?}");
        }
        let form = with(
            &session,
            "content-type",
            Some("application/x-www-form-urlencoded"),
        );
        let reply = world.call(&form, &method, path, &json!({})).await;
        assert_eq!(reply.status, StatusCode::UNSUPPORTED_MEDIA_TYPE, "{path}");
    }
    let foreign = with(&session, "origin", Some("https://evil.example"));
    let reply = world.login_with(&foreign, PASSWORD).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "nor may it log in");
    let reply = world.post(&foreign, "/api/logout", &json!({})).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN, "nor log anybody out");
    assert!(cookies_of(&reply).is_empty());
    assert!(world.channels.0.lock().is_empty() && world.shards.asked.lock().is_empty());
}

#[tokio::test]
async fn a_proxy_may_give_the_request_another_host() {
    let world = World::new().await;
    let session = world.session().await;
    let rewritten = with(&session, "host", Some("10.0.0.1"));
    let publication = json!({ "channel": "a", "data": 1 });
    let reply = world.post(&rewritten, "/api/publish", &publication).await;
    assert_eq!(reply.status, StatusCode::FORBIDDEN);
    let vouched = with(&rewritten, "sec-fetch-site", Some("same-origin"));
    let reply = world.post(&vouched, "/api/publish", &publication).await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_guesses_has_to_wait_and_who_is_in_does_not() {
    let world = World::new().await;
    let session = world.session().await;
    let refused = loop {
        let reply = world.login("guess").await;
        if reply.status != StatusCode::UNAUTHORIZED {
            break reply;
        }
    };
    assert_eq!(refused.status, StatusCode::TOO_MANY_REQUESTS);
    let seconds: u64 = refused.headers[header::RETRY_AFTER]
        .to_str()
        .unwrap()
        .parse()
        .unwrap();
    assert!((1..=10).contains(&seconds));
    assert_eq!(
        world.login(PASSWORD).await.status,
        StatusCode::TOO_MANY_REQUESTS,
        "also the right one: else waiting would be of no use"
    );
    let reply = world.get(&session, "/api/state").await;
    assert_eq!(reply.status, StatusCode::OK);
}

#[tokio::test(start_paused = true)]
async fn who_has_been_in_is_not_kept_out_by_those_who_guess() {
    let world = World::new().await;
    let known = world.login(PASSWORD).await;
    let browser = pair(&cookies_of(&known)[1]).to_owned();
    assert!(browser.starts_with("campanile_admin_browser=1."), "{browser}");
    let known = with(&page(), "cookie", Some(&browser));
    while world.login("guess").await.status != StatusCode::TOO_MANY_REQUESTS {}
    let back = world.login_with(&known, PASSWORD).await;
    assert_eq!(back.status, StatusCode::OK);
    let renewed = cookies_of(&back);
    let id = |cookie: &str| cookie.split('.').nth(1).map(str::to_owned);
    assert_eq!(id(&renewed[1]), id(&browser), "it is the same browser");
    assert_ne!(id(&renewed[0]), id(&browser), "which is no session");

    while world.login_with(&known, "guess").await.status != StatusCode::TOO_MANY_REQUESTS {}
    let forged = browser.replace("=1.", "=1.A");
    for forged in [forged, browser.replace("_browser", "")] {
        let headers = with(&page(), "cookie", Some(&forged));
        let reply = world.login_with(&headers, PASSWORD).await;
        assert_eq!(reply.status, StatusCode::TOO_MANY_REQUESTS, "{forged}");
    }
}

#[tokio::test]
async fn bodies_are_bounded() {
    let world = World::new().await;
    let long = world.login(&"a".repeat(5000)).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
    let session = world.session().await;
    let publication = json!({ "channel": "a", "data": "a".repeat(300_000) });
    let long = world.post(&session, "/api/publish", &publication).await;
    assert_eq!(long.status, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn a_session_holds_on_every_gateway_with_its_secret_and_password() {
    let now = Timestamp::from_secs(1_000_000);
    let one = Sessions::new(&options());
    let token = one.token(&one.begin(now));
    let session = one.recognise(&token, now).unwrap();
    let other = Sessions::new(&options());
    assert_eq!(other.recognise(&token, now), Some(session.clone()));
    assert!(other.is_csrf(&session, one.csrf(&session).as_bytes()));
    let end = now + Duration::from_secs(3600);
    assert_eq!(
        one.recognise(&token, end - Duration::from_millis(1)),
        Some(session)
    );
    assert_eq!(one.recognise(&token, end), None, "it is over");

    let secret = |secret: Option<&[u8]>| AdminOptions {
        secret: secret.and_then(SecretKey::new),
        ..options()
    };
    let password = AdminOptions {
        password: SecretKey::new(b"another password").unwrap(),
        ..options()
    };
    for others in [secret(Some(b"another secret")), secret(None), password] {
        assert_eq!(Sessions::new(&others).recognise(&token, now), None);
    }
    let made_up = Sessions::new(&secret(None));
    let token = made_up.token(&made_up.begin(now));
    assert_eq!(Sessions::new(&secret(None)).recognise(&token, now), None);
}

#[test]
fn a_session_cannot_be_made_out_of_anything_else() {
    let now = Timestamp::from_secs(1_000_000);
    let sessions = Sessions::new(&options());
    let session = sessions.begin(now);
    let token = sessions.token(&session);
    for place in 0..token.len() {
        let mut bytes = token.clone().into_bytes();
        bytes[place] = if bytes[place] == b'1' { b'2' } else { b'1' };
        let changed = String::from_utf8(bytes).unwrap();
        assert_eq!(sessions.recognise(&changed, now), None, "{changed}");
    }
    let (content, _) = token.rsplit_once('.').unwrap();
    let csrf = sessions.csrf(&session);
    let browser = sessions.browser_token(Browser::new(), now);
    assert!(sessions.recognise_browser(&browser, now).is_some());
    assert_eq!(sessions.recognise_browser(&token, now), None);
    assert_eq!(sessions.recognise_browser(&browser, now + BROWSER_TTL), None);
    for forged in [
        browser,
        String::new(),
        ".".to_owned(),
        "....".to_owned(),
        content.to_owned(),
        format!("{content}."),
        format!("{content}.{csrf}"),
        token.repeat(10),
    ] {
        assert_eq!(sessions.recognise(&forged, now), None, "{forged}");
    }
    assert!(
        !sessions.is_csrf(&sessions.begin(now), csrf.as_bytes()),
        "another session's"
    );
}

#[tokio::test]
async fn the_end_takes_the_cookie_away_also_after_the_end() {
    let world = World::new().await;
    let session = world.session().await;
    let over = with(&page(), "cookie", Some(&expired(&world)));
    for headers in [session, over, page()] {
        let reply = world.post(&headers, "/api/logout", &json!({})).await;
        assert_eq!(reply.status, StatusCode::OK);
        let [cookie] = &*cookies_of(&reply) else {
            panic!("{headers:?}");
        };
        assert!(
            cookie.starts_with("campanile_admin=; Path=/admin; Max-Age=0; "),
            "{cookie}"
        );
    }
}

#[tokio::test]
async fn the_page_and_all_answers_are_protected() {
    let world = World::new().await;
    let session = world.session().await;
    for path in [
        "",
        "/",
        "/app.js",
        "/style.css",
        "/bell.svg",
        "/api/session",
        "/api/state",
    ] {
        let reply = world.get(&session, path).await;
        assert_eq!(reply.status, StatusCode::OK, "{path}");
        let value = |name: header::HeaderName| reply.headers[name].to_str().unwrap().to_owned();
        assert_eq!(value(header::CACHE_CONTROL), "no-store", "{path}");
        let policy = value(header::CONTENT_SECURITY_POLICY);
        assert!(
            policy.contains("frame-ancestors 'none'") && !policy.contains("unsafe"),
            "{path}"
        );
    }
    let refused = world.get(&[], "/api/state").await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert_eq!(refused.headers[header::CACHE_CONTROL], "no-store");
}
