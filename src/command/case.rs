//! A bench for handlers: one keyspace, a clock that stands still, and commands as one would type them.

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::Run;
use super::context::{Context, run};
use super::effect::{Effects, Propagation};
use super::session::Caller;
use super::table::{Resolved, resolve};
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::config::Config;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::resp::request::split_words;
use crate::store::keyspace::Keyspace;

/// Runs commands of [`Run::Keyspace`] against one keyspace.
pub struct Case {
    /// The keyspace.
    pub keyspace: Keyspace,
    /// The clock.
    pub now: UnixMillis,
    /// The shard that runs the commands, and how many there are.
    pub shard: ShardId,
    /// Number of shards.
    pub shards: usize,
    /// The caller.
    pub caller: Caller,
    /// The configuration.
    pub config: Config,
    effects: Effects,
    rng: SmallRng,
}

impl Case {
    /// An empty keyspace of 16 databases at a fixed time.
    pub fn new() -> Self {
        let hashers = ahash::RandomState::with_seeds(1, 2, 3, 4);
        Self {
            keyspace: Keyspace::new(16, hashers),
            now: 1_700_000_000_000,
            shard: 0,
            shards: 1,
            caller: Caller::default(),
            config: Config::default(),
            effects: Effects { on: true, ..Effects::default() },
            rng: SmallRng::seed_from_u64(1),
        }
    }

    /// Moves the clock on.
    pub fn after_ms(&mut self, milliseconds: i64) -> &mut Self {
        self.now += milliseconds;
        self
    }

    /// Speaks RESP3 from now on.
    pub fn resp3(&mut self) -> &mut Self {
        self.caller.protocol = Protocol::Resp3;
        self
    }

    /// Runs one line, split as an inline command is; returns the encoded reply.
    pub fn run(&mut self, line: &str) -> String {
        let words = split_words(line.as_bytes()).expect("balanced quotes");
        let arguments: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        String::from_utf8_lossy(&self.run_arguments(&arguments)).into_owned()
    }

    /// Runs one command; returns the encoded reply.
    pub fn run_arguments(&mut self, arguments: &[&[u8]]) -> Vec<u8> {
        let Resolved::Row(row) = resolve(arguments) else { panic!("unknown command {arguments:?}") };
        let mut out = Vec::new();
        if !row.arity_fits(arguments.len()) {
            Reply::new(&mut out, Protocol::Resp2).error(crate::resp::error::wrong_arity(row.full_name));
            return out;
        }
        let Run::Keyspace(handler) = row.run else { panic!("{} runs on the home shard", row.full_name) };
        let mut context = Context {
            keyspace: &mut self.keyspace,
            shard: self.shard,
            shards: self.shards,
            caller: self.caller,
            now: self.now,
            config: &self.config,
            rng: &mut self.rng,
            reply: Reply::new(&mut out, self.caller.protocol),
            effects: &mut self.effects,
            propagation: Propagation::Verbatim,
            changed: false,
        };
        run(&mut context, handler, arguments);
        out
    }

    /// The effects since the last call, as words joined by blanks.
    pub fn effects(&mut self) -> Vec<String> {
        self.effects
            .commands
            .drain(..)
            .map(|effect| {
                let text = String::from_utf8_lossy(&effect.encoded).into_owned();
                let words: Vec<&str> = text.split("\r\n").skip(2).step_by(2).collect();
                words.join(" ")
            })
            .collect()
    }
}
