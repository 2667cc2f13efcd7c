//! What handlers of [`super::Run::Home`] work with, and what they can ask of the floors above.

use std::sync::Arc;

use rand::rngs::SmallRng;

use super::args::OwnedArgs;
use super::session::Session;
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::config::{Config, Primary, ShutdownFlags};
use crate::resp::Reply;
use crate::state::Server;

/// The client's session, the process-wide registers and the reply.
pub struct HomeContext<'a> {
    /// The client.
    pub session: &'a mut Session,
    /// What all shards share.
    pub server: &'a Server,
    /// The configuration as of this tick.
    pub config: &'a Arc<Config>,
    /// The home shard.
    pub shard: ShardId,
    /// Wall clock of this tick.
    pub now: UnixMillis,
    /// Source of chance.
    pub rng: &'a mut SmallRng,
    /// Whether the command runs inside EXEC, so that it must answer with one reply.
    pub is_inside_exec: bool,
    /// Where the reply goes.
    pub reply: Reply<'a>,
}

impl HomeContext<'_> {
    /// Replies `+OK` and is done.
    pub fn ok(&mut self) -> Then {
        self.reply.ok();
        Then::Done
    }

    /// Replies with an error and is done.
    pub fn error(&mut self, text: impl AsRef<[u8]>) -> Then {
        self.reply.error(text);
        Then::Done
    }
}

/// What happens after a handler on the home shard.
#[derive(Debug)]
pub enum Then {
    /// Nothing: the reply is written.
    Done,
    /// Nothing: what is written are messages, which CLIENT REPLY does not hold back.
    Pushed,
    /// The connection ends once the reply is sent.
    Close,
    /// EXEC: the queued transaction runs and replies.
    Exec,
    /// The floor above does something and replies.
    Ask(Ask),
}

/// Something that needs connections, other shards or the process; the server floor does it and replies.
#[derive(Debug)]
pub enum Ask {
    /// CLIENT LIST: one line per client that passes the filter, over all shards.
    ClientList(ClientFilter),
    /// CLIENT INFO: the line of this client.
    ClientInfo,
    /// CLIENT KILL with filters: kills and replies with their number. In the old form (`old_form`) it replies OK or
    /// `ERR No such client`.
    ClientKill {
        /// Which clients.
        filter: ClientFilter,
        /// `CLIENT KILL addr:port`.
        old_form: bool,
    },
    /// CLIENT PAUSE until a time; replies OK once no shard runs what is paused.
    ClientPause {
        /// End of the pause.
        until: UnixMillis,
        /// Whether only writes pause.
        writes_only: bool,
    },
    /// CLIENT UNPAUSE.
    ClientUnpause,
    /// CLIENT UNBLOCK id: whether with an error; replies 1 or 0.
    ClientUnblock {
        /// The client.
        id: u64,
        /// UNBLOCK … ERROR.
        with_error: bool,
    },
    /// MEMORY PURGE: replies OK when every shard's thread has given back what its allocator can.
    MemoryPurge,
    /// CLIENT TRACKING ON with REDIRECT: replies OK if there is that client.
    Track(Box<super::tracking::Options>),
    /// MONITOR: replies OK and feeds this connection.
    Monitor,
    /// DEBUG EFFECTS: replies OK and streams the effects of all shards to this connection.
    Effects,
    /// DEBUG EFFECTS-SYNC: replies OK once all effects so far were written to the listeners.
    EffectsSync,
    /// DEBUG SLEEP: holds this shard.
    Sleep {
        /// For how long.
        micros: u64,
    },
    /// REPLICAOF: follows another server, or nobody any more. Replies OK once every shard knows.
    Follow(Option<Primary>),
    /// MIGRATE: replies when the keys are there, and no more here unless they are copied.
    Migrate(Box<MigrateRequest>),
    /// SAVE, BGSAVE, DEBUG RELOAD: shard zero does it and replies.
    Snapshot(SnapshotWish),
    /// SHUTDOWN: replies only if the server goes on.
    Shutdown(ShutdownFlags),
    /// SHUTDOWN ABORT.
    AbortShutdown,
    /// PSYNC or SYNC: this connection gets the stream, perhaps behind a snapshot, and no reply but that.
    Sync(SyncRequest),
    /// REPLCONF ACK: the replica has so many bytes of the stream. Not answered.
    Acknowledge {
        /// How many.
        offset: u64,
    },
    /// FAILOVER: replies OK when it begins.
    Failover(FailoverRequest),
    /// WAIT: replies how many replicas have what this client wrote.
    Wait {
        /// How many it waits for.
        replicas: usize,
        /// For how long, milliseconds; `None` for ever.
        timeout_ms: Option<i64>,
    },
    /// CONFIG SET of names and values that say where the server listens.
    ConfigListen(OwnedArgs),
    /// CONFIG REWRITE, of directives that have their default too if asked for.
    ConfigRewrite {
        /// Whether it is.
        everything: bool,
    },
    /// RESET: the session is as new already ([`Session::reset`]); what the floor above holds for the connection
    /// (MONITOR, subscriptions) ends too. Replies `+RESET`.
    Reset,
    /// DEBUG RESTART, CRASH and the like: ends the process abruptly.
    Crash(&'static str),
}

/// MIGRATE.
#[derive(Clone, Debug, Default)]
pub struct MigrateRequest {
    /// The other server.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// The database there.
    pub database: i64,
    /// How long each step there may take, milliseconds.
    pub timeout_ms: u64,
    /// The keys.
    pub keys: Vec<Box<[u8]>>,
    /// Whether they stay here.
    pub copies: bool,
    /// Whether keys that are there are replaced.
    pub replaces: bool,
    /// The user there, if it is to be named.
    pub user: Option<Vec<u8>>,
    /// The password there.
    pub password: Option<Vec<u8>>,
}

/// FAILOVER.
#[derive(Clone, Debug)]
pub enum FailoverRequest {
    /// The one under way is to end.
    Abort,
    /// A replica is to take over.
    Begin {
        /// Which one; any without one.
        target: Option<Primary>,
        /// How long it may take to get everything, milliseconds; `None` for ever.
        timeout_ms: Option<i64>,
        /// Whether it is to take over then all the same.
        is_forced: bool,
    },
}

/// Which part of the stream a replica asks for.
#[derive(Clone, Debug)]
pub struct SyncRequest {
    /// The id that it follows, `?` for none.
    pub id: String,
    /// How many bytes of that it has.
    pub position: Option<u64>,
    /// Whether this server is to become the master, in a failover that the asking one coordinates.
    pub takes_over: bool,
    /// Whether it is SYNC.
    pub is_old: bool,
}

/// What a client wants of snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SnapshotWish {
    /// SAVE: replies when it is done.
    Save,
    /// BGSAVE: replies when it has begun, or, inside EXEC, when it is going to.
    InBackground {
        /// Whether it is inside EXEC.
        inside_exec: bool,
    },
    /// DEBUG RELOAD.
    Reload(Reload),
}

/// How DEBUG RELOAD loads the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reload {
    /// Whether the dataset is saved first.
    pub saves: bool,
    /// Whether what the file has takes the place of the dataset, and is not added to it.
    pub flushes: bool,
    /// Whether the file may name keys that are there.
    pub merges: bool,
}

/// Which clients CLIENT LIST and CLIENT KILL mean; all given conditions must hold.
#[derive(Clone, Debug, Default)]
pub struct ClientFilter {
    /// Any of these ids (LIST) or exactly this one (KILL).
    pub ids: Option<Vec<u64>>,
    /// Kind of client.
    pub kind: Option<ClientKind>,
    /// Peer address.
    pub address: Option<Box<str>>,
    /// Local address.
    pub local_address: Option<Box<str>>,
    /// User.
    pub user: Option<Box<[u8]>>,
    /// At least this old (milliseconds); KILL MAXAGE of newer servers.
    pub age_min_ms: Option<i64>,
    /// Whether the asking client itself is left out.
    pub skip: Option<u64>,
}

/// Kinds of clients, as CLIENT LIST TYPE names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// An ordinary client, MONITOR included.
    Normal,
    /// The link to the master.
    Master,
    /// A replica.
    Replica,
    /// A subscriber.
    Pubsub,
}
