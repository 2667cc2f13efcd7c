//! Sets in three forms that change into one another as those of Redis do: sorted integers ([`Ints`], encoding `intset`), packed
//! members ([`Packed`], `listpack`), and a [`Table`] whose entries have the members as keys and empty values (`hashtable`).
//! The first two live inside their entry while they are short.
//!
//! Which commands there are, and what they reply, is not known here.

mod ints;

#[cfg(test)]
mod set_test;

pub use ints::{Ints, IntsRef};

use super::entry::{Entry, NewValue};
use super::packed::{Element, Elements, Packed, PackedRef};
use super::size_class::allocation_size;
use super::table::{Entries, Table};
use super::value::{Collection, Kind, Stored, Value};
use crate::base::number::parse_i64;
use crate::config::Config;

/// Redis keeps no more integers sorted, whatever `set-max-intset-entries` says.
const INTS_MAX: usize = 1 << 30;

/// A set of strings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Set {
    form: Form,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Form {
    Ints(Ints),
    Packed(Packed),
    Table(Box<Table>),
}

impl Default for Set {
    /// An empty set of integers, to which anything can be added.
    fn default() -> Self {
        Self { form: Form::Ints(Ints::default()) }
    }
}

impl Set {
    /// An empty set in the form in which Redis collects members drawn from `source`, or common to it and others: sorted if
    /// that is, else packed.
    pub fn for_part_of(source: SetView<'_>) -> Self {
        match source {
            SetView::Ints(_) => Self::default(),
            SetView::Packed(_) | SetView::Table(_) => Self { form: Form::Packed(Packed::default()) },
        }
    }

    /// An empty set in the form of large ones.
    pub fn of_table() -> Self {
        Self { form: Form::Table(Box::new(Table::of_elements())) }
    }

    /// To be read.
    pub fn view(&self) -> SetView<'_> {
        match &self.form {
            Form::Ints(ints) => SetView::Ints(ints.as_ref()),
            Form::Packed(packed) => SetView::Packed(packed.as_ref()),
            Form::Table(table) => SetView::Table(table),
        }
    }

    /// Number of members.
    pub fn len(&self) -> usize {
        self.view().len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The name OBJECT ENCODING answers.
    pub fn encoding_name(&self) -> &'static str {
        match &self.form {
            Form::Ints(_) => "intset",
            Form::Packed(_) => "listpack",
            Form::Table(_) => "hashtable",
        }
    }

    /// Heap bytes, as the allocator rounds them. Constant time.
    pub fn memory_usage(&self) -> usize {
        match &self.form {
            Form::Ints(ints) => ints.memory_usage(),
            Form::Packed(packed) => packed.memory_usage(),
            Form::Table(table) => {
                allocation_size(size_of::<Table>()) + table.memory_usage() + table.entry_bytes()
            }
        }
    }

    /// Frees about `budget` members of a set that nobody can reach any more; returns how many, 0 when dropping the rest takes
    /// no time to speak of.
    pub fn free_some(&mut self, budget: usize) -> usize {
        let Form::Table(table) = &mut self.form else { return 0 };
        let before = table.len();
        let mut cursor = 0;
        loop {
            cursor = table.drain_some(cursor, budget, drop);
            if cursor == 0 || table.len() < before {
                return before - table.len();
            }
        }
    }

    /// Prepares for a command that adds `members`, present ones perhaps among them: as in Redis their number alone may call for
    /// another form, and the first of them decides the form of a set that is still empty.
    pub fn prepare(&mut self, members: &[&[u8]], config: &Config) {
        let fits_packed = members.len() <= config.set_max_listpack_entries;
        if self.is_empty() {
            let is_int = members.first().is_some_and(|member| parse_i64(member).is_some());
            self.form = match () {
                () if is_int && members.len() <= config.set_max_intset_entries => Form::Ints(Ints::default()),
                () if fits_packed => Form::Packed(Packed::default()),
                () => self.view().to_table(),
            };
            return;
        }
        let fits = match &self.form {
            Form::Ints(_) => members.len() <= config.set_max_intset_entries,
            Form::Packed(_) => fits_packed,
            Form::Table(_) => true,
        };
        if !fits {
            self.form = self.view().to_table();
        }
    }

    /// Adds a member; `false` if it is there already. In a form that cannot take it the set changes to one that can.
    pub fn add(&mut self, member: &[u8], config: &Config) -> bool {
        let next = match &mut self.form {
            Form::Ints(ints) => match parse_i64(member) {
                Some(int) => {
                    let is_added = ints.insert(int);
                    if ints.len() > ints_max(config) {
                        self.form = self.view().to_table();
                    }
                    return is_added;
                }
                None if fits_packed(ints.as_ref(), member, config) => self.view().to_packed(),
                None => self.view().to_table(),
            },
            Form::Packed(packed) => {
                if find(packed.as_ref(), member).is_some() {
                    return false;
                }
                if packed.len() < packed_max(config) && member.len() <= config.set_max_listpack_value {
                    packed.push(Element::of(member));
                    return true;
                }
                self.view().to_table()
            }
            Form::Table(table) => return add_to(table, member),
        };
        self.form = next;
        self.add(member, config)
    }

    /// Removes a member; `false` if it is not there.
    pub fn remove(&mut self, member: &[u8]) -> bool {
        match &mut self.form {
            Form::Ints(ints) => parse_i64(member).is_some_and(|int| ints.remove(int)),
            Form::Packed(packed) => match find(packed.as_ref(), member) {
                Some(place) => {
                    packed.remove(place, 1);
                    true
                }
                None => false,
            },
            Form::Table(table) => table.remove(table.hash(member), member).is_some(),
        }
    }

    /// Takes a random member out.
    pub fn pop(&mut self, random: u64) -> Option<Vec<u8>> {
        let member = self.view().random(random)?.bytes(&mut itoa::Buffer::new()).to_vec();
        self.remove(&member);
        Some(member)
    }

    /// Gives a set of nothing but integers the form for them, if that takes so many.
    pub fn settle_ints(&mut self, config: &Config) {
        if matches!(self.form, Form::Ints(_)) || self.len() > ints_max(config) {
            return;
        }
        let mut ints = Ints::default();
        for member in self.view().iter() {
            let Some(int) = int_of(member) else { return };
            ints.insert(int);
        }
        self.form = Form::Ints(ints);
    }
}

/// Integers that a set keeps sorted at most.
fn ints_max(config: &Config) -> usize {
    config.set_max_intset_entries.min(INTS_MAX)
}

/// Members that a set keeps packed at most.
fn packed_max(config: &Config) -> usize {
    config.set_max_listpack_entries.min(Packed::LEN_MAX)
}

/// Whether integers may be packed, so that `member` joins them.
fn fits_packed(ints: IntsRef<'_>, member: &[u8], config: &Config) -> bool {
    let longest = [0, ints.len().saturating_sub(1)]
        .into_iter()
        .filter_map(|index| ints.get(index))
        .map(|int| Element::Int(int).len())
        .fold(member.len(), usize::max);
    ints.len() < packed_max(config) && longest <= config.set_max_listpack_value
}

/// The place of a packed member.
fn find(packed: PackedRef<'_>, member: &[u8]) -> Option<usize> {
    let wanted = Element::of(member);
    let mut elements = packed.iter();
    loop {
        let place = elements.place();
        if elements.next()? == wanted {
            return Some(place);
        }
    }
}

/// The integer that a member is.
fn int_of(member: Element<'_>) -> Option<i64> {
    match member {
        Element::Int(int) => Some(int),
        Element::Bytes(bytes) => parse_i64(bytes),
    }
}

fn add_to(table: &mut Table, member: &[u8]) -> bool {
    let hash = table.hash(member);
    let is_new = table.find(hash, member).is_none();
    if is_new {
        table.insert(hash, Entry::new(member, NewValue::Bytes(b""), None));
    }
    is_new
}

/// A set to be read.
#[derive(Clone, Copy, Debug)]
pub enum SetView<'a> {
    /// Sorted integers.
    Ints(IntsRef<'a>),
    /// Packed members.
    Packed(PackedRef<'a>),
    /// Members as the keys of entries.
    Table(&'a Table),
}

impl<'a> SetView<'a> {
    /// Number of members.
    pub fn len(self) -> usize {
        match self {
            SetView::Ints(ints) => ints.len(),
            SetView::Packed(packed) => packed.len(),
            SetView::Table(table) => table.len(),
        }
    }

    /// Whether there is none.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }

    /// Whether `member` is in the set.
    pub fn contains(self, member: &[u8]) -> bool {
        match self {
            SetView::Ints(ints) => parse_i64(member).is_some_and(|int| ints.contains(int)),
            SetView::Packed(packed) => find(packed, member).is_some(),
            SetView::Table(table) => table.find(table.hash(member), member).is_some(),
        }
    }

    /// All members: integers ascending, packed ones in the order in which they came, others in no particular order.
    pub fn iter(self) -> Members<'a> {
        match self {
            SetView::Ints(ints) => Members::Ints { ints, next: 0 },
            SetView::Packed(packed) => Members::Packed(packed.iter()),
            SetView::Table(table) => Members::Table(table.iter()),
        }
    }

    /// A random member, each equally likely; `None` only if there is none.
    pub fn random(self, random: u64) -> Option<Element<'a>> {
        let index = ((u128::from(random) * self.len() as u128) >> 64) as usize;
        match self {
            SetView::Ints(ints) => ints.get(index).map(Element::Int),
            SetView::Packed(packed) => packed.iter().nth(index),
            SetView::Table(table) => table.random(random).map(|entry| Element::Bytes(entry.key())),
        }
    }

    /// The table, if that is the form: a walk through it may pause.
    pub fn table(self) -> Option<&'a Table> {
        match self {
            SetView::Table(table) => Some(table),
            _ => None,
        }
    }

    fn to_table(self) -> Form {
        let mut table = Box::new(Table::of_elements());
        let mut digits = itoa::Buffer::new();
        for member in self.iter() {
            add_to(&mut table, member.bytes(&mut digits));
        }
        Form::Table(table)
    }

    fn to_packed(self) -> Form {
        let mut packed = Packed::default();
        self.iter().for_each(|member| packed.push(member));
        Form::Packed(packed)
    }
}

/// The members of a [`SetView`]. Those of a table are bytes even where they are integers.
#[derive(Clone, Debug)]
pub enum Members<'a> {
    /// Of sorted integers.
    Ints {
        /// The integers.
        ints: IntsRef<'a>,
        /// Number of the next one.
        next: usize,
    },
    /// Of packed members.
    Packed(Elements<'a>),
    /// Of a table.
    Table(Entries<'a>),
}

impl<'a> Iterator for Members<'a> {
    type Item = Element<'a>;

    #[inline]
    fn next(&mut self) -> Option<Element<'a>> {
        match self {
            Members::Ints { ints, next } => {
                let int = ints.get(*next)?;
                *next += 1;
                Some(Element::Int(int))
            }
            Members::Packed(elements) => elements.next(),
            Members::Table(entries) => entries.next().map(|entry| Element::Bytes(entry.key())),
        }
    }
}

impl Collection for Set {
    type View<'a> = SetView<'a>;

    const KIND: Kind = Kind::Set;

    fn view_packed(packed: PackedRef<'_>) -> Option<SetView<'_>> {
        Some(SetView::Packed(packed))
    }

    fn view_ints(ints: IntsRef<'_>) -> Option<SetView<'_>> {
        Some(SetView::Ints(ints))
    }

    fn view(value: &Value) -> Option<SetView<'_>> {
        match value {
            Value::Set(set) => Some(set.view()),
            _ => None,
        }
    }

    fn value_mut(value: &mut Value) -> Option<&mut Set> {
        match value {
            Value::Set(set) => Some(set),
            _ => None,
        }
    }

    fn from_packed(packed: Packed) -> Option<Set> {
        Some(Set { form: Form::Packed(packed) })
    }

    fn from_ints(ints: Ints) -> Option<Set> {
        Some(Set { form: Form::Ints(ints) })
    }

    fn into_stored(self) -> Stored {
        match self.form {
            Form::Ints(ints) if ints.fits_entry() => Stored::Ints(ints),
            Form::Packed(packed) if packed.fits_entry() => Stored::Packed(packed),
            form => Stored::Value(Value::Set(Set { form })),
        }
    }

    fn is_empty(&self) -> bool {
        Set::is_empty(self)
    }
}
