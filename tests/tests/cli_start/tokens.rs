//! Tokens, made and checked without a gateway.

use std::process::Stdio;

use anyhow::{Context as _, Result, ensure};
use campanile_tests::token;
use campanile_tests::wait::SOON;
use serde_json::json;
use tokio::io::AsyncWriteExt as _;

use super::program::{command, finish, run};

#[tokio::test]
async fn a_token_is_verified_as_a_gateway_would() -> Result<()> {
    let dir = tempfile::tempdir()?;
    let file = dir.path().join("campanile.json");
    let config = json!({ "client": { "token": { "hmac_secret_key": token::SECRET, "audience": "chat" } } });
    std::fs::write(&file, config.to_string())?;
    let path = file.to_str().context("UTF-8")?;
    let claims = |audience: &str, seconds| json!({ "sub": "ann", "aud": audience, "exp": token::seconds_from_now(seconds) });
    let check = async |token: &str, more: &[&str]| {
        run(&[&["checktoken", "--config", path, token][..], more].concat()).await
    };

    let good = token::sign(&claims("chat", 3600), token::SECRET);
    let ended = check(&good, &[]).await?;
    ensure!(ended.code == 0, "{}", ended.said);
    ensure!(
        ended
            .out
            .starts_with("valid: a connection token of user ann\nexpires: in "),
        "{}",
        ended.out
    );
    ensure!(ended.out.contains("\"aud\":\"chat\""), "{}", ended.out);
    let told = check(&good, &["--json"]).await?.json()?;
    ensure!(
        told["valid"] == true && told["kind"] == "connection" && told["user"] == "ann",
        "{told}"
    );
    ensure!(
        told["claims"]["aud"] == "chat" && told["algorithm"] == "HS256",
        "{told}"
    );

    let mut tampered = claims("chat", 3600);
    tampered["channel"] = json!("news");
    let for_news = token::sign(&tampered, token::SECRET);
    let ended = check(&for_news, &["--channel", "news"]).await?;
    ensure!(
        ended.code == 0 && ended.out.contains("for channel news"),
        "{}{}",
        ended.out,
        ended.said
    );

    for (token, more, code, words) in [
        (
            token::sign(&claims("chat", -90), token::SECRET),
            &[][..],
            8,
            "it expired ",
        ),
        (
            token::sign(&claims("chat", 3600), "another-key-that-is-long-enough"),
            &[],
            7,
            "it is not signed with client.token.hmac_secret_key",
        ),
        (
            token::sign(&claims("news", 3600), token::SECRET),
            &[],
            7,
            "its aud is news; client.token.audience is chat",
        ),
        (
            for_news.clone(),
            &["--channel", "sports"],
            7,
            "it is for channel news",
        ),
        (
            good.clone(),
            &["--channel", "news"],
            7,
            "it is a connection token",
        ),
        ("nonsense".to_owned(), &[], 7, "it is no token"),
    ] {
        let ended = check(&token, more).await?;
        ensure!(
            ended.code == code && ended.out.is_empty(),
            "{}: {}",
            ended.code,
            ended.out
        );
        ensure!(
            ended.said.contains(words) && ended.said.lines().count() == 1,
            "{}",
            ended.said
        );
        let told = check(&token, &[more, &["--json"]].concat()).await?.json()?;
        let reason = told["reason"].as_str().unwrap_or_default();
        ensure!(told["valid"] == false && reason.contains(words), "{told}");
    }

    let mut from_input = command(&["checktoken", "--config", path, "-"])?;
    from_input.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = from_input.spawn()?;
    let mut input = child.stdin.take().context("its input")?;
    input.write_all(format!("{good}\n").as_bytes()).await?;
    drop(input);
    let ended = tokio::time::timeout(2 * SOON, child.wait_with_output()).await??;
    ensure!(ended.status.code() == Some(0), "{ended:?}");
    let keyless = run(&["checktoken", &good]).await?;
    ensure!(keyless.code == 3, "{}", keyless.said);
    Ok(())
}

#[tokio::test]
async fn a_generated_token_is_valid() -> Result<()> {
    let mut made = command(&["gentoken", "--user", "ann", "--channel", "news"])?;
    made.env("CAMPANILE_CLIENT_TOKEN_HMAC_SECRET_KEY", token::SECRET);
    let token = finish(made).await?.out;
    let mut checked = command(&["checktoken", token.trim(), "--channel", "news"])?;
    checked.env("CAMPANILE_CLIENT_TOKEN_HMAC_SECRET_KEY", token::SECRET);
    let ended = finish(checked).await?;
    ensure!(ended.code == 0, "{}", ended.said);
    Ok(())
}
