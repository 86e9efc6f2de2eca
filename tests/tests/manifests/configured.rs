//! What the ConfigMaps and Secrets say, asked of the programs that it is for.

use std::collections::BTreeSet;
use std::process::Command;

use anyhow::{Context as _, Result};
use campanile_tests::gateway::{Gateway, GatewayConfig, binary};
use campanile_tests::manifests::{Manifests, Mounts, Workload, write_files};
use serde_json::Value;

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
fn gateways_find_the_store_also_if_they_start_before_it() -> Result<()> {
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
        // The name of a service without an address of its own is not there before a pod is: to a gateway that is a mistake in its
        // configuration, with which it ends.
        assert_ne!(spec["clusterIP"], "None", "{overlay}");
        assert_eq!(spec["type"], "ClusterIP", "{overlay}");
    }
    Ok(())
}

#[test]
fn gateways_find_the_shards_of_the_base() -> Result<()> {
    let manifests = Manifests::overlay("own")?;
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
    Ok(())
}

#[test]
fn production_lists_the_shards_that_sentinel_looks_after() -> Result<()> {
    let manifests = Manifests::overlay("production")?;
    let (file, _) = settings(&manifests)?;
    let sentinel = manifests.workload("campanile-sentinel")?;
    let hosts = pods(sentinel)?;
    let expected: Vec<_> = hosts.iter().map(|host| format!("{host}:26379")).collect();
    let mut names = Vec::new();
    for shard in file["shards"].as_array().context("a list of shards")? {
        let name = shard["name"].as_str().context("a name")?;
        let url = shard["url"].as_str().context("a URL")?;
        let place = url.strip_prefix("redis+sentinel://");
        let (sentinels, service) = place.and_then(|it| it.split_once('/')).context("a service")?;
        assert_eq!(service, name);
        assert_eq!(sentinels.split(',').collect::<Vec<_>>(), expected);
        names.push(name.to_owned());
    }
    let variables = manifests.environment(sentinel.container()?, "campanile-sentinel-0")?;
    let watched: Vec<_> = variable(&variables, "SHARDS")?.split(' ').collect();
    assert_eq!(watched, names);
    for set in ["campanile-shard", "campanile-shard-replica"] {
        let set = manifests.workload(set)?;
        assert_eq!(pods(set)?.len(), names.len());
        let start = manifests.volume(set, "start")?;
        let start = start.get("start.sh").context("a script")?;
        for host in &hosts {
            let (pod, service) = host.split_once('.').context("a pod's name")?;
            let (pods, _) = pod.rsplit_once('-').context("a number")?;
            assert!(start.contains(&format!("{pods}-$index.{service}")), "{start}");
        }
    }
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
