//! Streams; how their nodes are laid out stands in [`crate::rdb::write`].

use std::collections::BTreeMap;

use super::elements::Elements;
use super::input::{Input, Source};
use crate::base::clock::UnixMillis;
use crate::rdb::error::Fault;
use crate::rdb::format::{
    kind,
    stream::{DELETED, SAME_NAMES},
};
use crate::store::packed::Element;
use crate::store::stream::{ENTRY_BYTES_MAX, Group, NodeLimits, Stream, StreamId};

/// Opens a node of its own.
const NEW_NODE: NodeLimits = NodeLimits { bytes: 1, entries: 1 };
/// Goes on with the last node.
const SAME_NODE: NodeLimits = NodeLimits { bytes: 0, entries: 0 };

pub(super) fn decode_stream(input: &mut Input<'_>, kind: u8) -> Result<Stream, Fault> {
    let mut stream = Stream::default();
    for _ in 0..input.length()? {
        let id = input.blob()?;
        let first = Input::new(&id).raw_id()?;
        if id.len() != 16 {
            return Err(Fault::Damaged("the id of a node is not as long as an id"));
        }
        append_node(&mut stream, first, Elements::of_listpack(&input.blob()?)?)?;
    }
    let length = input.length()?;
    if (length > 0) == stream.log.is_empty() {
        return Err(Fault::Damaged("the length of a stream is wrong"));
    }
    let last_id = input.id()?;
    let (mut deleted, mut added) = (StreamId::MIN, stream.log.len());
    if kind != kind::STREAM {
        // The first id, which the entries tell as well.
        input.id()?;
        deleted = input.id()?;
        added = input.length()?;
    }
    if last_id < stream.log.last_id() {
        return Err(Fault::Damaged("the last id of a stream is lower than that of an entry"));
    }
    stream.log.set_ids(last_id, Some(added), Some(deleted));
    for _ in 0..input.length()? {
        let name = input.string()?.into_bytes();
        let group = decode_group(input, kind, &stream)?;
        if !stream.add_group(&name, group) {
            return Err(Fault::Damaged("two groups have one name"));
        }
    }
    Ok(stream)
}

fn append_node(stream: &mut Stream, first: StreamId, mut elements: Elements<'_>) -> Result<(), Fault> {
    let (live, deleted) = (elements.need_int()?, elements.need_int()?);
    let (live, deleted) = (count(live)?, count(deleted)?);
    let shared = count(elements.need_int()?)?;
    // The names are read again for each entry that shares them.
    let names = elements.clone();
    for _ in 0..shared {
        elements.need()?;
    }
    if elements.need_int()? != 0 {
        return Err(Fault::Damaged("the names of a node do not end"));
    }
    let mut limits = NEW_NODE;
    let mut seen = 0;
    let mut texts = Texts::default();
    for _ in 0..live.saturating_add(deleted) {
        let (id, is_deleted) = read_entry(first, shared, names.clone(), &mut elements, &mut texts)?;
        if is_deleted {
            continue;
        }
        let log = &mut stream.log;
        if id <= log.last_id() {
            return Err(Fault::Damaged("the ids of a stream do not ascend"));
        }
        log.append(id, &texts.all(), limits);
        limits = SAME_NODE;
        seen += 1;
    }
    if seen != live || elements.try_next()?.is_some() {
        return Err(Fault::Damaged("the number of a node's entries is wrong"));
    }
    Ok(())
}

fn count(int: i64) -> Result<u64, Fault> {
    u64::try_from(int).map_err(|_| Fault::Damaged("a number of entries is negative"))
}

/// Names and values of an entry by turns, one behind the other.
#[derive(Default)]
struct Texts {
    bytes: Vec<u8>,
    ends: Vec<usize>,
}

impl Texts {
    fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
    }

    fn all(&self) -> Vec<&[u8]> {
        let starts = std::iter::once(0).chain(self.ends.iter().copied());
        starts.zip(&self.ends).map(|(start, end)| &self.bytes[start..*end]).collect()
    }

    fn push(&mut self, element: Element<'_>) -> Result<(), Fault> {
        self.bytes.extend_from_slice(element.bytes(&mut itoa::Buffer::new()));
        self.ends.push(self.bytes.len());
        if self.bytes.len() > ENTRY_BYTES_MAX {
            return Err(Fault::Damaged("an entry of a stream is too long"));
        }
        Ok(())
    }
}

/// Reads an entry into `texts`; returns its id and whether it is deleted.
fn read_entry(
    first: StreamId,
    shared: u64,
    mut names: Elements<'_>,
    elements: &mut Elements<'_>,
    texts: &mut Texts,
) -> Result<(StreamId, bool), Fault> {
    texts.clear();
    let flags = elements.need_int()?;
    let (ms, seq) = (elements.need_int()?, elements.need_int()?);
    let id = StreamId::new(first.ms.wrapping_add(ms as u64), first.seq.wrapping_add(seq as u64));
    let shares_names = flags & SAME_NAMES != 0;
    let fields = if shares_names { shared } else { count(elements.need_int()?)? };
    for _ in 0..fields {
        let name = if shares_names { names.need()? } else { elements.need()? };
        texts.push(name)?;
        texts.push(elements.need()?)?;
    }
    let parts = if shares_names { 3 + fields } else { 4 + 2 * fields };
    if u64::try_from(elements.need_int()?) != Ok(parts) {
        return Err(Fault::Damaged("the number of an entry's parts is wrong"));
    }
    Ok((id, flags & DELETED != 0))
}

/// A pending entry of a group before its consumer is known.
struct Delivered {
    at: UnixMillis,
    times: u64,
    is_assigned: bool,
}

fn decode_group(input: &mut Input<'_>, kind: u8, stream: &Stream) -> Result<Group, Fault> {
    let last_id = input.id()?;
    let entries_read = match kind {
        kind::STREAM => stream.log.added_until(last_id).map(|added| added as i64),
        // Unknown is -1.
        _ => Some(input.length()? as i64).filter(|read| *read >= 0),
    };
    let mut group = Group::new(last_id, entries_read);
    let mut delivered = BTreeMap::new();
    for _ in 0..input.length()? {
        let id = input.raw_id()?;
        let entry = Delivered { at: input.word()?, times: input.length()?, is_assigned: false };
        if delivered.insert(id, entry).is_some() {
            return Err(Fault::Damaged("an entry is pending twice"));
        }
    }
    for _ in 0..input.length()? {
        decode_consumer(input, kind, &mut group, &mut delivered)?;
    }
    if delivered.values().any(|entry| !entry.is_assigned) {
        return Err(Fault::Damaged("an entry is pending without a consumer"));
    }
    Ok(group)
}

fn decode_consumer(
    input: &mut Input<'_>,
    kind: u8,
    group: &mut Group,
    delivered: &mut BTreeMap<StreamId, Delivered>,
) -> Result<(), Fault> {
    let name = input.string()?.into_bytes();
    let seen_at = input.word()?;
    let active_at = match kind {
        kind::STREAM_3 => Some(input.word()?).filter(|at_ms| *at_ms >= 0),
        // The best that is known.
        _ => Some(seen_at),
    };
    if !group.add_consumer(&name, seen_at) {
        return Err(Fault::Damaged("Duplicate stream consumer detected"));
    }
    if let Some(consumer) = group.consumer_mut(&name) {
        consumer.active_at = active_at;
    }
    for _ in 0..input.length()? {
        let id = input.raw_id()?;
        match delivered.get_mut(&id) {
            Some(entry) if !entry.is_assigned => {
                entry.is_assigned = true;
                group.assign(id, &name, entry.at, entry.times);
            }
            _ => return Err(Fault::Damaged("a consumer has what is not pending, or another consumer's")),
        }
    }
    Ok(())
}
