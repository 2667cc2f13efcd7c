//! Is there an order of a history's operations that each client could have seen? The search of Wing and
//! Gong (1993) with Lowe's cache of visited configurations (2017): depth first over sets of operations
//! already placed, each set visited once for each state it leads to.

use super::model::{Operation, State};
use std::collections::HashSet;

/// Longest history, from the width of the set below.
pub const LONGEST_HISTORY: usize = 128;
/// Configurations after which a search gives up.
const VISITS_MAX: usize = 3_000_000;

/// What the search found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// There is such an order.
    Linearizable,
    /// There is none; these operations, by index, are the longest that could be put in order.
    Refused(Vec<usize>),
    /// Too many configurations.
    Undecided,
}

/// One set of placed operations, a bit for each.
type Placed = u128;

struct Search<'a> {
    operations: &'a [Operation],
    /// For each operation those that have to come before it, by the connection's order.
    before: Vec<Placed>,
    visited: HashSet<(Placed, State)>,
    best: Placed,
}

/// Searches for an order, from an initial state.
pub fn check(operations: &[Operation], initial: &State) -> Verdict {
    assert!(operations.len() <= LONGEST_HISTORY, "a history of {} operations", operations.len());
    let before = operations
        .iter()
        .map(|operation| operation.after.iter().fold(0, |set: Placed, index| set | 1 << index))
        .collect();
    let mut search = Search { operations, before, visited: HashSet::new(), best: 0 };
    if search.extend(0, initial) {
        return Verdict::Linearizable;
    }
    if search.visited.len() >= VISITS_MAX {
        return Verdict::Undecided;
    }
    Verdict::Refused((0..operations.len()).filter(|index| search.best >> index & 1 == 1).collect())
}

impl Search<'_> {
    fn extend(&mut self, placed: Placed, state: &State) -> bool {
        if placed.count_ones() as usize == self.operations.len() {
            return true;
        }
        if self.visited.len() >= VISITS_MAX || !self.visited.insert((placed, state.clone())) {
            return false;
        }
        if placed.count_ones() > self.best.count_ones() {
            self.best = placed;
        }
        for index in self.candidates(placed) {
            for next in state.after(&self.operations[index]) {
                if self.extend(placed | 1 << index, &next) {
                    return true;
                }
            }
        }
        false
    }

    /// The operations that may come next: those that began before any other had ended, soonest ended first,
    /// which is likely to be the order that the server took.
    fn candidates(&self, placed: Placed) -> Vec<usize> {
        let open = || (0..self.operations.len()).filter(|index| placed >> index & 1 == 0);
        let first_end = open().map(|index| self.operations[index].returned_ns).min().unwrap_or(0);
        let mut found: Vec<usize> = open()
            .filter(|index| self.operations[*index].invoked_ns <= first_end)
            .filter(|index| self.before[*index] & !placed == 0)
            .collect();
        found.sort_by_key(|index| self.operations[*index].returned_ns);
        found
    }
}

#[cfg(test)]
mod tests {
    use super::super::common::Reply;
    use super::super::model::{Action, Command, Operation, State};
    use super::{Verdict, check};

    const MS: u64 = 1_000_000;
    /// Far from zero, so that the slack of clocks does not reach below it.
    const START: u64 = 1_000_000 * MS;

    fn operation(client: usize, from: u64, to: u64, action: Action, reply: Reply) -> Operation {
        let (invoked_ns, returned_ns) = (START + from, START + to);
        Operation { client, invoked_ns, returned_ns, action, reply, after: Vec::new() }
    }

    fn plain(client: usize, from: u64, to: u64, command: Command, reply: Reply) -> Operation {
        operation(client, from, to, Action::Plain(command), reply)
    }

    fn accepts(history: &[Operation]) -> bool {
        match check(history, &State::new(3, 3)) {
            Verdict::Linearizable => true,
            Verdict::Refused(_) => false,
            Verdict::Undecided => panic!("too small to stay undecided"),
        }
    }

    fn set(key: usize, value: &str) -> Command {
        Command::Set(key, value.into())
    }

    fn pair(first: &str, second: &str) -> Reply {
        let one = |text: &str| if text.is_empty() { Reply::NilBulk } else { Reply::bulk(text) };
        Reply::Array(vec![one(first), one(second)])
    }

    #[test]
    fn a_sequential_history_is_accepted() {
        assert!(accepts(&[
            plain(0, 0, 10, set(0, "a"), Reply::ok()),
            plain(1, 20, 30, Command::Get(0), Reply::bulk("a")),
            plain(0, 40, 50, Command::Delete(vec![0, 1]), Reply::Integer(1)),
            plain(1, 60, 70, Command::Get(0), Reply::NilBulk),
        ]));
    }

    #[test]
    fn a_concurrent_read_may_see_either() {
        for reply in [Reply::bulk("a"), Reply::NilBulk] {
            assert!(accepts(&[
                plain(0, 0, 100, set(0, "a"), Reply::ok()),
                plain(1, 50, 60, Command::Get(0), reply),
            ]));
        }
    }

    #[test]
    fn a_stale_read_is_refused() {
        assert!(!accepts(&[
            plain(0, 0, 10, set(0, "a"), Reply::ok()),
            plain(1, 20, 30, Command::Get(0), Reply::NilBulk),
        ]));
    }

    #[test]
    fn a_read_that_goes_back_is_refused() {
        assert!(!accepts(&[
            plain(0, 0, 100, set(0, "a"), Reply::ok()),
            plain(1, 10, 20, Command::Get(0), Reply::bulk("a")),
            plain(2, 30, 40, Command::Get(0), Reply::NilBulk),
        ]));
    }

    #[test]
    fn a_lost_update_is_refused() {
        let increments = |second| {
            [
                plain(0, 0, 100, Command::Increment(0), Reply::Integer(1)),
                plain(1, 0, 100, Command::Increment(0), Reply::Integer(second)),
            ]
        };
        assert!(accepts(&increments(2)));
        assert!(!accepts(&increments(1)));
    }

    #[test]
    fn a_torn_write_of_two_keys_is_refused() {
        let read = |reply| {
            [
                plain(0, 0, 100, Command::SetMany(vec![(0, "a".into()), (1, "b".into())]), Reply::ok()),
                plain(1, 10, 90, Command::GetMany(vec![0, 1]), reply),
            ]
        };
        assert!(accepts(&read(pair("a", "b"))));
        assert!(accepts(&read(pair("", ""))));
        assert!(!accepts(&read(pair("a", ""))));
        assert!(!accepts(&read(pair("", "b"))));
    }

    #[test]
    fn two_observers_must_agree_on_the_order() {
        let writes = [plain(0, 0, 100, set(0, "a"), Reply::ok()), plain(1, 0, 100, set(1, "b"), Reply::ok())];
        let reads = |first, second| {
            let mut history = writes.to_vec();
            history.push(plain(2, 10, 20, Command::GetMany(vec![0, 1]), first));
            history.push(plain(2, 30, 40, Command::GetMany(vec![0, 1]), second));
            history
        };
        assert!(accepts(&reads(pair("a", ""), pair("a", "b"))));
        assert!(!accepts(&reads(pair("a", ""), pair("", "b"))));
    }

    #[test]
    fn a_transaction_is_one_instant() {
        let block = Action::Transaction(vec![set(0, "a"), set(1, "b")]);
        let done = Reply::Array(vec![Reply::ok(), Reply::ok()]);
        let read = |reply| {
            [
                operation(0, 0, 100, block.clone(), done.clone()),
                plain(1, 10, 90, Command::GetMany(vec![0, 1]), reply),
            ]
        };
        assert!(accepts(&read(pair("a", "b"))));
        assert!(!accepts(&read(pair("a", ""))));
    }

    #[test]
    fn a_watched_key_decides_over_exec() {
        let history = |write_from, write_to, reply: Reply| {
            [
                operation(0, 0, 10, Action::Watch(vec![0]), Reply::ok()),
                plain(1, write_from, write_to, set(0, "x"), Reply::ok()),
                operation(0, 60, 70, Action::Transaction(vec![set(1, "b")]), reply),
            ]
        };
        let done = Reply::Array(vec![Reply::ok()]);
        assert!(accepts(&history(20, 30, Reply::NilArray)));
        assert!(!accepts(&history(20, 30, done.clone())), "a write in between was not noticed");
        assert!(accepts(&history(80, 90, done.clone())));
        assert!(!accepts(&history(80, 90, Reply::NilArray)), "nothing happened in between");
        assert!(accepts(&history(5, 65, done)) && accepts(&history(5, 65, Reply::NilArray)));
    }

    #[test]
    fn two_optimistic_updates_cannot_both_win() {
        let block = || Action::Transaction(vec![Command::Increment(0)]);
        let history = |first, second| {
            [
                operation(0, 0, 10, Action::Watch(vec![0]), Reply::ok()),
                operation(1, 0, 10, Action::Watch(vec![0]), Reply::ok()),
                operation(0, 20, 90, block(), first),
                operation(1, 20, 90, block(), second),
            ]
        };
        let done = |number| Reply::Array(vec![Reply::Integer(number)]);
        assert!(accepts(&history(done(1), Reply::NilArray)));
        assert!(!accepts(&history(done(1), done(2))));
        assert!(!accepts(&history(Reply::NilArray, Reply::NilArray)));
    }

    #[test]
    fn a_key_may_vanish_at_its_time_and_stays_gone() {
        let expiry = (START / MS) + 50;
        let at = |ms: u64| ms * MS;
        let born = plain(0, 0, 1, Command::SetUntil(0, "a".into(), expiry), Reply::ok());
        let read = |client, ms, reply| plain(client, at(ms), at(ms) + 1, Command::Get(0), reply);
        let alive = || Reply::bulk("a");
        assert!(accepts(&[born.clone(), read(1, 10, alive()), read(1, 60, Reply::NilBulk)]));
        assert!(!accepts(&[born.clone(), read(1, 10, Reply::NilBulk)]), "gone before its time");
        assert!(accepts(&[born.clone(), read(1, 55, alive())]), "the server's clock may be a little behind");
        assert!(!accepts(&[born.clone(), read(1, 200, alive())]), "there long after its time");
        assert!(!accepts(&[born, read(1, 55, Reply::NilBulk), read(2, 57, alive())]), "back again");
    }

    #[test]
    fn commands_of_a_pipeline_keep_their_order_where_it_is_promised() {
        let mut history =
            [plain(0, 0, 100, set(0, "a"), Reply::ok()), plain(0, 0, 100, Command::Get(0), Reply::NilBulk)];
        assert!(accepts(&history), "concurrent without a promise");
        history[1].after = vec![0];
        assert!(!accepts(&history));
    }

    #[test]
    fn a_refusal_names_what_could_be_ordered() {
        let history = [
            plain(0, 0, 10, set(0, "a"), Reply::ok()),
            plain(1, 20, 30, Command::Get(0), Reply::bulk("nobody wrote this")),
        ];
        assert_eq!(check(&history, &State::new(1, 2)), Verdict::Refused(vec![0]));
    }
}
