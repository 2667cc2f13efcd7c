//! The last bytes of the replication stream, for replicas that come back, and for those that read it as they can.
//!
//! Positions count the bytes before: the stream begins at 0. (Redis's protocol counts from 1.)

use std::collections::VecDeque;

/// Most bytes of a piece: what is cut off at once, and what a replica is sent at once.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// Pieces of a small backlog.
const PIECES_MIN: usize = 8;

/// The end of the stream, in pieces, so that neither growing nor trimming copies what is there.
#[derive(Debug)]
pub(super) struct Backlog {
    pieces: VecDeque<Vec<u8>>,
    /// Position of the first byte.
    start: u64,
    /// Position behind the last.
    end: u64,
    /// A piece that was cut off, kept for its memory.
    spare: Option<Vec<u8>>,
    /// Bytes of a full piece.
    piece_bytes: usize,
}

impl Backlog {
    /// An empty one at a position, to keep so many bytes at least.
    pub fn new(position: u64, bytes: usize) -> Self {
        let piece_bytes = (bytes / PIECES_MIN).clamp(1024, PIECE_BYTES);
        Self { pieces: VecDeque::new(), start: position, end: position, spare: None, piece_bytes }
    }

    /// Position of the first byte that is still there.
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Position behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Whether everything from `position` on is there.
    pub fn covers(&self, position: u64) -> bool {
        (self.start..=self.end).contains(&position)
    }

    /// Appends bytes of the stream.
    pub fn append(&mut self, mut bytes: &[u8]) {
        self.end += bytes.len() as u64;
        while !bytes.is_empty() {
            let room = self.pieces.back().map_or(0, |piece| self.piece_bytes - piece.len());
            if room == 0 {
                let piece = self.spare.take().unwrap_or_else(|| Vec::with_capacity(self.piece_bytes));
                self.pieces.push_back(piece);
                continue;
            }
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            if let Some(piece) = self.pieces.back_mut() {
                piece.extend_from_slice(now);
            }
            bytes = later;
        }
    }

    /// The first piece and its position, if the rest is as much as `bytes_max` without it.
    pub fn excess(&self, bytes_max: usize) -> Option<(u64, &[u8])> {
        let piece = self.pieces.front()?;
        let rest = self.end - self.start - piece.len() as u64;
        (self.pieces.len() > 1 && rest >= bytes_max as u64).then_some((self.start, &**piece))
    }

    /// Cuts the first piece off.
    pub fn cut_off(&mut self) {
        if let Some(mut piece) = self.pieces.pop_front() {
            self.start += piece.len() as u64;
            piece.clear();
            self.spare = Some(piece);
        }
    }

    /// Up to a piece of bytes from `position` on; empty at the end, and for what is not there.
    pub fn read(&self, position: u64) -> &[u8] {
        let Some(mut skipped) = position.checked_sub(self.start).map(|skipped| skipped as usize) else {
            return &[];
        };
        let first = self.pieces.front().map_or(0, Vec::len);
        let index = if skipped < first {
            0
        } else {
            skipped -= first;
            // All pieces but the first and the last are full.
            let index = 1 + skipped / self.piece_bytes;
            skipped %= self.piece_bytes;
            index
        };
        self.pieces.get(index).and_then(|piece| piece.get(skipped..)).unwrap_or(&[])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_was_appended_from_every_position_that_is_there() {
        let bytes: Vec<u8> = (0..5 * PIECE_BYTES + 77).map(|number| (number % 251) as u8).collect();
        let mut backlog = Backlog::new(1000, PIECES_MIN * PIECE_BYTES);
        for part in bytes.chunks(7919) {
            backlog.append(part);
        }
        assert_eq!(backlog.end(), 1000 + bytes.len() as u64);
        let read_from = |backlog: &Backlog, mut position: u64| {
            let mut found = Vec::new();
            while position < backlog.end() {
                let part = backlog.read(position);
                assert!(!part.is_empty());
                found.extend_from_slice(part);
                position += part.len() as u64;
            }
            found
        };
        for skipped in [0, 1, PIECE_BYTES - 1, PIECE_BYTES, 3 * PIECE_BYTES + 5, bytes.len()] {
            assert_eq!(read_from(&backlog, 1000 + skipped as u64), &bytes[skipped..]);
        }
        while let Some((position, piece)) = backlog.excess(2 * PIECE_BYTES) {
            let skipped = (position - 1000) as usize;
            assert_eq!(piece, &bytes[skipped..skipped + piece.len()]);
            backlog.cut_off();
        }
        assert_eq!(backlog.start(), 1000 + 3 * PIECE_BYTES as u64);
        assert!(!backlog.covers(1000) && backlog.covers(backlog.start()) && backlog.covers(backlog.end()));
        assert_eq!(read_from(&backlog, backlog.start()), &bytes[3 * PIECE_BYTES..]);
        assert!(backlog.read(999).is_empty() && backlog.read(1000).is_empty());
    }
}
