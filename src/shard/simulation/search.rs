//! Whether a history could have happened one operation after another: a search in the manner of Wing and Gong, with
//! the memory of visited states that Lowe added.

use std::collections::HashSet;

use super::model::{Action, Key, Keys, State};
use crate::resp::skim::{array, elements};

/// The reply of an EXEC whose watched keys have changed.
const ABORTED: &[u8] = b"*-1\r\n";

/// What a client did, or the shard by itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// A command, wherever its keys are.
    Single(Action),
    /// MULTI, commands, EXEC.
    Block(Vec<Action>),
    /// WATCH.
    Watch(Vec<Key>),
    /// UNWATCH.
    Unwatch,
    /// Effects are switched on or off, or a snapshot is cut, under a barrier.
    Switch(bool),
    /// The expire cycle removed a key.
    Expired(Key),
    /// A command about queues, by its words; or several, between MULTI and EXEC.
    Queue(Vec<Vec<Vec<u8>>>),
}

/// One operation of a history.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Who; meaningless for an expiry.
    pub client: usize,
    /// What.
    pub deed: Deed,
    /// When it was sent, in steps of the simulation.
    pub sent: u64,
    /// When its reply arrived.
    pub answered: u64,
    /// The reply.
    pub reply: Option<Vec<u8>>,
    /// Wall clocks it may have seen.
    pub clocks: Vec<i64>,
    /// The last wall clock while it was under way: by then others may have removed what had expired, although they come
    /// after it.
    pub last_clock: i64,
    /// Whether it is plain: it may overtake plain ones of its client with other keys.
    pub is_plain: bool,
    /// Since when its client knows that it waits.
    pub waits_since: Option<u64>,
    /// When its wait was ended, by its client, who vanished, or by the time; and whether nothing else happened then.
    pub ended: Option<(u64, bool)>,
}

impl Operation {
    /// Whether `self` must come before `other`; `earlier` says whether it was sent first.
    fn precedes(&self, other: &Self, earlier: bool, keys: &Keys) -> bool {
        if self.answered < other.sent {
            return true;
        }
        let is_one_client = self.client == other.client
            && !matches!(self.deed, Deed::Expired(_))
            && !matches!(other.deed, Deed::Expired(_));
        is_one_client && earlier && !(self.is_plain && other.is_plain && self.is_disjoint(other, keys))
    }

    fn is_disjoint(&self, other: &Self, keys: &Keys) -> bool {
        match (&self.deed, &other.deed) {
            (Deed::Single(one), Deed::Single(two)) => {
                let names = |action: &Action| action.keys().into_iter().map(|key| &keys.names[key]);
                names(one).all(|name| names(two).all(|other| name != other))
            }
            _ => false,
        }
    }

    /// Whether its reply is what the model says after `state`; then `state` is what follows.
    fn fits(&self, keys: &Keys, state: &mut State, now: i64) -> bool {
        let Some(told) = self.reply.as_deref() else {
            return matches!(self.deed, Deed::Expired(key) if state.expire(key, now));
        };
        let reply = match &self.deed {
            Deed::Expired(_) | Deed::Queue(_) => return false,
            Deed::Single(action) => state.run(keys, action, now, told),
            Deed::Watch(watched) => {
                state.watch(self.client, watched, now);
                b"+OK\r\n".to_vec()
            }
            Deed::Unwatch => {
                state.end_watches(keys, self.client, None);
                b"+OK\r\n".to_vec()
            }
            Deed::Switch(_) => {
                state.cut = Some(state.entries.clone());
                b"+OK\r\n".to_vec()
            }
            Deed::Block(actions) if state.end_watches(keys, self.client, Some(now)) => {
                let (count, _) = array(told);
                return count == actions.len()
                    && told != ABORTED
                    && elements(told)
                        .zip(actions)
                        .all(|(told, action)| state.run(keys, action, now, told) == told);
            }
            Deed::Block(_) => ABORTED.to_vec(),
        };
        reply == told
    }
}

/// Whether some order of the operations explains all replies, and leaves what `is_end` accepts.
pub fn is_linearizable(
    keys: &Keys,
    clients: usize,
    history: &[Operation],
    is_end: &dyn Fn(&State) -> bool,
) -> bool {
    assert!(history.len() <= 64, "a history fits into a mask");
    let before: Vec<u64> = (0..history.len())
        .map(|at| {
            let earlier = |other: &usize| history[*other].precedes(&history[at], *other < at, keys);
            (0..history.len()).filter(|&other| other != at).filter(earlier).map(|other| 1 << other).sum()
        })
        .collect();
    let mut search = Search { keys, history, before, is_end, seen: HashSet::new() };
    search.go(0, &State::new(keys.len(), clients))
}

struct Search<'a> {
    keys: &'a Keys,
    history: &'a [Operation],
    before: Vec<u64>,
    is_end: &'a dyn Fn(&State) -> bool,
    seen: HashSet<(u64, State)>,
}

impl Search<'_> {
    fn go(&mut self, done: u64, state: &State) -> bool {
        if done.count_ones() as usize == self.history.len() {
            return (self.is_end)(state);
        }
        if !self.seen.insert((done, state.clone())) {
            return false;
        }
        for at in 0..self.history.len() {
            if done & (1 << at) != 0 || self.before[at] & !done != 0 {
                continue;
            }
            let history = self.history;
            for &now in &history[at].clocks {
                if self.run(done, at, state, now) {
                    return true;
                }
            }
        }
        false
    }

    /// Puts an operation next, with every choice of keys that others may have removed already.
    fn run(&mut self, done: u64, at: usize, state: &State, now: i64) -> bool {
        let operation = &self.history[at];
        let is_between = |key: &Key| state.is_due(*key, operation.last_clock) && !state.is_due(*key, now);
        let gone: Vec<Key> = (0..self.keys.len()).filter(is_between).collect();
        (0..1u32 << gone.len()).any(|choice| {
            let mut next = state.clone();
            for (_, &key) in gone.iter().enumerate().filter(|(index, _)| choice & (1 << index) != 0) {
                next.expire(key, operation.last_clock);
            }
            operation.fits(self.keys, &mut next, now) && self.go(done | 1 << at, &next)
        })
    }
}
