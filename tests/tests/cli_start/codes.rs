//! Codes of what was typed wrong, and what scripts are told.

use anyhow::{Result, ensure};

use super::program::run;

#[tokio::test]
async fn a_wrong_command_line_is_told_to_scripts_as_well() -> Result<()> {
    for line in [
        &["nods", "--json"][..],
        &["serve", "--jso", "--json"],
        &["serve", "--set", "x", "--json"],
        &["nodes", "--json", "--url", "redis://h"],
        &["shards", "--json", "--ca", "/nowhere.pem", "status"],
    ] {
        let ended = run(line).await?;
        ensure!(
            ended.code == 2 && !ended.said.is_empty(),
            "{line:?}: {}",
            ended.said
        );
        let error = &ended.json()?["error"];
        ensure!(
            error["message"].is_string() && error["code"].is_null(),
            "{}",
            ended.out
        );
    }
    let plain = run(&["serve", "--jso"]).await?;
    ensure!(plain.code == 2 && plain.out.is_empty(), "{}", plain.out);
    Ok(())
}

#[tokio::test]
async fn warnings_are_errors_if_that_is_wanted() -> Result<()> {
    let check = ["checkconfig", "--json", "--set", "client.insecure=true"];
    let lenient = run(&check).await?;
    ensure!(
        lenient.code == 0 && lenient.json()?["valid"] == true,
        "{}",
        lenient.said
    );
    let strict = run(&[&check[..], &["--strict"]].concat()).await?;
    ensure!(
        strict.code == 3 && strict.json()?["valid"] == false,
        "{}",
        strict.said
    );
    ensure!(strict.said.contains("client.insecure"), "{}", strict.said);
    let clean = run(&["checkconfig", "--json", "--strict"]).await?;
    ensure!(clean.code == 0, "{}", clean.said);
    Ok(())
}
