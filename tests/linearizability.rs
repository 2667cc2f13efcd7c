//! Every history that concurrent clients record against a running server must have an order that all of them
//! could have seen: single commands, commands over several shards, pipelines, transactions with and without
//! WATCH, and keys that expire meanwhile.
//!
//! Many short rounds on fresh keys, so that each history stays small enough to search.
//! `SKERRY_HISTORY_SECONDS` sets how long they go on (20), `SKERRY_SEED` repeats the choices of the clients
//! (not the server's timing).

#[path = "linearizability/checker.rs"]
mod checker;
mod common;
#[path = "linearizability/model.rs"]
mod model;
#[path = "linearizability/workload.rs"]
mod workload;

use checker::{LONGEST_HISTORY, Verdict, check};
use common::{Random, Server, Start, seed, setting, skerry};
use model::{Operation, State};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::{Duration, Instant};
use workload::{Clock, Flavour, Group, KEYS, Worker};

const CLIENTS: usize = 6;
const SHARDS: usize = 4;
/// Steps of each client in one round; a step is one to four operations.
const STEPS: usize = 6;
/// How many undecided histories are tolerated among a thousand.
const UNDECIDED_PER_MILLE: usize = 1;

/// CRC16 as Redis Cluster defines it for keys (XMODEM: polynomial 0x1021, initial value 0).
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |crc, byte| {
        (0..8).fold(crc ^ (u16::from(*byte) << 8), |crc: u16, _| {
            if crc & 0x8000 == 0 { crc << 1 } else { (crc << 1) ^ 0x1021 }
        })
    })
}

/// Hash tags that lie in different quarters of the slots, and so on different shards.
fn tags() -> Vec<String> {
    let quarter = |tag: &String| usize::from(crc16(tag.as_bytes()) % 16384) * SHARDS / 16384;
    let letters = ('a'..='z').map(String::from).collect::<Vec<_>>();
    let find = |wanted| letters.iter().find(|tag| quarter(tag) == wanted % SHARDS).cloned();
    (0..KEYS).map(|wanted| find(wanted).expect("26 letters reach all quarters")).collect()
}

/// Puts the histories of one group together; indexes in `after` become those of the whole.
fn merge(recorded: &[Vec<(usize, Operation)>], group: usize) -> Vec<Operation> {
    let mut merged: Vec<Operation> = Vec::new();
    for client in recorded {
        let base = merged.len();
        for (_, operation) in client.iter().filter(|(of, _)| *of == group) {
            let mut operation = operation.clone();
            operation.after.iter_mut().for_each(|index| *index += base);
            merged.push(operation);
        }
    }
    merged
}

#[track_caller]
fn refuse(flavour: Flavour, round: usize, seed: u64, history: &[Operation], placed: &[usize]) {
    let begin = history.iter().map(|operation| operation.invoked_ns).min().unwrap_or(0);
    let mut order: Vec<usize> = (0..history.len()).collect();
    order.sort_by_key(|index| history[*index].invoked_ns);
    println!("times in microseconds from {} ms; * could be put in order", begin / 1_000_000);
    for index in order {
        let Operation { client, invoked_ns, returned_ns, action, reply, after } = &history[index];
        let (from, to) = ((invoked_ns - begin) / 1000, (returned_ns - begin) / 1000);
        let mark = if placed.contains(&index) { '*' } else { ' ' };
        println!("{mark} {index:3} c{client} {from:6} to {to:6}  {action:?} -> {reply:?}  after {after:?}");
    }
    panic!("no order explains this history: {flavour:?} round {round}, SKERRY_SEED={seed}");
}

/// What the rounds of one run came to.
#[derive(Default)]
struct Tally {
    histories: usize,
    operations: usize,
    undecided: usize,
}

struct Run<'a> {
    server: &'a Server,
    workers: Vec<Mutex<Worker>>,
    tags: Vec<String>,
    seed: u64,
    tally: BTreeMap<String, Tally>,
}

impl Run<'_> {
    fn round(&mut self, flavour: Flavour, round: usize) {
        let groups: Vec<Group> =
            (0..flavour.groups()).map(|group| Group::new(&self.tags, round, group)).collect();
        if flavour != Flavour::Whole {
            let mut client = self.server.client();
            groups.iter().for_each(|group| group.store_list(&self.tags, &mut client));
        }
        let recorded: Vec<Vec<(usize, Operation)>> = std::thread::scope(|scope| {
            let one = |worker: &'_ Mutex<Worker>| {
                worker.lock().expect("one thread a worker").round(flavour, &groups, STEPS)
            };
            let threads: Vec<_> =
                self.workers.iter().map(|worker| scope.spawn(move || one(worker))).collect();
            threads.into_iter().map(|thread| thread.join().expect("a client ends")).collect()
        });
        let tally = self.tally.entry(format!("{flavour:?}")).or_default();
        for group in 0..groups.len() {
            let history = merge(&recorded, group);
            if history.len() > LONGEST_HISTORY {
                continue;
            }
            tally.histories += 1;
            tally.operations += history.len();
            match check(&history, &State::new(KEYS, CLIENTS)) {
                Verdict::Linearizable => {}
                Verdict::Undecided => tally.undecided += 1,
                Verdict::Refused(placed) => refuse(flavour, round, self.seed, &history, &placed),
            }
        }
        self.server.client().run("FLUSHALL");
    }
}

fn check_histories(test: &str, start: Start, seconds: u64) {
    let server = start.spawn();
    let seed = seed(test);
    let mut random = Random::new(seed);
    let clock = Clock::new();
    let worker = |index| Mutex::new(Worker::new(index, server.client(), random.fork(), clock));
    let workers = (0..CLIENTS).map(worker).collect();
    let mut run = Run { server: &server, workers, tags: tags(), seed, tally: BTreeMap::new() };
    let end = Instant::now() + Duration::from_secs(seconds);
    let flavours = [Flavour::Plain, Flavour::Whole, Flavour::Plain, Flavour::Expiry];
    for round in 0.. {
        if Instant::now() >= end {
            break;
        }
        run.round(flavours[round % flavours.len()], round);
    }
    for (flavour, tally) in &run.tally {
        let Tally { histories, operations, undecided } = tally;
        println!("{test}: {flavour}: {histories} histories, {operations} operations, {undecided} undecided");
        assert!(undecided * 1000 <= UNDECIDED_PER_MILLE * histories.max(&1000), "too many undecided");
    }
}

#[test]
fn four_shards_are_linearizable() {
    let Some(start) = skerry() else { return };
    check_histories(
        "four_shards_are_linearizable",
        start.shards(SHARDS),
        setting("SKERRY_HISTORY_SECONDS", 20),
    );
}

#[test]
fn one_shard_is_linearizable() {
    let Some(start) = skerry() else { return };
    check_histories("one_shard_is_linearizable", start.shards(1), setting("SKERRY_HISTORY_SECONDS", 20) / 4);
}

#[test]
fn tags_cover_the_shards() {
    assert_eq!(crc16(b"123456789"), 0x31c3, "the check value of CRC16/XMODEM");
    let mut tags = tags();
    tags.sort();
    tags.dedup();
    assert_eq!(tags.len(), KEYS);
}
