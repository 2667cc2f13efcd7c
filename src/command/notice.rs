//! What others can notice of what runs on a shard: messages, keyspace events, changes of keys that clients cache.
//!
//! Handlers say what happens; it is collected here and leaves for the home shards of those who listen when what caused
//! it has ended: a single command at once, a transaction with its release. While nobody listens nothing is collected.

use std::sync::Arc;

use super::pubsub::{Audience, Registry, Topic};
use super::tracking::{Readers, Tracked};
use crate::base::slot::ShardId;
use crate::config::KeyspaceEvents;

/// A connection: its home shard and its number there.
pub type Actor = (ShardId, u64);

/// A message that was published, its channel and its payload in one piece.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Publication {
    bytes: Arc<[u8]>,
    channel_bytes: u32,
    /// Whether its channel is one of SPUBLISH.
    pub is_sharded: bool,
}

impl Publication {
    /// A message on a channel.
    pub fn new(channel: &[u8], payload: &[u8], is_sharded: bool) -> Self {
        let mut bytes = Vec::with_capacity(channel.len() + payload.len());
        bytes.extend_from_slice(channel);
        bytes.extend_from_slice(payload);
        Self { bytes: bytes.into(), channel_bytes: channel.len() as u32, is_sharded }
    }

    /// The channel and the payload.
    pub fn parts(&self) -> (&[u8], &[u8]) {
        self.bytes.split_at(self.channel_bytes as usize)
    }
}

/// Something that others can notice.
#[derive(Debug)]
pub enum Notice {
    /// A message, and who listens.
    Published(Publication, Audience),
    /// An event of a key.
    Event {
        /// Database of the key.
        database: u32,
        /// The key.
        key: Box<[u8]>,
        /// What happened.
        event: &'static str,
        /// Which channels tell of it ([`KeyspaceEvents::KEYSPACE`], [`KeyspaceEvents::KEYEVENT`]).
        forms: KeyspaceEvents,
    },
    /// A key changed, whatever its database.
    Changed {
        /// The key.
        key: Box<[u8]>,
        /// Who did it; nobody when the key's time came or memory was short.
        by: Option<Actor>,
        /// Who has read it before; none yet when the key's shard has to find them ([`Notices::take_readers`]).
        readers: Readers,
    },
    /// All keys of a database are gone.
    Flushed {
        /// Number of shards, all of which are to be told.
        shards: usize,
    },
    /// FLUSHALL: a snapshot of what was there is not wanted any more.
    Emptied,
}

impl Notice {
    /// Whether it reaches others as a message on a channel.
    pub fn is_message(&self) -> bool {
        matches!(self, Self::Published(..) | Self::Event { .. })
    }

    /// The key that it tells of.
    pub fn key(&self) -> Option<&[u8]> {
        match self {
            Self::Event { key, .. } | Self::Changed { key, .. } => Some(key),
            Self::Published(..) | Self::Flushed { .. } | Self::Emptied => None,
        }
    }
}

/// Who listens on a shard, and what they have yet to be told.
#[derive(Debug, Default)]
pub struct Notices {
    /// Subscriptions that this shard must know.
    pub registry: Registry,
    /// Keys that clients cache.
    pub tracked: Tracked,
    /// What happened and was not passed on yet.
    pub list: Vec<Notice>,
    /// Who runs the command.
    pub actor: Option<Actor>,
    /// Whether changes are collected for other shards, which know who caches the keys.
    pub collects_for_others: bool,
}

impl Notices {
    /// Says that a key changed.
    #[inline]
    pub fn change(&mut self, key: &[u8], by: Option<Actor>) {
        if !self.tracked.is_empty() || self.registry.has_prefixes() || self.collects_for_others {
            let readers = if self.collects_for_others { Readers::new() } else { self.tracked.forget(key) };
            self.list.push(Notice::Changed { key: Box::from(key), by, readers });
        }
    }

    /// Finds who has read the keys whose changes came from another shard.
    pub fn take_readers(&mut self, notices: &mut [Notice]) {
        for notice in notices {
            if let Notice::Changed { key, readers, .. } = notice {
                *readers = self.tracked.forget(key);
            }
        }
    }

    /// Says that an event of `class` happened to a key, if `wanted` (the directive) has that class.
    #[inline]
    pub fn event(
        &mut self,
        wanted: KeyspaceEvents,
        class: KeyspaceEvents,
        database: usize,
        key: &[u8],
        event: &'static str,
    ) {
        if wanted.intersects(class) {
            self.push_event(wanted, database, key, event);
        }
    }

    #[cold]
    fn push_event(&mut self, wanted: KeyspaceEvents, database: usize, key: &[u8], event: &'static str) {
        let forms = wanted & (KeyspaceEvents::KEYSPACE | KeyspaceEvents::KEYEVENT);
        if !forms.is_empty() {
            let (database, key) = (database as u32, Box::from(key));
            self.list.push(Notice::Event { database, key, event, forms });
        }
    }

    /// Says that a key's time came: it is gone.
    pub fn expired(&mut self, wanted: KeyspaceEvents, database: usize, key: &[u8]) {
        self.event(wanted, KeyspaceEvents::EXPIRED, database, key, "expired");
        self.change(key, None);
    }

    /// Says that the time of fields of a hash came, and whether the hash went with them.
    pub fn fields_expired(&mut self, wanted: KeyspaceEvents, database: usize, key: &[u8], is_gone: bool) {
        self.event(wanted, KeyspaceEvents::HASH, database, key, "hexpired");
        if is_gone {
            self.event(wanted, KeyspaceEvents::GENERIC, database, key, "del");
        }
        self.change(key, None);
    }

    /// Says that a key was removed because memory was short.
    pub fn evicted(&mut self, wanted: KeyspaceEvents, database: usize, key: &[u8]) {
        self.change(key, None);
        self.event(wanted, KeyspaceEvents::EVICTED, database, key, "evicted");
    }

    /// Publishes a message; returns the number of its receivers on all shards.
    pub fn publish(&mut self, channel: &[u8], payload: &[u8], is_sharded: bool) -> u64 {
        let topic = if is_sharded { Topic::ShardChannel } else { Topic::Channel };
        let audience = self.registry.audience(topic, channel);
        let receivers = audience.receivers;
        if receivers > 0 {
            let publication = Publication::new(channel, payload, is_sharded);
            self.list.push(Notice::Published(publication, audience));
        }
        receivers
    }
}
