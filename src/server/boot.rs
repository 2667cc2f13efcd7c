//! Start and stop: check the machine, bind, start one executor per shard, wait for their ends.

use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use ahash::RandomState;
use glommio::{LocalExecutorBuilder, Placement};
use rand::Rng;

use super::executor::{Executor, Origin};
use super::listening::{Addresses, Bound, Listeners, bind};
use super::snapshot::{load_at_start, remove_temporary_file};
use crate::command::table;
use crate::config::{self, Config, ConfigError, LogLevel, Sources};
use crate::net::cpu::Machine;
use crate::net::listener::bind_unix;
use crate::net::probe::{probe, raise_descriptor_limit};
use crate::net::{IoMode, Ring, RingOptions};
use crate::shard::cell::Shards;
use crate::shard::home::Home;
use crate::shard::message::{Message, ServerMessage};
use crate::shard::owner::Shard;
use crate::state::replication::random_id;
use crate::state::{Server, log};
use crate::{notice, warning};

/// glommio's registered file buffers, which nothing here uses: its least size.
const GLOMMIO_BUFFER_BYTES: usize = 64 << 10;

/// How long glommio lets a task run before it asks for its place. Its executor sleeps for ever when that time is over
/// before it has looked at its queue for the first time (0.9), as happens on a busy machine; and nothing but the shard's
/// own loop runs on it.
const PREEMPT_TIMER: Duration = Duration::from_secs(24 * 60 * 60);

/// Serves with the configuration of `sources` until the process is told to stop.
pub fn serve(sources: &Sources) -> ExitCode {
    let config = match Config::load(sources) {
        Ok(config) => config,
        Err(error) => {
            complain(&error.to_string());
            return ExitCode::FAILURE;
        }
    };
    if let Err(error) = rename_commands(&config) {
        complain(&error.to_string());
        return ExitCode::FAILURE;
    }
    warn_of_idle_directives(&config);
    match start(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            warning!("{reason}");
            ExitCode::FAILURE
        }
    }
}

/// Says which directives that guard data are taken but do nothing.
fn warn_of_idle_directives(config: &Config) {
    if config.appendonly {
        warning!("WARNING: 'appendonly' is taken but has no effect: this version saves snapshots only");
    }
}

/// Carries `rename-command` out, before anything looks a command up.
fn rename_commands(config: &Config) -> Result<(), ConfigError> {
    let lines = &config.declarations().renamed_commands;
    let pairs: Vec<(&[u8], &[u8])> =
        lines.iter().map(|line| (&*line.arguments[0], &*line.arguments[1])).collect();
    table::rename(&pairs).map_err(|(number, reason)| lines[number].refuse(reason))
}

/// Standard error, for what goes wrong before there is a log.
fn complain(text: &str) {
    use std::io::Write;
    // Nobody is left to tell when standard error is closed.
    let _ = writeln!(std::io::stderr(), "{text}");
}

fn start(config: Config) -> Result<(), String> {
    std::env::set_current_dir(&config.dir)
        .map_err(|error| format!("Can't chdir to '{}': {error}", config.dir.display()))?;
    log::open(config.logfile.as_deref(), config.loglevel)
        .map_err(|error| format!("Can't open the log file: {error}"))?;
    if config.daemonize {
        daemonize()?;
    }
    std::panic::set_hook(Box::new(|panic| {
        warning!("=== SKERRY BUG REPORT START: the server panicked and ends ===");
        warning!("{}", std::backtrace::Backtrace::force_capture());
        warning!("{panic}");
        // A shard that is gone takes its keys with it: the process must not go on without them.
        std::process::abort();
    }));
    let machine = Machine::detect();
    let count = if config.shards > 0 { config.shards } else { machine.default_shards() };
    greet(&config, count);
    if config.maxmemory == 0
        && let Some(limit) = machine.memory_limit_bytes
    {
        notice!("maxmemory is not set; the cgroup's memory limit is {limit} bytes");
    }
    let mode = mode(&config, count)?;
    raise_file_limit(&config);
    let (listeners, addresses) = listen(&config, count)?;
    write_pidfile(&config);
    let seed: u64 = rand::rng().random();
    let run_id = random_id(&mut rand::rng());
    let mut server = Server::new(config.clone(), count, run_id, table::names());
    server.executable = std::env::current_exe().map(|path| path.display().to_string()).unwrap_or_default();
    if let Some(file) = &config.declarations().file {
        server.config_file = file.display().to_string();
    }
    server.listening = Mutex::new(addresses);
    let server = Arc::new(server);
    let hashers = RandomState::new();
    let databases = config.databases;
    let is_replica = config.replicaof.is_some();
    server.replication.is_replica.store(is_replica, Ordering::Release);
    let shards = (0..count).map(|id| {
        let mut shard = Shard::new(id, databases, hashers.clone(), seed);
        shard.keyspace.follows = is_replica;
        shard
    });
    let shards = shards.collect();
    let shards = Arc::new(Shards::new(shards, Arc::clone(&server)));
    stop_on_signals(&shards)?;
    notice!("Server initialized");
    // Whoever loads says when it is done.
    let is_ready = !load_at_start(&shards, &config)?;
    run(&config, &machine, mode, listeners, &shards, &hashers, seed, is_ready)?;
    remove_files(&config);
    warning!("Skerry is now ready to exit, bye bye...");
    Ok(())
}

fn greet(config: &Config, shards: usize) {
    let pid = std::process::id();
    notice!("oO0OoO0OoO0Oo Skerry is starting oO0OoO0OoO0Oo");
    notice!("Skerry version={}, bits=64, pid={pid}, just started", env!("CARGO_PKG_VERSION"));
    log::raw(format_args!(
        "\n    ~ ~ Skerry {} (64 bit)\n  ~ ~ ~ Running in standalone mode\n    ~ ~ Port: {}\n  ~ ~ ~ PID: {pid}\n    ~ ~ Shards: {shards}\n\n",
        env!("CARGO_PKG_VERSION"),
        config.port,
    ));
}

/// The operations to use: what the kernel can do, or less if the configuration says so.
fn mode(config: &Config, shards: usize) -> Result<IoMode, String> {
    let best = probe(shards).map_err(|error| error.to_string())?;
    Ok(match config.io_mode {
        config::IoMode::Plain => IoMode::Plain,
        config::IoMode::Multishot if best == IoMode::Plain => {
            return Err("io-mode multishot needs Linux 6.0 or newer".into());
        }
        _ => best,
    })
}

/// Lets the process have a descriptor for every client, as far as the hard limit allows.
fn raise_file_limit(config: &Config) {
    let wanted = config.maxclients as u64 + 128;
    match raise_descriptor_limit(wanted) {
        Ok(limit) if limit < wanted => {
            warning!(
                "You requested maxclients of {} but at most {limit} descriptors can be open",
                config.maxclients
            );
        }
        Ok(_) => {}
        Err(error) => warning!("Unable to obtain the current NOFILE limit ({error})"),
    }
}

/// Listening sockets of every shard, and the addresses of those over TCP.
fn listen(config: &Config, count: usize) -> Result<(Vec<Listeners>, Addresses), String> {
    let Bound { addresses, sockets: mut all } = bind(config, &Vec::new(), count)?;
    if let Some(path) = &config.unixsocket {
        let mode = (config.unixsocketperm != 0).then_some(config.unixsocketperm);
        let backlog = u32::try_from(config.tcp_backlog).unwrap_or(511);
        let socket = bind_unix(path, mode, backlog)
            .map_err(|error| format!("Failed opening Unix socket: bind: {error}"))?;
        all[0].push((socket, Origin::Unix.tag()));
    }
    if all.iter().flatten().all(|(_, tag)| *tag == Origin::Cluster.tag()) {
        return Err("Configured to not listen anywhere, exiting.".into());
    }
    Ok((all, addresses))
}

fn daemonize() -> Result<(), String> {
    // SAFETY: no thread but this one runs yet, so the child of the fork inside has everything it needs.
    let result = unsafe { libc::daemon(1, 0) };
    if result == 0 { Ok(()) } else { Err(format!("Can't daemonize: {}", std::io::Error::last_os_error())) }
}

fn pidfile(config: &Config) -> Option<std::path::PathBuf> {
    config.pidfile.clone().or_else(|| config.daemonize.then(|| "/var/run/skerry.pid".into()))
}

fn write_pidfile(config: &Config) {
    if let Some(path) = pidfile(config)
        && let Err(error) = std::fs::write(&path, format!("{}\n", std::process::id()))
    {
        warning!("Failed to write PID file {}: {error}", path.display());
    }
}

fn remove_files(config: &Config) {
    for path in pidfile(config).into_iter().chain(config.unixsocket.clone()) {
        if let Err(error) = std::fs::remove_file(&path) {
            warning!("Could not remove {}: {error}", path.display());
        }
    }
}

/// SIGTERM and SIGINT end the process as SHUTDOWN does; a second SIGINT ends it at once.
fn stop_on_signals(shards: &Arc<Shards>) -> Result<(), String> {
    let mut signals = signal_hook::iterator::Signals::new([libc::SIGTERM, libc::SIGINT])
        .map_err(|error| format!("Can't handle signals: {error}"))?;
    let shards = Arc::clone(shards);
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(move || {
            for signal in signals.forever() {
                let is_interrupt = signal == libc::SIGINT;
                if is_interrupt && shards.server.shutting_down.load(Ordering::Acquire) {
                    warning!("You insist... exiting now.");
                    remove_temporary_file();
                    std::process::exit(1);
                }
                let name = if is_interrupt { "SIGINT" } else { "SIGTERM" };
                warning!("Received {name} scheduling shutdown...");
                let config = shards.server.config.load();
                let flags = if is_interrupt { config.shutdown_on_sigint } else { config.shutdown_on_sigterm };
                shards.send(0, Message::Server(ServerMessage::Shutdown { flags, asker: None }));
            }
        })
        .map(drop)
        .map_err(|error| format!("Can't start the thread for signals: {error}"))
}

fn run(
    config: &Config,
    machine: &Machine,
    mode: IoMode,
    listeners: Vec<Listeners>,
    shards: &Arc<Shards>,
    hashers: &RandomState,
    seed: u64,
    is_ready: bool,
) -> Result<(), String> {
    let count = shards.len();
    let pin = machine.may_pin() && count <= machine.allowed_cpus.len();
    let started = Arc::new(AtomicUsize::new(0));
    let mut executors = Vec::with_capacity(count);
    for (id, listeners) in listeners.into_iter().enumerate() {
        let placement = if pin { Placement::Fixed(machine.allowed_cpus[id]) } else { Placement::Unbound };
        let (shards, hashers, started) = (Arc::clone(shards), hashers.clone(), Arc::clone(&started));
        let databases = config.databases;
        let kind = if config.port == 0 { "unix" } else { "tcp" };
        let executor = LocalExecutorBuilder::new(placement)
            .name(&format!("shard-{id}"))
            .io_memory(GLOMMIO_BUFFER_BYTES)
            .preempt_timer(PREEMPT_TIMER)
            .spawn(move || async move {
                let home = Home::new(id, shards, databases, hashers, seed);
                let ring = Ring::new(RingOptions { mode, ..RingOptions::default() })
                    .map_err(|error| format!("shard {id} could not make its ring: {error}"))?;
                let executor = Executor::new(ring, home, listeners);
                if started.fetch_add(1, Ordering::AcqRel) + 1 == count && is_ready {
                    log::write(LogLevel::Notice, format_args!("Ready to accept connections {kind}"));
                }
                executor.run().await.map_err(|error| format!("shard {id} ended: {error}"))
            })
            .map_err(|error| format!("shard {id} could not start: {error}"))?;
        executors.push(executor);
    }
    for executor in executors {
        match executor.join() {
            Ok(Ok(())) => {}
            Ok(Err(reason)) => return Err(reason),
            Err(error) => return Err(format!("a shard's executor ended: {error}")),
        }
    }
    Ok(())
}
