//! Servers as child processes: the one under test and real Redis, each on a free port in a directory of
//! its own, ended by its process id when the value goes out of scope.

use super::client::Client;
use super::{skip, strict};
use std::fs::File;
use std::io;
use std::net::TcpListener;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a server may take until it answers.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often a start is tried again when another process took the port meanwhile.
const START_ATTEMPTS: usize = 5;
const REDIS_BINARY: &str = "redis-server";

/// Which program a server is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Skerry, or what `SKERRY_BINARY` puts in its place.
    UnderTest,
    /// Redis as the distribution ships it, the other side of comparisons.
    Redis,
}

/// How to start a server.
#[derive(Clone)]
pub struct Start {
    kind: Kind,
    binary: PathBuf,
    shards: Option<usize>,
    cluster: bool,
    defaults: bool,
    gives_port: bool,
    sandbox: Option<Sandbox>,
    arguments: Vec<String>,
}

/// What a server's process does to itself before it becomes the server.
type Sandbox = Arc<dyn Fn() -> io::Result<()> + Send + Sync>;

/// A start of the server under test, or `None` (said on standard output) when it cannot serve here.
pub fn skerry() -> Option<Start> {
    static SERVES: OnceLock<Result<(), String>> = OnceLock::new();
    let start = Start::new(Kind::UnderTest, under_test());
    match SERVES.get_or_init(|| start.clone().try_spawn().map(drop)) {
        Ok(()) => Some(start),
        Err(log) => {
            skip(&format!("{} does not serve: {log}", start.binary.display()));
            None
        }
    }
}

/// A start of real Redis, or `None` (said on standard output) when it is not installed.
pub fn redis() -> Option<Start> {
    if version_of(Path::new(REDIS_BINARY)).is_none() {
        skip("redis-server is not installed");
        return None;
    }
    Some(Start::new(Kind::Redis, PathBuf::from(REDIS_BINARY)))
}

/// Whether the server under test is real Redis, in a dry run of the tests themselves.
pub fn is_redis() -> bool {
    static ANSWER: OnceLock<bool> = OnceLock::new();
    *ANSWER.get_or_init(|| version_of(&under_test()).is_some_and(|text| text.contains("Redis server")))
}

fn under_test() -> PathBuf {
    std::env::var_os("SKERRY_BINARY").map_or_else(|| env!("CARGO_BIN_EXE_skerry").into(), PathBuf::from)
}

fn version_of(binary: &Path) -> Option<String> {
    let output = Command::new(binary).arg("--version").stdin(Stdio::null()).output().ok()?;
    Some(String::from_utf8_lossy(&output.stdout).into_owned())
}

impl Start {
    fn new(kind: Kind, binary: PathBuf) -> Self {
        Self {
            kind,
            binary,
            shards: None,
            cluster: false,
            defaults: true,
            gives_port: true,
            sandbox: None,
            arguments: Vec::new(),
        }
    }

    /// Sets the number of shards; real Redis has none and ignores it.
    pub fn shards(mut self, shards: usize) -> Self {
        self.shards = Some(shards);
        self
    }

    /// Gives each shard a port of its own as well (`--cluster-ports`).
    pub fn cluster(mut self) -> Self {
        self.cluster = true;
        self
    }

    /// Leaves out all arguments but the port, for tests of the command line itself.
    pub fn bare(mut self) -> Self {
        self.defaults = false;
        self
    }

    /// Leaves out the port as well.
    pub fn alone(mut self) -> Self {
        self.gives_port = false;
        self
    }

    /// Lets the process do something to itself first; between fork and exec, so it must not allocate.
    pub fn sandbox(mut self, sandbox: impl Fn() -> io::Result<()> + Send + Sync + 'static) -> Self {
        self.sandbox = Some(Arc::new(sandbox));
        self
    }

    /// Adds words to the command line.
    pub fn arguments(mut self, words: &[&str]) -> Self {
        self.arguments.extend(words.iter().map(|word| (*word).to_owned()));
        self
    }

    /// Starts the server and waits until it answers; fails the test with its log when it does not.
    #[track_caller]
    pub fn spawn(self) -> Server {
        match self.try_spawn() {
            Ok(server) => server,
            Err(log) => panic!("the server did not start: {log}"),
        }
    }

    /// Starts the server and waits until it answers; otherwise gives its log.
    pub fn try_spawn(self) -> Result<Server, String> {
        let mut reason = String::new();
        for _ in 0..START_ATTEMPTS {
            let port = free_ports(1);
            let cluster_port = self.cluster.then(|| free_ports(self.shards.unwrap_or(1) as u16));
            let mut server = self.clone().launch(port, cluster_port);
            match server.wait_ready() {
                Ok(()) => return Ok(server),
                Err(log) if log.contains("Failed listening") => reason = log,
                Err(log) => return Err(log),
            }
        }
        Err(reason)
    }

    /// Starts the process and does not wait for it.
    pub fn launch(self, port: u16, cluster_port: Option<u16>) -> Server {
        let directory = tempfile::tempdir().expect("making a directory");
        let log_path = directory.path().join("output");
        let log = File::create(&log_path).expect("making a log file");
        let mut command = Command::new(&self.binary);
        command.args(&self.arguments);
        if self.gives_port {
            command.args(["--port", &port.to_string()]);
        }
        if self.defaults {
            command.args(["--bind", "127.0.0.1", "--appendonly", "no"]);
            if !self.arguments.iter().any(|word| word == "--save") {
                command.args(["--save", ""]);
            }
            command.args(["--enable-debug-command", "yes", "--enable-protected-configs", "yes"]);
            command.args(["--repl-diskless-sync-delay", "0"]);
        }
        if self.kind == Kind::UnderTest && !is_redis() {
            if let Some(shards) = self.shards {
                command.args(["--shards", &shards.to_string()]);
            }
            if let Some(cluster_port) = cluster_port {
                command.args(["--cluster-ports", &cluster_port.to_string()]);
            }
        }
        if self.kind == Kind::UnderTest && self.gives_port {
            let extra = std::env::var("SKERRY_EXTRA_ARGUMENTS").unwrap_or_default();
            command.args(extra.split_ascii_whitespace());
        }
        command.current_dir(directory.path()).stdin(Stdio::null());
        command.stdout(log.try_clone().expect("cloning a file")).stderr(log);
        if let Some(sandbox) = self.sandbox {
            // SAFETY: what the tests pass here makes system calls only and allocates nothing.
            unsafe { command.pre_exec(move || sandbox()) };
        }
        let child = command.spawn().unwrap_or_else(|error| panic!("{}: {error}", self.binary.display()));
        Server { child, port, cluster_port, kind: self.kind, directory, log_path }
    }
}

/// A running server; dropped, it is killed and its directory removed.
pub struct Server {
    child: Child,
    port: u16,
    cluster_port: Option<u16>,
    kind: Kind,
    directory: tempfile::TempDir,
    log_path: PathBuf,
}

impl Server {
    /// The port for ordinary clients.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The first of the shards' own ports.
    pub fn cluster_port(&self) -> u16 {
        self.cluster_port.expect("started with ports for the shards")
    }

    /// Which program this is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The working directory, removed with this value.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// What the server wrote to its standard output and error so far.
    pub fn log(&self) -> String {
        let bytes = std::fs::read(&self.log_path).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// A new connection.
    #[track_caller]
    pub fn client(&self) -> Client {
        Client::connect(self.port)
    }

    /// Sends a signal to the process.
    pub fn signal(&self, signal: i32) {
        // SAFETY: kill takes two integers; the id is that of a child not yet waited for.
        let result = unsafe { libc::kill(self.child.id() as i32, signal) };
        assert_eq!(result, 0, "sending signal {signal}");
    }

    /// Waits until the process ends by itself; fails the test after `limit_ms` milliseconds.
    #[track_caller]
    pub fn wait_exit(&mut self, limit_ms: u64) -> ExitStatus {
        let end = Instant::now() + Duration::from_millis(limit_ms);
        loop {
            if let Some(status) = self.exited() {
                return status;
            }
            assert!(Instant::now() < end, "still running after {limit_ms} ms: {}", self.log());
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// The exit status when the process has ended.
    pub fn exited(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("asking for a child's state")
    }

    /// Fails the test unless the server still answers.
    #[track_caller]
    pub fn assert_serving(&mut self) {
        if let Some(status) = self.exited() {
            panic!("the server has ended ({status}): {}", self.log());
        }
        let reply = self.client().run("PING");
        assert_eq!(reply.text(), "PONG", "the server still answers");
    }

    fn wait_ready(&mut self) -> Result<(), String> {
        let end = Instant::now() + START_LIMIT;
        while Instant::now() < end {
            if let Some(status) = self.exited() {
                return Err(format!("{status}: {}", self.log()));
            }
            if let Ok(mut client) = Client::try_connect(self.port) {
                let answered = client.try_send_raw(b"PING\r\n").and_then(|()| client.try_receive());
                // An error reply, for example for want of a password, is an answer too.
                if answered.is_ok_and(|reply| !reply.is_error_of("LOADING")) {
                    return Ok(());
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Err(format!("no answer in {START_LIMIT:?}: {}", self.log()))
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<&str> = log.lines().rev().take(30).collect();
            println!("end of the log of {:?} on port {}:", self.kind, self.port);
            tail.iter().rev().for_each(|line| println!("  {line}"));
        }
        // Both fail only for a process that has ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The first of `count` neighbouring ports that nobody listens on, below the range the kernel hands out.
pub fn free_ports(count: u16) -> u16 {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    // Test binaries that run at the same time start at different places.
    let offset = std::process::id().wrapping_mul(977) % 15_000;
    for _ in 0..2_000 {
        let step = NEXT.fetch_add(u32::from(count), Ordering::Relaxed);
        let first = 12_000 + ((offset + step) % 18_000) as u16;
        if (first..first + count).all(|port| TcpListener::bind(("127.0.0.1", port)).is_ok()) {
            return first;
        }
    }
    panic!("no {count} free ports");
}

/// Whether an external program can be run; says so and counts as skipped when not.
pub fn has_tool(name: &str) -> bool {
    let found = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if found.is_err() {
        skip(&format!("{name} is not installed"));
    }
    found.is_ok() || strict()
}
