//! Snapshots, with real processes: what is saved is there again after a restart, real Redis loads our files and we load its;
//! a file is one moment of all shards, whole or not there at all.
//!
//! `SKERRY_PERSISTENCE_KEYS` sets how many keys the larger datasets have (20000).

mod common;
#[path = "persistence/disk.rs"]
mod disk;
#[path = "differential/generator.rs"]
mod generator;
#[path = "differential/grammar.rs"]
mod grammar;
#[path = "effects/load.rs"]
mod load;
#[path = "replication/pair.rs"]
#[allow(dead_code)]
mod pair;
#[path = "effects/sink.rs"]
#[allow(dead_code)]
mod sink;
#[path = "effects/stream.rs"]
#[allow(dead_code)]
mod stream;

use common::{Client, Random, Reply, Start, redis, seed, setting, skerry, wait_until};
use generator::Expiry;
use load::Load;
use pair::field;
use sink::{dataset, difference};
use std::path::Path;
use std::time::Duration;

/// How long a server may take to end.
const EXIT_LIMIT_MS: u64 = 20_000;

fn keys() -> u64 {
    setting("SKERRY_PERSISTENCE_KEYS", 20_000)
}

/// A start with save points, in the same directory each time.
fn saving(start: &Start, directory: &Path) -> Start {
    start.clone().arguments(&["--dir", &directory.display().to_string(), "--save", "3600 1"])
}

/// The same dataset, key by key, in the file of one server and in another that has loaded it.
fn file_goes_over(test: &str, from: Start, to: Start) {
    let directory = tempfile::tempdir().expect("a directory");
    let seed = seed(test);
    let writer = saving(&from, directory.path()).spawn();
    let mut random = Random::new(seed);
    let mut load = Load::new(&writer, &mut random, Expiry::Far);
    for _ in 0..6 {
        load.round();
    }
    let mut client = writer.client();
    fill_large(&mut client);
    assert_eq!(client.run("SAVE"), Reply::ok());
    let reader = saving(&to, directory.path()).spawn();
    if let Some(difference) = difference(&dataset(&mut client), &dataset(&mut reader.client())) {
        panic!("SKERRY_SEED={seed}: what was loaded differs: {difference}");
    }
}

/// One of each type too large for its dense form.
fn fill_large(client: &mut Client) {
    for number in 0..600 {
        client.run(&format!("RPUSH large:list element-{number}-{}", "x".repeat(number)));
        client.run(&format!("HSET large:hash field-{number} {}", "y".repeat(number % 90)));
        client.run(&format!("SADD large:set member-{number}"));
        client.run(&format!("SADD large:ints {}", number * 1_000_003));
        client.run(&format!("ZADD large:zset {}.5 member-{number}", number * 7 % 13));
        client.run(&format!("XADD large:stream {}-1 field value-{number}", number + 1));
    }
    client.run(&format!("SET large:string {}", "abc".repeat(50_000)));
    client.run("XGROUP CREATE large:stream g 0");
    client.run("XREADGROUP GROUP g consumer COUNT 10 STREAMS large:stream >");
}

#[test]
fn redis_loads_our_files() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    file_goes_over("redis_loads_our_files", skerry.clone().shards(1), redis.clone());
    file_goes_over("redis_loads_our_files", skerry.shards(4), redis);
}

#[test]
fn we_load_files_of_redis() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    file_goes_over("we_load_files_of_redis", redis.clone(), skerry.clone().shards(1));
    file_goes_over("we_load_files_of_redis", redis, skerry.shards(4));
}

#[test]
fn we_load_our_own_files_with_another_number_of_shards() {
    let Some(skerry) = skerry() else { return };
    file_goes_over("we_load_our_own_files", skerry.clone().shards(2), skerry.shards(3));
}

#[test]
fn what_only_we_have_survives_a_restart() {
    let Some(skerry) = skerry() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = saving(&skerry, directory.path()).shards(2).spawn();
    let mut client = server.client();
    client.run("HSET h a 1 b 2 c 3");
    client.run("HPEXPIREAT h 4000000000000 FIELDS 1 a");
    client.run("SELECT 5");
    client.run("SET k v PXAT 4000000000001");
    server.signal(libc::SIGTERM);
    assert_eq!(server.wait_exit(EXIT_LIMIT_MS).code(), Some(0), "{}", server.log());
    let server = saving(&skerry, directory.path()).shards(2).spawn();
    let mut client = server.client();
    let times = client.run("HPEXPIRETIME h FIELDS 2 a b");
    assert_eq!(times.items(), [Reply::Integer(4_000_000_000_000), Reply::Integer(-1)]);
    client.run("SELECT 5");
    assert_eq!(client.run("PEXPIRETIME k"), Reply::Integer(4_000_000_000_001));
}

#[test]
fn a_signal_saves_and_a_shutdown_without_save_does_not() {
    let Some(skerry) = skerry() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    for (signal, value) in [(libc::SIGTERM, "1"), (libc::SIGINT, "2")] {
        let mut server = saving(&skerry, directory.path()).shards(2).spawn();
        let mut client = server.client();
        for number in 0..100 {
            assert_eq!(client.run(&format!("SET key:{number} {value}")), Reply::ok());
        }
        server.signal(signal);
        assert_eq!(server.wait_exit(EXIT_LIMIT_MS).code(), Some(0), "{}", server.log());
        assert!(server.log().contains("DB saved on disk"), "{}", server.log());
    }
    let mut server = saving(&skerry, directory.path()).shards(3).spawn();
    let mut client = server.client();
    assert_eq!(client.run("GET key:77").text(), "2");
    assert_eq!(client.run("DBSIZE"), Reply::Integer(100));
    assert_eq!(field(&mut client, "persistence", "rdb_last_load_keys_loaded"), "100");
    assert_eq!(field(&mut client, "persistence", "rdb_changes_since_last_save"), "0");
    client.run("FLUSHALL");
    client.send(&["SHUTDOWN", "NOSAVE"]);
    assert_eq!(server.wait_exit(EXIT_LIMIT_MS).code(), Some(0), "{}", server.log());
    let server = saving(&skerry, directory.path()).spawn();
    assert_eq!(server.client().run("DBSIZE"), Reply::Integer(100));
}

#[test]
fn without_save_points_nothing_is_saved_unless_asked_for() {
    let Some(skerry) = skerry() else { return };
    let mut server = skerry.clone().shards(2).spawn();
    server.client().run("SET k v");
    let file = server.directory().join("dump.rdb");
    server.signal(libc::SIGTERM);
    server.wait_exit(EXIT_LIMIT_MS);
    assert!(!file.exists());
    let mut server = skerry.shards(2).spawn();
    let file = server.directory().join("dump.rdb");
    let mut client = server.client();
    client.run("SET k v");
    client.send(&["SHUTDOWN", "SAVE"]);
    server.wait_exit(EXIT_LIMIT_MS);
    assert!(file.exists());
}

#[test]
fn a_save_point_saves_by_itself() {
    let Some(skerry) = skerry() else { return };
    let server = skerry.shards(2).arguments(&["--save", "1 3"]).spawn();
    let mut client = server.client();
    client.run("MSET a 1 b 2");
    std::thread::sleep(Duration::from_millis(2500));
    let saves = |client: &mut Client| field(client, "persistence", "rdb_saves");
    assert_eq!(saves(&mut client), "0", "too few changes");
    client.run("SET c 3");
    wait_until("the save point is due", 5_000, || {
        field(&mut client, "persistence", "rdb_changes_since_last_save") == "0"
    });
    assert_eq!(saves(&mut client), "1");
    assert!(server.directory().join("dump.rdb").exists());
}

#[test]
fn one_save_at_a_time() {
    let Some(skerry) = skerry() else { return };
    let server = skerry.shards(2).arguments(&["--rdb-key-save-delay", "2000"]).spawn();
    let mut client = server.client();
    client.run("DEBUG POPULATE 200");
    let before = client.run("LASTSAVE");
    assert_eq!(client.run("BGSAVE").text(), "Background saving started");
    let in_progress = "ERR Background save already in progress";
    assert_eq!(client.run("BGSAVE").text(), in_progress);
    assert_eq!(client.run("BGSAVE SCHEDULE").text(), in_progress);
    assert_eq!(client.run("SAVE").text(), in_progress);
    assert!(client.run("BGSAVE NOW").is_error_of("ERR syntax error"));
    assert_eq!(field(&mut client, "persistence", "rdb_bgsave_in_progress"), "1");
    wait_until("it is saved", 10_000, || field(&mut client, "persistence", "rdb_bgsave_in_progress") == "0");
    assert_eq!(field(&mut client, "persistence", "rdb_last_bgsave_status"), "ok");
    assert!(matches!((before, client.run("LASTSAVE")), (Reply::Integer(a), Reply::Integer(b)) if a <= b));
    client.run("MULTI");
    client.run("BGSAVE");
    assert_eq!(client.run("EXEC").items(), [Reply::simple("Background saving scheduled")]);
    wait_until("it is saved", 10_000, || field(&mut client, "persistence", "rdb_saves") == "2");
}

/// Pairs over shards are written by MSET and by EXEC; in every file both halves are the same.
#[test]
fn a_file_is_one_moment_of_all_shards() {
    let Some(skerry) = skerry() else { return };
    let server = skerry.clone().shards(4).spawn();
    let mut client = server.client();
    client.run(&format!("DEBUG POPULATE {}", keys()));
    let stop = std::sync::Arc::new(std::sync::atomic::AtomicBool::new(false));
    let writers: Vec<_> = (0..4)
        .map(|writer| {
            let (mut client, stop) = (server.client(), std::sync::Arc::clone(&stop));
            std::thread::spawn(move || {
                let mut number = 0u64;
                while !stop.load(std::sync::atomic::Ordering::Relaxed) {
                    number += 1;
                    let pair = number % 50;
                    let [one, other] = ["one", "other"].map(|half| format!("{half}:{writer}:{pair}"));
                    match number % 3 {
                        0 => drop(client.run(&format!("MSET {one} {number} {other} {number}"))),
                        1 => {
                            client.run("MULTI");
                            client.run(&format!("SET {one} {number}"));
                            client.run(&format!("SET {other} {number}"));
                            client.run("EXEC");
                        }
                        _ => drop(client.run(&format!("DEL {one} {other}"))),
                    }
                    // Each writer's counters grow together with its pairs.
                    client.run(&format!("SET key:{} {number}", number % keys()));
                }
            })
        })
        .collect();
    let mut seen = 0;
    for _ in 0..5 {
        assert_eq!(client.run("SAVE"), Reply::ok());
        let directory = tempfile::tempdir().expect("a directory");
        std::fs::copy(server.directory().join("dump.rdb"), directory.path().join("dump.rdb"))
            .expect("copying the file");
        let loaded = saving(&skerry, directory.path()).shards(1).spawn();
        let mut loaded = loaded.client();
        for pair in (0..4).flat_map(|writer| (0..50).map(move |pair| format!("{writer}:{pair}"))) {
            let one = loaded.run(&format!("GET one:{pair}"));
            assert_eq!(one, loaded.run(&format!("GET other:{pair}")), "{pair}");
            seen += usize::from(!one.is_nil());
        }
        assert!(matches!(loaded.run("DBSIZE"), Reply::Integer(count) if count as u64 >= keys()));
    }
    assert!(seen > 0, "some pair was in a file");
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    writers.into_iter().for_each(|writer| writer.join().expect("a writer ends"));
}

#[test]
fn a_flush_ends_what_is_saved_and_with_save_points_is_saved_itself() {
    let Some(skerry) = skerry() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let mut server = saving(&skerry, directory.path()).shards(2).spawn();
    let mut client = server.client();
    client.run("DEBUG POPULATE 5000");
    assert_eq!(client.run("SAVE"), Reply::ok());
    client.run("CONFIG SET rdb-key-save-delay 1000");
    client.run("BGSAVE");
    client.run("FLUSHALL");
    wait_until("emptiness is saved", 3_000, || {
        field(&mut client, "persistence", "rdb_changes_since_last_save") == "0"
    });
    assert_eq!(field(&mut client, "persistence", "rdb_last_bgsave_status"), "ok");
    server.signal(libc::SIGKILL);
    server.wait_exit(EXIT_LIMIT_MS);
    let server = saving(&skerry, directory.path()).shards(2).spawn();
    assert_eq!(server.client().run("DBSIZE"), Reply::Integer(0));
}

#[test]
fn killed_in_the_midst_of_a_save_it_has_the_file_before() {
    let Some(skerry) = skerry() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let start = saving(&skerry, directory.path()).shards(2);
    let mut server = start.clone().spawn();
    let mut client = server.client();
    client.run("SET k first");
    client.run("DEBUG POPULATE 5000");
    assert_eq!(client.run("SAVE"), Reply::ok());
    client.run("SET k second");
    client.run("CONFIG SET rdb-key-save-delay 1000");
    client.run("BGSAVE");
    wait_until("some of it is written", 10_000, || {
        field(&mut client, "persistence", "current_save_keys_processed") != "0"
    });
    server.signal(libc::SIGKILL);
    server.wait_exit(EXIT_LIMIT_MS);
    let server = start.spawn();
    let mut client = server.client();
    assert_eq!(client.run("GET k").text(), "first");
    assert_eq!(client.run("DBSIZE"), Reply::Integer(5001));
}

#[test]
fn damaged_files_end_the_start_with_a_reason() {
    let Some(skerry) = skerry() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("dump.rdb");
    let server = saving(&skerry, directory.path()).shards(2).spawn();
    let mut client = server.client();
    client.run("DEBUG POPULATE 1000");
    client.run("RPUSH list a b c");
    assert_eq!(client.run("SAVE"), Reply::ok());
    drop(server);
    let whole = std::fs::read(&path).expect("the file");
    let mut flipped = whole.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 0x40;
    let mut newer = whole.clone();
    newer[5..9].copy_from_slice(b"9999");
    for (bytes, reason) in [
        (&whole[..whole.len() / 2], "ends too early"),
        (&flipped[..], ""),
        (&newer[..], "version 9999"),
        (b"something else altogether", "REDIS"),
        (b"", ""),
    ] {
        std::fs::write(&path, bytes).expect("writing the file");
        let mut server = saving(&skerry, directory.path()).shards(2).launch(common::free_ports(1), None);
        assert_eq!(server.wait_exit(EXIT_LIMIT_MS).code(), Some(1), "{}", server.log());
        let log = server.log();
        assert!(log.contains(reason) && log.contains("Fatal error loading the DB"), "{log}");
        assert_eq!(std::fs::read(&path).expect("the file"), bytes, "the file is left alone");
    }
}

#[test]
fn clients_wait_until_the_dataset_is_loaded() {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let writer = saving(&redis, directory.path()).spawn();
    let mut client = writer.client();
    client.run("DEBUG POPULATE 1500000 key 100");
    client.run("SAVE");
    let port = common::free_ports(1);
    let server = saving(&skerry, directory.path()).shards(2).launch(port, None);
    let (mut refused, mut told) = (0, 0);
    wait_until("it is loaded", 30_000, || {
        let Ok(mut client) = Client::try_connect(port) else { return false };
        let reply = client.run("GET key:1");
        if reply.is_error_of("LOADING") {
            assert_eq!(reply.text(), "LOADING Redis is loading the dataset in memory");
            let persistence = client.run("INFO persistence").text();
            refused += 1;
            told += usize::from(
                persistence.contains("loading:1") && persistence.contains("loading_total_bytes:"),
            );
        }
        !reply.is_error()
    });
    assert!(refused > 0 && told > 0, "{refused} refused, {told} told: {}", server.log());
    assert_eq!(Client::connect(port).run("DBSIZE"), Reply::Integer(1_500_000));
}

#[test]
fn a_reload_keeps_everything_and_loses_no_write() {
    let Some(skerry) = skerry() else { return };
    let server = skerry.shards(3).spawn();
    let seed = seed("a_reload_keeps_everything");
    let mut random = Random::new(seed);
    let mut load = Load::new(&server, &mut random, Expiry::Far);
    load.round();
    let mut client = server.client();
    let mut writer = server.client();
    let writing = std::thread::spawn(move || {
        for number in 0..2000 {
            assert_eq!(writer.run(&format!("SET written:{number} {number}")), Reply::ok());
        }
    });
    for _ in 0..5 {
        assert_eq!(client.run("DEBUG RELOAD"), Reply::ok());
    }
    writing.join().expect("the writer ends");
    for number in 0..2000 {
        assert_eq!(client.run(&format!("GET written:{number}")).text(), number.to_string());
    }
    let digest = client.run("DEBUG DIGEST");
    assert_eq!(client.run("DEBUG RELOAD"), Reply::ok());
    assert_eq!(client.run("DEBUG DIGEST"), digest);
    assert!(client.run("DEBUG RELOAD WHATEVER").is_error());
    assert!(client.run("DEBUG RELOAD NOSAVE NOFLUSH").is_error(), "all keys are there already");
    assert_eq!(client.run("DEBUG RELOAD NOSAVE NOFLUSH MERGE"), Reply::ok());
    assert_eq!(client.run("DEBUG DIGEST"), digest);
}

#[test]
fn writes_wait_until_the_last_reload_is_done() {
    let Some(skerry) = skerry() else { return };
    let server = skerry.shards(2).arguments(&["--rdb-key-save-delay", "1000"]).spawn();
    let mut reloading: Vec<Client> = (0..2).map(|_| server.client()).collect();
    let mut writer = server.client();
    assert_eq!(writer.run("DEBUG POPULATE 300"), Reply::ok());
    reloading.iter_mut().for_each(|client| client.send(&["DEBUG", "RELOAD"]));
    std::thread::sleep(Duration::from_millis(100));
    for count in 1..=200 {
        assert_eq!(writer.run("INCR counter").integer(), count);
        std::thread::sleep(Duration::from_millis(5));
    }
    reloading.iter_mut().for_each(|client| assert_eq!(client.receive(), Reply::ok()));
    assert_eq!(writer.run("GET counter").text(), "200");
}

#[test]
fn keys_whose_time_is_over_are_not_loaded() {
    let Some(skerry) = skerry() else { return };
    let directory = tempfile::tempdir().expect("a directory");
    let server = saving(&skerry, directory.path()).shards(2).spawn();
    let mut client = server.client();
    client.run("DEBUG SET-ACTIVE-EXPIRE 0");
    client.run("SET short v PX 300");
    client.run("SET long v");
    assert_eq!(client.run("SAVE"), Reply::ok());
    std::thread::sleep(Duration::from_millis(400));
    drop(server);
    let server = saving(&skerry, directory.path()).shards(2).spawn();
    let mut client = server.client();
    assert_eq!(client.run("DBSIZE"), Reply::Integer(1));
    assert_eq!(field(&mut client, "persistence", "rdb_last_load_keys_expired"), "1");
    assert_eq!(field(&mut client, "persistence", "rdb_last_load_keys_loaded"), "1");
}

/// A disk that is full leaves the old file, and clients are told.
#[test]
fn a_full_disk_is_said_and_leaves_the_old_file() {
    let Some(skerry) = skerry() else { return };
    let limit = 100_000;
    let mut server =
        skerry.shards(2).arguments(&["--save", "3600 1"]).sandbox(move || disk::limit_files(limit)).spawn();
    let mut client = server.client();
    client.run("SET k v");
    assert_eq!(client.run("SAVE"), Reply::ok());
    let file = server.directory().join("dump.rdb");
    let before = std::fs::read(&file).expect("the file");
    client.run("DEBUG POPULATE 10000 key 40");
    assert!(client.run("SAVE").is_error());
    assert_eq!(client.run("SET k w"), Reply::ok(), "only what is done in the background is held against it");
    assert_eq!(client.run("BGSAVE").text(), "Background saving started");
    wait_until("it fails", 10_000, || field(&mut client, "persistence", "rdb_last_bgsave_status") == "err");
    for command in ["SET k v", "DEL k", "MSET a 1 b 2 c 3", "PING"] {
        let reply = client.run(command);
        assert!(
            reply.is_error_of("MISCONF Redis is configured to save RDB snapshots"),
            "{command}: {reply:?}"
        );
    }
    assert_eq!(client.run("GET k").text(), "w");
    assert_eq!(std::fs::read(&file).expect("the file"), before);
    let names = std::fs::read_dir(server.directory()).expect("the directory");
    let left: Vec<_> = names.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    assert!(!left.iter().any(|name| name.starts_with("temp-")), "{left:?}");
    client.send(&["SHUTDOWN"]);
    assert_eq!(client.receive().text(), "ERR Errors trying to SHUTDOWN. Check logs.");
    client.run("CONFIG SET stop-writes-on-bgsave-error no");
    assert_eq!(client.run("SET k v"), Reply::ok());
    client.run("CONFIG SET stop-writes-on-bgsave-error yes");
    client.run("FLUSHALL");
    client.run("CONFIG SET stop-writes-on-bgsave-error no");
    client.run("FLUSHALL");
    assert_eq!(client.run("SAVE"), Reply::ok());
    client.run("CONFIG SET stop-writes-on-bgsave-error yes");
    assert_eq!(client.run("SET k v"), Reply::ok(), "forgiven");
    client.send(&["SHUTDOWN"]);
    assert_eq!(server.wait_exit(EXIT_LIMIT_MS).code(), Some(0), "{}", server.log());
}

#[test]
fn a_shutdown_can_be_called_off_while_it_saves() {
    let Some(skerry) = skerry() else { return };
    let mut server =
        skerry.shards(2).arguments(&["--save", "3600 1", "--rdb-key-save-delay", "5000"]).spawn();
    let mut client = server.client();
    client.run("DEBUG POPULATE 1000");
    let mut other = server.client();
    client.send(&["SHUTDOWN"]);
    wait_until("it saves", 10_000, || field(&mut other, "persistence", "current_save_keys_total") != "0");
    assert_eq!(other.run("SHUTDOWN ABORT"), Reply::ok());
    assert_eq!(client.receive().text(), "ERR Errors trying to SHUTDOWN. Check logs.");
    assert_eq!(client.run("SET k v"), Reply::ok());
    assert!(other.run("SHUTDOWN ABORT").is_error());
    client.run("CONFIG SET rdb-key-save-delay 0");
    client.send(&["SHUTDOWN"]);
    assert_eq!(server.wait_exit(EXIT_LIMIT_MS).code(), Some(0), "{}", server.log());
}
