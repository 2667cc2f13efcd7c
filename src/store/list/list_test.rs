//! Lists against a plain deque of strings, and when a list changes its form.

use std::collections::VecDeque;

use proptest::prelude::*;

use super::*;

type Model = VecDeque<Vec<u8>>;

#[derive(Clone, Debug)]
enum Step {
    Push(End, Vec<Vec<u8>>),
    Remove(End, usize),
    Set(usize, Vec<u8>),
    Insert(usize, bool, Vec<u8>),
    RemoveEqual(usize, End, usize),
    Walk(End, usize),
    Rotate(End, End),
    Copy,
}

fn texts(list: &List, end: End, skipped: usize) -> Vec<Vec<u8>> {
    list.walk(end, skipped).map(|element| element.bytes(&mut itoa::Buffer::new()).to_vec()).collect()
}

fn end() -> impl Strategy<Value = End> {
    prop_oneof![Just(End::Head), Just(End::Tail)]
}

/// Few different texts of every form, so that equal ones meet.
fn text() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        8 => (0..30i64).prop_map(|number| (number * 7 - 50).to_string().into_bytes()),
        4 => any::<i64>().prop_map(|number| number.to_string().into_bytes()),
        8 => (0..6usize).prop_map(|len| vec![b'a'; len]),
        4 => prop::collection::vec(any::<u8>(), 0..90),
        2 => (100..700usize).prop_map(|len| vec![b'x'; len]),
        1 => Just(vec![b'y'; 9000]),
    ]
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (end(), prop::collection::vec(text(), 1..40)).prop_map(|(end, texts)| Step::Push(end, texts)),
        4 => (end(), text()).prop_map(|(end, text)| Step::Push(end, vec![text])),
        4 => (end(), 0..60usize).prop_map(|(end, count)| Step::Remove(end, count)),
        3 => (0..300usize, text()).prop_map(|(index, text)| Step::Set(index, text)),
        4 => (0..300usize, any::<bool>(), text()).prop_map(|(index, behind, text)| Step::Insert(index, behind, text)),
        2 => (0..300usize, end(), 1..5usize).prop_map(|(index, end, most)| Step::RemoveEqual(index, end, most)),
        1 => (0..300usize, end()).prop_map(|(index, end)| Step::RemoveEqual(index, end, usize::MAX)),
        2 => (end(), 0..300usize).prop_map(|(end, skipped)| Step::Walk(end, skipped)),
        2 => (end(), end()).prop_map(|(from, to)| Step::Rotate(from, to)),
        1 => Just(Step::Copy),
    ]
}

fn apply(list: &mut List, model: &mut Model, step: Step, limit: Limit) {
    match step {
        Step::Push(end, texts) => {
            let elements: Vec<&[u8]> = texts.iter().map(Vec::as_slice).collect();
            list.push(end, &elements, limit);
            for text in texts {
                match end {
                    End::Head => model.push_front(text),
                    End::Tail => model.push_back(text),
                }
            }
        }
        Step::Remove(end, count) => {
            list.remove_ends(end, count, limit);
            let left = model.len().saturating_sub(count);
            match end {
                End::Head => drop(model.drain(..model.len() - left)),
                End::Tail => model.truncate(left),
            }
        }
        Step::Set(index, text) => {
            assert_eq!(list.set(index, &text, limit), index < model.len());
            if let Some(place) = model.get_mut(index) {
                *place = text;
            }
        }
        Step::Insert(index, behind, text) => {
            let Some(pivot) = model.get(index).cloned() else {
                assert!(!list.insert(b"not there", behind, &text, limit));
                return;
            };
            assert!(list.insert(&pivot, behind, &text, limit));
            let found = model.iter().position(|present| *present == pivot).unwrap();
            model.insert(found + usize::from(behind), text);
        }
        Step::RemoveEqual(index, end, most) => {
            let Some(text) = model.get(index).cloned() else { return };
            let equal: Vec<usize> = (0..model.len()).filter(|&at| model[at] == text).collect();
            let count = equal.len().min(most);
            let gone = match end {
                End::Head => &equal[..count],
                End::Tail => &equal[equal.len() - count..],
            };
            gone.iter().rev().for_each(|&at| drop(model.remove(at)));
            assert_eq!(list.remove_equal(&text, end, most, limit), count);
        }
        Step::Walk(end, skipped) => {
            let expected: Vec<Vec<u8>> = match end {
                End::Head => model.iter().skip(skipped).cloned().collect(),
                End::Tail => model.iter().rev().skip(skipped).cloned().collect(),
            };
            assert_eq!(texts(list, end, skipped), expected);
            let text = list.get(skipped).map(|element| element.bytes(&mut itoa::Buffer::new()).to_vec());
            assert_eq!(text.as_ref(), model.get(skipped));
        }
        Step::Rotate(from, to) => {
            list.rotate(from, to, limit);
            let text = if from == End::Head { model.pop_front() } else { model.pop_back() };
            match to {
                End::Head => text.into_iter().for_each(|text| model.push_front(text)),
                End::Tail => text.into_iter().for_each(|text| model.push_back(text)),
            }
        }
        Step::Copy => {
            let copy = list.clone();
            assert_eq!((&copy, copy.encoding_name()), (&*list, list.encoding_name()));
            assert_eq!(copy.memory_usage(), heap_bytes(&copy));
            *list = copy;
        }
    }
}

/// The memory that [`List::memory_usage`] keeps count of, summed up.
fn heap_bytes(list: &List) -> usize {
    match &list.form {
        Form::One(node) => node.memory_usage(),
        Form::Many(nodes) => {
            let each = (0..).map_while(|at| nodes.node(at)).map(Node::memory_usage).sum::<usize>();
            nodes.memory_usage() - nodes.bytes + each
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn a_list_does_as_a_deque(
        directive in prop_oneof![Just(-1), Just(-2), Just(1), Just(3), Just(10), Just(128)],
        steps in prop::collection::vec(step(), 1..80),
    ) {
        let limit = Limit::new(directive);
        let (mut list, mut model) = (List::default(), Model::new());
        for step in steps {
            apply(&mut list, &mut model, step, limit);
            assert_eq!(list.len(), model.len());
            assert_eq!(list.memory_usage(), heap_bytes(&list));
            let front = list.end(End::Head).map(|element| element.bytes(&mut itoa::Buffer::new()).to_vec());
            assert_eq!(front.as_ref(), model.front());
        }
        assert!(texts(&list, End::Head, 0).iter().eq(model.iter()));
        assert!(texts(&list, End::Tail, 0).iter().eq(model.iter().rev()));
        while list.free_some(10) > 0 {}
        assert!(list.is_empty());
    }
}

/// A list of `count` elements of ten bytes each.
fn numbered(count: usize, limit: Limit) -> List {
    let mut list = List::default();
    for number in 0..count {
        list.push(End::Tail, &[format!("elem:{number:05}").as_bytes()], limit);
    }
    list
}

#[test]
fn limits_are_those_of_the_directive() {
    assert_eq!(Limit::new(-1), Limit::Bytes(4096));
    assert_eq!(Limit::new(-2), Limit::Bytes(8192));
    assert_eq!(Limit::new(-5), Limit::Bytes(65536));
    assert_eq!(Limit::new(i32::MIN), Limit::Bytes(65536));
    assert_eq!(Limit::new(0), Limit::Elements(1));
    assert_eq!(Limit::new(128), Limit::Elements(128));
}

#[test]
fn a_list_changes_its_form_as_in_redis() {
    let limit = Limit::new(-2);
    // 12 bytes each and 7 around them: the 682nd is added to 8179 bytes, which with its ten are still below 8192.
    let mut list = numbered(681, limit);
    assert_eq!(list.encoding_name(), "listpack");
    list.push(End::Tail, &[b"0123456789"], limit);
    assert_eq!(list.encoding_name(), "listpack");
    list.push(End::Tail, &[b"xx"], limit);
    assert_eq!(list.encoding_name(), "quicklist");
    list.remove_ends(End::Head, 342, limit);
    assert_eq!(list.encoding_name(), "quicklist", "two nodes");
    list.remove_ends(End::Tail, 1, limit);
    assert_eq!((list.encoding_name(), list.len()), ("listpack", 340));

    let limit = Limit::new(4);
    let mut list = numbered(4, limit);
    assert_eq!(list.encoding_name(), "listpack");
    list.push(End::Head, &[b"x"], limit);
    assert_eq!(list.encoding_name(), "quicklist");
    list.remove_ends(End::Head, 2, limit);
    assert_eq!(list.encoding_name(), "quicklist");
    list.remove_ends(End::Head, 1, limit);
    assert_eq!((list.encoding_name(), list.len()), ("listpack", 2));
}

#[test]
fn what_is_too_long_for_a_node_gets_its_own() {
    let limit = Limit::new(-2);
    let mut list = numbered(100, limit);
    let long = vec![b'x'; 100_000];
    assert!(list.set(50, &long, limit) && list.insert(b"elem:00020", true, &long, limit));
    let Form::Many(nodes) = &list.form else { panic!("a long element makes a deque") };
    let lens: Vec<usize> = (0..).map_while(|at| nodes.node(at)).map(Node::len).collect();
    assert_eq!(lens, [21, 1, 29, 1, 49]);
}

#[test]
fn memory_follows_the_content() {
    let limit = Limit::new(-2);
    let short = numbered(10, limit);
    assert_eq!(short.memory_usage(), 128, "ten elements of twelve bytes, and nothing around them");
    let mut list = numbered(100_000, limit);
    let content = 12 * 100_000;
    assert!(list.memory_usage() < content + content / 100 + 16_000, "{}", list.memory_usage());
    list.remove_ends(End::Head, 99_000, limit);
    assert!(list.memory_usage() < 40_000, "{}", list.memory_usage());
}
