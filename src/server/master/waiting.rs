//! WAIT: who waits for how many replicas to have what was written before.

use super::{Master, Order, View};
use crate::base::slot::ShardId;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::shard::blocked::{BEGAN_TO_FOLLOW, End, UNBLOCKED};
use crate::shard::message::Ticket;

/// One that waits.
#[derive(Debug)]
pub(super) struct Waiting {
    home: ShardId,
    ticket: Ticket,
    replicas: usize,
    /// Shards whose writes before the WAIT are not known to be in the stream.
    unmarked: usize,
    /// Position up to which replicas must have the stream, once all shards are marked.
    position: u64,
    has_asked: bool,
}

impl Master {
    /// A client waits for `replicas` to have what it wrote; each shard tells by a mark when that is in the stream.
    pub fn wait(&mut self, (home, ticket): (ShardId, Ticket), replicas: usize, shards: usize) {
        self.waiting.push(Waiting {
            home,
            ticket,
            replicas,
            unmarked: shards,
            position: 0,
            has_asked: false,
        });
    }

    /// Replicas are to say how far they are.
    pub fn ask_for_acknowledgements(&mut self) {
        self.wants_acknowledgements |= self.has_followers();
    }

    /// Everything that a shard did before a WAIT is in the stream.
    pub(super) fn marked(&mut self, view: View<'_>, home: ShardId, ticket: Ticket) {
        let position = self.written;
        let mut waiting = self.waiting.iter_mut();
        if let Some(found) = waiting.find(|waiting| waiting.home == home && waiting.ticket == ticket) {
            found.unmarked = found.unmarked.saturating_sub(1);
            found.position = position;
            self.serve_acknowledged(view);
        }
    }

    /// Answers those for whom enough replicas have acknowledged, and has the others asked.
    pub(super) fn serve_acknowledged(&mut self, _: View<'_>) {
        let mut index = 0;
        while let Some(waiting) = self.waiting.get_mut(index) {
            if waiting.unmarked > 0 {
                index += 1;
                continue;
            }
            let (position, wanted) = (waiting.position, waiting.replicas);
            let asks = !std::mem::replace(&mut waiting.has_asked, true);
            let count = self.acknowledging(position);
            if count >= wanted {
                let Waiting { home, ticket, .. } = self.waiting.swap_remove(index);
                self.orders.push(Order::Reply(home, ticket, count_reply(count)));
            } else {
                self.wants_acknowledgements |= asks && self.has_followers();
                index += 1;
            }
        }
    }

    /// The time of a WAIT is over, or somebody ended it, or its client is gone.
    pub fn end_wait(&mut self, (home, ticket): (ShardId, Ticket), end: End) {
        let is_it = |waiting: &Waiting| waiting.home == home && waiting.ticket == ticket;
        let Some(index) = self.waiting.iter().position(is_it) else { return };
        let waiting = self.waiting.swap_remove(index);
        // Before all marks came its writes may not be in the stream: nobody can have acknowledged them.
        let count = if waiting.unmarked > 0 { 0 } else { self.acknowledging(waiting.position) };
        let reply = match end {
            End::Error => error_reply(UNBLOCKED),
            End::Follows => error_reply(BEGAN_TO_FOLLOW),
            End::Timeout | End::Gone => count_reply(count),
        };
        self.orders.push(Order::Reply(home, ticket, reply));
    }

    /// Replicas that have the stream up to a position.
    fn acknowledging(&self, position: u64) -> usize {
        let has_it = |follower: &&super::Follower| follower.is_online() && follower.acknowledged >= position;
        self.followers.iter().filter(has_it).count()
    }
}

fn error_reply(error: &str) -> Vec<u8> {
    let mut out = Vec::new();
    Reply::new(&mut out, Protocol::Resp2).error(error);
    out
}

fn count_reply(count: usize) -> Vec<u8> {
    let mut out = Vec::new();
    Reply::new(&mut out, Protocol::Resp2).int(count as i64);
    out
}
