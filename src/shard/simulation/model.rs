//! What the shards together must behave like: a few keys in one place, one command after another.
//!
//! Keys are numbers here; [`Keys`] knows their names and owners. Written from the documentation of the commands,
//! not from the handlers, but for one thing: which keys a command looks at, since that is when expired ones go.

use crate::base::slot::{ShardId, SlotMap};

/// A key, by its place in [`Keys::names`].
pub type Key = usize;

/// The keys of a history.
pub struct Keys {
    /// Their names.
    pub names: Vec<Vec<u8>>,
    /// Their shards.
    pub owners: Vec<ShardId>,
}

impl Keys {
    /// So many keys, spread over the shards in turn.
    pub fn new(slots: &SlotMap, count: usize) -> Self {
        let mut keys = Self { names: Vec::new(), owners: Vec::new() };
        for index in 0..count {
            let owner = index % slots.shards();
            let name = (0..).map(|number| format!("{}{number}", (b'a' + index as u8) as char).into_bytes());
            let mut own = name.filter(|name| slots.owner_of_key(name) == owner);
            keys.names.extend(own.next());
            keys.owners.push(owner);
        }
        keys
    }

    fn find(&self, name: &[u8]) -> Key {
        self.names.iter().position(|known| known == name).expect("a known key")
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
    Size,
    Flush,
}

impl Action {
    /// The command's arguments, its name first.
    pub fn words(&self, keys: &Keys) -> Vec<Vec<u8>> {
        let number = |at: &i64| at.to_string().into_bytes();
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
            Self::Copy(from, to, false) => ("COPY", vec![name(from), name(to)]),
            Self::Copy(from, to, true) => ("COPY", vec![name(from), name(to), b"REPLACE".to_vec()]),
            Self::Size => ("DBSIZE", Vec::new()),
            Self::Flush => ("FLUSHALL", Vec::new()),
        };
        std::iter::once(command.as_bytes().to_vec()).chain(rest).collect()
    }

    /// The command that a replica reads; `None` for what is none of a dataset.
    pub fn parse(words: &[&[u8]], keys: &Keys) -> Option<Self> {
        let key = |at: usize| keys.find(words[at]);
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
            b"COPY" => Self::Copy(key(1), key(2), words.len() > 3),
            b"FLUSHALL" => Self::Flush,
            _ => return None,
        })
    }

    /// The keys it names; none for one about all keys.
    pub fn keys(&self) -> Vec<Key> {
        match self {
            Self::Get(key) | Self::Set(key, ..) | Self::Incr(key) | Self::Append(key, _) => vec![*key],
            Self::Expire(key, _) | Self::Persist(key) => vec![*key],
            Self::Delete(keys) | Self::GetAll(keys) => keys.clone(),
            Self::SetAll(pairs) | Self::SetAllNew(pairs) => pairs.iter().map(|&(key, _)| key).collect(),
            Self::Rename(from, to) | Self::Copy(from, to, _) => vec![*from, *to],
            Self::Size | Self::Flush => Vec::new(),
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
        Self { entries: vec![None; keys], expired: vec![false; keys], watches: vec![Vec::new(); clients] }
    }

    /// Runs a command at a time and returns its reply; where there are several right ones, `told` if it is among them.
    pub fn run(&mut self, keys: &Keys, action: &Action, now: i64, told: &[u8]) -> Vec<u8> {
        if action.is_gathered(keys) {
            action.keys().into_iter().for_each(|key| drop(self.look_up(key, now)));
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
            Action::Size => {
                let present = self.entries.iter().flatten().count();
                let ghosts = self.expired.iter().filter(|expired| **expired).count();
                let right = |count: &usize| integer(*count as i64) == told;
                integer((present..=present + ghosts).find(right).unwrap_or(present) as i64)
            }
            Action::Flush => {
                for key in 0..self.entries.len() {
                    if self.entries[key].is_some() {
                        self.change(key, None);
                    }
                }
                OK.to_vec()
            }
        }
    }

    /// Removes a key whose time has come; false when it has not.
    pub fn expire(&mut self, key: Key, now: i64) -> bool {
        let is_due = matches!(&self.entries[key], Some((_, Some(at))) if now > *at);
        if is_due {
            self.change(key, None);
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

    fn change(&mut self, key: Key, entry: Stored) {
        self.entries[key] = entry;
        self.expired[key] = false;
        let watches = self.watches.iter_mut().flatten();
        watches.filter(|(watched, _)| *watched == key).for_each(|(_, changed)| *changed = true);
    }
}

/// What a replica holds after a stream. `Err` says what is wrong with the stream.
pub fn replay(keys: &Keys, stream: &[u8]) -> Result<Vec<Stored>, String> {
    let mut state = State::new(keys.names.len(), 0);
    let mut in_block = false;
    let mut rest = stream;
    while !rest.is_empty() {
        let (command, after) = crate::resp::skim::split_first(rest);
        rest = after;
        let words: Vec<&[u8]> = crate::resp::skim::elements(command).map(bulk).collect();
        match (words[0], in_block) {
            (b"MULTI", false) => in_block = true,
            (b"EXEC", true) => in_block = false,
            (b"SELECT", _) => {}
            _ => match Action::parse(&words, keys) {
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
