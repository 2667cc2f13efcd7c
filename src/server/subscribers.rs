//! Connections that listen: to channels and patterns, and to changes of keys that they cache. Tells the shards that
//! must know what they listen to, and passes on to them what shards say.

use std::collections::BTreeMap;
use std::sync::Arc;

use ahash::AHashMap;

use super::connection::{Connection, Phase};
use super::executor::Core;
use crate::base::slot::ShardId;
use crate::command::notice::{Actor, Publication};
use crate::command::pubsub::{Listening, SubscriptionChange, Topic};
use crate::command::tracking::{Options, Redirect};
use crate::config::ClientClass;
use crate::net::SocketId;
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::shard::announce::Post;
use crate::shard::message::{Message, ServerMessage, Ticket};
use crate::shard::owner::Shard;

/// The channel that a client is told of changes on that does not speak RESP3.
const INVALIDATE_CHANNEL: &[u8] = b"__redis__:invalidate";

/// Connections of one shard by what they listen to.
#[derive(Debug, Default)]
pub(super) struct Subscribers {
    topics: [AHashMap<Box<[u8]>, Vec<SocketId>>; Topic::COUNT],
    /// Connections that cache keys.
    caching: Vec<SocketId>,
}

impl Subscribers {
    /// Enters or takes out a connection; returns how many listen now.
    fn change(&mut self, id: SocketId, change: &SubscriptionChange) -> u32 {
        let topic = &mut self.topics[change.topic as usize];
        if change.begins {
            let ids = topic.entry(change.name.clone()).or_default();
            ids.push(id);
            return ids.len() as u32;
        }
        let Some(ids) = topic.get_mut(&change.name) else { return 0 };
        if let Some(at) = ids.iter().position(|&listener| listener == id) {
            ids.swap_remove(at);
        }
        let left = ids.len() as u32;
        if left == 0 {
            topic.remove(&change.name);
        }
        left
    }
}

/// A message in both versions of the protocol, each encoded when it is first asked for.
struct Encoded<W> {
    write: W,
    bytes: [Vec<u8>; 2],
}

impl<W: Fn(&mut Reply<'_>)> Encoded<W> {
    fn new(write: W) -> Self {
        Self { write, bytes: [Vec::new(), Vec::new()] }
    }

    fn in_protocol(&mut self, protocol: Protocol) -> &[u8] {
        let bytes = &mut self.bytes[protocol as usize];
        if bytes.is_empty() {
            (self.write)(&mut Reply::new(bytes, protocol));
        }
        bytes
    }
}

/// Appends a message to a connection's output; whether it has to be entered among those with something to send. A
/// subscriber that does not take what it is sent is cut off, before its output takes the memory of others.
fn append(connection: &mut Connection, message: &[u8], hard_bytes: Option<u64>) -> bool {
    if connection.phase == Phase::Broken {
        return false;
    }
    connection.push_buffer().extend_from_slice(message);
    let is_over = |bytes: u64| connection.output_bytes() as u64 >= bytes;
    if connection.is_subscriber && hard_bytes.is_some_and(is_over) {
        connection.phase = Phase::Broken;
    }
    !std::mem::replace(&mut connection.is_dirty, true)
}

impl Core {
    /// Tells the shards concerned what a connection listens to now.
    pub fn change_subscriptions(&mut self, own: &mut Shard, id: SocketId, changes: Vec<SubscriptionChange>) {
        if !changes.is_empty() {
            let (config, server) = (self.config.clone(), self.server.clone());
            for (shard, changes) in self.enter(id, changes) {
                if shard == self.id {
                    own.listen(self.env(&config, &server), self.id, &changes);
                } else {
                    self.shards.send(shard, Message::Subscribe { home: self.id, changes });
                }
            }
        }
        self.count_listener(id);
    }

    /// The same while no shard is in hand: this one is told by a message too.
    fn send_subscriptions(&mut self, id: SocketId, changes: Vec<SubscriptionChange>) {
        for (shard, changes) in self.enter(id, changes) {
            self.shards.send(shard, Message::Subscribe { home: self.id, changes });
        }
    }

    /// Enters changes here; returns what each shard must know of them.
    fn enter(&mut self, id: SocketId, changes: Vec<SubscriptionChange>) -> Vec<(ShardId, Vec<Listening>)> {
        let slots = &self.server.slots;
        let mut told: Vec<(ShardId, Vec<Listening>)> =
            (0..slots.shards()).map(|shard| (shard, Vec::new())).collect();
        for change in changes {
            let connections = self.subscribers.change(id, &change);
            let SubscriptionChange { topic, name, .. } = change;
            let is_everywhere = topic.is_everywhere(&name);
            let counted_by = match topic {
                Topic::Pattern | Topic::Prefix => 0,
                Topic::Channel | Topic::ShardChannel => slots.owner_of_key(&name),
            };
            let name: Arc<[u8]> = name.into();
            for (shard, list) in &mut told {
                let is_own = *shard == counted_by;
                if is_own || is_everywhere {
                    list.push(Listening { topic, name: Arc::clone(&name), connections, is_own });
                }
            }
        }
        told.retain(|(_, list)| !list.is_empty());
        told
    }

    /// Brings the registers that count listening clients up to date with one of them.
    fn count_listener(&mut self, id: SocketId) {
        let Some(connection) = self.connection(id) else { return };
        let subscribes = connection.session.subscriptions.is_some();
        let caches = connection.session.tracking.is_some();
        let subscribed = std::mem::replace(&mut connection.is_subscriber, subscribes);
        let cached = std::mem::replace(&mut connection.is_caching, caches);
        let clients = &self.counters().pubsub_clients;
        clients.set(clients.get() + u64::from(subscribes) - u64::from(subscribed));
        match (cached, caches) {
            (false, true) => self.subscribers.caching.push(id),
            (true, false) => self.subscribers.caching.retain(|&caching| caching != id),
            _ => return,
        }
        self.counters().tracking_clients.set(self.subscribers.caching.len() as u64);
    }

    /// A connection is gone: so is all that it listened to.
    pub fn forget_listener(&mut self, id: SocketId, connection: &mut Connection) {
        connection.session.end_listening();
        let changes = std::mem::take(&mut connection.session.subscription_changes);
        if connection.is_subscriber {
            let clients = &self.counters().pubsub_clients;
            clients.set(clients.get().saturating_sub(1));
        }
        if connection.is_caching {
            self.subscribers.caching.retain(|&caching| caching != id);
            self.counters().tracking_clients.set(self.subscribers.caching.len() as u64);
        }
        self.send_subscriptions(id, changes);
    }

    /// CLIENT TRACKING with REDIRECT: the other clients were found, or are not there.
    pub fn begin_redirecting(&mut self, own: &mut Shard) {
        for (ticket, options, found) in std::mem::take(&mut self.redirecting) {
            self.begin_redirected(own, ticket, options, found);
        }
    }

    /// Passes on what this shard has to say to its own connections.
    pub fn hear(&mut self, own: &mut Shard) {
        self.deliver_posts(own.messages.take(self.id));
        // Behind a reply that is on its way, they go the same way.
        if own.outbox.iter().all(|&(to, _)| to != self.id) {
            self.deliver_posts(own.invalidations.take(self.id));
        }
    }

    /// Passes on what one shard had to say.
    pub fn deliver_posts(&mut self, posts: Vec<Post>) {
        // Several changes of one key become one message; the last who changed it counts.
        let mut followed: BTreeMap<Box<[u8]>, Option<Actor>> = BTreeMap::new();
        for post in posts {
            match post {
                Post::Published { publication, is_direct, patterns } => {
                    self.deliver_publication(&publication, is_direct, &patterns);
                }
                Post::Invalidated { connection, key, by } => {
                    self.invalidate(SocketId::from_u64(connection), &key, by);
                }
                Post::Followed { key, by } => {
                    followed.insert(key, by);
                }
                Post::Flushed => {
                    for id in self.subscribers.caching.clone() {
                        self.tell_caching(id, None);
                    }
                }
            }
        }
        if !followed.is_empty() {
            self.tell_followers(&followed);
        }
    }

    fn deliver_publication(&mut self, publication: &Publication, is_direct: bool, patterns: &[Arc<[u8]>]) {
        let (channel, payload) = publication.parts();
        if is_direct {
            let (topic, word) = match publication.is_sharded {
                false => (Topic::Channel, &b"message"[..]),
                true => (Topic::ShardChannel, &b"smessage"[..]),
            };
            let message = |reply: &mut Reply<'_>| {
                reply.push(3);
                [word, channel, payload].iter().for_each(|part| reply.bulk(part));
            };
            self.push_to_all(topic, channel, message);
        }
        for pattern in patterns {
            let message = |reply: &mut Reply<'_>| {
                reply.push(4);
                [b"pmessage", &**pattern, channel, payload].iter().for_each(|part| reply.bulk(part));
            };
            self.push_to_all(Topic::Pattern, pattern, message);
        }
    }

    /// Sends a message to every connection that listens to a topic.
    fn push_to_all(&mut self, topic: Topic, name: &[u8], write: impl Fn(&mut Reply<'_>)) {
        let Some(ids) = self.subscribers.topics[topic as usize].get_mut(name) else { return };
        let ids = std::mem::take(ids);
        let mut message = Encoded::new(write);
        let hard_bytes = self.hard_limit();
        for &id in &ids {
            let Some(connection) = self.connection(id) else { continue };
            let protocol = connection.session.caller.protocol;
            if append(connection, message.in_protocol(protocol), hard_bytes) {
                self.dirty.push(id);
            }
        }
        if let Some(place) = self.subscribers.topics[topic as usize].get_mut(name) {
            *place = ids;
        }
    }

    /// Bytes of output at which a subscriber is cut off; none for no limit.
    fn hard_limit(&self) -> Option<u64> {
        let limits = self.config.client_output_buffer_limits[ClientClass::Pubsub as usize];
        Some(limits.hard_bytes).filter(|&bytes| bytes > 0)
    }

    /// Sends a connection something that answers no request.
    fn push(&mut self, id: SocketId, message: &[u8]) {
        let hard_bytes = self.hard_limit();
        if let Some(connection) = self.connection(id)
            && append(connection, message, hard_bytes)
        {
            self.dirty.push(id);
        }
    }

    /// A key changed that a connection may have in its cache.
    fn invalidate(&mut self, id: SocketId, key: &[u8], by: Option<Actor>) {
        let own_change = by == Some((self.id, id.to_u64()));
        let Some(connection) = self.connection(id) else { return };
        let Some(tracking) = &connection.session.tracking else { return };
        if !(tracking.bcast || tracking.noloop && own_change) {
            self.tell_caching(id, Some(&[key]));
        }
    }

    /// Keys changed: tells those who follow a prefix of theirs, each once per prefix.
    fn tell_followers(&mut self, followed: &BTreeMap<Box<[u8]>, Option<Actor>>) {
        let prefixes: Vec<(Box<[u8]>, Vec<SocketId>)> =
            self.subscribers.topics[Topic::Prefix as usize].clone().into_iter().collect();
        for (prefix, ids) in prefixes {
            let changed = || {
                let from = followed
                    .range::<[u8], _>((std::ops::Bound::Included(&*prefix), std::ops::Bound::Unbounded));
                from.take_while(|(key, _)| key.starts_with(&prefix))
            };
            for id in ids {
                let Some(connection) = self.connection(id) else { continue };
                let noloop = connection.session.tracking.as_ref().is_some_and(|tracking| tracking.noloop);
                let own = Some((self.id, id.to_u64()));
                let keys: Vec<&[u8]> =
                    changed().filter(|(_, by)| !noloop || **by != own).map(|(key, _)| &**key).collect();
                if !keys.is_empty() {
                    self.tell_caching(id, Some(&keys));
                }
            }
        }
    }

    /// Tells a client that keys changed (`None`: all), or whom it named in its place.
    fn tell_caching(&mut self, id: SocketId, keys: Option<&[&[u8]]>) {
        let Some(connection) = self.connection(id) else { return };
        let Some(tracking) = &connection.session.tracking else { return };
        let Some(Redirect { target: (home, connection), .. }) = tracking.redirect else {
            if connection.session.caller.protocol == Protocol::Resp3 {
                self.push_invalidation(id, keys);
            }
            return;
        };
        if home != self.id {
            let keys = keys.map(|keys| keys.iter().map(|&key| Box::from(key)).collect());
            let redirected = ServerMessage::Redirected { from: (self.id, id.to_u64()), connection, keys };
            self.shards.send(home, Message::Server(redirected));
        } else if !self.push_invalidation(SocketId::from_u64(connection), keys) {
            self.misdirected(id);
        }
    }

    /// Tells a client of changes of keys that it, or another, caches; false when it is gone.
    fn push_invalidation(&mut self, id: SocketId, keys: Option<&[&[u8]]>) -> bool {
        // One that is about to be closed (QUIT) is gone for all others.
        let Some(connection) = self.connection(id).filter(|connection| connection.phase == Phase::Open)
        else {
            return false;
        };
        let protocol = connection.session.caller.protocol;
        let mut message = Vec::new();
        let mut reply = Reply::new(&mut message, protocol);
        if protocol == Protocol::Resp3 {
            reply.push(2);
            reply.bulk(b"invalidate");
        } else if connection.is_subscriber {
            reply.push(3);
            reply.bulk(b"message");
            reply.bulk(INVALIDATE_CHANNEL);
        } else {
            return true;
        }
        match keys {
            None => reply.null(),
            Some(keys) => {
                reply.array(keys.len());
                keys.iter().for_each(|key| reply.bulk(key));
            }
        }
        self.push(id, &message);
        true
    }

    /// Another shard's client caches keys and has its invalidations sent here.
    pub fn redirected(&mut self, from: Actor, connection: u64, keys: Option<Vec<Box<[u8]>>>) {
        let keys: Option<Vec<&[u8]>> = keys.as_ref().map(|keys| keys.iter().map(|key| &**key).collect());
        if !self.push_invalidation(SocketId::from_u64(connection), keys.as_deref()) {
            let (home, connection) = from;
            self.shards.send(home, Message::Server(ServerMessage::Misdirected { connection }));
        }
    }

    /// The client that a connection's invalidations go to is gone.
    pub fn misdirected(&mut self, id: SocketId) {
        let Some(connection) = self.connection(id) else { return };
        let protocol = connection.session.caller.protocol;
        let Some(tracking) = &mut connection.session.tracking else { return };
        tracking.is_broken = true;
        let client = tracking.redirect.map_or(0, |redirect| redirect.client);
        if protocol == Protocol::Resp3 {
            let mut message = Vec::new();
            let mut reply = Reply::new(&mut message, protocol);
            reply.push(2);
            reply.bulk(b"tracking-redir-broken");
            reply.int(client as i64);
            self.push(id, &message);
        }
    }

    /// The connection of a client of this shard.
    pub fn find_client(&self, client: u64) -> Option<SocketId> {
        let mut connections = self.connections.iter().flatten();
        let found = connections.find(|connection| connection.session.id == client)?;
        (found.phase == Phase::Open).then_some(found.socket)
    }

    fn begin_redirected(&mut self, own: &mut Shard, ticket: Ticket, options: Options, found: Option<Actor>) {
        let mut out = Vec::new();
        let mut reply = Reply::new(&mut out, Protocol::Resp2);
        let id = SocketId::from_u64(ticket.connection);
        match (self.connection(id), found, options.redirect) {
            (Some(connection), Some(target), Some(client)) => {
                connection.session.begin_tracking(options, Some(Redirect { client, target }));
                let changes = std::mem::take(&mut connection.session.subscription_changes);
                self.change_subscriptions(own, id, changes);
                reply.ok();
            }
            _ => reply.error("ERR The client ID you want redirect to does not exist"),
        }
        self.answer(ticket, &out);
    }
}
