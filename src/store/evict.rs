//! Which entry goes when memory is short: approximated LRU, LFU and shortest time to live by sampling, and by chance.
//!
//! As in Redis (its documentation calls it approximated LRU), a few candidates are kept from one eviction to the
//! next, so that small samples come near to the true order. Whether memory is short is decided above.

use rand::Rng;

use super::access::{lfu_decayed, lru_idle_ms};
use super::database::Database;
use super::entry::Entry;
use super::keyspace::Keyspace;
use crate::base::clock::UnixMillis;
use crate::config::MaxmemoryPolicy;

/// Candidates that are kept.
const CANDIDATES_MAX: usize = 16;

/// Samples taken before it is concluded that nothing can be evicted, because all that was seen is locked or gone.
const ROUNDS_MAX: usize = 32;

/// What decides about an eviction.
#[derive(Clone, Copy, Debug)]
pub struct Rules {
    /// `maxmemory-policy`.
    pub policy: MaxmemoryPolicy,
    /// `maxmemory-samples`: entries looked at per database.
    pub samples: usize,
    /// `lfu-decay-time`, in minutes.
    pub lfu_decay_minutes: u32,
}

/// The best candidates seen so far.
#[derive(Debug, Default)]
pub struct Pool {
    /// Under which policy they were judged.
    policy: Option<MaxmemoryPolicy>,
    /// In the order of their scores, the best last.
    candidates: Vec<Candidate>,
    /// Database whose turn it is when chance decides.
    turn: usize,
}

#[derive(Clone, Copy, Debug)]
struct Candidate {
    score: u64,
    database: usize,
    hash: u64,
}

impl Rules {
    /// The higher, the sooner it goes; `None` when the policy does not concern it.
    fn score(&self, entry: &Entry, now: UnixMillis) -> Option<u64> {
        if self.policy.is_volatile() && entry.expire_at().is_none() {
            return None;
        }
        Some(match self.policy {
            MaxmemoryPolicy::VolatileTtl => u64::MAX - entry.expire_at()?.max(0) as u64,
            MaxmemoryPolicy::AllkeysLfu | MaxmemoryPolicy::VolatileLfu => {
                u64::from(u8::MAX - lfu_decayed(entry.access(), now, self.lfu_decay_minutes))
            }
            _ => lru_idle_ms(entry.access(), now),
        })
    }

    fn eligible(&self, database: &Database) -> usize {
        if self.policy.is_volatile() { database.expires_len() } else { database.len() }
    }
}

impl Pool {
    fn offer(&mut self, candidate: Candidate) {
        let known = |other: &Candidate| other.hash == candidate.hash && other.database == candidate.database;
        if self.candidates.iter().any(known) {
            return;
        }
        let at = self.candidates.partition_point(|other| other.score < candidate.score);
        self.candidates.insert(at, candidate);
        if self.candidates.len() > CANDIDATES_MAX {
            self.candidates.remove(0);
        }
    }

    fn sample(&mut self, keyspace: &Keyspace, rules: &Rules, rng: &mut impl Rng, now: UnixMillis) {
        for index in 0..keyspace.databases() {
            let database = keyspace.database(index);
            if rules.eligible(database) == 0 {
                continue;
            }
            let only_volatile = rules.policy.is_volatile();
            database.sample_for_eviction(only_volatile, rng.random(), rules.samples, |entry| {
                if let Some(score) = rules.score(entry, now) {
                    self.offer(Candidate { score, database: index, hash: database.hash(entry.key()) });
                }
            });
        }
    }

    /// Takes the best candidate out that is still there, unlocked, and was not used meanwhile.
    fn take_best(
        &mut self,
        keyspace: &Keyspace,
        rules: &Rules,
        now: UnixMillis,
        is_locked: &impl Fn(u64) -> bool,
    ) -> Option<(usize, Box<[u8]>)> {
        while let Some(candidate) = self.candidates.pop() {
            if is_locked(candidate.hash) {
                continue;
            }
            let database = keyspace.database(candidate.database);
            let is_it = |entry: &Entry| database.hash(entry.key()) == candidate.hash;
            let Some(entry) = database.table().find_by_hash(candidate.hash, is_it) else { continue };
            if rules.score(&entry, now).is_some_and(|score| score >= candidate.score) {
                return Some((candidate.database, entry.key().into()));
            }
        }
        None
    }

    fn choose(
        &mut self,
        keyspace: &Keyspace,
        rules: &Rules,
        rng: &mut impl Rng,
        now: UnixMillis,
        is_locked: &impl Fn(u64) -> bool,
    ) -> Option<(usize, Box<[u8]>)> {
        if self.policy != Some(rules.policy) {
            self.candidates.clear();
            self.policy = Some(rules.policy);
        }
        for _ in 0..ROUNDS_MAX {
            self.sample(keyspace, rules, rng, now);
            let chosen = self.take_best(keyspace, rules, now, is_locked);
            if chosen.is_some() {
                return chosen;
            }
        }
        None
    }

    /// Any entry that the policy concerns, of each database in turn.
    fn draw(
        &mut self,
        keyspace: &Keyspace,
        rules: &Rules,
        rng: &mut impl Rng,
        is_locked: &impl Fn(u64) -> bool,
    ) -> Option<(usize, Box<[u8]>)> {
        for _ in 0..ROUNDS_MAX {
            for _ in 0..keyspace.databases() {
                self.turn = (self.turn + 1) % keyspace.databases();
                let database = keyspace.database(self.turn);
                let mut chosen = None;
                database.sample_for_eviction(
                    rules.policy.is_volatile(),
                    rng.random(),
                    rules.samples,
                    |entry| {
                        let wanted = !rules.policy.is_volatile() || entry.expire_at().is_some();
                        if wanted && chosen.is_none() && !is_locked(database.hash(entry.key())) {
                            chosen = Some((self.turn, entry.key().into()));
                        }
                    },
                );
                if chosen.is_some() {
                    return chosen;
                }
            }
        }
        None
    }
}

impl Keyspace {
    /// Takes out the entry that the policy gives up first, with its database. Watchers are told, the eviction is counted;
    /// the effect and the freeing ([`Keyspace::discard_entry`]) are the caller's.
    ///
    /// `None` when there is nothing to evict, or nothing was found that `is_locked`, asked by the key's hash, lets go.
    /// Under one seed of `rng` the choice is always the same.
    pub fn evict_one(
        &mut self,
        rules: &Rules,
        rng: &mut impl Rng,
        now: UnixMillis,
        is_locked: impl Fn(u64) -> bool,
    ) -> Option<(usize, Entry)> {
        let any = (0..self.databases()).any(|index| rules.eligible(self.database(index)) > 0);
        if !any || rules.policy == MaxmemoryPolicy::NoEviction {
            return None;
        }
        let mut pool = std::mem::take(&mut self.candidates);
        let chosen = if rules.policy.is_random() {
            pool.draw(self, rules, rng, &is_locked)
        } else {
            pool.choose(self, rules, rng, now, &is_locked)
        };
        self.candidates = pool;
        let (database, key) = chosen?;
        let entry = self.remove(database, &key)?;
        self.counters.evicted += 1;
        self.touch(database, &key);
        Some((database, entry))
    }
}

#[cfg(test)]
#[path = "evict_test.rs"]
mod evict_test;
