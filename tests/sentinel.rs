//! Three real sentinels watch a master with two replicas. The master is killed again and again under writes; nothing that a
//! WAIT acknowledged is lost.
//!
//! `SKERRY_SENTINEL_ROUNDS` sets how often the master is killed (20).

mod common;

use common::{Client, Reply, Server, Start, has_tool, redis, setting, skerry, skip, wait_until};
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const NAME: &str = "mymaster";
const SENTINELS: usize = 3;
/// For how long clients write in each round before the master is killed.
const WRITING: Duration = Duration::from_millis(300);
const FAILOVER_LIMIT_MS: u64 = 60_000;

fn sentinel(redis: &Start, master: u16, directory: &std::path::Path, number: usize) -> Server {
    let file = directory.join(format!("sentinel-{number}.conf"));
    let lines = [
        "bind 127.0.0.1".to_owned(),
        format!("dir {}", directory.display()),
        format!("sentinel monitor {NAME} 127.0.0.1 {master} 2"),
        format!("sentinel down-after-milliseconds {NAME} 700"),
        format!("sentinel failover-timeout {NAME} 4000"),
        format!("sentinel parallel-syncs {NAME} 2"),
    ];
    std::fs::write(&file, lines.join("\n")).expect("writing a file");
    let path = file.display().to_string();
    redis.clone().bare().arguments(&[&path, "--sentinel"]).spawn()
}

/// The port of the master that a sentinel names.
fn named_master(sentinel: &Server) -> u16 {
    let reply = sentinel.client().run(&format!("SENTINEL GET-MASTER-ADDR-BY-NAME {NAME}"));
    reply.items()[1].text().parse().expect("a port")
}

/// What a sentinel says of the master or of a replica, by name.
fn fields(entry: &Reply) -> HashMap<String, String> {
    entry.items().chunks(2).map(|pair| (pair[0].text(), pair[1].text())).collect()
}

/// What a sentinel knows, for the log of a failed test.
fn known(sentinel: &Server) -> String {
    let mut client = sentinel.client();
    let master = client.run(&format!("SENTINEL MASTER {NAME}"));
    let replicas = client.run(&format!("SENTINEL REPLICAS {NAME}"));
    let of = |entry: &Reply| {
        let fields = fields(entry);
        let names = ["name", "port", "flags", "master-link-status", "master-port", "num-other-sentinels"];
        names.map(|name| format!("{name}={}", fields.get(name).map_or("", String::as_str))).join(" ")
    };
    let replicas: Vec<String> = replicas.items().iter().map(of).collect();
    format!("{}; {}", of(&master), replicas.join("; "))
}

/// Whether a sentinel knows the others, and both replicas in sync with the master at `port`.
fn is_settled(sentinel: &Server, port: u16) -> bool {
    let mut client = sentinel.client();
    let master = client.run(&format!("SENTINEL MASTER {NAME}"));
    let master = fields(&master);
    let replicas = client.run(&format!("SENTINEL REPLICAS {NAME}"));
    let in_sync = replicas.items().iter().map(fields).filter(|replica| {
        replica["master-link-status"] == "ok"
            && replica["master-port"] == port.to_string()
            && replica["flags"] == "slave"
    });
    master["port"] == port.to_string()
        && master["flags"] == "master"
        && master["num-other-sentinels"] == (SENTINELS - 1).to_string()
        && in_sync.count() == 2
}

/// Writes until told to stop or the master dies; returns what a WAIT acknowledged.
fn write(mut client: Client, round: u64, writer: u64, stop: &AtomicBool) -> Vec<String> {
    let mut acknowledged = Vec::new();
    for number in 0.. {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        let key = format!("round:{round}:writer:{writer}:{number}");
        let request = format!("SET {key} {key}\r\nMSET {key}:a 1 {key}:b 2\r\nWAIT 1 1000\r\n");
        let Some(set) = client.try_receive_after(request.as_bytes()) else { break };
        let (Ok(mset), Ok(wait)) = (client.try_receive(), client.try_receive()) else { break };
        if set == Reply::ok() && mset == Reply::ok() && matches!(wait, Reply::Integer(1..)) {
            acknowledged.push(key);
        }
    }
    acknowledged
}

fn fails_over(shards: usize, rounds: u64) {
    let (Some(skerry), Some(redis)) = (skerry(), redis()) else { return };
    if !has_tool("redis-sentinel") {
        return skip("redis-sentinel is not installed");
    }
    let skerry = skerry.shards(shards);
    let replica_of = |port: u16| skerry.clone().arguments(&["--replicaof", &format!("127.0.0.1 {port}")]);
    let master = skerry.clone().spawn();
    let mut port = master.port();
    let mut servers = vec![master, replica_of(port).spawn(), replica_of(port).spawn()];
    let directory = tempfile::tempdir().expect("making a directory");
    let sentinels: Vec<Server> =
        (0..SENTINELS).map(|number| sentinel(&redis, port, directory.path(), number)).collect();
    let mut acknowledged = Vec::new();
    for round in 0..rounds {
        // Sentinels that were late may have chosen once more meanwhile.
        let end = Instant::now() + Duration::from_millis(FAILOVER_LIMIT_MS);
        loop {
            port = named_master(&sentinels[0]);
            let Some(late) = sentinels.iter().find(|sentinel| !is_settled(sentinel, port)) else { break };
            assert!(
                Instant::now() < end,
                "round {round}: the sentinels do not agree on {port}: {}",
                known(late)
            );
            std::thread::sleep(Duration::from_millis(20));
        }
        let stop = Arc::new(AtomicBool::new(false));
        let writers: Vec<_> = (0..3)
            .map(|writer| {
                let (client, stop) = (Client::connect(port), Arc::clone(&stop));
                std::thread::spawn(move || write(client, round, writer, &stop))
            })
            .collect();
        std::thread::sleep(WRITING);
        let at = servers.iter().position(|server| server.port() == port).expect("the master is one of ours");
        let mut dead = servers.swap_remove(at);
        dead.signal(9);
        dead.wait_exit(10_000);
        stop.store(true, Ordering::Relaxed);
        let before = acknowledged.len();
        for writer in writers {
            acknowledged.extend(writer.join().expect("a writer ends"));
        }
        assert!(acknowledged.len() > before, "round {round}: nothing was acknowledged");
        let old = port;
        wait_until("another server is the master", FAILOVER_LIMIT_MS, || {
            port = named_master(&sentinels[0]);
            port != old
        });
        wait_until("it says so", FAILOVER_LIMIT_MS, || {
            Client::connect(port).run("INFO replication").text().contains("role:master")
        });
        let mut client = Client::connect(port);
        for key in &acknowledged {
            for (name, value) in [(key.clone(), &**key), (format!("{key}:a"), "1"), (format!("{key}:b"), "2")]
            {
                let found = client.command(&["GET", &name]).text();
                assert_eq!(found, value, "round {round}: {name} was acknowledged and is lost");
            }
        }
        // The dead one comes back, empty, and follows the new master.
        let mut again = replica_of(port).launch(dead.port(), None);
        drop(dead);
        wait_until("it is back", FAILOVER_LIMIT_MS, || {
            again.exited().is_none() && Client::try_connect(again.port()).is_ok()
        });
        servers.push(again);
    }
    println!("{rounds} failovers, {} acknowledged writes, all there", acknowledged.len());
}

#[test]
fn no_acknowledged_write_is_lost_when_sentinels_fail_over() {
    fails_over(2, setting("SKERRY_SENTINEL_ROUNDS", 20));
}
