//! Where a Redis is, as its URL says: one server, or the Sentinels that know which server it is at the moment.
//!
//! `redis://[user][:password@]host[:port][/database]`, or
//! `redis+sentinel://[user][:password@]host[:port][,host[:port]…]/service[/database][?sentinel_user=…&sentinel_password=…]`,
//! each with `rediss` instead of `redis` for TLS. User and password are the server's; those of the Sentinels stand behind
//! the question mark. What is not a letter, a digit or one of `-._~` is percent-encoded in names and passwords.

use std::fmt;

use ::redis::{ProtocolVersion, RedisConnectionInfo};

/// The port of a server whose URL names none.
const SERVER_PORT: u16 = 6379;
/// The port of a Sentinel whose URL names none.
const SENTINEL_PORT: u16 = 26379;

/// Where a Redis is and how to get in. Shows neither users nor passwords.
#[derive(Clone, PartialEq, Eq)]
pub struct RedisPlace {
    has_tls: bool,
    /// One server, or the Sentinels; never none.
    hosts: Vec<Host>,
    /// What the Sentinels call it; `None`: there are none.
    service: Option<String>,
    database: i64,
    login: Login,
    sentinel_login: Login,
}

/// A host and a port.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Host {
    /// A name or an IP address, without brackets.
    pub(crate) name: String,
    pub(crate) port: u16,
}

/// Who somebody says to be. Both empty: nobody.
#[derive(Clone, Default, PartialEq, Eq)]
struct Login {
    user: String,
    password: String,
}

/// Why a text is not the URL of a Redis. Repeats nothing of it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotAPlace {
    /// It begins with something else.
    #[error("the URL does not begin with redis://, rediss://, redis+sentinel:// or rediss+sentinel://")]
    Scheme,
    /// A host is missing or is none.
    #[error("the URL names no host")]
    Host,
    /// More than one server without Sentinels.
    #[error("the URL names several hosts, which redis+sentinel:// alone may")]
    Hosts,
    /// A port is not a number, or not one of a port.
    #[error("the URL's port is none")]
    Port,
    /// The database is not a number.
    #[error("the URL's database is not a number")]
    Database,
    /// Sentinels without the name of what they watch.
    #[error(
        "the URL does not name the service that the Sentinels watch: write it behind the last host, as in host:26379/mymaster"
    )]
    Service,
    /// What stands behind the question mark is not understood.
    #[error(
        "behind the URL's question mark only sentinel_user and sentinel_password may stand, with redis+sentinel:// alone"
    )]
    Query,
    /// A percent sign is not followed by two hexadecimal digits, or the bytes are not UTF-8.
    #[error("the URL's user, password or service is not percent-encoded correctly")]
    Encoding,
}

impl RedisPlace {
    /// Takes a URL.
    ///
    /// # Errors
    ///
    /// What is wrong with it, without repeating it.
    pub fn parse(url: &str) -> Result<Self, NotAPlace> {
        let (scheme, rest) = url.split_once("://").ok_or(NotAPlace::Scheme)?;
        let (has_tls, has_sentinels) = match scheme {
            "redis" => (false, false),
            "rediss" => (true, false),
            "redis+sentinel" => (false, true),
            "rediss+sentinel" => (true, true),
            _ => return Err(NotAPlace::Scheme),
        };
        let (rest, query) = rest.split_once('?').unwrap_or((rest, ""));
        let (login, place) = rest.rsplit_once('@').unwrap_or(("", rest));
        let (hosts, path) = place.split_once('/').unwrap_or((place, ""));
        let port = if has_sentinels { SENTINEL_PORT } else { SERVER_PORT };
        let hosts: Vec<Host> = hosts
            .split(',')
            .map(|host| Host::parse(host, port))
            .collect::<Result<_, _>>()?;
        if hosts.len() > 1 && !has_sentinels {
            return Err(NotAPlace::Hosts);
        }
        let (service, database) = match has_sentinels {
            true => service_and_database(path)?,
            false => (None, database(path.trim_end_matches('/'))?),
        };
        Ok(Self {
            has_tls,
            hosts,
            service,
            database,
            login: Login::parse(login)?,
            sentinel_login: sentinel_login(query, has_sentinels)?,
        })
    }

    /// Whether connections are encrypted, to Sentinels as to servers.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.has_tls
    }

    /// Whether Sentinels say which server it is.
    #[must_use]
    pub fn has_sentinels(&self) -> bool {
        self.service.is_some()
    }

    /// Hosts and ports, and the service of Sentinels, for people.
    #[must_use]
    pub fn address(&self) -> String {
        let hosts: Vec<String> = self.hosts.iter().map(ToString::to_string).collect();
        match &self.service {
            Some(service) => format!("{}/{service}", hosts.join(",")),
            None => hosts.join(","),
        }
    }

    /// The names or addresses of the server, or of the Sentinels.
    pub fn host_names(&self) -> impl Iterator<Item = &str> {
        self.hosts.iter().map(|host| host.name.as_str())
    }

    /// The server, or the Sentinels.
    pub(super) fn hosts(&self) -> &[Host] {
        &self.hosts
    }

    /// What the Sentinels call it.
    pub(super) fn service(&self) -> Option<&str> {
        self.service.as_deref()
    }

    /// How a connection to the server begins.
    pub(super) fn server_login(&self) -> RedisConnectionInfo {
        self.login.info().set_db(self.database)
    }

    /// How a connection to a Sentinel begins.
    pub(super) fn sentinel_login(&self) -> RedisConnectionInfo {
        self.sentinel_login.info()
    }
}

/// The URL without users and passwords.
impl fmt::Display for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tls = if self.has_tls { "s" } else { "" };
        let sentinel = if self.has_sentinels() { "+sentinel" } else { "" };
        write!(f, "redis{tls}{sentinel}://{}", self.address())?;
        match self.database {
            0 => Ok(()),
            database => write!(f, "/{database}"),
        }
    }
}

impl fmt::Debug for RedisPlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Host {
    fn parse(text: &str, default_port: u16) -> Result<Self, NotAPlace> {
        let (name, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
            Some(Some((address, port))) => {
                address
                    .parse::<std::net::Ipv6Addr>()
                    .map_err(|_| NotAPlace::Host)?;
                (address, port)
            }
            Some(None) => return Err(NotAPlace::Host),
            None => text.split_at(text.find(':').unwrap_or(text.len())),
        };
        let of_names = |letter: char| letter.is_alphanumeric() || "-._:".contains(letter);
        if name.is_empty() || !name.chars().all(of_names) {
            return Err(NotAPlace::Host);
        }
        let port = match port.strip_prefix(':') {
            Some(digits) => digits.parse().map_err(|_| NotAPlace::Port)?,
            None if port.is_empty() => default_port,
            None => return Err(NotAPlace::Host),
        };
        Ok(Self {
            name: name.to_owned(),
            port,
        })
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.name.contains(':') {
            true => write!(f, "[{}]:{}", self.name, self.port),
            false => write!(f, "{}:{}", self.name, self.port),
        }
    }
}

impl fmt::Debug for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Login {
    fn parse(text: &str) -> Result<Self, NotAPlace> {
        let (user, password) = text.split_once(':').unwrap_or((text, ""));
        Ok(Self {
            user: decoded(user)?,
            password: decoded(password)?,
        })
    }

    /// RESP3, and no command beside HELLO: the library's name is left out, so that its command need not be permitted.
    fn info(&self) -> RedisConnectionInfo {
        let mut info = RedisConnectionInfo::default()
            .set_protocol(ProtocolVersion::RESP3)
            .set_skip_set_lib_name();
        if !self.user.is_empty() {
            info = info.set_username(&self.user);
        }
        if !self.password.is_empty() {
            info = info.set_password(&self.password);
        }
        info
    }
}

/// `service`, or `service/database`.
fn service_and_database(path: &str) -> Result<(Option<String>, i64), NotAPlace> {
    let (service, rest) = path.split_once('/').unwrap_or((path, ""));
    if service.is_empty() {
        return Err(NotAPlace::Service);
    }
    Ok((Some(decoded(service)?), database(rest.trim_end_matches('/'))?))
}

fn database(digits: &str) -> Result<i64, NotAPlace> {
    match digits {
        "" => Ok(0),
        digits => digits
            .parse::<u32>()
            .map(i64::from)
            .map_err(|_| NotAPlace::Database),
    }
}

fn sentinel_login(query: &str, has_sentinels: bool) -> Result<Login, NotAPlace> {
    let mut login = Login::default();
    for pair in query.split('&').filter(|pair| !pair.is_empty()) {
        let (key, value) = pair.split_once('=').ok_or(NotAPlace::Query)?;
        match key {
            "sentinel_user" if has_sentinels => login.user = decoded(value)?,
            "sentinel_password" if has_sentinels => login.password = decoded(value)?,
            _ => return Err(NotAPlace::Query),
        }
    }
    Ok(login)
}

/// Without percent-encoding.
fn decoded(text: &str) -> Result<String, NotAPlace> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| char::from(byte?).to_digit(16);
                let (high, low) = (digit(rest.next()), digit(rest.next()));
                let (high, low) = high.zip(low).ok_or(NotAPlace::Encoding)?;
                u8::try_from(16 * high + low).map_err(|_| NotAPlace::Encoding)?
            }
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| NotAPlace::Encoding)
}

#[cfg(test)]
mod tests;
