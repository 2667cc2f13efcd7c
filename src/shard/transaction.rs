//! The home side of what runs on several shards, or as one block: the plan of its rounds, and what came of them.
//!
//! A plan is a list of commands. Those whose pieces run where their keys are make one round together, a list per
//! shard; a command that needs all its entries in one place makes two: take and put. All locks are taken with the
//! first round and held until the last, so nobody sees half of it.

use std::collections::VecDeque;

use ahash::RandomState;

use super::locks::{Claims, Mode};
use super::message::{Moved, Name, Outcome, Part, PartCommand, Ticket, TransactionId, Work};
use super::route::{mode_of, whole_mode};
use crate::base::clock::UnixMillis;
use crate::base::slot::{ShardId, SlotMap};
use crate::command::args::OwnedArgs;
use crate::command::merge::{self, Piece};
use crate::command::session::{Caller, Watch};
use crate::command::{Command, Flags, Merge, Route, routing};
use crate::resp::Reply;
use crate::resp::reply::Protocol;

/// A command of a transaction as the client's side gives it.
#[derive(Debug)]
pub enum Request {
    /// Ran on the home shard already; this is its reply.
    Ready(Vec<u8>),
    /// Runs on the shards of its keys.
    Run {
        /// The command.
        row: &'static Command,
        /// Who asks.
        caller: Caller,
        /// Its arguments.
        arguments: OwnedArgs,
    },
}

/// A command in the plan.
#[derive(Debug)]
enum Planned {
    Ready(Vec<u8>),
    /// Pieces on the shards of its keys.
    Pieces {
        merge: Merge,
        protocol: Protocol,
        database: u32,
        pieces: Vec<PlannedPiece>,
    },
    /// Runs over entries brought together.
    Gathered {
        row: &'static Command,
        caller: Caller,
        arguments: OwnedArgs,
        takes: Vec<(ShardId, Vec<Name>)>,
        reply: Vec<u8>,
    },
}

#[derive(Debug)]
struct PlannedPiece {
    shard: ShardId,
    positions: Vec<usize>,
    keys: Vec<Box<[u8]>>,
    reply: Vec<u8>,
}

#[derive(Debug)]
enum Round {
    /// Compares versions of watched keys.
    Check,
    /// Runs pieces.
    Run(Vec<(ShardId, Vec<PartCommand>)>),
    /// Takes the entries of a gathered command.
    Take(usize),
    /// Puts them back.
    Put(usize),
}

/// What the home shard does next.
#[derive(Debug)]
pub enum Next {
    /// Asks these shards for a further round; `last` if none follows.
    Round(Vec<(ShardId, Work)>, bool),
    /// Runs a gathered command over these entries, then calls [`Transaction::gathered`].
    Gather(Gathering),
    /// Is done.
    Finished,
}

/// A command and its entries, all in one place.
#[derive(Debug)]
pub struct Gathering {
    /// The command.
    pub row: &'static Command,
    /// Who asks.
    pub caller: Caller,
    /// Its arguments.
    pub arguments: OwnedArgs,
    /// The entries of its keys, with their owners.
    pub entries: Vec<(ShardId, Moved)>,
    /// Its place in the transaction.
    pub order: usize,
}

/// A transaction under way.
#[derive(Debug)]
pub struct Transaction {
    /// Its name.
    pub id: TransactionId,
    /// Whom to answer.
    pub ticket: Ticket,
    /// One clock for all its parts.
    pub now: UnixMillis,
    /// Whether any of its commands may write.
    pub may_write: bool,
    /// Whether the sequencer has yet to number it.
    pub unnumbered: bool,
    /// Whether the reply is an array of its commands' replies (EXEC).
    is_block: bool,
    protocol: Protocol,
    commands: Vec<Planned>,
    checks: Vec<(ShardId, Name, u64)>,
    shards: Vec<(ShardId, Claims)>,
    rounds: VecDeque<Round>,
    taken: Vec<(ShardId, Moved)>,
    waiting: usize,
    stale: bool,
}

/// Claims of one shard while a plan is made.
#[derive(Default)]
struct Claimed {
    keys: Vec<(u64, Mode)>,
    whole: Option<Mode>,
}

/// Makes a plan.
struct Planner<'a> {
    slots: &'a SlotMap,
    hashers: &'a RandomState,
    home: ShardId,
    ticket: Ticket,
    claimed: Vec<Option<Claimed>>,
    commands: Vec<Planned>,
    rounds: VecDeque<Round>,
    current: Vec<(ShardId, Vec<PartCommand>)>,
    may_write: bool,
}

impl Planner<'_> {
    fn claimed(&mut self, shard: ShardId) -> &mut Claimed {
        self.claimed[shard].get_or_insert_default()
    }

    fn claim_key(&mut self, shard: ShardId, key: &[u8], mode: Mode) {
        let hash = self.hashers.hash_one(key);
        self.claimed(shard).keys.push((hash, mode));
    }

    fn claim_whole(&mut self, shard: ShardId, mode: Mode) {
        let claimed = self.claimed(shard);
        claimed.whole = claimed.whole.max(Some(mode));
    }

    fn piece(&mut self, shard: ShardId, command: PartCommand) {
        match self.current.iter_mut().find(|(at, _)| *at == shard) {
            Some((_, commands)) => commands.push(command),
            None => self.current.push((shard, vec![command])),
        }
    }

    fn end_round(&mut self) {
        if !self.current.is_empty() {
            self.rounds.push_back(Round::Run(std::mem::take(&mut self.current)));
        }
    }

    fn add(&mut self, request: Request) {
        let (row, caller, arguments) = match request {
            Request::Ready(reply) => return self.commands.push(Planned::Ready(reply)),
            Request::Run { row, caller, arguments } => (row, caller, arguments),
        };
        self.may_write |= row.flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE);
        let slices = arguments.slices();
        match row.route {
            Route::EveryShard(merge) => {
                let shards: Vec<ShardId> = (0..self.slots.shards()).collect();
                for &shard in &shards {
                    self.claim_whole(shard, whole_mode(row));
                }
                self.add_whole(row, caller, merge, &slices, &shards);
            }
            Route::Cursor => {
                let shard = routing::cursor_shard(&slices, self.slots.shards());
                self.claim_whole(shard, Mode::Shared);
                self.add_whole(row, caller, Merge::AllOk, &slices, &[shard]);
            }
            Route::Home => self.add_whole(row, caller, Merge::AllOk, &slices, &[self.home]),
            Route::Split(_) | Route::Gather => self.add_keyed(row, caller, &arguments, &slices),
        }
    }

    /// Pieces that each get all arguments.
    fn add_whole(
        &mut self,
        row: &'static Command,
        caller: Caller,
        merge: Merge,
        slices: &[&[u8]],
        shards: &[ShardId],
    ) {
        let order = self.commands.len() as u32;
        let mut pieces = Vec::with_capacity(shards.len());
        for &shard in shards {
            self.claimed(shard);
            let (ticket, arguments) = (self.ticket, OwnedArgs::copy(slices));
            self.piece(shard, PartCommand { order, row, caller, ticket, arguments });
            pieces.push(PlannedPiece { shard, positions: Vec::new(), keys: Vec::new(), reply: Vec::new() });
        }
        self.commands.push(Planned::Pieces {
            merge,
            protocol: caller.protocol,
            database: caller.database,
            pieces,
        });
    }

    fn add_keyed(&mut self, row: &'static Command, caller: Caller, arguments: &OwnedArgs, slices: &[&[u8]]) {
        let mut keys: Vec<(usize, ShardId, Mode, usize)> = Vec::new();
        for spec in row.keys {
            spec.positions(slices, |at| {
                keys.push((at, self.slots.owner_of_key(slices[at]), mode_of(spec), spec.step()));
            });
        }
        let Some(&(_, first, _, _)) = keys.first() else {
            return self.add_whole(row, caller, Merge::AllOk, slices, &[self.home]);
        };
        let one_shard = keys.iter().all(|&(_, shard, _, _)| shard == first);
        match row.route {
            // A key without all of its arguments (MSET with an odd number of them): the handler refuses the whole
            // command, while the parts of it that are well formed would be carried out.
            Route::Split(_) if keys.iter().any(|&(at, _, _, step)| at + step > slices.len()) => {
                self.add_whole(row, caller, Merge::AllOk, slices, &[first]);
            }
            Route::Split(merge) if !one_shard || merge == Merge::Watch => {
                self.add_split(row, caller, merge, slices, &keys);
            }
            _ if one_shard => {
                for &(at, shard, mode, _) in &keys {
                    self.claim_key(shard, slices[at], mode);
                }
                self.add_whole(row, caller, Merge::AllOk, slices, &[first]);
            }
            _ => {
                for &(at, shard, _, _) in &keys {
                    self.claim_key(shard, slices[at], Mode::Exclusive);
                }
                self.end_round();
                let order = self.commands.len();
                self.rounds.extend([Round::Take(order), Round::Put(order)]);
                let takes = self.takes(row, caller, slices, &keys);
                let arguments = arguments.clone();
                self.commands.push(Planned::Gathered { row, caller, arguments, takes, reply: Vec::new() });
            }
        }
    }

    fn add_split(
        &mut self,
        row: &'static Command,
        caller: Caller,
        merge: Merge,
        slices: &[&[u8]],
        keys: &[(usize, ShardId, Mode, usize)],
    ) {
        let order = self.commands.len() as u32;
        let bytes: usize = slices.iter().map(|argument| argument.len()).sum();
        let mut pieces: Vec<(PlannedPiece, OwnedArgs)> =
            Vec::with_capacity(self.slots.shards().min(keys.len()));
        for (position, &(at, shard, mode, step)) in keys.iter().enumerate() {
            self.claim_key(shard, slices[at], mode);
            let index = match pieces.iter().position(|(piece, _)| piece.shard == shard) {
                Some(index) => index,
                None => {
                    let piece =
                        PlannedPiece { shard, positions: Vec::new(), keys: Vec::new(), reply: Vec::new() };
                    let mut arguments = OwnedArgs::with_capacity(slices.len(), bytes);
                    arguments.push(slices[0]);
                    pieces.push((piece, arguments));
                    pieces.len() - 1
                }
            };
            let (piece, arguments) = &mut pieces[index];
            piece.positions.push(position);
            if merge == Merge::Watch {
                piece.keys.push(Box::from(slices[at]));
            }
            for argument in &slices[at..(at + step).min(slices.len())] {
                arguments.push(argument);
            }
        }
        let mut planned = Vec::with_capacity(pieces.len());
        for (piece, arguments) in pieces {
            self.piece(piece.shard, PartCommand { order, row, caller, ticket: self.ticket, arguments });
            planned.push(piece);
        }
        self.commands.push(Planned::Pieces {
            merge,
            protocol: caller.protocol,
            database: caller.database,
            pieces: planned,
        });
    }

    /// What a gathered command takes: its keys, in the caller's database and in every other that it names.
    fn takes(
        &self,
        row: &Command,
        caller: Caller,
        slices: &[&[u8]],
        keys: &[(usize, ShardId, Mode, usize)],
    ) -> Vec<(ShardId, Vec<Name>)> {
        let mut lists: Vec<(ShardId, Vec<Name>)> = Vec::new();
        for database in routing::databases_of(row, caller, slices) {
            for &(at, shard, ..) in keys {
                let name: Name = (database, Box::from(slices[at]));
                match lists.iter_mut().find(|(owner, _)| *owner == shard) {
                    Some((_, names)) if names.contains(&name) => {}
                    Some((_, names)) => names.push(name),
                    None => lists.push((shard, vec![name])),
                }
            }
        }
        lists
    }

    fn claims(&mut self) -> Vec<(ShardId, Claims)> {
        let mut shards = Vec::new();
        for (shard, claimed) in self.claimed.iter_mut().enumerate() {
            let Some(claimed) = claimed.take() else { continue };
            let claims = match claimed.whole {
                // A barrier that also writes single keys of the shard excludes everybody.
                Some(mode) => {
                    let keys = claimed.keys.iter().map(|&(_, mode)| mode).max();
                    Claims::Whole(keys.map_or(mode, |keys| mode.max(keys)))
                }
                None => Claims::keys(claimed.keys),
            };
            shards.push((shard, claims));
        }
        shards
    }
}

impl Transaction {
    /// Plans `requests`. `is_block` makes the reply an array (EXEC); `watches` must still hold.
    pub fn plan(
        slots: &SlotMap,
        hashers: &RandomState,
        home: ShardId,
        id: TransactionId,
        ticket: Ticket,
        now: UnixMillis,
        protocol: Protocol,
        requests: Vec<Request>,
        is_block: bool,
        watches: &[Watch],
    ) -> Self {
        let mut planner = Planner {
            slots,
            hashers,
            home,
            ticket,
            claimed: (0..slots.shards()).map(|_| None).collect(),
            commands: Vec::with_capacity(requests.len()),
            rounds: VecDeque::new(),
            current: Vec::new(),
            may_write: false,
        };
        for request in requests {
            planner.add(request);
        }
        planner.end_round();
        for watch in watches {
            planner.claim_key(watch.shard, &watch.key, Mode::Shared);
        }
        // A barrier is one on every shard, so that it excludes whatever spans shards.
        let barrier = planner.claimed.iter().flatten().filter_map(|claimed| claimed.whole).max();
        let one_shard = planner.claimed.iter().flatten().count() == 1;
        if let Some(mode) = barrier.filter(|_| !one_shard) {
            let keys = planner.claimed.iter().flatten().flat_map(|claimed| claimed.keys.iter());
            let mode = keys.map(|&(_, mode)| mode).max().map_or(mode, |keys| mode.max(keys));
            for shard in 0..slots.shards() {
                planner.claim_whole(shard, mode);
            }
        }
        let shards = planner.claims();
        let checks: Vec<(ShardId, Name, u64)> = watches
            .iter()
            .map(|watch| (watch.shard, (watch.database, watch.key.clone()), watch.version))
            .collect();
        let mut rounds = planner.rounds;
        if !checks.is_empty() && (shards.len() > 1 || rounds.len() != 1) {
            rounds.push_front(Round::Check);
        }
        if rounds.is_empty() && !shards.is_empty() {
            rounds.push_back(Round::Run(Vec::new()));
        }
        Self {
            id,
            ticket,
            now,
            may_write: planner.may_write,
            unnumbered: false,
            is_block,
            protocol,
            commands: planner.commands,
            checks,
            shards,
            rounds,
            taken: Vec::new(),
            waiting: 0,
            stale: false,
        }
    }

    /// The shards it involves with what it locks there.
    pub fn shards(&self) -> &[(ShardId, Claims)] {
        &self.shards
    }

    /// Whether it has one part and one round, so that it needs no sequencer.
    pub fn is_solo(&self) -> bool {
        self.shards.len() == 1 && self.rounds.len() <= 1
    }

    /// The first round: a part for every shard involved.
    pub fn parts(&mut self, home: ShardId) -> Vec<(ShardId, Part)> {
        let solo = self.is_solo();
        let (mut works, last) = self.next_works();
        let parts = self.shards.len() as u16;
        self.waiting = self.shards.len();
        let (id, may_write, now) = (self.id, self.may_write, self.now);
        self.shards
            .iter()
            .map(|(shard, claims)| {
                let work = match works.iter().position(|(at, _)| at == shard) {
                    Some(index) => works.swap_remove(index).1,
                    None => Work::nothing(),
                };
                let claims = claims.clone();
                (*shard, Part { id, home, parts, may_write, solo, claims, now, work, last })
            })
            .collect()
    }

    /// Takes what came of a round on one shard; true when it was the last shard of the round.
    pub fn absorb(&mut self, from: ShardId, outcome: Outcome) -> bool {
        self.waiting -= 1;
        match outcome {
            Outcome::Replies(replies) => {
                for (order, reply) in replies {
                    if let Some(Planned::Pieces { pieces, .. }) = self.commands.get_mut(order as usize)
                        && let Some(piece) = pieces.iter_mut().find(|piece| piece.shard == from)
                    {
                        piece.reply = reply;
                    }
                }
            }
            Outcome::Stale => self.stale = true,
            Outcome::Taken(entries) => self.taken.extend(entries.into_iter().map(|moved| (from, moved))),
            Outcome::Put => {}
        }
        self.waiting == 0
    }

    /// What comes after a round that all shards answered.
    pub fn advance(&mut self) -> Next {
        if self.stale && !self.rounds.is_empty() {
            // Nothing runs, but all records must be there before the first lock is released: a queue of effects that
            // waits at a release waits for them, and must not do so in a circle.
            self.rounds.clear();
            return self.send_round(Vec::new(), true);
        }
        match self.rounds.front() {
            None => Next::Finished,
            Some(&Round::Put(order)) => {
                let Some(Planned::Gathered { row, caller, arguments, .. }) = self.commands.get(order) else {
                    return Next::Finished;
                };
                Next::Gather(Gathering {
                    row,
                    caller: *caller,
                    arguments: arguments.clone(),
                    entries: std::mem::take(&mut self.taken),
                    order,
                })
            }
            Some(_) => {
                let (works, last) = self.next_works();
                self.send_round(works, last)
            }
        }
    }

    /// Gives back the entries of a gathered command with its reply; what comes next is the round that puts them back.
    pub fn gathered(
        &mut self,
        order: usize,
        reply_bytes: Vec<u8>,
        entries: Vec<(ShardId, Moved)>,
        effects: Vec<crate::command::effect::Effect>,
        dirty: u64,
    ) -> Next {
        self.rounds.pop_front();
        if let Some(Planned::Gathered { reply, .. }) = self.commands.get_mut(order) {
            *reply = reply_bytes;
        }
        let mut by_shard: Vec<(ShardId, Vec<Moved>)> = Vec::new();
        for (shard, moved) in entries {
            match by_shard.iter_mut().find(|(at, _)| *at == shard) {
                Some((_, list)) => list.push(moved),
                None => by_shard.push((shard, vec![moved])),
            }
        }
        let mut effects: Vec<_> = effects.into_iter().map(|effect| ((order as u32, true), effect)).collect();
        let mut dirty = dirty;
        let works = by_shard
            .into_iter()
            .map(|(shard, entries)| {
                // The first part carries the effects of the whole command.
                let effects = std::mem::take(&mut effects);
                (shard, Work::Put { entries, effects, dirty: std::mem::take(&mut dirty) })
            })
            .collect();
        let last = self.rounds.is_empty();
        self.send_round(works, last)
    }

    /// The last round goes to every shard, since each pushes its record with it.
    fn send_round(&mut self, mut works: Vec<(ShardId, Work)>, last: bool) -> Next {
        if last {
            for (shard, _) in &self.shards {
                if !works.iter().any(|(at, _)| at == shard) {
                    works.push((*shard, Work::nothing()));
                }
            }
        }
        self.waiting = works.len();
        Next::Round(works, last)
    }

    fn next_works(&mut self) -> (Vec<(ShardId, Work)>, bool) {
        let Some(round) = self.rounds.pop_front() else { return (Vec::new(), true) };
        let last = self.rounds.is_empty();
        let checks_inline = self.shards.len() == 1 && last;
        let works = match round {
            Round::Check => self
                .shards
                .iter()
                .filter(|(shard, _)| self.checks.iter().any(|(at, ..)| at == shard))
                .map(|&(shard, _)| (shard, Work::Run { checks: self.checks_of(shard), commands: Vec::new() }))
                .collect(),
            Round::Run(lists) => lists
                .into_iter()
                .map(|(shard, commands)| {
                    let checks = if checks_inline { self.checks_of(shard) } else { Vec::new() };
                    (shard, Work::Run { checks, commands })
                })
                .collect(),
            Round::Take(order) => match self.commands.get_mut(order) {
                Some(Planned::Gathered { takes, .. }) => std::mem::take(takes)
                    .into_iter()
                    .map(|(shard, names)| (shard, Work::Take { order: order as u32, names }))
                    .collect(),
                _ => Vec::new(),
            },
            Round::Put(_) => Vec::new(),
        };
        (works, last)
    }

    fn checks_of(&self, shard: ShardId) -> Vec<(Name, u64)> {
        let own = self.checks.iter().filter(|(at, ..)| *at == shard);
        own.map(|(_, name, version)| (name.clone(), *version)).collect()
    }

    /// Whether a watched key had changed, so that nothing ran.
    pub fn is_stale(&self) -> bool {
        self.stale
    }

    /// The reply to the client, once it is finished.
    pub fn reply(&self, rng: &mut impl rand::Rng) -> Vec<u8> {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, self.protocol);
        if self.stale {
            reply.null_array();
            return out;
        }
        if self.is_block {
            reply.array(self.commands.len());
        }
        for command in &self.commands {
            match command {
                Planned::Ready(bytes) | Planned::Gathered { reply: bytes, .. } => reply.raw(bytes),
                Planned::Pieces { pieces, .. } if pieces.len() == 1 => reply.raw(&pieces[0].reply),
                Planned::Pieces { merge, protocol, pieces, .. } => {
                    let pieces: Vec<Piece<'_>> = pieces
                        .iter()
                        .map(|piece| Piece { reply: &piece.reply, positions: &piece.positions })
                        .collect();
                    reply.set_protocol(*protocol);
                    merge::merge(*merge, &pieces, &mut reply, rng);
                }
            }
        }
        out
    }

    /// The watched keys that it compared, by shard: their watches are over.
    pub fn end_watches(&mut self) -> Vec<(ShardId, Vec<Name>)> {
        let mut by_shard: Vec<(ShardId, Vec<Name>)> = Vec::new();
        for (shard, name, _) in std::mem::take(&mut self.checks) {
            match by_shard.iter_mut().find(|(at, _)| *at == shard) {
                Some((_, names)) => names.push(name),
                None => by_shard.push((shard, vec![name])),
            }
        }
        by_shard
    }

    /// What WATCH watches now, if this was a WATCH that ran.
    pub fn watched(&self) -> Option<Vec<Watch>> {
        let [Planned::Pieces { merge: Merge::Watch, database, pieces, .. }] = self.commands.as_slice() else {
            return None;
        };
        let mut watches = Vec::new();
        for piece in pieces {
            let versions = merge::integers(&piece.reply);
            for (key, version) in piece.keys.iter().zip(versions) {
                watches.push(Watch {
                    shard: piece.shard,
                    database: *database,
                    key: key.clone(),
                    version: version as u64,
                });
            }
        }
        Some(watches)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::find;

    fn shards_of(line: &str) -> usize {
        let words: Vec<&[u8]> = line.split(' ').map(str::as_bytes).collect();
        let row = find(words[0]).expect("a command");
        let request = Request::Run { row, caller: Caller::default(), arguments: OwnedArgs::copy(&words) };
        let slots = SlotMap::new(2, 100);
        let hashers = RandomState::with_seeds(1, 2, 3, 4);
        let ticket = Ticket { connection: 0, sequence: 0 };
        let requests = vec![request];
        let protocol = Protocol::Resp2;
        Transaction::plan(&slots, &hashers, 0, 1, ticket, 0, protocol, requests, false, &[]).shards().len()
    }

    #[test]
    fn a_key_without_its_value_is_refused_by_one_shard() {
        assert_eq!(shards_of("MSET a 1 b 2"), 2);
        assert_eq!(shards_of("MSET a 1 b"), 1);
        assert_eq!(shards_of("MGET a b"), 2);
    }
}
