//! The thread that writes a snapshot: what comes before the keys, the pieces of all shards in the order in which they come, and
//! the end.

use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::sink::SnapshotSink;
use crate::rdb::Checksum;
use crate::rdb::write::{push_end, push_header, push_resize, push_select};
use crate::shard::snapshot::{Pieces, Progress};
use crate::state::persistence::Persistence;

/// Why there is no snapshot that nobody wants any more.
pub(super) const GIVEN_UP: &str = "it was given up";

/// What stands at the beginning of a snapshot.
#[derive(Debug)]
pub(super) struct Preface {
    /// Fields with their values.
    pub fields: Vec<(&'static str, String)>,
    /// Whether it ends with a checksum.
    pub has_checksum: bool,
    /// Microseconds of delay per key; negative: keys per microsecond (`rdb-key-save-delay`).
    pub key_delay: i32,
}

/// Writes what the shards pass, and returns the number of bytes.
pub(super) fn write(
    preface: &Preface,
    pieces: Pieces,
    progress: &Progress,
    registers: &Persistence,
    sink: &mut dyn SnapshotSink,
) -> Result<u64, String> {
    let result = sink.open().and_then(|()| write_all(preface, &pieces, progress, registers, sink));
    // Whatever a shard has left is not wanted any more.
    drop(pieces);
    let reason = match result {
        Ok(bytes) => match sink.finish() {
            Ok(()) => return Ok(bytes),
            Err(error) => error.to_string(),
        },
        Err(error) => error.to_string(),
    };
    sink.abandon(&reason);
    Err(reason)
}

fn write_all(
    preface: &Preface,
    pieces: &Pieces,
    progress: &Progress,
    registers: &Persistence,
    sink: &mut dyn SnapshotSink,
) -> io::Result<u64> {
    let mut out = Out { sink, checksum: preface.has_checksum.then(Checksum::default), bytes: 0 };
    let mut head = Vec::new();
    let fields = preface.fields.iter().map(|(name, value)| (*name, value.as_str()));
    push_header(&mut head, progress.version(), fields);
    for (index, keys, deadlines) in progress.databases() {
        push_select(&mut head, index);
        push_resize(&mut head, keys, deadlines);
    }
    out.write(&head)?;
    while let Some(piece) = pieces.next() {
        out.write(&piece.bytes)?;
        registers.keys_saved.fetch_add(piece.keys, Ordering::Relaxed);
        delay(preface.key_delay, piece.keys, progress);
        if progress.has_failed() {
            break;
        }
    }
    if progress.has_failed() {
        return Err(io::Error::other(GIVEN_UP));
    }
    let mut end = Vec::new();
    push_end(&mut end);
    out.write(&end)?;
    let checksum = out.checksum.as_ref().map_or([0; 8], Checksum::bytes);
    out.write(&checksum)?;
    Ok(out.bytes)
}

struct Out<'a> {
    sink: &'a mut dyn SnapshotSink,
    checksum: Option<Checksum>,
    bytes: u64,
}

impl Out<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Some(checksum) = &mut self.checksum {
            checksum.update(bytes);
        }
        self.bytes += bytes.len() as u64;
        self.sink.write_all(bytes)
    }
}

/// Sleeps as the directive says, but not on when the snapshot is given up.
fn delay(per_key: i32, keys: u64, progress: &Progress) {
    const STEP_MICROS: u64 = 10_000;
    let mut micros = match u64::try_from(per_key) {
        Ok(micros) => micros * keys,
        Err(_) => keys / u64::from(per_key.unsigned_abs()),
    };
    while micros > 0 && !progress.has_failed() {
        let step = micros.min(STEP_MICROS);
        std::thread::sleep(Duration::from_micros(step));
        micros -= step;
    }
}
