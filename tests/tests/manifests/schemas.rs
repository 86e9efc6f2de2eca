//! Kubernetes' own schemas, of three versions.

use std::process::Command;

use anyhow::{Context as _, Result};
use campanile_tests::manifests::{Manifests, source};

/// The oldest that has all that is used, one in between, the newest.
const VERSIONS: [&str; 3] = ["1.30", "1.33", "1.37"];

/// Kinds that are not Kubernetes' own, which `custom.rs` looks at.
const CUSTOM: [&str; 2] = ["PrometheusRule", "ServiceMonitor"];

/// What the validator says about a text, and whether it found nothing wrong.
fn validate(text: &str) -> Result<(bool, String)> {
    let file = tempfile::NamedTempFile::new()?;
    std::fs::write(file.path(), text)?;
    let mut command = Command::new(source("tests/kubernetes/.venv/bin/kubernetes-validate"));
    command.arg("--strict");
    for version in VERSIONS {
        command.args(["-k", version]);
    }
    let output = command
        .arg(file.path())
        .output()
        .with_context(|| format!("starting {command:?}; `make setup` installs it"))?;
    let said = [output.stdout, output.stderr].concat();
    Ok((
        output.status.success(),
        String::from_utf8_lossy(&said).into_owned(),
    ))
}

#[test]
fn every_overlay_is_valid_for_three_versions_of_kubernetes() -> Result<()> {
    for manifests in Manifests::all()? {
        let (valid, said) = validate(&manifests.text)?;
        assert!(valid, "{}: {said}", manifests.name);
        let custom = CUSTOM
            .iter()
            .map(|kind| manifests.of_kind(kind).count())
            .sum::<usize>();
        let count = |word: &str| said.lines().filter(|line| line.starts_with(word)).count();
        let own = manifests.objects.len() - custom;
        assert_eq!(
            count("INFO"),
            VERSIONS.len() * own,
            "{}: each was looked at: {said}",
            manifests.name
        );
        assert_eq!(count("WARN"), VERSIONS.len() * custom, "{said}");
    }
    Ok(())
}

#[test]
fn what_the_schemas_do_not_know_is_found() -> Result<()> {
    let manifests = Manifests::overlay("dev")?;
    for (good, bad) in [
        ("periodSeconds: 10", "periodSecond: 10"),
        ("replicas: 1", "replicas: one"),
    ] {
        assert!(manifests.text.contains(good));
        let (valid, said) = validate(&manifests.text.replace(good, bad))?;
        assert!(!valid && said.contains("ERROR"), "{bad}: {said}");
    }
    Ok(())
}
