//! Who gets in, and who does not.

use anyhow::Result;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::wait::{SOON, eventually};
use serde_json::json;

use super::caller::{Caller, cookies};
use super::{PASSWORD, SECRET, config};

#[tokio::test]
async fn without_a_password_there_is_no_page() -> Result<()> {
    let settings = [
        json!({}),
        json!({ "enabled": true, "secret": SECRET }),
        json!({ "enabled": false, "password": PASSWORD }),
    ];
    for admin in settings {
        let config = GatewayConfig::default().set("admin", admin.clone());
        let gateway = Gateway::start(&config).await?;
        for path in [
            "/admin",
            "/admin/",
            "/admin/app.js",
            "/admin/api/session",
            "/admin/api/state",
        ] {
            assert_eq!(gateway.get(path).await?.0, 404, "{admin} {path}");
        }
        let login = Caller::new(&gateway).login(PASSWORD).await?;
        assert_eq!(login.status(), 404, "{admin}");
    }
    Ok(())
}

#[tokio::test]
async fn strangers_are_refused() -> Result<()> {
    let gateway = Gateway::start(&config()).await?;
    let stranger = Caller::new(&gateway);
    for wrong in ["", "a wrong password"] {
        let login = stranger.login(wrong).await?;
        assert_eq!(login.status(), 401, "{wrong}");
        assert!(login.headers().get("set-cookie").is_none(), "{wrong}");
    }
    assert_eq!((stranger.looks().await?, stranger.publishes().await?), (401, 401));
    let (status, page) = gateway.get("/admin").await?;
    assert!(status == 200 && page.contains("<title>Campanile administration</title>"));

    let operator = Caller::logged_in(&gateway).await?;
    assert_eq!((operator.looks().await?, operator.publishes().await?), (200, 200));
    let elsewhere = Caller {
        origin: "https://evil.example".to_owned(),
        ..operator.clone()
    };
    let tricked = Caller {
        site: Some("cross-site"),
        ..operator.clone()
    };
    for other_site in [elsewhere, tricked] {
        assert_eq!(
            other_site.publishes().await?,
            403,
            "a browser there has the cookie"
        );
        assert_eq!(other_site.login(PASSWORD).await?.status(), 403);
        let logout = other_site.post("logout", &json!({})).await?;
        assert_eq!((logout.status().as_u16(), cookies(&logout)?.len()), (403, 0));
    }
    let without_token = Caller {
        csrf: None,
        ..operator
    };
    assert_eq!(
        (without_token.looks().await?, without_token.publishes().await?),
        (200, 403)
    );
    Ok(())
}

#[tokio::test]
async fn a_session_holds_on_other_gateways_and_ends() -> Result<()> {
    let (one, other) = (Gateway::start(&config()).await?, Gateway::start(&config()).await?);
    let operator = Caller::logged_in(&one).await?;
    let elsewhere = Caller {
        base: other.url().to_owned(),
        origin: other.url().to_owned(),
        ..Caller::logged_in(&one).await?
    };
    assert_eq!(
        (elsewhere.looks().await?, elsewhere.publishes().await?),
        (200, 200)
    );
    let stranger = Gateway::start(&config().set("admin.secret", "another secret of the tests")).await?;
    let stranger = Caller {
        base: stranger.url().to_owned(),
        ..operator
    };
    assert_eq!(stranger.looks().await?, 401);

    let brief = Gateway::start(&config().set("admin.session_ttl", "1s")).await?;
    let operator = Caller::logged_in(&brief).await?;
    eventually("the session is over", SOON, || async {
        operator.looks().await.is_ok_and(|status| status == 401)
    })
    .await;
    assert_eq!(operator.publishes().await?, 401);
    let logout = operator.post("logout", &json!({})).await?;
    assert_eq!(logout.status(), 200, "what is over can be forgotten");
    let gone = cookies(&logout)?;
    assert!(
        gone.len() == 1 && gone[0].starts_with("campanile_admin=; ") && gone[0].contains("Max-Age=0"),
        "{gone:?}"
    );
    Ok(())
}

#[tokio::test]
async fn those_who_guess_do_not_keep_out_who_has_been_in() -> Result<()> {
    let gateway = Gateway::start(&config()).await?;
    let (operator, later) = Caller::known(&gateway).await?;
    let stranger = Caller::new(&gateway);
    while stranger.login("a guess").await?.status() != 429 {}
    assert_eq!(operator.looks().await?, 200, "who is in stays in");
    let login = later.login(PASSWORD).await?;
    assert_eq!(login.status(), 200);
    assert_eq!(cookies(&login)?.len(), 2);
    assert_eq!(later.looks().await?, 401, "to be known is not to be in");
    Ok(())
}
