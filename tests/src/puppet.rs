//! The official SDKs, as they come from their registries, driven line by line.
//!
//! The scripts in `tests/sdk` take commands and print answers and events as JSON lines; what happens in a scenario is
//! written in the test.

use std::collections::HashMap;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::wait::{SOON, until};

/// Which SDK, and which of its codecs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sdk {
    /// `centrifuge` for JavaScript, JSON.
    JsJson,
    /// `centrifuge` for JavaScript, Protobuf.
    JsProtobuf,
    /// `centrifuge-python`, JSON.
    PythonJson,
    /// `centrifuge-python`, Protobuf.
    PythonProtobuf,
}

impl Sdk {
    /// All of them.
    pub const ALL: [Self; 4] = [
        Self::JsJson,
        Self::JsProtobuf,
        Self::PythonJson,
        Self::PythonProtobuf,
    ];

    fn codec(self) -> &'static str {
        match self {
            Self::JsJson | Self::PythonJson => "json",
            Self::JsProtobuf | Self::PythonProtobuf => "protobuf",
        }
    }
}

/// An error that an SDK reported for a command; code 0 when it did not come from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SdkError {
    /// The protocol's code.
    pub code: u64,
    /// The SDK's text.
    pub message: String,
}

type Waiting = HashMap<u64, oneshot::Sender<Result<Value, SdkError>>>;

#[derive(Debug, Default)]
struct Shared {
    events: Mutex<Vec<Value>>,
    waiting: Mutex<Waiting>,
}

/// A script that obeys, and what it has said so far. Ends when dropped.
#[derive(Debug)]
pub struct Puppet {
    _child: Child,
    stdin: tokio::sync::Mutex<ChildStdin>,
    next: AtomicU64,
    shared: Arc<Shared>,
}

impl Puppet {
    /// Starts an SDK's puppet, not yet connected.
    pub fn start(sdk: Sdk) -> Result<Self> {
        match sdk {
            Sdk::JsJson | Sdk::JsProtobuf => Self::node("puppet.mjs", &[sdk.codec()]),
            Sdk::PythonJson | Sdk::PythonProtobuf => Self::python("puppet.py", &[sdk.codec()]),
        }
    }

    /// Starts an SDK as a judge of numbered publications, not yet connected; see `tally.mjs`.
    pub fn start_tally(sdk: Sdk) -> Result<Self> {
        match sdk {
            Sdk::JsJson | Sdk::JsProtobuf => Self::node("tally.mjs", &[sdk.codec()]),
            Sdk::PythonJson | Sdk::PythonProtobuf => Self::python("tally.py", &[sdk.codec()]),
        }
    }

    /// Starts `cent`, the Python library of the server API.
    pub fn start_api(gateway_url: &str, key: &str) -> Result<Self> {
        Self::python("api.py", &[&format!("{gateway_url}/api"), key])
    }

    /// Starts a script of `tests/sdk/js`.
    pub fn node(script: &str, arguments: &[&str]) -> Result<Self> {
        let dir = sdk_dir("js");
        let mut command = Command::new("node");
        command.arg(dir.join(script)).args(arguments);
        Self::spawn(command, &dir)
    }

    fn python(script: &str, arguments: &[&str]) -> Result<Self> {
        let dir = sdk_dir("python");
        let mut command = Command::new(dir.join(".venv/bin/python"));
        command.arg(dir.join(script)).args(arguments);
        Self::spawn(command, &dir)
    }

    fn spawn(mut command: Command, dir: &Path) -> Result<Self> {
        let mut child = command
            .current_dir(dir)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("starting {command:?}; `make setup` installs the SDKs"))?;
        let stdin = child.stdin.take().context("no standard input")?;
        let stdout = child.stdout.take().context("no standard output")?;
        let shared = Arc::new(Shared::default());
        tokio::spawn(listen(BufReader::new(stdout).lines(), Arc::clone(&shared)));
        Ok(Self {
            _child: child,
            stdin: stdin.into(),
            next: AtomicU64::new(1),
            shared,
        })
    }

    /// Sends a command and waits for its answer.
    ///
    /// # Errors
    /// The outer error is for a script that does not answer, the inner one is the SDK's.
    pub async fn try_call(&self, mut command: Value) -> Result<Result<Value, SdkError>> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, receiver) = oneshot::channel();
        self.shared
            .waiting
            .lock()
            .expect("no panic while held")
            .insert(id, sender);
        command["id"] = json!(id);
        self.stdin
            .lock()
            .await
            .write_all(format!("{command}\n").as_bytes())
            .await?;
        let answer = timeout(Duration::from_secs(90), receiver).await;
        answer
            .with_context(|| format!("no answer to {command}"))?
            .with_context(|| format!("ended at {command}"))
    }

    /// Sends a command that must succeed.
    pub async fn call(&self, command: Value) -> Result<Value> {
        let shown = command.to_string();
        let answer = self.try_call(command).await?;
        answer.map_err(|error| anyhow::anyhow!("{shown}: error {}: {}", error.code, error.message))
    }

    /// Connects with a token; returns when connected.
    pub async fn connect(&self, url: &str, token: &str) -> Result<()> {
        self.call(json!({ "do": "connect", "url": url, "token": token }))
            .await?;
        self.event("connected", |_| true).await;
        Ok(())
    }

    /// Subscribes; returns when subscribed, with the event.
    pub async fn subscribe(&self, channel: &str) -> Result<Value> {
        self.call(json!({ "do": "subscribe", "channel": channel }))
            .await?;
        Ok(self
            .event("subscribed", |event| event["channel"] == channel)
            .await)
    }

    /// Publishes as a client.
    pub async fn publish(&self, channel: &str, data: &Value) -> Result<()> {
        self.call(json!({ "do": "publish", "channel": channel, "data": data }))
            .await
            .map(drop)
    }

    /// All events so far, oldest first.
    pub fn events(&self) -> Vec<Value> {
        self.shared.events.lock().expect("no panic while held").clone()
    }

    /// The events of a name so far, oldest first.
    pub fn events_of(&self, name: &str) -> Vec<Value> {
        self.events()
            .into_iter()
            .filter(|event| event["event"] == name)
            .collect()
    }

    /// The data of the publications of a channel so far, in the order of arrival.
    pub fn received(&self, channel: &str) -> Vec<Value> {
        let publications = self.events_of("publication").into_iter();
        publications
            .filter(|event| event["channel"] == channel)
            .map(|event| event["data"].clone())
            .collect()
    }

    /// Forgets the events so far.
    pub fn forget_events(&self) {
        self.shared.events.lock().expect("no panic while held").clear();
    }

    /// Waits for an event of this name that `matches`, also one that has come already.
    #[track_caller]
    pub fn event(&self, name: &str, matches: impl Fn(&Value) -> bool) -> impl Future<Output = Value> {
        self.event_within(SOON, name, matches)
    }

    /// As [`event`](Self::event), with a deadline.
    #[track_caller]
    pub fn event_within(
        &self,
        deadline: Duration,
        name: &str,
        matches: impl Fn(&Value) -> bool,
    ) -> impl Future<Output = Value> {
        until(format!("the SDK reports `{name}`"), deadline, move || {
            let found = self.events_of(name).into_iter().find(|event| matches(event));
            async move { found }
        })
    }
}

async fn listen(mut lines: Lines<BufReader<ChildStdout>>, shared: Arc<Shared>) {
    while let Ok(Some(line)) = lines.next_line().await {
        let Ok(said) = serde_json::from_str::<Value>(&line) else {
            continue;
        };
        let Some(id) = said["re"].as_u64() else {
            shared.events.lock().expect("no panic while held").push(said);
            continue;
        };
        if let Some(waiting) = shared.waiting.lock().expect("no panic while held").remove(&id) {
            // The caller may have given up.
            let _ = waiting.send(answer(&said));
        }
    }
    // Whoever still waits learns that no answer comes.
    shared.waiting.lock().expect("no panic while held").clear();
}

fn answer(said: &Value) -> Result<Value, SdkError> {
    match said.get("error") {
        None => Ok(said["ok"].clone()),
        Some(error) => Err(SdkError {
            code: error["code"].as_u64().unwrap_or_default(),
            message: error["message"].as_str().unwrap_or_default().to_owned(),
        }),
    }
}

fn sdk_dir(language: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("sdk").join(language)
}
