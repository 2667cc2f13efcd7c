//! What a correct server may answer: a tiny sequential store of a few string keys with watches and
//! expiry. It knows nothing of shards, threads or time beyond the intervals of the operations.

use super::common::Reply;

/// How far behind the true time a server's clock may be: it reads it once per tick, and the machine may be
/// busy meanwhile. Within this, a key whose time has passed may still be there.
const CLOCK_BEHIND_NS: u64 = 100_000_000;
/// How far ahead of ours the server's clock may be, rounding included.
const CLOCK_AHEAD_NS: u64 = 2_000_000;

/// An index into a group's keys.
pub type Key = usize;

/// A command on the keys of one group.
#[derive(Clone, Debug)]
pub enum Command {
    Get(Key),
    Set(Key, String),
    SetIfAbsent(Key, String),
    SetAndGet(Key, String),
    /// With the time of expiry in Unix milliseconds.
    SetUntil(Key, String, u64),
    Increment(Key),
    Append(Key, String),
    GetAndDelete(Key),
    Delete(Vec<Key>),
    Exists(Vec<Key>),
    GetMany(Vec<Key>),
    /// All keys, by a pattern: a SORT of the list that names their tags.
    LookUp(Vec<Key>),
    SetMany(Vec<(Key, String)>),
    SetManyIfAbsent(Vec<(Key, String)>),
    Rename(Key, Key),
    RenameIfAbsent(Key, Key),
    Copy(Key, Key),
    CopyOver(Key, Key),
    ExpireAt(Key, u64),
    Persist(Key),
    ExpireTime(Key),
    /// KEYS with the group's pattern; its reply counts as a number with one bit for each key.
    Keys,
    /// Counts the keys of the whole server, so it suits histories with one group.
    Count,
    /// Removes the keys of the whole server, so it suits histories with one group.
    Flush,
}

/// What one operation does, all of it at one instant.
#[derive(Clone, Debug)]
pub enum Action {
    /// One command by itself.
    Plain(Command),
    /// WATCH.
    Watch(Vec<Key>),
    /// MULTI, the commands, EXEC.
    Transaction(Vec<Command>),
    /// MULTI and DISCARD, or UNWATCH.
    Unwatch,
}

/// One operation of a history: who, when, what, and what came back.
#[derive(Clone, Debug)]
pub struct Operation {
    /// Index of the client.
    pub client: usize,
    /// Before its first byte was sent, on a clock common to all clients, in nanoseconds since the Unix epoch.
    pub invoked_ns: u64,
    /// After its reply was read, on the same clock.
    pub returned_ns: u64,
    /// What it does.
    pub action: Action,
    /// What came back.
    pub reply: Reply,
    /// Operations of the history, by index, that the connection's order puts before this one.
    pub after: Vec<usize>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
struct Entry {
    value: String,
    expires_ms: Option<u64>,
}

/// The store: values, and what each client watches.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub struct State {
    entries: Vec<Option<Entry>>,
    /// One bit for each key, for each client.
    watched: Vec<u8>,
    /// One bit for each client: something it watches was modified.
    dirty: u16,
}

/// The list of the tags of these keys.
pub fn list_of(names: &[String]) -> String {
    format!("list:{}:tags", names[0].rsplit_once('}').map_or("", |(_, rest)| rest))
}

/// The names of all of them, with a star for the tag.
fn names_of_tags(names: &[String]) -> String {
    format!("{{*}}{}", names[0].rsplit_once('}').map_or("", |(_, rest)| rest))
}

impl Command {
    /// The keys it touches, one bit each; all bits for those that touch whatever is there.
    pub fn keys(&self) -> u8 {
        let bits = |keys: &mut dyn Iterator<Item = Key>| keys.fold(0, |bits, key| bits | 1 << key);
        match self {
            Self::Get(key)
            | Self::Set(key, _)
            | Self::SetIfAbsent(key, _)
            | Self::SetAndGet(key, _)
            | Self::SetUntil(key, ..)
            | Self::Increment(key)
            | Self::Append(key, _)
            | Self::GetAndDelete(key)
            | Self::ExpireAt(key, _)
            | Self::Persist(key)
            | Self::ExpireTime(key) => 1 << key,
            Self::Delete(keys) | Self::Exists(keys) | Self::GetMany(keys) | Self::LookUp(keys) => {
                bits(&mut keys.iter().copied())
            }
            Self::SetMany(pairs) | Self::SetManyIfAbsent(pairs) => bits(&mut pairs.iter().map(|pair| pair.0)),
            Self::Rename(from, to)
            | Self::RenameIfAbsent(from, to)
            | Self::Copy(from, to)
            | Self::CopyOver(from, to) => 1 << from | 1 << to,
            Self::Keys | Self::Count | Self::Flush => u8::MAX,
        }
    }

    /// The command as words, for keys of these names; `pattern` matches all of them and nothing else.
    pub fn words(&self, names: &[String], pattern: &str) -> Vec<String> {
        let name = |key: &Key| names[*key].clone();
        let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
        let many = |verb: &str, keys: &[Key]| {
            std::iter::once(verb.to_owned()).chain(keys.iter().map(name)).collect::<Vec<_>>()
        };
        let pairs = |verb: &str, pairs: &[(Key, String)]| {
            let flat = pairs.iter().flat_map(|(key, value)| [name(key), value.clone()]);
            std::iter::once(verb.to_owned()).chain(flat).collect::<Vec<_>>()
        };
        match self {
            Self::Get(key) => words(&["GET", &name(key)]),
            Self::Set(key, value) => words(&["SET", &name(key), value]),
            Self::SetIfAbsent(key, value) => words(&["SETNX", &name(key), value]),
            Self::SetAndGet(key, value) => words(&["SET", &name(key), value, "GET"]),
            Self::SetUntil(key, value, ms) => words(&["SET", &name(key), value, "PXAT", &ms.to_string()]),
            Self::Increment(key) => words(&["INCR", &name(key)]),
            Self::Append(key, value) => words(&["APPEND", &name(key), value]),
            Self::GetAndDelete(key) => words(&["GETDEL", &name(key)]),
            Self::Delete(keys) => many("DEL", keys),
            Self::Exists(keys) => many("EXISTS", keys),
            Self::GetMany(keys) => many("MGET", keys),
            Self::LookUp(_) => {
                let (list, pattern) = (list_of(names), names_of_tags(names));
                words(&["SORT_RO", &list, "BY", "nosort", "GET", &pattern])
            }
            Self::SetMany(list) => pairs("MSET", list),
            Self::SetManyIfAbsent(list) => pairs("MSETNX", list),
            Self::Rename(from, to) => words(&["RENAME", &name(from), &name(to)]),
            Self::RenameIfAbsent(from, to) => words(&["RENAMENX", &name(from), &name(to)]),
            Self::Copy(from, to) => words(&["COPY", &name(from), &name(to)]),
            Self::CopyOver(from, to) => words(&["COPY", &name(from), &name(to), "REPLACE"]),
            Self::ExpireAt(key, ms) => words(&["PEXPIREAT", &name(key), &ms.to_string()]),
            Self::Persist(key) => words(&["PERSIST", &name(key)]),
            Self::ExpireTime(key) => words(&["PEXPIRETIME", &name(key)]),
            Self::Keys => words(&["KEYS", pattern]),
            Self::Count => words(&["DBSIZE"]),
            Self::Flush => words(&["FLUSHALL"]),
        }
    }
}

impl Action {
    fn keys(&self) -> u8 {
        match self {
            Self::Plain(command) => command.keys(),
            Self::Watch(keys) => keys.iter().fold(0, |bits, key| bits | 1 << key),
            Self::Transaction(commands) => commands.iter().fold(0, |bits, command| bits | command.keys()),
            Self::Unwatch => 0,
        }
    }

    /// The times of expiry that it sets, in Unix milliseconds.
    fn expiries(&self) -> Vec<u64> {
        let commands = match self {
            Self::Plain(command) => std::slice::from_ref(command),
            Self::Transaction(commands) => commands,
            Self::Watch(_) | Self::Unwatch => &[],
        };
        let sets = |command: &Command| match command {
            Command::SetUntil(_, _, ms) | Command::ExpireAt(_, ms) => Some(*ms),
            _ => None,
        };
        commands.iter().filter_map(sets).collect()
    }
}

impl State {
    /// An empty store.
    pub fn new(keys: usize, clients: usize) -> Self {
        Self { entries: vec![None; keys], watched: vec![0; clients], dirty: 0 }
    }

    /// The states in which an operation may leave the store, taken whole at one instant of its interval and
    /// with the reply it got. More than one where it does not show whether a key had expired.
    pub fn after(&self, operation: &Operation) -> Vec<State> {
        let mut keys = operation.action.keys();
        if matches!(operation.action, Action::Transaction(_)) {
            keys |= self.watched[operation.client];
        }
        let mut states = Vec::new();
        for now_ms in self.instants(operation, keys) {
            let mut state = self.clone();
            let reply = state.act(operation.client, &operation.action, keys, now_ms);
            if reply == operation.reply && !states.contains(&state) {
                states.push(state);
            }
        }
        states
    }

    /// What the server's clock may have shown, in Unix milliseconds: one instant for each set of keys that
    /// may have expired then.
    fn instants(&self, operation: &Operation, keys: u8) -> Vec<u64> {
        let earliest = operation.invoked_ns.saturating_sub(CLOCK_BEHIND_NS) / 1_000_000;
        let latest = (operation.returned_ns + CLOCK_AHEAD_NS) / 1_000_000;
        let present = self.entries.iter().enumerate().filter(|(key, _)| keys >> key & 1 == 1);
        let mut ends: Vec<u64> = present.filter_map(|(_, entry)| entry.as_ref()?.expires_ms).collect();
        ends.extend(operation.action.expiries());
        // In its last millisecond a key is still there, but PEXPIREAT with that time removes it.
        let mut instants: Vec<u64> = ends.iter().flat_map(|end| [*end, end + 1]).collect();
        instants.retain(|instant| (earliest..=latest).contains(instant));
        instants.push(earliest);
        instants.sort_unstable();
        instants.dedup();
        instants
    }

    /// Removes those of the keys whose time has passed.
    fn purge(&mut self, keys: u8, now_ms: u64) {
        for key in (0..self.entries.len()).filter(|key| keys >> key & 1 == 1) {
            let end = self.entries[key].as_ref().and_then(|entry| entry.expires_ms);
            if end.is_some_and(|end| end < now_ms) {
                self.remove(key);
            }
        }
    }

    fn act(&mut self, client: usize, action: &Action, keys: u8, now_ms: u64) -> Reply {
        self.purge(keys, now_ms);
        match action {
            Action::Plain(command) => self.run(command, now_ms),
            Action::Watch(_) => {
                self.watched[client] |= action.keys();
                Reply::ok()
            }
            Action::Unwatch => {
                self.unwatch(client);
                Reply::ok()
            }
            Action::Transaction(commands) => {
                if self.unwatch(client) {
                    return Reply::NilArray;
                }
                let run = |command| {
                    let reply = self.run(command, now_ms);
                    // What was written with a time already past is gone before the next command.
                    self.purge(keys, now_ms);
                    reply
                };
                Reply::Array(commands.iter().map(run).collect())
            }
        }
    }

    /// Forgets a client's watches; gives whether any of them was touched.
    fn unwatch(&mut self, client: usize) -> bool {
        let was_dirty = self.dirty >> client & 1 == 1;
        self.watched[client] = 0;
        self.dirty &= !(1 << client);
        was_dirty
    }

    fn touch(&mut self, key: Key) {
        for (client, watched) in self.watched.iter().enumerate() {
            self.dirty |= u16::from(watched >> key & 1) << client;
        }
    }

    fn put(&mut self, key: Key, value: String, expires_ms: Option<u64>) {
        self.entries[key] = Some(Entry { value, expires_ms });
        self.touch(key);
    }

    fn remove(&mut self, key: Key) -> Option<Entry> {
        let entry = self.entries[key].take()?;
        self.touch(key);
        Some(entry)
    }

    fn value(&self, key: Key) -> Reply {
        self.entries[key].as_ref().map_or(Reply::NilBulk, |entry| Reply::bulk(&entry.value))
    }

    fn exists(&self, key: Key) -> bool {
        self.entries[key].is_some()
    }

    fn run(&mut self, command: &Command, now_ms: u64) -> Reply {
        match command {
            Command::Get(key) => self.value(*key),
            Command::Set(key, value) => {
                self.put(*key, value.clone(), None);
                Reply::ok()
            }
            Command::SetIfAbsent(key, value) => {
                let absent = !self.exists(*key);
                if absent {
                    self.put(*key, value.clone(), None);
                }
                truth(absent)
            }
            Command::SetAndGet(key, value) => {
                let old = self.value(*key);
                self.put(*key, value.clone(), None);
                old
            }
            Command::SetUntil(key, value, ms) => {
                self.put(*key, value.clone(), Some(*ms));
                Reply::ok()
            }
            Command::Increment(key) => self.increment(*key),
            Command::Append(key, value) => self.append(*key, value),
            Command::GetAndDelete(key) => {
                let old = self.value(*key);
                self.remove(*key);
                old
            }
            Command::Delete(keys) => count(keys.iter().filter(|key| self.remove(**key).is_some())),
            Command::Exists(keys) => count(keys.iter().filter(|key| self.exists(**key))),
            Command::GetMany(keys) | Command::LookUp(keys) => {
                Reply::Array(keys.iter().map(|key| self.value(*key)).collect())
            }
            Command::SetMany(pairs) => {
                pairs.iter().for_each(|(key, value)| self.put(*key, value.clone(), None));
                Reply::ok()
            }
            Command::SetManyIfAbsent(pairs) => {
                let absent = pairs.iter().all(|(key, _)| !self.exists(*key));
                if absent {
                    pairs.iter().for_each(|(key, value)| self.put(*key, value.clone(), None));
                }
                truth(absent)
            }
            Command::Rename(from, to) => {
                if self.transfer(*from, *to) {
                    Reply::ok()
                } else {
                    no_such_key()
                }
            }
            Command::RenameIfAbsent(from, to) => match (self.exists(*from), self.exists(*to)) {
                (false, _) => no_such_key(),
                (true, true) => truth(false),
                (true, false) => truth(self.transfer(*from, *to)),
            },
            Command::Copy(from, to) => truth(!self.exists(*to) && self.duplicate(*from, *to)),
            Command::CopyOver(from, to) => truth(self.duplicate(*from, *to)),
            Command::ExpireAt(key, ms) if *ms <= now_ms => truth(self.remove(*key).is_some()),
            Command::ExpireAt(key, ms) => self.set_expiry(*key, Some(*ms)),
            Command::Persist(key) => {
                let mortal = self.entries[*key].as_ref().is_some_and(|entry| entry.expires_ms.is_some());
                if mortal { self.set_expiry(*key, None) } else { truth(false) }
            }
            Command::ExpireTime(key) => Reply::Integer(match &self.entries[*key] {
                None => -2,
                Some(entry) => entry.expires_ms.map_or(-1, |ms| ms as i64),
            }),
            Command::Keys => {
                let bits = (0..self.entries.len()).filter(|key| self.exists(*key)).map(|key| 1 << key);
                Reply::Integer(bits.sum())
            }
            Command::Count => count(self.entries.iter().flatten()),
            Command::Flush => {
                (0..self.entries.len()).for_each(|key| drop(self.remove(key)));
                Reply::ok()
            }
        }
    }

    fn increment(&mut self, key: Key) -> Reply {
        let entry = self.entries[key].clone().unwrap_or(Entry { value: "0".into(), expires_ms: None });
        match entry.value.parse::<i64>() {
            Ok(number) if number.to_string() == entry.value && number < i64::MAX => {
                self.put(key, (number + 1).to_string(), entry.expires_ms);
                Reply::Integer(number + 1)
            }
            _ => Reply::Error(b"ERR value is not an integer or out of range".to_vec()),
        }
    }

    fn append(&mut self, key: Key, value: &str) -> Reply {
        let mut entry = self.entries[key].clone().unwrap_or(Entry { value: String::new(), expires_ms: None });
        entry.value.push_str(value);
        let length = entry.value.len() as i64;
        self.put(key, entry.value, entry.expires_ms);
        Reply::Integer(length)
    }

    fn transfer(&mut self, from: Key, to: Key) -> bool {
        // Onto itself, an existing key is left untouched.
        if from == to {
            return self.exists(from);
        }
        let Some(entry) = self.remove(from) else { return false };
        self.put(to, entry.value, entry.expires_ms);
        true
    }

    fn duplicate(&mut self, from: Key, to: Key) -> bool {
        let Some(entry) = self.entries[from].clone() else { return false };
        self.put(to, entry.value, entry.expires_ms);
        true
    }

    fn set_expiry(&mut self, key: Key, expires_ms: Option<u64>) -> Reply {
        let Some(entry) = &mut self.entries[key] else { return truth(false) };
        entry.expires_ms = expires_ms;
        self.touch(key);
        truth(true)
    }
}

fn truth(value: bool) -> Reply {
    Reply::Integer(i64::from(value))
}

fn count<T>(items: impl Iterator<Item = T>) -> Reply {
    Reply::Integer(items.count() as i64)
}

fn no_such_key() -> Reply {
    Reply::Error(b"ERR no such key".to_vec())
}
