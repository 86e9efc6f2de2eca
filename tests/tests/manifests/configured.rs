//! What the ConfigMaps and Secrets say, asked of the programs that it is for.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result};
use campanile_tests::gateway::{Gateway, GatewayConfig, binary};
use campanile_tests::manifests::{Manifests, Mounts, Workload, selects, write_files};
use serde_json::{Value, json};

/// Where the gateways' files are.
const CONFIG: &str = "/etc/campanile";
const CERTIFICATE: &str = "/etc/campanile-tls";

/// The gateways' file, and the variables beside it.
fn settings(manifests: &Manifests) -> Result<(Value, Vec<(String, String)>)> {
    let gateway = manifests.workload("campanile-gateway")?;
    let files = manifests.volume(gateway, "config")?;
    let file = files.get("campanile.yaml").context("a configuration")?;
    let variables = manifests.environment(gateway.container()?, "campanile-gateway-0")?;
    Ok((serde_yaml_ng::from_str(file)?, variables))
}

/// The value of a variable.
fn variable<'a>(variables: &'a [(String, String)], name: &str) -> Result<&'a str> {
    let found = variables.iter().find(|(key, _)| key == name);
    Ok(&found.with_context(|| format!("no {name}"))?.1)
}

/// What `campanile checkconfig` says, started as the container starts the gateway: with its arguments and its variables.
/// Only the folders are others.
fn check(manifests: &Manifests, change: impl Fn(&str) -> String) -> Result<(Option<i32>, String)> {
    let gateway = manifests.workload("campanile-gateway")?;
    let mounts = Mounts::new(&[CERTIFICATE, CONFIG])?;
    let mut config = manifests.volume(gateway, "config")?;
    for text in config.values_mut() {
        *text = mounts.point(&change(text));
    }
    write_files(&config, &mounts.at(CONFIG))?;
    if let Ok(certificate) = manifests.volume(gateway, "tls") {
        write_files(&certificate, &mounts.at(CERTIFICATE))?;
    }
    let container = gateway.container()?;
    let arguments = container["args"].as_array().context("arguments")?;
    let mut arguments = arguments.iter().filter_map(Value::as_str);
    assert_eq!(arguments.next(), Some("serve"));
    let output = Command::new(binary()?)
        .arg("checkconfig")
        .args(arguments.map(|it| mounts.point(it)))
        .env_clear()
        .envs(manifests.environment(container, "campanile-gateway-0")?)
        .output()?;
    let said = [output.stdout, output.stderr].concat();
    Ok((output.status.code(), String::from_utf8_lossy(&said).into_owned()))
}

#[test]
fn gateways_accept_their_configuration_without_a_word_of_warning() -> Result<()> {
    for manifests in Manifests::all()? {
        let (code, said) = check(&manifests, str::to_owned)?;
        assert_eq!(code, Some(0), "{}: {said}", manifests.name);
        for line in said.lines() {
            assert!(
                !line.starts_with("warning") && !line.starts_with("SECURITY"),
                "{}: {line}",
                manifests.name
            );
        }
    }
    Ok(())
}

#[test]
fn a_key_that_no_gateway_knows_is_found() -> Result<()> {
    let manifests = Manifests::overlay("production")?;
    let (code, said) = check(&manifests, |text| {
        text.replace("connection_limit:", "conection_limit:")
    })?;
    assert_ne!(code, Some(0), "{said}");
    assert!(said.contains("connection_limit"), "{said}");
    Ok(())
}

#[test]
fn gateways_listen_where_the_manifests_say() -> Result<()> {
    for manifests in Manifests::all()? {
        let (file, _) = settings(&manifests)?;
        let server = &file["http_server"];
        let gateway = manifests.workload("campanile-gateway")?;
        for (name, number, _) in gateway.ports() {
            let configured = match name {
                "internal" => &server["internal_port"],
                _ => &server["port"],
            };
            assert_eq!(*configured, number, "{}: {name}", manifests.name);
        }
        assert!(file["quic"]["enabled"] == true && file["quic"].get("port").is_none());
        let mounts = gateway.container()?["volumeMounts"]
            .as_array()
            .context("mounts")?;
        assert!(mounts.iter().any(|mount| mount["mountPath"] == CONFIG));
    }
    Ok(())
}

#[tokio::test]
async fn the_paths_of_probes_are_real() -> Result<()> {
    let gateway = Gateway::start(&GatewayConfig::default()).await?;
    let mut paths = BTreeSet::new();
    for manifests in Manifests::all()? {
        let container = manifests.workload("campanile-gateway")?.container()?.clone();
        for probe in ["startupProbe", "livenessProbe", "readinessProbe"] {
            let path = container[probe]["httpGet"]["path"].as_str().context("a path")?;
            paths.insert(path.to_owned());
        }
    }
    for path in paths {
        let (status, body) = gateway.get(&path).await?;
        assert_eq!(status, 200, "{path}: {body}");
        let (status, _) = gateway.get(&format!("{path}-of-nobody")).await?;
        assert_eq!(status, 404);
    }
    Ok(())
}

#[test]
fn gateways_find_the_store_also_while_there_is_no_pod() -> Result<()> {
    for overlay in ["dev", "production", "own"] {
        let manifests = Manifests::overlay(overlay)?;
        let (_, variables) = settings(&manifests)?;
        let store = variable(&variables, "CAMPANILE_CLUSTER_STORE")?;
        let (host, port) = store
            .rsplit_once('@')
            .and_then(|(_, place)| place.split_once(':'))
            .context("a host and a port")?;
        let spec = &manifests.get("Service", host)?["spec"];
        assert_eq!(spec["ports"][0]["port"].to_string(), port);
        // A headless one has no address while its only pod has none, and a gateway ends that starts then.
        assert_eq!(spec["type"], "ClusterIP");
        assert!(spec.get("clusterIP").is_none());
        let labels = manifests.workload("campanile-store")?.labels();
        assert!(selects(&json!({ "matchLabels": spec["selector"] }), labels));
    }
    Ok(())
}

#[test]
fn gateways_find_the_shards() -> Result<()> {
    for overlay in ["dev", "production", "own"] {
        let manifests = Manifests::overlay(overlay)?;
        let (file, _) = settings(&manifests)?;
        let name = file["cluster"]["dns"]["name"].as_str().context("a name")?;
        let parts: Vec<_> = name.splitn(3, '.').collect();
        let [port, protocol, service] = parts[..] else {
            anyhow::bail!("{name} is no name of a service")
        };
        let ports = &manifests.get("Service", service)?["spec"]["ports"];
        let ports = ports.as_array().context("ports")?;
        let named = |it: &Value| {
            let protocol_of = it["protocol"].as_str().unwrap_or_default().to_lowercase();
            it["name"] == port.trim_start_matches('_') && protocol_of == protocol.trim_start_matches('_')
        };
        assert!(ports.iter().any(named), "{name}: {ports:?}");
        let shard = manifests.workload("campanile-shard")?;
        assert_eq!(shard.0["spec"]["serviceName"], service);
    }
    Ok(())
}

#[test]
fn production_asks_the_sentinels_that_there_are_for_shards_of_two_pods() -> Result<()> {
    let manifests = Manifests::overlay("production")?;
    let (file, variables) = settings(&manifests)?;
    let sentinels = pods(manifests.workload("campanile-sentinel")?)?;
    let expected: Vec<_> = sentinels.iter().map(|host| format!("{host}:26379")).collect();
    let url = variable(&variables, "CAMPANILE_CLUSTER_DNS_URL")?;
    let (_, place) = url.rsplit_once('@').context("who it is")?;
    assert_eq!(place, format!("{}/{{name}}", expected.join(",")));
    let mark = file["cluster"]["dns"]["replica_mark"]
        .as_str()
        .context("a mark")?;
    let (first, second) = (
        pods(manifests.workload("campanile-shard")?)?,
        pods(manifests.workload("campanile-shard-replica")?)?,
    );
    assert_eq!(
        second
            .iter()
            .map(|it| it.replacen(mark, "", 1))
            .collect::<Vec<_>>(),
        first
    );
    Ok(())
}

/// The names of a StatefulSet's pods, as its headless service gives them.
fn pods(set: Workload<'_>) -> Result<Vec<String>> {
    let spec = &set.0["spec"];
    let service = spec["serviceName"].as_str().context("a service")?;
    let replicas = spec["replicas"].as_u64().context("a number of pods")?;
    let name = |number| format!("{}-{number}.{service}", set.name());
    Ok((0..replicas).map(name).collect())
}
