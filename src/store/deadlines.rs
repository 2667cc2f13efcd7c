//! Which of many come due when: an exact index of deadlines, by the hash of what has them.
//!
//! For what must go the moment its time has come, or whose deadlines are dropped as often as they come due. Keys have
//! [`super::expire`], which costs a third of this index and knows times only roughly.

use std::collections::BTreeSet;

/// Bytes of one deadline, with its part of a node that is about two thirds full.
const BYTES_PER_DEADLINE: usize = 24;

/// Deadlines in Unix milliseconds, each with a hash. All operations are logarithmic.
#[derive(Clone, Debug, Default)]
pub struct Deadlines {
    sorted: BTreeSet<(i64, u64)>,
}

impl Deadlines {
    /// Number of deadlines.
    pub fn len(&self) -> usize {
        self.sorted.len()
    }

    /// Whether there is none.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.sorted.is_empty()
    }

    /// The earliest deadline.
    #[inline]
    pub fn earliest(&self) -> Option<i64> {
        self.sorted.first().map(|&(at_ms, _)| at_ms)
    }

    /// Changes the deadline of `hash` from `old` to `new`, where `None` is none.
    #[inline]
    pub fn change(&mut self, hash: u64, old: Option<i64>, new: Option<i64>) {
        if old == new {
            return;
        }
        if let Some(at_ms) = old {
            self.sorted.remove(&(at_ms, hash));
        }
        if let Some(at_ms) = new {
            self.sorted.insert((at_ms, hash));
        }
    }

    /// The deadlines before `now_ms` and whose they are, earliest first.
    pub fn due(&self, now_ms: i64) -> impl Iterator<Item = (i64, u64)> + '_ {
        self.sorted.range(..(now_ms, 0)).copied()
    }

    /// How many are before `now_ms`; takes time in proportion to that.
    pub fn count_due(&self, now_ms: i64) -> usize {
        self.due(now_ms).count()
    }

    /// Drops up to `count` deadlines, in no order that matters.
    pub fn discard_some(&mut self, count: usize) {
        for _ in 0..count {
            if self.sorted.pop_first().is_none() {
                break;
            }
        }
    }

    /// Bytes of the index.
    pub fn memory_usage(&self) -> usize {
        self.sorted.len() * BYTES_PER_DEADLINE
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn behaves_as_a_map_of_times(
            steps in prop::collection::vec((0u64..12, prop::option::of(0i64..40), 0i64..42), 0..100),
        ) {
            let (mut deadlines, mut model) = (Deadlines::default(), BTreeMap::new());
            for (hash, at_ms, now_ms) in steps {
                deadlines.change(hash, model.get(&hash).copied(), at_ms);
                match at_ms {
                    Some(at_ms) => model.insert(hash, at_ms),
                    None => model.remove(&hash),
                };
                let mut due: Vec<_> =
                    model.iter().map(|(hash, at_ms)| (*at_ms, *hash)).filter(|(at_ms, _)| *at_ms < now_ms).collect();
                due.sort_unstable();
                prop_assert_eq!(deadlines.count_due(now_ms), due.len());
                prop_assert_eq!(deadlines.due(now_ms).collect::<Vec<_>>(), due);
                prop_assert_eq!(deadlines.earliest(), model.values().min().copied());
                prop_assert_eq!((deadlines.len(), deadlines.is_empty()), (model.len(), model.is_empty()));
            }
        }
    }

    #[test]
    fn what_is_due_comes_in_order() {
        let mut deadlines = Deadlines::default();
        for (hash, at_ms) in [(1, 30), (2, 10), (3, 20), (4, 10)] {
            deadlines.change(hash, None, Some(at_ms));
        }
        assert_eq!(deadlines.earliest(), Some(10));
        assert_eq!(deadlines.due(10).count(), 0, "at the very millisecond it is not over");
        assert_eq!(deadlines.due(30).collect::<Vec<_>>(), [(10, 2), (10, 4), (20, 3)]);
        deadlines.change(2, Some(10), Some(40));
        deadlines.change(3, Some(20), None);
        assert_eq!(deadlines.due(i64::MAX).map(|(_, hash)| hash).collect::<Vec<_>>(), [4, 1, 2]);
        deadlines.discard_some(9);
        assert!(deadlines.is_empty() && deadlines.memory_usage() == 0);
    }
}
