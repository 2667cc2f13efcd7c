//! Commands that cannot run when they come: their keys are locked, or kept for one who waited longer, or a command of the
//! same connection is in that position already.

use super::{LateCommand, RequestId, Served, Shard, Waiting};
use crate::base::slot::ShardId;
use crate::command::Command;
use crate::command::args::{OwnedArgs, OwnedCommand};
use crate::command::notice::Actor;
use crate::command::session::Caller;
use crate::shard::Env;
use crate::shard::locks::Claims;
use crate::shard::message::Ticket;
use crate::shard::route::claims_of;

impl Shard {
    /// Whether a command has to wait; then it does.
    #[cold]
    pub(super) fn must_wait(
        &mut self,
        home: ShardId,
        ticket: Ticket,
        caller: Caller,
        row: &'static Command,
        arguments: &[&[u8]],
    ) -> bool {
        let late = || {
            let command = OwnedCommand { row, arguments: OwnedArgs::copy(arguments) };
            LateCommand { home, ticket, caller, command }
        };
        if let Some(behind) = self.behind.get_mut(&(home, ticket.connection)) {
            behind.push_back(late());
            return true;
        }
        let claims = claims_of(&self.keyspace, row, arguments);
        let waits = self.defers(&claims) || !self.locks.is_free(&claims);
        if waits {
            self.put_off(claims, late());
        }
        waits
    }

    fn put_off(&mut self, claims: Claims, late: LateCommand) {
        self.behind.entry(late.actor()).or_default();
        if self.defers(&claims) {
            self.deferred.push((claims, Waiting::Command(late)));
        } else {
            self.wait(claims, Waiting::Command(late));
        }
    }

    /// Runs a command that had to wait and sends its reply, if it does not block; then what came behind it. `locked` is the
    /// request whose locks it has.
    pub(super) fn run_late(&mut self, env: Env<'_>, late: LateCommand, locked: Option<RequestId>) -> Served {
        let actor = late.actor();
        let served = self.run_one_late(env, late, locked);
        for late in self.behind.remove(&actor).unwrap_or_default() {
            if let Some(behind) = self.behind.get_mut(&actor) {
                behind.push_back(late);
                continue;
            }
            let claims = claims_of(&self.keyspace, late.command.row, &late.command.arguments.slices());
            if self.defers(&claims) || !self.locks.is_free(&claims) {
                self.put_off(claims, late);
            } else {
                self.run_one_late(env, late, None);
            }
        }
        served
    }

    fn run_one_late(&mut self, env: Env<'_>, late: LateCommand, locked: Option<RequestId>) -> Served {
        let LateCommand { home, ticket, caller, command } = late;
        let mut bytes = Vec::new();
        self.start_clock();
        let arguments = command.arguments.slices();
        let served = self.serve(env, home, ticket, caller, command.row, &arguments, &mut bytes, locked);
        if served == Served::Replied {
            self.answer(home, ticket, bytes);
        }
        self.record_local();
        self.serve_blocked(env, locked);
        self.announce();
        served
    }

    /// Whether what claims nothing elsewhere has to wait for one who was told: since a key is kept, or behind what waits
    /// for that.
    #[inline]
    pub(super) fn defers(&self, claims: &Claims) -> bool {
        self.is_kept(claims) || self.deferred.iter().any(|(earlier, _)| earlier.overlap(claims))
    }

    /// Lets those go on whose keys are no longer kept for others; `all` of them if something must come behind them.
    #[inline]
    pub(super) fn resume_deferred(&mut self, env: Env<'_>, all: bool) {
        if !self.deferred.is_empty() {
            self.resume(env, all);
        }
    }

    #[cold]
    fn resume(&mut self, env: Env<'_>, all: bool) {
        for (claims, waiting) in std::mem::take(&mut self.deferred) {
            match waiting {
                waiting if !all && self.defers(&claims) => self.deferred.push((claims, waiting)),
                Waiting::Part(part) => self.enter(env, claims, part),
                waiting if !self.locks.is_free(&claims) => self.wait(claims, waiting),
                Waiting::Command(late) => {
                    self.run_late(env, late, None);
                }
            }
        }
    }
}

impl LateCommand {
    fn actor(&self) -> Actor {
        (self.home, self.ticket.connection)
    }
}
