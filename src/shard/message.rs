//! What shards send each other. Every variant says who answers it; none is ever dropped, since inboxes are unbounded
//! and what feeds them is bounded by the replies that a connection may await (commands) or by the answers that the
//! sender waits for (everything else).

use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};

use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::command::Command;
use crate::command::args::OwnedArgs;
use crate::command::effect::Effect;
use crate::command::notice::{Actor, Notice};
use crate::command::pubsub::Listening;
use crate::command::session::Caller;
use crate::config::Primary;
use crate::config::ShutdownFlags;
use crate::store::entry::Entry;

use super::announce::Post;
use super::blocked::{End, Seat};
use super::load::Loading;
use super::locks::Claims;
use super::replicas::{FromMaster, ToMaster};
use super::snapshot::{Taker, ToSnapshots};
use super::stream::{Place, Record};

/// Names a reply that a connection of the home shard waits for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ticket {
    /// The connection, with the generation of its slot.
    pub connection: u64,
    /// Number of the request on that connection.
    pub sequence: u64,
}

impl Ticket {
    /// The connection of what the server does of its own.
    pub const OF_SERVER: u64 = u64::MAX;

    /// In the number of a request: it is a command inside an EXEC under way.
    const INSIDE: u64 = 1 << 63;

    /// Names the reply of a command inside the EXEC under way: the `index`th of those that the home shard runs.
    pub fn of_inside(connection: u64, index: usize) -> Self {
        Self { connection, sequence: Self::INSIDE | index as u64 }
    }

    /// Which command inside an EXEC it is, if it is one.
    pub fn inside(&self) -> Option<usize> {
        (self.sequence & Self::INSIDE != 0).then_some((self.sequence & !Self::INSIDE) as usize)
    }
}

/// What came of sending keys to another server.
#[derive(Clone, Debug)]
pub struct Migrated {
    /// Which MIGRATE of the home shard.
    pub number: u64,
    /// Of each key that was sent whether it is there; shorter when the connection broke.
    pub acknowledged: Vec<bool>,
    /// What went wrong, as the client is told.
    pub failure: Option<String>,
}

/// Names a transaction over several shards: the home shard and its count.
pub type TransactionId = u64;

/// Bits of a transaction's name below its home shard.
pub const HOME_SHIFT: u32 = 40;

/// A single-shard command in a [`Batch`].
#[derive(Clone, Copy, Debug)]
pub struct BatchCommand {
    /// Whom to answer.
    pub ticket: Ticket,
    /// The command.
    pub row: &'static Command,
    /// Who asks.
    pub caller: Caller,
    /// Number of arguments.
    pub arguments: u32,
    /// Hash of its only key, 0 if it has none or several.
    pub hash: u64,
}

/// Commands of one home shard for one owner, with the bytes of all their arguments in one piece.
#[derive(Debug, Default)]
pub struct Batch {
    /// The commands in order.
    pub commands: Vec<BatchCommand>,
    /// All arguments, one command after another.
    pub arguments: OwnedArgs,
}

impl Batch {
    /// Appends a command.
    pub fn push(
        &mut self,
        ticket: Ticket,
        row: &'static Command,
        caller: Caller,
        arguments: &[&[u8]],
        hash: u64,
    ) {
        self.commands.push(BatchCommand { ticket, row, caller, arguments: arguments.len() as u32, hash });
        arguments.iter().for_each(|argument| self.arguments.push(argument));
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.commands.is_empty()
    }
}

/// Replies to commands of one home shard.
#[derive(Debug, Default)]
pub struct Answers {
    /// Whom each reply is for, and its length.
    pub items: Vec<(Ticket, u32)>,
    /// The replies, one after another.
    pub bytes: Vec<u8>,
    /// Whether this is but a piece of one reply, which goes on in a later message.
    pub goes_on: bool,
}

/// A command that one part of a transaction runs.
#[derive(Clone, Copy, Debug)]
pub struct PartCommand {
    /// Which command of the transaction it belongs to.
    pub order: u32,
    /// The command.
    pub row: &'static Command,
    /// Who asks.
    pub caller: Caller,
    /// Whose name the slow log shows.
    pub ticket: Ticket,
    /// Number of arguments: those of the keys of this shard.
    pub arguments: u32,
}

/// What one part of a transaction runs, with the bytes of all arguments in one piece.
#[derive(Debug, Default)]
pub struct PartCommands {
    /// The commands in order.
    pub commands: Vec<PartCommand>,
    /// All arguments, one command after another.
    pub arguments: OwnedArgs,
}

/// A key of one database.
pub type Name = (u32, Box<[u8]>);

/// An entry on its way between shards, by pointer.
#[derive(Debug)]
pub struct Moved {
    /// Where it belongs.
    pub name: Name,
    /// The entry; `None` when the key does not exist.
    pub entry: Option<Entry>,
    /// Whether the command that borrowed it changed it.
    pub modified: bool,
    /// Whether what the key has is kept for somebody who waited for it before.
    pub is_kept: bool,
    /// Whether the command waits for the key already.
    pub is_awaited: bool,
}

/// What a part does in one round.
#[derive(Debug)]
pub enum Work {
    /// If all watched keys still have their versions, runs the commands in order.
    Run {
        /// Watched keys with their versions.
        checks: Vec<(Name, u64)>,
        /// The commands.
        list: PartCommands,
    },
    /// Takes these entries out, for the home shard to work on.
    Take {
        /// Number of the command that needs them.
        order: u32,
        /// Their keys.
        names: Vec<Name>,
        /// The command's seat, if it takes its turn among those who wait for these keys.
        seat: Option<Seat>,
    },
    /// Puts entries back.
    Put(Box<Put>),
}

/// Entries on their way back, and what else came of the command that had them.
#[derive(Debug)]
pub struct Put {
    /// The entries.
    pub entries: Vec<Moved>,
    /// The effects of what was done to them.
    pub effects: Vec<(Place, Effect)>,
    /// How many changes of the dataset they were.
    pub dirty: u64,
    /// The home shard waits for changes of these keys, to try again for this reply.
    pub waits: Option<Waits>,
    /// What others can notice of it when the transaction ends.
    pub notices: Vec<Notice>,
    /// The connection that has read the entries, if it caches them, and how many of them from the first on: those that the
    /// command itself names.
    pub reader: Option<(Actor, usize)>,
}

/// A command that goes on waiting on several shards.
#[derive(Debug)]
pub struct Waits {
    /// The reply it owes.
    pub ticket: Ticket,
    /// The command.
    pub row: &'static Command,
    /// The consumer group that it reads for.
    pub group: Option<Box<[u8]>>,
    /// The keys that it waits for on one shard.
    pub names: Vec<Name>,
}

impl Work {
    /// No work: the part only holds its locks.
    pub fn nothing() -> Self {
        Self::Run { checks: Vec::new(), list: PartCommands::default() }
    }
}

/// What came of a round of a part.
#[derive(Debug)]
pub enum Outcome {
    /// Replies of the commands, one after another.
    Replies {
        /// Which command of the transaction each is of, and where it ends.
        ends: Vec<(u32, u32)>,
        /// All of them.
        bytes: Vec<u8>,
    },
    /// A watched key has changed; nothing was run.
    Stale,
    /// The entries that were taken.
    Taken(Vec<Moved>),
    /// Entries are back.
    Put,
}

/// A transaction's part on one shard.
#[derive(Debug)]
pub struct Part {
    /// The transaction.
    pub id: TransactionId,
    /// Its home shard.
    pub home: ShardId,
    /// Number of parts of the transaction.
    pub parts: u16,
    /// Whether it may write, so that its record is awaited.
    pub may_write: bool,
    /// The only part, and of one round: its locks are released as soon as it ran.
    pub solo: bool,
    /// What it locks.
    pub claims: Claims,
    /// The transaction's clock.
    pub now: UnixMillis,
    /// The first round.
    pub work: Work,
    /// Whether that is the only round.
    pub last: bool,
}

/// A message between shards.
#[derive(Debug)]
pub enum Message {
    /// Home to owner: single-shard commands. The owner answers each with [`Message::Answers`].
    Batch {
        /// Home shard.
        home: ShardId,
        /// The commands.
        batch: Batch,
    },
    /// Owner to home: replies to commands of batches.
    Answers {
        /// The owner.
        from: ShardId,
        /// The replies.
        answers: Answers,
    },
    /// Home to shard zero: parts to be queued in the order of the sequencer. Answered by each part's owner.
    Submit(Vec<(ShardId, Part)>),
    /// Shard zero (or the home shard of a solo part) to owner. Answered with [`Message::Ran`].
    Part(Box<Part>),
    /// Owner to home: a round has run.
    Ran {
        /// The transaction.
        id: TransactionId,
        /// The owner.
        from: ShardId,
        /// What came of it.
        outcome: Outcome,
    },
    /// Home to owner: a further round under the locks held. Answered with [`Message::Ran`].
    Round {
        /// The transaction.
        id: TransactionId,
        /// The work.
        work: Work,
        /// Whether it is the last round.
        last: bool,
    },
    /// Home to owner: the transaction is over, its locks are free. Not answered.
    Release(TransactionId),
    /// Any shard to shard zero: effects in the order in which they happened there. Not answered.
    Effects {
        /// Where they happened.
        from: ShardId,
        /// The records.
        records: Vec<Record>,
    },
    /// The loading thread to owner: keys of a snapshot, or their end. It waits until they are kept.
    Load(Box<Loading>),
    /// Shard zero to all: the next cut is for this one. Not answered: the cut follows under a barrier.
    PrepareCut(Box<Taker>),
    /// Home to owner: keys that a client no longer watches. Not answered.
    Unwatch(Vec<Name>),
    /// Home to owner: tell shard zero, behind all effects so far, that this was reached. Not answered.
    Mark(ShardId, Ticket),
    /// Home to owner: a blocked command waits no more. Answered as the end says, unless it was served meanwhile.
    Unblock(Seat, End),
    /// Home to owner: a blocked command that was told that a key is ready looks later (CLIENT PAUSE). Not answered.
    Postpone(Seat),
    /// Home to owner: what its connections listen to now. Not answered: who publishes after a subscriber was answered
    /// comes behind this.
    Subscribe {
        /// The home shard.
        home: ShardId,
        /// What changed.
        changes: Vec<Listening>,
    },
    /// Something for the server floor of the receiving shard.
    Server(ServerMessage),
}

/// Messages between the connection loops of shards; the state machines pass them on.
#[derive(Debug)]
pub enum ServerMessage {
    /// A connection that another core accepted, to be served here.
    Adopt {
        /// Its socket.
        socket: std::os::fd::OwnedFd,
        /// Number of the listener it came from.
        listener: u32,
    },
    /// A question to every home shard. Answered with [`ServerMessage::Told`].
    Tell {
        /// Who asks.
        home: ShardId,
        /// For which reply.
        ticket: Ticket,
        /// What.
        question: Question,
    },
    /// The answer to [`ServerMessage::Tell`].
    Told {
        /// Who answers.
        from: ShardId,
        /// For which reply.
        ticket: Ticket,
        /// A number (clients killed, unblocked) or nothing.
        count: u64,
        /// Lines (CLIENT LIST) or nothing.
        text: Vec<u8>,
    },
    /// Any shard to a home shard: what happened that its connections listen for, in the order in which it happened there.
    /// Not answered.
    Deliver(Vec<Post>),
    /// Home shard of a client that caches keys to that of the client that is told instead. Answered with
    /// [`ServerMessage::Misdirected`] if that is gone.
    Redirected {
        /// The client that caches.
        from: Actor,
        /// Connection of the other.
        connection: u64,
        /// Keys that changed; all when `None`.
        keys: Option<Vec<Box<[u8]>>>,
    },
    /// The client that a connection's invalidations go to is gone. Not answered.
    Misdirected {
        /// The connection.
        connection: u64,
    },
    /// A line for those who MONITOR on the receiving shard. Not answered.
    Monitor(Vec<u8>),
    /// A command was slow or a client's name is needed for it: the home shard files it in the slow log. Not answered.
    Slow {
        /// Connection that sent it.
        ticket: Ticket,
        /// How long it ran, microseconds.
        micros: u64,
        /// The command.
        arguments: OwnedArgs,
    },
    /// To shard zero: a connection of `home` takes the stream of effects from now on. Not answered.
    Listen {
        /// Its home shard.
        home: ShardId,
        /// The connection.
        connection: u64,
    },
    /// To shard zero: the connection takes the stream no more. Not answered.
    Unlisten {
        /// Its home shard.
        home: ShardId,
        /// The connection.
        connection: u64,
    },
    /// To shard zero: answer when all effects seen so far were passed on.
    Flush {
        /// Who asks.
        home: ShardId,
        /// For which reply.
        ticket: Ticket,
    },
    /// Shard zero to a listener's home shard: bytes of the stream. Not answered.
    Feed {
        /// The connection.
        connection: u64,
        /// The bytes.
        bytes: Vec<u8>,
    },
    /// Owner to home: a command blocks. Not answered; [`Message::Unblock`] ends it.
    Blocked {
        /// The reply it owes.
        ticket: Ticket,
        /// The owner.
        from: ShardId,
        /// For how long it may, milliseconds; `None` for ever.
        timeout_ms: Option<i64>,
    },
    /// Owner to home: a blocked command was served. Not answered.
    Served {
        /// Whose reply it is.
        ticket: Ticket,
        /// Database of the command.
        database: u32,
        /// The command, for what cannot be delivered to be put back.
        arguments: OwnedArgs,
        /// The reply.
        reply: Vec<u8>,
    },
    /// Owner to home: a key that the command of this reply waits for has changed. The home shard tries again.
    KeyReady(Ticket),
    /// The thread that sends keys to other servers to a home shard: what came of a MIGRATE. Not answered.
    Migrated(Migrated),
    /// Something about replicas, to shard zero.
    ToMaster(ToMaster),
    /// Something about replicas, from shard zero.
    FromMaster(FromMaster),
    /// To shard zero: a client wants the server to follow another one, or nobody. Answered with [`ServerMessage::Told`].
    Follow {
        /// Home shard of the client.
        home: ShardId,
        /// For which reply.
        ticket: Ticket,
        /// Whom.
        master: Option<Primary>,
    },
    /// The thread that reached the master to shard zero, which goes on with the stream. Not answered.
    Master(Box<MasterStream>),
    /// Shard zero to itself, behind all effects of before the barrier of this number. Not answered.
    Settled(u64),
    /// To shard zero, about snapshots.
    Snapshots(ToSnapshots),
    /// Shard zero to the home shard of whoever asked it something: the reply.
    Reply {
        /// Which reply it is.
        ticket: Ticket,
        /// The reply.
        reply: Vec<u8>,
    },
    /// To shard zero: the process is to end, for a client that asks for it or a signal.
    Shutdown {
        /// How.
        flags: ShutdownFlags,
        /// Home shard and reply of a client. It gets one only if the process goes on.
        asker: Option<(ShardId, Ticket)>,
    },
    /// To shard zero: the process is not to end. Answered with [`ServerMessage::Reply`].
    AbortShutdown {
        /// Home shard and reply of whoever asks for it.
        asker: (ShardId, Ticket),
    },
    /// Every shard: the process is stopping. Not answered.
    Stop,
}

/// The master's stream, as it was reached.
#[derive(Debug)]
pub struct MasterStream {
    /// Number of the order to reach it, which may be void meanwhile.
    pub order: u64,
    /// The socket.
    pub socket: OwnedFd,
    /// Bytes of the stream that came already.
    pub received: Vec<u8>,
    /// Name of the history, if it is another one now.
    pub id: Option<String>,
    /// The snapshot that was loaded for it; without one the stream goes on where it broke off.
    pub snapshot: Option<MasterSnapshot>,
}

/// A snapshot of a master, loaded beside the dataset that clients see.
#[derive(Clone, Copy, Debug)]
pub struct MasterSnapshot {
    /// Number of the load.
    pub load: u64,
    /// The bytes of the history that are in it.
    pub offset: u64,
    /// The database that is selected behind them.
    pub database: u32,
    /// Whether the master waits to hear that it is here.
    pub is_awaited: bool,
}

/// Listening sockets for each shard, with the tags of their listeners.
pub type NewListeners = Arc<[Mutex<Vec<(OwnedFd, u32)>>]>;

/// What one home shard asks all others.
#[derive(Clone, Debug)]
pub enum Question {
    /// CLIENT LIST.
    ClientList(crate::command::home::ClientFilter),
    /// CLIENT KILL.
    ClientKill(crate::command::home::ClientFilter),
    /// CLIENT UNBLOCK.
    ClientUnblock {
        /// The client.
        id: u64,
        /// Whether with an error.
        with_error: bool,
    },
    /// Give the system back what the allocator keeps.
    Purge,
    /// Listen on these as well, each shard on its own, and no longer where the server does not.
    Listen(NewListeners),
    /// The connection of a client; the answer counts its number plus one, from the shard that has it.
    FindClient {
        /// The client.
        id: u64,
    },
    /// The server follows a master now: nobody may go on waiting to take something from it.
    BeganToFollow,
    /// Nothing: an answer means that everything sent before was seen.
    Fence,
}
