//! The image's Dockerfile, which no test here can build: what can be seen by reading it.

use anyhow::{Context as _, Result};
use campanile_tests::manifests::{Manifests, source};

/// The instructions, without comments and with continued lines joined.
fn instructions() -> Result<Vec<(String, String)>> {
    let text = std::fs::read_to_string(source("k8s/image/Dockerfile"))?;
    let lines: Vec<_> = text.lines().filter(|line| !line.starts_with('#')).collect();
    let joined = lines.join("\n").replace("\\\n", " ");
    let instruction = |line: &str| {
        let (word, rest) = line.split_once(' ')?;
        Some((
            word.to_owned(),
            rest.split_whitespace().collect::<Vec<_>>().join(" "),
        ))
    };
    Ok(joined.lines().filter_map(instruction).collect())
}

/// What stands behind the last instruction of this name.
fn last<'a>(instructions: &'a [(String, String)], name: &str) -> Result<&'a str> {
    let found = instructions.iter().rev().find(|(word, _)| word == name);
    Ok(&found.with_context(|| format!("no {name}"))?.1)
}

#[test]
fn the_image_is_built_in_two_stages_by_the_locked_toolchain_and_is_not_root() -> Result<()> {
    let instructions = instructions()?;
    let stages = instructions.iter().filter(|(word, _)| word == "FROM").count();
    assert_eq!(stages, 2);
    let build = last(&instructions, "RUN")?;
    assert!(build.contains("cargo build --release --locked"), "{build}");
    assert!(build.contains("--bin campanile"), "{build}");
    let manifest: toml::Table = std::fs::read_to_string(source("Cargo.toml"))?.parse()?;
    let rust = manifest["workspace"]["package"]["rust-version"]
        .as_str()
        .context("a version of Rust")?;
    let builder = instructions.iter().find(|(_, rest)| rest.starts_with("RUST="));
    assert!(
        builder.is_some_and(|(_, image)| image.contains(&format!("rust:{rust}-"))),
        "{builder:?}, {rust}"
    );
    let user = last(&instructions, "USER")?;
    let (user, group) = user.split_once(':').context("a user and a group")?;
    let production = Manifests::overlay("production")?;
    let gateway = production.workload("campanile-gateway")?;
    let context = &gateway.pod()["securityContext"];
    assert_eq!(
        (context["runAsUser"].as_u64(), context["runAsGroup"].as_u64()),
        (user.parse().ok(), group.parse().ok())
    );
    Ok(())
}

#[test]
fn the_image_starts_what_it_brings_and_exposes_the_manifest_s_ports() -> Result<()> {
    let instructions = instructions()?;
    let copied = last(&instructions, "COPY")?;
    let binary = copied.rsplit(' ').next().context("where it is copied to")?;
    assert_eq!(last(&instructions, "ENTRYPOINT")?, format!("[\"{binary}\"]"));
    let production = Manifests::overlay("production")?;
    let ports = production.workload("campanile-gateway")?.ports();
    let ports = ports
        .iter()
        .map(|(_, number, protocol)| format!("{number}/{}", protocol.to_lowercase()));
    let exposed: Vec<_> = last(&instructions, "EXPOSE")?
        .split(' ')
        .map(str::to_owned)
        .collect();
    assert_eq!(exposed, ports.collect::<Vec<_>>());
    Ok(())
}

#[test]
fn what_the_binary_is_made_of_is_in_the_context_and_no_secret_is() -> Result<()> {
    let text = std::fs::read_to_string(source("k8s/image/Dockerfile.dockerignore"))?;
    let kept: Vec<_> = text.lines().filter_map(|line| line.strip_prefix('!')).collect();
    assert!(
        text.lines().any(|line| line == "*"),
        "nothing is there by default"
    );
    let manifest: toml::Table = std::fs::read_to_string(source("Cargo.toml"))?.parse()?;
    let members = manifest["workspace"]["members"].as_array().context("members")?;
    for member in members {
        let member = member.as_str().context("a member")?;
        assert!(kept.contains(&member), "cargo needs {member}");
    }
    for file in ["Cargo.toml", "Cargo.lock"] {
        assert!(kept.contains(&file), "{file}");
    }
    assert!(!kept.iter().any(|path| path.starts_with("k8s")));
    Ok(())
}
