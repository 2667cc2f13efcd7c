//! Sorted sets against a plain model, in both forms and over the border between them.

use std::collections::BTreeMap;
use std::ops::Bound;

use proptest::prelude::*;

use super::*;

const SMALL: Limits = Limits { members: 12, member_bytes: 8 };
const NONE: Limits = Limits { members: 0, member_bytes: 8 };

/// Members in order, as a model keeps them.
#[derive(Clone, Debug, Default)]
struct Model(BTreeMap<Vec<u8>, f64>);

impl Model {
    fn ordered(&self) -> Vec<(Vec<u8>, f64)> {
        let mut pairs: Vec<_> = self.0.iter().map(|(member, score)| (member.clone(), *score)).collect();
        pairs.sort_by(|one, other| one.1.partial_cmp(&other.1).unwrap().then(one.0.cmp(&other.0)));
        pairs
    }
}

fn pairs(set: SortedSetView<'_>, ranks: Range<usize>, reversed: bool) -> Vec<(Vec<u8>, f64)> {
    let mut pairs = Vec::new();
    set.visit(ranks, reversed, |member, score| pairs.push((member.to_vec(), score)));
    pairs
}

#[derive(Clone, Debug)]
enum Step {
    Set(Vec<u8>, f64),
    Remove(Vec<u8>),
    RemoveRange(prop::sample::Index, prop::sample::Index),
    Unpack,
    Clone,
}

fn member() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => "[a-f]{0,2}".prop_map(String::into_bytes),
        3 => (-20i64..200).prop_map(|int| int.to_string().into_bytes()),
        1 => prop::collection::vec(any::<u8>(), 0..12),
    ]
}

fn score() -> impl Strategy<Value = f64> {
    prop_oneof![
        6 => (-3i32..4).prop_map(f64::from),
        2 => (-40i32..40).prop_map(|eighths| f64::from(eighths) / 8.0),
        2 => any::<f64>().prop_filter("no score", |score| !score.is_nan()),
        1 => prop::sample::select(vec![
            f64::INFINITY, f64::NEG_INFINITY, -0.0, 0.0, 9_007_199_254_740_992.0, 9_007_199_254_740_994.0, 1e300, 5e-324,
        ]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        10 => (member(), score()).prop_map(|(member, score)| Step::Set(member, score)),
        4 => member().prop_map(Step::Remove),
        1 => any::<[prop::sample::Index; 2]>().prop_map(|[from, to]| Step::RemoveRange(from, to)),
        1 => Just(Step::Unpack),
        1 => Just(Step::Clone),
    ]
}

fn take(set: &mut SortedSet, model: &mut Model, limits: Limits, step: Step) {
    match step {
        Step::Set(member, score) => {
            let before = model.0.get(&member).copied();
            let told = set.update(&member, limits, |before| {
                assert_eq!(before, model.0.get(&member).copied());
                Some(score)
            });
            assert_eq!(told, (before, Some(score)));
            // Both zeros are one score, so the first stays.
            if before != Some(score) {
                model.0.insert(member.clone(), score);
            }
            let now = set.view().score(&member);
            assert_eq!(set.update(&member, limits, |_| None), (now, None));
        }
        Step::Remove(member) => assert_eq!(set.remove(&member), model.0.remove(&member)),
        Step::RemoveRange(from, to) => {
            let (from, to) = (from.index(set.len() + 1), to.index(set.len() + 1));
            let ranks = from.min(to)..from.max(to);
            for (member, _) in &model.ordered()[ranks.clone()] {
                model.0.remove(member);
            }
            set.remove_range(ranks);
        }
        Step::Unpack => assert_eq!(set.unpack().len(), model.0.len()),
        Step::Clone => {
            let clone = set.clone();
            assert_eq!(&clone, set);
            *set = clone;
        }
    }
}

fn check(set: &SortedSet, model: &Model, from: f64, to: f64, bounds: [&[u8]; 2]) {
    let (view, ordered) = (set.view(), model.ordered());
    assert_eq!(view.len(), ordered.len());
    assert_eq!(pairs(view, 0..ordered.len(), false), ordered);
    let mut backwards = ordered.clone();
    backwards.reverse();
    assert_eq!(pairs(view, 0..ordered.len(), true), backwards);
    for (rank, (member, score)) in ordered.iter().enumerate() {
        assert_eq!(view.rank(member), Some((rank, *score)));
    }
    for (min, max) in [
        (Bound::Included(from), Bound::Included(to)),
        (Bound::Excluded(from), Bound::Excluded(to)),
        (Bound::Included(from), Bound::Unbounded),
    ] {
        let expected: Vec<usize> = (0..ordered.len())
            .filter(|&rank| {
                let score = ordered[rank].1;
                let starts = match min {
                    Bound::Excluded(min) => score > min,
                    _ => score >= from,
                };
                starts
                    && match max {
                        Bound::Included(max) => score <= max,
                        Bound::Excluded(max) => score < max,
                        Bound::Unbounded => true,
                    }
            })
            .collect();
        assert_eq!(view.ranks_by_score(&ScoreRange { min, max }).collect::<Vec<_>>(), expected);
    }
    if ordered.iter().all(|(_, score)| *score == ordered[0].1) {
        check_members(view, &ordered, bounds);
    }
}

fn check_members(view: SortedSetView<'_>, ordered: &[(Vec<u8>, f64)], [one, other]: [&[u8]; 2]) {
    let ends = [
        MemberBound::Lowest,
        MemberBound::Included(one),
        MemberBound::Excluded(one),
        MemberBound::Included(other),
        MemberBound::Excluded(other),
        MemberBound::Highest,
    ];
    for (min, max) in ends.iter().flat_map(|min| ends.iter().map(move |max| (*min, *max))) {
        let from = |member: &[u8]| match min {
            MemberBound::Lowest => true,
            MemberBound::Highest => false,
            MemberBound::Included(min) => member >= min,
            MemberBound::Excluded(min) => member > min,
        };
        let to = |member: &[u8]| match max {
            MemberBound::Lowest => false,
            MemberBound::Highest => true,
            MemberBound::Included(max) => member <= max,
            MemberBound::Excluded(max) => member < max,
        };
        let expected: Vec<usize> =
            (0..ordered.len()).filter(|&rank| from(&ordered[rank].0) && to(&ordered[rank].0)).collect();
        assert_eq!(view.ranks_by_member(&MemberRange { min, max }).collect::<Vec<_>>(), expected);
    }
}

proptest! {
    #[test]
    fn behaves_as_a_map_in_order(
        steps in prop::collection::vec(step(), 0..80),
        limits in prop::sample::select(vec![SMALL, NONE, Limits { members: 1000, member_bytes: 1000 }]),
        (from, to) in (score(), score()),
        bounds in [member(), member()],
    ) {
        let (mut set, mut model) = (SortedSet::default(), Model::default());
        for step in steps {
            take(&mut set, &mut model, limits, step);
            check(&set, &model, from, to, [&bounds[0], &bounds[1]]);
        }
        let mut gathered = Unordered::default();
        for (member, score) in &model.0 {
            gathered.update(member, |_| *score);
        }
        let gathered = SortedSet::of(gathered, limits);
        prop_assert_eq!(pairs(gathered.view(), 0..gathered.len(), false), model.ordered());
        // Only a set that was too large once is a tree for good.
        let fits = model.0.len() <= limits.members && model.0.keys().all(|member| member.len() <= limits.member_bytes);
        prop_assert_eq!(gathered.encoding_name(), if fits { "listpack" } else { "skiplist" });
    }

    #[test]
    fn members_of_one_score_are_ordered_by_bytes(
        members in prop::collection::vec(member(), 0..40),
        limits in prop::sample::select(vec![SMALL, NONE]),
        bounds in [member(), member()],
    ) {
        let (mut set, mut model) = (SortedSet::default(), Model::default());
        for member in members {
            take(&mut set, &mut model, limits, Step::Set(member, 1.5));
        }
        check(&set, &model, 0.0, 1.5, [&bounds[0], &bounds[1]]);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(40))]
    #[test]
    fn a_scan_sees_who_stays(
        size in 0u32..900,
        budget in 1usize..40,
        changes in prop::collection::vec(prop::collection::vec((any::<bool>(), 0u32..2_000, score()), 0..30), 0..60),
    ) {
        let name = |number: u32| format!("m{number}").into_bytes();
        let mut set = SortedSet::default();
        for number in 0..size {
            set.update(&name(number), SMALL, |_| Some(f64::from(number % 7)));
        }
        let mut stayed: std::collections::BTreeSet<Vec<u8>> = (0..size).map(name).collect();
        let mut ever = stayed.clone();
        let (mut cursor, mut changes, mut seen) = (0, changes.into_iter(), std::collections::BTreeSet::new());
        loop {
            cursor = set.view().scan(cursor, budget, |member, _| seen.extend([member.to_vec()]));
            if cursor == 0 {
                break;
            }
            for (sets, number, score) in changes.next().unwrap_or_default() {
                let member = name(number);
                if sets {
                    set.update(&member, SMALL, |_| Some(score));
                    ever.insert(member);
                } else {
                    set.remove(&member);
                    stayed.remove(&member);
                }
            }
        }
        prop_assert!(stayed.is_subset(&seen) && seen.is_subset(&ever));
    }
}

#[test]
fn the_form_changes_beyond_the_limits_and_never_back() {
    let mut set = SortedSet::default();
    for number in 0..12 {
        set.update(format!("m{number}").as_bytes(), SMALL, |_| Some(1.0));
    }
    assert_eq!(set.encoding_name(), "listpack");
    set.update(b"m12", SMALL, |_| Some(1.0));
    assert_eq!(set.encoding_name(), "skiplist");
    set.remove_range(0..12);
    assert_eq!((set.encoding_name(), set.len()), ("skiplist", 1));
    let mut long = SortedSet::default();
    long.update(b"nine byte", SMALL, |_| Some(1.0));
    assert_eq!(long.encoding_name(), "skiplist");
    let mut many = SortedSet::default();
    many.expect(12, SMALL);
    assert_eq!(many.encoding_name(), "listpack");
    many.expect(13, SMALL);
    assert_eq!(many.encoding_name(), "skiplist");
}

#[test]
fn memory_is_counted_and_given_back() {
    let mut set = SortedSet::default();
    let empty = { SortedSet::Tree(Box::default()).memory_usage() };
    for number in 0..50_000u32 {
        let score = f64::from(number.wrapping_mul(2_654_435_761) % 100_000);
        set.update(format!("m{number:09}").as_bytes(), SMALL, |_| Some(score));
    }
    let full = set.memory_usage();
    assert!(full < 50_000 * 90, "{} bytes a member", full / 50_000);
    let mut freed = 0;
    while set.free_some(1000) > 0 {
        freed += 1;
    }
    assert_eq!((freed, set.len()), (50, 0));
    assert_eq!(set.memory_usage(), empty);
}

#[test]
fn a_scan_sees_all_members() {
    for limits in [SMALL, NONE] {
        let mut set = SortedSet::default();
        for number in 0..if limits == NONE { 1000 } else { 12 } {
            set.update(number.to_string().as_bytes(), limits, |_| Some(f64::from(number)));
        }
        let (mut seen, mut cursor, mut calls) = (std::collections::BTreeSet::new(), 0, 0);
        loop {
            cursor = set.view().scan(cursor, 10, |member, _| seen.extend([member.to_vec()]));
            calls += 1;
            if cursor == 0 {
                break;
            }
        }
        assert_eq!(seen.len(), set.len());
        assert!((calls == 1) == (limits == SMALL), "{calls} calls");
    }
}
