//! The command table and its handlers.
//!
//! One [`Command`] row declares a command: name, arity, flags, key positions, routing, handler and documentation.
//! `COMMAND` answers from it, routing and gates use it, tests walk it. Handlers are plain functions: those of
//! [`Run::Keyspace`] work on the shard that owns their keys through a [`context::Context`]; those of [`Run::Home`]
//! work on the client's session through a [`home::HomeContext`]. None of them can wait, none knows sockets,
//! channels or the runtime, and what they want from floors above they return as a [`home::Then`].

pub mod args;
#[cfg(test)]
pub mod case;
pub mod context;
pub mod description;
pub mod effect;
pub mod gate;
pub mod home;
pub mod keys;
pub mod merge;
pub mod notice;
pub mod routing;
pub mod session;
pub mod slice;
pub mod syntax;
pub mod table;

pub mod bitmap;
pub mod client;
pub mod cluster;
pub mod connection;
pub mod generic;
pub mod geo;
pub mod hash;
pub mod hyperloglog;
pub mod introspection;
pub mod list;
pub mod pubsub;
pub mod server;
pub mod set;
pub mod sorted_set;
pub mod stream;
pub mod string;
pub mod tracking;
pub mod transaction;
pub mod undelivered;

pub use context::Context;
pub use home::{HomeContext, Then};
pub use keys::KeySpec;
pub use merge::Merge;
pub use syntax::Argument;

bitflags::bitflags! {
    /// What Redis calls command flags, as `COMMAND INFO` names them, and two of our own.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Flags: u32 {
        /// May change the dataset.
        const WRITE = 1 << 0;
        /// Never changes the dataset.
        const READONLY = 1 << 1;
        /// Refused when memory is short.
        const DENYOOM = 1 << 2;
        /// Administration.
        const ADMIN = 1 << 3;
        /// Publish and subscribe.
        const PUBSUB = 1 << 4;
        /// Not allowed in scripts.
        const NOSCRIPT = 1 << 5;
        /// May block its client.
        const BLOCKING = 1 << 6;
        /// Allowed while the dataset is loading.
        const LOADING = 1 << 7;
        /// Allowed on a replica with stale data.
        const STALE = 1 << 8;
        /// Not shown to MONITOR.
        const SKIP_MONITOR = 1 << 9;
        /// Not kept in the slow log.
        const SKIP_SLOWLOG = 1 << 10;
        /// Like `asking` of a cluster client.
        const ASKING = 1 << 11;
        /// Constant or logarithmic time: may run on a borrowed shard.
        const FAST = 1 << 12;
        /// Allowed before authentication.
        const NO_AUTH = 1 << 13;
        /// May replicate although it is no write.
        const MAY_REPLICATE = 1 << 14;
        /// Not allowed inside MULTI.
        const NO_MULTI = 1 << 15;
        /// Has keys that the key specifications do not tell.
        const MOVABLE_KEYS = 1 << 16;
        /// Allowed while a script or a module is busy.
        const ALLOW_BUSY = 1 << 17;
        /// Not propagated asynchronously.
        const NO_ASYNC_LOADING = 1 << 18;
        /// A container's row is not shown by COMMAND although lookups see its subcommands (DEBUG).
        const HIDDEN_SUBCOMMANDS = 1 << 19;
        /// The keys it names are not its only keys (an optional destination database and the like).
        const TOUCHES_ARBITRARY_KEYS = 1 << 20;
        /// Runs immediately even inside MULTI (EXEC, DISCARD, MULTI, WATCH, QUIT, RESET).
        const NOT_QUEUED = 1 << 21;
        /// Sentinel also serves it; shown only in documentation.
        const SENTINEL = 1 << 22;
        /// Only where a directive such as `enable-debug-command` allows it.
        const PROTECTED = 1 << 23;
        /// May be called without any key although it has key specifications (EVAL).
        const NO_MANDATORY_KEYS = 1 << 24;
        /// Used by servers among themselves; shown only in documentation.
        const SYSTEM = 1 << 25;
    }
}

/// Groups of commands as the documentation and ACL categories name them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Any key, whatever its type.
    Generic,
    /// Strings.
    String,
    /// Bitmaps.
    Bitmap,
    /// Lists.
    List,
    /// Sets.
    Set,
    /// Sorted sets.
    SortedSet,
    /// Hashes.
    Hash,
    /// Publish and subscribe.
    Pubsub,
    /// MULTI and its kin.
    Transactions,
    /// The connection itself.
    Connection,
    /// The server.
    Server,
    /// Scripts and functions.
    Scripting,
    /// HyperLogLog.
    HyperLogLog,
    /// Cluster.
    Cluster,
    /// Geo.
    Geo,
    /// Streams.
    Stream,
}

impl Group {
    /// The name that COMMAND DOCS gives it.
    pub const fn name(self) -> &'static str {
        match self {
            Group::Generic => "generic",
            Group::String => "string",
            Group::Bitmap => "bitmap",
            Group::List => "list",
            Group::Set => "set",
            Group::SortedSet => "sorted-set",
            Group::Hash => "hash",
            Group::Pubsub => "pubsub",
            Group::Transactions => "transactions",
            Group::Connection => "connection",
            Group::Server => "server",
            Group::Scripting => "scripting",
            Group::HyperLogLog => "hyperloglog",
            Group::Cluster => "cluster",
            Group::Geo => "geo",
            Group::Stream => "stream",
        }
    }
}

/// How a command whose keys are on several shards is carried out. On one shard it just runs there.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Route {
    /// Runs on the home shard and has no keys of the keyspace.
    Home,
    /// Has keys. Over several shards, each shard runs the handler with the arguments of its own keys, and the replies
    /// are merged. The key specification tells how many arguments belong to a key (its step).
    Split(Merge),
    /// Has keys. Over several shards, the entries of all keys are brought together under their locks, the handler
    /// runs once over them, and they go back. Also right for a command with exactly one key.
    Gather,
    /// Like [`Route::Gather`]; patterns among its arguments may name further keys, which are known only once its own are
    /// read (SORT). With such a pattern it locks whole shards.
    Patterns,
    /// Runs on every shard with the whole shards locked, then the replies are merged.
    EveryShard(Merge),
    /// Runs on the shard that the cursor in argument 1 names (SCAN).
    Cursor,
    /// Runs on the shard of the slot of the channel in argument 1 (PUBLISH), behind everything that its connection sent
    /// before: others can see it.
    Channel,
}

/// A handler over a client's session.
pub type HomeHandler = fn(&mut HomeContext<'_>, &[&[u8]]) -> Then;

/// The handler of a command.
#[derive(Clone, Copy)]
pub enum Run {
    /// Runs on the shard that owns the keys.
    Keyspace(fn(&mut Context<'_>, &[&[u8]])),
    /// Runs on the client's home shard, over its session.
    Home(HomeHandler),
    /// A container: only its subcommands run.
    Container,
}

impl std::fmt::Debug for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Run::Keyspace(_) => "Keyspace",
            Run::Home(_) => "Home",
            Run::Container => "Container",
        })
    }
}

/// One row of the command table. Build it with [`Command::new`] and the `const` setters.
#[derive(Clone, Copy, Debug)]
pub struct Command {
    /// Its number in statistics: its place in [`table::rows`]. Rows that a lookup yields have it; constants have 0.
    pub index: u16,
    /// Lower-case name; of a subcommand only its own part (`list` of `client|list`).
    pub name: &'static str,
    /// The whole name as errors and statistics show it (`client|list`).
    pub full_name: &'static str,
    /// Number of arguments with the name, or minus the least number.
    pub arity: i32,
    /// Flags.
    pub flags: Flags,
    /// Group.
    pub group: Group,
    /// Where the keys are.
    pub keys: &'static [KeySpec],
    /// Position of the only key, when there is one at a fixed place; else 0.
    pub single_key: u8,
    /// Position of the element of a collection that it looks for first, to be fetched ahead of time; else 0.
    pub element: u8,
    /// How it finds its shard or shards.
    pub route: Route,
    /// The handler.
    pub run: Run,
    /// First version of Redis (or of another server, for newer ones) that had it.
    pub since: &'static str,
    /// One sentence for COMMAND DOCS, in our own words.
    pub summary: &'static str,
    /// Cost for COMMAND DOCS.
    pub complexity: &'static str,
    /// Version since which it is deprecated, and what to use in its place.
    pub deprecated: Option<(&'static str, &'static str)>,
    /// Its syntax for COMMAND DOCS. Rows that a lookup yields have it, from [`syntax`]; constants have none.
    pub arguments: &'static [Argument],
    /// Tips for clients, as COMMAND INFO lists them (`request_policy:multi_shard`).
    pub tips: &'static [&'static str],
    /// Further ACL categories beyond those that flags and group imply (`keyspace`, `dangerous`).
    pub categories: &'static [&'static str],
    /// Subcommands of a container.
    pub subcommands: &'static [Command],
}

impl Command {
    /// A row with no keys, no flags and no documentation yet; for a subcommand give `client|list`.
    pub const fn new(full_name: &'static str, arity: i32, group: Group, run: Run) -> Self {
        let route = match run {
            Run::Keyspace(_) => Route::Gather,
            _ => Route::Home,
        };
        Self {
            index: 0,
            name: own_name(full_name),
            full_name,
            arity,
            flags: Flags::empty(),
            group,
            keys: &[],
            single_key: 0,
            element: 0,
            route,
            run,
            since: "1.0.0",
            summary: "",
            complexity: "O(1)",
            deprecated: None,
            arguments: &[],
            tips: &[],
            categories: &[],
            subcommands: &[],
        }
    }

    /// Sets the flags.
    pub const fn flags(mut self, flags: Flags) -> Self {
        self.flags = flags;
        self
    }

    /// Sets where the keys are.
    pub const fn keys(mut self, keys: &'static [KeySpec]) -> Self {
        self.keys = keys;
        self.single_key = match keys {
            [spec] => spec.fixed_position() as u8,
            _ => 0,
        };
        self
    }

    /// Sets where the element stands that it looks for first.
    pub const fn element(mut self, at: u8) -> Self {
        self.element = at;
        self
    }

    /// The key of a command that always has exactly one.
    #[inline]
    pub fn single_key<'a>(&self, arguments: &[&'a [u8]]) -> Option<&'a [u8]> {
        if self.single_key == 0 { None } else { arguments.get(usize::from(self.single_key)).copied() }
    }

    /// Sets the route.
    pub const fn route(mut self, route: Route) -> Self {
        self.route = route;
        self
    }

    /// Sets first version, summary and cost.
    pub const fn docs(
        mut self,
        since: &'static str,
        summary: &'static str,
        complexity: &'static str,
    ) -> Self {
        self.since = since;
        self.summary = summary;
        self.complexity = complexity;
        self
    }

    /// Sets since when it is deprecated and what replaces it.
    pub const fn deprecated(mut self, since: &'static str, replaced_by: &'static str) -> Self {
        self.deprecated = Some((since, replaced_by));
        self
    }

    /// Sets the tips.
    pub const fn tips(mut self, tips: &'static [&'static str]) -> Self {
        self.tips = tips;
        self
    }

    /// Sets further ACL categories.
    pub const fn categories(mut self, categories: &'static [&'static str]) -> Self {
        self.categories = categories;
        self
    }

    /// Sets the subcommands of a container.
    pub const fn subcommands(mut self, subcommands: &'static [Command]) -> Self {
        self.subcommands = subcommands;
        self
    }

    /// Whether `count` arguments, the name among them, are right for this row.
    pub const fn arity_fits(&self, count: usize) -> bool {
        if self.arity >= 0 {
            count == self.arity as usize
        } else {
            count >= self.arity.unsigned_abs() as usize
        }
    }

    /// Whether it is done in about constant time, so that it may run on a borrowed shard. Redis calls some such
    /// commands (SET) slow, since what they replace may be large; here that is freed in slices.
    #[inline]
    pub fn is_quick(&self) -> bool {
        let is_short = self.flags.contains(Flags::FAST) || self.complexity.starts_with("O(1)");
        is_short && !self.flags.contains(Flags::BLOCKING)
    }

    /// Whether it may change the dataset.
    pub const fn is_write(&self) -> bool {
        self.flags.contains(Flags::WRITE)
    }
}

/// What stands behind the last `|`.
const fn own_name(full_name: &'static str) -> &'static str {
    let bytes = full_name.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'|' {
            let (_, own) = full_name.split_at(at + 1);
            return own;
        }
        at += 1;
    }
    full_name
}
