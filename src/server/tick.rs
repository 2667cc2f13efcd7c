//! One tick: parse what has arrived, route each command, run batches where their keys are.
//!
//! What a connection sends is parsed as far as its order allows. Plain commands of all connections become one list: those
//! for a sleeping shard run there at once under its borrowed token, those for a shard that is awake are sent to it, those
//! for this shard run in order. Everything else (connection state, transactions) runs while parsing, when all earlier
//! commands of its connection are answered.

use super::ask::ReplyTo;
use super::connection::{Connection, Phase};
use super::executor::Core;
use super::waiting::Retry;
use crate::base::clock::Monotonic;
use crate::base::limits::{
    COMMANDS_PER_TICK_MAX, ELEMENT_DISTANCE, PREFETCH_DISTANCE, UNANSWERED_COMMANDS_MAX,
};
use crate::base::slot::ShardId;
use crate::command::args::{OwnedArgs, is_word};
use crate::command::gate::{Admission, Node, Refuses, admit};
use crate::command::home::{HomeContext, Then};
use crate::command::session::{Caller, ReplyMode, Session};
use crate::command::table::{Resolved, resolve};
use crate::command::{Command, Flags, Group, HomeHandler, Route, Run};
use crate::config::PipelineOrder;
use crate::net::{Buffer, Ring, SocketId};
use crate::resp::Reply;
use crate::resp::request::{Limits, Parsed};
use crate::shard::message::Ticket;
use crate::shard::owner::{Shard, note_failed};
use crate::shard::plan::Request;
use crate::shard::route::{Target, target};

/// Bytes to parse, taken from their connection for a tick.
pub(super) struct Input {
    /// The connection.
    pub connection: SocketId,
    source: Source,
    /// Bytes that were parsed or are to be skipped.
    used: usize,
}

enum Source {
    Received(Buffer),
    Kept(Vec<u8>),
}

impl Input {
    /// Bytes that just arrived.
    pub fn received(connection: SocketId, buffer: Buffer) -> Self {
        Self { connection, source: Source::Received(buffer), used: 0 }
    }

    /// Bytes that the connection kept, from `start` on.
    pub fn kept(connection: SocketId, bytes: Vec<u8>, start: usize) -> Self {
        Self { connection, source: Source::Kept(bytes), used: start }
    }

    fn bytes<'a>(&'a self, ring: &'a Ring) -> &'a [u8] {
        match &self.source {
            Source::Received(buffer) => ring.bytes(buffer),
            Source::Kept(bytes) => bytes,
        }
    }

    /// Gives a ring's buffer back.
    pub fn give_back(self, ring: &mut Ring) {
        if let Source::Received(buffer) = self.source {
            ring.recycle(buffer);
        }
    }

    /// What was not parsed, in a buffer of its own, and where it begins there; `None` when nothing is left.
    pub fn into_rest(self, ring: &mut Ring) -> Option<(Vec<u8>, usize)> {
        match self.source {
            Source::Received(buffer) => {
                let rest = ring.bytes(&buffer)[self.used..].to_vec();
                ring.recycle(buffer);
                (!rest.is_empty()).then_some((rest, 0))
            }
            Source::Kept(bytes) => (self.used < bytes.len()).then_some((bytes, self.used)),
        }
    }
}

/// A plain command of this tick.
struct Plain {
    connection: SocketId,
    row: &'static Command,
    caller: Caller,
    target: ShardId,
    first_argument: u32,
    arguments: u32,
    hash: u64,
}

/// Where the reply of a plain command is after the foreign batches ran.
#[derive(Clone, Copy)]
enum Place {
    /// It has yet to run, here or as a message.
    Open,
    /// It ran on a borrowed shard; its reply is this part of the staged bytes.
    Staged(u32, u32),
}

/// Why parsing plain commands ended.
enum Ended {
    /// The input is used up, or what is left is not whole, or replies must come first.
    Input,
    /// The connection had its share of this tick.
    Bound,
    /// It takes no more commands.
    Closed,
    /// The input is not the protocol.
    Error(String),
    /// A command of this length that is not plain; its arguments begin here.
    Command(usize, usize),
    /// An inline command.
    Inline(usize, Vec<Vec<u8>>),
}

/// What became of a parsed command.
enum Step {
    /// It is done or under way.
    Taken,
    /// It is a plain command for this shard.
    Plain(&'static Command, ShardId),
    /// It must wait for earlier commands of its connection.
    Wait,
    /// It waits for the end of a pause.
    Paused,
}

impl Core {
    /// Parses `inputs`, as far as the order on each connection allows, and runs what was parsed.
    pub fn tick(&mut self, own: &mut Shard, ring: &Ring, inputs: &mut [Input]) {
        let mut arguments: Vec<&[u8]> = Vec::with_capacity(inputs.len() * 4);
        let mut plain: Vec<Plain> = Vec::with_capacity(inputs.len());
        let mut used = Vec::with_capacity(inputs.len());
        self.is_watchful = self.is_monitored() || self.server.pause.current(self.now).is_some();
        let refuses = self.refuses(own);
        self.is_watchful |= refuses.stale || refuses.while_loading || refuses.until_loaded;
        self.is_strict = self.config.pipeline_order == PipelineOrder::Strict && self.shards.len() > 1;
        self.is_parsing = true;
        for input in inputs.iter() {
            used.push(self.parse(own, input, ring, &mut arguments, &mut plain));
        }
        let (config, server) = (self.config.clone(), self.server.clone());
        self.home.submit_group(own, self.env(&config, &server));
        self.deliver_answers(own);
        self.is_parsing = false;
        self.run_plain(own, &arguments, &plain);
        for (input, used) in inputs.iter_mut().zip(used) {
            if self.follower.link == Some(input.connection) {
                self.note_parsed(input.connection, input.bytes(ring), used);
            }
            input.used = used;
        }
    }

    /// Parses one input; returns how many of its bytes were used.
    fn parse<'a>(
        &mut self,
        own: &mut Shard,
        input: &'a Input,
        ring: &'a Ring,
        arguments: &mut Vec<&'a [u8]>,
        plain: &mut Vec<Plain>,
    ) -> usize {
        let id = input.connection;
        let bytes = input.bytes(ring);
        let mut used = input.used;
        let mut taken = 0;
        // Plain commands, nearly all there are, need nothing but the connection, which is in hand for as long as they
        // last; anything else goes through `step`, for which it is put back.
        if self.is_held(id) {
            return used;
        }
        while let Some(mut connection) = self.take_connection(id) {
            connection.session.active_at = self.now;
            let ended = self.parse_plain(&mut connection, bytes, &mut used, &mut taken, arguments, plain);
            self.connections[id.index()] = Some(connection);
            let (length, step, first) = match ended {
                Ended::Input => return used,
                Ended::Bound => {
                    self.make_ready(id);
                    return used;
                }
                Ended::Closed if self.follower.link == Some(id) => return used,
                Ended::Closed => return bytes.len(),
                Ended::Error(sentence) => {
                    if !self.is_settled(id) {
                        self.hold(id, &Step::Wait);
                        return used;
                    }
                    self.protocol_error(id, &sentence);
                    return if self.follower.link == Some(id) { used } else { bytes.len() };
                }
                Ended::Command(length, first) => {
                    if self.follower.link == Some(id) {
                        self.note_parsed(id, bytes, used);
                    }
                    self.set_in_hand(id, bytes.len() - used);
                    let step = self.step(own, id, &arguments[first..]);
                    self.set_in_hand(id, 0);
                    (length, step, first)
                }
                Ended::Inline(length, words) => {
                    // The words live nowhere in the input, so an inline command runs as if it were alone.
                    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    let step = match self.step(own, id, &words) {
                        Step::Plain(..) if !self.is_settled(id) => Step::Wait,
                        Step::Plain(row, target) => {
                            self.run_alone(own, id, row, target, &words);
                            Step::Taken
                        }
                        step => step,
                    };
                    (length, step, arguments.len())
                }
            };
            match step {
                Step::Taken => arguments.truncate(first),
                Step::Plain(row, target) => {
                    let hash = self.hash_of(row, &arguments[first..]);
                    let Some(connection) = self.connection(id) else { return bytes.len() };
                    add_plain(connection, row, target, first, arguments.len() - first, hash, plain);
                }
                step => {
                    arguments.truncate(first);
                    self.hold(id, &step);
                    return used;
                }
            }
            used += length;
            taken += 1;
        }
        bytes.len()
    }

    fn set_in_hand(&mut self, id: SocketId, bytes: usize) {
        if let Some(connection) = self.connection(id) {
            connection.in_hand = bytes;
        }
    }

    /// Parses plain commands up to something else.
    fn parse_plain<'a>(
        &mut self,
        connection: &mut Connection,
        bytes: &'a [u8],
        used: &mut usize,
        taken: &mut usize,
        arguments: &mut Vec<&'a [u8]>,
        plain: &mut Vec<Plain>,
    ) -> Ended {
        let limits = Limits {
            bulk_bytes_max: match connection.progress {
                Some(_) => i64::MAX,
                None => self.config.proto_max_bulk_len as i64,
            },
            unauthenticated: !connection.session.authenticated && !self.config.requirepass.is_empty(),
        };
        while *used < bytes.len() {
            if connection.phase != Phase::Open {
                return Ended::Closed;
            }
            if *taken == COMMANDS_PER_TICK_MAX {
                return Ended::Bound;
            }
            if connection.waiting() >= UNANSWERED_COMMANDS_MAX {
                return Ended::Input;
            }
            let first = arguments.len();
            match connection.parser.parse(&bytes[*used..], limits, arguments) {
                Parsed::Incomplete(_) => return Ended::Input,
                Parsed::Nothing(length) => *used += length,
                Parsed::Error(sentence) => return Ended::Error(sentence),
                Parsed::Inline(..) if connection.progress.is_some() => {
                    return Ended::Error("Master using the inline protocol. Desync?".to_owned());
                }
                Parsed::Inline(length, words) => return Ended::Inline(length, words),
                Parsed::Command(length) => {
                    let Some((row, target)) = self.plain_target(connection, &arguments[first..]) else {
                        return Ended::Command(length, first);
                    };
                    let hash = self.hash_of(row, &arguments[first..]);
                    add_plain(connection, row, target, first, arguments.len() - first, hash, plain);
                    *used += length;
                    *taken += 1;
                }
            }
        }
        Ended::Input
    }

    /// The shard of a command that nothing speaks against: the client may run it, it has its keys on one shard and
    /// need not wait for anything.
    #[inline]
    fn plain_target(
        &self,
        connection: &mut Connection,
        arguments: &[&[u8]],
    ) -> Option<(&'static Command, ShardId)> {
        let session = &connection.session;
        if self.is_watchful || session.caller.cluster_port || !session.is_plain() {
            return None;
        }
        let Resolved::Row(row) = resolve(arguments) else { return None };
        if !row.arity_fits(arguments.len())
            || row.flags.intersects(Flags::PROTECTED | Flags::BLOCKING)
            || !matches!(row.run, Run::Keyspace(_))
        {
            return None;
        }
        match target(&self.server.slots, self.id, row, arguments) {
            Target::Shard(shard) if may_follow(connection, row, shard, self.is_strict) => {
                connection.session.last_command = Some(row);
                Some((row, shard))
            }
            _ => None,
        }
    }

    /// The hash of the command's only key, or 0.
    #[inline]
    fn hash_of(&self, row: &Command, arguments: &[&[u8]]) -> u64 {
        row.single_key(arguments).map_or(0, |key| self.home.hash(key))
    }

    fn is_settled(&mut self, id: SocketId) -> bool {
        self.connection(id).is_none_or(|connection| connection.is_settled())
    }

    /// A command cannot go on: what it waits for will make its connection ready.
    fn hold(&mut self, id: SocketId, step: &Step) {
        let Some(connection) = self.connection(id) else { return };
        if matches!(step, Step::Paused) {
            if !connection.is_ready {
                connection.is_ready = true;
                self.paused.push(id);
                self.counters().blocked_clients.add(1);
            }
        } else if connection.waiting() == 0 {
            // Only this tick's own commands stand before it.
            self.make_ready(id);
        }
    }

    fn protocol_error(&mut self, id: SocketId, sentence: &str) {
        let Some(connection) = self.connection(id) else { return };
        if connection.progress.is_some() {
            crate::warning!("Protocol error ({sentence}) from master");
            connection.is_garbled = true;
            return self.break_connection(id);
        }
        crate::verbose!("Protocol error ({sentence}) from client: {}", connection.session.peer_address);
        let protocol = connection.session.caller.protocol;
        Reply::new(connection.reply_buffer(), protocol).error(format!("ERR {sentence}"));
        self.end_after_replies(id);
    }

    /// Decides about one command, and runs it unless it is a plain one.
    fn step(&mut self, own: &mut Shard, id: SocketId, arguments: &[&[u8]]) -> Step {
        let Some(slot) = self.connections.get_mut(id.index()) else { return Step::Taken };
        let Some(connection) = slot.as_deref_mut() else { return Step::Taken };
        let resolved = resolve(arguments);
        // What is no plain command of an authenticated client outside of a transaction needs all replies before it.
        let row = match (connection.session.is_plain(), resolved) {
            (true, Resolved::Row(row)) if row.arity_fits(arguments.len()) => Some(row),
            _ => None,
        };
        let target = row.map_or(Target::Home, |row| target(&self.server.slots, self.id, row, arguments));
        let must_settle = match target {
            _ if row.is_some_and(|row| row.flags.contains(Flags::BLOCKING)) => !connection.is_settled(),
            Target::Shard(shard) => {
                row.is_some_and(|row| !may_follow(connection, row, shard, self.is_strict))
            }
            Target::Spanning => !connection.only_spanning_waits(),
            Target::Home => !connection.is_settled(),
        };
        if must_settle {
            return Step::Wait;
        }
        if connection.progress.is_some() && is_word(arguments[0], "replconf") {
            self.answer_master(id, arguments);
            return self.taken(id);
        }
        let is_paused = self.is_paused(id, row, resolved);
        let refuses = self.refuses(own);
        let env = self.env(&self.config, &self.server);
        let Some(connection) = self.connections.get_mut(id.index()).and_then(Option::as_deref_mut) else {
            return Step::Taken;
        };
        let is_judged_here = connection.session.queue.is_some() || target == Target::Spanning;
        let is_link = connection.progress.is_some();
        let is_out_of_memory = is_judged_here && !own.make_room(env) && !is_link;
        let refuses = if is_link { Refuses::default() } else { refuses };
        let node = Node { shard: self.id, slots: &self.server.slots, is_out_of_memory, is_paused, refuses };
        let row = match admit(&mut connection.session, resolved, arguments, &self.config, node) {
            Admission::Run(row) => row,
            Admission::Paused => return Step::Paused,
            Admission::Queued => {
                if connection.wants_reply() {
                    connection.reply_buffer().extend_from_slice(b"+QUEUED\r\n");
                }
                return self.taken(id);
            }
            Admission::Refused(error) => {
                if is_link {
                    note_failed(&self.server, &String::from_utf8_lossy(arguments[0]), &error);
                }
                if let Resolved::Row(row) = resolved {
                    self.server.commands.of(self.id, row.index).reject();
                }
                self.reply_error(id, &error);
                return self.taken(id);
            }
            Admission::HangUp => {
                self.break_connection(id);
                return Step::Taken;
            }
        };
        // What runs over the session is shown when it has run: EXEC behind its commands, SELECT with the new database.
        if self.is_monitored() && matches!(row.run, Run::Keyspace(_)) {
            self.feed_monitors(id, row, arguments);
        }
        if let Some(connection) = self.connection(id) {
            connection.session.last_command = Some(row);
        }
        match target {
            Target::Shard(shard) if row.flags.contains(Flags::BLOCKING) => {
                self.run_blocking(own, id, row, shard, arguments);
                Step::Taken
            }
            Target::Shard(shard) if matches!(row.run, Run::Keyspace(_)) => Step::Plain(row, shard),
            Target::Spanning => {
                self.start_spanning(own, id, row, arguments);
                self.taken(id)
            }
            _ => {
                self.run_home(own, id, row, arguments);
                Step::Taken
            }
        }
    }

    /// Counts a command and moves CLIENT REPLY SKIP on.
    fn taken(&mut self, id: SocketId) -> Step {
        self.counters().commands_processed.add(1);
        if let Some(connection) = self.connection(id) {
            connection.session.end_caching();
            after_command(connection);
        }
        self.mark_dirty(id);
        Step::Taken
    }

    fn reply_error(&mut self, id: SocketId, error: &[u8]) {
        let Some(connection) = self.connection(id) else { return };
        let protocol = connection.session.caller.protocol;
        let keep = connection.wants_reply();
        let out = connection.reply_buffer();
        let start = out.len();
        Reply::new(out, protocol).error(error);
        let line = out[start..].to_vec();
        if !keep {
            out.truncate(start);
        }
        self.server.errors.count(self.id, &line);
        self.counters().error_replies.add(1);
    }

    /// Whether CLIENT PAUSE holds the command back.
    fn is_paused(&mut self, id: SocketId, row: Option<&'static Command>, resolved: Resolved) -> bool {
        if self.server.pause.current(self.now).is_none() {
            return false;
        }
        let row = row.or(match resolved {
            Resolved::Row(row) => Some(row),
            _ => None,
        });
        let Some(row) = row else { return false };
        let queued = self.connection(id).and_then(|connection| {
            let queue = connection.session.queue.as_ref()?;
            Some(queue.flags())
        });
        let flags = match (row.full_name, queued) {
            ("exec", Some(flags)) => flags | row.flags,
            _ => row.flags,
        };
        self.server.pause.holds(self.now, flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE))
    }

    /// Runs a handler on this home shard and does what it asks for.
    fn run_home(&mut self, own: &mut Shard, id: SocketId, row: &'static Command, arguments: &[&[u8]]) {
        let Run::Home(handler) = row.run else {
            self.reply_error(id, b"ERR unknown command");
            self.taken(id);
            return;
        };
        if row.group == Group::Server {
            self.publish_all(own);
        }
        let Some(mut connection) = self.take_connection(id) else { return };
        let mut out = std::mem::take(connection.reply_buffer());
        let start = out.len();
        let started = Monotonic::now();
        let then = self.call_home(&mut connection.session, handler, arguments, false, &mut out);
        let failed = self.count_error(&out[start..]);
        if failed && connection.progress.is_some() {
            note_failed(&self.server, row.full_name, &out[start..]);
        }
        // CLIENT REPLY decides about its own reply too.
        if !connection.wants_reply() && !matches!(then, Then::Pushed) {
            out.truncate(start);
        }
        *connection.reply_buffer() = out;
        self.put_connection(own, id, connection);
        match then {
            Then::Done | Then::Pushed => {}
            Then::Close => self.end_after_replies(id),
            Then::Exec => self.exec(own, id),
            Then::Ask(ask) => self.ask(own, ReplyTo::next(id), ask),
        }
        self.count_home(id, row, started, failed, arguments);
        if self.is_monitored() {
            self.feed_monitors(id, row, arguments);
        }
        self.taken(id);
    }

    /// Calls a handler of this home shard.
    pub fn call_home(
        &mut self,
        session: &mut Session,
        handler: HomeHandler,
        arguments: &[&[u8]],
        is_inside_exec: bool,
        out: &mut Vec<u8>,
    ) -> Then {
        let reply = Reply::new(out, session.caller.protocol);
        let mut context = HomeContext {
            session,
            server: &self.server,
            config: &self.config,
            shard: self.id,
            now: self.now,
            rng: self.home.rng(),
            is_inside_exec,
            reply,
        };
        handler(&mut context, arguments)
    }

    /// Enters a command that ran on this home shard into its statistics. What its handler asked for is part of its time
    /// (DEBUG SLEEP).
    pub fn count_home(
        &self,
        id: SocketId,
        row: &'static Command,
        started: Monotonic,
        failed: bool,
        arguments: &[&[u8]],
    ) {
        let nanos = Monotonic::now().nanos_since(started);
        self.server.commands.of(self.id, row.index).count(nanos, !failed);
        if let Some(connection) = self.connections.get(id.index()).and_then(Option::as_deref) {
            self.note_home_slow(&connection.session, row, nanos / 1000, arguments);
        }
    }

    /// Counts the reply of a home command if it is an error; says whether it is.
    pub fn count_error(&self, reply: &[u8]) -> bool {
        let failed = reply.first() == Some(&b'-');
        if failed {
            self.server.errors.count(self.id, reply);
            self.counters().error_replies.add(1);
        }
        failed
    }

    /// A connection, to be put back with [`Core::put_connection`].
    pub fn take_connection(&mut self, id: SocketId) -> Option<Box<Connection>> {
        self.connections.get_mut(id.index())?.take_if(|connection| connection.socket == id)
    }

    /// Puts a connection back whose session a handler had.
    pub fn put_connection(&mut self, own: &mut Shard, id: SocketId, mut connection: Box<Connection>) {
        let unwatched = std::mem::take(&mut connection.session.unwatched);
        let changes = std::mem::take(&mut connection.session.subscription_changes);
        let listens = connection.is_caching != connection.session.tracking.is_some() || !changes.is_empty();
        self.connections[id.index()] = Some(connection);
        self.send_unwatch(unwatched);
        if listens {
            self.change_subscriptions(own, id, changes);
        }
    }

    fn start_spanning(&mut self, own: &mut Shard, id: SocketId, row: &'static Command, arguments: &[&[u8]]) {
        self.counters().commands_spanning.add(1);
        let Some(connection) = self.connection(id) else { return };
        let caller = connection.session.caller;
        let may_borrow = connection.spanning == 0;
        let ticket = connection.wait(true);
        if row.flags.contains(Flags::BLOCKING) {
            connection.is_blocking = true;
            connection.retry = Some(Box::new(Retry { row, caller, arguments: OwnedArgs::copy(arguments) }));
        }
        let requests = vec![Request::Run { row, caller, arguments }];
        self.begin(own, ticket, requests, false, &[], may_borrow);
    }

    /// Starts a transaction; what ends at once is answered at once.
    pub fn begin(
        &mut self,
        own: &mut Shard,
        ticket: Ticket,
        requests: Vec<Request<'_>>,
        is_block: bool,
        watches: &[crate::command::session::Watch],
        may_borrow: bool,
    ) {
        let protocol = self
            .connection(SocketId::from_u64(ticket.connection))
            .map(|connection| connection.session.caller.protocol)
            .unwrap_or_default();
        let (config, server) = (self.config.clone(), self.server.clone());
        let env = self.env(&config, &server);
        self.home.start(own, env, ticket, protocol, requests, is_block, watches, may_borrow);
        self.deliver_answers(own);
    }

    /// A command that may block, on the shard of its keys; everything behind it waits for its reply.
    fn run_blocking(
        &mut self,
        own: &mut Shard,
        id: SocketId,
        row: &'static Command,
        target: ShardId,
        arguments: &[&[u8]],
    ) {
        self.run_alone(own, id, row, target, arguments);
        if let Some(connection) = self.connection(id) {
            connection.is_blocking = connection.waiting() > 0;
        }
    }

    /// A plain command that is not part of a batch.
    fn run_alone(
        &mut self,
        own: &mut Shard,
        id: SocketId,
        row: &'static Command,
        target: ShardId,
        arguments: &[&[u8]],
    ) {
        let Some(connection) = self.connection(id) else { return };
        connection.follow(target);
        let caller = connection.session.caller;
        connection.session.end_caching();
        let count = arguments.len() as u32;
        let plain =
            Plain { connection: id, row, caller, target, first_argument: 0, arguments: count, hash: 0 };
        self.run_plain(own, arguments, &[plain]);
    }

    /// Runs the plain commands of a tick: first those for other shards, then all of this shard, replies in order.
    fn run_plain(&mut self, own: &mut Shard, arguments: &[&[u8]], plain: &[Plain]) {
        if plain.is_empty() {
            return;
        }
        let (config, server) = (self.config.clone(), self.server.clone());
        let env = self.env(&config, &server);
        let slices = |command: &Plain| {
            let first = command.first_argument as usize;
            &arguments[first..first + command.arguments as usize]
        };
        let mut staged = Vec::new();
        let places = if self.shards.len() > 1 {
            self.run_borrowed(env, plain, slices, &mut staged)
        } else {
            Vec::new()
        };
        let prefetch_element = |index: usize, entries: bool, own: &Shard| {
            if let Some(command) = plain.get(index)
                && command.row.element != 0
                && command.target == self.id
            {
                let arguments = slices(command);
                own.prefetch_element(command.row, command.caller, command.hash, arguments, entries);
            }
        };
        let mut local = 0;
        let mut borrowed = 0;
        let mut errors = 0;
        let mut index = 0;
        own.start_clock();
        for ahead in 0..2 * PREFETCH_DISTANCE {
            prefetch(own, self.id, plain, ahead, false);
        }
        for ahead in 0..PREFETCH_DISTANCE {
            prefetch(own, self.id, plain, ahead, true);
        }
        // Commands of one connection stand together, but for what an earlier input of this tick left over.
        for run in plain.chunk_by(|one, next| one.connection == next.connection) {
            let id = run[0].connection;
            let Some(connection) = self.connections.get_mut(id.index()).and_then(Option::as_deref_mut) else {
                index += run.len();
                continue;
            };
            for command in run {
                prefetch(own, self.id, plain, index + 2 * PREFETCH_DISTANCE, false);
                prefetch(own, self.id, plain, index + PREFETCH_DISTANCE, true);
                prefetch_element(index + 2 * ELEMENT_DISTANCE, false, own);
                prefetch_element(index + ELEMENT_DISTANCE, true, own);
                let keep = connection.wants_reply();
                if let Some(&Place::Staged(start, end)) = places.get(index) {
                    borrowed += 1;
                    if keep {
                        connection.reply_buffer().extend_from_slice(&staged[start as usize..end as usize]);
                    }
                    errors += u64::from(staged.get(start as usize) == Some(&b'-'));
                } else if command.target == self.id {
                    local += 1;
                    // The buffer first: it may take a place of its own before that of this reply.
                    connection.reply_buffer();
                    let ticket = connection.next_ticket();
                    let out = connection.reply_buffer();
                    let start = out.len();
                    if own.run(env, self.id, ticket, command.caller, command.row, slices(command), out) {
                        if out.get(start) == Some(&b'-') {
                            errors += 1;
                            server.errors.count(self.id, &out[start..]);
                        }
                        if !keep {
                            out.truncate(start);
                        }
                    } else {
                        connection.wait(false);
                    }
                } else {
                    let ticket = connection.wait(false);
                    let (row, caller, hash) = (command.row, command.caller, command.hash);
                    self.home.enqueue(command.target, ticket, row, caller, slices(command), hash);
                }
                after_command(connection);
                index += 1;
            }
            connection.unexecuted -= run.len() as u32;
            if !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push(id);
            }
        }
        let counters = self.counters();
        counters.commands_processed.add(plain.len() as u64);
        counters.commands_local.add(local);
        counters.commands_borrowed.add(borrowed);
        counters.error_replies.add(errors);
    }

    /// Runs the commands of every other shard that sleeps, under its token; says where their replies are.
    fn run_borrowed<'a>(
        &mut self,
        env: crate::shard::Env<'_>,
        plain: &[Plain],
        slices: impl Fn(&Plain) -> &'a [&'a [u8]],
        staged: &mut Vec<u8>,
    ) -> Vec<Place> {
        let mut places = vec![Place::Open; plain.len()];
        let own_id = self.id;
        for shard in (0..env.server.slots.shards()).filter(|&shard| shard != own_id) {
            let of_shard = || plain.iter().enumerate().filter(move |(_, command)| command.target == shard);
            let count = of_shard().count();
            let all_fast = || of_shard().all(|(_, command)| command.row.is_quick());
            if count == 0 || !self.home.may_borrow(shard, count) || !all_fast() {
                continue;
            }
            let shards = std::sync::Arc::clone(&self.shards);
            let Some(mut token) = shards.borrow(shard).filter(|token| token.is_unlocked()) else { continue };
            for entries in [false, true] {
                for (_, command) in of_shard().filter(|(_, command)| command.hash != 0) {
                    token.prefetch(command.caller, command.hash, entries);
                }
            }
            token.start_clock();
            for (index, command) in of_shard() {
                // What came before may have made keys ready that are kept for others since.
                if !token.is_unlocked() {
                    break;
                }
                let start = staged.len();
                let ticket = Ticket { connection: command.connection.to_u64(), sequence: 0 };
                let ran =
                    token.run(env, self.id, ticket, command.caller, command.row, slices(command), staged);
                debug_assert!(ran, "an unlocked shard runs every command at once");
                if staged.get(start) == Some(&b'-') {
                    env.server.errors.count(self.id, &staged[start..]);
                }
                places[index] = Place::Staged(start as u32, staged.len() as u32);
            }
            shards.deliver(&mut token);
            self.file_slow(&mut token);
        }
        places
    }
}

/// Whether a plain command may follow what is under way on its connection.
#[inline]
fn may_follow(connection: &Connection, row: &Command, shard: ShardId, is_strict: bool) -> bool {
    connection.may_follow(shard, is_strict) && (row.route != Route::Channel || connection.may_tell(shard))
}

/// CLIENT REPLY SKIP covers one command.
fn after_command(connection: &mut Connection) {
    connection.session.reply_mode = match connection.session.reply_mode {
        ReplyMode::SkipNext => ReplyMode::Skip,
        ReplyMode::Skip => ReplyMode::On,
        mode => mode,
    };
}

/// Starts fetching what the command at `index` will need: its bucket, or, once that is here, its entry.
#[inline]
fn prefetch(own: &Shard, id: ShardId, plain: &[Plain], index: usize, entry: bool) {
    if let Some(command) = plain.get(index)
        && command.hash != 0
        && command.target == id
    {
        own.prefetch(command.caller, command.hash, entry);
    }
}

fn add_plain(
    connection: &mut Connection,
    row: &'static Command,
    target: ShardId,
    first: usize,
    count: usize,
    hash: u64,
    plain: &mut Vec<Plain>,
) {
    connection.follow(target);
    let caller = connection.session.caller;
    connection.session.end_caching();
    plain.push(Plain {
        connection: connection.socket,
        row,
        caller,
        target,
        first_argument: first as u32,
        arguments: count as u32,
        hash,
    });
}
