//! The users that `docs/redis.md` tells to make, on servers that demand a password of everybody.

use std::collections::HashMap;

use anyhow::{Context as _, Result};

use crate::redis::{RedisOptions, RedisServer};

/// The password of the servers' owner, whom gateways do not know.
pub const OWNER: &str = "secret-of-the-owner";

/// The password of the documented users.
pub const PASSWORD: &str = "secret-of-the-gateway";

/// The words of the command that makes `user`, as the documentation has it.
pub fn documented(user: &str) -> Result<Vec<String>> {
    let text = include_str!("../../docs/redis.md");
    let start = format!("ACL SETUSER {user} ");
    let line = text.lines().find(|line| line.starts_with(&start));
    let line = line.with_context(|| format!("docs/redis.md makes {user}"))?;
    let line = line.replace(">PASSWORD", &format!(">{PASSWORD}"));
    Ok(line.split(' ').map(str::to_owned).collect())
}

/// A server with these options that knows the documented `user`.
pub async fn server(user: &str, options: RedisOptions) -> Result<RedisServer> {
    let options = RedisOptions {
        password: Some(OWNER.to_owned()),
        ..options
    };
    let server = RedisServer::start_with(options).await?;
    let words = documented(user)?;
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    server.command::<()>(&words).await?;
    Ok(server)
}

/// The address of such a server for its user.
pub fn url(server: &RedisServer, user: &str) -> String {
    format!("redis://{user}:{PASSWORD}@127.0.0.1:{}", server.port())
}

/// What was refused on a server for want of a permission.
pub async fn refusals(server: &RedisServer) -> Result<Vec<String>> {
    let log: Vec<HashMap<String, ::redis::Value>> = server.command(&["ACL", "LOG"]).await?;
    Ok(log.iter().map(|entry| format!("{entry:?}")).collect())
}
