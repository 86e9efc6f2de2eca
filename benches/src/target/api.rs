//! Where an HTTP API is.

use std::str::FromStr;

use url::Url;

use crate::Failure;

/// Where methods are if a URL does not say.
const DEFAULT_PATH: &str = "/api";

/// The base of an HTTP API: `http://host:port/path`, with the path `/api` if none is given.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Api {
    /// Host and port, to connect to.
    address: String,
    /// Between the host and a method's name, from its slash on.
    path: String,
}

impl Api {
    /// Host and port.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The path of a method.
    #[must_use]
    pub fn path(&self, method: &str) -> String {
        format!("{}/{method}", self.path)
    }

    /// The URL of a method.
    #[must_use]
    pub fn method(&self, method: &str) -> String {
        format!("http://{}{}", self.address, self.path(method))
    }

    /// Where the same gateway tells its metrics, unless it was set up otherwise.
    #[must_use]
    pub fn metrics(&self) -> String {
        format!("http://{}/metrics", self.address)
    }
}

impl FromStr for Api {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self, Failure> {
        let wrong = |why: &str| Failure::usage(format!("the API {}: {why}", crate::secrets::urls(text)));
        let url = Url::parse(text).map_err(|_| wrong("expected http://host:port/api"))?;
        if url.scheme() != "http" {
            return Err(wrong("it must be at an http:// address; TLS is not spoken"));
        }
        let has_more = url.query().is_some() || url.fragment().is_some();
        if has_more || !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "expected http://host:port/api and nothing else; the key is --api-key's",
            ));
        }
        let host = url.host_str().ok_or_else(|| wrong("no host"))?;
        let port = url.port_or_known_default().ok_or_else(|| wrong("no port"))?;
        let path = url.path().trim_end_matches('/');
        Ok(Self {
            address: format!("{host}:{port}"),
            path: if path.is_empty() { DEFAULT_PATH } else { path }.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn however_it_is_written_methods_are_in_the_same_place() {
        for text in [
            "http://host:8000",
            "http://host:8000/",
            "http://host:8000/api",
            "http://host:8000/api/",
        ] {
            let api: Api = text.parse().unwrap();
            assert_eq!(api.method("publish"), "http://host:8000/api/publish", "{text}");
        }
        let api: Api = "http://[::1]/a/b".parse().unwrap();
        assert_eq!(
            (api.address(), api.path("batch").as_str()),
            ("[::1]:80", "/a/b/batch")
        );
        assert_eq!(api.metrics(), "http://[::1]:80/metrics");
    }

    #[test]
    fn what_cannot_be_called_is_refused() {
        for (text, why) in [
            ("https://host/api", "TLS"),
            ("host:8000", "http://"),
            ("api", "expected"),
            ("http://user:s3cret@host/api", "nothing else"),
            ("http://host/api?x=y", "nothing else"),
        ] {
            let refused = text.parse::<Api>().unwrap_err().to_string();
            assert!(refused.contains(why) && !refused.contains("s3cret"), "{refused}");
        }
    }
}
