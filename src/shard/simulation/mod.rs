//! The seeded simulation of the shards' state machines: many tiny histories in random interleavings, without a runtime.
//!
//! Of every history it is checked that each command is answered once and nothing is left over, that some order of the
//! operations explains all replies (strict serializability; plain commands of one pipeline count as concurrent), and
//! that a replica of the merged stream of effects holds what the shards hold.
//!
//! `SKERRY_SEED` is the seed of the first history, `SKERRY_HISTORIES` their number; each has the seed after the one
//! before it, so a history that failed is repeated alone by its own seed and the number 1.

mod cuts;
mod model;
mod queues;
mod search;
mod tick;
mod workload;
mod world;

use std::sync::Arc;

use ahash::RandomState;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};

use crate::base::clock::unix_millis;
use crate::command::table::names;
use crate::config::Config;
use crate::state::Server;
use model::{Keys, State, replay};
use search::is_linearizable;
use workload::Workload;
use world::{World, describe, shards};

/// Histories of a run, unless the environment says otherwise.
const HISTORIES: u64 = 20_000;

/// Prints the seed of a history in which a state machine panics.
struct Reporter(u64);

impl Drop for Reporter {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("SKERRY_SEED={} SKERRY_HISTORIES=1 repeats this history", self.0);
        }
    }
}

fn number(variable: &str) -> Option<u64> {
    std::env::var(variable).ok()?.parse().ok()
}

/// Has `live` live through histories, each with its seed, a server of so many shards and chance of its own; `SKERRY_SEED` says with
/// which seed they begin, `SKERRY_HISTORIES` how many there are instead of `count`.
fn each_history(
    count: u64,
    shards: std::ops::RangeInclusive<usize>,
    live: impl Fn(u64, &Config, &Arc<Server>, &mut SmallRng),
) {
    let first = number("SKERRY_SEED").unwrap_or(unix_millis() as u64);
    let histories = number("SKERRY_HISTORIES").unwrap_or(count);
    eprintln!("SKERRY_SEED={first} SKERRY_HISTORIES={histories}");
    let config = Config::default().with("slowlog-log-slower-than", "-1").expect("a directive");
    let server = |count| Arc::new(Server::new(config.clone(), count, "0".repeat(40), names()));
    let servers: Vec<Arc<Server>> = shards.map(server).collect();
    for seed in first..first.saturating_add(histories) {
        let _reporter = Reporter(seed);
        let mut rng = SmallRng::seed_from_u64(seed);
        let server = &servers[rng.random_range(0..servers.len())];
        live(seed, &config, server, &mut rng);
    }
}

#[test]
fn every_interleaving_is_a_serial_history() {
    let tight = Config::default()
        .with("slowlog-log-slower-than", "-1")
        .and_then(|config| config.with("maxmemory", "1024gb"))
        .and_then(|config| config.with("maxmemory-policy", "allkeys-random"));
    let tight = tight.expect("directives");
    each_history(HISTORIES, 2..=4, |seed, config, server, rng| {
        let workload = Workload::draw(rng);
        live(seed, if workload.evicts { &tight } else { config }, server, workload, rng);
    });
}

/// Of histories about queues it is checked that nothing is lost or given out twice, whoever vanishes meanwhile, and that
/// nobody waits in the end for what is there. With `SKERRY_ORDER=1` also that nobody is overtaken who waits for a key: one in
/// some ten thousand histories shows one who is, while another of its keys is locked.
#[test]
fn those_who_wait_are_served() {
    each_history(HISTORIES, 1..=4, |seed, config, server, rng| {
        let workload = Workload::draw_queues(rng);
        let hashers = RandomState::with_seeds(1, 2, 3, 4);
        let shards = shards(server, &hashers, true, seed);
        let keys = Keys::new(&server.slots, rng.random_range(1..=5), 1);
        let mut world = World::new(&keys, &shards, config, &hashers, workload, seed);
        if let Err(reason) = world.run().and_then(|()| world.judge_queues()) {
            panic!("{}{reason}", describe(&world.history, &keys));
        }
    });
}

/// Lives one history through and judges it.
fn live(seed: u64, config: &Config, server: &Arc<Server>, workload: Workload, rng: &mut SmallRng) {
    let hashers = RandomState::with_seeds(1, 2, 3, 4);
    let (evicts, switch) = (workload.evicts, workload.switch);
    let shards = shards(server, &hashers, switch != Some(true), seed);
    let databases = if rng.random_bool(0.3) { 2 } else { 1 };
    let keys = Keys::new(&server.slots, rng.random_range(2..=5), databases);
    let mut world = World::new(&keys, &shards, config, &hashers, workload, seed);
    let verdict = world.run().and_then(|()| {
        let (end, stream) = (world.dataset(), world.stream());
        let nothing = vec![None; keys.len()];
        let replica = replay(&keys, &nothing, stream)?;
        if switch.is_none() && replica != end {
            return Err(format!("the stream makes {replica:?}"));
        }
        // What is in the stream lies before or behind the switch.
        let is_end = |state: &State| {
            let agrees = match (switch, &state.cut) {
                (Some(true), Some(cut)) => replay(&keys, cut, stream).is_ok_and(|replica| replica == end),
                (Some(false), Some(cut)) => replica == *cut,
                _ => true,
            };
            state.entries == end && agrees
        };
        // The model cannot tell which keys had to go.
        let fits = evicts || is_linearizable(&keys, world.clients(), &world.history, &is_end);
        fits.then_some(()).ok_or_else(|| "no order explains this".into())
    });
    if let Err(reason) = verdict {
        let stream = String::from_utf8_lossy(world.stream()).replace("\r\n", " ");
        let history = describe(&world.history, &keys);
        panic!("{history}the end is {:?}\nthe stream is {stream}\n{reason}", world.dataset());
    }
}
