//! Clients that wait for keys of one shard, in the order in which they came.
//!
//! A command that finds nothing to serve waits here under its keys. Whatever changes one of them makes it *ready*
//! ([`crate::store::keyspace::Keyspace::touch`]), and the shard runs those who wait for it again, the first one first, when
//! what changed it has ended. One whose keys are on several shards is only told: its home shard tries again, and it keeps its
//! place meanwhile, with everybody behind it waiting for how that ends.

use std::collections::VecDeque;

use ahash::AHashMap;

use super::message::{Name, Ticket};
use crate::base::clock::Monotonic;
use crate::base::slot::ShardId;
use crate::command::Command;
use crate::command::args::OwnedArgs;
use crate::command::session::Caller;

/// Names one who waits: the home shard and the reply it owes there.
pub type Seat = (ShardId, Ticket);

/// How a wait ends that nothing served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its time is over: the command answers a null array, whichever it is.
    Timeout,
    /// `CLIENT UNBLOCK … ERROR`.
    Error,
    /// Nobody waits for a reply any more.
    Gone,
}

/// The error of [`End::Error`].
pub const UNBLOCKED: &str = "UNBLOCKED client unblocked via CLIENT UNBLOCK";

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
    /// When it began to wait.
    pub since: Monotonic,
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
enum Kind {
    Here(Waiter),
    Elsewhere(Trial),
}

#[derive(Debug)]
struct Waiting {
    names: Vec<Name>,
    row: &'static Command,
    kind: Kind,
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
}

impl Blocked {
    /// Whether nobody waits.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty()
    }

    /// Lets a command wait behind everybody who waits for the same keys. Returns the keys that nobody waited for before.
    pub fn wait(&mut self, waiter: Waiter, names: Vec<Name>) -> Vec<Name> {
        self.enter((waiter.home, waiter.ticket), names, waiter.row, Kind::Here(waiter))
    }

    /// Lets a home shard wait that is to be told. Returns the keys that nobody waited for before.
    pub fn wait_elsewhere(&mut self, seat: Seat, row: &'static Command, names: Vec<Name>) -> Vec<Name> {
        if self.waiting.contains_key(&seat) {
            return Vec::new();
        }
        self.enter(seat, names, row, Kind::Elsewhere(Trial::Idle))
    }

    /// A home shard that was told has looked and waits on. Says whether it must look again; else those behind it have
    /// their turn.
    pub fn has_looked(&mut self, seat: Seat) -> bool {
        match self.waiting.get_mut(&seat) {
            Some(Waiting { kind: Kind::Elsewhere(trial), .. }) => {
                let must_again = matches!(trial, Trial::Told { again: true });
                *trial = if must_again { Trial::Told { again: false } } else { Trial::Idle };
                must_again
            }
            _ => false,
        }
    }

    fn enter(&mut self, seat: Seat, mut names: Vec<Name>, row: &'static Command, kind: Kind) -> Vec<Name> {
        names.sort_unstable();
        names.dedup();
        let mut fresh = Vec::new();
        for name in &names {
            let queue = self.queues.entry(name.clone()).or_insert_with(|| {
                fresh.push(name.clone());
                VecDeque::new()
            });
            queue.push_back(seat);
        }
        self.waiting.insert(seat, Waiting { names, row, kind });
        fresh
    }

    /// Ends a wait. Returns the command if it waited here, and the keys that nobody waits for any more.
    pub fn remove(&mut self, seat: Seat) -> (Option<Waiter>, Vec<Name>) {
        let Some(waiting) = self.waiting.remove(&seat) else { return (None, Vec::new()) };
        let mut over = Vec::new();
        for name in waiting.names {
            let Some(queue) = self.queues.get_mut(&name) else { continue };
            queue.retain(|&other| other != seat);
            if queue.is_empty() {
                self.queues.remove(&name);
                over.push(name);
            }
        }
        match waiting.kind {
            Kind::Here(waiter) => (Some(waiter), over),
            Kind::Elsewhere(_) => (None, over),
        }
    }

    /// Gives a waiter other arguments.
    pub fn set_arguments(&mut self, seat: Seat, arguments: OwnedArgs) {
        if let Some(Waiting { kind: Kind::Here(waiter), .. }) = self.waiting.get_mut(&seat) {
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

    /// The keys that somebody waits for.
    pub fn names_of(&self, seat: Seat) -> Vec<Name> {
        self.waiting.get(&seat).map_or_else(Vec::new, |waiting| waiting.names.clone())
    }

    /// The command of one who waits.
    pub fn row(&self, seat: Seat) -> Option<&'static Command> {
        self.waiting.get(&seat).map(|waiting| waiting.row)
    }

    /// The turn of one who waits; `None` when it waits no more.
    pub fn turn(&mut self, seat: Seat) -> Option<Turn> {
        match &mut self.waiting.get_mut(&seat)?.kind {
            Kind::Here(waiter) => Some(Turn::Run(waiter.clone())),
            Kind::Elsewhere(Trial::Told { again }) => {
                *again = true;
                Some(Turn::Await)
            }
            Kind::Elsewhere(trial) => {
                *trial = Trial::Told { again: false };
                Some(Turn::Tell)
            }
        }
    }
}
