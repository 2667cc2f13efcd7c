//! The sockets of a ring: their table, their ids, and the tokens that tie a kernel completion to one of them.
//!
//! What does not live here: any operation on a socket; see `ring`.

use std::os::fd::OwnedFd;

/// Names a socket of one ring. The generation tells it from earlier and later owners of the same slot, so an id kept
/// after [`Ring::close`](super::Ring::close) names nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SocketId {
    index: u32,
    generation: u32,
}

impl SocketId {
    /// The slot: dense, small, reused after close. Fit to index a table that runs beside the ring's.
    pub fn index(self) -> usize {
        self.index as usize
    }

    /// The id as one number; [`SocketId::from_u64`] turns it back.
    pub fn to_u64(self) -> u64 {
        u64::from(self.generation) << 32 | u64::from(self.index)
    }

    /// The id that [`SocketId::to_u64`] packed. Any other number gives an id that names nothing.
    pub fn from_u64(packed: u64) -> Self {
        Self { index: packed as u32, generation: (packed >> 32) as u32 }
    }
}

/// What a completion belongs to: the operation, and the slot and generation of its socket (or the index of its
/// listener). Travels through the kernel as an entry's `user_data`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Token {
    pub operation: Operation,
    pub id: SocketId,
}

/// The kinds of operations that a ring has under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Operation {
    /// A receive (multishot mode) or a poll for readability (plain mode).
    Receive,
    /// The first try of a send; it never waits.
    Send,
    /// The rest of a send that the socket would not take at once; it waits for room.
    SendRest,
    Accept,
    /// The pause before accepting again after an error.
    AcceptPause,
    Doorbell,
    Cancel,
}

const OPERATIONS: [Operation; 7] = [
    Operation::Receive,
    Operation::Send,
    Operation::SendRest,
    Operation::Accept,
    Operation::AcceptPause,
    Operation::Doorbell,
    Operation::Cancel,
];

/// Bits of a packed token: generation 32, index 24, operation 8.
const INDEX_BITS: u32 = 24;
const OPERATION_BITS: u32 = 8;

/// The number of sockets (and of listeners) that a token can tell apart.
pub(super) const SOCKETS_MAX: usize = 1 << INDEX_BITS;

impl Token {
    pub fn new(operation: Operation, id: SocketId) -> Self {
        Self { operation, id }
    }

    /// A token for something that is not a socket: a listener by its index, or the doorbell.
    pub fn other(operation: Operation, index: usize) -> Self {
        Self { operation, id: SocketId { index: index as u32, generation: 0 } }
    }

    pub fn pack(self) -> u64 {
        let index = u64::from(self.id.index) << OPERATION_BITS;
        u64::from(self.id.generation) << 32 | index | self.operation as u64
    }

    /// Turns a token back. Only tokens that [`Token::pack`] made come back from the kernel.
    pub fn unpack(packed: u64) -> Self {
        let operation = OPERATIONS[(packed & 0xff) as usize];
        let index = (packed as u32) >> OPERATION_BITS;
        Self { operation, id: SocketId { index, generation: (packed >> 32) as u32 } }
    }
}

/// How far the receiving of a socket is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Receiving {
    /// Nothing is under way.
    Off,
    /// An operation is with the kernel.
    Armed,
    /// An operation is with the kernel and was asked to end.
    Ending,
    /// Waits for a buffer to come back; listed in the ring's queue of starved sockets.
    Starved,
}

/// One socket. It stays in its slot until no operation on it is under way, even after it was closed.
pub(super) struct Socket {
    pub fd: OwnedFd,
    pub receiving: Receiving,
    /// Whether the owner wants to receive.
    pub wanted: bool,
    /// The bytes being sent, and how many of them the kernel took. The kernel reads them while `sending`.
    pub output: Vec<u8>,
    pub output_sent: usize,
    pub sending: bool,
    /// The peer has finished sending.
    pub ended: bool,
    /// The connection broke; the owner was told.
    pub failed: bool,
    /// The owner closed it; nothing more is reported.
    pub closing: bool,
}

impl Socket {
    pub fn new(fd: OwnedFd) -> Self {
        Self {
            fd,
            receiving: Receiving::Off,
            wanted: true,
            output: Vec::new(),
            output_sent: 0,
            sending: false,
            ended: false,
            failed: false,
            closing: false,
        }
    }

    /// Whether the owner still hears of this socket.
    pub fn reports(&self) -> bool {
        !self.closing && !self.failed
    }

    pub fn may_receive(&self) -> bool {
        self.wanted && !self.ended && self.reports()
    }

    /// Whether the kernel may still touch the socket or its memory.
    pub fn is_busy(&self) -> bool {
        self.sending || matches!(self.receiving, Receiving::Armed | Receiving::Ending)
    }
}

/// The table of sockets: slots that are reused, each with a generation that grows with every use.
#[derive(Default)]
pub(super) struct Sockets {
    slots: Vec<Slot>,
    vacant: Vec<u32>,
}

struct Slot {
    generation: u32,
    socket: Option<Socket>,
}

impl Sockets {
    /// Panics at 2^24 sockets, which no descriptor limit allows.
    pub fn insert(&mut self, socket: Socket) -> SocketId {
        let index = self.vacant.pop().unwrap_or_else(|| {
            assert!(self.slots.len() < SOCKETS_MAX, "more sockets than a token can name");
            self.slots.push(Slot { generation: 0, socket: None });
            (self.slots.len() - 1) as u32
        });
        let slot = &mut self.slots[index as usize];
        slot.socket = Some(socket);
        SocketId { index, generation: slot.generation }
    }

    /// The socket of this id, closing ones included.
    pub fn find(&mut self, id: SocketId) -> Option<&mut Socket> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        slot.socket.as_mut()
    }

    /// The socket of this id, unless it is closing.
    pub fn find_open(&self, id: SocketId) -> Option<&Socket> {
        let slot = self.slots.get(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        slot.socket.as_ref().filter(|socket| !socket.closing)
    }

    /// Frees the slot for a successor.
    pub fn remove(&mut self, id: SocketId) -> Option<Socket> {
        let slot = self.slots.get_mut(id.index as usize)?;
        if slot.generation != id.generation {
            return None;
        }
        let socket = slot.socket.take()?;
        slot.generation = slot.generation.wrapping_add(1);
        self.vacant.push(id.index);
        Some(socket)
    }

    /// How many slots are taken, by open sockets and by closing ones.
    pub fn count(&self) -> usize {
        self.slots.len() - self.vacant.len()
    }

    /// The ids of all sockets, closing ones included.
    pub fn ids(&self) -> Vec<SocketId> {
        let taken = self.slots.iter().enumerate().filter(|(_, slot)| slot.socket.is_some());
        taken.map(|(index, slot)| SocketId { index: index as u32, generation: slot.generation }).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    fn socket() -> Socket {
        let (one, _) = UnixStream::pair().unwrap();
        Socket::new(one.into())
    }

    #[test]
    fn tokens_and_ids_survive_packing() {
        for operation in OPERATIONS {
            for (index, generation) in [(0, 0), (1, 7), (SOCKETS_MAX as u32 - 1, u32::MAX)] {
                let token = Token::new(operation, SocketId { index, generation });
                assert_eq!(Token::unpack(token.pack()), token);
                assert_eq!(SocketId::from_u64(token.id.to_u64()), token.id);
            }
        }
    }

    #[test]
    fn an_id_does_not_name_the_successor_of_its_slot() {
        let mut sockets = Sockets::default();
        let first = sockets.insert(socket());
        assert!(sockets.remove(first).is_some());
        let second = sockets.insert(socket());
        assert_eq!(first.index(), second.index());
        assert_ne!(first, second);
        assert!(sockets.find(first).is_none());
        assert!(sockets.remove(first).is_none());
        assert!(sockets.find(second).is_some());
        assert_eq!(sockets.count(), 1);
        assert_eq!(sockets.ids(), [second]);
    }
}
