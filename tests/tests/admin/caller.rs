//! Somebody who calls as the page does, or in some other way.

use anyhow::{Context as _, Result, ensure};
use campanile_tests::gateway::Gateway;
use campanile_tests::wait::SOON;
use reqwest::header::SET_COOKIE;
use serde_json::{Value, json};

use super::PASSWORD;

/// A caller, with a session or without.
#[derive(Clone)]
pub(crate) struct Caller {
    pub(crate) http: reqwest::Client,
    /// The gateway's URL.
    pub(crate) base: String,
    /// The page's origin.
    pub(crate) origin: String,
    /// What a browser says of where a call comes from; `None`: it is an older one.
    pub(crate) site: Option<&'static str>,
    pub(crate) cookie: Option<String>,
    pub(crate) csrf: Option<String>,
}

impl Caller {
    /// Somebody who was never there.
    pub(crate) fn new(gateway: &Gateway) -> Self {
        Self {
            http: reqwest::Client::new(),
            base: gateway.url().to_owned(),
            origin: gateway.url().to_owned(),
            site: None,
            cookie: None,
            csrf: None,
        }
    }

    /// With a session.
    pub(crate) async fn logged_in(gateway: &Gateway) -> Result<Self> {
        Ok(Self::known(gateway).await?.0)
    }

    /// With a session, and the same browser after its end.
    pub(crate) async fn known(gateway: &Gateway) -> Result<(Self, Self)> {
        let stranger = Self::new(gateway);
        let response = stranger.login(PASSWORD).await?;
        ensure!(response.status() == 200, "{}", response.status());
        let [session, browser] = &*cookies(&response)? else {
            anyhow::bail!("two cookies are set");
        };
        let later = Self {
            cookie: Some(pair(browser)),
            ..stranger.clone()
        };
        let cookie = Some(pair(session));
        let about: Value = response.json().await?;
        let caller = Self {
            cookie,
            csrf: about["csrf"].as_str().map(str::to_owned),
            ..stranger
        };
        Ok((caller, later))
    }

    pub(crate) async fn login(&self, password: &str) -> Result<reqwest::Response> {
        self.post("login", &json!({ "password": password })).await
    }

    fn request(&self, request: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        let mut request = request.timeout(SOON);
        if let Some(cookie) = &self.cookie {
            request = request.header("Cookie", cookie);
        }
        if let Some(site) = self.site {
            request = request.header("Sec-Fetch-Site", site);
        }
        request
    }

    pub(crate) async fn post(&self, path: &str, body: &Value) -> Result<reqwest::Response> {
        let request = self.http.post(format!("{}/admin/api/{path}", self.base));
        let mut request = self.request(request).header("Origin", &self.origin).json(body);
        if let Some(csrf) = &self.csrf {
            request = request.header("X-CSRF-Token", csrf);
        }
        Ok(request.send().await?)
    }

    /// What is answered to a look at the state.
    pub(crate) async fn state(&self) -> Result<reqwest::Response> {
        let request = self.http.get(format!("{}/admin/api/state", self.base));
        Ok(self.request(request).send().await?)
    }

    /// The status of a look at the state.
    pub(crate) async fn looks(&self) -> Result<u16> {
        Ok(self.state().await?.status().as_u16())
    }

    /// The status of a publication.
    pub(crate) async fn publishes(&self) -> Result<u16> {
        let publication = json!({ "channel": "a", "data": 1 });
        Ok(self.post("publish", &publication).await?.status().as_u16())
    }
}

/// The cookies that are set.
pub(crate) fn cookies(response: &reqwest::Response) -> Result<Vec<String>> {
    let cookies = response.headers().get_all(SET_COOKIE).into_iter();
    cookies
        .map(|cookie| Ok(cookie.to_str().context("a cookie")?.to_owned()))
        .collect()
}

/// What a browser sends back of a cookie.
fn pair(cookie: &str) -> String {
    cookie.split(';').next().unwrap_or_default().to_owned()
}
