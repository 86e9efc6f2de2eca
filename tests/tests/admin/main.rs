//! The administration page: who gets in and who does not, and a reshard watched in a browser from start to end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use campanile_tests::cluster::Cluster;
use campanile_tests::gateway::{Gateway, GatewayConfig};
use campanile_tests::puppet::{Puppet, Sdk};
use campanile_tests::redis::RedisServer;
use campanile_tests::token;
use campanile_tests::wait::{SOON, eventually, until};
use serde_json::{Value, json};

const PASSWORD: &str = "the password of the tests";
const SECRET: &str = "a secret for the sessions of the tests";

fn config() -> GatewayConfig {
    GatewayConfig::default()
        .set("admin.password", PASSWORD)
        .set("admin.secret", SECRET)
}

/// Somebody who calls as the page does, or in some other way.
struct Caller {
    http: reqwest::Client,
    /// The gateway's URL.
    base: String,
    /// The page's origin.
    origin: String,
    cookie: Option<String>,
    csrf: Option<String>,
}

impl Caller {
    fn new(gateway: &Gateway) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: gateway.url().to_owned(),
            origin: gateway.url().to_owned(),
            cookie: None,
            csrf: None,
        }
    }

    /// With a session.
    async fn logged_in(gateway: &Gateway) -> Result<Self> {
        let mut caller = Self::new(gateway);
        let response = caller.login(PASSWORD).await?;
        assert_eq!(response.status(), 200);
        let cookie = response.headers().get("set-cookie").context("a cookie")?;
        let cookie = cookie.to_str()?.split(';').next().unwrap_or_default();
        caller.cookie = Some(cookie.to_owned());
        let about: Value = response.json().await?;
        caller.csrf = about["csrf"].as_str().map(str::to_owned);
        Ok(caller)
    }

    async fn login(&self, password: &str) -> Result<reqwest::Response> {
        self.post("login", &json!({ "password": password })).await
    }

    fn request(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let mut request = request.timeout(SOON);
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        request
    }

    async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response> {
        let request = self.http.post(format!("{}/admin/api/{path}", self.base));
        let mut request = self.request(request).header("Origin", &self.origin).json(body);
        if let Some(csrf) = &self.csrf {
            request = request.header("X-CSRF-Token", csrf);
        }
        Ok(request.send().await?)
    }

    /// The status of a look at the state.
    async fn looks(&self) -> Result<u16> {
        let request = self.http.get(format!("{}/admin/api/state", self.base));
        Ok(self.request(request).send().await?.status().as_u16())
    }

    /// The status of a publication.
    async fn publishes(&self) -> Result<u16> {
        let publication = json!({ "channel": "a", "data": 1 });
        Ok(self.post("publish", &publication).await?.status().as_u16())
    }
}

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
        ..Caller::logged_in(&gateway).await?
    };
    assert_eq!(
        elsewhere.publishes().await?,
        403,
        "a browser there has the cookie"
    );
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
    Ok(())
}

/// A browser with the page of a gateway.
struct Page(Puppet);

const TAB: &str = "admin";

impl Page {
    async fn open(gateway: &Gateway) -> Result<Self> {
        let page = Self(Puppet::node("browser.mjs", &[])?);
        page.call(json!({ "do": "open", "url": format!("{}/admin", gateway.url()) }))
            .await?;
        Ok(page)
    }

    async fn call(&self, mut command: Value) -> Result<Value> {
        command["tab"] = json!(TAB);
        self.0.call(command).await
    }

    async fn fill(&self, selector: &str, value: &str) -> Result<()> {
        let fill = json!({ "do": "fill", "selector": selector, "value": value });
        self.call(fill).await.map(drop)
    }

    async fn click(&self, selector: &str) -> Result<()> {
        self.call(json!({ "do": "click", "selector": selector }))
            .await
            .map(drop)
    }

    async fn press(&self, selector: &str, key: &str) -> Result<()> {
        let press = json!({ "do": "press", "selector": selector, "key": key });
        self.call(press).await.map(drop)
    }

    /// The texts of what `selector` finds.
    async fn texts(&self, selector: &str) -> Vec<String> {
        let texts = self.call(json!({ "do": "texts", "selector": selector })).await;
        let texts = texts.unwrap_or_default();
        let texts = texts.as_array().into_iter().flatten();
        texts.filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// Waits until something that `selector` finds has this text in it, and gives the whole of it.
    async fn shows(&self, selector: &str, text: &str) -> String {
        until(&format!("{selector} shows {text:?}"), PATIENCE, || async {
            let texts = self.texts(selector).await;
            texts.into_iter().find(|shown| shown.contains(text))
        })
        .await
    }

    /// What the page did wrong. That a call was refused, or not answered in time on a busy machine, is no mistake of its own.
    fn mistakes(&self) -> Vec<Value> {
        let mut errors = self.0.events_of("page_error");
        errors.retain(|error| {
            !error["text"]
                .as_str()
                .is_some_and(|text| text.starts_with("Failed to load resource"))
        });
        errors
    }

    /// Looks at the page in each of the ways in which people do, and keeps what it looks like below `target`. Nothing may stick out.
    async fn looks(&self, name: &str) -> Result<()> {
        for (look, width, height, scheme) in LOOKS {
            let size = json!({ "do": "look", "width": width, "height": height, "scheme": scheme });
            self.call(size).await?;
            let out = self
                .call(json!({ "do": "evaluate", "expression": STICKS_OUT }))
                .await?;
            assert_eq!(out, json!([]), "{name} does not fit {look}");
            let path = screenshots()?.join(format!("{name}-{look}.png"));
            let whole = !name.starts_with("dialog");
            self.call(json!({ "do": "screenshot", "path": path, "whole": whole }))
                .await?;
        }
        Ok(())
    }

    async fn login(&self) -> Result<()> {
        self.fill("#password", PASSWORD).await?;
        self.press("#password", "Enter").await?;
        self.shows("#pulse", "live").await;
        Ok(())
    }
}

/// A desk by day, a desk by night, a tablet, a phone.
const LOOKS: [(&str, u32, u32, &str); 4] = [
    ("light", 1280, 900, "light"),
    ("dark", 1280, 900, "dark"),
    ("tablet", 820, 1100, "light"),
    ("phone", 360, 740, "dark"),
];

/// What is wider than the card, dialog or window that it is in.
const STICKS_OUT: &str = "
    [document.body, ...document.querySelectorAll('.card, dialog[open]')].flatMap((frame) => {
        const edge = frame.getBoundingClientRect().right + 1;
        const inside = [...frame.querySelectorAll('*')].filter((it) => !it.closest('.unseen, .skip, thead, svg'));
        const wide = inside.filter((it) => it.getClientRects().length > 0 && it.getBoundingClientRect().right > edge);
        return wide.map((it) => `${it.tagName} ${it.id} ${it.className}`);
    })";

fn screenshots() -> Result<PathBuf> {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("admin");
    std::fs::create_dir_all(&folder)?;
    Ok(folder)
}

/// What somebody chose who hopes that it becomes markup.
const HOSTILE_CHANNEL: &str = "chat:<img src=x onerror=document.title='gone'>";
const HOSTILE_USER: &str = "<b>eve</b>";

/// Two shards with something on them, and two gateways, with a user in a channel.
async fn cluster() -> Result<(Cluster, Puppet)> {
    let chat = json!({
        "presence": true,
        "history_size": 10,
        "history_ttl": "300s",
        "allow_subscribe_for_client": true,
    });
    let builder = Cluster::builder()
        .shards(2)
        .gateways(2)
        .set("admin.password", PASSWORD)
        .set("admin.secret", SECRET)
        .set("cluster.shards_managed_by", "api")
        // Slow enough to be looked at.
        .set("cluster.max_moving", 16)
        .namespace("chat", &chat);
    let cluster = builder.start().await?;
    let api = cluster.gateways[0].api();
    let channels: Vec<String> = (0..300).map(|number| format!("chat:{number}")).collect();
    let broadcast = json!({ "channels": channels, "data": { "text": "a".repeat(500) } });
    api.call("broadcast", &broadcast).await?;
    let user = Puppet::start(Sdk::JsJson)?;
    let token = token::connection(HOSTILE_USER);
    user.connect(&cluster.gateways[1].websocket_url(), &token).await?;
    for channel in [HOSTILE_CHANNEL, "chat:1", "chat:2"] {
        user.subscribe(channel).await?;
    }
    Ok((cluster, user))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reshard_is_watched_from_start_to_end() -> Result<()> {
    let (cluster, _user) = cluster().await?;
    let spare = RedisServer::start().await?;
    let page = Page::open(&cluster.gateways[0]).await?;
    page.looks("login").await?;
    page.login().await?;
    eventually("two shards and two gateways are listed", SOON, || async {
        (
            page.texts("#shards > tr").await.len(),
            page.texts("#gateways > tr").await.len(),
        ) == (2, 2)
    })
    .await;

    page.click("#add-shard").await?;
    page.fill("#change-name", "redis-3").await?;
    page.fill("#change-url", &spare.url()).await?;
    page.press("#change-url", "Enter").await?;
    page.shows("#change-go", "Add redis-3").await;
    let plan = page.texts("#change-body .lead").await;
    assert!(
        plan[0].contains("partitions will move: 3"),
        "about a third: {plan:?}"
    );
    page.looks("dialog-plan").await?;
    assert_eq!(
        page.texts("#shards > tr").await.len(),
        2,
        "a plan changes nothing"
    );
    page.click("#change-go").await?;
    page.shows("#journal", "Shard redis-3 is to be added: ").await;
    page.shows("#journal", "% of the partitions have arrived.").await;
    page.looks("moving").await?;
    let done = until("the shard has its share", PATIENCE, || async {
        let said = page.texts("#moves-line").await;
        said.into_iter().find(|line| line.starts_with("Done: "))
    })
    .await;
    assert!(done.contains("partitions moved in"), "{done}");
    for shard in ["redis-1", "redis-2", "redis-3"] {
        let row = page.shows(&row(shard), "active").await;
        assert!(row.contains(" % · 1,"), "more than a thousand partitions: {row}");
    }
    page.looks("overview").await?;

    page.click(&format!("{} [data-action=drain]", row("redis-1")))
        .await?;
    page.shows("#change-go", "Drain redis-1").await;
    page.shows("#change-body .lead", "partitions will move").await;
    page.click("#change-go").await?;
    page.shows("#journal", "Shard redis-1 is draining; it was active.")
        .await;
    until("nothing is left on the drained shard", PATIENCE, || async {
        let row = page.texts(&row("redis-1")).await.pop()?;
        let said = page.texts("#moves-line").await.pop()?;
        (row.contains("0.0 % · 0") && row.contains("draining") && said.starts_with("Done: ")).then_some(())
    })
    .await;
    assert_eq!(page.mistakes(), Vec::<Value>::new());
    Ok(())
}

/// A move of a third of the partitions in small batches, on a machine that is busy with much else.
const PATIENCE: Duration = Duration::from_secs(180);

/// The row of a shard.
fn row(shard: &str) -> String {
    format!("#shards > tr[data-key='{shard}']")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn channels_and_users_are_looked_at_and_spoken_to() -> Result<()> {
    let (cluster, user) = cluster().await?;
    let page = Page::open(&cluster.gateways[0]).await?;
    page.fill("#password", "a wrong password").await?;
    page.press("#password", "Enter").await?;
    page.shows("#login-problem", "that is not the password").await;
    page.login().await?;

    page.shows("#channels", "chat:1").await;
    page.fill("#pattern", "<img").await?;
    eventually("the hostile channel alone is listed", SOON, || async {
        page.texts("#channels > tr th").await == [HOSTILE_CHANNEL]
    })
    .await;
    page.click("#channels > tr button").await?;
    page.shows("#inspector-body", HOSTILE_USER).await;
    let data =
        json!({ "text": "</pre><script>document.title = 'gone'</script>", "n": 9_007_199_254_740_993_u64 });
    page.fill("#publish-data", &data.to_string()).await?;
    page.click("#publish-form button").await?;
    page.shows("#publish-result", "Published as #1.").await;
    let received = user
        .event("publication", |event| event["channel"] == HOSTILE_CHANNEL)
        .await;
    assert_eq!(received["data"]["text"], data["text"]);
    let shown = page.shows("#inspector-body pre", "</pre><script>").await;
    assert!(shown.contains("9007199254740993"), "as it was written: {shown}");
    page.looks("dialog-channel").await?;

    page.click("#inspector-body .people button").await?;
    page.shows("#confirm-title", &format!("Disconnect {HOSTILE_USER}?"))
        .await;
    page.click("#confirm-yes").await?;
    let gone = user.event("disconnected", |_| true).await;
    assert_eq!(gone["code"], 3503);
    page.shows("#journal", &format!("1 connection of {HOSTILE_USER} closed."))
        .await;

    let title = page
        .call(json!({ "do": "evaluate", "expression": "document.title" }))
        .await?;
    assert_eq!(title, "Campanile administration", "no text has become markup");
    page.click("#inspector-close").await?;
    page.click("#logout").await?;
    page.shows("#login-title", "Administration").await;
    let hidden =
        page.call(json!({ "do": "evaluate", "expression": "document.getElementById('main').hidden" }));
    assert_eq!(hidden.await?, true);
    assert_eq!(page.mistakes(), Vec::<Value>::new());
    Ok(())
}
