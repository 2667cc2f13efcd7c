//! Streams: their nodes as listpacks, their ids, and their groups.
//!
//! A node is a listpack: the numbers of its entries and of deleted ones, then the names that entries share with their count,
//! and a zero. An entry is flags, the distances of its id from the node's, names (unless they are shared) and values, and the
//! number of elements of all that, so that the listpack can be read from behind. Deleted entries are left out.

use super::{Version, Writer, push_length};
use crate::rdb::format::{kind, stream::SAME_NAMES};
use crate::store::listpack::Encoded;
use crate::store::packed::Element;
use crate::store::stream::{Entry, Group, NodeEntries, Stream, StreamId};

/// The flags and the two parts of the id.
const HEAD_ELEMENTS: usize = 3;

impl Writer {
    /// Writes what stands before the nodes of a stream; returns what it is.
    pub(super) fn begin_stream(&mut self, out: &mut Vec<u8>, stream: &Stream) -> u8 {
        push_length(out, stream.log.each_node().len() as u64);
        match self.options.version {
            Version::Ten => kind::STREAM_2,
            Version::Twelve => kind::STREAM_3,
        }
    }

    /// Writes nodes of a stream from the number `from` on, and what follows the last one; the number of the next one, zero at
    /// the end.
    pub(super) fn push_stream_nodes(
        &mut self,
        out: &mut Vec<u8>,
        stream: &Stream,
        from: u64,
        count: usize,
    ) -> u64 {
        let nodes = stream.log.each_node();
        let (total, mut next, mut left) = (nodes.len() as u64, from, count);
        for node in nodes.skip(from as usize) {
            left = left.saturating_sub(self.push_node(out, node));
            next += 1;
            if left == 0 {
                break;
            }
        }
        if next < total {
            return next;
        }
        self.end_stream(out, stream);
        0
    }

    fn end_stream(&mut self, out: &mut Vec<u8>, stream: &Stream) {
        let log = &stream.log;
        push_length(out, log.len());
        for id in [log.last_id(), log.first_id(), log.max_deleted_id()] {
            push_id(out, id);
        }
        push_length(out, log.entries_added());
        push_length(out, stream.groups().len() as u64);
        for (name, group) in stream.groups() {
            self.push_string(out, name);
            self.push_group(out, group);
        }
    }

    /// Writes a node; returns how many entries it has.
    fn push_node(&mut self, out: &mut Vec<u8>, node: NodeEntries<'_>) -> usize {
        // A node has an entry that is not deleted, else it would not be there.
        let Some(first) = node.clone().next() else { return 0 };
        let entries = node.clone().count();
        push_raw_id_as_string(out, first.id);
        let names = first.fields.len();
        let elements: usize = node.clone().map(|entry| elements_of(entry, first)).sum();
        self.push_listpack(out, HEAD_ELEMENTS + 1 + names + elements, |blob| {
            push_int(blob, entries as i64);
            push_int(blob, 0);
            push_int(blob, names as i64);
            first.fields.for_each(|(name, _)| push_text(blob, name));
            push_int(blob, 0);
            for entry in node {
                push_entry(blob, entry, first);
            }
        });
        entries
    }

    fn push_group(&mut self, out: &mut Vec<u8>, group: &Group) {
        push_id(out, group.last_id);
        // Unknown is -1.
        push_length(out, group.entries_read.unwrap_or(-1) as u64);
        push_length(out, group.pending_len() as u64);
        for (id, pending) in group.pending_from(StreamId::MIN) {
            push_raw_id(out, *id);
            out.extend_from_slice(&pending.delivered_at.to_le_bytes());
            push_length(out, pending.deliveries);
        }
        push_length(out, group.consumers().len() as u64);
        for (name, consumer) in group.consumers() {
            self.push_string(out, name);
            out.extend_from_slice(&consumer.seen_at.to_le_bytes());
            if self.options.version >= Version::Twelve {
                out.extend_from_slice(&consumer.active_at.unwrap_or(-1).to_le_bytes());
            }
            push_length(out, consumer.pending_len() as u64);
            for id in consumer.pending(StreamId::MIN, StreamId::MAX) {
                push_raw_id(out, id);
            }
        }
    }
}

/// Whether an entry has the names of the node's first one.
fn shares_names(entry: Entry<'_>, first: Entry<'_>) -> bool {
    entry.fields.len() == first.fields.len()
        && entry.fields.map(|(name, _)| name).eq(first.fields.map(|(name, _)| name))
}

/// Elements of an entry, the last one that counts the others included.
fn elements_of(entry: Entry<'_>, first: Entry<'_>) -> usize {
    let fields = entry.fields.len();
    HEAD_ELEMENTS + 1 + if shares_names(entry, first) { fields } else { 1 + 2 * fields }
}

fn push_entry(blob: &mut Vec<u8>, entry: Entry<'_>, first: Entry<'_>) {
    let shares_names = shares_names(entry, first);
    push_int(blob, if shares_names { SAME_NAMES } else { 0 });
    push_int(blob, entry.id.ms.wrapping_sub(first.id.ms) as i64);
    push_int(blob, entry.id.seq.wrapping_sub(first.id.seq) as i64);
    if !shares_names {
        push_int(blob, entry.fields.len() as i64);
    }
    for (name, value) in entry.fields {
        if !shares_names {
            push_text(blob, name);
        }
        push_text(blob, value);
    }
    push_int(blob, elements_of(entry, first) as i64 - 1);
}

fn push_int(blob: &mut Vec<u8>, int: i64) {
    Encoded::new(Element::Int(int)).append(blob);
}

fn push_text(blob: &mut Vec<u8>, text: &[u8]) {
    Encoded::new(Element::of(text)).append(blob);
}

/// An id as two numbers.
fn push_id(out: &mut Vec<u8>, id: StreamId) {
    push_length(out, id.ms);
    push_length(out, id.seq);
}

fn push_raw_id(out: &mut Vec<u8>, id: StreamId) {
    out.extend_from_slice(&id.ms.to_be_bytes());
    out.extend_from_slice(&id.seq.to_be_bytes());
}

fn push_raw_id_as_string(out: &mut Vec<u8>, id: StreamId) {
    push_length(out, 2 * size_of::<u64>() as u64);
    push_raw_id(out, id);
}
