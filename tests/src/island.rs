//! A part of a test that has a network and names of its own.
//!
//! A thread in a network namespace with nothing but a loopback, where every port and every address of `127.0.0.0/8` is free,
//! and in a mount namespace, where the files by which the system looks names up are others. What is started there — threads,
//! processes — begins in the same namespaces. The kernel removes both when the last of these has gone, however it went.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::future::Future;
use std::io::Write as _;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};
use nix::sched::{CloneFlags, unshare};
use parking_lot::Mutex;
use tempfile::TempDir;
use tokio::runtime;

/// Where programs on the island ask for names that have no address, on UDP port 53.
pub const NAME_SERVER: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 53);

/// The names that have an address on the island. Clones share them.
#[derive(Debug, Clone)]
pub struct Names(Arc<Mutex<Known>>);

#[derive(Debug)]
struct Known {
    hosts: BTreeMap<String, Ipv4Addr>,
    file: PathBuf,
    _dir: TempDir,
}

/// Runs a test on an island where names are completed with these `domains`.
///
/// # Errors
/// Those of the test, and when the island cannot be made: that needs root, or a user namespace.
///
/// # Panics
/// When the test does.
pub fn run<T, F>(domains: &[String], test: T) -> Result<()>
where
    T: FnOnce(Names) -> F + Send + 'static,
    F: Future<Output = Result<()>>,
{
    let names = Names::new(domains)?;
    let thread = std::thread::Builder::new().name("island".to_owned());
    let thread = thread.spawn(move || {
        names.settle()?;
        let runtime = runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()?;
        runtime.block_on(test(names))
    })?;
    match thread.join() {
        Ok(outcome) => outcome,
        Err(panic) => std::panic::resume_unwind(panic),
    }
}

impl Names {
    fn new(domains: &[String]) -> Result<Self> {
        let dir = tempfile::tempdir()?;
        let file = |name: &str| dir.path().join(name);
        fs::write(file("nsswitch.conf"), "hosts: files dns\n")?;
        // As Kubernetes writes it for a pod.
        let resolver = format!(
            "search {}\nnameserver {NAME_SERVER}\noptions ndots:5\n",
            domains.join(" ")
        );
        fs::write(file("resolv.conf"), resolver)?;
        let known = Known {
            hosts: BTreeMap::from([("localhost".to_owned(), Ipv4Addr::LOCALHOST)]),
            file: file("hosts"),
            _dir: dir,
        };
        known.write()?;
        Ok(Self(Arc::new(Mutex::new(known))))
    }

    /// Takes the calling thread to the island, for good.
    fn settle(&self) -> Result<()> {
        unshare(CloneFlags::CLONE_NEWNET | CloneFlags::CLONE_NEWNS).context(
            "making namespaces: this needs root, or a user namespace: `unshare --user --map-root-user make e2e TEST=production`",
        )?;
        // What is mounted here is seen here alone.
        call("mount", &["--make-rprivate", "/"])?;
        let known = self.0.lock();
        let folder = known.file.parent().context("a folder")?;
        for name in ["hosts", "nsswitch.conf", "resolv.conf"] {
            let (ours, theirs) = (folder.join(name), Path::new("/etc").join(name));
            call(
                "mount",
                &["--bind", &ours.to_string_lossy(), &theirs.to_string_lossy()],
            )?;
        }
        call("ip", &["link", "set", "lo", "up"])
    }

    /// Gives a name an address, another one if it has one.
    pub fn set(&self, name: &str, address: Ipv4Addr) -> Result<()> {
        let mut known = self.0.lock();
        known.hosts.insert(name.to_owned(), address);
        known.write()
    }

    /// Takes a name's address away.
    pub fn remove(&self, name: &str) -> Result<()> {
        let mut known = self.0.lock();
        known.hosts.remove(name);
        known.write()
    }
}

impl Known {
    fn write(&self) -> Result<()> {
        let mut text = String::new();
        for (name, address) in &self.hosts {
            writeln!(text, "{address} {name}")?;
        }
        // In place, because what is mounted is this file, not its name; and never shorter, so that there is no moment without names.
        let mut file = fs::File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(&self.file)?;
        let missing = usize::try_from(file.metadata()?.len())?.saturating_sub(text.len());
        text.extend(std::iter::repeat_n('\n', missing));
        Ok(file.write_all(text.as_bytes())?)
    }
}

fn call(program: &str, arguments: &[&str]) -> Result<()> {
    let status = Command::new(program)
        .args(arguments)
        .status()
        .with_context(|| format!("starting `{program}`"))?;
    ensure!(status.success(), "`{program} {}`: {status}", arguments.join(" "));
    Ok(())
}
