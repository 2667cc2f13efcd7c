//! What operators and their tools ask for: INFO, CLIENT, MONITOR, SLOWLOG, LATENCY, CONFIG, COMMAND, DEBUG.
//! Compared with Redis where both have it.

mod common;

use common::{Client, Reply, Server, redis, skerry, wait_until};
use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

fn server() -> Option<Server> {
    Some(skerry()?.shards(4).spawn())
}

/// INFO's fields by section.
fn info(client: &mut Client, section: &str) -> BTreeMap<String, BTreeMap<String, String>> {
    let text = client.run(&format!("INFO {section}")).text();
    let mut sections: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    let mut current = String::new();
    for line in text.split("\r\n") {
        if let Some(name) = line.strip_prefix("# ") {
            current = name.to_owned();
        } else if let Some((name, value)) = line.split_once(':') {
            sections.entry(current.clone()).or_default().insert(name.to_owned(), value.to_owned());
        }
    }
    sections
}

fn field(client: &mut Client, name: &str) -> String {
    let sections = info(client, "everything");
    let found = sections.values().find_map(|fields| fields.get(name));
    found.unwrap_or_else(|| panic!("INFO has {name}")).clone()
}

/// What begins the names of fields that speak of parts this kind of server does not have: a forking
/// snapshot, one allocator's internals, threads for input and output, defragmentation, scripts' memory.
const FIELDS_WITHOUT_SENSE: [&str; 16] = [
    "allocator_",
    "rss_overhead",
    "mem_fragmentation",
    "active_defrag",
    "io_thread",
    "lazyfree",
    "mem_clients",
    "mem_cluster",
    "mem_aof",
    "mem_total_replication",
    "mem_replica",
    "monotonic_clock",
    "multiplexing_api",
    "gcc_version",
    "atomicvar_api",
    "redis_git",
];

#[test]
fn info_has_redis_sections_and_fields() {
    let (Some(redis), Some(ours)) = (redis(), server()) else { return };
    let redis = redis.spawn();
    for server in [&redis, &ours] {
        let mut client = server.client();
        client.run("SET k v EX 100");
        client.run("GET none");
        client.run("NOSUCH");
    }
    let expected = info(&mut redis.client(), "everything");
    let actual = info(&mut ours.client(), "everything");
    let mut missing = Vec::new();
    for (section, fields) in &expected {
        let Some(ours) = actual.get(section) else {
            missing.push(format!("section {section}"));
            continue;
        };
        let needed = |name: &&String| !FIELDS_WITHOUT_SENSE.iter().any(|start| name.starts_with(start));
        missing.extend(
            fields
                .keys()
                .filter(needed)
                .filter(|name| !ours.contains_key(*name))
                .map(|name| format!("{section}: {name}")),
        );
    }
    assert!(missing.is_empty(), "not in INFO:\n{}", missing.join("\n"));
    let default = info(&mut ours.client(), "");
    for section in
        ["Server", "Clients", "Memory", "Persistence", "Stats", "Replication", "CPU", "Cluster", "Keyspace"]
    {
        assert!(default.contains_key(section), "{section} is shown by default");
    }
    assert!(!default.contains_key("Commandstats"));
    assert_eq!(info(&mut ours.client(), "clients memory").len(), 2);
}

#[test]
fn info_counts_what_happens() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    client.run("CONFIG RESETSTAT");
    for index in 0..10 {
        client.run(&format!("SET key:{index} v"));
    }
    client.run("MGET key:0 key:1 key:2 none");
    client.run("GET none");
    client.run("INCR key:0");
    client.run("NOSUCH");
    client.run("SET brief v PX 1");
    client.run("EXPIRE key:9 1000");
    std::thread::sleep(Duration::from_millis(20));
    client.run("GET brief");
    let stats = info(&mut client, "everything");
    let number = |section: &str, name: &str| stats[section][name].parse::<i64>().expect("a number");
    assert_eq!((number("Stats", "keyspace_hits"), number("Stats", "keyspace_misses")), (3, 3));
    assert_eq!(number("Stats", "expired_keys"), 1);
    assert_eq!(number("Stats", "total_error_replies"), 2);
    assert!(number("Stats", "total_commands_processed") >= 16);
    assert!(number("Stats", "total_net_input_bytes") > 300);
    assert!(
        stats["Commandstats"]["cmdstat_set"].starts_with("calls=11,usec="),
        "{:?}",
        stats["Commandstats"]
    );
    assert!(stats["Commandstats"]["cmdstat_incr"].contains("failed_calls=1"));
    assert_eq!(stats["Errorstats"]["errorstat_ERR"], "count=2");
    assert!(stats["Keyspace"]["db0"].starts_with("keys=10,expires=1,avg_ttl="), "{:?}", stats["Keyspace"]);
    assert_eq!(stats["Server"]["process_id"], server.pid().to_string());
    assert_eq!(stats["Server"]["tcp_port"], server.port().to_string());
    client.run("CONFIG RESETSTAT");
    assert_eq!(field(&mut client, "keyspace_hits"), "0");
}

/// The parts of COMMAND INFO that clients route by.
fn routing(row: &Reply) -> Option<(String, Vec<i64>)> {
    if row.is_nil() {
        return None;
    }
    let items = row.items();
    Some((items[0].text(), [1, 3, 4, 5].map(|index| items[index].integer()).to_vec()))
}

/// Rows that 7.2 changed against 7.0: arguments that became optional, and commands that scripts may call now.
const CHANGED_ROWS: [&str; 12] = [
    "command|getkeys",
    "command|getkeysandflags",
    "zrank",
    "zrevrank",
    "wait",
    "blpop",
    "brpop",
    "blmove",
    "blmpop",
    "brpoplpush",
    "bzpopmin",
    "bzpopmax",
];

#[test]
fn command_table_agrees_with_redis() {
    let (Some(redis), Some(ours)) = (redis(), server()) else { return };
    let redis = redis.spawn();
    let (mut redis, mut ours) = (redis.client(), ours.client());
    let names: Vec<String> = ours.run("COMMAND LIST").items().iter().map(Reply::text).collect();
    let known: BTreeSet<String> = redis.run("COMMAND LIST").items().iter().map(Reply::text).collect();
    assert!(names.len() > 80, "{} commands", names.len());
    // The list names subcommands too, the count does not count them.
    let commands = names.iter().filter(|name| !name.contains('|')).count();
    assert_eq!(ours.run("COMMAND COUNT"), Reply::Integer(commands as i64));
    let mut differences = Vec::new();
    let comparable = |name: &&String| known.contains(*name) && !CHANGED_ROWS.contains(&name.as_str());
    for name in names.iter().filter(comparable) {
        let row = |client: &mut Client| client.command(&["COMMAND", "INFO", name]).items()[0].clone();
        let (expected, actual) = (row(&mut redis), row(&mut ours));
        if routing(&expected) != routing(&actual) {
            differences.push(format!("{name}: Redis {:?}, ours {:?}", routing(&expected), routing(&actual)));
        }
        let flags = |row: &Reply| row.items()[2].items().iter().map(Reply::text).collect::<BTreeSet<_>>();
        let essential = |row: &Reply| {
            let kept = [
                "write",
                "readonly",
                "denyoom",
                "admin",
                "pubsub",
                "noscript",
                "blocking",
                "no_auth",
                "movablekeys",
            ];
            flags(row).into_iter().filter(|flag| kept.contains(&flag.as_str())).collect::<BTreeSet<_>>()
        };
        if essential(&expected) != essential(&actual) {
            differences.push(format!(
                "{name}: Redis {:?}, ours {:?}",
                essential(&expected),
                essential(&actual)
            ));
        }
    }
    assert!(differences.is_empty(), "{}", differences.join("\n"));
    let docs = ours.run("COMMAND DOCS get set");
    assert_eq!(docs.items().len(), 4);
    assert_eq!(docs.items()[0].text(), "get");
    assert!(ours.run("COMMAND INFO nosuch").items()[0].is_nil());
}

/// The fields of a line of CLIENT LIST.
fn client_fields(line: &str) -> BTreeMap<String, String> {
    let pairs = line.split_whitespace().filter_map(|word| word.split_once('='));
    pairs.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

#[test]
fn clients_are_listed_and_killed() {
    let (Some(redis), Some(server)) = (redis(), server()) else { return };
    let redis = redis.spawn();
    let mut client = server.client();
    client.run("CLIENT SETNAME watcher");
    let id = client.run("CLIENT ID").integer();
    let expected = client_fields(&redis.client().run("CLIENT INFO").text());
    let actual = client_fields(&client.run("CLIENT INFO").text());
    let missing: Vec<&String> = expected.keys().filter(|name| !actual.contains_key(*name)).collect();
    assert!(missing.is_empty(), "not in CLIENT INFO: {missing:?}");
    assert_eq!((actual["id"].as_str(), actual["name"].as_str()), (id.to_string().as_str(), "watcher"));
    // On as many shards as connections happen to land.
    let mut others: Vec<Client> = (0..12).map(|_| server.client()).collect();
    let ids: Vec<i64> = others.iter_mut().map(|other| other.run("CLIENT ID").integer()).collect();
    assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 12, "ids are unique");
    assert_eq!(client.run("CLIENT LIST").text().lines().count(), 13);
    let line = client.run(&format!("CLIENT LIST ID {}", ids[3])).text();
    assert_eq!(client_fields(&line)["id"], ids[3].to_string());
    assert_eq!(client.run(&format!("CLIENT KILL ID {}", ids[3])), Reply::Integer(1));
    assert!(others[3].is_closed());
    let address = client_fields(&client.run(&format!("CLIENT LIST ID {}", ids[4])).text())["addr"].clone();
    assert_eq!(client.run(&format!("CLIENT KILL {address}")), Reply::ok());
    assert!(others[4].is_closed());
    assert_eq!(client.run(&format!("CLIENT KILL {address}")).text(), "ERR No such client");
    assert_eq!(client.run("CLIENT KILL TYPE normal SKIPME yes"), Reply::Integer(10));
    wait_until("only this one is left", 5_000, || client.run("CLIENT LIST").text().lines().count() == 1);
}

/// Runs lines, all but the last of which are queued; gives the reply of the last.
fn run_all(client: &mut Client, lines: &[&str]) -> Reply {
    lines.iter().map(|line| client.run(line)).last().expect("a line")
}

#[test]
fn exec_counts_the_clients_of_all_shards() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    let others: Vec<Client> = (0..12).map(|_| server.client()).collect();
    wait_until("all are there", 5_000, || client.run("CLIENT LIST").text().lines().count() == 13);
    let lines = ["MULTI", "SET a 1", "CLIENT LIST", "CLIENT KILL TYPE normal SKIPME yes", "GET a", "EXEC"];
    let reply = run_all(&mut client, &lines);
    let [set, list, killed, get] = reply.items() else { panic!("four replies: {reply:?}") };
    assert_eq!((set, killed, get), (&Reply::ok(), &Reply::Integer(12), &Reply::bulk("1")));
    assert_eq!(list.text().lines().count(), 13);
    others.into_iter().for_each(|mut other| assert!(other.is_closed()));
    assert_eq!(client.run("PING").text(), "PONG");
}

#[test]
fn an_exec_that_watched_keys_prevent_changes_nothing() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    let mut other = server.client();
    let aborted = [
        "CONFIG SET timeout 77",
        "CLIENT SETNAME me",
        "SELECT 3",
        "CLIENT PAUSE 600000 ALL",
        "DEBUG CHANGE-REPL-ID",
        "CLIENT NO-TOUCH on",
        "CLIENT KILL TYPE normal SKIPME yes",
    ];
    let id = field(&mut client, "master_replid");
    // Keys on one shard, then on several.
    for keys in ["k", "k l m n o p"] {
        client.run(&format!("WATCH {keys}"));
        client.run("MULTI");
        for line in aborted {
            assert_eq!(client.run(line).text(), "QUEUED");
        }
        client.run("SET k 1");
        other.run("SET k changed");
        assert!(client.run("EXEC").is_nil());
        assert_eq!(client.run("CONFIG GET timeout").items()[1].text(), "0");
        let own = client_fields(&client.run("CLIENT INFO").text());
        assert_eq!((own["name"].as_str(), own["db"].as_str(), own["flags"].as_str()), ("", "0", "N"));
        assert_eq!(field(&mut client, "master_replid"), id);
        assert_eq!(other.run("GET k").text(), "changed", "nobody is paused or gone");
    }
}

#[test]
fn an_exec_with_watched_keys_runs_everything_in_its_place() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    for keys in ["k", "k l m n o p"] {
        client.run("FLUSHALL");
        client.run("SELECT 0");
        client.run("CONFIG SET timeout 0");
        client.run(&format!("WATCH {keys}"));
        let lines = [
            "MULTI",
            "SET k zero",
            "SELECT 3",
            "CLIENT INFO",
            "SET k three",
            "CONFIG SET timeout 77",
            "SELECT 99",
            "SELECT 0",
            "MGET k l",
            "CLIENT LIST",
            "SELECT 3",
            "EXEC",
        ];
        let reply = run_all(&mut client, &lines);
        let items = reply.items();
        assert_eq!(items.len(), 10, "{reply:?}");
        for at in [0, 1, 3, 4, 6, 9] {
            assert_eq!(items[at], Reply::ok(), "{at} of {reply:?}");
        }
        assert_eq!(client_fields(&items[2].text())["db"], "3");
        assert!(items[5].is_error());
        assert_eq!(items[7].items()[0], Reply::bulk("zero"));
        assert_eq!(items[8].text().lines().count(), 1);
        assert_eq!(client.run("GET k").text(), "three", "it stays in database 3");
        assert_eq!(client.run("CONFIG GET timeout").items()[1].text(), "77");
    }
    // The next replies are in the new protocol, the array itself has no difference.
    client.run("WATCH k");
    let reply = run_all(&mut client, &["MULTI", "GET none", "HELLO 3", "GET none", "EXEC"]);
    assert_eq!((&reply.items()[0], &reply.items()[2]), (&Reply::NilBulk, &Reply::Null));
}

#[test]
fn buffers_of_clients_are_reported() {
    const VALUE_BYTES: usize = 1 << 20;
    let Some(server) = server() else { return };
    let mut client = server.client();
    let number = |client: &mut Client, name: &str| field(client, name).parse::<usize>().expect("a number");
    wait_until("there are figures", 5_000, || number(&mut client, "mem_clients_normal") > 0);
    let idle = number(&mut client, "mem_clients_normal");
    assert!(number(&mut client, "client_recent_max_output_buffer") < VALUE_BYTES);
    client.command(&["SET", "k", &"x".repeat(VALUE_BYTES)]);
    let mut sender = server.client();
    sender.send_raw(b"*2\r\n$3\r\nGET\r\n$4000000\r\n");
    sender.send_raw(&vec![b'x'; 3_000_000]);
    // More than sockets hold.
    let mut slow = server.client();
    slow.send_raw(&b"GET k\r\n".repeat(64));
    wait_until("they are full", 10_000, || {
        number(&mut client, "client_recent_max_input_buffer") >= 3_000_000
            && number(&mut client, "client_recent_max_output_buffer") >= 8 * VALUE_BYTES
            && number(&mut client, "mem_clients_normal") >= idle + 8 * VALUE_BYTES
    });
    let stats = client.run("MEMORY STATS");
    let at = stats.items().iter().position(|item| item.text() == "clients.normal").expect("it is there");
    assert!(stats.items()[at + 1].integer() >= 8 << 20);
    drop((sender, slow));
    wait_until("they are gone", 20_000, || {
        number(&mut client, "mem_clients_normal") < idle + VALUE_BYTES
            && number(&mut client, "client_recent_max_output_buffer") < VALUE_BYTES
    });
}

#[test]
fn a_client_sees_its_own_request() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    assert!(client.run("CLIENT INFO").text().contains(" qbuf=26 "));
    assert!(client.run("CLIENT LIST").text().contains(" qbuf=26 "));
}

#[test]
fn writes_can_be_paused() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    let mut writers: Vec<Client> = (0..4).map(|_| server.client()).collect();
    assert_eq!(client.run("CLIENT PAUSE 60000 WRITE"), Reply::ok());
    for (index, writer) in writers.iter_mut().enumerate() {
        assert!(writer.run(&format!("GET key:{index}")).is_nil(), "reading goes on");
        writer.send(&["SET", &format!("key:{index}"), "x"]);
    }
    std::thread::sleep(Duration::from_millis(200));
    assert_eq!(client.run("EXISTS key:0 key:1 key:2 key:3"), Reply::Integer(0));
    assert_eq!(field(&mut client, "blocked_clients"), "4");
    assert_eq!(client.run("CLIENT UNPAUSE"), Reply::ok());
    writers.iter_mut().for_each(|writer| assert_eq!(writer.receive(), Reply::ok()));
    let begun = Instant::now();
    assert_eq!(client.run("CLIENT PAUSE 300 ALL"), Reply::ok());
    assert!(writers[0].run("GET key:0").bytes() == b"x");
    assert!(begun.elapsed() >= Duration::from_millis(280), "paused for {:?}", begun.elapsed());
}

#[test]
fn monitor_sees_every_command() {
    let Some(server) = server() else { return };
    let mut monitors = [server.client(), server.client()];
    monitors.iter_mut().for_each(|monitor| assert_eq!(monitor.run("MONITOR"), Reply::ok()));
    let mut clients: Vec<Client> = (0..4).map(|_| server.client()).collect();
    for (index, client) in clients.iter_mut().enumerate() {
        client.run(&format!("SELECT {index}"));
        client.command(&["SET", &format!("key:{index}"), "a \"quoted\"\n\u{1} value"]);
    }
    for monitor in &mut monitors {
        let lines: Vec<String> = (0..8).map(|_| monitor.receive().text()).collect();
        for index in 0..4 {
            let end = format!("\"SET\" \"key:{index}\" \"a \\\"quoted\\\"\\n\\x01 value\"");
            let line = lines.iter().find(|line| line.ends_with(&end));
            let line = line.unwrap_or_else(|| panic!("{end} in {lines:?}"));
            let rest = line.split_once(' ').map_or("", |(_, rest)| rest);
            assert!(rest.starts_with(&format!("[{index} 127.0.0.1:")), "{line}");
        }
    }
    assert!(monitors[0].run("RESET").text() == "RESET");
}

#[test]
fn slow_log_keeps_slow_commands() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    client.run("CONFIG SET slowlog-log-slower-than 0");
    client.run("SLOWLOG RESET");
    for index in 0..20 {
        client.run(&format!("SET key:{index} value"));
    }
    client.run("CONFIG SET slowlog-log-slower-than -1");
    let entries = client.run("SLOWLOG GET -1");
    let commands: Vec<String> =
        entries.items().iter().map(|entry| entry.items()[3].items()[0].text()).collect();
    assert_eq!(commands.iter().filter(|name| *name == "SET").count(), 20, "{commands:?}");
    let entry = entries.items().iter().find(|entry| entry.items()[3].items().len() == 3).expect("a SET");
    assert_eq!(entry.items().len(), 6);
    assert!(entry.items()[4].text().starts_with("127.0.0.1:"));
    let ids: Vec<i64> = entries.items().iter().map(|entry| entry.items()[0].integer()).collect();
    assert!(ids.windows(2).all(|pair| pair[0] > pair[1]), "newest first: {ids:?}");
    client.run("CONFIG SET slowlog-max-len 5");
    client.run("CONFIG SET slowlog-log-slower-than 10000");
    client.run("DEBUG SLEEP 0.02");
    assert_eq!(client.run("SLOWLOG GET 1").items()[0].items()[3].items()[0].text().to_uppercase(), "DEBUG");
    assert!(client.run("SLOWLOG LEN").integer() <= 5);
    assert_eq!(client.run("SLOWLOG RESET"), Reply::ok());
    assert_eq!(client.run("SLOWLOG LEN"), Reply::Integer(0));
}

#[test]
fn slow_log_shows_what_exec_ran() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    client.run("CLIENT SETNAME me");
    client.run("CONFIG SET slowlog-log-slower-than 0");
    client.run("SLOWLOG RESET");
    for line in ["MULTI", "SET a 1", "DEBUG SLEEP 0.001", "SET b 2", "EXEC"] {
        client.run(line);
    }
    client.run("CONFIG SET slowlog-log-slower-than -1");
    let entries = client.run("SLOWLOG GET -1");
    let named = |name: &str| {
        let of_name = |entry: &&Reply| entry.items()[3].items()[0].text() == name;
        entries.items().iter().filter(of_name).collect::<Vec<_>>()
    };
    assert!(named("EXEC").is_empty());
    assert_eq!((named("SET").len(), named("DEBUG").len()), (2, 1), "{entries:?}");
    assert!(named("DEBUG")[0].items()[2].integer() >= 1000);
    for entry in named("SET").into_iter().chain(named("DEBUG")) {
        assert_eq!(entry.items()[5].text(), "me");
    }
}

#[test]
fn latency_is_recorded() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    client.run("CONFIG SET latency-monitor-threshold 20");
    client.run("DEBUG SLEEP 0.03");
    let latest = client.run("LATENCY LATEST");
    let event = latest.items().iter().find(|event| event.items()[0].text() == "command").expect("an event");
    assert!(event.items()[3].integer() >= 30);
    assert_eq!(client.run("LATENCY HISTORY command").items().len(), 1);
    assert!(client.run("LATENCY RESET").integer() >= 1);
    client.run("SET k v");
    let histogram = client.run("LATENCY HISTOGRAM set");
    assert_eq!(histogram.items()[0].text(), "set");
    assert!(client.run("LATENCY DOCTOR").bytes().len() > 20);
}

#[test]
fn configuration_is_changed_and_rewritten() {
    let Some(start) = skerry() else { return };
    let directory = tempfile::tempdir().expect("making a directory");
    let path = directory.path().join("server.conf");
    std::fs::write(&path, "# kept\ndatabases 8\nmaxmemory 50mb\n").expect("writing a file");
    let path_text = path.to_string_lossy().into_owned();
    let server = start.arguments(&[&path_text]).spawn();
    let mut client = server.client();
    let cases = [
        ("CONFIG SET maxmemory 100mb", "+OK"),
        ("CONFIG SET hz 20 timeout 7", "+OK"),
        ("CONFIG SET nosuch 1", "-ERR Unknown option or number of arguments for CONFIG SET - \\'nosuch\\'"),
        (
            "CONFIG SET hz 20 hz 30",
            "-ERR CONFIG SET failed (possibly related to argument \\'hz\\') - duplicate parameter",
        ),
        (
            "CONFIG SET databases 3",
            "-ERR CONFIG SET failed (possibly related to argument \\'databases\\') - can\\'t set immutable config",
        ),
        (
            "CONFIG SET timeout 9 loglevel loud",
            "-ERR CONFIG SET failed (possibly related to argument \\'loglevel\\') - argument(s) must be one of the following: debug, verbose, notice, warning",
        ),
        ("CONFIG GET timeout", "[\"timeout\", \"7\"]"),
        ("CONFIG GET nosuch", "[]"),
        ("CONFIG GET", "-ERR wrong number of arguments for \\'config|get\\' command"),
        ("CONFIG REWRITE", "+OK"),
    ];
    for (line, expected) in cases {
        let reply = format!("{:?}", client.run(line));
        // 7.2 has one level more than 7.0.
        assert_eq!(reply.trim_end_matches(", nothing"), expected, "{line}");
    }
    let rewritten = std::fs::read_to_string(&path).expect("the file is there");
    for line in ["# kept", "databases 8", "maxmemory 100mb", "timeout 7"] {
        assert!(rewritten.lines().any(|own| own == line), "{line} in {rewritten}");
    }
}

#[test]
fn debugging_aids_of_test_suites() {
    let Some(server) = server() else { return };
    let mut client = server.client();
    client.run("SET k 12345");
    let object = client.run("DEBUG OBJECT k").text();
    assert!(object.contains("encoding:int") && object.contains("refcount:"), "{object}");
    assert!(client.run("DEBUG OBJECT none").is_error());
    for line in
        ["DEBUG SET-ACTIVE-EXPIRE 0", "DEBUG SET-ACTIVE-EXPIRE 1", "DEBUG LOG here-it-is", "DEBUG JMAP"]
    {
        let reply = client.run(line);
        assert!(!reply.is_error() || line == "DEBUG JMAP", "{line}: {reply:?}");
    }
    assert!(server.log().contains("here-it-is"));
    let begun = Instant::now();
    assert_eq!(client.run("DEBUG SLEEP 0.1"), Reply::ok());
    assert!(begun.elapsed() >= Duration::from_millis(100));
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    client.run("SET brief v PX 1");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(client.run("DBSIZE"), Reply::Integer(2), "nobody looked, so it still counts");
    client.run("DEBUG SET-ACTIVE-EXPIRE 1");
    wait_until("it is removed unseen", 10_000, || client.run("DBSIZE") == Reply::Integer(1));
    assert_eq!(client.run("FUNCTION FLUSH"), Reply::ok());
    assert!(client.run("LOLWUT").bytes().len() > 10);
}

#[test]
fn growth_never_loses_keys_from_a_scan() {
    const STABLE: usize = 2_000;
    let Some(server) = server() else { return };
    let mut client = server.client();
    let mut writer = server.client();
    (0..STABLE).for_each(|index| drop(client.run(&format!("SET stable:{index} x"))));
    for shrink in [false, true] {
        let mut seen = BTreeSet::new();
        let (mut cursor, mut step, mut calls) = ("0".to_owned(), 0, 0);
        loop {
            let reply = client.run(&format!("SCAN {cursor} COUNT 50"));
            cursor = reply.items()[0].text();
            seen.extend(reply.items()[1].items().iter().map(Reply::text));
            calls += 1;
            assert!(calls < 10_000, "the iteration ends");
            if cursor == "0" {
                break;
            }
            // The keyspace grows to many times its size, or shrinks again, while the iteration goes on.
            let verb = |index: usize| {
                if shrink { format!("DEL extra:{index}") } else { format!("SET extra:{index} x") }
            };
            let mut bytes = Vec::new();
            for index in (step * 500..(step + 1) * 500).filter(|_| step < 100) {
                let line = verb(index);
                common::encode(&line.split(' ').collect::<Vec<_>>(), &mut bytes);
            }
            let count = if step < 100 { 500 } else { 0 };
            writer.send_raw(&bytes);
            writer.receive_many(count);
            step += 1;
        }
        let missed = (0..STABLE).filter(|index| !seen.contains(&format!("stable:{index}"))).count();
        assert_eq!(missed, 0, "keys that were there all along (shrinking: {shrink})");
        println!("shrinking {shrink}: {calls} calls");
    }
}
