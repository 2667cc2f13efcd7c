//! The plan of a transaction: what each shard locks, and who does what in which round.
//!
//! A plan is a list of commands. Those whose pieces run where their keys are make one round together, a list per
//! shard; a command that needs all its entries in one place makes two: take and put.
//!
//! A plan may serve several clients at once ([`Planner::join`]): what a home shard takes up in one tick and could not run
//! directly goes to the sequencer as one transaction, for one message per shard and round instead of one per command.

use std::collections::VecDeque;

use ahash::RandomState;
use smallvec::SmallVec;

use super::locks::{Claims, Mode};
use super::message::{Name, PartCommand, PartCommands, Ticket, TransactionId};
use super::route::{Target, channel_shard, mode_of, target, whole_mode};
use super::transaction::{Checks, Member, Piece, Planned, Round, Transaction};
use crate::base::clock::UnixMillis;
use crate::base::slot::{ShardId, SlotMap};
use crate::command::args::OwnedArgs;
use crate::command::routing::{self, Reach};
use crate::command::session::{Caller, Watch};
use crate::command::{Command, Flags, Merge, Route, Run};
use crate::resp::reply::Protocol;

/// A command of a transaction as the client's side gives it.
#[derive(Debug)]
pub enum Request<'a> {
    /// Runs on the home shard, which puts the reply into the transaction's.
    Gap,
    /// Runs on the shards of its keys.
    Run {
        /// The command.
        row: &'static Command,
        /// Who asks.
        caller: Caller,
        /// Its arguments.
        arguments: &'a [&'a [u8]],
    },
}

/// How far a list of requests reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Extent {
    /// It has commands that lock whole shards, or need several rounds.
    Rounds,
    /// One round, on this shard alone or on none.
    One(Option<ShardId>),
    /// One round, on several shards.
    Several,
}

/// Finds out how far `requests` reach.
pub fn extent(slots: &SlotMap, home: ShardId, requests: &[Request<'_>]) -> Extent {
    let mut owner = None;
    let mut extent = Extent::One(None);
    for request in requests {
        let Request::Run { row, arguments, .. } = request else { continue };
        if !matches!(row.run, Run::Keyspace(_)) {
            continue;
        }
        match (target(slots, home, row, arguments), row.route) {
            (_, Route::EveryShard(_) | Route::Cursor | Route::Split(Merge::Watch))
            | (Target::Spanning, Route::Gather | Route::Patterns) => return Extent::Rounds,
            (Target::Shard(shard), _) if *owner.get_or_insert(shard) == shard => {}
            (Target::Home, _) => {}
            _ => extent = Extent::Several,
        }
    }
    if extent == Extent::Several { extent } else { Extent::One(owner) }
}

/// Claims of one shard while a plan is made.
#[derive(Debug, Default)]
struct Claimed {
    keys: Vec<(u64, Mode)>,
    whole: Option<Mode>,
}

/// A key of a command: its argument, its place among the command's keys, its owner, how it is locked, and how many
/// arguments belong to it.
#[derive(Clone, Copy, Debug)]
struct KeyAt {
    at: usize,
    position: u32,
    shard: ShardId,
    mode: Mode,
    step: usize,
}

/// Makes a plan.
#[derive(Debug)]
pub struct Planner {
    id: TransactionId,
    home: ShardId,
    now: UnixMillis,
    ticket: Ticket,
    members: Vec<Member>,
    claimed: Vec<Option<Claimed>>,
    commands: Vec<Planned>,
    positions: Vec<u32>,
    rounds: VecDeque<Round>,
    current: Vec<(ShardId, PartCommands)>,
    keys: Vec<KeyAt>,
    may_write: bool,
    may_borrow: bool,
}

impl Planner {
    /// An empty plan over `shards` shards for transaction `id` of `home`.
    pub fn new(shards: usize, home: ShardId, id: TransactionId, now: UnixMillis) -> Self {
        Self {
            id,
            home,
            now,
            ticket: Ticket::default(),
            members: Vec::new(),
            claimed: (0..shards).map(|_| None).collect(),
            commands: Vec::new(),
            positions: Vec::new(),
            rounds: VecDeque::new(),
            current: Vec::new(),
            keys: Vec::new(),
            may_write: false,
            may_borrow: true,
        }
    }

    /// Adds what one client wants; `is_block` makes the reply an array (EXEC). `may_borrow` is false when something of
    /// the same client is at the sequencer and must come first.
    pub fn join(
        &mut self,
        slots: &SlotMap,
        hashers: &RandomState,
        ticket: Ticket,
        protocol: Protocol,
        requests: Vec<Request<'_>>,
        is_block: bool,
        may_borrow: bool,
    ) {
        self.ticket = ticket;
        self.may_borrow &= may_borrow;
        for request in requests {
            match request {
                Request::Gap => self.commands.push(Planned::Gap),
                Request::Run { row, caller, arguments } => self.add(slots, hashers, row, caller, arguments),
            }
        }
        self.members.push(Member { ticket, protocol, is_block, end: self.commands.len() });
    }

    /// The shards involved so far.
    pub fn shards(&self) -> impl Iterator<Item = ShardId> {
        self.claimed.iter().enumerate().filter(|(_, claimed)| claimed.is_some()).map(|(shard, _)| shard)
    }

    /// Whether it may run on borrowed shards.
    pub fn may_borrow(&self) -> bool {
        self.may_borrow
    }

    /// Number of keys it claims, one that is named twice counted twice.
    pub fn claims_len(&self) -> usize {
        self.claimed.iter().flatten().map(|claimed| claimed.keys.len()).sum()
    }

    /// The transaction; `watches` must still hold when it runs.
    pub fn finish(mut self, hashers: &RandomState, watches: &[Watch]) -> Transaction {
        self.end_round();
        for watch in watches {
            self.claim_key(hashers, watch.shard, &watch.key, Mode::Shared);
        }
        // A barrier is one on every shard, so that it excludes whatever spans shards.
        let barrier = self.claimed.iter().flatten().filter_map(|claimed| claimed.whole).max();
        let one_shard = self.claimed.iter().flatten().count() == 1;
        if let Some(mode) = barrier.filter(|_| !one_shard) {
            let keys = self.claimed.iter().flatten().flat_map(|claimed| claimed.keys.iter());
            let mode = keys.map(|&(_, mode)| mode).max().map_or(mode, |keys| mode.max(keys));
            for shard in 0..self.claimed.len() {
                self.claim_whole(shard, mode);
            }
        }
        let rounds = self.rounds.len() + usize::from(!watches.is_empty());
        let shards = self.claims(rounds > 1);
        let checks: Checks = watches
            .iter()
            .map(|watch| (watch.shard, (watch.database, watch.key.clone()), watch.version))
            .collect();
        let mut rounds = self.rounds;
        if !checks.is_empty() && (shards.len() > 1 || rounds.len() != 1) {
            rounds.push_front(Round::Check);
        }
        if rounds.is_empty() && !shards.is_empty() {
            rounds.push_back(Round::Run(Vec::new()));
        }
        Transaction::new(self.id, self.now, self.may_write, self.members, self.commands, self.positions)
            .over(shards, checks, rounds)
    }

    fn claimed(&mut self, shard: ShardId) -> &mut Claimed {
        self.claimed[shard].get_or_insert_default()
    }

    fn claim_key(&mut self, hashers: &RandomState, shard: ShardId, key: &[u8], mode: Mode) {
        let hash = hashers.hash_one(key);
        self.claimed(shard).keys.push((hash, mode));
    }

    fn claim_whole(&mut self, shard: ShardId, mode: Mode) {
        let claimed = self.claimed(shard);
        claimed.whole = claimed.whole.max(Some(mode));
    }

    /// What `shard` runs in this round.
    fn list(&mut self, shard: ShardId) -> &mut PartCommands {
        let at = match self.current.iter().position(|(at, _)| *at == shard) {
            Some(at) => at,
            None => {
                self.current.push((shard, PartCommands::default()));
                self.current.len() - 1
            }
        };
        &mut self.current[at].1
    }

    fn end_round(&mut self) {
        if !self.current.is_empty() {
            self.rounds.push_back(Round::Run(std::mem::take(&mut self.current)));
        }
    }

    fn add(
        &mut self,
        slots: &SlotMap,
        hashers: &RandomState,
        row: &'static Command,
        caller: Caller,
        arguments: &[&[u8]],
    ) {
        self.may_write |= row.flags.intersects(Flags::WRITE | Flags::MAY_REPLICATE);
        match row.route {
            Route::EveryShard(merge) => {
                let shards: SmallVec<[ShardId; 8]> = (0..slots.shards()).collect();
                for &shard in &shards {
                    self.claim_whole(shard, whole_mode(row));
                }
                self.add_whole(row, caller, merge, arguments, &shards);
            }
            Route::Cursor => {
                let shard = routing::cursor_shard(arguments, slots.shards());
                self.claim_whole(shard, Mode::Shared);
                self.add_whole(row, caller, Merge::AllOk, arguments, &[shard]);
            }
            Route::Channel => {
                let shard = channel_shard(slots, arguments);
                self.add_whole(row, caller, Merge::AllOk, arguments, &[shard]);
            }
            Route::Home => self.add_whole(row, caller, Merge::AllOk, arguments, &[self.home]),
            Route::Split(_) | Route::Gather | Route::Patterns => {
                let mut keys = std::mem::take(&mut self.keys);
                keys.clear();
                for spec in row.keys {
                    spec.positions(arguments, |at| {
                        keys.push(KeyAt {
                            at,
                            position: keys.len() as u32,
                            shard: slots.owner_of_key(arguments[at]),
                            mode: mode_of(row, spec),
                            step: spec.step(),
                        });
                    });
                }
                let reach = match row.route {
                    Route::Patterns => routing::reach(slots, arguments, keys.iter().map(|key| key.shard)),
                    _ => Reach::Own,
                };
                match reach {
                    Reach::Own => self.add_keyed(hashers, row, caller, arguments, &mut keys),
                    Reach::Shard(shard) => {
                        self.claim_whole(shard, whole_mode(row));
                        self.add_whole(row, caller, Merge::AllOk, arguments, &[shard]);
                    }
                    Reach::Anywhere => {
                        (0..slots.shards()).for_each(|shard| self.claim_whole(shard, Mode::Exclusive));
                        self.add_gathered(row, caller, arguments, &keys, true);
                    }
                }
                self.keys = keys;
            }
        }
    }

    /// Pieces that each get all arguments.
    fn add_whole(
        &mut self,
        row: &'static Command,
        caller: Caller,
        merge: Merge,
        arguments: &[&[u8]],
        shards: &[ShardId],
    ) {
        let (order, ticket) = (self.commands.len() as u32, self.ticket);
        let mut pieces = SmallVec::with_capacity(shards.len());
        for &shard in shards {
            self.claimed(shard);
            let list = self.list(shard);
            arguments.iter().for_each(|argument| list.arguments.push(argument));
            let arguments = arguments.len() as u32;
            list.commands.push(PartCommand { order, row, caller, ticket, arguments });
            pieces.push(Piece::new(shard, 0..0));
        }
        self.push_pieces(merge, caller, pieces, Vec::new());
    }

    fn push_pieces(
        &mut self,
        merge: Merge,
        caller: Caller,
        pieces: SmallVec<[Piece; 2]>,
        watched: Vec<Box<[u8]>>,
    ) {
        let Caller { protocol, database, .. } = caller;
        self.commands.push(Planned::Pieces { merge, protocol, database, pieces, watched });
    }

    fn add_keyed(
        &mut self,
        hashers: &RandomState,
        row: &'static Command,
        caller: Caller,
        arguments: &[&[u8]],
        keys: &mut [KeyAt],
    ) {
        let Some(&KeyAt { shard: first, .. }) = keys.first() else {
            return self.add_whole(row, caller, Merge::AllOk, arguments, &[self.home]);
        };
        let one_shard = keys.iter().all(|key| key.shard == first);
        match row.route {
            // A key without all of its arguments (MSET with an odd number of them): the handler refuses the whole
            // command, while the parts of it that are well formed would be carried out.
            Route::Split(_) if keys.iter().any(|key| key.at + key.step > arguments.len()) => {
                self.add_whole(row, caller, Merge::AllOk, arguments, &[first]);
            }
            Route::Split(merge) if !one_shard || merge == Merge::Watch => {
                self.add_split(hashers, row, caller, merge, arguments, keys);
            }
            _ if one_shard => {
                for key in keys {
                    self.claim_key(hashers, key.shard, arguments[key.at], key.mode);
                }
                self.add_whole(row, caller, Merge::AllOk, arguments, &[first]);
            }
            _ => {
                for key in keys.iter() {
                    self.claim_key(hashers, key.shard, arguments[key.at], Mode::Exclusive);
                }
                self.add_gathered(row, caller, arguments, keys, false);
            }
        }
    }

    /// Rounds that bring all entries together and back, those of keys that patterns name too if it `has_patterns`.
    fn add_gathered(
        &mut self,
        row: &'static Command,
        caller: Caller,
        arguments: &[&[u8]],
        keys: &[KeyAt],
        has_patterns: bool,
    ) {
        self.end_round();
        let (order, ticket) = (self.commands.len(), self.ticket);
        self.rounds.push_back(Round::Take(order));
        if has_patterns {
            self.rounds.push_back(Round::TakeNamed(order));
        }
        self.rounds.push_back(Round::Put(order));
        let takes = takes(row, caller, arguments, keys);
        let named = takes.iter().map(|(_, names)| names.len()).sum();
        let arguments = OwnedArgs::copy(arguments);
        let reply = Vec::new();
        self.commands.push(Planned::Gathered { row, caller, ticket, arguments, takes, named, reply });
    }

    /// A piece per shard, with the arguments of its keys.
    fn add_split(
        &mut self,
        hashers: &RandomState,
        row: &'static Command,
        caller: Caller,
        merge: Merge,
        arguments: &[&[u8]],
        keys: &mut [KeyAt],
    ) {
        let (order, ticket) = (self.commands.len() as u32, self.ticket);
        keys.sort_by_key(|key| key.shard);
        let mut pieces = SmallVec::new();
        let mut watched = Vec::new();
        for keys in keys.chunk_by(|one, next| one.shard == next.shard) {
            let shard = keys[0].shard;
            let first_position = self.positions.len() as u32;
            for key in keys {
                self.claim_key(hashers, shard, arguments[key.at], key.mode);
                match merge {
                    Merge::Weave => self.positions.push(key.position),
                    Merge::Watch => watched.push(Box::from(arguments[key.at])),
                    _ => {}
                }
            }
            let list = self.list(shard);
            let before = list.arguments.len();
            list.arguments.push(arguments[0]);
            for key in keys {
                let own = &arguments[key.at..(key.at + key.step).min(arguments.len())];
                own.iter().for_each(|argument| list.arguments.push(argument));
            }
            let arguments = (list.arguments.len() - before) as u32;
            list.commands.push(PartCommand { order, row, caller, ticket, arguments });
            pieces.push(Piece::new(shard, first_position..self.positions.len() as u32));
        }
        self.push_pieces(merge, caller, pieces, watched);
    }

    /// What is to be locked. Over several rounds nothing is shared: another reader would remove what has expired by its
    /// later clock, and the next round would not find what this one has seen.
    fn claims(&mut self, all_exclusive: bool) -> Vec<(ShardId, Claims)> {
        let mut shards = Vec::with_capacity(self.claimed.len());
        for (shard, claimed) in self.claimed.iter_mut().enumerate() {
            let Some(claimed) = claimed.take() else { continue };
            let claims = match claimed.whole {
                // A barrier that also writes single keys of the shard excludes everybody.
                Some(mode) => {
                    let keys = claimed.keys.iter().map(|&(_, mode)| mode).max();
                    let keys = if all_exclusive { Some(Mode::Exclusive) } else { keys };
                    Claims::Whole(keys.map_or(mode, |keys| mode.max(keys)))
                }
                None if all_exclusive => {
                    let exclusive = |(hash, _)| (hash, Mode::Exclusive);
                    Claims::keys(claimed.keys.into_iter().map(exclusive).collect())
                }
                None => Claims::keys(claimed.keys),
            };
            shards.push((shard, claims));
        }
        shards
    }
}

/// What a gathered command takes: its keys, in the caller's database and in every other that it names.
fn takes(row: &Command, caller: Caller, arguments: &[&[u8]], keys: &[KeyAt]) -> Vec<(ShardId, Vec<Name>)> {
    let mut lists: Vec<(ShardId, Vec<Name>)> = Vec::new();
    for database in routing::databases_of(row, caller, arguments) {
        for key in keys {
            let name: Name = (database, Box::from(arguments[key.at]));
            match lists.iter_mut().find(|(owner, _)| *owner == key.shard) {
                Some((_, names)) if names.contains(&name) => {}
                Some((_, names)) => names.push(name),
                None => lists.push((key.shard, vec![name])),
            }
        }
    }
    lists
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::find;

    fn plan(lines: &[&str]) -> (Extent, Transaction) {
        let words: Vec<Vec<&[u8]>> =
            lines.iter().map(|line| line.split(' ').map(str::as_bytes).collect()).collect();
        let requests = || -> Vec<Request<'_>> {
            words
                .iter()
                .map(|words| Request::Run {
                    row: find(words[0]).expect("a command"),
                    caller: Caller::default(),
                    arguments: words,
                })
                .collect()
        };
        let slots = SlotMap::new(2, 100);
        let hashers = RandomState::with_seeds(1, 2, 3, 4);
        let mut planner = Planner::new(2, 0, 1, 0);
        let extent = extent(&slots, 0, &requests());
        planner.join(&slots, &hashers, Ticket::default(), Protocol::Resp2, requests(), true, true);
        (extent, planner.finish(&hashers, &[]))
    }

    fn shards_of(line: &str) -> usize {
        plan(&[line]).1.shards().len()
    }

    #[test]
    fn a_key_without_its_value_is_refused_by_one_shard() {
        assert_eq!(shards_of("MSET a 1 b 2"), 2);
        assert_eq!(shards_of("MSET a 1 b"), 1);
        assert_eq!(shards_of("MGET a b"), 2);
    }

    #[test]
    fn extents() {
        let extent = |lines: &[&str]| plan(lines).0;
        assert!(matches!(extent(&["GET a", "SET a 1"]), Extent::One(Some(_))));
        assert_eq!(extent(&["PING"]), Extent::One(None));
        assert_eq!(extent(&["GET a", "GET b"]), Extent::Several);
        assert_eq!(extent(&["MSET a 1 b 2"]), Extent::Several);
        assert_eq!(extent(&["GET a", "RENAME a b"]), Extent::Rounds);
        assert_eq!(extent(&["GET a", "DBSIZE"]), Extent::Rounds);
        assert_eq!(extent(&["SORT a"]), extent(&["GET a"]));
        assert_eq!(extent(&["SORT a BY constant GET #"]), extent(&["GET a"]));
        assert_eq!(extent(&["SORT a STORE b"]), Extent::Rounds);
        assert_eq!(extent(&["SORT a BY w_*"]), Extent::Rounds);
        assert_eq!(extent(&["SORT_RO a GET w_*"]), Extent::Rounds);
        assert_eq!(extent(&["SORT a BY {a}* GET {a}*"]), extent(&["GET a"]));
        assert_eq!(extent(&["SORT a BY {b}*"]), Extent::Rounds);
    }

    #[test]
    fn patterns_lock_whole_shards() {
        let all_whole = |line: &str| {
            let shards = plan(&[line]).1.shards().to_vec();
            (shards.len(), shards.iter().all(|(_, claims)| matches!(claims, Claims::Whole(_))))
        };
        assert_eq!(all_whole("SORT a BY w_*"), (2, true));
        assert_eq!(all_whole("SORT_RO a GET {a}w_*"), (1, true));
        assert_eq!(all_whole("SORT a BY w_* x"), (1, false), "refused by one shard");
        assert_eq!(all_whole("SORT a STORE b"), (2, false));
    }
}
