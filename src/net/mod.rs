//! The network floor: one io_uring per shard, and the facts about the machine that it needs.
//!
//! What lives here: sockets, buffers, listeners, the doorbell by which other threads wake a shard, the checks made
//! before anything starts, and the CPU and memory limits of the machine. What does not: the wire protocol, commands,
//! connections as clients see them. This floor moves bytes.

mod buffers;
pub mod cpu;
mod doorbell;
mod event;
pub mod listener;
pub mod probe;
mod ring;
mod socket;

#[cfg(test)]
mod ring_test;

pub use buffers::Buffer;
pub use doorbell::Doorbell;
pub use event::{ACCEPT_PAUSE_MS, Event, IoMode, RingOptions, Statistics};
pub use ring::Ring;
pub use socket::SocketId;
