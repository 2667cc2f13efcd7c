//! The generic family against one keyspace: replies and effects as Redis 7.2 gives them.

use crate::command::case::Case;

/// The keys of a SCAN or KEYS reply, sorted.
fn bulks(reply: &str) -> Vec<String> {
    let mut keys: Vec<String> =
        reply.split("\r\n").filter(|line| line.starts_with("key:")).map(str::to_owned).collect();
    keys.sort_unstable();
    keys
}

fn filled(count: usize) -> Case {
    let mut case = Case::new();
    for number in 0..count {
        put(&mut case, &format!("key:{number:04}"), "value");
    }
    case.effects();
    case
}

/// Stores a string without any command of another family.
fn put(case: &mut Case, key: &str, value: &str) {
    put_in(case, 0, key, value);
}

fn put_in(case: &mut Case, database: usize, key: &str, value: &str) {
    let entry = crate::store::entry::Entry::new_string(key.as_bytes(), value.as_bytes(), None);
    entry.set_access(crate::store::access::lru_clock(case.now));
    case.keyspace.insert(database, entry, case.now);
}

fn value(case: &Case, database: usize, key: &str) -> Option<String> {
    let entry = case.keyspace.find(database, key.as_bytes())?;
    entry.string(&mut itoa::Buffer::new()).map(|bytes| String::from_utf8(bytes.to_vec()).unwrap())
}

/// Walks with SCAN to the end; returns the keys and the number of calls.
fn scan_all(case: &mut Case, options: &str) -> (Vec<String>, usize) {
    let (mut cursor, mut keys, mut calls) = ("0".to_owned(), Vec::new(), 0);
    loop {
        let reply = case.run(&format!("SCAN {cursor} {options}"));
        calls += 1;
        keys.append(&mut bulks(&reply));
        cursor = reply.split("\r\n").nth(2).unwrap().to_owned();
        if cursor == "0" {
            keys.sort_unstable();
            return (keys, calls);
        }
    }
}

#[test]
fn keys_are_removed_and_counted() {
    let mut case = filled(3);
    assert_eq!(case.run("EXISTS key:0000 key:0000 none"), ":2\r\n");
    assert_eq!(case.run("TOUCH key:0000 key:0001 none"), ":2\r\n");
    assert_eq!(case.run("DEL key:0000 none key:0000"), ":1\r\n");
    assert_eq!(case.effects(), ["DEL key:0000 none key:0000"]);
    assert_eq!(case.run("UNLINK key:0001 key:0002"), ":2\r\n");
    assert_eq!(case.effects(), ["UNLINK key:0001 key:0002"]);
    assert_eq!(case.run("DEL key:0001"), ":0\r\n");
    assert_eq!(case.effects(), Vec::<String>::new());
    assert_eq!(case.run("DBSIZE"), ":0\r\n");
    assert_eq!(case.run("DEL"), "-ERR wrong number of arguments for 'del' command\r\n");
}

#[test]
fn large_values_are_freed_later() {
    let mut case = Case::new();
    put(&mut case, "large", &"x".repeat(1 << 20));
    assert_eq!(case.run("DEL large"), ":1\r\n");
    assert_eq!(case.keyspace.lazy_objects(), 1);
    assert_eq!(case.keyspace.free_some(1000), 1);
}

#[test]
fn expired_keys_are_gone_on_access() {
    let mut case = filled(1);
    assert_eq!(case.run("PEXPIRE key:0000 100"), ":1\r\n");
    assert_eq!(case.effects(), ["PEXPIREAT key:0000 1700000000100"]);
    case.after_ms(100);
    assert_eq!(case.run("EXISTS key:0000"), ":1\r\n", "at its very millisecond the key lives");
    case.after_ms(1);
    assert_eq!(case.run("DEL key:0000"), ":0\r\n");
    assert_eq!(case.effects(), ["DEL key:0000"]);
    assert_eq!(case.keyspace.counters.expired, 1);
}

#[test]
fn times_in_all_forms() {
    let mut case = filled(1);
    assert_eq!(case.run("TTL none"), ":-2\r\n");
    assert_eq!(case.run("TTL key:0000"), ":-1\r\n");
    assert_eq!(case.run("PERSIST key:0000"), ":0\r\n");
    assert_eq!(case.run("EXPIRE none 10"), ":0\r\n");
    assert_eq!(case.run("EXPIRE key:0000 10"), ":1\r\n");
    assert_eq!(case.effects(), ["PEXPIREAT key:0000 1700000010000"]);
    case.after_ms(400);
    assert_eq!(case.run("TTL key:0000"), ":10\r\n");
    assert_eq!(case.run("PTTL key:0000"), ":9600\r\n");
    assert_eq!(case.run("EXPIRETIME key:0000"), ":1700000010\r\n");
    assert_eq!(case.run("PEXPIRETIME key:0000"), ":1700000010000\r\n");
    assert_eq!(case.run("PERSIST key:0000"), ":1\r\n");
    assert_eq!(case.effects(), ["PERSIST key:0000"]);
    assert_eq!(case.run("PTTL key:0000"), ":-1\r\n");
    assert_eq!(case.run("EXPIREAT key:0000 1700000020"), ":1\r\n");
    assert_eq!(case.run("PEXPIREAT key:0000 1700000020500"), ":1\r\n");
    assert_eq!(case.effects(), ["PEXPIREAT key:0000 1700000020000", "PEXPIREAT key:0000 1700000020500"]);
    assert_eq!(case.run("EXPIRETIME key:0000"), ":1700000021\r\n");
}

#[test]
fn a_time_that_is_over_removes_the_key() {
    for line in [
        "EXPIRE key:0000 0",
        "PEXPIRE key:0000 -1",
        "EXPIREAT key:0000 1",
        "PEXPIREAT key:0000 1700000000000",
    ] {
        let mut case = filled(1);
        assert_eq!(case.run(line), ":1\r\n", "{line}");
        assert_eq!(case.effects(), ["DEL key:0000"], "{line}");
        assert_eq!(case.run("DBSIZE"), ":0\r\n", "{line}");
    }
}

#[test]
fn conditions_of_expire() {
    let mut case = filled(1);
    for (line, reply) in [
        ("EXPIRE key:0000 100 XX", 0),
        ("EXPIRE key:0000 100 GT", 0),
        ("EXPIRE key:0000 100 xx lt", 0),
        ("EXPIRE key:0000 100 LT", 1),
        ("EXPIRE key:0000 50 NX", 0),
        ("EXPIRE key:0000 50 GT", 0),
        ("EXPIRE key:0000 100 GT", 0),
        ("EXPIRE key:0000 200 GT", 1),
        ("EXPIRE key:0000 200 LT", 0),
        ("EXPIRE key:0000 10 XX LT", 1),
        ("PERSIST key:0000", 1),
        ("EXPIRE key:0000 10 NX", 1),
        ("EXPIRE none 10 XX", 0),
    ] {
        assert_eq!(case.run(line), format!(":{reply}\r\n"), "{line}");
    }
    assert_eq!(case.run("TTL key:0000"), ":10\r\n");
}

#[test]
fn errors_of_expire() {
    let mut case = filled(1);
    let incompatible = "-ERR NX and XX, GT or LT options at the same time are not compatible\r\n";
    for (line, error) in [
        ("EXPIRE key:0000 1 NX XX", incompatible),
        ("EXPIRE key:0000 1 NX GT", incompatible),
        ("EXPIRE key:0000 1 LT NX", incompatible),
        ("EXPIRE key:0000 1 GT LT", "-ERR GT and LT options at the same time are not compatible\r\n"),
        ("EXPIRE key:0000 1 AB", "-ERR Unsupported option AB\r\n"),
        ("EXPIRE key:0000 x AB", "-ERR Unsupported option AB\r\n"),
        ("EXPIRE key:0000 x", "-ERR value is not an integer or out of range\r\n"),
        ("EXPIRE key:0000 9223372036854775807", "-ERR invalid expire time in 'expire' command\r\n"),
        ("EXPIRE key:0000 9223372036854774", "-ERR invalid expire time in 'expire' command\r\n"),
        ("EXPIRE key:0000 -9223372036854775808", "-ERR invalid expire time in 'expire' command\r\n"),
        ("PEXPIRE key:0000 9223372036854775807", "-ERR invalid expire time in 'pexpire' command\r\n"),
        ("EXPIREAT key:0000 9223372036854776", "-ERR invalid expire time in 'expireat' command\r\n"),
    ] {
        assert_eq!(case.run(line), error, "{line}");
    }
    assert_eq!(case.run("TTL key:0000"), ":-1\r\n");
    assert_eq!(case.run("PEXPIREAT key:0000 9223372036854775807"), ":1\r\n");
    assert_eq!(case.run("EXPIRETIME key:0000"), ":9223372036854776\r\n");
}

#[test]
fn renaming() {
    let mut case = filled(0);
    put(&mut case, "a", "1");
    assert_eq!(case.run("RENAME none b"), "-ERR no such key\r\n");
    assert_eq!(case.run("RENAMENX none none"), "-ERR no such key\r\n");
    assert_eq!(case.run("RENAME a a"), "+OK\r\n");
    assert_eq!(case.run("RENAMENX a a"), ":0\r\n");
    assert_eq!(case.effects(), Vec::<String>::new());
    case.run("EXPIRE a 100");
    put(&mut case, "b", "old");
    assert_eq!(case.run("RENAMENX a b"), ":0\r\n");
    assert_eq!(case.run("RENAME a b"), "+OK\r\n");
    assert_eq!(case.run("TTL b"), ":100\r\n");
    assert_eq!(case.run("RENAMENX b c"), ":1\r\n");
    assert_eq!(case.effects()[1..], ["RENAME a b", "RENAMENX b c"]);
    assert_eq!((value(&case, 0, "c").as_deref(), case.run("DBSIZE").as_str()), (Some("1"), ":1\r\n"));
    assert_eq!(case.keyspace.counters.dirty, 3, "a RENAME counts once");
}

#[test]
fn renaming_onto_a_key_with_a_time_loses_that_time() {
    let mut case = filled(2);
    case.run("EXPIRE key:0001 100");
    assert_eq!(case.run("RENAME key:0000 key:0001"), "+OK\r\n");
    assert_eq!(case.run("TTL key:0001"), ":-1\r\n");
}

#[test]
fn moving_to_another_database() {
    let mut case = filled(1);
    case.run("EXPIRE key:0000 100");
    for (line, reply) in [
        ("MOVE key:0000 x", "-ERR value is not an integer or out of range\r\n"),
        ("MOVE key:0000 99", "-ERR DB index is out of range\r\n"),
        ("MOVE key:0000 -1", "-ERR DB index is out of range\r\n"),
        (
            "MOVE key:0000 9999999999",
            "-ERR value is out of range, value must between -2147483648 and 2147483647\r\n",
        ),
        ("MOVE key:0000 0", "-ERR source and destination objects are the same\r\n"),
        ("MOVE none 1", ":0\r\n"),
        ("MOVE key:0000 1", ":1\r\n"),
        ("MOVE key:0000 1", ":0\r\n"),
    ] {
        assert_eq!(case.run(line), reply, "{line}");
    }
    put(&mut case, "key:0000", "other");
    assert_eq!(case.run("MOVE key:0000 1"), ":0\r\n", "the key is there");
    case.caller.database = 1;
    assert_eq!(case.run("TTL key:0000"), ":100\r\n");
}

#[test]
fn copying() {
    let mut case = Case::new();
    put(&mut case, "a", "1");
    case.run("EXPIRE a 100");
    case.effects();
    for (line, reply) in [
        ("COPY a b", ":1\r\n"),
        ("COPY a b", ":0\r\n"),
        ("COPY a b replace", ":1\r\n"),
        ("COPY none b", ":0\r\n"),
        ("COPY a a", "-ERR source and destination objects are the same\r\n"),
        ("COPY a a REPLACE", "-ERR source and destination objects are the same\r\n"),
        ("COPY a a DB 1", ":1\r\n"),
        ("COPY a b DB", "-ERR syntax error\r\n"),
        ("COPY a b DB 16", "-ERR DB index is out of range\r\n"),
        ("COPY a b DB x", "-ERR value is not an integer or out of range\r\n"),
        ("COPY a b FOO", "-ERR syntax error\r\n"),
    ] {
        assert_eq!(case.run(line), reply, "{line}");
    }
    assert_eq!(case.effects(), ["COPY a b", "COPY a b replace", "COPY a a DB 1"]);
    assert_eq!(case.run("TTL b"), ":100\r\n");
    assert_eq!(value(&case, 1, "a").as_deref(), Some("1"));
}

#[test]
fn a_copy_is_independent() {
    let mut case = Case::new();
    put(&mut case, "a", &"x".repeat(2000));
    case.run("COPY a b");
    case.keyspace.remove(0, b"a");
    assert_eq!(value(&case, 0, "b").map(|value| value.len()), Some(2000));
}

#[test]
fn scanning_returns_every_key_in_bounded_steps() {
    let mut case = filled(1000);
    let (keys, calls) = scan_all(&mut case, "");
    assert_eq!(keys.len(), 1000, "each key once while nothing changes");
    assert!(calls > 10, "only {calls} calls");
    let (keys, _) = scan_all(&mut case, "COUNT 5 MATCH key:01??");
    assert_eq!(keys.len(), 100);
    let (keys, calls) = scan_all(&mut case, "COUNT 100000 TYPE STRING");
    assert_eq!((keys.len(), calls), (1000, 1));
    assert!(scan_all(&mut case, "type list").0.is_empty());
    assert!(scan_all(&mut case, "type nonsense").0.is_empty());
}

#[test]
fn errors_of_scan() {
    let mut case = filled(1);
    for (line, error) in [
        ("SCAN x", "-ERR invalid cursor\r\n"),
        ("SCAN 18446744073709551616", "-ERR invalid cursor\r\n"),
        ("SCAN x COUNT y", "-ERR invalid cursor\r\n"),
        ("SCAN 0 COUNT x", "-ERR value is not an integer or out of range\r\n"),
        ("SCAN 0 COUNT 0", "-ERR syntax error\r\n"),
        ("SCAN 0 COUNT", "-ERR syntax error\r\n"),
        ("SCAN 0 FOO 1", "-ERR syntax error\r\n"),
    ] {
        assert_eq!(case.run(line), error, "{line}");
    }
    assert!(case.run("SCAN 18446744073709551615").starts_with("*2\r\n"));
    assert!(case.run("SCAN 0 COUNT 9223372036854775807").contains("key:0000"));
}

#[test]
fn scanning_removes_what_expired() {
    let mut case = filled(100);
    case.run("PEXPIRE key:0050 1");
    case.effects();
    case.after_ms(10);
    assert_eq!(scan_all(&mut case, "MATCH other").0.len(), 0);
    assert_eq!(case.run("DBSIZE"), ":100\r\n", "what does not match is left alone");
    assert_eq!(scan_all(&mut case, "").0.len(), 99);
    assert_eq!(case.effects(), ["DEL key:0050"]);
    assert_eq!(case.run("DBSIZE"), ":99\r\n");
}

#[test]
fn scanning_goes_on_with_the_next_shard() {
    let mut case = filled(3);
    case.shards = 3;
    let first = case.run("SCAN 0");
    let next = super::scan::pack_cursor(1, 0).to_string();
    assert_eq!(first.split("\r\n").nth(2), Some(next.as_str()));
    case.shard = 2;
    let last = case.run(&format!("SCAN {}", super::scan::pack_cursor(2, 0)));
    assert_eq!(last.split("\r\n").nth(2), Some("0"));
    assert_eq!(bulks(&last).len(), 3);
}

#[test]
fn keys_by_pattern() {
    let mut case = filled(20);
    put(&mut case, "", "empty");
    assert_eq!(bulks(&case.run("KEYS key:000?")).len(), 10);
    assert!(case.run("KEYS *").starts_with("*21\r\n"), "a single star also finds the empty key");
    case.run("PEXPIRE key:0003 1");
    case.after_ms(10);
    assert_eq!(bulks(&case.run("KEYS key:000?")).len(), 9);
    assert_eq!(case.run("KEYS none"), "*0\r\n");
}

#[test]
fn random_keys() {
    let mut case = Case::new();
    assert_eq!(case.run("RANDOMKEY"), "$-1\r\n");
    case.shards = 2;
    assert_eq!(case.run("RANDOMKEY"), "*2\r\n:0\r\n$-1\r\n");
    put(&mut case, "a", "1");
    assert_eq!(case.run("RANDOMKEY"), "*2\r\n:1\r\n$1\r\na\r\n");
    case.shards = 1;
    put(&mut case, "b", "1");
    let drawn: std::collections::BTreeSet<String> = (0..100).map(|_| case.run("RANDOMKEY")).collect();
    assert_eq!(drawn.len(), 2);
    case.run("PEXPIRE b 1");
    case.after_ms(10);
    assert!((0..50).all(|_| case.run("RANDOMKEY") == "$1\r\na\r\n"));
    case.run("PEXPIRE a 1");
    case.after_ms(10);
    assert_eq!(case.run("RANDOMKEY"), "$-1\r\n");
}

#[test]
fn types_and_encodings() {
    let mut case = Case::new();
    put(&mut case, "int", "123");
    put(&mut case, "large-int", "123456");
    put(&mut case, "short", "text");
    put(&mut case, "long", &"x".repeat(45));
    for (line, reply) in [
        ("TYPE int", "+string\r\n"),
        ("TYPE none", "+none\r\n"),
        ("OBJECT ENCODING int", "$3\r\nint\r\n"),
        ("OBJECT ENCODING short", "$6\r\nembstr\r\n"),
        ("OBJECT ENCODING long", "$3\r\nraw\r\n"),
        ("OBJECT ENCODING none", "$-1\r\n"),
        ("OBJECT REFCOUNT int", ":2147483647\r\n"),
        ("OBJECT REFCOUNT large-int", ":1\r\n"),
        ("OBJECT REFCOUNT none", "$-1\r\n"),
        ("OBJECT FREQ none", "$-1\r\n"),
        ("OBJECT ENCODING", "-ERR wrong number of arguments for 'object|encoding' command\r\n"),
    ] {
        assert_eq!(case.run(line), reply, "{line}");
    }
}

#[test]
fn idle_time_and_frequency() {
    let mut case = filled(1);
    case.after_ms(5000);
    assert_eq!(case.run("OBJECT IDLETIME key:0000"), ":5\r\n");
    assert_eq!(case.run("TTL key:0000"), ":-1\r\n");
    assert_eq!(case.run("OBJECT IDLETIME key:0000"), ":5\r\n", "looking does not use a key");
    assert!(case.run("OBJECT FREQ key:0000").starts_with("-ERR An LFU maxmemory policy is not selected"));
    case.caller.no_touch = true;
    assert_eq!(case.run("TOUCH key:0000"), ":1\r\n");
    assert_eq!(case.run("OBJECT IDLETIME key:0000"), ":0\r\n", "TOUCH always touches");
    case.config = case.config.with("maxmemory-policy", "allkeys-lfu").unwrap();
    assert!(case.run("OBJECT IDLETIME key:0000").starts_with("-ERR An LFU maxmemory policy is selected"));
    case.run("COPY key:0000 key:0001");
    assert_eq!(case.run("OBJECT FREQ key:0001"), ":5\r\n");
}

#[test]
fn memory_usage() {
    let mut case = Case::new();
    put(&mut case, "a", &"x".repeat(10_000));
    let run = |case: &mut Case, line: &str| {
        let arguments: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let crate::command::Run::Keyspace(handler) = super::MEMORY_USAGE.run else { unreachable!() };
        String::from_utf8(case.run_handler(handler, &arguments)).unwrap()
    };
    let bytes: usize = run(&mut case, "MEMORY USAGE a").trim().trim_start_matches(':').parse().unwrap();
    assert!((10_000..13_000).contains(&bytes), "{bytes}");
    assert_eq!(run(&mut case, "MEMORY USAGE none"), "$-1\r\n");
    assert!(run(&mut case, "MEMORY USAGE a SAMPLES 0").starts_with(':'));
    assert_eq!(run(&mut case, "MEMORY USAGE a SAMPLES -1"), "-ERR syntax error\r\n");
    assert_eq!(run(&mut case, "MEMORY USAGE a SAMPLES"), "-ERR syntax error\r\n");
    assert_eq!(
        run(&mut case, "MEMORY USAGE a SAMPLES x"),
        "-ERR value is not an integer or out of range\r\n"
    );
}

#[test]
fn debug_object_describes_a_value() {
    let mut case = Case::new();
    put(&mut case, "a", "text");
    let reply = case.run_handler(super::debug_object, &[b"DEBUG", b"OBJECT", b"a"]);
    let reply = String::from_utf8(reply).unwrap();
    assert!(reply.starts_with("+Value at:0x"), "{reply}");
    assert!(reply.contains(" refcount:1 encoding:embstr serializedlength:5 lru:"), "{reply}");
    assert!(reply.ends_with(" lru_seconds_idle:0\r\n"), "{reply}");
    assert_eq!(
        case.run_handler(super::debug_object, &[b"DEBUG", b"OBJECT", b"none"]),
        b"-ERR no such key\r\n"
    );
}

#[test]
fn flushing() {
    let mut case = filled(100);
    put_in(&mut case, 1, "other", "1");
    assert_eq!(case.run("FLUSHDB foo"), "-ERR syntax error\r\n");
    assert_eq!(case.run("FLUSHDB sync async"), "-ERR syntax error\r\n");
    assert_eq!(case.effects(), Vec::<String>::new());
    let watched = case.keyspace.watch(0, b"key:0000");
    let missing = case.keyspace.watch(0, b"missing");
    assert_eq!(case.run("FLUSHDB"), "+OK\r\n");
    assert_ne!(case.keyspace.watched_version(0, b"key:0000"), Some(watched));
    assert_eq!(case.keyspace.watched_version(0, b"missing"), Some(missing));
    assert_eq!((case.run("DBSIZE").as_str(), case.keyspace.lazy_objects()), (":0\r\n", 100));
    assert!(value(&case, 1, "other").is_some());
    assert_eq!(case.run("FLUSHALL ASYNC"), "+OK\r\n");
    assert!(value(&case, 1, "other").is_none());
    assert_eq!(case.run("FLUSHALL"), "+OK\r\n");
    assert_eq!(case.effects(), ["FLUSHDB", "FLUSHALL ASYNC", "FLUSHALL"], "also when nothing was there");
    case.shard = 1;
    case.shards = 2;
    assert_eq!(case.run("FLUSHALL"), "+OK\r\n");
    assert_eq!(case.effects(), Vec::<String>::new(), "shard zero replicates it");
}

#[test]
fn swapping_databases() {
    let mut case = Case::new();
    put(&mut case, "a", "0");
    put_in(&mut case, 1, "b", "1");
    for (line, reply) in [
        ("SWAPDB x 1", "-ERR invalid first DB index\r\n"),
        ("SWAPDB 99 x", "-ERR invalid second DB index\r\n"),
        ("SWAPDB 0 9999999999", "-ERR invalid second DB index\r\n"),
        ("SWAPDB 0 16", "-ERR DB index is out of range\r\n"),
        ("SWAPDB -1 0", "-ERR DB index is out of range\r\n"),
        ("SWAPDB 0 0", "+OK\r\n"),
    ] {
        assert_eq!(case.run(line), reply, "{line}");
    }
    let versions: Vec<u64> =
        ["a", "b", "c"].iter().map(|key| case.keyspace.watch(0, key.as_bytes())).collect();
    case.effects();
    assert_eq!(case.run("SWAPDB 0 1"), "+OK\r\n");
    assert_eq!(case.effects(), ["SWAPDB 0 1"]);
    assert_eq!((value(&case, 0, "b").as_deref(), value(&case, 1, "a").as_deref()), (Some("1"), Some("0")));
    let changed: Vec<bool> = ["a", "b", "c"]
        .iter()
        .zip(versions)
        .map(|(key, version)| case.keyspace.watched_version(0, key.as_bytes()) != Some(version))
        .collect();
    assert_eq!(changed, [true, true, false]);
}

#[test]
fn a_key_that_comes_with_its_time_over_is_no_change() {
    let mut case = Case::new();
    put_in(&mut case, 1, "k", "1");
    case.caller.database = 1;
    case.run("PEXPIRE k 1");
    case.caller.database = 0;
    case.after_ms(2);
    let version = case.keyspace.watch(0, b"k");
    case.run("SWAPDB 0 1");
    assert_eq!(case.run("EXISTS k"), ":0\r\n");
    assert_eq!(case.keyspace.watched_version(0, b"k"), Some(version));
    put(&mut case, "k", "2");
    case.run("PEXPIRE k 1");
    case.after_ms(2);
    let changed = case.keyspace.watched_version(0, b"k");
    assert_ne!(changed, Some(version));
    assert_eq!(case.run("EXISTS k"), ":0\r\n");
    assert_ne!(case.keyspace.watched_version(0, b"k"), changed);
}

#[test]
fn keys_that_a_pause_keeps_are_hidden() {
    let mut case = Case::new();
    case.run("SET a 1 PX 1");
    case.after_ms(2);
    case.effects();
    case.keyspace.keeps_expired = true;
    for (line, reply) in [
        ("GET a", "$-1\r\n"),
        ("EXISTS a", ":0\r\n"),
        ("KEYS *", "*0\r\n"),
        ("SCAN 0", "*2\r\n$1\r\n0\r\n*0\r\n"),
        ("RANDOMKEY", "$1\r\na\r\n"),
        ("DBSIZE", ":1\r\n"),
    ] {
        assert_eq!(case.run(line), reply, "{line}");
    }
    assert!(case.effects().is_empty());
    case.run("SET a 2");
    assert_eq!(case.run("GET a"), "$1\r\n2\r\n");
}

#[test]
fn sorting() {
    let mut case = Case::new();
    let run = |case: &mut Case, line: &str| {
        let reply = case.run(line);
        reply.split("\r\n").filter(|part| !part.starts_with(['$', '*'])).collect::<Vec<_>>().join(" ")
    };
    case.run("RPUSH l 3 10 1 2");
    case.run("RPUSH text b a C");
    case.run("ZADD z 1 9 2 8");
    case.run("SADD s b c a");
    case.run("MSET w3 1 w10 2 w1 3 o1 one o3 three x y");
    for (line, expected) in [
        ("SORT l", "1 2 3 10 "),
        ("SORT l DESC", "10 3 2 1 "),
        ("SORT l ALPHA", "1 10 2 3 "),
        ("SORT l LIMIT 1 2", "2 3 "),
        ("SORT l LIMIT -5 2", "1 2 "),
        ("SORT l LIMIT 9 2", ""),
        ("SORT l LIMIT 1 -1", "2 3 10 "),
        ("SORT l BY nosort", "3 10 1 2 "),
        ("SORT l BY nosort DESC LIMIT 0 2", "2 1 "),
        ("SORT l BY w*", "2 3 10 1 "),
        ("SORT l BY w* ALPHA DESC", "1 10 3 2 "),
        ("SORT_RO l LIMIT 0 2 GET # GET o*", "1 one 2  "),
        ("OBJECT ENCODING z", "listpack "),
        ("SORT z", "8 9 "),
        ("OBJECT ENCODING z", "skiplist "),
        ("SORT z BY nosort", "9 8 "),
        ("SORT s ALPHA DESC", "c b a "),
        ("SORT s BY nosort STORE d", ":3 "),
        ("LRANGE d 0 -1", "a b c "),
        ("SORT text", "-ERR One or more scores can't be converted into double "),
        ("SORT text ALPHA", "C a b "),
        ("SORT x", "-WRONGTYPE Operation against a key holding the wrong kind of value "),
        ("SORT none", ""),
        ("SORT l LIMIT 1", "-ERR syntax error "),
        ("SORT l LIMIT 1 x", "-ERR value is not an integer or out of range "),
        ("SORT_RO l STORE d", "-ERR syntax error "),
        ("SORT l BY nosort GET o* STORE d", ":4 "),
        ("LRANGE d 0 -1", "three  one  "),
        ("SORT none STORE d", ":0 "),
        ("EXISTS d", ":0 "),
        // A constant pattern anywhere leaves the order as it is.
        ("SORT l BY nosort BY w* LIMIT 0 2", "3 10 "),
        ("SORT l STORE d STORE e", ":4 "),
        ("EXISTS d e", ":1 "),
        ("SORT l STORE store STORE", "-ERR syntax error "),
    ] {
        let expected = expected.replace("2  ", "2 ");
        let reply = run(&mut case, line).replace("  ", " ");
        assert_eq!(reply, expected.replace("  ", " "), "{line}");
    }
}

#[test]
fn sorting_on_a_node() {
    let mut case = Case::new();
    case.caller.cluster_port = true;
    case.run("RPUSH {t} 3 1 2");
    case.run("MSET {t}1 c {t}2 b {t}3 a");
    assert!(case.run("SORT {t} BY w*").starts_with("-ERR BY option of SORT denied in cluster mode"));
    assert!(case.run("SORT {t} GET {u}*").starts_with("-ERR GET option of SORT denied in cluster mode"));
    assert!(case.run("SORT {t} GET {t*}").starts_with("-ERR GET option of SORT denied in cluster mode"));
    for (line, expected) in [
        ("SORT {t} BY {t}* ALPHA", "*3 $1 3 $1 2 $1 1"),
        ("SORT {t} GET # GET {t}*->f GET constant", "*9 $1 1 $-1 $-1 $1 2 $-1 $-1 $1 3 $-1 $-1"),
        ("SORT_RO {t} BY constant GET {t}*", "*3 $1 a $1 c $1 b"),
    ] {
        assert_eq!(case.run(line).trim_end().replace("\r\n", " "), expected, "{line}");
    }
}

#[test]
fn keys_that_patterns_name() {
    let mut case = Case::new();
    case.run("RPUSH l a b b c");
    case.run("SADD s a b");
    let keys = |case: &mut Case, line: &str| {
        let arguments: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let entry = case.keyspace.find(0, arguments[1]);
        let mut keys: Vec<String> = crate::command::routing::keys_of_patterns(&arguments, entry.as_deref())
            .into_iter()
            .map(|key| String::from_utf8(key).expect("a name"))
            .collect();
        keys.sort_unstable();
        keys
    };
    assert_eq!(keys(&mut case, "SORT l BY w_* GET # GET o_*->f"), ["o_a", "o_b", "o_c", "w_a", "w_b", "w_c"]);
    assert_eq!(keys(&mut case, "SORT l BY constant GET w_* LIMIT 1 2"), ["w_b"]);
    assert_eq!(keys(&mut case, "SORT l DESC BY constant GET w_* LIMIT 0 1"), ["w_c"]);
    assert_eq!(keys(&mut case, "SORT l GET w_* LIMIT 0 1").len(), 3, "which ones is not known yet");
    assert_eq!(keys(&mut case, "SORT s BY constant LIMIT 0 1 GET w_* STORE d").len(), 2, "stored in order");
    assert!(keys(&mut case, "SORT l BY constant GET constant").is_empty());
    assert!(keys(&mut case, "SORT none BY w_*").is_empty());
    assert!(keys(&mut case, "SORT l BY w_* LIMIT x 1").is_empty());
}
