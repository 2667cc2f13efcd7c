//! What the server knows of one client: plain data on its home shard, without sockets.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::args::{OwnedArgs, OwnedCommand};
use super::pubsub::{SubscriptionChange, Subscriptions, Topic};
use super::tracking::{Options, Redirect, Tracking};
use super::{Command, Flags};
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::resp::reply::Protocol;
use crate::store::entry::Entry;

/// What travels with a command to the shard that runs it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Caller {
    /// Selected database.
    pub database: u32,
    /// Protocol in which to reply.
    pub protocol: Protocol,
    /// CLIENT NO-TOUCH: reading does not change how recently or how often a key was used.
    pub no_touch: bool,
    /// CLIENT TRACKING: the shard remembers which keys it reads.
    pub tracks: bool,
    /// Whether it came over a port on which other shards' keys are answered with MOVED.
    pub cluster_port: bool,
    /// Whether it is the master's stream: what that did is not judged again.
    pub from_master: bool,
}

impl Caller {
    /// Whether it sees nothing of the entry since its time is over. A master's stream sees it until the master removes it.
    #[inline]
    pub fn is_over(&self, entry: &Entry, now: UnixMillis) -> bool {
        entry.is_expired(now) && !self.from_master
    }
}

/// CLIENT REPLY.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ReplyMode {
    /// Every command is answered.
    #[default]
    On,
    /// No command is answered.
    Off,
    /// The command after this one is not answered.
    SkipNext,
    /// The command that runs is not answered.
    Skip,
}

impl ReplyMode {
    /// To be called when a command has run: says whether its reply is sent, and moves on to the next command.
    pub fn settle(&mut self) -> bool {
        let answered = *self == Self::On;
        *self = match *self {
            Self::SkipNext => Self::Skip,
            Self::Skip => Self::On,
            other => other,
        };
        answered
    }
}

/// A key that the client watches.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Watch {
    /// Shard that owns it.
    pub shard: ShardId,
    /// Database.
    pub database: u32,
    /// The key.
    pub key: Box<[u8]>,
    /// Its version when WATCH ran.
    pub version: u64,
}

/// Commands queued since MULTI.
#[derive(Clone, Debug, Default)]
pub struct Queue {
    /// The commands.
    pub commands: Vec<OwnedCommand>,
    /// Flags of all of them together.
    pub flags: u32,
    /// Whether a command was refused while queueing, so that EXEC must refuse too.
    pub refused: bool,
}

impl Queue {
    /// Queues a copy of a command.
    pub fn push(&mut self, row: &'static Command, arguments: &[&[u8]]) {
        self.flags |= row.flags.bits();
        self.commands.push(OwnedCommand { row, arguments: OwnedArgs::copy(arguments) });
    }

    /// The flags of all queued commands together.
    pub fn flags(&self) -> Flags {
        Flags::from_bits_truncate(self.flags)
    }

    /// Bytes that the queue holds.
    pub fn memory_usage(&self) -> usize {
        self.commands
            .iter()
            .map(|command| {
                command.arguments.bytes_len() + command.arguments.len() * 4 + size_of::<OwnedCommand>()
            })
            .sum()
    }
}

/// What commands change about a session: taken before those of a transaction are tried over it, and put back, since watched
/// keys may still prevent it.
#[derive(Clone, Debug)]
pub struct Changeable {
    name: Box<[u8]>,
    library_name: Box<[u8]>,
    library_version: Box<[u8]>,
    user: Box<[u8]>,
    authenticated: bool,
    caller: Caller,
    no_evict: bool,
    reply_mode: ReplyMode,
    cluster_read_only: bool,
    subscriptions: Option<Box<Subscriptions>>,
    tracking: Option<Box<Tracking>>,
}

/// What a replica says of itself (REPLCONF).
#[derive(Clone, Debug, Default)]
pub struct ReplicaHello {
    /// The port it listens on.
    pub port: u16,
    /// The address it announces.
    pub address: Option<Box<str>>,
    /// Whether it finds the end of a snapshot of unknown size.
    pub knows_eof: bool,
    /// Whether it takes a new id with `+CONTINUE`.
    pub knows_psync2: bool,
    /// Whether it wants a snapshot and nothing else.
    pub only_snapshot: bool,
    /// Whether it has asked for the stream.
    pub follows: bool,
}

/// One client.
#[derive(Debug)]
pub struct Session {
    /// Unique number, never used again.
    pub id: u64,
    /// CLIENT SETNAME.
    pub name: Box<[u8]>,
    /// CLIENT SETINFO LIB-NAME.
    pub library_name: Box<[u8]>,
    /// CLIENT SETINFO LIB-VER.
    pub library_version: Box<[u8]>,
    /// User it authenticated as.
    pub user: Box<[u8]>,
    /// Whether it may run commands that need authentication.
    pub authenticated: bool,
    /// What travels with its commands.
    pub caller: Caller,
    /// CLIENT NO-EVICT.
    pub no_evict: bool,
    /// CLIENT REPLY.
    pub reply_mode: ReplyMode,
    /// Commands since MULTI, while in a transaction.
    pub queue: Option<Box<Queue>>,
    /// Watched keys.
    pub watches: Vec<Watch>,
    /// Keys whose watch ended and whose owners must be told; the connection's loop empties it.
    pub unwatched: Vec<Watch>,
    /// Channels and patterns that it is subscribed to; `None` for none.
    pub subscriptions: Option<Box<Subscriptions>>,
    /// CLIENT TRACKING.
    pub tracking: Option<Box<Tracking>>,
    /// Subscriptions that began or ended and that nobody was told of; the connection's loop empties it.
    pub subscription_changes: Vec<SubscriptionChange>,
    /// What it said of itself as a replica.
    pub replica: Option<Box<ReplicaHello>>,
    /// MONITOR.
    pub monitor: bool,
    /// READONLY of a cluster client.
    pub cluster_read_only: bool,
    /// When it connected.
    pub created_at: UnixMillis,
    /// When it last sent something.
    pub active_at: UnixMillis,
    /// Row of the last command, for CLIENT LIST.
    pub last_command: Option<&'static Command>,
    /// Its address as CLIENT LIST shows it.
    pub peer_address: Box<str>,
    /// The server's address on this connection.
    pub local_address: Box<str>,
}

impl Session {
    /// A fresh client.
    pub fn new(id: u64, now: UnixMillis, authenticated: bool) -> Self {
        Self {
            id,
            name: Box::default(),
            library_name: Box::default(),
            library_version: Box::default(),
            user: Box::from(&b"default"[..]),
            authenticated,
            caller: Caller::default(),
            no_evict: false,
            reply_mode: ReplyMode::On,
            queue: None,
            watches: Vec::new(),
            unwatched: Vec::new(),
            subscriptions: None,
            tracking: None,
            subscription_changes: Vec::new(),
            replica: None,
            monitor: false,
            cluster_read_only: false,
            created_at: now,
            active_at: now,
            last_command: None,
            peer_address: Box::default(),
            local_address: Box::default(),
        }
    }

    /// Whether it is a replica that takes the stream.
    pub fn follows(&self) -> bool {
        self.replica.as_ref().is_some_and(|replica| replica.follows)
    }

    /// Selected database.
    pub fn database(&self) -> usize {
        self.caller.database as usize
    }

    /// Whether every command that is right in itself may run at once: the client has authenticated, is not in a
    /// transaction, and is not restricted to what subscribers may do.
    #[inline]
    pub fn is_plain(&self) -> bool {
        self.authenticated && self.queue.is_none() && !self.only_subscribes()
    }

    /// Whether it may do nothing but change its subscriptions: what it receives is either replies or messages.
    #[inline]
    pub fn only_subscribes(&self) -> bool {
        self.subscriptions.is_some() && self.caller.protocol == Protocol::Resp2
    }

    /// Begins a subscription, unless there is that already.
    pub fn subscribe(&mut self, topic: Topic, name: &[u8]) {
        if self.subscriptions.get_or_insert_default().begin(topic, name) {
            let name = Box::from(name);
            self.subscription_changes.push(SubscriptionChange { topic, name, begins: true });
        }
    }

    /// Ends a subscription, if there is that.
    pub fn unsubscribe(&mut self, topic: Topic, name: &[u8]) {
        let Some(subscriptions) = &mut self.subscriptions else { return };
        if subscriptions.end(topic, name) {
            let name = Box::from(name);
            self.subscription_changes.push(SubscriptionChange { topic, name, begins: false });
        }
        if subscriptions.is_empty() {
            self.subscriptions = None;
        }
    }

    /// Ends all subscriptions, and all following of keys.
    pub fn end_listening(&mut self) {
        if let Some(subscriptions) = self.subscriptions.take() {
            let ended = |(topic, name)| SubscriptionChange { topic, name, begins: false };
            self.subscription_changes.extend(subscriptions.into_all().map(ended));
        }
        self.end_tracking();
    }

    /// CLIENT TRACKING ON; `redirect` is the client that is told instead.
    pub fn begin_tracking(&mut self, options: Options, redirect: Option<Redirect>) {
        let Options { bcast, optin, optout, noloop, mut prefixes, .. } = options;
        let earlier = self.tracking.take().unwrap_or_default();
        let (mut known, caching) = (earlier.prefixes, earlier.caching);
        if bcast && prefixes.is_empty() {
            prefixes.push(Box::default());
        }
        for name in prefixes {
            if known.insert(name.clone()) {
                let change = SubscriptionChange { topic: Topic::Prefix, name, begins: true };
                self.subscription_changes.push(change);
            }
        }
        let tracking =
            Tracking { redirect, bcast, optin, optout, noloop, caching, is_broken: false, prefixes: known };
        self.tracking = Some(Box::new(tracking));
        self.follow();
    }

    /// CLIENT TRACKING OFF.
    pub fn end_tracking(&mut self) {
        if let Some(tracking) = self.tracking.take() {
            let ended = |name| SubscriptionChange { topic: Topic::Prefix, name, begins: false };
            self.subscription_changes.extend(tracking.prefixes.into_iter().map(ended));
        }
        self.follow();
    }

    /// Says with its commands whether their keys are followed.
    pub fn follow(&mut self) {
        self.caller.tracks = self.tracking.as_ref().is_some_and(|tracking| tracking.follows_next());
    }

    /// A command has run: what CLIENT CACHING said was for it, unless a transaction has begun or it was a CLIENT.
    #[inline]
    pub fn end_caching(&mut self) {
        if let Some(tracking) = &mut self.tracking
            && tracking.caching
            && self.queue.is_none()
            && !self.last_command.is_some_and(|row| row.full_name.starts_with("client|"))
        {
            tracking.caching = false;
            self.follow();
        }
    }

    /// Whether the client is on this machine: it came through the Unix socket or over the loopback address.
    pub fn is_local(&self) -> bool {
        let host = self.peer_address.rsplit_once(':').map_or(&*self.peer_address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        match host.parse::<IpAddr>() {
            Ok(address) => address == Ipv4Addr::LOCALHOST || address == Ipv6Addr::LOCALHOST,
            Err(_) => !host.is_empty(),
        }
    }

    /// What commands may change, as it is now.
    pub fn changeable(&self) -> Changeable {
        Changeable {
            name: self.name.clone(),
            library_name: self.library_name.clone(),
            library_version: self.library_version.clone(),
            user: self.user.clone(),
            authenticated: self.authenticated,
            caller: self.caller,
            no_evict: self.no_evict,
            reply_mode: self.reply_mode,
            cluster_read_only: self.cluster_read_only,
            subscriptions: self.subscriptions.clone(),
            tracking: self.tracking.clone(),
        }
    }

    /// Puts back what commands changed since [`Session::changeable`].
    pub fn restore(&mut self, before: Changeable) {
        self.name = before.name;
        self.library_name = before.library_name;
        self.library_version = before.library_version;
        self.user = before.user;
        self.authenticated = before.authenticated;
        self.caller = before.caller;
        self.no_evict = before.no_evict;
        self.reply_mode = before.reply_mode;
        self.cluster_read_only = before.cluster_read_only;
        self.subscriptions = before.subscriptions;
        self.tracking = before.tracking;
        self.subscription_changes.clear();
    }

    /// RESET: how the client began, but for what describes its library. `authenticated` says whether one may run
    /// commands without a password.
    pub fn reset(&mut self, authenticated: bool) {
        self.discard();
        self.end_listening();
        self.name = Box::default();
        self.user = Box::from(&b"default"[..]);
        self.authenticated = authenticated;
        self.caller = Caller::default();
        self.no_evict = false;
        self.reply_mode = ReplyMode::On;
        self.cluster_read_only = false;
    }

    /// Ends all watches.
    pub fn unwatch(&mut self) {
        self.unwatched.append(&mut self.watches);
    }

    /// Ends a transaction without running it.
    pub fn discard(&mut self) {
        self.queue = None;
        self.unwatch();
    }
}
