//! One tick: parse what has arrived, route each command, run batches where their keys are.
//!
//! What a connection sends is parsed as far as its order allows. Plain commands of all connections become one list: those
//! for a sleeping shard run there at once under its borrowed token, those for a shard that is awake are sent to it, those
//! for this shard run in order. Everything else (connection state, transactions) runs while parsing, when all earlier
//! commands of its connection are answered.

use super::connection::{Connection, Phase};
use super::executor::Core;
use crate::base::limits::{COMMANDS_PER_TICK_MAX, UNANSWERED_COMMANDS_MAX};
use crate::base::slot::ShardId;
use crate::command::args::OwnedArgs;
use crate::command::gate::{Admission, admit};
use crate::command::home::{HomeContext, Then};
use crate::command::session::{Caller, ReplyMode};
use crate::command::table::{Resolved, resolve};
use crate::command::{Command, Flags, Run};
use crate::net::{Buffer, Ring, SocketId};
use crate::resp::Reply;
use crate::resp::request::{Limits, Parsed};
use crate::shard::message::Ticket;
use crate::shard::owner::Shard;
use crate::shard::route::{Target, target};
use crate::shard::transaction::Request;

/// Commands whose memory is fetched ahead of their running, at a time.
const PREFETCH_WINDOW: usize = 64;

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
        for input in inputs.iter() {
            used.push(self.parse(own, input, ring, &mut arguments, &mut plain));
        }
        self.run_plain(own, &arguments, &plain);
        for (input, used) in inputs.iter_mut().zip(used) {
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
        let Some(connection) = self.connections.get_mut(id.index()).and_then(Option::as_deref_mut) else {
            return bytes.len();
        };
        if connection.socket != id {
            return bytes.len();
        }
        connection.session.active_at = self.now;
        let mut taken = 0;
        while used < bytes.len() {
            let Some(connection) = self.connection(id).filter(|connection| connection.phase == Phase::Open)
            else {
                return bytes.len();
            };
            if taken == COMMANDS_PER_TICK_MAX || connection.waiting() >= UNANSWERED_COMMANDS_MAX {
                if connection.waiting() == 0 || taken == COMMANDS_PER_TICK_MAX {
                    self.make_ready(id);
                }
                return used;
            }
            let limits = Limits {
                bulk_bytes_max: self.config.proto_max_bulk_len as i64,
                unauthenticated: !connection_is_authenticated(
                    &self.connections,
                    id,
                    &self.config.requirepass,
                ),
            };
            let first = arguments.len();
            let Some(connection) = self.connection(id) else { return bytes.len() };
            match connection.parser.parse(&bytes[used..], limits, arguments) {
                Parsed::Incomplete(_) => return used,
                Parsed::Nothing(length) => used += length,
                Parsed::Error(sentence) => {
                    self.protocol_error(id, &sentence);
                    return bytes.len();
                }
                Parsed::Command(length) => {
                    match self.step(own, id, &arguments[first..]) {
                        Step::Taken => arguments.truncate(first),
                        Step::Plain(row, target) => {
                            self.add_plain(id, row, target, first, arguments, plain);
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
                Parsed::Inline(length, words) => {
                    // The words live nowhere in the input, so an inline command runs as if it were alone.
                    let words: Vec<&[u8]> = words.iter().map(Vec::as_slice).collect();
                    match self.step(own, id, &words) {
                        Step::Taken => {}
                        Step::Plain(..) if !self.is_settled(id) => {
                            self.hold(id, &Step::Wait);
                            return used;
                        }
                        Step::Plain(row, target) => self.run_alone(own, id, row, target, &words),
                        step => {
                            self.hold(id, &step);
                            return used;
                        }
                    }
                    used += length;
                    taken += 1;
                }
            }
        }
        used
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
            }
        } else if connection.waiting() == 0 {
            // Only this tick's own commands stand before it.
            self.make_ready(id);
        }
    }

    fn add_plain(
        &mut self,
        id: SocketId,
        row: &'static Command,
        target: ShardId,
        first: usize,
        arguments: &[&[u8]],
        plain: &mut Vec<Plain>,
    ) {
        let count = arguments.len() - first;
        let hash = match row.single_key(&arguments[first..]) {
            Some(key) => self.home.hash(key),
            None => 0,
        };
        let Some(connection) = self.connection(id) else { return };
        connection.unexecuted += 1;
        plain.push(Plain {
            connection: id,
            row,
            caller: connection.session.caller,
            target,
            first_argument: first as u32,
            arguments: count as u32,
            hash,
        });
    }

    fn protocol_error(&mut self, id: SocketId, sentence: &str) {
        let Some(connection) = self.connection(id) else { return };
        crate::verbose!("Protocol error ({sentence}) from client: {}", connection.session.peer_address);
        connection.reply_buffer().extend_from_slice(format!("-ERR {sentence}\r\n").as_bytes());
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
            Target::Shard(_) => connection.spanning > 0,
            Target::Spanning => !connection.only_spanning_waits(),
            Target::Home => !connection.is_settled(),
        };
        if must_settle {
            return Step::Wait;
        }
        if self.is_paused(id, row, resolved) {
            return Step::Paused;
        }
        let Some(connection) = self.connections.get_mut(id.index()).and_then(Option::as_deref_mut) else {
            return Step::Taken;
        };
        let row = match admit(&mut connection.session, resolved, arguments, &self.config) {
            Admission::Run(row) => row,
            Admission::Queued => {
                connection.reply_buffer().extend_from_slice(b"+QUEUED\r\n");
                return self.taken(id, None);
            }
            Admission::Refused(error) => {
                if let Resolved::Row(row) = resolved {
                    self.server.commands.of(self.id, row.index).reject();
                }
                self.reply_error(id, &error);
                return self.taken(id, None);
            }
            Admission::HangUp => {
                self.break_connection(id);
                return Step::Taken;
            }
        };
        if self.server.monitors.load(std::sync::atomic::Ordering::Relaxed) > 0 {
            self.feed_monitors(id, row, arguments);
        }
        if let Some(connection) = self.connection(id) {
            connection.session.last_command = Some(row);
        }
        if let Some(error) = self.moved(id, row, arguments) {
            self.reply_error(id, &error);
            return self.taken(id, None);
        }
        match target {
            Target::Shard(shard) if matches!(row.run, Run::Keyspace(_)) => Step::Plain(row, shard),
            Target::Spanning => {
                self.start_spanning(own, id, row, arguments);
                self.taken(id, Some(row))
            }
            _ => {
                self.run_home(own, id, row, arguments);
                Step::Taken
            }
        }
    }

    /// Counts a command and moves CLIENT REPLY SKIP on.
    fn taken(&mut self, id: SocketId, row: Option<&'static Command>) -> Step {
        let _ = row;
        self.counters().commands_processed.add(1);
        if let Some(connection) = self.connection(id) {
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
            self.taken(id, None);
            return;
        };
        let Some(mut connection) = self.take_connection(id) else { return };
        let protocol = connection.session.caller.protocol;
        let mut out = std::mem::take(connection.reply_buffer());
        let start = out.len();
        let started = crate::base::clock::Monotonic::now();
        let then = handler(
            &mut HomeContext {
                session: &mut connection.session,
                server: &self.server,
                config: &self.config,
                shard: self.id,
                now: self.now,
                rng: self.home.rng(),
                reply: Reply::new(&mut out, protocol),
            },
            arguments,
        );
        let nanos = crate::base::clock::Monotonic::now().nanos_since(started);
        let failed = out.get(start) == Some(&b'-');
        if failed {
            self.server.errors.count(self.id, &out[start..]);
            self.counters().error_replies.add(1);
        }
        self.server.commands.of(self.id, row.index).count(nanos, !failed);
        // CLIENT REPLY decides about its own reply too.
        if !connection.wants_reply() {
            out.truncate(start);
        }
        *connection.reply_buffer() = out;
        let unwatched = std::mem::take(&mut connection.session.unwatched);
        self.connections[id.index()] = Some(connection);
        self.send_unwatch(unwatched);
        self.note_home_slow(id, row, nanos / 1000, arguments);
        match then {
            Then::Done => {}
            Then::Close => self.end_after_replies(id),
            Then::Exec => self.exec(own, id),
            Then::Ask(ask) => self.ask(own, id, ask),
        }
        self.taken(id, Some(row));
    }

    fn take_connection(&mut self, id: SocketId) -> Option<Box<Connection>> {
        self.connections.get_mut(id.index())?.take()
    }

    /// EXEC: plans the queued commands as one transaction.
    fn exec(&mut self, own: &mut Shard, id: SocketId) {
        let Some(mut connection) = self.take_connection(id) else { return };
        let queue = connection.session.queue.take().unwrap_or_default();
        let watches = std::mem::take(&mut connection.session.watches);
        let protocol = connection.session.caller.protocol;
        let mut requests = Vec::with_capacity(queue.commands.len());
        for command in queue.commands {
            let arguments = command.arguments.slices();
            self.counters().commands_processed.add(1);
            if self.server.monitors.load(std::sync::atomic::Ordering::Relaxed) > 0 {
                self.feed_monitors_for(&connection.session, command.row, &arguments);
            }
            let home_target = target(&self.server.slots, self.id, command.row, &arguments) == Target::Home;
            match command.row.run {
                Run::Home(handler) if home_target => {
                    let mut out = Vec::new();
                    let then = handler(
                        &mut HomeContext {
                            session: &mut connection.session,
                            server: &self.server,
                            config: &self.config,
                            shard: self.id,
                            now: self.now,
                            rng: self.home.rng(),
                            reply: Reply::new(&mut out, protocol),
                        },
                        &arguments,
                    );
                    if let Then::Ask(ask) = then {
                        self.ask_inside_exec(&connection, ask, &mut out);
                    }
                    requests.push(Request::Ready(out));
                }
                _ => {
                    let caller = connection.session.caller;
                    requests.push(Request::Run { row: command.row, caller, arguments: command.arguments });
                }
            }
        }
        connection.session.unwatched.extend(watches.iter().cloned());
        let unwatched = std::mem::take(&mut connection.session.unwatched);
        let may_borrow = connection.spanning == 0;
        let ticket = connection.wait(true);
        self.connections[id.index()] = Some(connection);
        self.begin(own, ticket, requests, true, &watches, may_borrow);
        self.send_unwatch(unwatched);
    }

    fn start_spanning(&mut self, own: &mut Shard, id: SocketId, row: &'static Command, arguments: &[&[u8]]) {
        self.counters().commands_spanning.add(1);
        let Some(connection) = self.connection(id) else { return };
        let caller = connection.session.caller;
        let may_borrow = connection.spanning == 0;
        let ticket = connection.wait(true);
        let requests = vec![Request::Run { row, caller, arguments: OwnedArgs::copy(arguments) }];
        self.begin(own, ticket, requests, false, &[], may_borrow);
    }

    /// Starts a transaction; what ends at once is answered at once.
    pub fn begin(
        &mut self,
        own: &mut Shard,
        ticket: Ticket,
        requests: Vec<Request>,
        is_block: bool,
        watches: &[crate::command::session::Watch],
        may_borrow: bool,
    ) {
        let protocol = self
            .connection(SocketId::from_u64(ticket.connection))
            .map(|connection| connection.session.caller.protocol)
            .unwrap_or_default();
        let (config, server) = (self.config.clone(), self.server.clone());
        let env = Self::env(&config, &server, self.now);
        self.home.start(own, env, ticket, protocol, requests, is_block, watches, may_borrow);
        self.deliver_answers();
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
        connection.unexecuted += 1;
        let caller = connection.session.caller;
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
        let env = Self::env(&config, &server, self.now);
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
        let mut local = 0;
        let mut sent = 0;
        let mut errors = 0;
        for (index, command) in plain.iter().enumerate() {
            if index % PREFETCH_WINDOW == 0 {
                prefetch(own, self.id, &plain[index..plain.len().min(index + PREFETCH_WINDOW)]);
            }
            let Some(connection) =
                self.connections.get_mut(command.connection.index()).and_then(Option::as_deref_mut)
            else {
                continue;
            };
            connection.unexecuted -= 1;
            if let Some(&Place::Staged(start, end)) = places.get(index) {
                if connection.wants_reply() {
                    connection.reply_buffer().extend_from_slice(&staged[start as usize..end as usize]);
                }
                errors += u64::from(staged.get(start as usize) == Some(&b'-'));
            } else if command.target == self.id {
                local += 1;
                let ticket = connection.next_ticket();
                let keep = connection.wants_reply();
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
                sent += 1;
                let ticket = connection.wait(false);
                self.home.enqueue(command.target, ticket, command.row, command.caller, slices(command));
            }
            after_command(connection);
            if !connection.is_dirty {
                connection.is_dirty = true;
                self.dirty.push(command.connection);
            }
        }
        let counters = self.counters();
        counters.commands_processed.add(plain.len() as u64);
        counters.commands_local.add(local);
        counters.commands_sent.add(sent);
        counters.commands_borrowed.add(plain.len() as u64 - local - sent);
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
        for shard in (0..self.shards.len()).filter(|&shard| shard != self.id) {
            let of_shard = || plain.iter().enumerate().filter(move |(_, command)| command.target == shard);
            let count = of_shard().count();
            let all_fast = || of_shard().all(|(_, command)| command.row.flags.contains(Flags::FAST));
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
            for (index, command) in of_shard() {
                let start = staged.len();
                let ticket = Ticket::default();
                let ran =
                    token.run(env, self.id, ticket, command.caller, command.row, slices(command), staged);
                debug_assert!(ran, "an unlocked shard runs every command at once");
                if staged.get(start) == Some(&b'-') {
                    env.server.errors.count(self.id, &staged[start..]);
                }
                places[index] = Place::Staged(start as u32, staged.len() as u32);
            }
            shards.deliver(&mut token);
        }
        places
    }

    /// MOVED and CROSSSLOT, on the ports of cluster clients.
    fn moved(&mut self, id: SocketId, row: &'static Command, arguments: &[&[u8]]) -> Option<Vec<u8>> {
        let own = self.id;
        let connection = self.connection(id)?;
        if !connection.session.cluster_port {
            return None;
        }
        let host = connection.session.local_address.rsplit_once(':').map(|(host, _)| host.to_owned())?;
        let mut slot = None;
        let mut crosses = false;
        for spec in row.keys {
            spec.positions(arguments, |at| {
                let key_slot = crate::base::slot::slot_of(arguments[at]);
                crosses |= *slot.get_or_insert(key_slot) != key_slot;
            });
        }
        if crosses {
            return Some(b"CROSSSLOT Keys in request don't hash to the same slot".to_vec());
        }
        let slot = slot?;
        let owner = self.server.slots.owner(slot);
        let port = usize::from(self.config.cluster_ports) + owner;
        (owner != own).then(|| format!("MOVED {slot} {host}:{port}").into_bytes())
    }
}

/// CLIENT REPLY SKIP covers one command.
fn after_command(connection: &mut Connection) {
    connection.session.reply_mode = match connection.session.reply_mode {
        ReplyMode::SkipNext => ReplyMode::Skip,
        ReplyMode::Skip => ReplyMode::On,
        mode => mode,
    };
}

fn prefetch(own: &Shard, id: ShardId, commands: &[Plain]) {
    for entries in [false, true] {
        for command in commands.iter().filter(|command| command.hash != 0 && command.target == id) {
            own.prefetch(command.caller, command.hash, entries);
        }
    }
}

fn connection_is_authenticated(
    connections: &[Option<Box<Connection>>],
    id: SocketId,
    password: &[u8],
) -> bool {
    password.is_empty()
        || connections
            .get(id.index())
            .and_then(Option::as_ref)
            .is_some_and(|connection| connection.session.authenticated)
}
