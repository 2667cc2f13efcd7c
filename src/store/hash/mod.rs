//! Hashes: values by field, packed while they are few and short, else in a table of their own.
//!
//! A field may have a deadline. What becomes of one whose time is over is decided above, where there is a clock:
//! [`Hash::expire`] removes such fields, and a [`HashView`] that was told the time hides them.

mod fields;
mod pairs;

#[cfg(test)]
mod hash_test;

use std::fmt;

pub use fields::Fields;
pub use pairs::Pair;
use pairs::{PAIRS_MAX, Pairs};

use super::entry::{Entry, ValueRef};
use super::packed::{Element, Packed, PackedRef};
use super::table::Table;
use super::value::{Collection, Kind, Stored, Value};

/// Draws after which a random field may be a hidden one.
const DRAWS_MAX: usize = 100;

/// A hash to be changed.
#[derive(Clone)]
pub enum Hash {
    /// Pairs one after the other.
    Packed(Packed),
    /// A table of fields.
    Fields(Box<Fields>),
}

/// Up to where a hash is packed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HashLimits {
    /// Most fields.
    pub fields: usize,
    /// Longest field or value, bytes.
    pub element_bytes: usize,
}

/// What becomes of a field's deadline when the field gets a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deadline {
    /// It ends.
    Ends,
    /// It stays.
    Stays,
}

impl Hash {
    /// To be read.
    pub fn view(&self) -> HashView<'_> {
        let form = match self {
            Hash::Packed(packed) => Form::Packed(Pairs::over(packed.as_ref())),
            Hash::Fields(fields) => Form::Fields(fields),
        };
        HashView { form, now_ms: i64::MIN }
    }

    /// Number of fields.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is no field.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Gives a field a value; whether the field is new.
    pub fn set(&mut self, field: &[u8], value: &[u8], deadline: Deadline, limits: HashLimits) -> bool {
        let is_long = field.len().max(value.len()) > limits.element_bytes.min(u32::MAX as usize);
        if let Hash::Packed(packed) = self
            && !is_long
        {
            let pairs = Pairs::over(packed.as_ref());
            let Some(place) = pairs.find(field) else {
                let is_full = pairs.len() >= limits.fields.min(PAIRS_MAX);
                if is_full {
                    return self.fields_mut().set(field, value, deadline);
                }
                pairs::push(packed, field, value);
                return true;
            };
            pairs::set_value(packed, place, value);
            if deadline == Deadline::Ends {
                pairs::set_deadline(packed, place, None);
            }
            return false;
        }
        self.fields_mut().set(field, value, deadline)
    }

    /// Gives a field a deadline or none; `false`, and no change, when there is no such field.
    pub fn set_deadline(&mut self, field: &[u8], deadline: Option<i64>) -> bool {
        match self {
            Hash::Packed(packed) => {
                let Some(place) = Pairs::over(packed.as_ref()).find(field) else { return false };
                pairs::set_deadline(packed, place, deadline);
                true
            }
            Hash::Fields(fields) => fields.set_deadline(field, deadline),
        }
    }

    /// Removes a field; whether it was there.
    pub fn remove(&mut self, field: &[u8]) -> bool {
        match self {
            Hash::Packed(packed) => {
                let Some(place) = Pairs::over(packed.as_ref()).find(field) else { return false };
                pairs::remove(packed, place);
                true
            }
            Hash::Fields(fields) => fields.remove(field),
        }
    }

    /// Removes up to `budget` fields whose deadline lies before `now_ms`, and tells which; returns their number.
    pub fn expire(&mut self, now_ms: i64, budget: usize, mut on_expired: impl FnMut(&[u8])) -> usize {
        match self {
            Hash::Packed(packed) => pairs::expire(packed, now_ms, budget, on_expired),
            Hash::Fields(fields) => fields.expire(now_ms, budget, &mut on_expired),
        }
    }

    /// Frees about `budget` fields of a hash that nobody can reach any more; returns how many.
    pub fn free_some(&mut self, budget: usize) -> usize {
        match self {
            Hash::Packed(_) => 0,
            Hash::Fields(fields) => fields.free_some(budget),
        }
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        match self {
            Hash::Packed(packed) => packed_name(packed.as_ref()),
            Hash::Fields(_) => "hashtable",
        }
    }

    /// Heap bytes. Constant time.
    pub fn memory_usage(&self) -> usize {
        match self {
            Hash::Packed(packed) => packed.memory_usage(),
            Hash::Fields(fields) => fields.memory_usage(),
        }
    }

    /// The big form, which it has from now on.
    fn fields_mut(&mut self) -> &mut Fields {
        if let Hash::Packed(packed) = self {
            *self = Hash::Fields(Box::new(Fields::of(Pairs::over(packed.as_ref()))));
        }
        match self {
            Hash::Fields(fields) => fields,
            Hash::Packed(_) => unreachable!("became the big form right above"),
        }
    }
}

/// The name OBJECT ENCODING answers for a packed hash.
pub(super) fn packed_name(elements: PackedRef<'_>) -> &'static str {
    if pairs::has_deadlines(elements) { "listpackex" } else { "listpack" }
}

impl Default for Hash {
    fn default() -> Self {
        Hash::Packed(Packed::default())
    }
}

impl PartialEq for Hash {
    fn eq(&self, other: &Self) -> bool {
        let (view, other) = (self.view(), other.view());
        let mut is_equal = view.len() == other.len();
        view.each(|pair| {
            let field = pair.field.bytes(&mut itoa::Buffer::new()).to_vec();
            is_equal = is_equal
                && other.find(&field).is_some_and(|theirs| {
                    let value = theirs.value.bytes(&mut itoa::Buffer::new()).to_vec();
                    value == pair.value.bytes(&mut itoa::Buffer::new()) && theirs.deadline == pair.deadline
                });
        });
        is_equal
    }
}

impl Eq for Hash {}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Hash").field("encoding", &self.encoding_name()).field("len", &self.len()).finish()
    }
}

impl Collection for Hash {
    type View<'a> = HashView<'a>;

    const KIND: Kind = Kind::Hash;

    fn view_packed(packed: PackedRef<'_>) -> Option<HashView<'_>> {
        Some(HashView { form: Form::Packed(Pairs::over(packed)), now_ms: i64::MIN })
    }

    fn view(value: &Value) -> Option<HashView<'_>> {
        match value {
            Value::Hash(hash) => Some(hash.view()),
            _ => None,
        }
    }

    fn seen_at(view: Self::View<'_>, now_ms: i64) -> Option<Self::View<'_>> {
        let seen = view.at(now_ms);
        (!seen.is_hiding() || !seen.is_empty()).then_some(seen)
    }

    fn value_mut(value: &mut Value) -> Option<&mut Self> {
        match value {
            Value::Hash(hash) => Some(hash),
            _ => None,
        }
    }

    fn from_packed(packed: Packed) -> Option<Self> {
        Some(Hash::Packed(packed))
    }

    fn into_stored(self) -> Stored {
        match self {
            Hash::Packed(packed) if packed.fits_entry() => Stored::Packed(packed),
            hash => Stored::Value(Value::Hash(hash)),
        }
    }

    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A hash to be read. Fields whose deadline lies before the time that it was told ([`HashView::at`]) are not there.
#[derive(Clone, Copy)]
pub struct HashView<'a> {
    form: Form<'a>,
    now_ms: i64,
}

#[derive(Clone, Copy)]
enum Form<'a> {
    Packed(Pairs<'a>),
    Fields(&'a Fields),
}

impl<'a> HashView<'a> {
    /// The hash of an entry, if it has one.
    pub fn of_entry(entry: &'a Entry) -> Option<Self> {
        match entry.value() {
            ValueRef::Packed(Kind::Hash, packed) => Hash::view_packed(packed),
            ValueRef::Object(Value::Hash(hash)) => Some(hash.view()),
            _ => None,
        }
    }

    /// Without the fields whose time is over at `now_ms`.
    pub fn at(self, now_ms: i64) -> Self {
        Self { now_ms, ..self }
    }

    /// Number of fields. Constant time, unless some are hidden.
    pub fn len(self) -> usize {
        match self.form {
            Form::Packed(pairs) => {
                pairs.len() - pairs.deadlines().filter(|&at_ms| at_ms < self.now_ms).count()
            }
            Form::Fields(fields) => fields.len() - fields.deadlines().count_due(self.now_ms),
        }
    }

    /// Whether there is no field.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether fields are hidden.
    pub fn is_hiding(self) -> bool {
        self.earliest_deadline().is_some_and(|at_ms| at_ms < self.now_ms)
    }

    /// The earliest deadline of a field, hidden or not.
    pub fn earliest_deadline(self) -> Option<i64> {
        match self.form {
            Form::Packed(pairs) => pairs.deadlines().min(),
            Form::Fields(fields) => fields.deadlines().earliest(),
        }
    }

    /// A field with its value and deadline.
    #[inline]
    pub fn find(self, field: &[u8]) -> Option<Pair<'a>> {
        let pair = match self.form {
            Form::Packed(pairs) => pairs.at(pairs.find(field)?)?,
            Form::Fields(fields) => fields.find(field)?,
        };
        self.shows(pair).then_some(pair)
    }

    /// The value of a field.
    #[inline]
    pub fn get(self, field: &[u8]) -> Option<Element<'a>> {
        self.find(field).map(|pair| pair.value)
    }

    /// Whether a walk takes one call of [`HashView::scan`] only.
    pub fn is_packed(self) -> bool {
        matches!(self.form, Form::Packed(_))
    }

    /// All fields of a packed hash, hidden ones too, and the bytes that they take.
    pub fn packed(self) -> Option<(impl Iterator<Item = Pair<'a>>, usize)> {
        match self.form {
            Form::Packed(pairs) => Some((pairs.iter(), pairs.bytes_len())),
            Form::Fields(_) => None,
        }
    }

    /// The table of the fields, if there is one.
    pub fn table(self) -> Option<&'a Table> {
        match self.form {
            Form::Packed(_) => None,
            Form::Fields(fields) => Some(fields.table()),
        }
    }

    /// Visits every field.
    pub fn each(self, visit: impl FnMut(Pair<'_>)) {
        self.scan(0, usize::MAX, visit);
    }

    /// Visits about `budget` fields from `cursor` on, with the guarantees of SCAN, and returns where to go on; zero is the
    /// start, and the answer at the end. A packed hash is visited whole.
    pub fn scan(self, cursor: u64, budget: usize, mut visit: impl FnMut(Pair<'_>)) -> u64 {
        match self.form {
            Form::Packed(pairs) => {
                pairs.iter().filter(|&pair| self.shows(pair)).for_each(visit);
                0
            }
            Form::Fields(fields) => fields.scan(cursor, budget, |pair| {
                if self.shows(pair) {
                    visit(pair)
                }
            }),
        }
    }

    /// Some field, each about equally likely. A hidden one only where hardly any other is left.
    pub fn random(self, mut next_random: impl FnMut() -> u64) -> Option<Pair<'a>> {
        let mut drawn = None;
        for _ in 0..DRAWS_MAX {
            drawn = self.draw(next_random());
            if drawn.is_none_or(|pair| self.shows(pair)) {
                break;
            }
        }
        drawn
    }

    fn draw(self, random: u64) -> Option<Pair<'a>> {
        match self.form {
            Form::Packed(pairs) if pairs.len() > 0 => pairs.nth((random % pairs.len() as u64) as usize),
            Form::Packed(_) => None,
            Form::Fields(fields) => fields.random(random),
        }
    }

    #[inline]
    fn shows(self, pair: Pair<'_>) -> bool {
        pair.deadline.is_none_or(|at_ms| at_ms >= self.now_ms)
    }
}
