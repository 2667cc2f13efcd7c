//! Passing on what others can notice: what handlers collected becomes posts for the home shards of those who listen.

use super::Env;
use super::message::{Message, ServerMessage};
use super::owner::Shard;
use super::snapshot::ToSnapshots;
use crate::base::number::push_i64;
use crate::base::slot::ShardId;
use crate::command::notice::{Actor, Notice, Publication};
use crate::command::pubsub::{Audience, Listening, Topic};
use crate::config::KeyspaceEvents;

use std::sync::Arc;

/// Something for connections of one home shard.
#[derive(Debug)]
pub enum Post {
    /// A message.
    Published {
        /// The message.
        publication: Publication,
        /// Whether it is for those who subscribed to its channel.
        is_direct: bool,
        /// Patterns whose subscribers it is for.
        patterns: Vec<Arc<[u8]>>,
    },
    /// A key changed that a connection has read.
    Invalidated {
        /// The connection.
        connection: u64,
        /// The key.
        key: Box<[u8]>,
        /// Who changed it.
        by: Option<Actor>,
    },
    /// A key changed with a prefix that connections follow.
    Followed {
        /// The key.
        key: Box<[u8]>,
        /// Who changed it.
        by: Option<Actor>,
    },
    /// All keys of a database are gone.
    Flushed,
}

/// Posts by the home shards that they go to.
#[derive(Debug, Default)]
pub struct Posts(Vec<(ShardId, Vec<Post>)>);

impl Posts {
    fn push(&mut self, home: ShardId, post: Post) {
        match self.0.iter_mut().find(|(at, _)| *at == home) {
            Some((_, posts)) => posts.push(post),
            None => self.0.push((home, vec![post])),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All of them.
    pub fn drain(&mut self) -> impl Iterator<Item = (ShardId, Vec<Post>)> {
        self.0.drain(..)
    }

    /// Those for one home shard.
    #[inline]
    pub fn take(&mut self, home: ShardId) -> Vec<Post> {
        match self.0.iter().position(|&(at, _)| at == home) {
            Some(at) => self.0.swap_remove(at).1,
            None => Vec::new(),
        }
    }
}

impl Shard {
    /// Takes note of what connections of `home` listen to now.
    pub fn listen(&mut self, env: Env<'_>, home: ShardId, changes: &[Listening]) {
        let registry = &mut self.notices.registry;
        changes.iter().for_each(|listening| registry.set(home, listening));
        let counters = &env.server.shards[self.id];
        counters.pubsub_channels.set(registry.own_count(Topic::Channel) as u64);
        counters.pubsub_patterns.set(registry.own_count(Topic::Pattern) as u64);
        counters.pubsub_shard_channels.set(registry.own_count(Topic::ShardChannel) as u64);
        counters.tracking_prefixes.set(registry.own_count(Topic::Prefix) as u64);
    }

    /// Passes on what happened, now that what caused it has ended.
    #[inline]
    pub fn announce(&mut self) {
        if !self.notices.list.is_empty() {
            self.announce_list();
        }
    }

    fn announce_list(&mut self) {
        let mut list = std::mem::take(&mut self.notices.list);
        self.announce_all(list.drain(..));
        self.notices.list = list;
    }

    /// Passes on what happened in a transaction that has ended.
    pub(super) fn announce_all(&mut self, notices: impl IntoIterator<Item = Notice>) {
        for notice in notices {
            match notice {
                Notice::Published(publication, audience) => self.post_publication(publication, audience),
                Notice::Event { database, key, event, forms } => {
                    self.post_event(database, &key, event, forms)
                }
                Notice::Changed { key, by, readers } => self.post_change(&key, by, &readers),
                Notice::Flushed { shards } => {
                    (0..shards).for_each(|home| self.invalidations.push(home, Post::Flushed));
                }
                Notice::Emptied => {
                    let emptied = ServerMessage::Snapshots(ToSnapshots::Emptied);
                    self.outbox.push((0, Message::Server(emptied)));
                }
            }
        }
    }

    fn post_publication(&mut self, publication: Publication, audience: Audience) {
        for receiver in audience.homes {
            let (is_direct, patterns) = (receiver.is_direct, receiver.patterns);
            let post = Post::Published { publication: publication.clone(), is_direct, patterns };
            self.messages.push(receiver.home, post);
        }
    }

    fn post_event(&mut self, database: u32, key: &[u8], event: &str, forms: KeyspaceEvents) {
        if self.notices.registry.is_silent() {
            return;
        }
        for (form, word, end, payload) in [
            (KeyspaceEvents::KEYSPACE, "__keyspace@", key, event.as_bytes()),
            (KeyspaceEvents::KEYEVENT, "__keyevent@", event.as_bytes(), key),
        ] {
            if !forms.contains(form) {
                continue;
            }
            let mut channel = Vec::with_capacity(word.len() + end.len() + 8);
            channel.extend_from_slice(word.as_bytes());
            push_i64(&mut channel, i64::from(database));
            channel.extend_from_slice(b"__:");
            channel.extend_from_slice(end);
            let audience = self.notices.registry.audience(Topic::Channel, &channel);
            if audience.receivers > 0 {
                self.post_publication(Publication::new(&channel, payload, false), audience);
            }
        }
    }

    fn post_change(&mut self, key: &[u8], by: Option<Actor>, readers: &[Actor]) {
        for home in self.notices.registry.followers(key) {
            self.invalidations.push(home, Post::Followed { key: Box::from(key), by });
        }
        self.post_invalidation(key, by, readers);
    }

    fn post_invalidation(&mut self, key: &[u8], by: Option<Actor>, readers: &[Actor]) {
        for &(home, connection) in readers {
            self.invalidations.push(home, Post::Invalidated { connection, key: Box::from(key), by });
        }
    }

    /// Takes note of keys that a caching client has read. A table that grew too large lets go of some: to their readers
    /// that is as if they had changed.
    pub(super) fn remember_read<'k>(
        &mut self,
        env: Env<'_>,
        reader: Actor,
        keys: impl Iterator<Item = &'k [u8]>,
    ) {
        keys.for_each(|key| self.notices.tracked.remember(key, reader));
        self.bound_tracked(env);
    }

    /// Lets go of cached keys as long as there are too many in the process and this shard has more than its share.
    pub fn bound_tracked(&mut self, env: Env<'_>) {
        self.publish_tracked(env);
        let (keys_max, shards) = (env.config.tracking_table_max_keys, env.server.slots.shards());
        let share = keys_max / shards + usize::from(self.id < keys_max % shards);
        let excess = self.notices.tracked.keys().saturating_sub(share);
        if keys_max > 0 && excess > 0 {
            let total: u64 = env.server.shards.iter().map(|shard| shard.tracking_keys.get()).sum();
            let excess = excess.min(total.saturating_sub(keys_max as u64) as usize);
            for key in self.notices.tracked.some_keys(excess) {
                let readers = self.notices.tracked.forget(&key);
                self.post_invalidation(&key, None, &readers);
            }
            self.publish_tracked(env);
        }
    }

    /// Publishes how large the table of cached keys is.
    fn publish_tracked(&self, env: Env<'_>) {
        let counters = &env.server.shards[self.id];
        counters.tracking_keys.set(self.notices.tracked.keys() as u64);
        counters.tracking_items.set(self.notices.tracked.items() as u64);
    }
}
