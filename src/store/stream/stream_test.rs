//! Streams against a plain model: a map of all entries, and maps of who has which.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;

/// The fields of an entry, names and values in turn.
type Strings = Vec<Vec<u8>>;

#[derive(Default)]
struct Model {
    entries: BTreeMap<StreamId, Strings>,
    last_id: StreamId,
    max_deleted_id: StreamId,
    added: u64,
}

#[derive(Clone, Debug)]
enum Step {
    Append { ms: u64, seq: u64, fields: Strings },
    Delete(usize),
    Trim { keep: Result<u64, usize>, is_approximate: bool, limit: u64, is_choosy: bool },
    Range(usize, usize),
}

fn strings() -> impl Strategy<Value = Strings> {
    let name = prop_oneof![Just(b"name".to_vec()), Just(b"other".to_vec()), Just(vec![])];
    let value = prop::collection::vec(any::<u8>(), 0..20);
    let long = Just(vec![b'x'; 500]);
    let pair = (name, prop_oneof![9 => value, 1 => long]).prop_map(|(name, value)| vec![name, value]);
    prop::collection::vec(pair, 1..4).prop_map(|pairs| pairs.concat())
}

fn step() -> impl Strategy<Value = Step> {
    let append = (0..3u64, prop_oneof![0..3u64, Just(1 << 40)], strings())
        .prop_map(|(ms, seq, fields)| Step::Append { ms, seq, fields });
    let keep = prop_oneof![(0..40u64).prop_map(Ok), (0..200usize).prop_map(Err)];
    let trim = (keep, any::<bool>(), prop_oneof![Just(0), 0..30u64], any::<bool>()).prop_map(
        |(keep, is_approximate, limit, is_choosy)| Step::Trim { keep, is_approximate, limit, is_choosy },
    );
    prop_oneof![
        12 => append,
        4 => (0..200usize).prop_map(Step::Delete),
        1 => trim,
        3 => (0..200usize, 0..200usize).prop_map(|(from, to)| Step::Range(from, to)),
    ]
}

fn flat(entry: Entry<'_>) -> (StreamId, Strings) {
    let strings = entry.fields.flat_map(|(name, value)| [name.to_vec(), value.to_vec()]);
    (entry.id, strings.collect())
}

impl Model {
    /// Some id: of an entry mostly, or next to one.
    fn pick(&self, number: usize) -> StreamId {
        let count = self.entries.len() * 2 + 2;
        match number % count {
            0 => StreamId::MIN,
            1 => StreamId::MAX,
            other => {
                let (id, _) = self.entries.iter().nth((other - 2) / 2).expect("counted");
                if other % 2 == 0 { *id } else { id.next().expect("not the greatest") }
            }
        }
    }

    fn apply(&mut self, log: &mut Log, step: Step) {
        let limits = NodeLimits { bytes: 1000, entries: 7 };
        match step {
            Step::Append { ms, seq, fields } => {
                let seq = if ms == 0 { self.last_id.seq + 1 + seq } else { seq };
                let id = StreamId::new(self.last_id.ms + ms, seq);
                let slices: Vec<&[u8]> = fields.iter().map(Vec::as_slice).collect();
                log.append(id, &slices, limits);
                self.entries.insert(id, fields);
                self.last_id = id;
                self.added += 1;
            }
            Step::Delete(number) => {
                let id = self.pick(number);
                let is_there = self.entries.remove(&id).is_some();
                assert_eq!(log.delete(id), is_there);
                if is_there {
                    self.max_deleted_id = self.max_deleted_id.max(id);
                }
            }
            Step::Trim { keep, is_approximate, limit, is_choosy } => {
                let keep = keep.map_or_else(|number| Keep::From(self.pick(number)), Keep::Length);
                let trim = Trim { keep, is_approximate, limit };
                if is_choosy { self.trim_each(log, trim) } else { self.trim(log, trim) }
            }
            Step::Range(from, to) => {
                let (from, to) = (self.pick(from), self.pick(to));
                let inside = |entry: &(&StreamId, &Strings)| from <= *entry.0 && *entry.0 <= to;
                let copy = |(id, fields): (&StreamId, &Strings)| (*id, fields.clone());
                let expected: Vec<_> = self.entries.iter().filter(inside).map(copy).collect();
                assert_eq!(log.range(from, to).map(flat).collect::<Vec<_>>(), expected);
                let backward: Vec<_> = log.range_back(from, to).map(flat).collect();
                assert_eq!(backward.into_iter().rev().collect::<Vec<_>>(), expected);
            }
        }
        self.compare(log);
    }

    /// An exact trim removes what it says; an approximate one may leave some, but in order.
    fn trim(&mut self, log: &mut Log, trim: Trim) {
        let due = match trim.keep {
            Keep::Length(kept) => self.entries.len().saturating_sub(kept as usize),
            Keep::From(from) => self.entries.range(..from).count(),
        };
        let removed = log.trim(trim) as usize;
        assert!(removed <= due && (trim.limit == 0 || removed as u64 <= trim.limit));
        if !trim.is_approximate && trim.limit == 0 {
            assert_eq!(removed, due);
        }
        for _ in 0..removed {
            self.entries.pop_first();
        }
    }

    /// A trim that asks for each entry leaves those that may not go, and they count.
    fn trim_each(&mut self, log: &mut Log, trim: Trim) {
        let may_go = |id: StreamId| !id.ms.is_multiple_of(3);
        let mut left = self.entries.len() as u64;
        let mut due = Vec::new();
        for id in self.entries.keys() {
            let is_due = match trim.keep {
                Keep::Length(kept) => left > kept,
                Keep::From(from) => *id < from,
            };
            if is_due && may_go(*id) {
                due.push(*id);
                left -= 1;
            }
        }
        let removed = log.trim_each(trim, may_go) as usize;
        assert!(removed <= due.len() && (trim.limit == 0 || removed as u64 <= trim.limit));
        if !trim.is_approximate && trim.limit == 0 {
            assert_eq!(removed, due.len());
        }
        due.iter().take(removed).for_each(|id| drop(self.entries.remove(id)));
    }

    fn compare(&self, log: &Log) {
        assert_eq!(log.len() as usize, self.entries.len());
        assert_eq!(log.first_id(), self.entries.keys().next().copied().unwrap_or(StreamId::MIN));
        assert_eq!(log.last_entry_id(), self.entries.keys().next_back().copied());
        assert_eq!((log.last_id(), log.max_deleted_id()), (self.last_id, self.max_deleted_id));
        assert_eq!(log.entries_added(), self.added);
        assert!(log.first_kept_id() <= self.entries.keys().next().copied().unwrap_or(StreamId::MAX));
        assert!(log.nodes() <= self.entries.len());
        for id in self.entries.keys() {
            assert!(log.get(*id).is_some());
        }
    }
}

proptest! {
    #[test]
    fn logs_behave_like_maps(steps in prop::collection::vec(step(), 1..200)) {
        let (mut model, mut log) = (Model::default(), Log::default());
        for step in steps {
            model.apply(&mut log, step);
        }
        let copy = log.clone();
        prop_assert!(copy == log);
        while log.free_some(2) > 0 {}
        prop_assert_eq!(log.nodes(), 0);
    }

    #[test]
    fn trims_do_as_the_policy_says(
        entries in 0..40u64,
        read in prop::array::uniform2(0..45u64),
        pending in prop::array::uniform2(prop::collection::btree_set(0..45u64, 0..30)),
        (keep, policy) in (
            prop_oneof![(0..40u64).prop_map(Keep::Length), (0..45u64).prop_map(|ms| Keep::From(StreamId::new(ms, 0)))],
            prop::sample::select(vec![Policy::KeepReferences, Policy::DeleteReferences, Policy::Acknowledged]),
        ),
        is_approximate: bool,
    ) {
        let mut stream = Stream::default();
        let before = stream.memory_usage();
        for ms in 1..=entries {
            stream.log.append(StreamId::new(ms, 0), &[b"field", b"value"], NodeLimits { bytes: 4096, entries: 7 });
        }
        for (name, (last, pending)) in [b"g", b"h"].into_iter().zip(read.iter().zip(&pending)) {
            stream.add_group(name, Group::default());
            stream.change_group(name, |_, group| {
                group.last_id = StreamId::new(*last, 0);
                group.add_consumer(b"c", 0);
                pending.iter().for_each(|&ms| group.assign(StreamId::new(ms, 0), b"c", 7, 1));
            });
        }
        let is_awaited = |ms: u64| read.iter().any(|last| *last < ms) || pending.iter().any(|ids| ids.contains(&ms));
        let mut left: Vec<u64> = (1..=entries).collect();
        let mut gone = Vec::new();
        for ms in 1..=entries {
            let is_due = match keep {
                Keep::Length(length) => left.len() as u64 > length,
                Keep::From(from) => ms < from.ms,
            };
            if is_due && (policy != Policy::Acknowledged || !is_awaited(ms)) {
                left.retain(|other| *other != ms);
                gone.push(ms);
            }
        }
        let removed = stream.trim(Trim { keep, is_approximate, limit: 0 }, policy) as usize;
        prop_assert!(removed == gone.len() || is_approximate && removed < gone.len());
        gone.truncate(removed);
        let expected: Vec<u64> = (1..=entries).filter(|ms| !gone.contains(ms)).collect();
        let range = stream.log.range(StreamId::MIN, StreamId::MAX);
        prop_assert_eq!(range.map(|entry| entry.id.ms).collect::<Vec<_>>(), expected);
        for (name, pending) in [b"g", b"h"].into_iter().zip(&pending) {
            let is_released = |ms: &u64| policy == Policy::DeleteReferences && gone.contains(ms);
            let expected: Vec<u64> = pending.iter().copied().filter(|ms| !is_released(ms)).collect();
            let group = stream.group(name).expect("added above");
            prop_assert_eq!(group.pending_from(StreamId::MIN).map(|(id, _)| id.ms).collect::<Vec<_>>(), expected);
            prop_assert!(stream.remove_group(name));
        }
        stream.log.trim(Trim { keep: Keep::Length(0), is_approximate: false, limit: 0 });
        prop_assert_eq!(stream.memory_usage(), before);
    }

    #[test]
    fn pending_entries_have_one_owner(
        steps in prop::collection::vec((0..5u8, 0..8u64, 0..4u8), 1..200)
    ) {
        let mut stream = Stream::default();
        stream.add_group(b"g", Group::default());
        let before = stream.memory_usage();
        let mut owners: BTreeMap<StreamId, Vec<u8>> = BTreeMap::new();
        for (what, number, who) in steps {
            let (id, name) = (StreamId::new(number, 0), vec![b'c', who]);
            stream.change_group(b"g", |_, group| match what {
                0..=2 => {
                    group.add_consumer(&name, 0);
                    group.assign(id, &name, 7, number);
                    owners.insert(id, name.clone());
                }
                3 => assert_eq!(group.acknowledge(id), owners.remove(&id).is_some()),
                _ => {
                    let owned = owners.values().filter(|owner| **owner == name).count();
                    let is_there = group.consumer(&name).is_some();
                    assert_eq!(group.remove_consumer(&name), is_there.then_some(owned));
                    owners.retain(|_, owner| *owner != name);
                }
            });
            let group = stream.group(b"g").expect("added above");
            let listed: Vec<_> = group.pending_from(StreamId::MIN).collect();
            prop_assert!(listed.iter().map(|(id, pending)| (*id, &*pending.consumer))
                .eq(owners.iter().map(|(id, owner)| (id, owner.as_slice()))));
            for (name, consumer) in group.consumers() {
                let own: Vec<_> = owners.iter().filter(|(_, owner)| *owner == name).map(|(id, _)| *id).collect();
                prop_assert_eq!(consumer.pending(StreamId::MIN, StreamId::MAX).collect::<Vec<_>>(), own);
            }
        }
        stream.change_group(b"g", |_, group| {
            let names: Vec<_> = group.consumers().map(|(name, _)| name.to_vec()).collect();
            names.iter().for_each(|name| assert!(group.remove_consumer(name).is_some()));
        });
        prop_assert_eq!(stream.memory_usage(), before);
        prop_assert!(stream.remove_group(b"g") && stream.memory_usage() == Stream::default().memory_usage());
    }
}

fn filled(entries: u64) -> Log {
    let mut log = Log::default();
    for ms in 1..=entries {
        log.append(StreamId::new(ms, 0), &[b"field", b"value"], NodeLimits { bytes: 4096, entries: 100 });
    }
    log
}

#[test]
fn memory_is_counted() {
    let mut log = filled(10_000);
    let full = log.memory_usage();
    // Thirteen bytes of an entry, and its share of the nodes.
    assert!((120_000..250_000).contains(&full), "{full} bytes");
    assert_eq!(log.nodes(), 100);
    log.trim(Trim { keep: Keep::Length(0), is_approximate: false, limit: 0 });
    assert_eq!((log.memory_usage(), log.len(), log.first_id()), (0, 0, StreamId::MIN));
}

#[test]
fn searches_begin_in_the_midst_of_nodes() {
    let mut log = Log::default();
    let limits = NodeLimits { bytes: 0, entries: 70 };
    (1..=150).for_each(|number| log.append(StreamId::new(2 * number, 0), &[b"field", b"value"], limits));
    (1..=150).filter(|number| number % 3 == 0).for_each(|number| {
        assert!(log.delete(StreamId::new(2 * number, 0)));
    });
    let kept: Vec<u64> = (1..=150).filter(|number| number % 3 != 0).map(|number| 2 * number).collect();
    for ms in 0..=302 {
        let (id, is_kept) = (StreamId::new(ms, 0), kept.contains(&ms));
        let behind = log.range(id, StreamId::MAX).map(|entry| entry.id.ms);
        assert!(behind.eq(kept.iter().copied().filter(|kept| *kept >= ms)), "{ms}");
        let before = log.range_back(StreamId::MIN, id).map(|entry| entry.id.ms);
        assert!(before.eq(kept.iter().rev().copied().filter(|kept| *kept <= ms)), "{ms}");
        assert_eq!((log.get(id).is_some(), log.clone().delete(id)), (is_kept, is_kept), "{ms}");
    }
}

#[test]
fn approximate_trims_go_by_nodes() {
    let mut log = filled(1000);
    let approximate = |keep, limit| Trim { keep, is_approximate: true, limit };
    assert_eq!(log.trim(approximate(Keep::Length(555), 0)), 400);
    assert_eq!(log.trim(approximate(Keep::Length(0), 250)), 200);
    assert_eq!(log.trim(approximate(Keep::Length(0), 99)), 0);
    assert_eq!(log.trim(approximate(Keep::From(StreamId::new(701, 0)), 0)), 100);
    assert_eq!(log.first_kept_id(), StreamId::new(701, 0));
    assert_eq!(log.trim(approximate(Keep::From(StreamId::new(800, 0)), 0)), 0);
}

#[test]
fn counts_that_need_no_counting() {
    let mut log = filled(5);
    let id = |ms| StreamId::new(ms, 0);
    let told = |log: &Log| (0..=6).map(|ms| log.added_until(id(ms))).collect::<Vec<_>>();
    assert_eq!(told(&log), [Some(0), Some(1), None, None, None, Some(5), None]);
    log.trim(Trim { keep: Keep::Length(3), is_approximate: false, limit: 0 });
    assert_eq!(told(&log), [Some(2), Some(2), Some(2), Some(3), None, Some(5), None]);
    log.delete(id(4));
    assert_eq!(told(&log), [None, None, None, None, None, Some(5), None]);
    assert!(log.is_fragmented_from(id(4)) && !log.is_fragmented_from(id(5)));
    log.delete(id(3));
    assert_eq!(told(&log), [Some(4), Some(4), Some(4), Some(4), Some(4), Some(5), None]);
}

#[test]
fn groups_know_their_lag() {
    let log = filled(4);
    let mut group = Group::new(StreamId::MIN, None);
    assert_eq!(group.lag(&log), Some(4));
    group.advance(&log, StreamId::new(1, 0));
    group.advance(&log, StreamId::new(2, 0));
    assert_eq!((group.entries_read, group.lag(&log)), (Some(2), Some(2)));
    let mut lost = Group::new(StreamId::new(2, 0), None);
    assert_eq!(lost.lag(&log), None);
    lost.advance(&log, StreamId::new(3, 0));
    assert_eq!(lost.lag(&log), None);
    lost.advance(&log, StreamId::new(4, 0));
    assert_eq!((lost.entries_read, lost.lag(&log)), (Some(4), Some(0)));
}
