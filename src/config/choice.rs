//! The values of enumerated directives: their names in Redis's order, and the types for those that the
//! server acts on. Which directive takes which is in the table.

use std::fmt;

use super::value::{FromValue, Value};

/// Names of an enumeration with the number that stands for each. Several names may share a number; the first
/// of them is the one answered. For sets the numbers are bits.
pub(super) type Names = &'static [(&'static str, u32)];

macro_rules! choices {
    ($($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident = $text:literal,)+ })+) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$variant_doc])* $variant,)+ }

        impl $name {
            pub(super) const NAMES: Names = &[$(($text, $name::$variant as u32)),+];

            /// The name in redis.conf.
            pub fn name(self) -> &'static str {
                match self { $($name::$variant => $text,)+ }
            }
        }

        impl FromValue for $name {
            fn from_value(value: &Value) -> Self {
                match value {
                    $(Value::Choice(number) if *number == $name::$variant as u32 => $name::$variant,)+
                    other => panic!("{other:?} is no {}", stringify!($name)),
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                formatter.write_str(self.name())
            }
        }
    )+};
}

choices! {
    /// What goes first when memory is short (`maxmemory-policy`).
    MaxmemoryPolicy {
        /// The least recently used key that has an expiry.
        VolatileLru = "volatile-lru",
        /// The least frequently used key that has an expiry.
        VolatileLfu = "volatile-lfu",
        /// Any key that has an expiry.
        VolatileRandom = "volatile-random",
        /// The key that expires soonest.
        VolatileTtl = "volatile-ttl",
        /// The least recently used key.
        AllkeysLru = "allkeys-lru",
        /// The least frequently used key.
        AllkeysLfu = "allkeys-lfu",
        /// Any key.
        AllkeysRandom = "allkeys-random",
        /// Nothing: writes that need memory are refused.
        NoEviction = "noeviction",
    }

    /// The least severity that is logged (`loglevel`).
    LogLevel {
        /// Everything.
        Debug = "debug",
        /// Also what is rarely useful.
        Verbose = "verbose",
        /// What an operator wants to know.
        Notice = "notice",
        /// Only what is wrong.
        Warning = "warning",
        /// Nothing at all.
        Nothing = "nothing",
    }

    /// Who may use what can be abused (`enable-debug-command`, `enable-protected-configs`).
    ProtectedAction {
        /// Nobody.
        No = "no",
        /// Everybody.
        Yes = "yes",
        /// Connections from this machine.
        Local = "local",
    }

    /// How often the append-only file is synced (`appendfsync`).
    AppendFsync {
        /// Once a second.
        EverySecond = "everysec",
        /// Before each reply to a write.
        Always = "always",
        /// Whenever the kernel likes.
        No = "no",
    }

    /// How a replica loads a snapshot from the socket (`repl-diskless-load`).
    DisklessLoad {
        /// Never, it goes through a file.
        Disabled = "disabled",
        /// Only while it holds no data.
        OnEmptyDb = "on-empty-db",
        /// Beside the old data, which serves until the new is complete.
        SwapDb = "swapdb",
    }

    /// Whether payloads of RESTORE and snapshots are checked in depth (`sanitize-dump-payload`).
    SanitizeDumpPayload {
        /// Never.
        No = "no",
        /// Always.
        Yes = "yes",
        /// Only those that clients send.
        Clients = "clients",
    }

    /// What new users may hear (`acl-pubsub-default`).
    AclPubsubDefault {
        /// Every channel.
        AllChannels = "allchannels",
        /// No channel.
        ResetChannels = "resetchannels",
    }

    /// What CLUSTER SLOTS calls a node (`cluster-preferred-endpoint-type`).
    EndpointType {
        /// By its address.
        Ip = "ip",
        /// By its name.
        Hostname = "hostname",
        /// Not at all: the client uses the address that it knows.
        UnknownEndpoint = "unknown-endpoint",
    }

    /// How strictly a pipeline's commands on different shards keep their order (`pipeline-order`).
    PipelineOrder {
        /// Plain commands for different shards run concurrently; replies keep their order.
        Relaxed = "relaxed",
        /// Each command waits for the ones before it.
        Strict = "strict",
    }

    /// Which operations of the kernel's ring are used (`io-mode`).
    IoMode {
        /// What the probe finds.
        Auto = "auto",
        /// Multishot accept and receive (kernel 6.0).
        Multishot = "multishot",
        /// One-shot operations and no special ring flags (kernel 5.11).
        Plain = "plain",
    }
}

bitflags::bitflags! {
    /// What a signal asks of the shutdown (`shutdown-on-sigint`, `shutdown-on-sigterm`). Empty: save if save points are set.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct ShutdownFlags: u32 {
        /// Save even without save points.
        const SAVE = 1;
        /// Do not save.
        const NOSAVE = 2;
        /// Do not wait for replicas that lag.
        const NOW = 4;
        /// Exit even when saving fails.
        const FORCE = 8;
    }

    /// Classes of keyspace events (`notify-keyspace-events`); the letter of each is in redis.conf.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct KeyspaceEvents: u32 {
        /// `K`: publish to `__keyspace@<db>__:<key>`.
        const KEYSPACE = 1;
        /// `E`: publish to `__keyevent@<db>__:<event>`.
        const KEYEVENT = 1 << 1;
        /// `g`: commands of no type, such as DEL.
        const GENERIC = 1 << 2;
        /// `$`: strings.
        const STRING = 1 << 3;
        /// `l`: lists.
        const LIST = 1 << 4;
        /// `s`: sets.
        const SET = 1 << 5;
        /// `h`: hashes.
        const HASH = 1 << 6;
        /// `z`: sorted sets.
        const ZSET = 1 << 7;
        /// `x`: a key expired.
        const EXPIRED = 1 << 8;
        /// `e`: a key was evicted.
        const EVICTED = 1 << 9;
        /// `t`: streams.
        const STREAM = 1 << 10;
        /// `m`: a key was missed; not part of `A`.
        const KEY_MISS = 1 << 11;
        /// `d`: module types.
        const MODULE = 1 << 13;
        /// `n`: a new key; not part of `A`.
        const NEW = 1 << 14;
        /// `A`: everything but misses and new keys.
        const ALL = Self::GENERIC.bits() | Self::STRING.bits() | Self::LIST.bits() | Self::SET.bits()
            | Self::HASH.bits() | Self::ZSET.bits() | Self::EXPIRED.bits() | Self::EVICTED.bits()
            | Self::STREAM.bits() | Self::MODULE.bits();
    }
}

pub(super) const SHUTDOWN_FLAGS: Names = &[
    ("default", 0),
    ("save", ShutdownFlags::SAVE.bits()),
    ("nosave", ShutdownFlags::NOSAVE.bits()),
    ("now", ShutdownFlags::NOW.bits()),
    ("force", ShutdownFlags::FORCE.bits()),
];
pub(super) const SUPERVISED: Names = &[("upstart", 0), ("systemd", 1), ("auto", 2), ("no", 3)];
pub(super) const SYSLOG_FACILITY: Names = &[
    ("user", 0),
    ("local0", 1),
    ("local1", 2),
    ("local2", 3),
    ("local3", 4),
    ("local4", 5),
    ("local5", 6),
    ("local6", 7),
    ("local7", 8),
];
pub(super) const TLS_AUTH_CLIENTS: Names = &[("no", 0), ("yes", 1), ("optional", 2)];
pub(super) const OOM_SCORE_ADJ: Names = &[("no", 0), ("yes", 1), ("relative", 1), ("absolute", 2)];
pub(super) const PROPAGATION_ERRORS: Names = &[("ignore", 0), ("panic", 1), ("panic-on-replicas", 2)];

impl MaxmemoryPolicy {
    /// Whether only keys with an expiry are evicted.
    pub fn is_volatile(self) -> bool {
        matches!(self, Self::VolatileLru | Self::VolatileLfu | Self::VolatileRandom | Self::VolatileTtl)
    }

    /// Whether the least frequently used key goes.
    pub fn is_lfu(self) -> bool {
        matches!(self, Self::VolatileLfu | Self::AllkeysLfu)
    }

    /// Whether the least recently used key goes.
    pub fn is_lru(self) -> bool {
        matches!(self, Self::VolatileLru | Self::AllkeysLru)
    }

    /// Whether chance decides.
    pub fn is_random(self) -> bool {
        matches!(self, Self::VolatileRandom | Self::AllkeysRandom)
    }
}

/// Letters of [`KeyspaceEvents`] in the order in which they are answered: first those of `A`.
const EVENT_LETTERS: [(u8, KeyspaceEvents); 14] = [
    (b'g', KeyspaceEvents::GENERIC),
    (b'$', KeyspaceEvents::STRING),
    (b'l', KeyspaceEvents::LIST),
    (b's', KeyspaceEvents::SET),
    (b'h', KeyspaceEvents::HASH),
    (b'z', KeyspaceEvents::ZSET),
    (b'x', KeyspaceEvents::EXPIRED),
    (b'e', KeyspaceEvents::EVICTED),
    (b't', KeyspaceEvents::STREAM),
    (b'd', KeyspaceEvents::MODULE),
    (b'n', KeyspaceEvents::NEW),
    (b'K', KeyspaceEvents::KEYSPACE),
    (b'E', KeyspaceEvents::KEYEVENT),
    (b'm', KeyspaceEvents::KEY_MISS),
];

impl KeyspaceEvents {
    /// The classes that `letters` name, `None` if one of them is no class.
    pub fn parse(letters: &[u8]) -> Option<KeyspaceEvents> {
        letters.iter().try_fold(KeyspaceEvents::empty(), |events, &letter| {
            let class = match letter {
                b'A' => KeyspaceEvents::ALL,
                _ => EVENT_LETTERS.iter().find(|(known, _)| *known == letter)?.1,
            };
            Some(events | class)
        })
    }

    /// The letters as CONFIG GET answers them. `A` swallows `n` as well, as in Redis.
    pub fn letters(self) -> String {
        let swallowed = if self.contains(KeyspaceEvents::ALL) {
            KeyspaceEvents::ALL | KeyspaceEvents::NEW
        } else {
            KeyspaceEvents::empty()
        };
        let mut letters = String::from(if swallowed.is_empty() { "" } else { "A" });
        let spelled =
            EVENT_LETTERS.iter().filter(|(_, class)| self.contains(*class) && !swallowed.contains(*class));
        letters.extend(spelled.map(|(letter, _)| char::from(*letter)));
        letters
    }
}
