//! A pod of a StatefulSet: its one container, run here.

use std::collections::BTreeMap;
use std::process::Output;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use campanile_tests::manifests::{Manifests, Mounts, write_files};
use campanile_tests::process::{Process, write_script};
use campanile_tests::redis::free_port;
use campanile_tests::wait::SOON;
use serde_json::{Value, json};
use tempfile::TempDir;

/// What the manifests mount.
const PATHS: [&str; 3] = ["/data", "/etc/redis", "/run/redis"];

/// The variable with the password of the user that gateways are.
const PASSWORD: &str = "GATEWAY_PASSWORD";

/// How long a hook may take in which everything moves.
const HOOK: Duration = Duration::from_secs(300);

/// A Redis as a manifest runs it.
#[derive(Debug)]
pub(crate) struct Pod {
    // Before the folder with its log, which it prints when it is dropped.
    process: Process,
    container: Container,
}

/// Where the pod's commands run.
#[derive(Debug)]
struct Container {
    /// The pod's full name in the DNS.
    host: String,
    port: u16,
    spec: Value,
    variables: BTreeMap<String, String>,
    mounts: Mounts,
    tools: TempDir,
}

impl Pod {
    /// Starts the pod of this number and waits until it answers.
    pub(crate) async fn start(manifests: &Manifests, set: &str, number: usize) -> Result<Self> {
        // Between the look and the start somebody else may take the port: then the server ends at once.
        for _ in 0..10 {
            let container = Container::new(manifests, set, number)?;
            let process = container.start()?;
            let mut pod = Self { process, container };
            if pod.answers().await? {
                return Ok(pod);
            }
        }
        bail!("{set}-{number} did not start on any of ten ports")
    }

    /// Starts it again with the volume of before, as Kubernetes does after an update.
    pub(crate) async fn start_again(&mut self) -> Result<()> {
        self.process.kill();
        self.process = self.container.start()?;
        if !self.answers().await? {
            bail!("{} did not come back", self.host())
        }
        Ok(())
    }

    /// Its full name in the DNS.
    pub(crate) fn host(&self) -> &str {
        &self.container.host
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.container.port
    }

    /// What lets gateways in.
    pub(crate) fn password(&self) -> &str {
        &self.container.variables[PASSWORD]
    }

    /// Sets a variable for what is run from now on.
    pub(crate) fn set(&mut self, variable: &str, value: &str) {
        let variables = &mut self.container.variables;
        variables.insert(variable.to_owned(), value.to_owned());
    }

    /// The manifest's hook that runs before the pod ends.
    pub(crate) async fn pre_stop(&self) -> Result<Output> {
        let hook = &self.container.spec["lifecycle"]["preStop"]["exec"]["command"];
        self.container.exec(hook).await
    }

    /// Whether the manifest's probe (`readinessProbe`, `livenessProbe`) succeeds.
    pub(crate) async fn probe(&self, probe: &str) -> Result<bool> {
        let command = &self.container.spec[probe]["exec"]["command"];
        Ok(self.container.exec(command).await?.status.success())
    }

    /// What `redis-cli` answers in the container.
    pub(crate) async fn redis(&self, words: &[&str]) -> Result<String> {
        let command = [&["redis-cli"][..], words].concat();
        let output = self.container.exec(&json!(command)).await?;
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    }

    /// It keeps its connections, and answers nothing any more.
    pub(crate) fn pause(&self) {
        self.process.pause();
    }

    /// SIGTERM, and the end, in an orderly way.
    pub(crate) async fn terminate(&mut self) -> Result<()> {
        let status = self.process.terminate(SOON).await?;
        assert!(status.success(), "{}: {status}", self.host());
        Ok(())
    }

    /// The files of its volume, as text.
    pub(crate) fn append_only_file(&self) -> Result<String> {
        let mut text = String::new();
        let folder = self.container.mounts.at("/data").join("appendonlydir");
        for entry in std::fs::read_dir(folder)? {
            text.push_str(&String::from_utf8_lossy(&std::fs::read(entry?.path())?));
        }
        Ok(text)
    }

    /// Waits until it answers; `false`: it has ended.
    async fn answers(&mut self) -> Result<bool> {
        let id = format!("process_id:{}", self.process.id());
        for _ in 0..750 {
            if !self.process.is_running() {
                return Ok(false);
            }
            let info = self.redis(&["INFO", "server"]).await?;
            if info.lines().any(|line| line.trim() == id) {
                return Ok(true);
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        bail!("{} does not answer", self.host())
    }
}

impl Container {
    /// The container of a set's pod, with its configuration and its tools in place.
    fn new(manifests: &Manifests, set: &str, number: usize) -> Result<Self> {
        let workload = manifests.workload(set)?;
        let text = |value: &Value| value.as_str().map(str::to_owned).context("a text");
        let service = text(&workload.0["spec"]["serviceName"])?;
        let namespace = text(&workload.0["metadata"]["namespace"])?;
        let name = format!("{set}-{number}");
        let spec = workload.container()?.clone();
        let container = Self {
            host: format!("{name}.{service}.{namespace}.svc.cluster.local"),
            port: free_port()?,
            variables: manifests.environment(&spec, &name)?.into_iter().collect(),
            spec,
            mounts: Mounts::new(&PATHS)?,
            tools: tempfile::tempdir()?,
        };
        container.write_config(manifests.volume(workload, "config")?)?;
        container.write_tool()?;
        Ok(container)
    }

    fn write_config(&self, mut files: BTreeMap<String, String>) -> Result<()> {
        let (host, port) = (&self.host, self.port);
        let password = self.variables.get(PASSWORD).context("a password")?;
        let rules = files.get("gateway.acl").context("what gateways may do")?;
        let rules: Vec<_> = rules.lines().filter(|line| !line.starts_with('#')).collect();
        let rules = rules.join(" ");
        let file = files.get_mut("redis.conf").context("a configuration")?;
        *file = self.mounts.point(file);
        // The last of each counts.
        file.push_str(&format!(
            "\nport {port}\nbind 127.0.0.1\nuser {host} on >{password} {rules}\n"
        ));
        write_files(&files, &self.mounts.at("/etc/redis"))
    }

    /// A `redis-cli` that goes to this pod's server.
    fn write_tool(&self) -> Result<()> {
        let (port, path) = (self.port, system_path()?);
        let text = format!("PATH='{path}'\nexec redis-cli -p {port} \"$@\"");
        write_script(&self.tools.path().join("redis-cli"), &text)
    }

    /// Runs the manifest's start command.
    fn start(&self) -> Result<Process> {
        let mut line = self.words(&self.spec["command"])?;
        line.extend(self.words(&self.spec["args"])?);
        let (program, arguments) = line.split_first().context("an empty command")?;
        let mut command = std::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .env("PATH", system_path()?)
            .current_dir(self.mounts.at("/data"));
        Process::start("redis", self.tools.path(), command)
    }

    /// Runs a command of the manifest beside it.
    async fn exec(&self, command: &Value) -> Result<Output> {
        let words = self.words(command)?;
        let (program, arguments) = words.split_first().context("an empty command")?;
        let mut command = tokio::process::Command::new(program);
        command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .env(
                "PATH",
                format!("{}:{}", self.tools.path().display(), system_path()?),
            )
            .kill_on_drop(true);
        let output = tokio::time::timeout(HOOK, command.output()).await;
        output
            .with_context(|| format!("{words:?} does not end"))?
            .map_err(Into::into)
    }

    /// A command of the manifest, with the folders that stand for the container's.
    fn words(&self, command: &Value) -> Result<Vec<String>> {
        let words = command.as_array().context("a command is a list")?.iter();
        let word = |word: &Value| Some(self.mounts.point(word.as_str()?));
        words.map(|it| word(it).context("a word")).collect()
    }
}

fn system_path() -> Result<String> {
    std::env::var("PATH").context("a PATH")
}
