//! Where shards meet: each shard's token, its inbox and its doorbell.
//!
//! An executor holds the token of its shard for as long as it runs and gives it up only while it is parked. Whoever
//! else gets the token at one try may run commands there; nobody waits for a token but its owner.

use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, TryLockError};

use crossbeam_queue::SegQueue;
use crossbeam_utils::CachePadded;

use super::message::{Message, ServerMessage};
use super::owner::Shard;
use crate::base::slot::ShardId;
use crate::net::Doorbell;
use crate::state::Server;

/// One shard as the others see it.
struct Cell {
    token: Mutex<Shard>,
    inbox: SegQueue<Message>,
    parked: AtomicBool,
    doorbell: OnceLock<Arc<Doorbell>>,
}

/// All shards.
pub struct Shards {
    cells: Box<[CachePadded<Cell>]>,
    /// What all shards share.
    pub server: Arc<Server>,
    /// Receivers of messages in the order of sending, and `None` for every borrowed token: for whoever simulates the
    /// way of messages, since what is sent under a token arrives before it is given back.
    #[cfg(test)]
    pub sent: SegQueue<Option<ShardId>>,
    /// Messages for each shard that the simulation took out of its inbox and has yet to hand over.
    #[cfg(test)]
    pub arrived: Box<[std::sync::atomic::AtomicUsize]>,
}

/// A shard's token, held.
pub type Token<'a> = MutexGuard<'a, Shard>;

impl Shards {
    /// Cells around `shards`.
    pub fn new(shards: Vec<Shard>, server: Arc<Server>) -> Self {
        let cells: Box<[CachePadded<Cell>]> = shards
            .into_iter()
            .map(|shard| {
                CachePadded::new(Cell {
                    token: Mutex::new(shard),
                    inbox: SegQueue::new(),
                    parked: AtomicBool::new(false),
                    doorbell: OnceLock::new(),
                })
            })
            .collect();
        Self {
            #[cfg(test)]
            sent: SegQueue::new(),
            #[cfg(test)]
            arrived: cells.iter().map(|_| Default::default()).collect(),
            cells,
            server,
        }
    }

    /// Number of shards.
    pub fn len(&self) -> usize {
        self.cells.len()
    }

    /// Never true; there is at least one shard.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// Sets how to wake the executor of `shard`; the first call counts.
    pub fn set_doorbell(&self, shard: ShardId, doorbell: Arc<Doorbell>) {
        self.cells[shard].doorbell.get_or_init(|| doorbell);
    }

    /// The owner's own way to its token: waits for a borrower to finish its bounded batch.
    pub fn own(&self, shard: ShardId) -> Token<'_> {
        self.cells[shard].token.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The token of `shard` if its owner sleeps and nothing that was sent to it waits: one try. What waits there may be
    /// part of something whose later effects have been seen already.
    pub fn borrow(&self, shard: ShardId) -> Option<Token<'_>> {
        let token = self.try_own(shard)?;
        #[cfg(test)]
        if self.arrived[shard].load(Ordering::Relaxed) > 0 {
            return None;
        }
        self.cells[shard].inbox.is_empty().then_some(token)
    }

    /// The token of `shard` if nobody has it: one try.
    pub fn try_own(&self, shard: ShardId) -> Option<Token<'_>> {
        let token = match self.cells[shard].token.try_lock() {
            Ok(token) => token,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return None,
        };
        #[cfg(test)]
        self.sent.push(None);
        self.cells[shard].inbox.is_empty().then_some(token)
    }

    /// Whether the token of `shard` is free in this moment.
    pub fn is_asleep(&self, shard: ShardId) -> bool {
        !matches!(self.cells[shard].token.try_lock(), Err(TryLockError::WouldBlock))
    }

    /// Puts a message into the inbox of `to`, and wakes its owner if that announced that it parks.
    pub fn send(&self, to: ShardId, message: Message) {
        #[cfg(test)]
        self.sent.push(Some(to));
        let cell = &self.cells[to];
        cell.inbox.push(message);
        // Pairs with the fence of `announce_park`: either the owner sees the message, or we see that it parks.
        fence(Ordering::SeqCst);
        if cell.parked.load(Ordering::Relaxed)
            && cell.parked.swap(false, Ordering::AcqRel)
            && let Some(doorbell) = cell.doorbell.get()
        {
            doorbell.ring();
        }
    }

    /// The oldest message of a shard's inbox. Only its owner may take it.
    pub fn receive(&self, shard: ShardId) -> Option<Message> {
        self.cells[shard].inbox.pop()
    }

    /// Whether messages wait.
    pub fn has_messages(&self, shard: ShardId) -> bool {
        !self.cells[shard].inbox.is_empty()
    }

    /// The owner is about to give its token up and sleep: from here on senders ring its bell. `false`, and nothing is
    /// announced, when messages wait already.
    pub fn announce_park(&self, shard: ShardId) -> bool {
        let cell = &self.cells[shard];
        cell.parked.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if cell.inbox.is_empty() {
            return true;
        }
        cell.parked.store(false, Ordering::Relaxed);
        false
    }

    /// The owner is awake: senders need not ring.
    pub fn withdraw_park(&self, shard: ShardId) {
        self.cells[shard].parked.store(false, Ordering::Relaxed);
    }

    /// Sends what a shard has to say: effects to shard zero first; published messages before the replies to those who
    /// published them, so that what they publish next comes later everywhere; changes of cached keys behind the replies
    /// with what the keys were before. To be called by whoever holds the token, before it gives it up and before replies
    /// leave.
    pub fn deliver(&self, shard: &mut Shard) {
        if let Some(records) = shard.take_records() {
            self.send(0, Message::Effects { from: shard.id, records });
        }
        for (home, posts) in shard.messages.drain() {
            self.send(home, Message::Server(ServerMessage::Deliver(posts)));
        }
        for (to, message) in shard.outbox.drain(..) {
            self.send(to, message);
        }
        for (home, posts) in shard.invalidations.drain() {
            self.send(home, Message::Server(ServerMessage::Deliver(posts)));
        }
    }
}
