//! The clients that people use, against a running server: redis-cli, redis-benchmark, redis-rs, redis-py, Celery.
//!
//! `SKERRY_PYTHON` names a Python interpreter that has redis-py and Celery (`.venv/bin/python` otherwise, where
//! `tests/run` installs it).

mod common;

use common::{Server, has_tool, is_redis, skerry, skip};
use redis::{Commands, RedisResult};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

/// Runs a program to its end; fails the test when it fails.
#[track_caller]
fn run(command: &mut Command, input: &[u8]) -> String {
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().expect("a pipe to it");
    let input = input.to_vec();
    let writer = std::thread::spawn(move || stdin.write_all(&input));
    let Output { status, stdout, stderr } = child.wait_with_output().expect("the program ends");
    writer.join().expect("the writer ends").expect("the program takes its input");
    let output = format!("{}{}", String::from_utf8_lossy(&stdout), String::from_utf8_lossy(&stderr));
    assert!(status.success(), "{command:?}: {status}\n{output}");
    output
}

#[track_caller]
fn cli(port: u16, arguments: &[&str]) -> String {
    run(Command::new("redis-cli").args(["-p", &port.to_string()]).args(arguments), b"").trim_end().to_owned()
}

#[test]
fn redis_cli_talks_to_it() {
    let Some(start) = skerry() else { return };
    if !has_tool("redis-cli") {
        return;
    }
    let server = start.shards(4).spawn();
    let port = server.port();
    assert_eq!(cli(port, &["SET", "k", "two words"]), "OK");
    assert_eq!(cli(port, &["GET", "k"]), "two words");
    assert_eq!(cli(port, &["-3", "HELLO", "3"]).lines().next(), Some("server redis"));
    assert_eq!(cli(port, &["--csv", "MGET", "k", "none"]), "\"two words\",NULL");
    assert_eq!(cli(port, &["-n", "3", "DBSIZE"]), "0");
    assert_eq!(cli(port, &["-r", "5", "INCR", "n"]).lines().last(), Some("5"));
    assert!(cli(port, &["INFO", "server"]).contains("redis_version:"));
    let script = b"MULTI\nSET a 1\nINCR b\nEXEC\n";
    let replies = run(Command::new("redis-cli").args(["-p", &port.to_string()]), script);
    assert_eq!(replies.split_whitespace().collect::<Vec<_>>(), ["OK", "QUEUED", "QUEUED", "OK", "1"]);
    assert!(cli(port, &["--bigkeys", "-i", "0"]).contains("Biggest string found"));
    assert!(cli(port, &["--memkeys", "-i", "0"]).contains("string"));
}

#[test]
fn redis_cli_loads_by_pipe_and_scans() {
    const KEYS: usize = 20_000;
    let Some(start) = skerry() else { return };
    if !has_tool("redis-cli") {
        return;
    }
    let server = start.shards(4).spawn();
    let port = server.port();
    let mut protocol = Vec::new();
    (0..KEYS).for_each(|index| common::encode(&["SET", &format!("key:{index}"), "value"], &mut protocol));
    let report = run(Command::new("redis-cli").args(["-p", &port.to_string(), "--pipe"]), &protocol);
    assert!(report.contains(&format!("errors: 0, replies: {KEYS}")), "{report}");
    assert_eq!(cli(port, &["DBSIZE"]), KEYS.to_string());
    let scanned = cli(port, &["--scan", "--pattern", "key:*"]);
    let mut keys: Vec<&str> = scanned.lines().collect();
    keys.sort_unstable();
    keys.dedup();
    assert_eq!(keys.len(), KEYS);
}

#[track_caller]
fn benchmark(port: u16, arguments: &[&str]) {
    let tests = "ping_inline,ping_mbulk,set,get,incr,mset";
    let mut command = Command::new("redis-benchmark");
    command.args(["-p", &port.to_string(), "-t", tests, "-n", "20000", "-q", "--csv"]).args(arguments);
    let report = run(&mut command, b"");
    for name in ["PING_INLINE", "PING_MBULK", "SET", "GET", "INCR", "MSET (10 keys)"] {
        assert!(
            report.contains(&format!("\"{name}\",\"")),
            "{name} is missing after {arguments:?}:\n{report}"
        );
    }
    assert!(!report.to_lowercase().contains("error"), "{report}");
}

#[test]
fn redis_benchmark_runs() {
    let Some(start) = skerry() else { return };
    if !has_tool("redis-benchmark") {
        return;
    }
    let mut server = start.shards(4).spawn();
    benchmark(server.port(), &[]);
    benchmark(server.port(), &["-P", "16", "-r", "100000"]);
    benchmark(server.port(), &["-c", "200", "--threads", "2", "-3", "-d", "1000"]);
    benchmark(server.port(), &["-k", "0", "-n", "2000"]);
    server.assert_serving();
}

#[test]
fn redis_benchmark_runs_as_a_cluster_client() {
    let Some(start) = skerry() else { return };
    if !has_tool("redis-benchmark") || is_redis() {
        return;
    }
    let mut server = start.shards(4).cluster().spawn();
    benchmark(server.cluster_port(), &["--cluster"]);
    benchmark(server.cluster_port(), &["--cluster", "-P", "16", "-r", "100000"]);
    server.assert_serving();
}

#[test]
fn redis_cli_follows_the_cluster() {
    let Some(start) = skerry() else { return };
    if !has_tool("redis-cli") || is_redis() {
        return;
    }
    let server = start.shards(4).cluster().spawn();
    for index in 0..40 {
        let (key, value) = (format!("key:{index}"), index.to_string());
        assert_eq!(cli(server.cluster_port(), &["-c", "SET", &key, &value]), "OK");
        assert_eq!(cli(server.cluster_port() + 3, &["-c", "GET", &key]), value);
        assert_eq!(cli(server.port(), &["GET", &key]), value);
    }
    let address = format!("127.0.0.1:{}", server.cluster_port());
    let report = run(Command::new("redis-cli").args(["--cluster", "check", &address]), b"");
    assert!(report.contains("All 16384 slots covered"), "{report}");
}

fn connection(server: &Server, query: &str) -> redis::Connection {
    let client =
        redis::Client::open(format!("redis://127.0.0.1:{}/{query}", server.port())).expect("an address");
    client.get_connection().expect("redis-rs connects")
}

#[test]
fn redis_rs_talks_to_it() {
    let Some(start) = skerry() else { return };
    let server = start.shards(4).spawn();
    for query in ["", "?protocol=resp3", "2", "3?protocol=resp3"] {
        talk(&mut connection(&server, query))
            .unwrap_or_else(|error| panic!("redis-rs with {query:?}: {error}"));
    }
    optimistic_increments(&server).expect("WATCH loops");
}

fn talk(connection: &mut redis::Connection) -> RedisResult<()> {
    let () = connection.set("key", "value")?;
    assert_eq!(connection.get::<_, String>("key")?, "value");
    assert_eq!(connection.get::<_, Option<String>>("none")?, None);
    assert_eq!(connection.incr::<_, _, i64>("counter", 5)?, 5);
    assert_eq!(connection.del::<_, i64>(&["counter", "none"])?, 1);
    let () = connection.mset(&[("a", 1), ("b", 2), ("c", 3)])?;
    assert_eq!(connection.mget::<_, Vec<Option<i64>>>(&["a", "none", "c"])?, [Some(1), None, Some(3)]);
    let () = connection.set_ex("brief", "x", 100)?;
    assert!((99..=100).contains(&connection.ttl::<_, i64>("brief")?));
    let (first, second): (i64, i64) = redis::pipe().atomic().incr("a", 10).incr("b", 10).query(connection)?;
    assert_eq!((first, second), (11, 12));
    let many: Vec<i64> = (0..1_000)
        .fold(&mut redis::pipe(), |pipe, index| pipe.incr(format!("n:{}", index % 7), 1))
        .query(connection)?;
    assert_eq!((many.len(), many[999]), (1_000, 143));
    let mut found: Vec<String> = connection.scan_match("n:*")?.collect();
    found.sort();
    assert_eq!(found.len(), 7);
    let wrong: RedisResult<i64> = redis::cmd("INCR").arg("key").query(connection);
    assert!(wrong.expect_err("not a number").to_string().contains("not an integer"));
    redis::cmd("FLUSHDB").query(connection)
}

/// Clients that increment by WATCH, GET, MULTI, SET, EXEC lose no update.
fn optimistic_increments(server: &Server) -> RedisResult<()> {
    const THREADS: i64 = 4;
    const EACH: i64 = 50;
    let increment = |connection: &mut redis::Connection| -> RedisResult<()> {
        redis::transaction(connection, &["{x}total", "{y}seen"], |connection, pipe| {
            let total: i64 = connection.get::<_, Option<i64>>("{x}total")?.unwrap_or(0);
            pipe.set("{x}total", total + 1).ignore().set("{y}seen", total).ignore().query(connection)
        })
    };
    std::thread::scope(|scope| {
        let loops: Vec<_> = (0..THREADS)
            .map(|_| {
                scope.spawn(|| {
                    let mut connection = connection(server, "");
                    (0..EACH).try_for_each(|_| increment(&mut connection))
                })
            })
            .collect();
        loops.into_iter().try_for_each(|thread| thread.join().expect("a client ends"))
    })?;
    assert_eq!(connection(server, "").get::<_, i64>("{x}total")?, THREADS * EACH);
    Ok(())
}

/// A Python interpreter that has a module.
fn python(module: &str) -> Option<PathBuf> {
    let default = || Path::new(env!("CARGO_MANIFEST_DIR")).join(".venv/bin/python");
    let python = std::env::var_os("SKERRY_PYTHON").map_or_else(default, PathBuf::from);
    let found =
        Command::new(&python).args(["-c", &format!("import {module}")]).stderr(Stdio::null()).status();
    if found.is_ok_and(|status| status.success()) {
        return Some(python);
    }
    skip(&format!("there is no Python with {module}"));
    None
}

fn script(python: &Path, name: &str, server: &Server) -> Command {
    let mut command = Command::new(python);
    command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python").join(name));
    command.env("SKERRY_PORT", server.port().to_string());
    command
}

#[test]
fn redis_py_talks_to_it() {
    let (Some(start), Some(python)) = (skerry(), python("redis")) else { return };
    let server = start.shards(4).cluster().spawn();
    let mut command = script(&python, "test_redis_py.py", &server);
    if !is_redis() {
        command.env("SKERRY_CLUSTER_PORT", server.cluster_port().to_string());
    }
    println!("{}", run(&mut command, b""));
}

#[test]
fn celery_loses_no_task_and_runs_none_twice() {
    let (Some(start), Some(python)) = (skerry(), python("celery")) else { return };
    let server = start.shards(4).spawn();
    println!("{}", run(&mut script(&python, "test_celery.py", &server), b""));
}
