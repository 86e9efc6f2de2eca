//! The Kubernetes manifests in `k8s/`, as `kubectl apply -k` would send them.
//!
//! They are built in a copy, where what an overlay leaves to its user is brought along: each `NAME.example` becomes `NAME`,
//! and there is a certificate.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use parking_lot::Mutex;
use rcgen::{CertificateParams, KeyPair};
use serde_json::Value;
use tempfile::TempDir;

/// The overlays, and what somebody's own looks like who takes the base as it is.
pub const OVERLAYS: [&str; 4] = ["dev", "production", "existing-redis", "own"];

/// The overlay `own`.
const OWN: &str = "
namespace: campanile
resources: [../../base]
secretGenerator:
  - { name: campanile-gateway, envs: [gateway.env] }
  - { name: campanile-redis, envs: [redis.env] }
  - { name: campanile-tls, type: kubernetes.io/tls, files: [tls.crt, tls.key] }
";

/// What kustomize makes of a folder.
#[derive(Debug)]
pub struct Manifests {
    /// The folder's name.
    pub name: String,
    /// All of it as text.
    pub text: String,
    /// The objects.
    pub objects: Vec<Value>,
}

/// An object that runs pods: a Deployment or a StatefulSet.
#[derive(Debug, Clone, Copy)]
pub struct Workload<'a>(pub &'a Value);

impl Manifests {
    /// All overlays.
    pub fn all() -> Result<Vec<Arc<Self>>> {
        OVERLAYS.into_iter().map(Self::overlay).collect()
    }

    /// An overlay, built once for all tests of a program.
    pub fn overlay(name: &str) -> Result<Arc<Self>> {
        static BUILT: Mutex<BTreeMap<String, Arc<Manifests>>> = Mutex::new(BTreeMap::new());
        let mut built = BUILT.lock();
        if let Some(known) = built.get(name) {
            return Ok(Arc::clone(known));
        }
        let new = Arc::new(Self::build(name)?);
        built.insert(name.to_owned(), Arc::clone(&new));
        Ok(new)
    }

    fn build(name: &str) -> Result<Self> {
        let copy = tempfile::tempdir()?;
        copy_folder(&source("k8s"), copy.path())?;
        let overlays = copy.path().join("overlays");
        let folder = overlays.join(name);
        if name == "own" {
            copy_folder(&overlays.join("production"), &folder)?;
            fs::write(folder.join("kustomization.yaml"), OWN)?;
        }
        bring_along(&folder)?;
        let mut command = Command::new(kubectl());
        command.arg("kustomize").arg(&folder);
        let output = command
            .output()
            .context("starting kubectl; `make setup` installs it")?;
        ensure!(
            output.status.success(),
            "{name} does not build (kubectl must be 1.27 or later): {}",
            String::from_utf8_lossy(&output.stderr)
        );
        let text = String::from_utf8(output.stdout)?;
        let objects = text.split("\n---\n").map(serde_yaml_ng::from_str);
        let objects = objects.collect::<Result<_, _>>()?;
        Ok(Self {
            name: name.to_owned(),
            text,
            objects,
        })
    }

    /// The objects of a kind.
    pub fn of_kind<'a>(&'a self, kind: &str) -> impl Iterator<Item = &'a Value> {
        self.objects.iter().filter(move |object| object["kind"] == kind)
    }

    /// The object of this kind and name.
    pub fn get(&self, kind: &str, name: &str) -> Result<&Value> {
        let mut named = self
            .of_kind(kind)
            .filter(|object| object["metadata"]["name"] == name);
        named
            .next()
            .with_context(|| format!("{}: no {kind} {name}", self.name))
    }

    /// What runs pods.
    pub fn workloads(&self) -> Vec<Workload<'_>> {
        let runs_pods = |object: &&Value| object["spec"]["template"]["spec"].is_object();
        self.objects.iter().filter(runs_pods).map(Workload).collect()
    }

    /// The Deployment or StatefulSet of this name.
    pub fn workload(&self, name: &str) -> Result<Workload<'_>> {
        let found = self.workloads().into_iter().find(|it| it.name() == name);
        found.with_context(|| format!("{}: nothing called {name} runs", self.name))
    }

    /// What a ConfigMap or a Secret holds, decoded.
    pub fn data(&self, kind: &str, name: &str) -> Result<BTreeMap<String, String>> {
        let object = self.get(kind, name)?;
        let mut data = BTreeMap::new();
        for (key, value) in object["data"].as_object().into_iter().flatten() {
            let value = value.as_str().context("data are texts")?;
            let value = match kind {
                // In lines, if it is long.
                "Secret" => String::from_utf8(STANDARD.decode(value.replace('\n', ""))?)?,
                _ => value.to_owned(),
            };
            data.insert(key.clone(), value);
        }
        Ok(data)
    }

    /// The files of a volume that holds a ConfigMap or a Secret.
    pub fn volume(&self, workload: Workload<'_>, volume: &str) -> Result<BTreeMap<String, String>> {
        let mut volumes = workload.pod()["volumes"].as_array().into_iter().flatten();
        let found = volumes.find(|it| it["name"] == volume);
        let found = found.with_context(|| format!("{}: no volume {volume}", workload.name()))?;
        match (
            found["configMap"]["name"].as_str(),
            found["secret"]["secretName"].as_str(),
        ) {
            (Some(name), _) => self.data("ConfigMap", name),
            (_, Some(name)) => self.data("Secret", name),
            (None, None) => Ok(BTreeMap::new()),
        }
    }

    /// The variables that a container's processes see, in the order in which Kubernetes sets them, each with `$(NAME)`
    /// replaced by what was set before.
    pub fn environment(&self, container: &Value, pod: &str) -> Result<Vec<(String, String)>> {
        let mut variables = Vec::new();
        for source in container["envFrom"].as_array().into_iter().flatten() {
            let data = match (
                source["secretRef"]["name"].as_str(),
                source["configMapRef"]["name"].as_str(),
            ) {
                (Some(name), _) => self.data("Secret", name)?,
                (_, Some(name)) => self.data("ConfigMap", name)?,
                (None, None) => anyhow::bail!("variables from nowhere: {source}"),
            };
            variables.extend(data);
        }
        for variable in container["env"].as_array().into_iter().flatten() {
            let name = variable["name"].as_str().context("a variable has a name")?;
            if let Some(value) = self.value(variable, pod, &variables)? {
                variables.push((name.to_owned(), value));
            }
        }
        Ok(variables)
    }

    /// The value of a variable. `None`: it is optional, and nobody has set it.
    fn value(&self, variable: &Value, pod: &str, before: &[(String, String)]) -> Result<Option<String>> {
        let from = &variable["valueFrom"];
        for (reference, kind) in [("secretKeyRef", "Secret"), ("configMapKeyRef", "ConfigMap")] {
            if let Some(name) = from[reference]["name"].as_str() {
                let key = from[reference]["key"].as_str().context("a reference has a key")?;
                let value = self.data(kind, name)?.remove(key);
                let optional = from[reference]["optional"] == true;
                ensure!(value.is_some() || optional, "{kind} {name} has no {key}");
                return Ok(value);
            }
        }
        if from["fieldRef"]["fieldPath"] == "metadata.name" {
            return Ok(Some(pod.to_owned()));
        }
        let text = variable["value"]
            .as_str()
            .with_context(|| format!("no value: {variable}"))?;
        let mut value = text.to_owned();
        for (name, set) in before {
            value = value.replace(&format!("$({name})"), set);
        }
        ensure!(!value.contains("$("), "{value}: set too late, or not at all");
        Ok(Some(value))
    }
}

impl<'a> Workload<'a> {
    /// Its name.
    pub fn name(self) -> &'a str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// What its pods are.
    pub fn pod(self) -> &'a Value {
        &self.0["spec"]["template"]["spec"]
    }

    /// The labels of its pods.
    pub fn labels(self) -> &'a Value {
        &self.0["spec"]["template"]["metadata"]["labels"]
    }

    /// Which part of the deployment it is.
    pub fn component(self) -> &'a str {
        let component = &self.labels()["app.kubernetes.io/component"];
        component.as_str().unwrap_or_default()
    }

    /// The containers of its pods.
    pub fn containers(self) -> impl Iterator<Item = &'a Value> {
        self.pod()["containers"].as_array().into_iter().flatten()
    }

    /// Its one container.
    pub fn container(self) -> Result<&'a Value> {
        self.containers().next().context("a pod has a container")
    }

    /// The ports of its pods: name, number and protocol.
    pub fn ports(self) -> Vec<(&'a str, u64, &'a str)> {
        let ports = self
            .containers()
            .flat_map(|container| container["ports"].as_array().into_iter().flatten());
        let port = |port: &'a Value| {
            let protocol = port["protocol"].as_str().unwrap_or("TCP");
            Some((port["name"].as_str()?, port["containerPort"].as_u64()?, protocol))
        };
        ports.filter_map(port).collect()
    }
}

/// Whether labels fit a selector: `matchLabels` and `matchExpressions` with `In`.
///
/// # Panics
/// When the selector asks for something else.
pub fn selects(selector: &Value, labels: &Value) -> bool {
    let mut equal = selector["matchLabels"].as_object().into_iter().flatten();
    let mut asked = selector["matchExpressions"].as_array().into_iter().flatten();
    equal.all(|(key, value)| labels[key] == *value)
        && asked.all(|asked| {
            assert_eq!(asked["operator"], "In", "{asked}");
            let key = asked["key"].as_str().expect("an expression has a key");
            let mut values = asked["values"].as_array().into_iter().flatten();
            values.any(|value| labels[key] == *value)
        })
}

/// A file or folder of the repository.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

/// The tests' own `kubectl`, where `make setup` found none that will do; else the machine's.
fn kubectl() -> PathBuf {
    let own = source("tests/kubernetes/kubectl/node_modules/kubectl/kubectl");
    if own.exists() { own } else { "kubectl".into() }
}

/// Puts what an overlay leaves to its user where it belongs.
fn bring_along(folder: &Path) -> Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "example") {
            fs::copy(&path, path.with_extension(""))?;
        }
    }
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(["campanile.example.com".to_owned()])?.self_signed(&key)?;
    fs::write(folder.join("tls.crt"), certificate.pem())?;
    fs::write(folder.join("tls.key"), key.serialize_pem())?;
    Ok(())
}

/// Copies a folder, but for what a user has put into it.
fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy_folder(&entry.path(), &target)?;
        } else if entry
            .path()
            .extension()
            .is_none_or(|extension| extension != "env")
        {
            fs::copy(entry.path(), target)?;
        }
    }
    Ok(())
}

/// Writes each of these files into a folder.
pub fn write_files(files: &BTreeMap<String, String>, folder: &Path) -> Result<()> {
    fs::create_dir_all(folder)?;
    for (name, text) in files {
        fs::write(folder.join(name), text)?;
    }
    Ok(())
}

/// Folders that stand for paths of a container: scripts and configurations that name a path are pointed there.
#[derive(Debug)]
pub struct Mounts {
    dir: TempDir,
    paths: Vec<String>,
}

impl Mounts {
    /// Folders for these paths.
    pub fn new(paths: &[&str]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        for path in paths {
            fs::create_dir_all(dir.path().join(path.trim_start_matches('/')))?;
        }
        Ok(Self {
            dir,
            paths: paths.iter().map(|path| (*path).to_owned()).collect(),
        })
    }

    /// The folder that stands for this path.
    pub fn at(&self, path: &str) -> PathBuf {
        self.dir.path().join(path.trim_start_matches('/'))
    }

    /// `text` with every path replaced by its folder. Of two of which one begins with the other, the longer one counts.
    pub fn point(&self, text: &str) -> String {
        let mut paths = self.paths.clone();
        paths.sort_by_key(|path| std::cmp::Reverse(path.len()));
        let mark = |index| format!("\0{index}\0");
        let mut text = text.to_owned();
        for (index, path) in paths.iter().enumerate() {
            text = text.replace(path, &mark(index));
        }
        for (index, path) in paths.iter().enumerate() {
            text = text.replace(&mark(index), &self.at(path).display().to_string());
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use anyhow::Result;

    use super::Mounts;

    #[test]
    fn a_path_that_begins_with_another_one_is_itself() -> Result<()> {
        let mounts = Mounts::new(&["/etc/a", "/etc/a-b"])?;
        let (a, b) = (mounts.at("/etc/a"), mounts.at("/etc/a-b"));
        let expected = format!("{}/x {}/y", a.display(), b.display());
        assert_eq!(mounts.point("/etc/a/x /etc/a-b/y"), expected);
        Ok(())
    }
}
