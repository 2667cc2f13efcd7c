//! Values of every type, decoded into entries in the forms that the configuration asks for.

use super::elements::Elements;
use super::input::{Input, Source, Text};
use super::skim::SPECIAL_SCORES;
use super::stream::decode_stream;
use super::{Raw, RawAccess, RawEntry};
use crate::base::clock::UnixMillis;
use crate::base::number::parse_f64;
use crate::config::Config;
use crate::rdb::error::{Fault, RdbError};
use crate::rdb::format::{container, kind};
use crate::store::access::{first_access, lfu_minutes, lru_clock};
use crate::store::hash::{Deadline, Hash, HashLimits};
use crate::store::list::{ELEMENT_BYTES_MAX, End, Limit, List};
use crate::store::packed::{Element, Packed};
use crate::store::set::{Ints, Set};
use crate::store::sorted_set::{Limits, SortedSet, Unordered};
use crate::store::value::{Collection, Stored};
use crate::store::{Entry, NewValue};

/// Greatest deadline of a field, as in Redis.
const DEADLINE_MAX: u64 = (1 << 48) - 2;

/// Makes the entry, with the access clock that the configuration's policy needs.
pub fn decode(raw: &RawEntry, config: &Config, now: UnixMillis) -> Result<Entry, RdbError> {
    decode_raw(raw.raw(), config, now)
}

/// The same of a borrowed one.
pub fn decode_raw(raw: Raw<'_>, config: &Config, now: UnixMillis) -> Result<Entry, RdbError> {
    let mut input = Input::new(raw.body);
    let entry = decode_value(&mut input, raw, config).map_err(|fault| fault.at(raw.kind, raw.offset))?;
    if !input.is_done() {
        return Err(Fault::Damaged("something stands behind the value").at(raw.kind, raw.offset));
    }
    entry.set_access(access(raw.access, config, now));
    Ok(entry)
}

fn access(raw: RawAccess, config: &Config, now: UnixMillis) -> u32 {
    match raw {
        RawAccess::Frequency(frequency) if config.maxmemory_policy.is_lfu() => {
            lfu_minutes(now) << 8 | u32::from(frequency)
        }
        // Idle for longer than the clock counts is as good as for half as long.
        RawAccess::Idle(seconds) if !config.maxmemory_policy.is_lfu() => {
            lru_clock(now).wrapping_sub(seconds.min(1 << 23) as u32) & 0xff_ffff
        }
        _ => first_access(now, config),
    }
}

fn decode_value(input: &mut Input<'_>, raw: Raw<'_>, config: &Config) -> Result<Entry, Fault> {
    let set_limits = Limits { members: config.zset_max_listpack_entries, member_bytes: usize::MAX };
    match raw.kind {
        kind::STRING => {
            let text = input.string()?;
            Ok(match text {
                Text::Int(int) => entry(raw, NewValue::Int(int)),
                Text::Bytes(bytes) => entry(raw, NewValue::string(&bytes)),
            })
        }
        kind::LIST => {
            let count = need_some(input.length()?)?;
            of_collection(raw, list_of_strings(input, count, config)?)
        }
        kind::LIST_ZIPLIST => {
            let mut list = List::default();
            append(&mut list, Elements::of_ziplist(&input.blob()?)?, config)?;
            of_collection(raw, list)
        }
        kind::LIST_QUICKLIST | kind::LIST_QUICKLIST_2 => {
            of_collection(raw, list_of_nodes(input, raw.kind, config)?)
        }
        kind::SET => {
            let count = need_some(input.length()?)?;
            of_collection(raw, set_of_strings(input, count, config)?)
        }
        kind::SET_INTSET => of_collection(raw, set_of_ints(&input.blob()?, config)?),
        kind::SET_LISTPACK => {
            of_collection(raw, set_of_elements(Elements::of_listpack(&input.blob()?)?, config)?)
        }
        kind::SORTED_SET | kind::SORTED_SET_2 => {
            let scores = sorted_set_of_strings(input, raw.kind)?;
            let member_bytes = config.zset_max_listpack_value;
            of_collection(raw, SortedSet::of(scores, Limits { member_bytes, ..set_limits }))
        }
        kind::SORTED_SET_ZIPLIST => {
            let scores = scores_of(Elements::of_ziplist(&input.blob()?)?)?;
            of_collection(raw, SortedSet::of(scores, set_limits))
        }
        kind::SORTED_SET_LISTPACK => {
            let scores = scores_of(Elements::of_listpack(&input.blob()?)?)?;
            of_collection(raw, SortedSet::of(scores, set_limits))
        }
        kind::HASH | kind::HASH_DEADLINES | kind::HASH_DEADLINES_EARLY => {
            of_collection(raw, hash_of_strings(input, raw.kind, config)?)
        }
        kind::HASH_ZIPMAP => {
            let bytes = input.blob()?;
            let elements = Elements::of_zipmap(&bytes)?;
            if elements.count_all()? == 0 {
                return Err(Fault::Damaged("it is empty, which no zipmap was ever written"));
            }
            of_collection(raw, hash_of_elements(elements, 2, hash_limits(config))?)
        }
        kind::HASH_ZIPLIST => {
            let limits = HashLimits { element_bytes: usize::MAX, ..hash_limits(config) };
            of_collection(raw, hash_of_elements(Elements::of_ziplist(&input.blob()?)?, 2, limits)?)
        }
        kind::HASH_LISTPACK => {
            let limits = HashLimits { element_bytes: usize::MAX, ..hash_limits(config) };
            of_collection(raw, hash_of_elements(Elements::of_listpack(&input.blob()?)?, 2, limits)?)
        }
        kind::HASH_LISTPACK_DEADLINES | kind::HASH_LISTPACK_DEADLINES_EARLY => {
            if raw.kind == kind::HASH_LISTPACK_DEADLINES {
                // The earliest deadline, which the fields have as well.
                input.word()?;
            }
            let limits = HashLimits { element_bytes: usize::MAX, ..hash_limits(config) };
            of_collection(raw, hash_of_elements(Elements::of_listpack(&input.blob()?)?, 3, limits)?)
        }
        kind::STREAM | kind::STREAM_2 | kind::STREAM_3 => of_collection(raw, decode_stream(input, raw.kind)?),
        _ => Err(Fault::Damaged("it is of no known type")),
    }
}

fn entry(raw: Raw<'_>, value: NewValue<'_>) -> Entry {
    Entry::new(raw.key, value, raw.expire_ms)
}

fn of_collection<T: Collection>(raw: Raw<'_>, collection: T) -> Result<Entry, Fault> {
    Ok(match collection.into_stored() {
        Stored::Packed(packed) => entry(raw, NewValue::Packed(T::KIND, packed.as_ref())),
        Stored::Ints(ints) => entry(raw, NewValue::Ints(ints.as_ref())),
        Stored::Value(value) => entry(raw, NewValue::Object(Box::new(value))),
    })
}

fn need_some(count: u64) -> Result<u64, Fault> {
    if count == 0 { Err(Fault::Empty) } else { Ok(count) }
}

/// The score that `text` is.
fn score_of_text(text: &[u8]) -> Result<f64, Fault> {
    parse_f64(text).ok_or(Fault::Damaged("a score is no number"))
}

fn list_of_strings(input: &mut Input<'_>, count: u64, config: &Config) -> Result<List, Fault> {
    let mut list = List::default();
    let mut digits = itoa::Buffer::new();
    for _ in 0..count {
        push(&mut list, input.string()?.bytes(&mut digits), config)?;
    }
    Ok(list)
}

fn list_of_nodes(input: &mut Input<'_>, kind: u8, config: &Config) -> Result<List, Fault> {
    let mut list = List::default();
    for _ in 0..need_some(input.length()?)? {
        if kind == kind::LIST_QUICKLIST {
            append_to(&mut list, Elements::of_ziplist(&input.blob()?)?, config)?;
            continue;
        }
        match input.length()? {
            container::PACKED => append_to(&mut list, Elements::of_listpack(&input.blob()?)?, config)?,
            container::PLAIN => match input.string()?.bytes(&mut itoa::Buffer::new()) {
                [] => return Err(Fault::Damaged("a node is empty")),
                element => push(&mut list, element, config)?,
            },
            _ => return Err(Fault::Damaged("a node is of no known kind")),
        }
    }
    if list.is_empty() { Err(Fault::Empty) } else { Ok(list) }
}

fn append(list: &mut List, elements: Elements<'_>, config: &Config) -> Result<(), Fault> {
    append_to(list, elements, config)?;
    if list.is_empty() { Err(Fault::Empty) } else { Ok(()) }
}

fn append_to(list: &mut List, mut elements: Elements<'_>, config: &Config) -> Result<(), Fault> {
    let mut digits = itoa::Buffer::new();
    while let Some(element) = elements.try_next()? {
        push(list, element.bytes(&mut digits), config)?;
    }
    Ok(())
}

fn push(list: &mut List, element: &[u8], config: &Config) -> Result<(), Fault> {
    if element.len() > ELEMENT_BYTES_MAX {
        return Err(Fault::Damaged("an element is too long"));
    }
    list.push(End::Tail, &[element], Limit::new(config.list_max_listpack_size));
    Ok(())
}

const DUPLICATE: Fault = Fault::Damaged("Duplicate elements detected");
const DUPLICATE_PACKED: Fault = Fault::Damaged("listpack with dup elements");

fn set_of_strings(input: &mut Input<'_>, count: u64, config: &Config) -> Result<Set, Fault> {
    let mut set = if count > config.set_max_intset_entries as u64 { Set::of_table() } else { Set::default() };
    let mut digits = itoa::Buffer::new();
    for _ in 0..count {
        if !set.add(input.string()?.bytes(&mut digits), config) {
            return Err(DUPLICATE);
        }
    }
    Ok(set)
}

fn set_of_elements(mut elements: Elements<'_>, config: &Config) -> Result<Set, Fault> {
    let count = need_some(elements.count_all()? as u64)?;
    let packed = Set::from_packed(Packed::default());
    let fits = count <= config.set_max_listpack_entries as u64;
    let mut set = packed.filter(|_| fits).unwrap_or_else(Set::of_table);
    let mut digits = itoa::Buffer::new();
    while let Some(element) = elements.try_next()? {
        if !set.add(element.bytes(&mut digits), config) {
            return Err(DUPLICATE_PACKED);
        }
    }
    Ok(set)
}

fn set_of_ints(bytes: &[u8], config: &Config) -> Result<Set, Fault> {
    const BROKEN: Fault = Fault::Damaged("an intset is damaged");
    let mut input = Input::new(bytes);
    let width = u32::from_le_bytes(input.take()?) as usize;
    let count = u32::from_le_bytes(input.take()?) as usize;
    let values = input.bytes(bytes.len() as u64 - 8)?;
    if !matches!(width, 2 | 4 | 8) || count == 0 || values.len() != count.saturating_mul(width) {
        return Err(BROKEN);
    }
    let values = values.chunks_exact(width).map(|value| {
        let mut word = [0; 8];
        word[8 - width..].copy_from_slice(value);
        i64::from_le_bytes(word) >> (64 - 8 * width)
    });
    if !values.clone().is_sorted_by(|one, next| one < next) {
        return Err(BROKEN);
    }
    if count <= config.set_max_intset_entries {
        let mut ints = Ints::default();
        values.for_each(|value| _ = ints.insert(value));
        return Set::from_ints(ints).ok_or(BROKEN);
    }
    let mut set = Set::of_table();
    let mut digits = itoa::Buffer::new();
    values.for_each(|value| _ = set.add(digits.format(value).as_bytes(), config));
    Ok(set)
}

fn sorted_set_of_strings(input: &mut Input<'_>, kind: u8) -> Result<Unordered, Fault> {
    let mut scores = Unordered::default();
    let mut digits = itoa::Buffer::new();
    for _ in 0..need_some(input.length()?)? {
        let member = input.string()?;
        let score = match kind {
            kind::SORTED_SET => decimal_score(input)?,
            _ => f64::from_le_bytes(input.take()?),
        };
        if !add_score(&mut scores, member.bytes(&mut digits), score)? {
            return Err(DUPLICATE);
        }
    }
    Ok(scores)
}

/// A score as its length and its digits.
fn decimal_score(input: &mut Input<'_>) -> Result<f64, Fault> {
    let first = input.byte()?;
    if SPECIAL_SCORES.contains(&first) {
        return Ok([f64::NAN, f64::INFINITY, f64::NEG_INFINITY][usize::from(first - SPECIAL_SCORES.start())]);
    }
    score_of_text(input.bytes(first.into())?)
}

fn scores_of(mut elements: Elements<'_>) -> Result<Unordered, Fault> {
    need_some(elements.count_all()? as u64)?;
    let mut scores = Unordered::default();
    let mut digits = itoa::Buffer::new();
    while let Some(member) = elements.try_next()? {
        let score = match elements.need()? {
            Element::Int(whole) => whole as f64,
            Element::Bytes(text) => score_of_text(text)?,
        };
        if !add_score(&mut scores, member.bytes(&mut digits), score)? {
            return Err(DUPLICATE_PACKED);
        }
    }
    Ok(scores)
}

/// Adds a member; `false` if it is there already.
fn add_score(scores: &mut Unordered, member: &[u8], score: f64) -> Result<bool, Fault> {
    if score.is_nan() {
        return Err(Fault::Damaged("a score is no number"));
    }
    let mut is_new = true;
    scores.update(member, |present| {
        is_new = present.is_none();
        score
    });
    Ok(is_new)
}

fn hash_limits(config: &Config) -> HashLimits {
    HashLimits { fields: config.hash_max_listpack_entries, element_bytes: config.hash_max_listpack_value }
}

/// No packed hash at all if so many fields are too many.
fn limits_for(count: u64, limits: HashLimits) -> HashLimits {
    if count > limits.fields as u64 { HashLimits { fields: 0, ..limits } } else { limits }
}

fn hash_of_strings(input: &mut Input<'_>, kind: u8, config: &Config) -> Result<Hash, Fault> {
    let earliest = if kind == kind::HASH_DEADLINES { input.word()? as u64 } else { 1 };
    let count = need_some(input.length()?)?;
    let limits = limits_for(count, hash_limits(config));
    let mut hash = Hash::default();
    for _ in 0..count {
        // Counted from the earliest one, and one more, since zero is none.
        let deadline = match kind {
            kind::HASH => 0,
            _ => match input.length()? {
                0 => 0,
                after => after.checked_add(earliest).ok_or(BAD_DEADLINE)? - 1,
            },
        };
        let (field, value) = (input.string()?, input.string()?);
        if !set_field(&mut hash, field.element(), value.element(), deadline, limits)? {
            return Err(DUPLICATE);
        }
    }
    Ok(hash)
}

const BAD_DEADLINE: Fault = Fault::Damaged("the deadline of a field is no time");

/// A hash of fields and values, and deadlines if each is of three.
fn hash_of_elements(mut elements: Elements<'_>, each: usize, limits: HashLimits) -> Result<Hash, Fault> {
    let count = need_some(elements.count_all()? as u64)?;
    let limits = limits_for(count / each as u64, limits);
    let mut hash = Hash::default();
    while let Some(field) = elements.try_next()? {
        let value = elements.need()?;
        let deadline = if each == 3 { elements.need_int()? } else { 0 };
        let deadline = u64::try_from(deadline).map_err(|_| BAD_DEADLINE)?;
        if !set_field(&mut hash, field, value, deadline, limits)? {
            return Err(DUPLICATE_PACKED);
        }
    }
    Ok(hash)
}

/// Adds a field; `false` if it is there already.
fn set_field(
    hash: &mut Hash,
    field: Element<'_>,
    value: Element<'_>,
    deadline: u64,
    limits: HashLimits,
) -> Result<bool, Fault> {
    let (mut field_digits, mut value_digits) = (itoa::Buffer::new(), itoa::Buffer::new());
    let field = field.bytes(&mut field_digits);
    if deadline > DEADLINE_MAX {
        return Err(BAD_DEADLINE);
    }
    let is_new = hash.set(field, value.bytes(&mut value_digits), Deadline::Ends, limits);
    if deadline != 0 {
        hash.set_deadline(field, Some(deadline as i64));
    }
    Ok(is_new)
}
