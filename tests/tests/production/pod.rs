//! A pod of a StatefulSet: all its containers, run here.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::process::Output;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use campanile_tests::island::Names;
use campanile_tests::manifests::{Manifests, Mounts, write_files};
use campanile_tests::process::{Process, write_script};
use campanile_tests::wait::SOON;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What every server's configuration says of where it listens.
const EVERYWHERE: &str = "\nbind * -::*\n";

/// How long a hook may take in which everything moves.
const HOOK: Duration = Duration::from_secs(180);

/// A pod, with its volume; it may be between two runs.
#[derive(Debug)]
pub(crate) struct Pod {
    // Before the folders with their logs, which they print when they are dropped.
    running: Vec<Process>,
    set: Set,
    name: String,
    address: Ipv4Addr,
    mounts: Mounts,
    tools: TempDir,
}

/// Which pods a StatefulSet has.
#[derive(Debug, Clone)]
pub(crate) struct Set {
    pub(crate) manifests: Arc<Manifests>,
    pub(crate) name: &'static str,
    pub(crate) names: Names,
    /// Variables that are others than in the manifests.
    pub(crate) variables: BTreeMap<String, String>,
}

impl Pod {
    /// The pod of this number, with an empty volume; nothing runs yet.
    pub(crate) fn new(set: &Set, number: usize) -> Result<Self> {
        let paths = set.paths()?;
        let paths: Vec<&str> = paths.iter().map(String::as_str).collect();
        Ok(Self {
            running: Vec::new(),
            set: set.clone(),
            name: format!("{}-{number}", set.name),
            address: Ipv4Addr::UNSPECIFIED,
            mounts: Mounts::new(&paths)?,
            tools: tempfile::tempdir()?,
        })
    }

    /// Starts its containers at this address, to which its name leads from now on.
    pub(crate) fn start(&mut self, address: Ipv4Addr) -> Result<()> {
        // A Sentinel keeps its configuration on its volume, with where it listened.
        let kept = self.mounts.at("/data").join("sentinel.conf");
        if let Ok(text) = std::fs::read_to_string(&kept) {
            let bind = |address| format!("bind {address}\n");
            std::fs::write(kept, text.replace(&bind(self.address), &bind(address)))?;
        }
        self.address = address;
        self.write_config()?;
        self.write_tool()?;
        for name in self.set.hosts(&self.name)? {
            self.set.names.set(&name, address)?;
        }
        let workload = self.set.manifests.workload(self.set.name)?;
        self.running = workload
            .containers()
            .map(|container| self.start_container(container))
            .collect::<Result<_>>()?;
        Ok(())
    }

    /// SIGTERM to all containers, and their end.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        for mut process in self.running.drain(..) {
            let status = process.terminate(SOON).await?;
            ensure!(status.success(), "{}: {status}", self.name);
        }
        self.leave()
    }

    /// SIGKILL to all containers.
    pub(crate) fn kill(&mut self) -> Result<()> {
        self.running.clear();
        self.leave()
    }

    /// Its name without an address, as that of a pod that there is not.
    fn leave(&self) -> Result<()> {
        for name in self.set.hosts(&self.name)? {
            self.set.names.remove(&name)?;
        }
        Ok(())
    }

    /// Its full name in the DNS.
    pub(crate) fn host(&self) -> Result<String> {
        self.set.hosts(&self.name)?.pop().context("a name")
    }

    /// Its name among the pods of its namespace.
    pub(crate) fn short_host(&self) -> Result<String> {
        let hosts = self.set.hosts(&self.name)?;
        hosts.into_iter().next().context("a name")
    }

    /// Where it listens.
    pub(crate) fn address(&self) -> Ipv4Addr {
        self.address
    }

    /// Whether its Redis follows another one.
    pub(crate) async fn is_replica(&self) -> Result<bool> {
        Ok(self.redis(&["ROLE"]).await?.starts_with("slave"))
    }

    /// Empties its volume, between two runs.
    pub(crate) fn lose_volume(&self) -> Result<()> {
        let volume = self.mounts.at("/data");
        std::fs::remove_dir_all(&volume)?;
        Ok(std::fs::create_dir_all(volume)?)
    }

    /// Whether it runs.
    pub(crate) fn is_there(&self) -> bool {
        !self.running.is_empty()
    }

    /// The manifest's hook that runs before the pod ends.
    pub(crate) async fn pre_stop(&self) -> Result<()> {
        let container = self.first_container()?;
        let output = self
            .exec(&container["lifecycle"]["preStop"]["exec"]["command"])
            .await?;
        ensure!(output.status.success(), "{}: {output:?}", self.name);
        Ok(())
    }

    /// Whether the manifest's probe of the first container succeeds.
    pub(crate) async fn probe(&self, probe: &str) -> Result<bool> {
        let container = self.first_container()?;
        let output = self.exec(&container[probe]["exec"]["command"]).await?;
        Ok(output.status.success())
    }

    /// What `redis-cli` answers in the first container.
    pub(crate) async fn redis(&self, words: &[&str]) -> Result<String> {
        let command = [&["redis-cli"][..], words].concat();
        let output = self.exec(&json!(command)).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// What the Sentinel in it answers to its operator.
    pub(crate) async fn sentinel(&self, words: &[&str]) -> Result<String> {
        let password = self.variables(self.first_container()?)?;
        let password = password.get("REDIS_PASSWORD").context("a password")?;
        let operator = [
            "-p",
            "26379",
            "--no-auth-warning",
            "--user",
            "operator",
            "--pass",
            password,
        ];
        self.redis(&[&operator[..], words].concat()).await
    }

    fn first_container(&self) -> Result<&Value> {
        self.set.manifests.workload(self.set.name)?.container()
    }

    fn write_config(&self) -> Result<()> {
        let manifests = &self.set.manifests;
        let workload = manifests.workload(self.set.name)?;
        for container in workload.containers() {
            for mount in container["volumeMounts"].as_array().into_iter().flatten() {
                let (name, path) = (mount["name"].as_str(), mount["mountPath"].as_str());
                let (name, path) = name.zip(path).context("a mount has a name and a path")?;
                match name {
                    "data" => continue,
                    // Does not outlive a pod.
                    "run" => {
                        let folder = self.mounts.at(path);
                        std::fs::remove_dir_all(&folder)?;
                        std::fs::create_dir_all(folder)?;
                        continue;
                    }
                    _ => {}
                }
                let mut files = manifests.volume(workload, name)?;
                for (file, text) in &mut files {
                    *text = self.mounts.point(text);
                    if file.ends_with(".conf") {
                        ensure!(text.contains(EVERYWHERE), "{file}: {text}");
                        *text = text.replace(EVERYWHERE, &format!("\nbind {}\n", self.address));
                    }
                }
                write_files(&files, &self.mounts.at(path))?;
            }
        }
        Ok(())
    }

    /// A `redis-cli` that goes to this pod's server unless it is told otherwise.
    fn write_tool(&self) -> Result<()> {
        let (address, path) = (self.address, system_path()?);
        let text = format!("PATH='{path}'\nexec redis-cli -h {address} \"$@\"");
        write_script(&self.tools.path().join("redis-cli"), &text)
    }

    fn start_container(&self, container: &Value) -> Result<Process> {
        let mut line = self.words(&container["command"])?;
        line.extend(self.words(&container["args"])?);
        // All that it says into one log, which is printed when a test fails.
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", "exec \"$@\" 1>&2", "sh"])
            .args(line)
            .env_clear()
            .envs(self.variables(container)?)
            .current_dir(self.mounts.at("/data"));
        let name = container["name"].as_str().context("a name")?;
        Process::start(&format!("{}-{name}", self.name), self.tools.path(), command)
    }

    /// Runs a command of the manifest in its first container.
    async fn exec(&self, command: &Value) -> Result<Output> {
        let words = self.words(command)?;
        let (program, arguments) = words.split_first().context("an empty command")?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(self.variables(self.first_container()?)?)
            .kill_on_drop(true);
        let output = tokio::time::timeout(HOOK, command.output()).await;
        output
            .with_context(|| format!("{words:?} does not end"))?
            .map_err(Into::into)
    }

    fn variables(&self, container: &Value) -> Result<BTreeMap<String, String>> {
        let variables = self.set.manifests.environment(container, &self.name)?;
        let mut variables: BTreeMap<_, _> = variables.into_iter().collect();
        for (name, value) in &self.set.variables {
            if let Some(variable) = variables.get_mut(name) {
                variable.clone_from(value);
            }
        }
        let path = format!("{}:{}", self.tools.path().display(), system_path()?);
        variables.insert("PATH".to_owned(), path);
        Ok(variables)
    }

    /// A command of the manifest, with the folders that stand for the container's.
    fn words(&self, command: &Value) -> Result<Vec<String>> {
        let words = command.as_array().into_iter().flatten();
        let word = |word: &Value| Some(self.mounts.point(word.as_str()?));
        words.map(|it| word(it).context("a word")).collect()
    }
}

impl Set {
    /// What the containers mount.
    fn paths(&self) -> Result<Vec<String>> {
        let workload = self.manifests.workload(self.name)?;
        let mounts = workload
            .containers()
            .flat_map(|it| it["volumeMounts"].as_array().into_iter().flatten());
        let paths = mounts.map(|mount| mount["mountPath"].as_str().map(str::to_owned));
        let mut paths: Vec<String> = paths.collect::<Option<_>>().context("a mount has a path")?;
        paths.sort();
        paths.dedup();
        Ok(paths)
    }

    /// A pod's names by its set's headless service, the shortest first.
    fn hosts(&self, pod: &str) -> Result<Vec<String>> {
        let workload = self.manifests.workload(self.name)?.0;
        let service = workload["spec"]["serviceName"].as_str().context("a service")?;
        let namespace = workload["metadata"]["namespace"].as_str();
        let namespace = namespace.context("a namespace")?;
        let name = format!("{pod}.{service}");
        let full = format!("{name}.{namespace}.svc.cluster.local");
        Ok(vec![name, full])
    }
}

fn system_path() -> Result<String> {
    std::env::var("PATH").context("a PATH")
}
