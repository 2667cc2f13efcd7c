//! What home shards and shard zero tell each other about replicas of this server and about clients that wait for them.

use std::os::fd::OwnedFd;

use super::blocked::End;
use super::message::Ticket;
use crate::base::slot::ShardId;
use crate::command::home::FailoverRequest;

/// A connection: its home shard and its name there.
pub type Seat = (ShardId, u64);

/// What a replica said of itself when it asked for the stream.
#[derive(Debug)]
pub struct Hello {
    /// Where its connection is.
    pub seat: Seat,
    /// Its address, as announced or as connected.
    pub address: String,
    /// The port it listens on.
    pub port: u16,
    /// Whether it finds the end of a snapshot of unknown size.
    pub knows_eof: bool,
    /// Whether it takes a new id with `+CONTINUE`.
    pub knows_psync2: bool,
    /// Whether it wants a snapshot and nothing else.
    pub only_snapshot: bool,
    /// Whether it asked by SYNC: it expects no line before the snapshot and acknowledges nothing.
    pub is_old: bool,
    /// The id it follows, `?` for none.
    pub id: String,
    /// Whether it is a master that hands over to this server.
    pub hands_over: bool,
    /// Position up to which it has the stream of that id.
    pub position: Option<u64>,
    /// Another descriptor of its socket, for the snapshot.
    pub socket: Option<OwnedFd>,
}

impl Hello {
    /// As the log calls the replica.
    pub fn name(&self) -> String {
        format!("{}:{}", self.address, self.port)
    }
}

/// Home shard of a replica's connection to shard zero, or of a client that waits for replicas.
#[derive(Debug)]
pub enum ToMaster {
    /// A replica asks for the stream. Shard zero feeds it.
    Sync(Box<Hello>),
    /// A replica has the stream up to a position.
    Acknowledge(Seat, u64),
    /// The kernel has what a replica was fed.
    Fed(Seat),
    /// A replica's connection is gone.
    Gone(Seat),
    /// A thread has sent a replica its snapshot, or could not.
    Transferred(Seat, Result<(), String>),
    /// A client waits for so many replicas. Every shard marks the stream for it; answered with [`ServerMessage::Reply`](super::message::ServerMessage::Reply).
    Wait((ShardId, Ticket), usize),
    /// A client wants a replica to take over. Answered likewise.
    Failover((ShardId, Ticket), FailoverRequest),
    /// It waits no more. Answered likewise, unless it was before.
    EndWait((ShardId, Ticket), End),
}

/// Shard zero to the home shard of a replica's connection, or of a client that waits for replicas. Not answered, but for
/// [`FromMaster::Feed`], with [`ToMaster::Fed`].
#[derive(Debug)]
pub enum FromMaster {
    /// Bytes for a connection.
    Feed(u64, Vec<u8>),
    /// Bytes for a connection that is not fed yet.
    Say(u64, &'static [u8]),
    /// A connection is to end.
    Disconnect(u64),
}
