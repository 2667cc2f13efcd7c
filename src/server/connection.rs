//! One client's connection on its home shard: bytes that wait to be parsed, replies in the order of requests, and the
//! session. Knows no ring and no shard.

use std::collections::{BTreeMap, VecDeque};

use super::block::Block;
use super::replica::Progress;
use super::waiting::{Retry, Wait};
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::command::session::{ReplyMode, Session};
use crate::net::SocketId;
use crate::resp::request::Parser;
use crate::shard::message::Ticket;

/// A place in the order of replies.
#[derive(Debug)]
enum Slot {
    /// The reply comes from a shard; `keep` is false when the client does not want it.
    Waiting { keep: bool, spanning: bool },
    /// Replies that wait only for those before them: this part of the staged bytes.
    Ready(usize, usize),
}

/// How a connection goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// It takes commands.
    Open,
    /// It takes no more commands and ends when its replies are sent.
    Closing,
    /// It ends at once.
    Broken,
}

/// What a connection takes.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Weight {
    /// In bytes.
    pub bytes: u64,
    /// Of these, those that cutting it off may give back.
    pub evictable: u64,
}

/// One connection.
#[derive(Debug)]
pub(super) struct Connection {
    /// Its socket.
    pub socket: SocketId,
    /// Its client.
    pub session: Session,
    /// Its parser.
    pub parser: Parser,
    /// How it goes on.
    pub phase: Phase,
    /// Bytes received and not parsed, from `input_start` on.
    pub input: Vec<u8>,
    /// Where they begin.
    pub input_start: usize,
    /// Bytes of the command that is being decided about, and of what came with it.
    pub in_hand: usize,
    /// Replies to be sent, behind `pieces`.
    pub out: Vec<u8>,
    /// Pieces of long replies, as they came, and what stands between them.
    pieces: VecDeque<Vec<u8>>,
    /// Pieces of replies that are not the first, by their numbers.
    early: BTreeMap<u64, Vec<Vec<u8>>>,
    /// Bytes of all these pieces.
    piece_bytes: usize,
    /// Whether the first reply that is awaited has come in part: nothing may stand between its pieces.
    is_partial: bool,
    /// Bytes handed to the ring and not sent yet.
    pub sending_bytes: usize,
    /// A buffer that a send gave back.
    pub spare: Vec<u8>,
    /// Commands of this tick that are parsed but have not run.
    pub unexecuted: u32,
    /// An EXEC under way that has commands of this home shard.
    pub block: Option<Box<Block>>,
    /// Shard of the last plain command.
    pub last_target: ShardId,
    /// Whether what is under way may be for other shards as well.
    pub is_mixed: bool,
    /// Whether it is in the list of connections with something to send.
    pub is_dirty: bool,
    /// Whether it is in the list of connections with input to parse again.
    pub is_ready: bool,
    /// Whether bytes of it are being parsed in this turn, or wait where the ring put them.
    pub has_input: bool,
    /// Whether receiving is paused because too much waits.
    pub is_paused: bool,
    /// Whether the peer sends nothing more.
    pub is_half_closed: bool,
    /// Commands over several shards under way.
    pub spanning: u32,
    /// Since when the output is above its soft limit, in milliseconds of the wall clock.
    pub soft_limit_since: Option<i64>,
    /// What its command waits for, if that blocks.
    pub blocked: Option<Box<Wait>>,
    /// A blocking command over several shards, to be started anew.
    pub retry: Option<Box<Retry>>,
    /// Whether a key of it changed before it was known to wait.
    pub is_ready_early: bool,
    /// Whether a blocking command is under way: everything behind it waits.
    pub is_blocking: bool,
    /// Whether shard zero waits for the kernel to have what this was fed of the stream.
    pub is_fed: bool,
    /// How far the stream is applied, if it is the link to the master.
    pub progress: Option<Box<Progress>>,
    /// Whether what came is not the protocol.
    pub is_garbled: bool,
    /// Whether the stream of effects goes to it.
    pub takes_effects: bool,
    /// Whether it is counted among the clients with subscriptions.
    pub is_subscriber: bool,
    /// Whether it is counted among the clients that cache keys.
    pub is_caching: bool,
    /// What it took when somebody looked, which is part of the sum of its shard.
    pub weight: Weight,
    slots: VecDeque<Slot>,
    first_sequence: u64,
    waiting: usize,
    /// Replies behind one that waits, in no particular order; slots say where.
    staged: Vec<u8>,
    /// Where the replies begin that are being staged behind the last slot.
    open: Option<usize>,
}

impl Connection {
    /// A fresh connection.
    pub fn new(socket: SocketId, session: Session) -> Self {
        Self {
            socket,
            session,
            parser: Parser::default(),
            phase: Phase::Open,
            input: Vec::new(),
            input_start: 0,
            in_hand: 0,
            out: Vec::new(),
            pieces: VecDeque::new(),
            early: BTreeMap::new(),
            piece_bytes: 0,
            is_partial: false,
            sending_bytes: 0,
            spare: Vec::new(),
            unexecuted: 0,
            block: None,
            last_target: 0,
            is_dirty: false,
            is_ready: false,
            has_input: false,
            is_paused: false,
            is_half_closed: false,
            spanning: 0,
            soft_limit_since: None,
            blocked: None,
            retry: None,
            is_ready_early: false,
            is_blocking: false,
            is_fed: false,
            progress: None,
            is_garbled: false,
            takes_effects: false,
            is_subscriber: false,
            is_caching: false,
            is_mixed: false,
            weight: Weight::default(),
            slots: VecDeque::new(),
            first_sequence: 0,
            waiting: 0,
            staged: Vec::new(),
            open: None,
        }
    }

    /// Bytes that wait to be parsed.
    pub fn unparsed(&self) -> usize {
        self.input.len() - self.input_start
    }

    /// Replies that shards still owe.
    pub fn waiting(&self) -> usize {
        self.waiting
    }

    /// Whether every earlier command has run and was answered.
    #[inline]
    pub fn is_settled(&self) -> bool {
        self.waiting == 0 && self.unexecuted == 0
    }

    /// Whether a plain command for `shard` may follow what is under way; in strict order (`pipeline-order`) only behind
    /// commands for the same shard.
    #[inline]
    pub fn may_follow(&self, shard: ShardId, strict: bool) -> bool {
        self.spanning == 0 && !self.is_blocking && (!strict || shard == self.last_target || self.is_settled())
    }

    /// Whether a command for `shard` that others can see may follow what is under way: nothing, or commands for that
    /// shard.
    pub fn may_tell(&self, shard: ShardId) -> bool {
        self.is_settled() || self.spanning == 0 && !self.is_mixed && shard == self.last_target
    }

    /// Takes note of a plain command for `shard`.
    #[inline]
    pub fn follow(&mut self, shard: ShardId) {
        self.is_mixed = !self.is_settled() && (self.is_mixed || shard != self.last_target);
        self.last_target = shard;
        self.unexecuted += 1;
    }

    /// Whether nothing but commands over several shards is under way, none of which changes the session.
    pub fn only_spanning_waits(&self) -> bool {
        self.block.is_none()
            && !self.is_blocking
            && self.unexecuted == 0
            && self.waiting == self.spanning as usize
    }

    /// Where the next reply in order goes.
    #[inline]
    pub fn reply_buffer(&mut self) -> &mut Vec<u8> {
        if self.slots.is_empty() {
            return &mut self.out;
        }
        self.open.get_or_insert(self.staged.len());
        &mut self.staged
    }

    /// Where something goes that answers no request: behind the replies that have come, so that what it says of a key is
    /// not followed by an older value, but before those that are awaited, unless that is an EXEC that may have changed the
    /// subscriptions.
    pub fn push_buffer(&mut self) -> &mut Vec<u8> {
        let is_behind = self.block.is_some()
            || self.is_partial
            || self.open.is_some()
            || self.slots.iter().any(|slot| matches!(slot, Slot::Ready(..)));
        if is_behind { self.reply_buffer() } else { &mut self.out }
    }

    /// The ticket that [`Connection::wait`] would give next.
    #[inline]
    pub fn next_ticket(&self) -> Ticket {
        let ahead = self.slots.len() as u64 + u64::from(self.open.is_some());
        Ticket { connection: self.socket.to_u64(), sequence: self.first_sequence + ahead }
    }

    /// Keeps a place for a reply that comes later.
    pub fn wait(&mut self, spanning: bool) -> Ticket {
        let ticket = self.next_ticket();
        let keep = self.wants_reply();
        self.close_staged();
        self.slots.push_back(Slot::Waiting { keep, spanning });
        self.waiting += 1;
        self.spanning += u32::from(spanning);
        ticket
    }

    /// Bytes came; of the link to the master they are counted.
    pub fn note_received(&mut self, bytes: usize, now: UnixMillis) {
        if let Some(progress) = &mut self.progress {
            progress.received += bytes as u64;
            progress.received_at = now;
        }
    }

    /// Number of the next request that has to wait for its reply.
    pub fn asked(&self) -> u64 {
        self.first_sequence + self.slots.len() as u64
    }

    /// Number of the first request that is not answered.
    pub fn answered(&self) -> u64 {
        self.first_sequence
    }

    /// Whether everything is answered but for a command that waits for something which may never be.
    pub fn has_run_out(&self) -> bool {
        self.is_settled() || self.is_blocking && self.asked() - self.answered() == 1
    }

    /// Gives what was staged last a place of its own.
    fn close_staged(&mut self) {
        if let Some(start) = self.open.take() {
            self.slots.push_back(Slot::Ready(start, self.staged.len()));
        }
    }

    /// Whether the command that is being run is answered (CLIENT REPLY).
    pub fn wants_reply(&self) -> bool {
        self.progress.is_none() && matches!(self.session.reply_mode, ReplyMode::On | ReplyMode::SkipNext)
    }

    /// Whether a reply with this number is still to come.
    pub fn waits_for(&self, sequence: u64) -> bool {
        let index = sequence.checked_sub(self.first_sequence).map(|index| index as usize);
        index.and_then(|index| self.slots.get(index)).is_some_and(|slot| matches!(slot, Slot::Waiting { .. }))
    }

    /// Puts a reply that came later into its place.
    pub fn answer(&mut self, sequence: u64, reply: &[u8]) {
        let Some(index) = sequence.checked_sub(self.first_sequence).map(|index| index as usize) else {
            return;
        };
        let Some(slot) = self.slots.get(index) else { return };
        let Slot::Waiting { keep, spanning } = *slot else { return };
        self.waiting -= 1;
        self.spanning -= u32::from(spanning);
        self.is_blocking = false;
        self.is_ready_early = false;
        let reply = if keep { reply } else { &[] };
        if index == 0 {
            self.slots.pop_front();
            self.first_sequence += 1;
            self.is_partial = false;
            self.out.extend_from_slice(reply);
        } else {
            self.close_staged();
            let start = self.staged.len();
            self.staged.extend_from_slice(reply);
            self.slots[index] = Slot::Ready(start, self.staged.len());
        }
        loop {
            self.is_partial |= self.join_early();
            let Some(&Slot::Ready(start, end)) = self.slots.front() else { break };
            self.out.extend_from_slice(&self.staged[start..end]);
            self.slots.pop_front();
            self.first_sequence += 1;
            self.is_partial = false;
        }
        if self.slots.is_empty() {
            if let Some(start) = self.open.take() {
                self.out.extend_from_slice(&self.staged[start..]);
            }
            self.staged.clear();
        }
    }

    /// Takes a piece of a reply that goes on; the last one comes by [`Connection::answer`].
    pub fn take_piece(&mut self, sequence: u64, piece: Vec<u8>) {
        let index = sequence.checked_sub(self.first_sequence).map(|index| index as usize);
        let slot = index.and_then(|index| self.slots.get(index));
        let Some(Slot::Waiting { keep: true, .. }) = slot else { return };
        self.piece_bytes += piece.len();
        if sequence == self.first_sequence {
            self.is_partial = true;
            self.push_piece(piece);
        } else {
            self.early.entry(sequence).or_default().push(piece);
        }
    }

    /// Joins what has come of the first reply while it was not the first; false when that is nothing.
    fn join_early(&mut self) -> bool {
        let pieces = self.early.remove(&self.first_sequence);
        let has_come = pieces.is_some();
        pieces.into_iter().flatten().for_each(|piece| self.push_piece(piece));
        has_come
    }

    /// Puts a piece, whose bytes are counted, behind what is to be sent.
    fn push_piece(&mut self, piece: Vec<u8>) {
        if !self.out.is_empty() {
            self.piece_bytes += self.out.len();
            self.pieces.push_back(std::mem::take(&mut self.out));
        }
        self.pieces.push_back(piece);
    }

    /// Whether there is something to send.
    #[inline]
    pub fn has_output(&self) -> bool {
        !self.out.is_empty() || !self.pieces.is_empty()
    }

    /// What is to be sent next.
    #[inline]
    pub fn take_output(&mut self) -> Vec<u8> {
        let bytes = match self.pieces.pop_front() {
            Some(piece) => {
                self.piece_bytes -= piece.len();
                piece
            }
            None => {
                let spare = std::mem::take(&mut self.spare);
                std::mem::replace(&mut self.out, spare)
            }
        };
        self.sending_bytes = bytes.len();
        bytes
    }

    /// Bytes of replies that wait to be sent or to come to their turn.
    pub fn output_bytes(&self) -> usize {
        self.piece_bytes + self.out.len() + self.staged.len() + self.sending_bytes
    }

    /// Bytes that the connection holds in buffers.
    pub fn memory_usage(&self) -> usize {
        size_of::<Self>()
            + self.input.capacity()
            + self.out.capacity()
            + self.piece_bytes
            + self.spare.capacity()
            + self.staged.capacity()
            + self.sending_bytes
            + self.parser.memory_usage()
            + self.session.queue.as_ref().map_or(0, |queue| queue.memory_usage())
            + self.session.subscriptions.as_ref().map_or(0, |subscriptions| subscriptions.memory_usage())
    }

    /// Gives back memory of buffers that are empty and larger than an idle connection should hold.
    pub fn shrink(&mut self, bytes_max: usize) {
        for buffer in [&mut self.input, &mut self.out, &mut self.spare, &mut self.staged] {
            if buffer.is_empty() && buffer.capacity() > bytes_max {
                *buffer = Vec::new();
            }
        }
        if self.pieces.is_empty() {
            self.pieces = VecDeque::new();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connection() -> Connection {
        Connection::new(SocketId::from_u64(0), Session::new(1, 0, true))
    }

    #[test]
    fn replies_leave_in_the_order_of_requests() {
        let mut connection = connection();
        connection.reply_buffer().extend_from_slice(b"a");
        let first = connection.wait(false);
        connection.reply_buffer().extend_from_slice(b"c");
        connection.reply_buffer().extend_from_slice(b"d");
        let second = connection.wait(true);
        connection.reply_buffer().extend_from_slice(b"f");
        assert_eq!(connection.out, b"a");
        connection.answer(second.sequence, b"e");
        assert_eq!(connection.out, b"a");
        assert!(!connection.is_settled());
        connection.answer(first.sequence, b"b");
        assert_eq!(connection.out, b"abcdef");
        assert!(connection.is_settled());
        assert_eq!(connection.spanning, 0);
        connection.answer(first.sequence, b"twice");
        assert_eq!(connection.out, b"abcdef");
    }

    #[test]
    fn pushes_follow_what_has_come_and_nothing_else() {
        let mut connection = connection();
        let (first, second) = (connection.wait(false), connection.wait(false));
        connection.push_buffer().extend_from_slice(b"x");
        assert_eq!(connection.out, b"x");
        connection.answer(second.sequence, b"b");
        connection.push_buffer().extend_from_slice(b"y");
        connection.push_buffer().extend_from_slice(b"z");
        assert_eq!(connection.out, b"x");
        connection.answer(first.sequence, b"a");
        assert_eq!(connection.out, b"xabyz");
    }

    #[test]
    fn pieces_of_a_reply_stay_together_and_count() {
        let mut connection = connection();
        connection.reply_buffer().extend_from_slice(b"a");
        let (first, second) = (connection.wait(false), connection.wait(false));
        let unused = connection.memory_usage();
        connection.take_piece(second.sequence, b"e".to_vec());
        connection.push_buffer().extend_from_slice(b"b");
        connection.take_piece(first.sequence, b"c".to_vec());
        connection.push_buffer().extend_from_slice(b"x");
        connection.take_piece(second.sequence, b"f".to_vec());
        assert_eq!(connection.output_bytes(), 6);
        assert!(connection.memory_usage() >= unused + 4);
        connection.answer(first.sequence, b"d");
        connection.push_buffer().extend_from_slice(b"y");
        connection.answer(second.sequence, b"g");
        let mut sent = Vec::new();
        while connection.has_output() {
            sent.extend(connection.take_output());
        }
        assert_eq!(String::from_utf8_lossy(&sent), "abcdefgxy");
        assert_eq!(connection.output_bytes(), connection.sending_bytes);
    }

    #[test]
    fn what_others_can_see_waits_for_other_shards() {
        let mut connection = connection();
        assert!(connection.may_tell(1));
        connection.follow(1);
        assert!(connection.may_tell(1) && !connection.may_tell(0));
        connection.follow(0);
        connection.follow(1);
        assert!(!connection.may_tell(1) && !connection.may_tell(0));
        connection.unexecuted = 0;
        connection.follow(0);
        assert!(connection.may_tell(0));
    }

    #[test]
    fn unwanted_replies_keep_their_place_but_say_nothing() {
        let mut connection = connection();
        connection.session.reply_mode = ReplyMode::Off;
        let ticket = connection.wait(false);
        connection.session.reply_mode = ReplyMode::On;
        connection.reply_buffer().extend_from_slice(b"b");
        connection.answer(ticket.sequence, b"a");
        assert_eq!(connection.out, b"b");
    }
}
