use std::io::{BufRead as _, BufReader};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, UdpSocket};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use super::find::inodes;
use super::usage::Stat;
use super::{Memory, NotFound, Sample, Usage, Watched, Watcher, listening_at, of};
use crate::run::{Clock, Stamp};
use crate::target::{Shard, Target};

/// Burns CPU when it is given a line, until its input ends.
const BUSY: &str =
    "echo ready; while read -r line; do i=0; while [ $i -lt 200000 ]; do i=$((i+1)); done; echo done; done";

/// A process that works when it is told to.
struct Worker {
    child: Child,
    output: BufReader<std::process::ChildStdout>,
}

impl Worker {
    fn start() -> Self {
        let mut child = Command::new("sh")
            .args(["-c", BUSY])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let output = BufReader::new(child.stdout.take().unwrap());
        let mut worker = Self { child, output };
        worker.wait_for("ready");
        worker
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn work(&mut self) {
        use std::io::Write as _;
        self.child.stdin.as_mut().unwrap().write_all(b"go\n").unwrap();
        self.wait_for("done");
    }

    fn wait_for(&mut self, word: &str) {
        let mut line = String::new();
        self.output.read_line(&mut line).unwrap();
        assert_eq!(line.trim(), word);
    }

    fn end(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The processes that were found at `port` of the loopback address.
fn found(port: u16) -> Result<Vec<u32>, NotFound> {
    listening_at(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
}

/// Beside this process there may be one that another test is about to start, which has our files until then.
fn is_found(port: u16) -> bool {
    found(port).unwrap().contains(&std::process::id())
}

#[test]
fn who_listens_on_a_port_is_found() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    assert!(is_found(port));
}

#[test]
fn who_takes_datagrams_on_a_port_is_found() {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let port = socket.local_addr().unwrap().port();
    assert!(is_found(port));
}

#[test]
fn a_server_elsewhere_is_said_to_be_elsewhere() {
    // TEST-NET-1, which no machine has for an address.
    let address = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);
    let error = listening_at(address).unwrap_err();
    assert!(matches!(error, NotFound::Elsewhere(_)), "{error}");
}

#[test]
fn a_port_where_nothing_listens_is_said_to_be_so() {
    // Nothing can listen on it.
    let error = found(0).unwrap_err();
    assert!(matches!(error, NotFound::NobodyListens(0)), "{error}");
}

#[test]
fn only_sockets_that_listen_on_the_very_port_count() {
    let table = "\
  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode
   0: 0100007F:1F40 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4711 1 0 100 0 0 10 0
   1: 0100007F:1F40 0100007F:A000 01 00000000:00000000 00:00000000 00000000     0        0 4712 1 0 20 4 30 10 -1
   2: 0100007F:1F41 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 4713 1 0 100 0 0 10 0
";
    let listening: Vec<_> = inodes(table, 8000, "0A").into_iter().collect();
    assert_eq!(listening, [4711]);
}

#[test]
fn a_process_is_read_whatever_its_name() {
    let text = "42 (a) b (c) S 1 42 42 0 -1 4194560 1 0 0 0 150 250 0 0 20 0 7 0 12345 1000 200 18446744073709551615";
    let stat = Stat::parse(text).unwrap();
    assert_eq!(stat.started, 12_345);
    assert!(Stat::parse("42 (a").is_none());
}

#[test]
fn a_child_that_works_is_charged_with_it() {
    let mut worker = Worker::start();
    let before = Usage::of(worker.pid(), Memory::Walked).unwrap();
    assert!(before.resident_bytes > 0, "{before:?}");
    assert_eq!(before.threads, 1);
    // The kernel counts in hundredths of a second at the coarsest: some work is more than one of them.
    let mut after = before;
    for _ in 0..100 {
        worker.work();
        after = Usage::of(worker.pid(), Memory::Counted).unwrap();
        if after.cpu_seconds() > before.cpu_seconds() {
            break;
        }
    }
    assert!(after.cpu_seconds() > before.cpu_seconds(), "{after:?}");
}

#[test]
fn each_phase_is_charged_with_its_own_work() {
    let clock = Clock::new();
    let mut worker = Worker::start();
    let pid = worker.pid();
    let mut watcher = Watcher::new(Watched::named("worker", &[pid]));
    watcher.mark("idle", clock.now());
    watcher.mark("busy", clock.now());
    let used = || Usage::of(pid, Memory::Counted).unwrap().cpu_seconds();
    let before = used();
    while used() - before < 0.05 {
        worker.work();
    }
    watcher.mark("rest", clock.now());
    let [seen] = watcher.finish().try_into().unwrap();
    assert_eq!(seen.name, "worker");
    assert!(seen.command.starts_with("sh -c"), "{}", seen.command);
    let phases: Vec<_> = seen.phases().map(|(name, ..)| name).collect();
    assert_eq!(phases, ["idle", "busy"]);
    // What ends one phase begins the next, so nothing is charged twice or to nobody.
    let whole = seen.cpu_between("idle", "rest").unwrap();
    let parts = seen.cpu_between("idle", "busy").unwrap() + seen.cpu_between("busy", "rest").unwrap();
    assert!((whole - parts).abs() < 1e-9, "{whole} and {parts}");
    assert!(seen.cpu_between("busy", "rest").unwrap() > 0.04, "{seen:?}");
    assert_eq!(seen.ended, None);
}

#[test]
fn samples_stay_bounded_however_long_a_run_is() {
    let mut watcher = Watcher::new(Watched::named("self", &[std::process::id()]));
    let begin = Stamp::from_nanoseconds(0);
    for second in 0..3_000 {
        watcher.tick(begin.plus(Duration::from_secs(second)));
    }
    let [seen] = watcher.finish().try_into().unwrap();
    let kept = seen.samples.len();
    assert!((1_000..=super::watch::MAX_SAMPLES).contains(&kept), "{kept}");
    assert!(seen.samples.is_sorted_by(|one, next| one.at < next.at));
}

#[test]
fn a_process_that_ends_is_said_to_have_ended() {
    let clock = Clock::new();
    let mut worker = Worker::start();
    let mut watcher = Watcher::new(Watched::named("worker", &[worker.pid()]));
    watcher.mark("first", clock.now());
    worker.end();
    watcher.mark("second", clock.now());
    let [seen] = watcher.finish().try_into().unwrap();
    assert!(seen.ended.is_some());
    assert!(seen.at("first").is_some());
    assert!(seen.at("second").is_none());
    assert_eq!(seen.cpu_between("first", "second"), None);
}

#[test]
fn cores_are_cpu_time_by_the_time_that_passed() {
    let sample = |milliseconds, user_seconds| Sample {
        at: Stamp::from_nanoseconds(0).plus(Duration::from_millis(milliseconds)),
        usage: Usage {
            user_seconds,
            ..Usage::default()
        },
    };
    let earlier = sample(1_000, 3.0);
    assert_eq!(sample(1_500, 3.75).cores_since(&earlier), Some(1.5));
    assert_eq!(earlier.cores_since(&earlier), None);
}

#[test]
fn the_processes_of_a_local_target_are_found_by_its_address() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let target = Target {
        urls: vec![
            format!("ws://{address}/connection/websocket"),
            "ws://192.0.2.1:8000/connection/websocket".to_owned(),
        ],
        ..Target::default()
    };
    let (watched, missing) = of(&target);
    assert!(
        watched.iter().any(|it| it.pid == std::process::id()),
        "{watched:?}"
    );
    assert!(
        watched.iter().all(|it| it.name.starts_with("gateway-1")),
        "{watched:?}"
    );
    assert_eq!(missing.len(), 1, "{missing:?}");
    assert!(
        missing[0].contains("gateway-2: 192.0.2.1:8000 is not"),
        "{missing:?}"
    );
}

#[test]
fn who_names_one_kind_of_process_need_not_name_the_other() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    let named = |name: &str| Watched {
        name: name.to_owned(),
        pid: 1,
    };
    let names = |process: &str| {
        let target = Target {
            urls: vec![format!("ws://{address}/")],
            shards: vec![Shard {
                name: "a".to_owned(),
                url: format!("redis://{address}"),
            }],
            processes: vec![named(process)],
            ..Target::default()
        };
        let names: Vec<_> = of(&target).0.into_iter().map(|it| it.name).collect();
        (
            names[0].clone(),
            names[1..].iter().all(|name| name.starts_with("gateway-1")),
            names[1..].iter().all(|name| name.starts_with("redis-1")),
            names.len() > 1,
        )
    };
    assert_eq!(names("redis-7"), ("redis-7".to_owned(), true, false, true));
    assert_eq!(names("gateway-7"), ("gateway-7".to_owned(), false, true, true));
}

#[test]
fn several_processes_of_one_server_are_numbered() {
    let names = |pids: &[u32]| -> Vec<_> {
        let named = Watched::named("gateway-0", pids);
        named.into_iter().map(|watched| watched.name).collect()
    };
    assert_eq!(names(&[7]), ["gateway-0"]);
    assert_eq!(names(&[7, 9]), ["gateway-0.0", "gateway-0.1"]);
}
