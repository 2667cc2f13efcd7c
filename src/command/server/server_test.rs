//! The server family, through the gate.

use crate::command::case::{Case, HomeCase};
use crate::command::server::{change_config, redacted};
use crate::store::entry::Entry;

fn case() -> HomeCase {
    HomeCase::with("enable-debug-command yes\n")
}

/// The value of a field of INFO.
fn field(text: &str, name: &str) -> Option<String> {
    let prefix = format!("{name}:");
    text.lines().find_map(|line| line.strip_prefix(&prefix)).map(str::to_owned)
}

#[test]
fn info_has_sections() {
    let mut case = case();
    let text = case.run("INFO");
    for name in ["redis_version", "used_cpu_user", "used_memory", "master_repl_offset", "cluster_enabled"] {
        assert!(field(&text, name).is_some(), "{name}");
    }
    assert_eq!(field(&text, "redis_version").as_deref(), Some("7.2.6"));
    assert_eq!(field(&text, "run_id").as_deref(), Some("0123456789".repeat(4).as_str()));
    assert!(text.contains("\r\n\r\n# Clients\r\n"));
    assert!(text.contains("shard3:keys=0,expires=0,commands_local=0,"));
    assert!(!text.contains("# Commandstats") && !text.contains("# Debug"));
    let all = case.run("INFO cpu ALL");
    assert_eq!(all.matches("used_cpu_user:").count(), 1);
    assert!(all.contains("# Commandstats") && all.contains("# Latencystats"));
    let some = case.run("INFO cpu sentinel KEYSPACE");
    assert!(some.contains("# CPU") && some.contains("# Keyspace") && !some.contains("used_memory"));
    assert_eq!(case.run("INFO nothing"), "$0\r\n\r\n");
    assert!(case.run("INFO debug").contains("eventloop_duration_max:"));
    case.run("HELLO 3");
    assert!(case.run("INFO server").contains("\r\ntxt:# Server\r\n"));
}

#[test]
fn info_tells_of_keys() {
    let mut case = case();
    let mut keyspace = Case::new().keyspace;
    let now = case.now;
    keyspace.insert(0, Entry::new_string(b"a", b"1", None), now);
    keyspace.insert(0, Entry::new_string(b"b", b"1", Some(now + 1000)), now);
    case.server.shards[1].publish_keyspace(&keyspace, now);
    case.server.shards[2].publish_keyspace(&keyspace, now);
    let text = case.run("INFO keyspace");
    assert!(text.contains("db0:keys=4,expires=2,avg_ttl=1000,subexpiry=0\r\n"), "{text}");
    assert!(!text.contains("db1"));
}

#[test]
fn statistics_of_commands() {
    let mut case = case();
    let set = crate::command::table::find(b"set").unwrap();
    let debug = crate::command::table::find(b"debug").unwrap();
    case.server.commands.of(0, set.index).count(1_500, true);
    case.server.commands.of(1, set.index).count(500, false);
    case.server.commands.of(1, set.index).reject();
    case.server.commands.of(1, debug.subcommands[0].index).count(50_000_000, true);
    case.server.errors.count(0, b"-WRONGTYPE x");
    let text = case.run("INFO commandstats errorstats latencystats");
    let line = "cmdstat_set:calls=2,usec=2,usec_per_call=1.00,rejected_calls=1,failed_calls=1\r\n";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("errorstat_WRONGTYPE:count=1\r\n"));
    assert!(text.contains("latency_percentiles_usec_set:p50=0.5"), "{text}");
    assert!(text.contains("latency_percentiles_usec_debug:p50=5"), "{text}");
    assert!(!text.contains("debug|"));
    let histogram = case.run("LATENCY HISTOGRAM set blabla");
    let expected = "*2\r\n$3\r\nset\r\n*4\r\n$5\r\ncalls\r\n:2\r\n$14\r\nhistogram_usec\r\n*4\r\n:1\r\n:1\r\n:2\r\n:2\r\n";
    assert_eq!(histogram, expected);
    case.server.shards[0].keyspace_hits.add(5);
    assert_eq!(case.run("CONFIG RESETSTAT"), "+OK\r\n");
    let text = case.run("INFO commandstats errorstats stats");
    assert!(!text.contains("cmdstat_set") && !text.contains("errorstat_"));
    assert_eq!(field(&text, "keyspace_hits").as_deref(), Some("0"));
    case.server.shards[0].keyspace_hits.add(2);
    assert_eq!(field(&case.run("INFO stats"), "keyspace_hits").as_deref(), Some("2"));
}

#[test]
fn config_get_and_set() {
    let mut case = case();
    assert_eq!(case.run("CONFIG GET hz nothing"), "*2\r\n$2\r\nhz\r\n$2\r\n10\r\n");
    assert_eq!(case.run("CONFIG SET hz 20 maxmemory 1mb"), "+OK\r\n");
    assert_eq!(case.run("CONFIG GET maxmemory"), "*2\r\n$9\r\nmaxmemory\r\n$7\r\n1048576\r\n");
    assert_eq!(case.run("CONFIG SET hz 20 maxmemory"), "-ERR syntax error\r\n");
    assert_eq!(
        case.run("CONFIG SET nope 1"),
        "-ERR Unknown option or number of arguments for CONFIG SET - 'nope'\r\n"
    );
    assert!(
        case.run("CONFIG SET hz x").starts_with("-ERR CONFIG SET failed (possibly related to argument 'hz')")
    );
    assert!(case.run("CONFIG SET port 1").starts_with("<Ask(ConfigListen("));
    let port: [&[u8]; 2] = [b"port", b"1"];
    let refused = change_config(&case.server, &port, true, |config| (config.port != 1).then_some(()));
    assert!(refused.unwrap_err().contains("argument 'port') - Unable to listen on this port"));
    assert_eq!(case.run("CONFIG GET port"), "*2\r\n$4\r\nport\r\n$4\r\n6379\r\n");
    assert_eq!(case.run("CONFIG SET latency-tracking no"), "+OK\r\n");
    case.server.commands.of(0, 0).count(1, true);
    assert_eq!(case.server.commands.total(0).latencies.total(), 0);
    assert_eq!(case.run("CONFIG REWRITE"), "-ERR The server is running without a config file\r\n");
    case.server.config_file = "/etc/skerry.conf".into();
    assert_eq!(case.run("CONFIG REWRITE"), "<Ask(ConfigRewrite { everything: false })>");
    assert!(case.run("CONFIG HELP").contains("CONFIG <subcommand> "));
}

#[test]
fn secrets_are_not_shown() {
    let shown = |line: &str| {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        String::from_utf8(redacted(&words).join(&b' ')).unwrap()
    };
    assert_eq!(shown("get k"), "get k");
    assert_eq!(shown("AUTH u p"), "AUTH (redacted) (redacted)");
    assert_eq!(shown("HELLO 3 AUTH u p SETNAME x"), "HELLO 3 AUTH (redacted) (redacted) SETNAME x");
    assert_eq!(shown("config set hz 1 requirepass s"), "config set hz 1 requirepass (redacted)");
    assert_eq!(shown("config set masterauth"), "config set masterauth");
}

#[test]
fn slowlog() {
    let mut case = case();
    assert_eq!(case.run("SLOWLOG LEN"), ":0\r\n");
    case.server.slowlog.push(7, 12, &[b"get", b"k"], ("a:1", b"me"), 128);
    assert_eq!(
        case.run("SLOWLOG GET"),
        "*1\r\n*6\r\n:0\r\n:7\r\n:12\r\n*2\r\n$3\r\nget\r\n$1\r\nk\r\n$3\r\na:1\r\n$2\r\nme\r\n"
    );
    assert_eq!(case.run("SLOWLOG GET 0"), "*0\r\n");
    assert!(case.run("SLOWLOG GET -1").starts_with("*1\r\n"));
    assert_eq!(case.run("SLOWLOG GET -2"), "-ERR count should be greater than or equal to -1\r\n");
    assert_eq!(case.run("SLOWLOG GET x"), "-ERR count should be greater than or equal to -1\r\n");
    assert_eq!(
        case.run("SLOWLOG GET 1 2"),
        "-ERR unknown subcommand or wrong number of arguments for 'GET'. Try SLOWLOG HELP.\r\n"
    );
    assert_eq!(case.run("SLOWLOG RESET"), "+OK\r\n");
    assert_eq!(case.run("SLOWLOG LEN"), ":0\r\n");
}

#[test]
fn latency_events() {
    let mut case = case();
    assert!(case.run("LATENCY DOCTOR").contains("latency-monitor-threshold"));
    let now_s = case.now / 1000;
    case.server.latency.note("command", 300, 100, now_s - 70);
    case.server.latency.note("command", 500, 100, now_s - 1);
    let latest = format!("*1\r\n*4\r\n$7\r\ncommand\r\n:{}\r\n:500\r\n:500\r\n", now_s - 1);
    assert_eq!(case.run("LATENCY LATEST"), latest);
    assert!(case.run("LATENCY HISTORY command").starts_with("*2\r\n*2\r\n"));
    assert_eq!(case.run("LATENCY HISTORY nothing"), "*0\r\n");
    let graph = case.run("LATENCY GRAPH command");
    assert!(graph.contains("command - high 500 ms, low 300 ms (all time high 500 ms)\n"), "{graph}");
    assert!(graph.contains("11\nms\n"), "{graph}");
    assert_eq!(case.run("LATENCY GRAPH x"), "-ERR No samples available for event 'x'\r\n");
    assert!(case.run("LATENCY DOCTOR").contains("2 latency spikes"));
    assert_eq!(case.run("LATENCY RESET x COMMAND"), ":1\r\n");
    assert_eq!(case.run("LATENCY LATEST"), "*0\r\n");
    assert_eq!(case.run("LATENCY help x"), "-ERR wrong number of arguments for 'latency|help' command\r\n");
}

#[test]
fn memory() {
    let mut case = case();
    case.run("HELLO 3");
    let stats = case.run("MEMORY STATS");
    assert!(stats.starts_with("%27\r\n$14\r\npeak.allocated\r\n:"), "{stats}");
    assert_eq!(case.run("MEMORY PURGE"), "<Ask(MemoryPurge)>");
    assert!(case.run("MEMORY DOCTOR").contains("memory"));
    assert!(case.run("MEMORY MALLOC-STATS").contains("not supported"));
}

#[test]
fn what_the_floor_above_is_asked() {
    let mut case = case();
    assert_eq!(case.run("MONITOR"), "<Ask(Monitor)>");
    assert_eq!(case.run("SHUTDOWN NOSAVE now"), "<Ask(Shutdown(ShutdownFlags(NOSAVE | NOW)))>");
    assert_eq!(case.run("SHUTDOWN SAVE NOSAVE"), "-ERR syntax error\r\n");
    assert_eq!(case.run("SHUTDOWN ABORT NOW"), "-ERR syntax error\r\n");
    assert_eq!(case.run("SHUTDOWN ABORT"), "<Ask(AbortShutdown)>");
    assert_eq!(case.run("DEBUG SLEEP 0.25"), "<Ask(Sleep { micros: 250000 })>");
    assert_eq!(case.run("DEBUG EFFECTS"), "<Ask(Effects)>");
    assert_eq!(case.run("debug segfault"), "<Ask(Crash(\"SEGFAULT\"))>");
}

#[test]
fn debug_answers() {
    let mut case = case();
    assert_eq!(case.run("DEBUG PROTOCOL map"), "*6\r\n:0\r\n:0\r\n:1\r\n:1\r\n:2\r\n:0\r\n");
    assert_eq!(case.run("DEBUG PROTOCOL double"), "$5\r\n3.141\r\n");
    assert_eq!(case.run("DEBUG PROTOCOL push"), "-ERR RESP2 is not supported by this command\r\n");
    case.run("HELLO 3");
    assert_eq!(case.run("DEBUG PROTOCOL bignum"), "(1234567999999999999999999999999999999\r\n");
    assert_eq!(case.run("DEBUG PROTOCOL verbatim"), "=29\r\ntxt:This is a verbatim\nstring\r\n");
    assert!(case.run("DEBUG PROTOCOL attrib").starts_with("|1\r\n$14\r\nkey-popularity\r\n*2\r\n"));
    assert!(case.run("DEBUG PROTOCOL x").starts_with("-ERR Wrong protocol type name."));
    assert_eq!(case.run("DEBUG SET-ACTIVE-EXPIRE 0"), "+OK\r\n");
    assert!(!case.server.active_expire.load(std::sync::atomic::Ordering::Relaxed));
    assert_eq!(case.run("DEBUG JMAP"), "+OK\r\n");
    assert_eq!(case.run("DEBUG ERROR 'MY text'"), "-MY text\r\n");
    assert_eq!(case.run("DEBUG STRINGMATCH-LEN a*c abc"), ":1\r\n");
    assert_eq!(case.run("DEBUG QUICKLIST-PACKED-THRESHOLD 1b"), "+OK\r\n");
    assert!(case.run("DEBUG QUICKLIST-PACKED-THRESHOLD 5gb").starts_with("-ERR argument must be"));
    assert_eq!(case.run("DEBUG HTSTATS 99"), "-ERR Out of range database\r\n");
    assert_eq!(
        case.run("DEBUG nope"),
        "-ERR unknown subcommand or wrong number of arguments for 'nope'. Try DEBUG HELP.\r\n"
    );
    let before = case.server.replication.history().id;
    assert_eq!(case.run("DEBUG CHANGE-REPL-ID"), "+OK\r\n");
    assert_ne!(case.server.replication.history().id, before);
}

#[test]
fn populate_makes_what_the_shard_owns() {
    let mut keys = 0;
    for shard in 0..3 {
        let mut case = Case::new();
        (case.shard, case.shards) = (shard, 3);
        assert_eq!(case.run("DEBUG POPULATE 1000 p 20"), "+OK\r\n");
        assert!(case.effects().is_empty());
        keys += case.keyspace.database(0).len();
        if let Some(entry) = case.keyspace.find(0, b"p:7") {
            let mut digits = itoa::Buffer::new();
            assert_eq!(entry.string(&mut digits), Some(b"value:7\0\0\0\0\0\0\0\0\0\0\0\0\0".as_slice()));
        }
    }
    assert_eq!(keys, 1000);
    let mut case = Case::new();
    assert_eq!(case.run("DEBUG POPULATE -1"), "-ERR value is out of range, must be positive\r\n");
    assert_eq!(case.run("DEBUG POPULATE x"), "-ERR value is not an integer or out of range\r\n");
    assert_eq!(case.run("DEBUG HTSTATS-KEY none"), "-ERR no such key\r\n");
}

#[test]
fn functions_are_none() {
    let mut case = case();
    assert_eq!(case.run("FUNCTION FLUSH ASYNC"), "+OK\r\n");
    assert_eq!(case.run("FUNCTION FLUSH x"), "-ERR FUNCTION FLUSH only supports SYNC|ASYNC option\r\n");
    assert_eq!(case.run("FUNCTION LIST WITHCODE LIBRARYNAME a"), "*0\r\n");
    assert_eq!(case.run("FUNCTION LIST x"), "-ERR Unknown argument x\r\n");
}

#[test]
fn the_rest() {
    let mut case = case();
    assert!(case.run("TIME").starts_with("*2\r\n$10\r\n"));
    let drawing = case.run("LOLWUT VERSION 5");
    assert!(drawing.ends_with("Redis ver. 7.2.6\n\r\n"), "{drawing}");
    assert_ne!(case.run("LOLWUT"), drawing);
}
