//! What is different on a shard of a replica: whose writes it takes, and whose removals.

use std::sync::atomic::Ordering;

use super::Shard;
use crate::command::Command;
use crate::command::session::Caller;
use crate::resp::error::READ_ONLY;
use crate::shard::Env;
use crate::shard::message::Ticket;
use crate::state::Server;
use crate::state::replication::FailoverState;

impl Shard {
    /// Whether a command is a write that only the master may send, or the server itself.
    #[inline]
    pub fn refuses_write(&self, env: Env<'_>, caller: Caller, ticket: Ticket, row: &Command) -> bool {
        self.keyspace.follows
            && row.is_write()
            && env.config.replica_read_only
            && !caller.from_master
            && ticket.connection != Ticket::OF_SERVER
    }

    /// Why a command is no write that this shard takes now, if it is a write.
    #[inline]
    pub(super) fn write_refusal(
        &self,
        env: Env<'_>,
        caller: Caller,
        ticket: Ticket,
        row: &Command,
    ) -> Option<&'static str> {
        if self.keyspace.follows {
            return self.refuses_write(env, caller, ticket, row).then_some(READ_ONLY);
        }
        if ticket.connection == Ticket::OF_SERVER || !row.is_write() {
            return None;
        }
        // It passed the pause before that began, and waited here for others' turns.
        let is_late = env.server.replication.failover() != FailoverState::None;
        env.server.write_refusal(env.config).or_else(|| is_late.then_some(READ_ONLY))
    }

    /// Sees to it that keys whose time is over stay, hidden, where nobody may remove them.
    #[inline]
    pub(super) fn keep_expired(&mut self, env: Env<'_>) {
        self.keyspace.keeps_expired = self.keyspace.follows || env.is_paused();
    }
}

/// A command of the master failed here, so that this replica may differ from it.
#[cold]
pub fn note_failed(server: &Server, name: &str, reply: &[u8]) {
    server.following.failed_commands.fetch_add(1, Ordering::Relaxed);
    let error = String::from_utf8_lossy(reply);
    crate::warning!(
        "== CRITICAL == This replica is sending an error to its master: '{}' after processing the command '{}'",
        error.trim_start_matches('-').trim_end(),
        name
    );
}
