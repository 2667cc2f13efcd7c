//! SORT and SORT_RO: the elements of a list, a set or a sorted set in order, by themselves or by other keys.
//!
//! Keys that patterns name are known only once the elements are, so no lock can be taken on them before: whole shards are
//! locked instead, all of them unless a hash tag tells where the keys are.

use std::cmp::Ordering;
use std::ops::Range;

use ahash::AHashSet;

use crate::base::number::{parse_f64, until_zero};
use crate::base::slot::{hash_tag, slot_of};
use crate::command::args::Cursor;
use crate::command::context::{Context, KeyspaceEvents};
use crate::resp::error::{SYNTAX, WRONG_TYPE};
use crate::store::entry::Entry;
use crate::store::hash::HashView;
use crate::store::list::{End, Limit, List};
use crate::store::set::Set;
use crate::store::sorted_set::SortedSet;
use crate::store::value::{Collection, Kind};

const NOT_A_NUMBER: &str = "ERR One or more scores can't be converted into double";
const BY_DENIED: &str =
    "ERR BY option of SORT denied in cluster mode when keys formed by the pattern may be in different slots.";
const GET_DENIED: &str = "ERR GET option of SORT denied in cluster mode when keys formed by the pattern may be in different slots.";

/// SORT key [BY pattern] [LIMIT offset count] [GET pattern ...] [ASC|DESC] [ALPHA] [STORE destination]
pub fn sort(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    reply_sorted(ctx, arguments, true);
}

/// SORT_RO: the same without STORE.
pub fn sort_ro(ctx: &mut Context<'_>, arguments: &[&[u8]]) {
    reply_sorted(ctx, arguments, false);
}

/// The options.
#[derive(Default)]
struct Options<'a> {
    by: Option<&'a [u8]>,
    /// Whether a constant pattern leaves the order as it is.
    is_unsorted: bool,
    /// Offset and count.
    limit: Option<(i64, i64)>,
    get: Vec<&'a [u8]>,
    is_descending: bool,
    is_alpha: bool,
    destination: Option<&'a [u8]>,
}

impl<'a> Options<'a> {
    /// Reads them. Patterns of which `denies` is true are refused.
    fn parse(
        arguments: &[&'a [u8]],
        may_store: bool,
        denies: impl Fn(&[u8]) -> bool,
    ) -> Result<Self, &'static str> {
        let mut options = Self::default();
        let mut cursor = Cursor::new(arguments, 2);
        while !cursor.is_done() {
            let behind = cursor.remaining() - 1;
            if cursor.accept("asc") {
                options.is_descending = false;
            } else if cursor.accept("desc") {
                options.is_descending = true;
            } else if cursor.accept("alpha") {
                options.is_alpha = true;
            } else if behind >= 2 && cursor.accept("limit") {
                options.limit = Some((cursor.need_i64()?, cursor.need_i64()?));
            } else if behind >= 1 && cursor.accept("by") {
                let pattern = cursor.need()?;
                options.by = Some(pattern);
                options.is_unsorted |= star_of(pattern).is_none();
                if denies(pattern) {
                    return Err(BY_DENIED);
                }
            } else if behind >= 1 && cursor.accept("get") {
                let pattern = cursor.need()?;
                options.get.push(pattern);
                if denies(pattern) {
                    return Err(GET_DENIED);
                }
            } else if may_store && behind >= 1 && cursor.accept("store") {
                options.destination = Some(cursor.need()?);
            } else {
                return Err(SYNTAX);
            }
        }
        Ok(options)
    }

    /// The patterns whose keys are looked up.
    fn patterns(&self) -> impl Iterator<Item = &'a [u8]> {
        let by = self.by.filter(|_| !self.is_unsorted);
        by.into_iter().chain(self.get.iter().copied()).filter(|pattern| star_of(pattern).is_some())
    }

    /// A set has no order of its own, but what is stored must be the same everywhere.
    fn suit(&mut self, type_name: &str) {
        if type_name == Kind::Set.type_name() && self.is_unsorted && self.destination.is_some() {
            self.by = None;
            self.is_unsorted = false;
            self.is_alpha = true;
        }
    }

    /// Leaves of unsorted elements what LIMIT does.
    fn arrange(&self, elements: &mut Vec<Vec<u8>>) {
        if self.is_descending {
            elements.reverse();
        }
        self.take_part(elements);
    }

    fn take_part(&self, elements: &mut Vec<Vec<u8>>) {
        let part = self.part(elements.len());
        elements.truncate(part.end);
        elements.drain(..part.start);
    }

    /// The part of `length` elements that LIMIT leaves.
    fn part(&self, length: usize) -> Range<usize> {
        let (offset, count) = self.limit.unwrap_or((0, -1));
        let start = usize::try_from(offset).unwrap_or(0).min(length);
        let count = usize::try_from(count).unwrap_or(length);
        start..start.saturating_add(count).min(length)
    }
}

/// The patterns of keys among the arguments; none if they are malformed.
pub fn patterns<'a>(arguments: &[&'a [u8]]) -> Vec<&'a [u8]> {
    let options = Options::parse(arguments, true, |_| false);
    options.map_or_else(|_| Vec::new(), |options| options.patterns().collect())
}

/// The slot of all keys that a pattern can name, if a hash tag before its `*` tells.
pub fn slot_of_pattern(pattern: &[u8]) -> Option<u16> {
    let before = &pattern[..star_of(pattern)?];
    (hash_tag(before).len() < before.len()).then(|| slot_of(before))
}

/// The keys that patterns name for the elements at an entry, each once.
pub fn keys_of_patterns(arguments: &[&[u8]], entry: Option<&Entry>) -> Vec<Vec<u8>> {
    let (Some(entry), Ok(mut options)) = (entry, Options::parse(arguments, true, |_| false)) else {
        return Vec::new();
    };
    let mut elements = elements_of(entry).unwrap_or_default();
    options.suit(entry.type_name());
    if options.is_unsorted {
        options.arrange(&mut elements);
    }
    let mut keys = AHashSet::new();
    for pattern in options.patterns().filter_map(Pattern::parse) {
        keys.extend(elements.iter().map(|element| pattern.key_of(element)));
    }
    keys.into_iter().collect()
}

/// What an element is compared by.
enum Weight {
    /// A number.
    Number(f64),
    /// Text, or nothing where BY finds none.
    Text(Option<Vec<u8>>),
}

impl Weight {
    fn order(&self, other: &Weight) -> Ordering {
        match (self, other) {
            (Weight::Number(one), Weight::Number(other)) => one.partial_cmp(other).unwrap_or(Ordering::Equal),
            (Weight::Text(one), Weight::Text(other)) => one.cmp(other),
            _ => Ordering::Equal,
        }
    }
}

fn reply_sorted(ctx: &mut Context<'_>, arguments: &[&[u8]], may_store: bool) {
    let (key, is_node) = (arguments[1], ctx.caller.cluster_port);
    let denies = |pattern: &[u8]| {
        is_node && star_of(pattern).is_some() && slot_of_pattern(pattern) != Some(slot_of(key))
    };
    let sorted = Options::parse(arguments, may_store, denies).and_then(|mut options| {
        let elements = sorted(ctx, key, &mut options)?;
        Ok((options, elements))
    });
    let (options, elements) = match sorted {
        Ok(sorted) => sorted,
        Err(error) => return ctx.reply.error(error),
    };
    match options.destination {
        Some(destination) => store(ctx, destination, &options.get, elements),
        None => reply(ctx, &options.get, &elements),
    }
}

/// The elements in order, as far as LIMIT leaves them.
fn sorted(
    ctx: &mut Context<'_>,
    key: &[u8],
    options: &mut Options<'_>,
) -> Result<Vec<Vec<u8>>, &'static str> {
    let (kind, mut elements) = match ctx.find(key) {
        Some(entry) => (entry.type_name(), elements_of(&entry).ok_or(WRONG_TYPE)?),
        None => ("none", Vec::new()),
    };
    if kind == Kind::SortedSet.type_name() {
        // It stays so, as OBJECT ENCODING shows in Redis too.
        ctx.change(key, |set: &mut SortedSet, _| {
            set.unpack();
        })
        .ok();
    }
    options.suit(kind);
    if options.is_unsorted {
        options.arrange(&mut elements);
        return Ok(elements);
    }
    let mut weighed = weigh(ctx, elements, options)?;
    weighed.sort_by(|(one, one_weight), (other, other_weight)| {
        let mut order = one_weight.order(other_weight);
        if !options.is_alpha {
            order = order.then_with(|| one.cmp(other));
        }
        if options.is_descending { order.reverse() } else { order }
    });
    let mut elements = weighed.into_iter().map(|(element, _)| element).collect();
    options.take_part(&mut elements);
    Ok(elements)
}

/// All elements at an entry in their own order; `None` if it is of another type.
fn elements_of(entry: &Entry) -> Option<Vec<Vec<u8>>> {
    let mut elements = Vec::new();
    let value = entry.value();
    if let Some(list) = List::view_in(value) {
        elements
            .extend(list.walk(End::Head, 0).map(|element| element.bytes(&mut itoa::Buffer::new()).to_vec()));
    } else if let Some(set) = Set::view_in(value) {
        elements.extend(set.iter().map(|member| member.bytes(&mut itoa::Buffer::new()).to_vec()));
    } else {
        let set = SortedSet::view_in(value)?;
        set.visit(0..set.len(), false, |member, _| elements.push(member.to_vec()));
    }
    Some(elements)
}

fn weigh(
    ctx: &mut Context<'_>,
    elements: Vec<Vec<u8>>,
    options: &Options<'_>,
) -> Result<Vec<(Vec<u8>, Weight)>, &'static str> {
    let mut weighed = Vec::with_capacity(elements.len());
    for element in elements {
        let text = match options.by {
            Some(pattern) => look_up(ctx, pattern, &element),
            None => Some(element.clone()),
        };
        let weight = match text {
            // What is not stored is collated, which sees no further than a zero byte.
            text if options.is_alpha && options.destination.is_none() => {
                Weight::Text(text.map(|text| until_zero(&text).to_vec()))
            }
            text if options.is_alpha => Weight::Text(text),
            Some(text) => Weight::Number(number(&text).ok_or(NOT_A_NUMBER)?),
            None => Weight::Number(0.0),
        };
        weighed.push((element, weight));
    }
    Ok(weighed)
}

/// What `strtod` makes of the whole text, which for it ends at the first zero byte: blanks may stand before a number, and
/// no text at all is zero.
fn number(text: &[u8]) -> Option<f64> {
    let text = until_zero(text);
    let blanks = text.iter().take_while(|byte| b" \t\n\x0b\x0c\r".contains(byte)).count();
    if text.is_empty() { Some(0.0) } else { parse_f64(&text[blanks..]) }
}

/// Where the `*` of a pattern stands.
fn star_of(pattern: &[u8]) -> Option<usize> {
    until_zero(pattern).iter().position(|&byte| byte == b'*')
}

/// A pattern of keys: an element stands for the first `*`; `->` behind it asks for a field of the hash at that key.
struct Pattern<'a> {
    before: &'a [u8],
    behind: &'a [u8],
    field: Option<&'a [u8]>,
}

impl<'a> Pattern<'a> {
    /// `None` without a `*`.
    fn parse(pattern: &'a [u8]) -> Option<Self> {
        let (before, behind) = pattern.split_at(star_of(pattern)?);
        let behind = &behind[1..];
        let shown = until_zero(behind);
        let arrow = shown.windows(2).position(|pair| pair == b"->").filter(|at| at + 2 < shown.len());
        let (behind, field) = match arrow {
            Some(at) => (&behind[..at], Some(&behind[at + 2..])),
            None => (behind, None),
        };
        Some(Self { before, behind, field })
    }

    fn key_of(&self, element: &[u8]) -> Vec<u8> {
        [self.before, element, self.behind].concat()
    }
}

/// The string that `pattern` names for an element; `#` is the element itself.
fn look_up(ctx: &mut Context<'_>, pattern: &[u8], element: &[u8]) -> Option<Vec<u8>> {
    if until_zero(pattern) == b"#" {
        return Some(element.to_vec());
    }
    let pattern = Pattern::parse(pattern)?;
    let now = ctx.now;
    ctx.read(&pattern.key_of(element), |entry, _| match pattern.field {
        None => entry?.string(&mut itoa::Buffer::new()).map(<[u8]>::to_vec),
        Some(field) => {
            let value = HashView::of_entry(entry?)?.at(now).get(field)?;
            Some(value.bytes(&mut itoa::Buffer::new()).to_vec())
        }
    })
}

/// What GET asks for about an element, one after another; the element itself without GET.
fn values(ctx: &mut Context<'_>, get: &[&[u8]], element: &[u8]) -> Vec<Option<Vec<u8>>> {
    if get.is_empty() {
        return vec![Some(element.to_vec())];
    }
    get.iter().map(|pattern| look_up(ctx, pattern, element)).collect()
}

fn reply(ctx: &mut Context<'_>, get: &[&[u8]], elements: &[Vec<u8>]) {
    ctx.reply.array(elements.len() * get.len().max(1));
    for element in elements {
        for value in values(ctx, get, element) {
            match value {
                Some(value) => ctx.reply.bulk(&value),
                None => ctx.reply.null(),
            }
        }
    }
}

fn store(ctx: &mut Context<'_>, destination: &[u8], get: &[&[u8]], elements: Vec<Vec<u8>>) {
    let limit = Limit::new(ctx.config.list_max_listpack_size);
    let mut all = Vec::with_capacity(elements.len() * get.len().max(1));
    for element in elements {
        all.extend(values(ctx, get, &element).into_iter().map(Option::unwrap_or_default));
    }
    let mut list = List::default();
    let slices: Vec<&[u8]> = all.iter().map(Vec::as_slice).collect();
    list.push(End::Tail, &slices, limit);
    let existed = ctx.store_collection(destination, list);
    if !all.is_empty() {
        ctx.modified(destination, KeyspaceEvents::LIST, "sortstore");
        ctx.keyspace.counters.dirty += all.len() as u64 - 1;
    } else if existed {
        ctx.modified(destination, KeyspaceEvents::GENERIC, "del");
    }
    ctx.reply.count(all.len());
}
