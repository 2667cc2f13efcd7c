//! A transaction under way, as its home shard sees it: its rounds, and what came of them.
//!
//! All locks are taken with the first round and held until the last, so nobody sees half of it.

use std::collections::VecDeque;
use std::ops::Range;

use ahash::AHashSet;
use smallvec::SmallVec;

use super::blocked::{Seat, group_of, takes_turns};
use super::locks::Claims;
use super::message::{
    HOME_SHIFT, Moved, Name, Outcome, Part, PartCommands, Put, Ticket, TransactionId, Waits, Work,
};
use crate::base::clock::UnixMillis;
use crate::base::slot::{ShardId, SlotMap};
use crate::command::args::OwnedArgs;
use crate::command::context::Wish;
use crate::command::effect::Effect;
use crate::command::merge;
use crate::command::notice::{Actor, Notice};
use crate::command::session::{Caller, Watch};
use crate::command::{Command, Flags, Merge, routing};
use crate::resp::Reply;
use crate::resp::reply::Protocol;

/// Watched keys with their shards and versions.
pub(super) type Checks = Vec<(ShardId, Name, u64)>;

/// One client's share of a transaction: the commands up to `end`, from the end of the member before it on.
#[derive(Debug)]
pub(super) struct Member {
    /// Whom to answer.
    pub ticket: Ticket,
    /// In which protocol.
    pub protocol: Protocol,
    /// Whether the reply is an array of its commands' replies (EXEC).
    pub is_block: bool,
    /// Number of the transaction's commands up to its last.
    pub end: usize,
}

/// A command in the plan.
#[derive(Debug)]
pub(super) enum Planned {
    /// The home shard runs it and puts its reply here.
    Gap,
    /// Pieces on the shards of its keys.
    Pieces {
        merge: Merge,
        protocol: Protocol,
        database: u32,
        pieces: SmallVec<[Piece; 2]>,
        /// The keys of a WATCH, piece by piece.
        watched: Vec<Box<[u8]>>,
    },
    /// Runs over entries brought together.
    Gathered {
        row: &'static Command,
        caller: Caller,
        ticket: Ticket,
        arguments: OwnedArgs,
        takes: Vec<(ShardId, Vec<Name>)>,
        /// How many entries those are.
        named: usize,
        reply: Vec<u8>,
    },
}

/// What one shard does of a command.
#[derive(Debug)]
pub(super) struct Piece {
    shard: ShardId,
    /// Places of its keys among the command's, in the transaction's list of them.
    positions: Range<u32>,
    /// Which outcome has its reply, and where.
    outcome: u32,
    reply: Range<u32>,
}

impl Piece {
    /// A piece without a reply.
    pub fn new(shard: ShardId, positions: Range<u32>) -> Self {
        Self { shard, positions, outcome: 0, reply: 0..0 }
    }
}

/// A round of a transaction.
#[derive(Debug)]
pub(super) enum Round {
    /// Compares versions of watched keys.
    Check,
    /// Runs pieces.
    Run(Vec<(ShardId, PartCommands)>),
    /// Takes the entries of a gathered command.
    Take(usize),
    /// Takes those whose keys follow from the entries that the round before has taken.
    TakeNamed(usize),
    /// Puts them back.
    Put(usize),
}

/// What a gathered command left behind.
#[derive(Debug)]
pub struct Traces {
    /// Its effects.
    pub effects: Vec<Effect>,
    /// How many changes of the dataset they were.
    pub dirty: u64,
    /// What others can notice of it.
    pub notices: Vec<Notice>,
    /// The connection that has read the entries, if it caches them.
    pub reader: Option<Actor>,
    /// What it waits for, if it blocked.
    pub wish: Option<Wish>,
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
    /// For whom.
    pub ticket: Ticket,
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
    /// One clock for all its parts.
    pub now: UnixMillis,
    /// Whether any of its commands may write.
    pub may_write: bool,
    /// Whether the sequencer has yet to number it.
    pub unnumbered: bool,
    members: Vec<Member>,
    commands: Vec<Planned>,
    positions: Vec<u32>,
    /// Encoded replies as they came.
    outcomes: Vec<Vec<u8>>,
    checks: Checks,
    shards: Vec<(ShardId, Claims)>,
    rounds: VecDeque<Round>,
    taken: Vec<(ShardId, Moved)>,
    waiting: usize,
    stale: bool,
    wish: Option<Wish>,
}

impl Transaction {
    /// A transaction of `commands`, over no shard yet.
    pub(super) fn new(
        id: TransactionId,
        now: UnixMillis,
        may_write: bool,
        members: Vec<Member>,
        commands: Vec<Planned>,
        positions: Vec<u32>,
    ) -> Self {
        Self {
            id,
            now,
            may_write,
            unnumbered: false,
            members,
            commands,
            positions,
            outcomes: Vec::new(),
            checks: Vec::new(),
            shards: Vec::new(),
            rounds: VecDeque::new(),
            taken: Vec::new(),
            waiting: 0,
            stale: false,
            wish: None,
        }
    }

    /// Sets what it locks where, which watched keys it compares, and its rounds.
    pub(super) fn over(
        self,
        shards: Vec<(ShardId, Claims)>,
        checks: Checks,
        rounds: VecDeque<Round>,
    ) -> Self {
        Self { shards, checks, rounds, ..self }
    }

    /// The shards it involves with what it locks there.
    pub fn shards(&self) -> &[(ShardId, Claims)] {
        &self.shards
    }

    /// Whether it has one part and one round, so that it needs no sequencer.
    pub fn is_solo(&self) -> bool {
        self.shards.len() == 1 && self.rounds.len() <= 1
    }

    /// The first round: a part for every shard involved. The claims go with them.
    pub fn parts(&mut self, home: ShardId) -> Vec<(ShardId, Part)> {
        let solo = self.is_solo();
        let (mut works, last) = self.next_works();
        let parts = self.shards.len() as u16;
        self.waiting = self.shards.len();
        let (id, may_write, now) = (self.id, self.may_write, self.now);
        self.shards
            .iter_mut()
            .map(|(shard, claims)| {
                let work = match works.iter().position(|(at, _)| at == shard) {
                    Some(index) => works.swap_remove(index).1,
                    None => Work::nothing(),
                };
                let claims = std::mem::take(claims);
                (*shard, Part { id, home, parts, may_write, solo, claims, now, work, last })
            })
            .collect()
    }

    /// Takes what came of a round on one shard; true when it was the last shard of the round.
    pub fn absorb(&mut self, from: ShardId, outcome: Outcome) -> bool {
        self.waiting -= 1;
        match outcome {
            Outcome::Replies { ends, bytes } => {
                let mut start = 0;
                for (order, end) in ends {
                    if let Some(Planned::Pieces { pieces, .. }) = self.commands.get_mut(order as usize)
                        && let Some(piece) = pieces.iter_mut().find(|piece| piece.shard == from)
                    {
                        (piece.outcome, piece.reply) = (self.outcomes.len() as u32, start..end);
                    }
                    start = end;
                }
                self.outcomes.push(bytes);
            }
            Outcome::Stale => self.stale = true,
            Outcome::Taken(entries) => self.taken.extend(entries.into_iter().map(|moved| (from, moved))),
            Outcome::Put => {}
        }
        self.waiting == 0
    }

    /// What comes after a round that all shards answered.
    pub fn advance(&mut self, slots: &SlotMap) -> Next {
        if self.stale && !self.rounds.is_empty() {
            // Nothing runs, but all records must be there before the first lock is released: a queue of effects that
            // waits at a release waits for them, and must not do so in a circle.
            self.rounds.clear();
            return self.send_round(Vec::new(), true);
        }
        match self.rounds.front() {
            None => Next::Finished,
            Some(&Round::Put(order)) => {
                let Some(Planned::Gathered { row, caller, ticket, arguments, .. }) = self.commands.get(order)
                else {
                    return Next::Finished;
                };
                Next::Gather(Gathering {
                    row,
                    caller: *caller,
                    ticket: *ticket,
                    arguments: arguments.clone(),
                    entries: std::mem::take(&mut self.taken),
                    order,
                })
            }
            Some(&Round::TakeNamed(order)) => {
                self.rounds.pop_front();
                match self.takes_of_patterns(slots, order) {
                    works if works.is_empty() => self.advance(slots),
                    works => self.send_round(works, false),
                }
            }
            Some(_) => {
                let (works, last) = self.next_works();
                self.send_round(works, last)
            }
        }
    }

    /// What is still to be taken for a gathered command: what patterns among its arguments name, now that the entry of its
    /// first key is here.
    fn takes_of_patterns(&self, slots: &SlotMap, order: usize) -> Vec<(ShardId, Work)> {
        let Some(Planned::Gathered { caller, arguments, .. }) = self.commands.get(order) else {
            return Vec::new();
        };
        let arguments = arguments.slices();
        let first =
            self.taken.iter().find(|(_, moved)| arguments.get(1).is_some_and(|key| *moved.name.1 == **key));
        let entry = first.and_then(|(_, moved)| moved.entry.as_ref());
        let mut takes: Vec<(ShardId, Vec<Name>)> =
            (0..slots.shards()).map(|shard| (shard, Vec::new())).collect();
        for key in routing::keys_of_patterns(&arguments, entry) {
            if !self.taken.iter().any(|(_, moved)| *moved.name.1 == *key) {
                takes[slots.owner_of_key(&key)].1.push((caller.database, key.into_boxed_slice()));
            }
        }
        takes.retain(|(_, names)| !names.is_empty());
        let take = |(shard, names)| (shard, Work::Take { order: order as u32, names, seat: None });
        takes.into_iter().map(take).collect()
    }

    /// Whether it is one command alone, which may wait for its keys.
    pub fn may_block(&self) -> bool {
        matches!(self.members.as_slice(), [Member { is_block: false, .. }]) && self.commands.len() == 1
    }

    /// Whose turn it is, if this is one command that takes its turn among those who wait for its keys.
    fn seat(&self) -> Option<Seat> {
        match self.commands.as_slice() {
            [Planned::Gathered { row, ticket, .. }] if self.may_block() && takes_turns(row) => {
                Some(((self.id >> HOME_SHIFT) as ShardId, *ticket))
            }
            _ => None,
        }
    }

    /// The consumer group that its command waits to read for.
    fn group(&self) -> Option<Box<[u8]>> {
        match self.commands.as_slice() {
            [Planned::Gathered { row, arguments, .. }] => group_of(row, &arguments.slices()),
            _ => None,
        }
    }

    /// The command and its database, if it is one that may block and runs over several shards.
    pub fn take_blocking(&mut self) -> Option<(u32, OwnedArgs)> {
        let may_block = self.may_block();
        match self.commands.as_mut_slice() {
            [Planned::Gathered { row, caller, arguments, .. }]
                if may_block && row.flags.contains(Flags::BLOCKING) =>
            {
                Some((caller.database, std::mem::take(arguments)))
            }
            _ => None,
        }
    }

    /// What the command waits for, if it found nothing to serve; it has no reply then.
    pub fn take_wish(&mut self) -> Option<Wish> {
        self.wish.take()
    }

    /// Gives back the entries of a gathered command with its reply; what comes next is the round that puts them back.
    pub fn gathered(
        &mut self,
        order: usize,
        reply_bytes: Vec<u8>,
        entries: Vec<(ShardId, Moved)>,
        traces: Traces,
    ) -> Next {
        let Traces { effects, mut dirty, mut notices, reader, wish } = traces;
        self.rounds.pop_front();
        let (mut row, mut named_all) = (None, 0);
        if let Some(Planned::Gathered { reply, row: its, named, .. }) = self.commands.get_mut(order) {
            *reply = reply_bytes;
            (row, named_all) = (Some(*its), *named);
        }
        // Those of each shard, and how many of them the command names: they were taken first.
        let mut by_shard: Vec<(ShardId, Vec<Moved>, usize)> = Vec::new();
        for (index, (shard, moved)) in entries.into_iter().enumerate() {
            let named = usize::from(index < named_all);
            match by_shard.iter_mut().find(|(at, ..)| *at == shard) {
                Some((_, list, count)) => {
                    list.push(moved);
                    *count += named;
                }
                None => by_shard.push((shard, vec![moved], named)),
            }
        }
        self.wish = wish;
        let group = self.group();
        let ticket = self.members.first().map(|member| member.ticket).unwrap_or_default();
        let mut effects: Vec<_> = effects.into_iter().map(|effect| ((order as u32, true), effect)).collect();
        // What is noticed of a key is passed on by its shard; a message of none by whichever.
        let mut notices_of = |entries: &[Moved]| -> Vec<Notice> {
            if notices.is_empty() {
                return Vec::new();
            }
            let keys: AHashSet<&[u8]> = entries.iter().map(|moved| &*moved.name.1).collect();
            notices.extract_if(.., |notice| notice.key().is_none_or(|key| keys.contains(key))).collect()
        };
        let works = by_shard
            .into_iter()
            .map(|(shard, entries, named)| {
                // The first part carries the effects of the whole command.
                let effects = std::mem::take(&mut effects);
                let waits = self.wish.as_ref().zip(row).and_then(|(wish, row)| {
                    let names = entries.iter().map(|moved| &moved.name);
                    let names: Vec<Name> =
                        names.filter(|name| wish.keys.contains(&name.1)).cloned().collect();
                    let group = group.clone();
                    (!names.is_empty()).then_some(Waits { ticket, row, group, names })
                });
                let (dirty, notices) = (std::mem::take(&mut dirty), notices_of(&entries));
                let reader = reader.map(|reader| (reader, named));
                (shard, Work::Put(Box::new(Put { entries, effects, dirty, waits, notices, reader })))
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
        let seat = self.seat();
        let works = match round {
            Round::Check => self
                .shards
                .iter()
                .filter(|(shard, _)| self.checks.iter().any(|(at, ..)| at == shard))
                .map(|&(shard, _)| {
                    (shard, Work::Run { checks: self.checks_of(shard), list: PartCommands::default() })
                })
                .collect(),
            Round::Run(lists) => lists
                .into_iter()
                .map(|(shard, list)| {
                    let checks = if checks_inline { self.checks_of(shard) } else { Vec::new() };
                    (shard, Work::Run { checks, list })
                })
                .collect(),
            Round::Take(order) => match self.commands.get_mut(order) {
                Some(Planned::Gathered { takes, .. }) => std::mem::take(takes)
                    .into_iter()
                    .map(|(shard, names)| (shard, Work::Take { order: order as u32, names, seat }))
                    .collect(),
                _ => Vec::new(),
            },
            Round::TakeNamed(_) | Round::Put(_) => Vec::new(),
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

    /// The replies to its clients, once it is finished, each with the places in it where replies of commands of the home
    /// shard belong.
    pub fn replies(&self, rng: &mut impl rand::Rng, mut answer: impl FnMut(Ticket, Vec<u8>, Vec<usize>)) {
        let mut start = 0;
        for member in &self.members {
            let mut out = Vec::new();
            let mut gaps = Vec::new();
            let mut reply = Reply::new(&mut out, member.protocol);
            if self.stale {
                reply.null_array();
            } else {
                if member.is_block {
                    reply.array(member.end - start);
                }
                for command in &self.commands[start..member.end] {
                    match command {
                        Planned::Gap => gaps.push(reply.position()),
                        command => self.reply(command, &mut reply, rng),
                    }
                }
            }
            start = member.end;
            answer(member.ticket, out, gaps);
        }
    }

    fn reply(&self, command: &Planned, reply: &mut Reply<'_>, rng: &mut impl rand::Rng) {
        match command {
            Planned::Gap => {}
            Planned::Gathered { reply: bytes, .. } => reply.raw(bytes),
            Planned::Pieces { pieces, .. } if pieces.len() == 1 => reply.raw(self.reply_of(&pieces[0])),
            Planned::Pieces { merge, protocol, pieces, .. } => {
                let pieces: SmallVec<[merge::Piece<'_>; 4]> = pieces
                    .iter()
                    .map(|piece| merge::Piece {
                        reply: self.reply_of(piece),
                        positions: &self.positions
                            [piece.positions.start as usize..piece.positions.end as usize],
                    })
                    .collect();
                reply.set_protocol(*protocol);
                merge::merge(*merge, &pieces, reply, rng);
            }
        }
    }

    /// The reply of a shard; nothing when it gave none.
    fn reply_of(&self, piece: &Piece) -> &[u8] {
        let outcome = self.outcomes.get(piece.outcome as usize);
        outcome.map_or(&[], |bytes| &bytes[piece.reply.start as usize..piece.reply.end as usize])
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
        let [Planned::Pieces { merge: Merge::Watch, database, pieces, watched, .. }] =
            self.commands.as_slice()
        else {
            return None;
        };
        let mut watched = watched.iter();
        let mut watches = Vec::with_capacity(watched.len());
        for piece in pieces {
            let versions = merge::integers(self.reply_of(piece)).into_iter();
            watches.extend(versions.zip(&mut watched).map(|(version, key)| Watch {
                shard: piece.shard,
                database: *database,
                key: key.clone(),
                version: version as u64,
            }));
        }
        Some(watches)
    }
}
