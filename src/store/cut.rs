//! The cut of a snapshot through a database: while the database goes on changing, every entry is passed to a [`Sink`] as it
//! was at the cut, each once.
//!
//! Entries lie in the order of their hashes, and those whose hashes share their first bits are a *group* of a few. Whoever is about to change
//! an entry, add one or take one out first has its group passed ([`Cut::before_change`]), unless that was done; a walk in
//! slices passes all other groups ([`Cut::walk`]). Groups are ranges of hashes, so nothing depends on how the table's
//! segments split and merge meanwhile. A large entry is not passed with its group, where it would be a long wait for a small
//! change, but in slices when the walk comes to it. What is left of it is passed at one go when it is itself about to change.
//!
//! What a sink makes of entries is decided above.

use ahash::AHashSet;

use super::database::Database;
use super::entry::Entry;
use super::keyspace::Keyspace;
use super::table::Table;

/// Entries that a group has on average, at most. As hashes are denser at one end, and by chance, some have three times as many.
const GROUP_ENTRIES: usize = 4;

/// Groups that one step of the walk passes.
const STEP_GROUPS: usize = 32;

/// Entries of more bytes are passed alone.
const LARGE_BYTES: usize = 64 * 1024;

/// Takes the entries of one database at the cut.
pub trait Sink: Send {
    /// An entry as it was at the cut.
    fn entry(&mut self, entry: &Entry);

    /// The beginning of a large entry, perhaps all of it (`None`), else where [`Sink::large_entry_goes_on`] follows. Others may
    /// come between.
    fn large_entry(&mut self, entry: &Entry) -> Option<u64> {
        self.entry(entry);
        None
    }

    /// Some more of the large entry that was begun; where to go on.
    fn large_entry_goes_on(&mut self, _entry: &Entry, _from: u64) -> Option<u64> {
        None
    }

    /// Every entry was passed. A sink that is dropped before has not got them all.
    fn finish(self: Box<Self>);
}

/// How the walk through a cut goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// At once.
    On,
    /// When others have had as much time and more.
    Gently,
    /// When what was passed has been taken.
    Waits,
    /// Not at all: nothing is left, or nobody wants it any more.
    Ended,
}

/// Takes a keyspace at its cut. It is dropped when all was passed, or is not wanted any more.
pub trait Cutter: Send + std::fmt::Debug {
    /// The snapshot's number.
    fn id(&self) -> u64;

    /// Whether effects are to be collected from the cut on.
    fn replicates(&self) -> bool;

    /// The cut is now, after so many changes of the dataset.
    fn begin(&mut self, dirty: u64);

    /// Takes what the database has now.
    fn sink(&mut self, index: usize, database: &Database) -> Box<dyn Sink>;

    /// Whether the walk is to go on.
    fn pace(&self) -> Pace;
}

/// A cut through one database.
pub(super) struct Cut {
    /// Bits of a hash that tell the places inside a group apart.
    shift: u32,
    /// A bit per group that was passed.
    passed: Vec<u64>,
    groups: usize,
    /// The first group that the walk has not come to.
    next: usize,
    /// Hashes of large entries of groups that were passed, which were not.
    large: AHashSet<u64>,
    /// Hash of the large entry that was begun, and where it goes on.
    begun: Option<(u64, u64)>,
    sink: Box<dyn Sink>,
}

impl Cut {
    /// A cut through a table of `keys` entries.
    pub(super) fn new(keys: usize, sink: Box<dyn Sink>) -> Self {
        let bits = keys.div_ceil(GROUP_ENTRIES).next_power_of_two().trailing_zeros();
        let groups = 1usize << bits;
        Self {
            shift: u64::BITS - bits,
            passed: vec![0; groups.div_ceil(64)],
            groups,
            next: 0,
            large: AHashSet::new(),
            begun: None,
            sink,
        }
    }

    /// Passes what must be passed before an entry of this hash changes, comes or goes.
    #[cold]
    pub(super) fn before_change(&mut self, table: &Table, hash: u64) {
        let group = Table::place(hash).checked_shr(self.shift).unwrap_or(0) as usize;
        if !self.is_passed(group) {
            self.pass(table, group, group + 1);
        }
        if !self.large.is_empty() && self.large.remove(&hash) {
            self.pass_large(table, hash);
        }
        if let Some((begun, mut from)) = self.begun
            && begun == hash
        {
            while let Some(next) = self.go_on(table, hash, from) {
                from = next;
            }
            self.begun = None;
        }
    }

    /// Passes some more entries; whether that was all.
    pub(super) fn walk(&mut self, table: &Table) -> bool {
        if let Some((hash, from)) = self.begun {
            self.begun = self.go_on(table, hash, from).map(|next| (hash, next));
        } else if let Some(&hash) = self.large.iter().next() {
            self.large.remove(&hash);
            self.begin_large(table, hash);
        } else {
            while self.next < self.groups && self.is_passed(self.next) {
                self.next += 1;
            }
            let last = self.groups.min(self.next + STEP_GROUPS);
            let end = (self.next..last).find(|&group| self.is_passed(group)).unwrap_or(last);
            self.pass(table, self.next, end);
            self.next = end;
        }
        self.next == self.groups && self.large.is_empty() && self.begun.is_none()
    }

    /// Ends a cut of which the walk is through.
    pub(super) fn finish(self) {
        self.sink.finish();
    }

    fn is_passed(&self, group: usize) -> bool {
        self.passed[group / 64] >> (group % 64) & 1 == 1
    }

    /// Passes the entries of neighbouring groups, none of which was passed before.
    fn pass(&mut self, table: &Table, first: usize, end: usize) {
        if first == end {
            return;
        }
        let place = |group: usize| (group as u64).checked_shl(self.shift).unwrap_or(0);
        let (from, to) = (place(first), place(end).wrapping_sub(1));
        let (sink, large) = (&mut self.sink, &mut self.large);
        table.visit_places(from, to, |hash, entry| {
            if entry.memory_usage() > LARGE_BYTES {
                large.insert(hash);
            } else {
                sink.entry(entry);
            }
        });
        (first..end).for_each(|group| self.passed[group / 64] |= 1 << (group % 64));
    }

    fn pass_large(&mut self, table: &Table, hash: u64) {
        let sink = &mut self.sink;
        visit_large(table, hash, |entry| sink.entry(entry));
    }

    /// Begins to pass a large entry, unless there are two of one hash: these are passed at once.
    fn begin_large(&mut self, table: &Table, hash: u64) {
        let mut count = 0;
        visit_large(table, hash, |_| count += 1);
        if count > 1 {
            return self.pass_large(table, hash);
        }
        let (sink, mut rest) = (&mut self.sink, None);
        visit_large(table, hash, |entry| rest = sink.large_entry(entry));
        self.begun = rest.map(|from| (hash, from));
    }

    fn go_on(&mut self, table: &Table, hash: u64, from: u64) -> Option<u64> {
        let (sink, mut rest) = (&mut self.sink, None);
        visit_large(table, hash, |entry| rest = sink.large_entry_goes_on(entry, from));
        rest
    }
}

/// Visits the large entries of a hash.
fn visit_large(table: &Table, hash: u64, mut visit: impl FnMut(&Entry)) {
    let place = Table::place(hash);
    table.visit_places(place, place, |_, entry| {
        if entry.memory_usage() > LARGE_BYTES {
            visit(entry);
        }
    });
}

impl Keyspace {
    /// Cuts all databases as they are now for the cutter that was prepared. Whether effects are to be collected from then on;
    /// `None` if there is none.
    pub fn cut_as_prepared(&mut self) -> Option<bool> {
        let cutter = self.prepared_cut.take()?;
        let replicates = cutter.replicates();
        self.cut(cutter);
        Some(replicates)
    }

    /// Cuts all databases as they are now. A cut that is under way is given up.
    pub fn cut(&mut self, mut cutter: Box<dyn Cutter>) {
        self.give_cut_up();
        cutter.begin(self.counters.dirty);
        self.new_cut = Some(cutter.id());
        let databases = self.databases.iter_mut().enumerate();
        for (index, database) in databases.filter(|(_, database)| !database.is_empty()) {
            let sink = cutter.sink(index, database);
            database.cut(sink);
        }
        self.cutter = Some(cutter);
    }

    /// Whether a cut is under way, so that [`Keyspace::walk_cut`] has something to do.
    #[inline]
    pub fn is_cut(&self) -> bool {
        self.cutter.is_some()
    }

    /// Passes some more entries of the cut.
    pub fn walk_cut(&mut self) -> Pace {
        let pace = self.cutter.as_ref().map(|cutter| cutter.pace());
        match pace {
            Some(Pace::On | Pace::Gently) => {}
            Some(Pace::Waits) => return Pace::Waits,
            Some(Pace::Ended) | None => {
                self.give_cut_up();
                return Pace::Ended;
            }
        }
        if let Some(database) = self.databases.iter_mut().find(|database| database.is_cut()) {
            database.walk_cut();
        } else if let Some(database) = self.replaced.last_mut() {
            if !database.is_cut() || database.walk_cut() {
                let database = self.replaced.pop();
                database.into_iter().for_each(|database| self.discard(database));
            }
        } else {
            self.cutter = None;
            return Pace::Ended;
        }
        pace.unwrap_or(Pace::Ended)
    }

    /// Ends a cut that is not wanted any more: its sinks are dropped.
    pub fn give_cut_up(&mut self) {
        if self.cutter.take().is_none() {
            return;
        }
        self.databases.iter_mut().chain(&mut self.replaced).for_each(Database::give_cut_up);
        let replaced = std::mem::take(&mut self.replaced);
        replaced.into_iter().for_each(|database| self.discard(database));
    }
}

#[cfg(test)]
#[path = "cut_test.rs"]
mod cut_test;
