//! Starting and stopping: the command line, the configuration file, ports and sockets, signals, the log.
//! What commands do once the server runs is tested elsewhere.

mod common;
#[path = "startup/sandbox.rs"]
mod sandbox;

use common::{Client, Kind, Reply, Server, Start, free_ports, is_redis, redis, skerry, wait_until};
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

const EXIT_LIMIT_MS: u64 = 15_000;

/// Starts a server that is expected to end by itself; gives its exit code and output.
fn run_to_end(start: Start) -> (Option<i32>, String) {
    let mut server = start.launch(free_ports(1), None);
    let status = server.wait_exit(EXIT_LIMIT_MS);
    (status.code(), server.log())
}

/// A configuration file in a directory that lives as long as the test.
fn config_file(lines: &[&str]) -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("making a directory");
    let path = directory.path().join("server.conf");
    std::fs::write(&path, lines.join("\n") + "\n").expect("writing a configuration file");
    (directory, path)
}

fn config(client: &mut Client, name: &str) -> String {
    let reply = client.command(&["CONFIG", "GET", name]);
    reply.items().get(1).unwrap_or_else(|| panic!("CONFIG GET {name} answers {reply:?}")).text()
}

#[test]
fn answers_once_it_is_ready() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(2).spawn();
    assert_eq!(server.kind(), Kind::UnderTest);
    server.assert_serving();
}

#[test]
fn help_and_version_end_at_once() {
    let Some(start) = skerry() else { return };
    for option in ["--help", "--version"] {
        let (code, output) = run_to_end(start.clone().bare().alone().arguments(&[option]));
        assert!(!output.is_empty(), "{option} prints something");
        assert!(code == Some(0) || is_redis(), "{option} ends with {code:?}: {output}");
    }
}

#[test]
fn a_file_is_read_and_options_override_it() {
    let Some(start) = skerry() else { return };
    let (_directory, path) = config_file(&[
        "# a comment",
        "",
        "  databases 5",
        "MaxMemory 100mb",
        "requirepass \"two words\"",
        "save ''",
        "maxmemory-policy allkeys-lru",
        "client-output-buffer-limit normal 1mb 512kb 10",
    ]);
    let path = path.to_string_lossy().into_owned();
    let options = ["--maxmemory-policy", "volatile-ttl", "--timeout 33", "--hz", "20"];
    // The file comes first on the command line.
    let server =
        start.bare().arguments(&[&path]).arguments(&options).arguments(&["--bind", "127.0.0.1"]).spawn();
    let mut client = server.client();
    assert_eq!(client.command(&["AUTH", "two words"]), Reply::ok());
    let expected = [
        ("databases", "5"),
        ("maxmemory", "104857600"),
        ("maxmemory-policy", "volatile-ttl"),
        ("save", ""),
        ("timeout", "33"),
        ("hz", "20"),
    ];
    for (name, value) in expected {
        assert_eq!(config(&mut client, name), value, "{name}");
    }
    assert!(config(&mut client, "client-output-buffer-limit").starts_with("normal 1048576 524288 10"));
    assert!(client.run("SELECT 5").is_error());
}

#[test]
fn a_bad_configuration_names_file_line_and_reason() {
    let (Some(start), Some(redis)) = (skerry(), redis()) else { return };
    let faults = [
        "nosuchdirective 1",
        "port 70000",
        "port abc",
        "databases 0",
        "maxmemory 1zb",
        "maxmemory-policy sometimes",
        "appendonly maybe",
        "loglevel loud",
        "timeout",
        "port 1 2",
        "requirepass \"unbalanced",
        "client-output-buffer-limit normal 1",
        "rename-command nosuch x",
        "save 1",
        "hz",
    ];
    for fault in faults {
        let (_directory, path) = config_file(&["databases 4", fault]);
        let path = path.to_string_lossy().into_owned();
        let judge = |start: &Start| run_to_end(start.clone().bare().alone().arguments(&[&path]));
        let (redis_code, redis_output) = judge(&redis);
        let (code, output) = judge(&start);
        assert_eq!((code, redis_code), (Some(1), Some(1)), "{fault}: {output}");
        assert!(output.contains("FATAL CONFIG FILE ERROR"), "{fault}: {output}");
        assert!(output.contains("at line 2"), "{fault}: {output}");
        let reason = redis_output.trim_end().lines().last().unwrap_or_default();
        assert!(output.contains(reason), "{fault}: Redis says {reason}, we say {output}");
    }
    let (code, output) = run_to_end(start.clone().bare().alone().arguments(&["--nosuchdirective", "1"]));
    assert_eq!(code, Some(1), "{output}");
    let (code, output) = run_to_end(start.bare().alone().arguments(&["nosuchfile.conf"]));
    assert_eq!(code, Some(1), "{output}");
    assert!(output.contains("nosuchfile.conf"), "{output}");
}

#[test]
fn a_port_in_use_is_an_error() {
    let Some(start) = skerry() else { return };
    let assert_refused = |port: u16, whose: &str| {
        let mut second = start.clone().shards(2).launch(port, None);
        let code = second.wait_exit(EXIT_LIMIT_MS).code();
        assert_eq!(code, Some(1), "{whose}: {}", second.log());
        assert!(
            second.log().contains(&format!("Failed listening on port {port}")),
            "{whose}: {}",
            second.log()
        );
    };
    let listener = TcpListener::bind(("127.0.0.1", free_ports(1))).expect("binding a free port");
    assert_refused(listener.local_addr().expect("its address").port(), "a stranger's port");
    let mut first = start.clone().shards(2).spawn();
    assert_refused(first.port(), "the port of a server of the same kind");
    first.assert_serving();
}

#[test]
fn port_and_addresses_change_at_run_time() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(3).spawn();
    let first = server.port();
    let mut client = server.client();
    let mut bystander = server.client();
    let reaches = |host: &str, port: u16| TcpStream::connect((host, port)).is_ok();

    let second = free_ports(1);
    assert_eq!(client.run(&format!("CONFIG SET port {second}")), Reply::ok());
    assert!(!reaches("127.0.0.1", first), "the old port is closed");
    // As many as meet every shard.
    let others: Vec<Client> = (0..24).map(|_| Client::connect(second)).collect();
    others.into_iter().for_each(|mut other| assert_eq!(other.run("PING").text(), "PONG"));
    assert_eq!(bystander.run("PING").text(), "PONG", "who is connected stays so");
    assert_eq!(config(&mut client, "port"), second.to_string());
    assert!(client.run("INFO server").text().contains(&format!("tcp_port:{second}\r\n")));

    // What fails changes nothing.
    let stranger = TcpListener::bind(("127.0.0.1", free_ports(1))).expect("binding a free port");
    let taken = stranger.local_addr().expect("its address").port();
    let error = client.run(&format!("CONFIG SET timeout 7 port {taken}")).text();
    let reason = "argument 'port') - Unable to listen on this port";
    assert!(error.starts_with(&format!("ERR CONFIG SET failed (possibly related to {reason}")), "{error}");
    let error = client.run("CONFIG SET bind 999.999.999.999").text();
    assert!(error.ends_with("argument 'bind') - Failed to bind to specified addresses."), "{error}");
    assert_eq!(
        (config(&mut client, "port"), config(&mut client, "timeout")),
        (second.to_string(), "0".into())
    );
    assert!(reaches("127.0.0.1", second));

    // One address after another, all of them, and one of them again, on the same port.
    for (bind, good, bad) in [
        ("127.0.0.2", "127.0.0.2", Some("127.0.0.1")),
        ("127.0.0.2 127.0.0.1 -::1", "127.0.0.1", None),
        ("*", "127.0.0.3", None),
        ("127.0.0.1", "127.0.0.1", Some("127.0.0.3")),
    ] {
        assert_eq!(client.command(&["CONFIG", "SET", "bind", bind]), Reply::ok(), "{bind}");
        assert!(reaches(good, second), "{bind}");
        assert!(bad.is_none_or(|bad| !reaches(bad, second)), "{bind}");
    }
    for line in ["CONFIG SET bind x", "CONFIG SET port 0"] {
        let is_none = client.run(line) == Reply::ok();
        assert_eq!(is_none, line.ends_with('0'), "{line}");
    }
    assert!(!reaches("127.0.0.1", second), "no port");
    assert_eq!(client.run(&format!("CONFIG SET port {first}")), Reply::ok());
    assert_eq!(client.command(&["CONFIG", "SET", "bind", ""]), Reply::ok());
    assert!(!reaches("127.0.0.1", first), "no address");
    assert_eq!(client.run("CONFIG SET bind 127.0.0.1"), Reply::ok());
    server.assert_serving();
    assert_eq!(bystander.run("PING").text(), "PONG");
}

#[test]
fn ports_of_shards_follow_the_addresses() {
    let Some(start) = skerry() else { return };
    let server = start.shards(2).cluster().spawn();
    let mut client = server.client();
    let reaches = |host: &str, port: u16| TcpStream::connect((host, port)).is_ok();
    let ports = [server.cluster_port(), server.cluster_port() + 1];
    assert_eq!(client.run("CONFIG SET bind 127.0.0.2"), Reply::ok());
    for port in ports {
        assert!(reaches("127.0.0.2", port) && !reaches("127.0.0.1", port), "{port}");
    }
    assert!(client.run(&format!("CONFIG SET port {}", ports[0])).is_error(), "a shard's own");
}

#[test]
fn signals_end_the_server_with_success() {
    let Some(start) = skerry() else { return };
    for signal in [libc::SIGTERM, libc::SIGINT] {
        let mut server = start.clone().shards(2).spawn();
        let mut idle = server.client();
        idle.run("SET k v");
        let mut busy = server.client();
        busy.send_raw(&b"*2\r\n$3\r\nGET\r\n$1\r\nk\r\n".repeat(1_000));
        server.signal(signal);
        let status = server.wait_exit(EXIT_LIMIT_MS);
        assert_eq!(status.code(), Some(0), "signal {signal}: {}", server.log());
        assert!(server.log().contains("ready to exit, bye bye"), "{}", server.log());
        assert!(idle.is_closed());
    }
}

#[test]
fn shutdown_ends_the_server_with_success() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(4).spawn();
    let mut client = server.client();
    assert!(client.run("SHUTDOWN NOSAVE SAVE").is_error());
    assert!(client.run("SHUTDOWN ABORT").is_error());
    client.send(&["SHUTDOWN", "NOSAVE"]);
    assert_eq!(server.wait_exit(EXIT_LIMIT_MS).code(), Some(0), "{}", server.log());
    assert!(client.is_closed(), "SHUTDOWN has no reply");
}

#[test]
fn no_shard_ends_before_the_others_have_its_replies() {
    let Some(start) = skerry() else { return };
    for _ in 0..6 {
        let mut server = start.clone().shards(2).spawn();
        let (mut client, mut reader) = (server.client(), server.client());
        for key in ["a", "b"] {
            let mut push = vec!["RPUSH", key];
            push.extend(["element"; 5_000]);
            client.command(&push);
        }
        reader.send(&["LRANGE", "a", "0", "-1"]);
        reader.send(&["LRANGE", "b", "0", "-1"]);
        client.send(&["SHUTDOWN", "NOSAVE"]);
        // Far less than the time for which a shard waits for what does not come.
        assert_eq!(server.wait_exit(1_500).code(), Some(0), "{}", server.log());
    }
}

/// `PID:ROLE DAY MONTH YEAR HH:MM:SS.mmm LEVEL TEXT`, as tools that read Redis's log expect it.
fn is_log_line(line: &str, pid: u32) -> bool {
    let Some(rest) = line.strip_prefix(&format!("{pid}:")) else { return false };
    let fields: Vec<&str> = rest.splitn(7, ' ').collect();
    let [role, day, month, year, time, level, _text] = fields.as_slice() else { return false };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let months = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let time_form = time.len() == 12
        && time.bytes().enumerate().all(|(index, byte)| match index {
            2 | 5 => byte == b':',
            8 => byte == b'.',
            _ => byte.is_ascii_digit(),
        });
    ["M", "C", "X", "S"].contains(role)
        && day.len() == 2
        && digits(day)
        && months.contains(month)
        && year.len() == 4
        && digits(year)
        && time_form
        && [".", "-", "*", "#"].contains(level)
}

#[test]
fn the_log_has_redis_form() {
    let Some(start) = skerry() else { return };
    let server = start.shards(2).arguments(&["--always-show-logo", "yes"]).spawn();
    server.client().run("PING");
    let log = server.log();
    let pid = server.pid();
    let initialized = log.find("Server initialized").unwrap_or_else(|| panic!("{log}"));
    let shown = log.find(&format!(" PID: {pid}")).unwrap_or_else(|| panic!("{log}"));
    assert!(shown < initialized, "harnesses look for the process id before: {log}");
    assert!(log.contains("Ready to accept connections"), "{log}");
    assert!(!log.lines().next().unwrap_or_default().contains("already in use"));
    for text in ["Server initialized", "Ready to accept connections"] {
        let line = log.lines().find(|line| line.contains(text)).expect("seen above");
        assert!(is_log_line(line, pid), "not in the log's form: {line}");
    }
}

#[test]
fn log_file_and_level() {
    let Some(start) = skerry() else { return };
    let server = start.clone().shards(2).arguments(&["--logfile", "server.log"]).spawn();
    let path = server.directory().join("server.log");
    let read = || std::fs::read_to_string(&path).unwrap_or_default();
    wait_until("the log file has the start", 5_000, || read().contains("Ready to accept connections"));
    assert!(!server.log().contains("Ready to accept"), "not on standard output as well: {}", server.log());
    drop(server);
    let quiet = start.shards(2).arguments(&["--loglevel", "warning"]).spawn();
    assert!(!quiet.log().contains("Ready to accept connections"), "{}", quiet.log());
}

#[test]
fn pid_file_lives_as_long_as_the_server() {
    let Some(start) = skerry() else { return };
    let mut server = start.shards(2).arguments(&["--pidfile", "server.pid"]).spawn();
    let path = server.directory().join("server.pid");
    wait_until("the file is written", 5_000, || {
        std::fs::read_to_string(&path).is_ok_and(|text| text.trim() == server.pid().to_string())
    });
    server.signal(libc::SIGTERM);
    server.wait_exit(EXIT_LIMIT_MS);
    assert!(!path.exists(), "removed at the end");
}

#[test]
fn daemonized_it_leaves_its_parent() {
    let Some(start) = skerry() else { return };
    let port = free_ports(1);
    let options = ["--daemonize", "yes", "--pidfile", "server.pid", "--logfile", "server.log"];
    let mut parent = start.shards(2).arguments(&options).launch(port, None);
    assert_eq!(parent.wait_exit(EXIT_LIMIT_MS).code(), Some(0), "{}", parent.log());
    wait_until("the daemon answers", 10_000, || Client::try_connect(port).is_ok());
    let mut client = Client::connect(port);
    assert_eq!(client.run("PING").text(), "PONG");
    let info = client.run("INFO server").text();
    let pid = std::fs::read_to_string(parent.directory().join("server.pid")).expect("a pid file");
    assert!(info.contains(&format!("process_id:{}\r\n", pid.trim())), "{info}");
    assert_ne!(pid.trim(), parent.pid().to_string());
    client.send(&["SHUTDOWN", "NOSAVE"]);
    wait_until("it is gone", 10_000, || Client::try_connect(port).is_err());
}

#[test]
fn unix_socket() {
    let Some(start) = skerry() else { return };
    let server =
        start.shards(2).arguments(&["--unixsocket", "server.sock", "--unixsocketperm", "700"]).spawn();
    let path = server.directory().join("server.sock");
    let mode = std::fs::metadata(&path).expect("the socket is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    let mut stream = UnixStream::connect(&path).expect("connecting to the socket");
    stream.write_all(b"SET k v\r\nGET k\r\n").expect("sending");
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).expect("an answer");
    assert_eq!(&answer, b"+OK\r\n$1\r\nv\r\n");
    assert_eq!(server.client().run("GET k"), Reply::bulk("v"));
}

#[test]
fn passwords() {
    let Some(start) = skerry() else { return };
    let server = start.shards(2).arguments(&["--requirepass", "secret"]).spawn();
    let mut client = server.client();
    assert_eq!(client.run("GET k").text(), "NOAUTH Authentication required.");
    assert_eq!(
        client.run("AUTH wrong").text(),
        "WRONGPASS invalid username-password pair or user is disabled."
    );
    assert_eq!(client.run("AUTH default secret"), Reply::ok());
    assert!(client.run("GET k").is_nil());
    assert_eq!(client.run("CONFIG SET requirepass other"), Reply::ok());
    assert!(client.run("GET k").is_nil(), "who is in stays in");
    assert!(server.client().run("AUTH secret").is_error());
    assert_eq!(server.client().run("AUTH other"), Reply::ok());
}

#[test]
fn renamed_commands_and_protected_ones() {
    let Some(start) = skerry() else { return };
    let (_directory, path) = config_file(&["rename-command FLUSHALL wipe", "rename-command KEYS \"\""]);
    let path = path.to_string_lossy().into_owned();
    let server = start.bare().arguments(&[&path, "--bind", "127.0.0.1"]).spawn();
    let mut client = server.client();
    assert!(client.run("FLUSHALL").text().starts_with("ERR unknown command"));
    assert!(client.run("KEYS *").text().starts_with("ERR unknown command"));
    assert_eq!(client.run("WIPE"), Reply::ok());
    assert!(client.run("DEBUG SLEEP 0").text().starts_with("ERR DEBUG command not allowed"));
    assert!(client.run("CONFIG SET dir /tmp").is_error());
}

/// Directives whose values follow from the process, the machine or our own nature rather than from a default.
const OWN_VALUES: [&str; 17] = [
    // Large enough for a replica's short absence under load.
    "repl-backlog-size",
    "port",
    "bind",
    "dir",
    "save",
    "pidfile",
    "logfile",
    "unixsocket",
    "enable-debug-command",
    "enable-protected-configs",
    "io-threads",
    "bind-source-addr",
    "locale-collate",
    "oom-score-adj-values",
    "proc-title-template",
    "set-proc-title",
    "daemonize",
];

/// Known to 7.0 and no longer shown by 7.2.
const GONE: [&str; 1] = ["aof-disable-auto-gc"];

#[test]
fn every_directive_of_redis_is_known_with_its_default() {
    let (Some(redis), Some(ours)) = (redis(), skerry()) else { return };
    let (redis, ours) = (redis.spawn(), ours.shards(2).spawn());
    let read = |server: &Server| -> Vec<(String, String)> {
        let reply = server.client().run("CONFIG GET *");
        let items: Vec<String> = reply.items().iter().map(Reply::text).collect();
        items.chunks_exact(2).map(|pair| (pair[0].clone(), pair[1].clone())).collect()
    };
    let ours = read(&ours);
    let mut differences = Vec::new();
    for (name, value) in read(&redis) {
        match ours.iter().find(|(own, _)| *own == name) {
            None if GONE.contains(&name.as_str()) => {}
            None => differences.push(format!("{name} is unknown")),
            Some((_, own)) if *own != value && !OWN_VALUES.contains(&name.as_str()) => {
                differences.push(format!("{name}: Redis {value:?}, ours {own:?}"));
            }
            Some(_) => {}
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
}

#[test]
fn without_io_uring_the_reason_is_said() {
    let Some(start) = skerry() else { return };
    if is_redis() {
        return;
    }
    // On a kernel that is new enough, either error is most likely a container's doing.
    for errno in [libc::EPERM, libc::ENOSYS] {
        let (code, output) = run_to_end(start.clone().sandbox(move || sandbox::refuse_io_uring(errno)));
        assert_eq!(code, Some(1), "{output}");
        assert!(output.contains("io_uring") && output.contains("seccomp"), "errno {errno}: {output}");
    }
}
