//! The digest of a dataset as DEBUG DIGEST of Redis 7.0 computes it: equal for equal datasets, whatever the order of their keys
//! and the form of their values.
//!
//! What has an order is *mixed* in, one after the other; what has none is *added*, so that it commutes. Deadlines count by their
//! presence only.

use sha1::{Digest as _, Sha1};

use crate::base::number::format_f64_long;
use crate::store::hash::Hash;
use crate::store::list::{End, List};
use crate::store::packed::Element;
use crate::store::set::Set;
use crate::store::sorted_set::SortedSet;
use crate::store::stream::{Stream, StreamId};
use crate::store::value::Collection;
use crate::store::{Database, Entry};

/// A digest that goes on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Digest([u8; 20]);

impl Digest {
    /// The digest of an entry's value and deadline, as DEBUG DIGEST-VALUE answers.
    pub fn of_value(entry: &Entry) -> Self {
        let mut digest = Self::default();
        digest.mix_value(entry);
        digest
    }

    /// The digests of all entries of a database together, to which those of its other shards can be added by
    /// [`Digest::combine`].
    pub fn of_database(database: &Database) -> Self {
        let mut all = Self::default();
        for entry in database.table().iter() {
            let mut digest = Self::default();
            digest.mix(entry.key());
            digest.mix_value(&entry);
            all.add(&digest.0);
        }
        all
    }

    /// Adds what another shard has of the same database.
    pub fn combine(&mut self, other: &[u8; 20]) {
        self.0.iter_mut().zip(other).for_each(|(byte, other)| *byte ^= other);
    }

    /// Goes on with a database that has keys, given what all of its shards have.
    pub fn mix_database(&mut self, index: u32, entries: &Digest) {
        self.mix(&index.to_be_bytes());
        self.combine(&entries.0);
    }

    /// Its bytes.
    pub fn bytes(&self) -> &[u8; 20] {
        &self.0
    }

    /// Its bytes as 40 digits.
    pub fn hex(&self) -> String {
        self.0.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn add(&mut self, bytes: &[u8]) {
        self.combine(&Sha1::digest(bytes).into());
    }

    fn mix(&mut self, bytes: &[u8]) {
        self.add(bytes);
        self.0 = Sha1::digest(self.0).into();
    }

    fn mix_element(&mut self, element: Element<'_>) {
        self.mix(element.bytes(&mut itoa::Buffer::new()));
    }

    fn mix_value(&mut self, entry: &Entry) {
        let value = entry.value();
        if let Some(string) = entry.string(&mut itoa::Buffer::new()) {
            self.mix_type(0);
            self.mix(string);
        } else if let Some(list) = List::view_in(value) {
            self.mix_type(1);
            list.walk(End::Head, 0).for_each(|element| self.mix_element(element));
        } else if let Some(set) = Set::view_in(value) {
            self.mix_type(2);
            let mut digits = itoa::Buffer::new();
            set.iter().for_each(|member| self.add(member.bytes(&mut digits)));
        } else if let Some(set) = SortedSet::view_in(value) {
            self.mix_type(3);
            set.visit(0..set.len(), false, |member, score| {
                let mut digest = Self::default();
                digest.mix(member);
                digest.mix(format_f64_long(score).as_bytes());
                self.add(&digest.0);
            });
        } else if let Some(hash) = Hash::view_in(value) {
            self.mix_type(4);
            hash.each(|pair| {
                let mut digest = Self::default();
                digest.mix_element(pair.field);
                digest.mix_element(pair.value);
                if pair.deadline.is_some() {
                    digest.add(b"!!hexpire!!");
                }
                self.add(&digest.0);
            });
        } else if let Some(stream) = Stream::view_in(value) {
            self.mix_type(6);
            for entry in stream.log.range(StreamId::MIN, StreamId::MAX) {
                self.mix(format!("{}.{}", entry.id.ms, entry.id.seq).as_bytes());
                for (name, value) in entry.fields {
                    self.mix(name);
                    self.mix(value);
                }
            }
        }
        if entry.expire_at().is_some() {
            self.add(b"!!expire!!");
        }
    }

    /// The number that Redis gives a type.
    fn mix_type(&mut self, number: u32) {
        self.mix(&number.to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn as_redis_digests() {
        // What Redis 7.0 answers for the same.
        let entry = Entry::new_string(b"k", b"v", None);
        let with_deadline = Entry::new_string(b"k", b"v", Some(1));
        assert_ne!(Digest::of_value(&entry), Digest::of_value(&with_deadline));
        assert_eq!(Digest::of_value(&entry).hex(), "d79ee9fe5d5ad902d7f6620efc3b07b75ddd742f");
        let mut database = Database::new(ahash::RandomState::with_seeds(1, 2, 3, 4));
        assert_eq!(Digest::of_database(&database), Digest::default());
        database.insert(database.hash(b"k"), entry, 0);
        let mut digest = Digest::default();
        digest.mix_database(0, &Digest::of_database(&database));
        assert_eq!(digest.hex(), "264ccf65edec66bccfa7cc659414ccca432057d2");
        assert_eq!(Digest::default().hex(), "0".repeat(40));
    }
}
