//! Clients that wait for keys of one shard, in the order in which they came.
//!
//! A command that finds nothing to serve waits here under its keys. Whatever changes one of them makes it *ready*
//! ([`crate::store::keyspace::Keyspace::touch`]), and the shard runs those who wait for it again, the first one first, when
//! what changed it has ended. One whose keys are on several shards is only told: its home shard tries again, and it keeps its
//! place meanwhile, with everybody behind it waiting for how that ends.

use std::collections::VecDeque;

use ahash::AHashMap;

use super::message::{Name, Ticket, Waits};
use crate::base::slot::ShardId;
use crate::command::args::OwnedArgs;
use crate::command::session::Caller;
use crate::command::{Command, Flags, Group};
use crate::store::value::Kind;

/// Names one who waits: the home shard and the reply it owes there.
pub type Seat = (ShardId, Ticket);

/// How a wait ends that nothing served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time is over: the command answers a null array, whichever it is.
    Timeout,
    /// `CLIENT UNBLOCK … ERROR`.
    Error,
    /// The server follows a master now.
    Follows,
    /// Nobody waits for a reply any more.
    Gone,
}

/// The error of [`End::Error`].
pub const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";
/// The error of [`End::Follows`].
pub const BEGAN_TO_FOLLOW: &str =
    "UNBLOCKED force unblock from blocking operation, instance state changed (master -> replica?)";

/// Whether a command that may wait takes its turn behind those who wait already. XREAD takes nothing away.
pub fn takes_turns(row: &Command) -> bool {
    row.flags.contains(Flags::BLOCKING) && row.name != "xread"
}

/// Whether whoever waits is answered whatever becomes of the key: the group of an XREADGROUP is gone with its stream.
pub fn takes_any(row: &Command) -> bool {
    row.name == "xreadgroup"
}

/// The type of value that a command that may wait waits for; `None` for any.
pub fn wanted(row: &Command) -> Option<Kind> {
    match row.group {
        Group::List => Some(Kind::List),
        Group::SortedSet => Some(Kind::SortedSet),
        _ if takes_any(row) => None,
        _ => Some(Kind::Stream),
    }
}

/// The consumer group that a command reads for.
pub fn group_of(row: &Command, arguments: &[&[u8]]) -> Option<Box<[u8]>> {
    let is_word = |word: &&[u8]| word.eq_ignore_ascii_case(b"group");
    let at = takes_any(row).then(|| arguments.iter().position(is_word))??;
    arguments.get(at + 1).map(|&group| group.into())
}

/// A command that waits on the shard of all its keys.
#[derive(Clone, Debug)]
pub struct Waiter {
    /// Home shard of its client.
    pub home: ShardId,
    /// The reply it owes.
    pub ticket: Ticket,
    /// Who asks.
    pub caller: Caller,
    /// The command.
    pub row: &'static Command,
    /// Its arguments.
    pub arguments: OwnedArgs,
}

/// What a home shard that waits for keys of several shards knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trial {
    /// Nothing changed since it looked.
    Idle,
    /// It was told and has yet to look; whether there was a change since.
    Told { again: bool },
}

#[derive(Debug)]
enum Form {
    Here(Waiter),
    Elsewhere(Trial),
}

#[derive(Debug)]
struct Waiting {
    names: Vec<Name>,
    row: &'static Command,
    /// The consumer group that it reads for.
    group: Option<Box<[u8]>>,
    form: Form,
}

/// What to do for the next one who waits for a key.
#[derive(Debug)]
pub enum Turn {
    /// Run it again.
    Run(Waiter),
    /// Tell its home shard; nobody behind it has a turn before it has looked.
    Tell,
    /// Its home shard is about to look.
    Await,
}

/// All who wait for keys of a shard.
#[derive(Debug, Default)]
pub struct Blocked {
    waiting: AHashMap<Seat, Waiting>,
    queues: AHashMap<Name, VecDeque<Seat>>,
    /// How many of those who wait for a key are answered when it is gone.
    on_removal: AHashMap<Name, usize>,
}

impl Blocked {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a command wait behind everybody who waits for the same keys. Returns the keys that nobody waited for before.
    pub fn wait(&mut self, waiter: Waiter, names: Vec<Name>) -> Vec<Name> {
        let group = group_of(waiter.row, &waiter.arguments.slices());
        self.enter((waiter.home, waiter.ticket), names, waiter.row, group, Form::Here(waiter))
    }

    /// Lets a home shard wait that is to be told. Returns the keys that nobody waited for before.
    pub fn wait_elsewhere(&mut self, home: ShardId, waits: Waits) -> Vec<Name> {
        let Waits { ticket, row, group, names } = waits;
        let seat = (home, ticket);
        if self.waiting.contains_key(&seat) {
            return Vec::new();
        }
        self.enter(seat, names, row, group, Form::Elsewhere(Trial::Idle))
    }

    /// A home shard that was told has looked and waits on. Says whether it must look again; else those behind it have
    /// their turn.
    pub fn has_looked(&mut self, seat: Seat) -> bool {
        match self.waiting.get_mut(&seat) {
            Some(Waiting { form: Form::Elsewhere(trial), .. }) => {
                let must_again = matches!(trial, Trial::Told { again: true });
                *trial = if must_again { Trial::Told { again: false } } else { Trial::Idle };
                must_again
            }
            _ => false,
        }
    }

    fn enter(
        &mut self,
        seat: Seat,
        mut names: Vec<Name>,
        row: &'static Command,
        group: Option<Box<[u8]>>,
        form: Form,
    ) -> Vec<Name> {
        names.sort_unstable();
        names.dedup();
        let mut fresh = Vec::new();
        for name in &names {
            let queue = self.queues.entry(name.clone()).or_insert_with(|| {
                fresh.push(name.clone());
                VecDeque::new()
            });
            queue.push_back(seat);
            if takes_any(row) {
                *self.on_removal.entry(name.clone()).or_default() += 1;
            }
        }
        self.waiting.insert(seat, Waiting { names, row, group, form });
        fresh
    }

    /// Ends a wait. Returns the command if it waited here, and the keys that nobody waits for any more.
    pub fn remove(&mut self, seat: Seat) -> (Option<Waiter>, Vec<Name>) {
        let Some(waiting) = self.waiting.remove(&seat) else { return (None, Vec::new()) };
        let mut over = Vec::new();
        for name in waiting.names {
            if takes_any(waiting.row)
                && let Some(count) = self.on_removal.get_mut(&name)
            {
                *count -= 1;
                if *count == 0 {
                    self.on_removal.remove(&name);
                }
            }
            let Some(queue) = self.queues.get_mut(&name) else { continue };
            queue.retain(|&other| other != seat);
            if queue.is_empty() {
                self.queues.remove(&name);
                over.push(name);
            }
        }
        match waiting.form {
            Form::Here(waiter) => (Some(waiter), over),
            Form::Elsewhere(_) => (None, over),
        }
    }

    /// Gives a waiter other arguments.
    pub fn set_arguments(&mut self, seat: Seat, arguments: OwnedArgs) {
        if let Some(Waiting { form: Form::Here(waiter), .. }) = self.waiting.get_mut(&seat) {
            waiter.arguments = arguments;
        }
    }

    /// Those who wait for a key now, the first one first; with `behind` only those behind that one.
    pub fn queue(&self, name: &Name, behind: Option<Seat>) -> Vec<Seat> {
        let Some(queue) = self.queues.get(name) else { return Vec::new() };
        let first =
            behind.and_then(|seat| queue.iter().position(|&other| other == seat)).map_or(0, |at| at + 1);
        queue.iter().skip(first).copied().collect()
    }

    /// Number of keys whose removal is an answer to somebody.
    pub fn keys_on_removal(&self) -> usize {
        self.on_removal.len()
    }

    /// Whether one waits for a key.
    pub fn waits_for(&self, seat: Seat, name: &Name) -> bool {
        self.waiting.get(&seat).is_some_and(|waiting| waiting.names.contains(name))
    }

    /// The keys that somebody waits for.
    pub fn names_of(&self, seat: Seat) -> Vec<Name> {
        self.waiting.get(&seat).map_or_else(Vec::new, |waiting| waiting.names.clone())
    }

    /// The consumer group that one who waits reads for.
    pub fn group(&self, seat: Seat) -> Option<&[u8]> {
        self.waiting.get(&seat)?.group.as_deref()
    }

    /// The command of one who waits.
    pub fn row(&self, seat: Seat) -> Option<&'static Command> {
        self.waiting.get(&seat).map(|waiting| waiting.row)
    }

    /// The turn of one who waits; `None` when it waits no more.
    pub fn turn(&mut self, seat: Seat) -> Option<Turn> {
        match &mut self.waiting.get_mut(&seat)?.form {
            Form::Here(waiter) => Some(Turn::Run(waiter.clone())),
            Form::Elsewhere(Trial::Told { again }) => {
                *again = true;
                Some(Turn::Await)
            }
            Form::Elsewhere(trial) => {
                *trial = Trial::Told { again: false };
                Some(Turn::Tell)
            }
        }
    }
}
