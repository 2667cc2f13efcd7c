//! Benches for handlers: one keyspace or one client, a clock that stands still, and commands as one would type them.

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::Run;
use super::context::{Context, Wish, run};
use super::effect::{Effects, Propagation};
use super::gate::{Admission, Node, Refuses, admit};
use super::home::{HomeContext, Then};
use super::notice::{Notice, Notices};
use super::session::{Caller, Session};
use super::slice::Slice;
use super::table::{Resolved, names, resolve};
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::config::Config;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::resp::request::split_words;
use crate::state::Server;
use crate::store::entry::Entry;
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
    /// Whether commands may wait; not so at first.
    pub may_block: bool,
    /// That the last command waits.
    pub blocked: Option<Wish>,
    /// The slice of a long read that the next command is to reply, and how the last one left it.
    pub slice: Option<Slice>,
    /// Who listens, and what they hear.
    pub notices: Notices,
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
            may_block: false,
            blocked: None,
            slice: None,
            notices: Notices::default(),
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
        self.run_handler(handler, arguments)
    }

    /// Runs a handler whose row stands elsewhere; returns the encoded reply.
    pub fn run_handler(&mut self, handler: fn(&mut Context<'_>, &[&[u8]]), arguments: &[&[u8]]) -> Vec<u8> {
        let mut out = Vec::new();
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
            notices: &mut self.notices,
            propagation: Propagation::Verbatim,
            changed: false,
            may_block: self.may_block,
            blocked: None,
            slice: self.slice,
        };
        run(&mut context, handler, arguments);
        (self.blocked, self.slice) = (context.blocked, context.slice);
        out
    }

    /// Stores a string, whatever commands exist.
    pub fn put(&mut self, key: &str, value: &str) {
        let entry = Entry::new_string(key.as_bytes(), value.as_bytes(), None);
        self.keyspace.insert(self.caller.database as usize, entry, self.now);
    }

    /// What listeners were told since the last call: keyspace events as `database key event`, others by what they are.
    pub fn notices(&mut self) -> Vec<String> {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let told = self.notices.list.drain(..).map(|notice| match notice {
            Notice::Event { database, key, event, .. } => format!("{database} {} {event}", text(&key)),
            Notice::Changed { key, .. } => format!("changed {}", text(&key)),
            Notice::Flushed { .. } => "flushed".into(),
            Notice::Emptied => "emptied".into(),
            Notice::Published(publication, audience) => {
                let (channel, payload) = publication.parts();
                format!("{} {} to {}", text(channel), text(payload), audience.receivers)
            }
        });
        told.collect()
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

impl Default for Case {
    fn default() -> Self {
        Self::new()
    }
}

/// Runs commands of [`Run::Home`] for one client, through the gate.
pub struct HomeCase {
    /// The client.
    pub session: Session,
    /// What all shards share.
    pub server: Server,
    /// The configuration.
    pub config: Arc<Config>,
    /// The home shard.
    pub shard: ShardId,
    /// Whether memory is short.
    pub is_out_of_memory: bool,
    /// Whether commands are held back.
    pub is_paused: bool,
    /// What it refuses as a replica.
    pub refuses: Refuses,
    /// The clock.
    pub now: UnixMillis,
    rng: SmallRng,
}

impl HomeCase {
    /// A client that needs no password, with number 1, of a server with four shards.
    pub fn new() -> Self {
        Self::with("")
    }

    /// The same under a configuration file of these lines.
    pub fn with(lines: &str) -> Self {
        let config = Config::parse(lines).expect("a good configuration");
        let now = 1_700_000_000_000;
        let mut session = Session::new(1, now, config.requirepass.is_empty());
        session.peer_address = "192.0.2.7:50000".into();
        session.local_address = "192.0.2.1:6379".into();
        Self {
            session,
            server: Server::new(config.clone(), 4, "0123456789".repeat(4), names()),
            config: Arc::new(config),
            shard: 0,
            is_out_of_memory: false,
            is_paused: false,
            refuses: Refuses::default(),
            now,
            rng: SmallRng::seed_from_u64(1),
        }
    }

    /// Runs one line, split as an inline command is; returns the encoded reply, or in angle brackets what the floor
    /// above is asked for.
    pub fn run(&mut self, line: &str) -> String {
        let words = split_words(line.as_bytes()).expect("balanced quotes");
        let arguments: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
        let (reply, then) = self.run_arguments(&arguments);
        match then {
            Then::Done | Then::Pushed => String::from_utf8_lossy(&reply).into_owned(),
            then => {
                assert!(reply.is_empty() || matches!(then, Then::Close), "both a reply and {then:?}");
                format!("<{then:?}>")
            }
        }
    }

    /// Runs one command; returns the encoded reply and what happens then. A command that is let through to a keyspace
    /// is answered with its name.
    pub fn run_arguments(&mut self, arguments: &[&[u8]]) -> (Vec<u8>, Then) {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.session.caller.protocol);
        let is_out_of_memory = self.is_out_of_memory;
        let node = Node {
            shard: self.shard,
            slots: &self.server.slots,
            is_out_of_memory,
            is_paused: self.is_paused,
            refuses: self.refuses,
        };
        let row = match admit(&mut self.session, resolve(arguments), arguments, &self.config, node) {
            Admission::Run(row) => row,
            Admission::HangUp => return (out, Then::Close),
            Admission::Paused => {
                reply.simple("PAUSED");
                return (out, Then::Done);
            }
            Admission::Queued => {
                reply.simple("QUEUED");
                return (out, Then::Done);
            }
            Admission::Refused(text) => {
                reply.error(text);
                return (out, Then::Done);
            }
        };
        let Run::Home(handler) = row.run else {
            reply.simple(row.full_name);
            return (out, Then::Done);
        };
        let mut home = HomeContext {
            session: &mut self.session,
            server: &self.server,
            config: &self.config,
            shard: self.shard,
            now: self.now,
            rng: &mut self.rng,
            is_inside_exec: false,
            reply,
        };
        let then = handler(&mut home, arguments);
        (out, then)
    }
}

impl Default for HomeCase {
    fn default() -> Self {
        Self::new()
    }
}
