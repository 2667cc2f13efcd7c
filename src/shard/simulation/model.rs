//! What the shards together must behave like: a few keys in one place, one command after another.
//!
//! Keys are numbers here; [`Keys`] knows their names, databases and owners. Written from the documentation of the commands,
//! not from the handlers, but for one thing: which keys a command looks at, since that is when expired ones go.

use crate::base::slot::{ShardId, SlotMap};

/// A key, by its place in [`Keys::names`].
pub type Key = usize;

/// The keys of a history: the same names in each database, one database after the other.
pub struct Keys {
    /// Their names.
    pub names: Vec<Vec<u8>>,
    /// Their shards.
    pub owners: Vec<ShardId>,
    /// Their databases.
    pub databases: Vec<u32>,
    /// Number of names.
    count: usize,
}

impl Keys {
    /// So many names, spread over the shards in turn.
    pub fn new(slots: &SlotMap, count: usize, databases: u32) -> Self {
        let mut keys = Self { names: Vec::new(), owners: Vec::new(), databases: Vec::new(), count };
        for database in 0..databases {
            for index in 0..count {
                let owner = index % slots.shards();
                let names =
                    (0..).map(|number| format!("{}{number}", (b'a' + index as u8) as char).into_bytes());
                let mut own = names.filter(|name| slots.owner_of_key(name) == owner);
                keys.names.extend(own.next());
                keys.owners.push(owner);
                keys.databases.push(database);
            }
        }
        keys
    }

    /// Number of keys.
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Number of databases.
    pub fn database_count(&self) -> u32 {
        (self.len() / self.count) as u32
    }

    /// The key of the same name in a database.
    pub fn in_database(&self, key: Key, database: u32) -> Key {
        database as usize * self.count + key % self.count
    }

    /// A key by its database and name.
    pub fn find(&self, database: u32, name: &[u8]) -> Key {
        let name = self.names.iter().position(|known| known == name).expect("a known key");
        self.in_database(name, database)
    }

    fn of_database(&self, database: u32) -> impl Iterator<Item = Key> {
        (0..self.len()).filter(move |&key| self.databases[key] == database)
    }
}

/// A command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Get(Key),
    Set(Key, Vec<u8>, Option<i64>),
    Incr(Key),
    Append(Key, Vec<u8>),
    Expire(Key, i64),
    Persist(Key),
    Delete(Vec<Key>),
    GetAll(Vec<Key>),
    SetAll(Vec<(Key, Vec<u8>)>),
    SetAllNew(Vec<(Key, Vec<u8>)>),
    Rename(Key, Key),
    Copy(Key, Key, bool),
    Move(Key, u32),
    Size(u32),
    Flush(Option<u32>),
    Swap(u32, u32),
}

impl Action {
    /// The command's arguments, its name first.
    pub fn words(&self, keys: &Keys) -> Vec<Vec<u8>> {
        let number = |at: &i64| at.to_string().into_bytes();
        let index = |database: u32| number(&i64::from(database));
        let name = |key: &Key| keys.names[*key].clone();
        let pairs = |pairs: &[(Key, Vec<u8>)]| {
            pairs.iter().flat_map(|(key, value)| [name(key), value.clone()]).collect::<Vec<_>>()
        };
        let (command, rest) = match self {
            Self::Get(key) => ("GET", vec![name(key)]),
            Self::Set(key, value, None) => ("SET", vec![name(key), value.clone()]),
            Self::Set(key, value, Some(at)) => {
                ("SET", vec![name(key), value.clone(), b"PXAT".to_vec(), number(at)])
            }
            Self::Incr(key) => ("INCR", vec![name(key)]),
            Self::Append(key, tail) => ("APPEND", vec![name(key), tail.clone()]),
            Self::Expire(key, at) => ("PEXPIREAT", vec![name(key), number(at)]),
            Self::Persist(key) => ("PERSIST", vec![name(key)]),
            Self::Delete(all) => ("DEL", all.iter().map(name).collect()),
            Self::GetAll(all) => ("MGET", all.iter().map(name).collect()),
            Self::SetAll(all) => ("MSET", pairs(all)),
            Self::SetAllNew(all) => ("MSETNX", pairs(all)),
            Self::Rename(from, to) => ("RENAME", vec![name(from), name(to)]),
            Self::Copy(from, to, replace) => {
                let mut words = vec![name(from), name(to)];
                if keys.databases[*from] != keys.databases[*to] {
                    words.extend([b"DB".to_vec(), index(keys.databases[*to])]);
                }
                words.extend(replace.then(|| b"REPLACE".to_vec()));
                ("COPY", words)
            }
            Self::Move(key, to) => ("MOVE", vec![name(key), index(*to)]),
            Self::Size(_) => ("DBSIZE", Vec::new()),
            Self::Flush(None) => ("FLUSHALL", Vec::new()),
            Self::Flush(Some(_)) => ("FLUSHDB", Vec::new()),
            Self::Swap(one, other) => ("SWAPDB", vec![index(*one), index(*other)]),
        };
        std::iter::once(command.as_bytes().to_vec()).chain(rest).collect()
    }

    /// The database in which it is sent.
    pub fn database(&self, keys: &Keys) -> u32 {
        match self {
            Self::Size(database) | Self::Flush(Some(database)) => *database,
            _ => self.keys().first().map_or(0, |&key| keys.databases[key]),
        }
    }

    /// The command that a replica reads in a database; `None` for what is none of a dataset.
    pub fn parse(words: &[&[u8]], keys: &Keys, database: u32) -> Option<Self> {
        let key = |at: usize| keys.find(database, words[at]);
        let value = |at: usize| words[at].to_vec();
        let number = |at: usize| std::str::from_utf8(words[at]).unwrap().parse::<i64>().unwrap();
        let all = || (1..words.len()).map(key).collect();
        let pairs = || (1..words.len()).step_by(2).map(|at| (key(at), value(at + 1))).collect();
        Some(match words[0] {
            b"SET" if words.len() == 3 => Self::Set(key(1), value(2), None),
            b"SET" => Self::Set(key(1), value(2), Some(number(4))),
            b"INCR" => Self::Incr(key(1)),
            b"APPEND" => Self::Append(key(1), value(2)),
            b"PEXPIREAT" => Self::Expire(key(1), number(2)),
            b"PERSIST" => Self::Persist(key(1)),
            b"DEL" => Self::Delete(all()),
            b"MSET" => Self::SetAll(pairs()),
            b"MSETNX" => Self::SetAllNew(pairs()),
            b"RENAME" => Self::Rename(key(1), key(2)),
            b"COPY" => {
                let other = words.iter().position(|word| *word == b"DB").map(|at| number(at + 1) as u32);
                let to = keys.find(other.unwrap_or(database), words[2]);
                Self::Copy(key(1), to, words.last() == Some(&b"REPLACE".as_slice()))
            }
            b"MOVE" => Self::Move(key(1), number(2) as u32),
            b"FLUSHALL" => Self::Flush(None),
            b"FLUSHDB" => Self::Flush(Some(database)),
            b"SWAPDB" => Self::Swap(number(1) as u32, number(2) as u32),
            _ => return None,
        })
    }

    /// The keys it names; none for one about all keys.
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Self::Get(key) | Self::Set(key, ..) | Self::Incr(key) | Self::Append(key, _) => vec![*key],
            Self::Expire(key, _) | Self::Persist(key) | Self::Move(key, _) => vec![*key],
            Self::Delete(keys) | Self::GetAll(keys) => keys.clone(),
            Self::SetAll(pairs) | Self::SetAllNew(pairs) => pairs.iter().map(|&(key, _)| key).collect(),
            Self::Rename(from, to) | Self::Copy(from, to, _) => vec![*from, *to],
            Self::Size(_) | Self::Flush(_) | Self::Swap(..) => Vec::new(),
        }
    }

    /// Whether all its entries are brought to one place, where all that have expired go first.
    fn is_gathered(&self, keys: &Keys) -> bool {
        let named = self.keys();
        matches!(self, Self::SetAllNew(_) | Self::Rename(..) | Self::Copy(..))
            && named.iter().any(|&key| keys.owners[key] != keys.owners[named[0]])
    }
}

/// A value and its deadline.
pub type Stored = Option<(Vec<u8>, Option<i64>)>;

/// The dataset, and what each client watches: the key, and whether it has changed since.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct State {
    /// The entry of each key.
    pub entries: Vec<Stored>,
    /// Keys whose time had come when they were last looked at. A barrier that only reads counts such a key while
    /// another reader removes it.
    expired: Vec<bool>,
    /// Keys that came by SWAPDB with their time over: watchers never saw them, so that they go is no change.
    unseen: Vec<bool>,
    /// What was stored when the effects were switched on or off.
    pub cut: Option<Vec<Stored>>,
    watches: Vec<Vec<(Key, bool)>>,
}

const OK: &[u8] = b"+OK\r\n";
const NULL: &[u8] = b"$-1\r\n";
const NOT_AN_INTEGER: &[u8] = b"-ERR value is not an integer or out of range\r\n";

fn integer(value: i64) -> Vec<u8> {
    format!(":{value}\r\n").into_bytes()
}

impl State {
    /// Nothing stored, nothing watched.
    pub fn new(keys: usize, clients: usize) -> Self {
        let (entries, expired, unseen) = (vec![None; keys], vec![false; keys], vec![false; keys]);
        Self { entries, expired, unseen, cut: None, watches: vec![Vec::new(); clients] }
    }

    /// Runs a command at a time and returns its reply; where there are several right ones, `told` if it is among them.
    pub fn run(&mut self, keys: &Keys, action: &Action, now: i64, told: &[u8]) -> Vec<u8> {
        if action.is_gathered(keys) {
            let named = action.keys();
            for database in named.iter().map(|&key| keys.databases[key]) {
                for &key in &named {
                    self.expire(keys.in_database(key, database), now);
                }
            }
        }
        match action {
            Action::Get(key) => self.get(*key, now),
            Action::Set(key, value, at) => self.store(*key, value.clone(), *at),
            Action::Incr(key) => self.incr(*key, now),
            Action::Append(key, tail) => {
                let (mut value, at) = self.look_up(*key, now).unwrap_or_default();
                value.extend_from_slice(tail);
                let length = value.len() as i64;
                self.store(*key, value, at);
                integer(length)
            }
            Action::Expire(key, at) => {
                let Some((value, _)) = self.look_up(*key, now) else { return integer(0) };
                self.change(*key, (*at > now).then_some((value, Some(*at))));
                integer(1)
            }
            Action::Persist(key) => {
                let Some((value, Some(_))) = self.look_up(*key, now) else { return integer(0) };
                self.store(*key, value, None);
                integer(1)
            }
            Action::Delete(all) => {
                let mut removed = 0;
                for &key in all {
                    if self.look_up(key, now).is_some() {
                        self.change(key, None);
                        removed += 1;
                    }
                }
                integer(removed)
            }
            Action::GetAll(all) => {
                let replies = all.iter().flat_map(|&key| self.get(key, now)).collect::<Vec<u8>>();
                [format!("*{}\r\n", all.len()).into_bytes(), replies].concat()
            }
            Action::SetAll(pairs) => self.store_all(pairs),
            Action::SetAllNew(pairs) => {
                if pairs.iter().any(|&(key, _)| self.look_up(key, now).is_some()) {
                    return integer(0);
                }
                self.store_all(pairs);
                integer(1)
            }
            Action::Rename(from, to) => self.rename(*from, *to, now),
            Action::Copy(from, to, replace) => self.copy(*from, *to, *replace, now),
            Action::Move(key, to) => self.give_away(*key, keys.in_database(*key, *to), now),
            Action::Size(database) => {
                let present = keys.of_database(*database).filter(|&key| self.entries[key].is_some()).count();
                let ghosts = keys.of_database(*database).filter(|&key| self.expired[key]).count();
                let right = |count: &usize| integer(*count as i64) == told;
                integer((present..=present + ghosts).find(right).unwrap_or(present) as i64)
            }
            Action::Flush(database) => {
                for key in 0..self.entries.len() {
                    let is_meant = database.is_none_or(|database| keys.databases[key] == database);
                    if is_meant && self.entries[key].is_some() {
                        self.change(key, None);
                    }
                }
                OK.to_vec()
            }
            Action::Swap(one, other) => {
                for key in keys.of_database(*one) {
                    self.swap(key, keys.in_database(key, *other), now);
                }
                OK.to_vec()
            }
        }
    }

    /// Whether a key is there whose time has come.
    pub fn is_due(&self, key: Key, now: i64) -> bool {
        matches!(&self.entries[key], Some((_, Some(at))) if now > *at)
    }

    /// Removes a key whose time has come; false when it has not.
    pub fn expire(&mut self, key: Key, now: i64) -> bool {
        let is_due = self.is_due(key, now);
        if is_due {
            if self.unseen[key] {
                self.put(key, None);
            } else {
                self.change(key, None);
            }
            self.expired[key] = true;
        }
        is_due
    }

    /// WATCH.
    pub fn watch(&mut self, client: usize, watched: &[Key], now: i64) {
        for &key in watched {
            self.expire(key, now);
            self.watches[client].push((key, false));
        }
    }

    /// UNWATCH, and what EXEC begins with: whether all watched keys are as they were. Each shard looks at its keys in
    /// the order of WATCH up to the first that has changed.
    pub fn end_watches(&mut self, keys: &Keys, client: usize, now: Option<i64>) -> bool {
        let mut holds = true;
        for shard in 0..=keys.owners.iter().copied().max().unwrap_or(0) {
            for index in 0..self.watches[client].len() {
                let key = self.watches[client][index].0;
                if keys.owners[key] != shard {
                    continue;
                }
                if let Some(now) = now {
                    self.expire(key, now);
                }
                if self.watches[client][index].1 {
                    holds = false;
                    break;
                }
            }
        }
        self.watches[client].clear();
        holds
    }

    fn look_up(&mut self, key: Key, now: i64) -> Stored {
        self.expire(key, now);
        self.entries[key].clone()
    }

    fn get(&mut self, key: Key, now: i64) -> Vec<u8> {
        match self.look_up(key, now) {
            None => NULL.to_vec(),
            Some((value, _)) => [format!("${}\r\n", value.len()).as_bytes(), &value, b"\r\n"].concat(),
        }
    }

    fn incr(&mut self, key: Key, now: i64) -> Vec<u8> {
        let (value, at) = self.look_up(key, now).unwrap_or((b"0".to_vec(), None));
        let text = String::from_utf8(value).unwrap_or_default();
        match text.parse::<i64>() {
            Ok(number) if number.to_string() == text => {
                self.store(key, (number + 1).to_string().into_bytes(), at);
                integer(number + 1)
            }
            _ => NOT_AN_INTEGER.to_vec(),
        }
    }

    fn rename(&mut self, from: Key, to: Key, now: i64) -> Vec<u8> {
        let Some(entry) = self.look_up(from, now) else { return b"-ERR no such key\r\n".to_vec() };
        if from != to {
            self.expire(to, now);
            self.change(from, None);
            self.change(to, Some(entry));
        }
        OK.to_vec()
    }

    fn copy(&mut self, from: Key, to: Key, replace: bool, now: i64) -> Vec<u8> {
        if from == to {
            return b"-ERR source and destination objects are the same\r\n".to_vec();
        }
        let Some(entry) = self.look_up(from, now) else { return integer(0) };
        if self.look_up(to, now).is_some() && !replace {
            return integer(0);
        }
        self.change(to, Some(entry));
        integer(1)
    }

    fn give_away(&mut self, from: Key, to: Key, now: i64) -> Vec<u8> {
        let Some(entry) = self.look_up(from, now) else { return integer(0) };
        if self.look_up(to, now).is_some() {
            return integer(0);
        }
        self.change(from, None);
        self.change(to, Some(entry));
        integer(1)
    }

    /// One name of two databases that change places. To a watcher nothing changes where nothing was and nothing comes.
    fn swap(&mut self, one: Key, other: Key, now: i64) {
        let is_alive = |entry: &Stored| matches!(entry, Some((_, at)) if at.is_none_or(|at| now <= at));
        let (here, there) = (self.entries[one].clone(), self.entries[other].clone());
        let changed = [here.is_some() || is_alive(&there), there.is_some() || is_alive(&here)];
        let expired = [self.expired[other], self.expired[one]];
        for (key, entry, changed) in [(one, there, changed[0]), (other, here, changed[1])] {
            if changed {
                self.change(key, entry);
            } else {
                let is_unseen = entry.is_some();
                self.put(key, entry);
                self.unseen[key] = is_unseen;
            }
        }
        (self.expired[one], self.expired[other]) = (expired[0], expired[1]);
    }

    fn store_all(&mut self, pairs: &[(Key, Vec<u8>)]) -> Vec<u8> {
        for (key, value) in pairs {
            self.change(*key, Some((value.clone(), None)));
        }
        OK.to_vec()
    }

    fn store(&mut self, key: Key, value: Vec<u8>, at: Option<i64>) -> Vec<u8> {
        self.change(key, Some((value, at)));
        OK.to_vec()
    }

    fn put(&mut self, key: Key, entry: Stored) {
        self.entries[key] = entry;
        self.expired[key] = false;
        self.unseen[key] = false;
    }

    fn change(&mut self, key: Key, entry: Stored) {
        self.put(key, entry);
        let watches = self.watches.iter_mut().flatten();
        watches.filter(|(watched, _)| *watched == key).for_each(|(_, changed)| *changed = true);
    }
}

/// What a replica that held `start` holds after a stream. `Err` says what is wrong with the stream.
pub fn replay(keys: &Keys, start: &[Stored], stream: &[u8]) -> Result<Vec<Stored>, String> {
    let mut state = State { entries: start.to_vec(), ..State::new(keys.len(), 0) };
    let mut in_block = false;
    let mut database = 0;
    let mut rest = stream;
    while !rest.is_empty() {
        let (command, after) = crate::resp::skim::split_first(rest);
        rest = after;
        let words: Vec<&[u8]> = crate::resp::skim::elements(command).map(bulk).collect();
        match (words[0], in_block) {
            (b"MULTI", false) => in_block = true,
            (b"EXEC", true) => in_block = false,
            (b"SELECT", _) => database = u32::from(words[1][0] - b'0'),
            _ => match Action::parse(&words, keys, database) {
                // A replica never expires a key by itself.
                Some(action) => drop(state.run(keys, &action, i64::MIN, &[])),
                None => return Err(format!("unexpected {}", String::from_utf8_lossy(command))),
            },
        }
    }
    if in_block { Err("a block has no end".into()) } else { Ok(state.entries) }
}

/// The bytes of an encoded bulk string.
fn bulk(encoded: &[u8]) -> &[u8] {
    let start = encoded.iter().position(|&byte| byte == b'\n').map_or(0, |at| at + 1);
    &encoded[start..encoded.len() - 2]
}
