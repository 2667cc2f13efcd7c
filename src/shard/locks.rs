//! Key locks of one shard, granted in the order of arrival.
//!
//! A request claims keys (shared or exclusive, each once in its strongest mode) or the whole shard (a barrier). It
//! enters all queues at once. Since every shard sees spanning transactions in the sequencer's order, no two requests
//! can wait for each other. Keys are named by a 64-bit hash: two keys with one hash only wait more than they must.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasherDefault, Hasher};

use ahash::AHashMap;
use smallvec::SmallVec;

/// Names a request: a transaction, or a single command that has to wait.
pub type RequestId = u64;

/// How a key or a shard is claimed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Mode {
    /// Readers may share it.
    Shared,
    /// Nobody else.
    Exclusive,
}

/// What a request claims on one shard.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Claims {
    /// These keys; built by [`Claims::keys`], so that each stands once.
    Keys(Vec<(u64, Mode)>),
    /// Every key, present or not.
    Whole(Mode),
}

impl Default for Claims {
    fn default() -> Self {
        Self::Keys(Vec::new())
    }
}

impl Claims {
    /// Claims on keys, each once in its strongest mode.
    pub fn keys(mut keys: Vec<(u64, Mode)>) -> Self {
        keys.sort_unstable();
        // Of equal hashes the exclusive claim stands last: keep the last one.
        keys.reverse();
        keys.dedup_by_key(|&mut (hash, _)| hash);
        Self::Keys(keys)
    }

    /// Whether a key is among them.
    pub fn include(&self, hash: u64) -> bool {
        match self {
            Claims::Keys(keys) => keys.iter().any(|&(key, _)| key == hash),
            Claims::Whole(_) => true,
        }
    }

    /// Whether they have a key in common.
    pub fn overlap(&self, other: &Claims) -> bool {
        match self {
            Claims::Keys(keys) => keys.iter().any(|&(key, _)| other.include(key)),
            Claims::Whole(_) => true,
        }
    }

    fn is_write(&self) -> bool {
        match self {
            Claims::Keys(keys) => keys.iter().any(|&(_, mode)| mode == Mode::Exclusive),
            Claims::Whole(mode) => *mode == Mode::Exclusive,
        }
    }
}

/// Requests for one key, oldest first; the first `granted` of them hold it.
#[derive(Debug, Default)]
struct KeyQueue {
    /// Nearly always one, which then needs no memory of its own.
    requests: SmallVec<[(RequestId, Mode); 1]>,
    granted: usize,
}

impl KeyQueue {
    /// Whether a request of `mode` at position `at` is compatible with all before it.
    fn grantable(&self, at: usize) -> bool {
        at == 0
            || self.requests[at].1 == Mode::Shared
                && self.granted == at
                && self.requests[at - 1].1 == Mode::Shared
    }

    fn push(&mut self, id: RequestId, mode: Mode) -> bool {
        self.requests.push((id, mode));
        let granted = self.grantable(self.requests.len() - 1);
        self.granted += usize::from(granted);
        granted
    }

    fn remove(&mut self, id: RequestId, mut newly_granted: impl FnMut(RequestId)) {
        let Some(at) = self.requests.iter().position(|&(request, _)| request == id) else { return };
        self.requests.remove(at);
        if at < self.granted {
            self.granted -= 1;
        }
        while self.granted < self.requests.len() && self.grantable(self.granted) {
            newly_granted(self.requests[self.granted].0);
            self.granted += 1;
        }
    }
}

/// Keys are named by their hash already.
#[derive(Default)]
struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        bytes.iter().for_each(|&byte| self.0 = self.0.rotate_left(8) ^ u64::from(byte));
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[derive(Debug)]
struct Request {
    claims: Claims,
    /// Keys that are not granted yet.
    missing: usize,
}

/// The locks of one shard.
#[derive(Debug, Default)]
pub struct Locks {
    keys: HashMap<u64, KeyQueue, BuildHasherDefault<Hashed>>,
    requests: AHashMap<RequestId, Request>,
    /// Requests behind a barrier that is not admitted yet, that barrier first.
    backlog: VecDeque<RequestId>,
    /// Admitted requests for keys that claim at least one exclusively, and those that only read.
    writers: usize,
    readers: usize,
    whole_shared: usize,
    whole_exclusive: usize,
}

impl Locks {
    /// Whether nothing is claimed or waited for.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.requests.is_empty()
    }

    /// Number of requests that hold or wait.
    pub fn len(&self) -> usize {
        self.requests.len()
    }

    /// Whether a request for `claims` would be granted at once, and nobody waits who would be overtaken.
    pub fn is_free(&self, claims: &Claims) -> bool {
        if self.requests.is_empty() {
            return true;
        }
        if !self.backlog.is_empty() || !self.admissible(claims) {
            return false;
        }
        match claims {
            Claims::Whole(_) => true,
            Claims::Keys(keys) => keys.iter().all(|(hash, mode)| {
                self.keys.get(hash).is_none_or(|queue| {
                    *mode == Mode::Shared
                        && queue.granted == queue.requests.len()
                        && queue.requests.iter().all(|&(_, held)| held == Mode::Shared)
                })
            }),
        }
    }

    /// Whether nobody but `besides` holds what `claims` claims. Those who wait do not count: it goes before them.
    pub fn is_free_besides(&self, claims: &Claims, besides: Option<RequestId>) -> bool {
        let besides = besides.and_then(|id| self.requests.get_key_value(&id));
        let holds_whole = matches!(besides, Some((_, Request { claims: Claims::Whole(_), .. })));
        if self.whole_shared + self.whole_exclusive > usize::from(holds_whole) {
            return false;
        }
        let Claims::Keys(keys) = claims else { return self.requests.is_empty() };
        keys.iter().all(|(hash, mode)| {
            let Some(queue) = self.keys.get(hash) else { return true };
            queue.requests[..queue.granted].iter().all(|&(id, held)| {
                besides.is_some_and(|(&own, _)| own == id) || (*mode == Mode::Shared && held == Mode::Shared)
            })
        })
    }

    /// Whether anybody holds or waits for the key `hash`, alone or with the whole shard.
    pub fn is_claimed(&self, hash: u64) -> bool {
        !self.requests.is_empty()
            && (self.whole_shared + self.whole_exclusive > 0
                || !self.backlog.is_empty()
                || self.keys.contains_key(&hash))
    }

    /// Enters a request; true when it is granted at once. An `id` may not be in use.
    pub fn request(&mut self, id: RequestId, claims: Claims) -> bool {
        let admitted = self.backlog.is_empty() && self.admissible(&claims);
        let missing = if admitted { self.enter(id, &claims) } else { 0 };
        let earlier = self.requests.insert(id, Request { claims, missing });
        assert!(earlier.is_none(), "request {id} is entered once");
        if !admitted {
            self.backlog.push_back(id);
        }
        admitted && missing == 0
    }

    /// Ends a granted request; appends to `granted` those that hold all they claim now.
    pub fn release(&mut self, id: RequestId, granted: &mut Vec<RequestId>) {
        let Some(request) = self.requests.remove(&id) else { return };
        debug_assert_eq!(request.missing, 0, "only what was granted is released");
        let count = self.holders(&request.claims);
        *count -= 1;
        if let Claims::Keys(keys) = &request.claims {
            for (hash, _) in keys {
                let Some(queue) = self.keys.get_mut(hash) else { continue };
                let requests = &mut self.requests;
                queue.remove(id, |next| {
                    if let Some(waiting) = requests.get_mut(&next) {
                        waiting.missing -= 1;
                        if waiting.missing == 0 {
                            granted.push(next);
                        }
                    }
                });
                if queue.requests.is_empty() {
                    self.keys.remove(hash);
                }
            }
        }
        while let Some(&next) = self.backlog.front() {
            let Some(mut request) = self.requests.remove(&next) else { break };
            let admissible = self.admissible(&request.claims);
            if admissible {
                self.backlog.pop_front();
                request.missing = self.enter(next, &request.claims);
                if request.missing == 0 {
                    granted.push(next);
                }
            }
            self.requests.insert(next, request);
            if !admissible {
                break;
            }
        }
    }

    fn holders(&mut self, claims: &Claims) -> &mut usize {
        match claims {
            Claims::Whole(Mode::Shared) => &mut self.whole_shared,
            Claims::Whole(Mode::Exclusive) => &mut self.whole_exclusive,
            Claims::Keys(_) if claims.is_write() => &mut self.writers,
            Claims::Keys(_) => &mut self.readers,
        }
    }

    /// Whether no barrier stands between the request and its keys, or, for a barrier, nothing it excludes is admitted.
    fn admissible(&self, claims: &Claims) -> bool {
        if self.whole_exclusive > 0 {
            return false;
        }
        match claims {
            Claims::Keys(_) => self.whole_shared == 0 || !claims.is_write(),
            Claims::Whole(Mode::Shared) => self.writers == 0,
            Claims::Whole(Mode::Exclusive) => self.writers + self.readers + self.whole_shared == 0,
        }
    }

    /// Enters the queues of the keys it claims; returns how many of them are not granted yet.
    fn enter(&mut self, id: RequestId, claims: &Claims) -> usize {
        *self.holders(claims) += 1;
        let Claims::Keys(keys) = claims else { return 0 };
        let mut missing = 0;
        for &(hash, mode) in keys {
            missing += usize::from(!self.keys.entry(hash).or_default().push(id, mode));
        }
        missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(keys: &[u64]) -> Claims {
        Claims::keys(keys.iter().map(|&key| (key, Mode::Shared)).collect())
    }

    fn write(keys: &[u64]) -> Claims {
        Claims::keys(keys.iter().map(|&key| (key, Mode::Exclusive)).collect())
    }

    fn released(locks: &mut Locks, id: RequestId) -> Vec<RequestId> {
        let mut granted = Vec::new();
        locks.release(id, &mut granted);
        granted
    }

    #[test]
    fn the_strongest_mode_of_a_key_counts() {
        let claims = Claims::keys(vec![(1, Mode::Exclusive), (1, Mode::Shared), (2, Mode::Shared)]);
        assert_eq!(claims, Claims::Keys(vec![(2, Mode::Shared), (1, Mode::Exclusive)]));
    }

    #[test]
    fn readers_share_and_do_not_overtake_a_writer() {
        let mut locks = Locks::default();
        assert!(locks.request(1, read(&[7])));
        assert!(locks.request(2, read(&[7])));
        assert!(!locks.request(3, write(&[7])));
        assert!(!locks.request(4, read(&[7])));
        assert!(locks.is_free(&write(&[8])));
        assert!(!locks.is_free(&read(&[7])));
        assert_eq!(released(&mut locks, 1), []);
        assert_eq!(released(&mut locks, 2), [3]);
        assert_eq!(released(&mut locks, 3), [4]);
        assert_eq!(released(&mut locks, 4), []);
        assert!(locks.is_empty());
    }

    #[test]
    fn a_barrier_waits_for_all_before_it_and_holds_up_all_behind_it() {
        let mut locks = Locks::default();
        assert!(locks.request(1, write(&[1])));
        assert!(!locks.request(2, write(&[1])));
        assert!(!locks.request(3, Claims::Whole(Mode::Exclusive)));
        assert!(!locks.request(4, write(&[9])));
        assert_eq!(released(&mut locks, 1), [2]);
        assert_eq!(released(&mut locks, 2), [3]);
        assert_eq!(released(&mut locks, 3), [4]);
        assert_eq!(released(&mut locks, 4), []);
    }

    #[test]
    fn shared_barriers_admit_readers() {
        let mut locks = Locks::default();
        assert!(locks.request(1, Claims::Whole(Mode::Shared)));
        assert!(locks.request(2, read(&[1])));
        assert!(locks.request(3, Claims::Whole(Mode::Shared)));
        assert!(!locks.request(4, write(&[1])));
        assert_eq!(released(&mut locks, 1), []);
        assert_eq!(released(&mut locks, 2), []);
        assert_eq!(released(&mut locks, 3), [4]);
    }

    fn claims() -> impl Strategy<Value = Claims> {
        prop_oneof![
            8 => prop::collection::vec((0u64..6, any::<bool>()), 1..4).prop_map(|keys| Claims::keys(
                keys.into_iter()
                    .map(|(key, write)| (key, if write { Mode::Exclusive } else { Mode::Shared }))
                    .collect()
            )),
            1 => any::<bool>().prop_map(|write| Claims::Whole(if write { Mode::Exclusive } else { Mode::Shared })),
        ]
    }

    fn conflict(one: &Claims, other: &Claims) -> bool {
        match (one, other) {
            (Claims::Keys(one), Claims::Keys(other)) => one.iter().any(|(key, mode)| {
                other.iter().any(|(k, m)| k == key && (*m == Mode::Exclusive || *mode == Mode::Exclusive))
            }),
            _ => one.is_write() || other.is_write(),
        }
    }

    proptest! {
        #[test]
        fn conflicting_requests_hold_in_order_and_all_end(
            requests in prop::collection::vec(claims(), 1..30),
            choices in prop::collection::vec(any::<prop::sample::Index>(), 60),
        ) {
            let mut locks = Locks::default();
            let mut holding: Vec<usize> = Vec::new();
            let mut ended = vec![false; requests.len()];
            let mut entered = 0;
            for choice in choices.iter().cycle() {
                let enter = entered < requests.len() && choice.index(2) == 0;
                if enter || (holding.is_empty() && entered < requests.len()) {
                    if locks.request(entered as u64, requests[entered].clone()) {
                        holding.push(entered);
                    }
                    entered += 1;
                } else if !holding.is_empty() {
                    let id = holding.swap_remove(choice.index(holding.len()));
                    ended[id] = true;
                    holding.extend(released(&mut locks, id as u64).into_iter().map(|id| id as usize));
                } else {
                    break;
                }
                for &id in &holding {
                    for earlier in 0..id {
                        prop_assert!(ended[earlier] || !conflict(&requests[earlier], &requests[id]),
                            "{id} holds although {earlier} came first");
                    }
                }
            }
            prop_assert!(ended.iter().all(|&ended| ended), "all are granted in the end");
            prop_assert!(locks.is_empty());
        }
    }
}
