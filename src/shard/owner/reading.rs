//! Reads of big collections that reply in slices: each holds its key like any other request for locks, and between two slices
//! the shard does whatever else there is. See [`crate::command::slice`].

use super::{RequestId, Shard};
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::command::args::OwnedCommand;
use crate::command::session::Caller;
use crate::command::slice::Slice;
use crate::shard::Env;
use crate::shard::locks::{Claims, Mode};
use crate::shard::message::{Answers, Message, Ticket};
use crate::shard::owner::{Ran, Served};
use crate::store::hash::HashView;

/// A read under way.
#[derive(Debug)]
pub(super) struct Reading {
    pub home: ShardId,
    pub ticket: Ticket,
    pub caller: Caller,
    pub command: OwnedCommand,
    /// When it began: it sees its key as of then.
    pub now: UnixMillis,
    /// The slice that was replied last.
    pub slice: Slice,
    /// Its claim on the key.
    pub claim: Option<RequestId>,
}

impl Shard {
    /// Whether a read is under way.
    pub fn is_reading(&self) -> bool {
        !self.readings.is_empty()
    }

    /// Replies one slice of the read that has waited longest.
    pub fn read_on(&mut self, env: Env<'_>) {
        let Some(mut reading) = self.readings.pop_front() else { return };
        let mut bytes = Vec::new();
        self.keep_expired(env);
        self.start_clock();
        if self.read_slice(env, &mut reading, &mut bytes) {
            self.send_piece(&reading, bytes);
            self.readings.push_back(reading);
            return;
        }
        self.answer(reading.home, reading.ticket, bytes);
        if let Some(claim) = reading.claim {
            self.serve_blocked(env, Some(claim));
            self.unlock(env, claim);
        }
    }

    /// Goes on with a read whose first slice is what `out` has from `start` on; at once to its end if the key is not to be had
    /// until then.
    #[cold]
    pub(super) fn begin_reading(
        &mut self,
        env: Env<'_>,
        mut reading: Reading,
        out: &mut Vec<u8>,
        start: usize,
    ) -> Served {
        reading.claim = self.claim_for_reading(&reading);
        if reading.claim.is_none() {
            while self.read_slice(env, &mut reading, out) {}
            return Served::Replied;
        }
        let first = out.split_off(start);
        self.send_piece(&reading, first);
        self.readings.push_back(reading);
        Served::Reads
    }

    /// Claims the key of a read until its end: for itself alone if something of it may expire meanwhile, since whoever reads it
    /// later would remove that. `None` when that is not to be had at once.
    fn claim_for_reading(&mut self, reading: &Reading) -> Option<RequestId> {
        let arguments = reading.command.arguments.slices();
        let key = reading.command.row.single_key(&arguments)?;
        let entry = self.keyspace.find(reading.caller.database as usize, key)?;
        let has_deadline = entry.expire_at().is_some()
            || HashView::of_entry(&entry).is_some_and(|hash| hash.earliest_deadline().is_some());
        if reading.claim.is_some() {
            return reading.claim.filter(|_| !has_deadline);
        }
        let mode = if has_deadline { Mode::Exclusive } else { Mode::Shared };
        let claims = Claims::keys(vec![(self.keyspace.hash(key), mode)]);
        if !self.locks.is_free(&claims) {
            return None;
        }
        let id = self.new_request();
        let granted = self.locks.request(id, claims);
        assert!(granted, "what is free is granted");
        Some(id)
    }

    /// Replies the next slice; `false` when it was the last.
    fn read_slice(&mut self, env: Env<'_>, reading: &mut Reading, out: &mut Vec<u8>) -> bool {
        let Reading { home, ticket, caller, ref command, now, slice, .. } = *reading;
        let (env, slice) = (Env { now, ..env }, Slice { from: slice.next, next: 0, ..slice });
        let arguments = command.arguments.slices();
        match self.perform(env, home, ticket, caller, command.row, &arguments, out, false, Some(slice)) {
            Ran::Slice(slice) => {
                reading.slice = slice;
                true
            }
            Ran::Whole | Ran::Waits(_) => false,
        }
    }

    /// Sends a piece of a reply that goes on.
    fn send_piece(&mut self, reading: &Reading, bytes: Vec<u8>) {
        let items = vec![(reading.ticket, bytes.len() as u32)];
        let answers = Answers { items, bytes, goes_on: true };
        self.outbox.push((reading.home, Message::Answers { from: self.id, answers }));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::command::table::{Resolved, names, resolve};
    use crate::config::Config;
    use crate::state::Server;

    #[test]
    fn who_has_borrowed_the_shard_reads_at_once() {
        let config = Config::default();
        let server = Server::new(config.clone(), 2, "0".repeat(40), names());
        let mut shard = Shard::new(0, 1, ahash::RandomState::with_seed(1), 1);
        let mut run = |executor: ShardId, arguments: &[&[u8]]| {
            let env = Env { now: 1, executor, config: &config, server: &server };
            let Resolved::Row(row) = resolve(arguments) else { panic!("no such command") };
            let (ticket, mut reply) = (Ticket { connection: 0, sequence: 0 }, Vec::new());
            if shard.run(env, 1, ticket, Caller::default(), row, arguments, &mut reply) {
                return (reply, 1);
            }
            while shard.is_reading() {
                shard.read_on(env);
            }
            assert!(shard.is_unlocked());
            let messages = shard.outbox.drain(..).map(|(_, message)| message);
            let pieces: Vec<Vec<u8>> = messages
                .filter_map(|message| match message {
                    Message::Answers { answers, .. } => Some(answers.bytes),
                    _ => None,
                })
                .collect();
            (pieces.concat(), pieces.len())
        };
        let elements: Vec<String> = (0..6000).map(|number| format!("element{number}")).collect();
        let mut push: Vec<&[u8]> = vec![b"RPUSH", b"list"];
        push.extend(elements.iter().map(String::as_bytes));
        assert_eq!(run(1, &push), (b":6000\r\n".to_vec(), 1));
        let range: [&[u8]; 4] = [b"LRANGE", b"list", b"0", b"-1"];
        let (sliced, pieces) = run(0, &range);
        assert!(pieces > 2, "{pieces} pieces");
        assert!(run(1, &range) == (sliced, 1));
    }
}
