//! What the clients of a history do: its flavour, drawn once, and their operations, drawn one by one.

use rand::Rng;
use rand::rngs::SmallRng;

use super::model::{Action, Key, Keys};
use super::search::Deed;

/// The flavour of a history.
pub struct Workload {
    /// Number of clients.
    pub clients: usize,
    /// Whether clients send without waiting for replies.
    pub pipelines: bool,
    /// Whether keys get deadlines and the expire cycle runs.
    pub expires: bool,
    /// Whether memory is short now and then, so that keys are evicted.
    pub evicts: bool,
    /// Whether effects are switched on or off in the midst of the history.
    pub switch: Option<bool>,
    /// How likely an executor with nothing to do goes to sleep.
    pub sleepiness: f64,
    /// Wall clock at the beginning.
    pub start: i64,
    /// Operations that are still to come, without those that end watches.
    left: usize,
    /// Whether what is switched is not the collection of effects: a snapshot is cut.
    pub cuts: bool,
    /// Switches that are still to come.
    switches: usize,
    /// What each client is about.
    moods: Vec<Mood>,
    /// Whether there are neither blocks nor watches.
    is_simple: bool,
    /// Whether all commands have several keys, in pipelines.
    is_wide: bool,
    /// Whether all clients are at home on one shard.
    pub is_crowded: bool,
    /// How likely a barrier is.
    barriers: f64,
    /// Whether it is about queues and those who wait for them.
    pub waits: bool,
    /// Number of elements that were pushed.
    pushed: usize,
}

/// Where a client stands between WATCH and EXEC.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mood {
    Free,
    Watching,
}

impl Workload {
    /// Draws a flavour.
    pub fn draw(rng: &mut SmallRng) -> Self {
        let clients = rng.random_range(2..=4);
        let kind: u32 = rng.random_range(0..10);
        let is_wide = rng.random_bool(0.3);
        Self {
            clients,
            is_wide,
            is_crowded: rng.random_bool(0.3),
            pipelines: is_wide || rng.random_bool(0.5),
            expires: rng.random_bool(0.4),
            evicts: kind == 0,
            switch: (1..=2).contains(&kind).then_some(kind == 1),
            sleepiness: [0.02, 0.3, 0.9][rng.random_range(0..3)],
            start: 1_700_000_000_000,
            cuts: false,
            switches: usize::from((1..=2).contains(&kind)),
            left: rng.random_range(6..=12),
            is_simple: rng.random_bool(if is_wide { 0.7 } else { 0.2 }),
            moods: vec![Mood::Free; clients],
            barriers: if rng.random_bool(0.5) { 0.15 } else { 0.0 },
            waits: false,
            pushed: 0,
        }
    }

    /// Draws a flavour with a cut.
    pub fn draw_cut(rng: &mut SmallRng) -> Self {
        Self { evicts: false, switch: Some(true), switches: 1, cuts: true, ..Self::draw(rng) }
    }

    /// Draws a flavour about queues.
    pub fn draw_queues(rng: &mut SmallRng) -> Self {
        let clients = rng.random_range(3..=6);
        let left = rng.random_range(8..=24);
        let (expires, evicts, switch, switches) = (false, false, None, 0);
        let moods = vec![Mood::Free; clients];
        let base = Self::draw(rng);
        Self {
            clients,
            left,
            expires,
            evicts,
            switch,
            switches,
            moods,
            pipelines: false,
            waits: true,
            ..base
        }
    }

    fn queue(&mut self, rng: &mut SmallRng, keys: &Keys) -> Deed {
        let name = |rng: &mut SmallRng| keys.names[one(rng, keys)].clone();
        let mut push = |rng: &mut SmallRng| {
            self.pushed += 1;
            vec![b"RPUSH".to_vec(), name(rng), (self.pushed - 1).to_string().into_bytes()]
        };
        Deed::Queue(match rng.random_range(0..100) {
            0..30 => vec![push(rng)],
            30..42 => vec![push(rng), push(rng)],
            42..70 => {
                let mut names: Vec<_> = (0..rng.random_range(1..=3)).map(|_| name(rng)).collect();
                names.sort_unstable();
                names.dedup();
                if rng.random_bool(0.5) {
                    names.reverse();
                }
                let words = [vec![b"BLPOP".to_vec()], names, vec![b"0".to_vec()]];
                vec![words.concat()]
            }
            70..82 => {
                let words = [b"BLMOVE".to_vec(), name(rng), name(rng)];
                let rest = [b"LEFT".to_vec(), b"RIGHT".to_vec(), b"0".to_vec()];
                vec![words.into_iter().chain(rest).collect()]
            }
            _ => vec![vec![b"LPOP".to_vec(), name(rng)]],
        })
    }

    /// Whether nothing is to come.
    pub fn is_over(&self) -> bool {
        self.left == 0 && self.switches == 0 && self.moods.iter().all(|mood| *mood == Mood::Free)
    }

    /// The next operation of a client.
    pub fn next(&mut self, rng: &mut SmallRng, keys: &Keys, now: i64, client: usize) -> Option<Deed> {
        if let Some(on) = self.switch
            && self.switches > 0
            && (self.left == 0 || rng.random_bool(0.2))
        {
            self.switches -= 1;
            return Some(Deed::Switch(on));
        }
        if self.left == 0 && self.waits {
            return None;
        }
        if self.left == 0 {
            // Whoever still watches stops.
            return (std::mem::replace(&mut self.moods[client], Mood::Free) == Mood::Watching)
                .then_some(Deed::Unwatch);
        }
        self.left -= 1;
        if self.waits {
            return Some(self.queue(rng, keys));
        }
        let mood = self.moods[client];
        let deed = match rng.random_range(0..100) {
            _ if self.is_simple => Deed::Single(self.action(rng, keys, now)),
            0..15 => Deed::Watch(several(rng, keys)),
            15..50 if mood == Mood::Watching => self.block(rng, keys, now),
            15..30 => self.block(rng, keys, now),
            30..33 => Deed::Unwatch,
            _ => Deed::Single(self.action(rng, keys, now)),
        };
        match deed {
            Deed::Watch(_) => self.moods[client] = Mood::Watching,
            Deed::Block(_) | Deed::Unwatch => self.moods[client] = Mood::Free,
            _ => {}
        }
        Some(deed)
    }

    fn block(&self, rng: &mut SmallRng, keys: &Keys, now: i64) -> Deed {
        let count = rng.random_range(0..=3);
        Deed::Block((0..count).map(|_| self.action(rng, keys, now)).collect())
    }

    fn action(&self, rng: &mut SmallRng, keys: &Keys, now: i64) -> Action {
        if rng.random_bool(self.barriers) {
            return barrier(rng, keys);
        }
        let key = one(rng, keys);
        let (database, other) = (keys.databases[key], any_database(rng, keys));
        let kinds = if self.expires { 19 } else { 15 };
        let kind = if self.is_wide { rng.random_range(6..14) } else { rng.random_range(0..kinds) };
        match kind {
            0 | 1 => Action::Get(key),
            2 => Action::Set(key, value(rng), None),
            3 => Action::Incr(key),
            4 => Action::Append(key, value(rng)),
            5 => Action::Delete(several(rng, keys)),
            6 | 7 => Action::GetAll(several(rng, keys)),
            8 | 9 => Action::SetAll(pairs(rng, keys)),
            10 => Action::SetAllNew(pairs(rng, keys)),
            11 | 12 => Action::Rename(key, keys.in_database(one(rng, keys), database)),
            13 => Action::Copy(key, keys.in_database(one(rng, keys), other), rng.random_bool(0.5)),
            14 if database == other => Action::GetAll(several(rng, keys)),
            14 => Action::Move(key, other),
            15 => Action::Persist(key),
            16 => Action::Set(key, value(rng), Some(deadline(rng, now))),
            _ => Action::Expire(key, deadline(rng, now)),
        }
    }
}

fn barrier(rng: &mut SmallRng, keys: &Keys) -> Action {
    let (one, other) = (any_database(rng, keys), any_database(rng, keys));
    match rng.random_range(0..10) {
        0..6 => Action::Size(one),
        6 => Action::Flush(Some(one)),
        7 if one != other => Action::Swap(one, other),
        _ => Action::Flush(None),
    }
}

fn any_database(rng: &mut SmallRng, keys: &Keys) -> u32 {
    rng.random_range(0..keys.database_count())
}

fn one(rng: &mut SmallRng, keys: &Keys) -> Key {
    rng.random_range(0..keys.len())
}

fn value(rng: &mut SmallRng) -> Vec<u8> {
    vec![b"123xy"[rng.random_range(0..5)]]
}

fn deadline(rng: &mut SmallRng, now: i64) -> i64 {
    now + [-1, 0, 1, 1, 2, 3][rng.random_range(0..6)]
}

/// Up to three keys of one database.
fn several(rng: &mut SmallRng, keys: &Keys) -> Vec<Key> {
    let (count, database) = (rng.random_range(1..=3), any_database(rng, keys));
    (0..count).map(|_| keys.in_database(one(rng, keys), database)).collect()
}

fn pairs(rng: &mut SmallRng, keys: &Keys) -> Vec<(Key, Vec<u8>)> {
    several(rng, keys).into_iter().map(|key| (key, value(rng))).collect()
}
