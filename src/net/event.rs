//! What a ring reports, how it is set up, and what it counts.
//!
//! What does not live here: anything that happens; see `ring`.

use std::io;
use std::os::fd::OwnedFd;

use super::buffers::Buffer;
use super::socket::SocketId;

/// Which operations a ring uses; [`probe`](super::probe) tells what the kernel can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IoMode {
    /// Multishot accept and receive, buffers picked by the kernel, task work without interrupts: Linux 6.0 and newer.
    Multishot,
    /// One-shot accept and readiness, received by `recv(2)`: Linux 5.11 and newer.
    Plain,
}

/// How to set up a [`Ring`](super::Ring).
#[derive(Clone, Copy, Debug)]
pub struct RingOptions {
    /// Places in the submission queue: a turn with more entries makes more than one system call. Rounded up to a
    /// power of two. The completion queue is four times as long.
    pub entries: u32,
    /// The number of receive buffers, a power of two.
    pub buffer_count: u16,
    /// The size of each. All together at most 32 MB.
    pub buffer_bytes: u32,
    /// Which operations to use.
    pub mode: IoMode,
}

impl Default for RingOptions {
    fn default() -> Self {
        Self { entries: 1024, buffer_count: 512, buffer_bytes: 16 << 10, mode: IoMode::Multishot }
    }
}

/// What happened. Events of one socket come in order.
#[derive(Debug)]
pub enum Event {
    /// A connection arrived at the listener of this tag. It is not attached to any ring yet.
    Accepted {
        /// As given to [`Ring::listen`](super::Ring::listen).
        tag: u32,
        /// The new connection.
        fd: OwnedFd,
    },
    /// Accepting failed, as when descriptors ran out; the ring tries again after [`ACCEPT_PAUSE_MS`].
    AcceptFailed {
        /// As given to [`Ring::listen`](super::Ring::listen).
        tag: u32,
        /// Why.
        error: io::Error,
    },
    /// Bytes arrived. The buffer goes back by [`Ring::recycle`](super::Ring::recycle).
    Received {
        /// The socket.
        id: SocketId,
        /// The bytes; read them with [`Ring::bytes`](super::Ring::bytes).
        buffer: Buffer,
    },
    /// A send is done: the kernel has all its bytes.
    Sent {
        /// The socket.
        id: SocketId,
        /// The buffer given to [`Ring::send`](super::Ring::send), emptied, for reuse.
        buffer: Vec<u8>,
    },
    /// Without an error: the peer will send nothing more (it may still receive; sends go on). With one: the
    /// connection broke, a send under way is lost, and nothing further is reported. Either way the
    /// socket stays until [`Ring::close`](super::Ring::close).
    Closed {
        /// The socket.
        id: SocketId,
        /// `None` at the end of the peer's bytes.
        error: Option<io::Error>,
    },
    /// Somebody rang the doorbell since the last time.
    Rung,
}

/// Counters since the ring was made, and its state now.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Statistics {
    /// Calls of `io_uring_enter`.
    pub enters: u64,
    /// How often a socket had bytes to receive and no buffer was free.
    pub receive_starved: u64,
    /// Sends that the socket did not take whole at once.
    pub sends_blocked: u64,
    /// Accepts that failed and were followed by a pause.
    pub accept_failures: u64,
    /// Sockets that hold a slot, closing ones included.
    pub sockets: usize,
    /// Receive buffers not lent out.
    pub buffers_available: usize,
}

/// How long a listener rests after an error such as "too many open files".
pub const ACCEPT_PAUSE_MS: u32 = 100;
