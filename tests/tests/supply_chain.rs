//! The bill of materials: it names what the binary is made of, with the checksums of the lock file, and is the same each time.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

#[test]
fn the_bill_of_materials_names_what_the_binary_is_made_of() -> Result<()> {
    let text = bill()?;
    assert_eq!(text, bill()?, "the same lock file, the same bytes");
    let bill: Value = serde_json::from_str(&text)?;
    assert_eq!(bill["bomFormat"], "CycloneDX");
    assert_eq!(bill["metadata"]["component"]["name"], "campanile");
    let locked = checksums()?;
    let mut scopes = BTreeMap::new();
    let mut known: BTreeSet<&str> = text_of(&bill["metadata"]["component"], "bom-ref")
        .into_iter()
        .collect();
    for component in list(&bill, "components")? {
        let name = text_of(component, "name").context("a name")?;
        let version = text_of(component, "version").context("a version")?;
        let key = (name.to_owned(), version.to_owned());
        let checksum = component["hashes"][0]["content"].as_str();
        assert_eq!(locked.get(&key), Some(&checksum.map(str::to_owned)), "{key:?}");
        let licence = &component["licenses"][0];
        assert!(
            licence["expression"].is_string() || licence["license"]["name"].is_string(),
            "{name}"
        );
        scopes.insert(
            name.to_owned(),
            text_of(component, "scope").unwrap_or_default().to_owned(),
        );
        known.extend(text_of(component, "bom-ref"));
    }
    for (name, scope) in [
        ("ring", "required"),
        ("redis", "required"),
        ("campanile-shard-router", "required"),
        ("libmimalloc-sys", "required"),
        ("cc", "excluded"),
        ("serde_derive", "excluded"),
    ] {
        assert_eq!(scopes.get(name).map(String::as_str), Some(scope), "{name}");
    }
    for name in ["proptest", "criterion", "campanile-tests", "campanile-benches"] {
        assert!(!scopes.contains_key(name), "{name} is for tests");
    }
    for entry in list(&bill, "dependencies")? {
        for reference in list(entry, "dependsOn")? {
            let reference = reference.as_str().context("a reference")?;
            assert!(known.contains(reference), "{reference} is not described");
        }
    }
    Ok(())
}

fn bill() -> Result<String> {
    let written = Command::new("python3")
        .arg(root().join("tests/sbom.py"))
        .env_remove("SOURCE_DATE_EPOCH")
        .output()?;
    ensure!(
        written.status.success(),
        "{}",
        String::from_utf8_lossy(&written.stderr)
    );
    Ok(String::from_utf8(written.stdout)?)
}

/// By name and version; those of this workspace have none.
fn checksums() -> Result<BTreeMap<(String, String), Option<String>>> {
    let lock: toml::Table = fs::read_to_string(root().join("Cargo.lock"))?.parse()?;
    let packages = lock["package"].as_array().context("packages")?;
    let text =
        |package: &toml::Value, key: &str| package.get(key).and_then(|it| it.as_str().map(str::to_owned));
    let entry = |package: &toml::Value| {
        let key = (text(package, "name")?, text(package, "version")?);
        Some((key, text(package, "checksum")))
    };
    Ok(packages.iter().filter_map(entry).collect())
}

fn list<'a>(value: &'a Value, key: &str) -> Result<&'a Vec<Value>> {
    value[key].as_array().with_context(|| format!("no list {key}"))
}

fn text_of<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value[key].as_str()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
