//! The clients: threads that send random operations on the keys of one round and write down when each began,
//! when its reply had come, and what it was.

use super::common::{Client, Random, Reply, encode};
use super::model::{Action, Command, Key, Operation, list_of};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Keys of a group; the test's eight bits and the four shards leave room for no more than eight.
pub const KEYS: usize = 4;
/// The longest run of commands sent without waiting.
const LONGEST_PIPELINE: usize = 4;

/// What the operations of a round are drawn from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    /// Two groups of keys, without expiry.
    Plain,
    /// Keys that expire while the round runs.
    Expiry,
    /// One group, so that commands on the whole keyspace belong to its history.
    Whole,
}

impl Flavour {
    /// How many groups of keys a round has; each has a history of its own.
    pub fn groups(self) -> usize {
        if self == Self::Whole { 1 } else { 2 }
    }
}

/// A clock that all clients share: Unix time at its start, monotonic from there.
#[derive(Clone, Copy)]
pub struct Clock {
    start: Instant,
    start_ns: u64,
}

impl Clock {
    pub fn new() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).expect("a clock after 1970");
        Self { start: Instant::now(), start_ns: since.as_nanos() as u64 }
    }

    pub fn now_ns(&self) -> u64 {
        self.start_ns + self.start.elapsed().as_nanos() as u64
    }
}

/// The keys of one group in one round.
#[derive(Clone)]
pub struct Group {
    names: Vec<String>,
    pattern: String,
}

impl Group {
    /// Keys that lie on different shards: `tags` are hash tags of different shards.
    pub fn new(tags: &[String], round: usize, group: usize) -> Self {
        let names = tags.iter().map(|tag| format!("{{{tag}}}:{round}:{group}")).collect();
        Self { names, pattern: format!("*:{round}:{group}") }
    }

    /// Stores what [`Command::LookUp`] sorts.
    pub fn store_list(&self, tags: &[String], client: &mut Client) {
        let words = ["RPUSH".to_owned(), list_of(&self.names)];
        client.command(&words.iter().chain(tags).collect::<Vec<_>>());
    }
}

/// One client and what it recorded: operations with the index of their group.
pub struct Worker {
    index: usize,
    client: Client,
    random: Random,
    clock: Clock,
    written: u64,
    history: Vec<(usize, Operation)>,
}

impl Worker {
    pub fn new(index: usize, client: Client, random: Random, clock: Clock) -> Self {
        Self { index, client, random, clock, written: 0, history: Vec::new() }
    }

    /// Does so many random things to the groups of a round; gives what it recorded, with the group of each.
    /// The indexes in `after` count this client's operations on the same group.
    pub fn round(&mut self, flavour: Flavour, groups: &[Group], steps: usize) -> Vec<(usize, Operation)> {
        for _ in 0..steps {
            let group = self.random.below(groups.len());
            match self.random.below(10) {
                0..=1 => self.watch_loop(flavour, group, &groups[group]),
                _ => self.pipeline(flavour, group, &groups[group]),
            }
            if flavour == Flavour::Expiry && self.random.one_in(3) {
                std::thread::sleep(Duration::from_micros(self.random.next() % 2_000));
            }
        }
        std::mem::take(&mut self.history)
    }

    /// Some operations in one write: concurrent but for what the order on a connection promises.
    fn pipeline(&mut self, flavour: Flavour, group: usize, keys: &Group) {
        let length = if self.random.one_in(2) { 1 } else { 1 + self.random.below(LONGEST_PIPELINE) };
        let actions: Vec<Action> = (0..length)
            .map(|_| match self.random.one_in(5) {
                true => Action::Transaction(self.commands(flavour)),
                false => Action::Plain(self.command(flavour)),
            })
            .collect();
        self.perform(group, keys, actions);
    }

    /// WATCH, a look, and a transaction that depends on it.
    fn watch_loop(&mut self, flavour: Flavour, group: usize, keys: &Group) {
        let watched = self.some_keys();
        self.perform(group, keys, vec![Action::Watch(watched.clone())]);
        if self.random.one_in(2) {
            self.perform(group, keys, vec![Action::Plain(Command::GetMany(watched))]);
        }
        let last = match self.random.one_in(8) {
            true => Action::Unwatch,
            false => Action::Transaction(self.commands(flavour)),
        };
        self.perform(group, keys, vec![last]);
    }

    fn perform(&mut self, group: usize, keys: &Group, actions: Vec<Action>) {
        let mut request = Vec::new();
        for action in &actions {
            encode_action(action, keys, &mut request);
        }
        let first = self.history.iter().filter(|(of, _)| *of == group).count();
        let invoked_ns = self.clock.now_ns();
        self.client.send_raw(&request);
        let mut placed: Vec<u8> = Vec::new();
        for action in actions {
            let reply = self.receive(&action, keys);
            let returned_ns = self.clock.now_ns();
            let bits = ordering_bits(&action);
            let after =
                (0..placed.len()).filter(|index| placed[*index] & bits != 0).map(|index| first + index);
            let after = after.collect();
            placed.push(bits);
            let client = self.index;
            self.history.push((group, Operation { client, invoked_ns, returned_ns, action, reply, after }));
        }
    }

    /// The reply to an action, in the model's terms.
    fn receive(&mut self, action: &Action, keys: &Group) -> Reply {
        let mut next = || {
            let reply = self.client.try_receive();
            reply.unwrap_or_else(|error| panic!("client {} waits for {action:?}: {error}", self.index))
        };
        match action {
            Action::Plain(command) => in_terms_of_model(command, next(), keys),
            Action::Watch(_) | Action::Unwatch => next(),
            Action::Transaction(commands) => {
                assert_eq!(next(), Reply::ok(), "MULTI");
                for command in commands {
                    assert_eq!(next(), Reply::simple("QUEUED"), "{command:?}");
                }
                match next() {
                    Reply::Array(replies) => Reply::Array(
                        commands
                            .iter()
                            .zip(replies)
                            .map(|(c, reply)| in_terms_of_model(c, reply, keys))
                            .collect(),
                    ),
                    other => other,
                }
            }
        }
    }

    fn commands(&mut self, flavour: Flavour) -> Vec<Command> {
        (0..1 + self.random.below(3)).map(|_| self.command(flavour)).collect()
    }

    fn key(&mut self) -> Key {
        self.random.below(KEYS)
    }

    /// One to all keys, without repetition.
    fn some_keys(&mut self) -> Vec<Key> {
        let bits = 1 + self.random.below((1 << KEYS) - 1);
        let mut keys: Vec<Key> = (0..KEYS).filter(|key| bits >> key & 1 == 1).collect();
        if self.random.one_in(2) {
            keys.reverse();
        }
        keys
    }

    fn two_keys(&mut self) -> (Key, Key) {
        let first = self.key();
        (first, (first + 1 + self.random.below(KEYS - 1)) % KEYS)
    }

    /// A number that nobody else writes.
    fn value(&mut self) -> String {
        self.written += 1;
        ((self.index as u64 + 1) * 1_000_000 + self.written).to_string()
    }

    fn pairs(&mut self) -> Vec<(Key, String)> {
        self.some_keys().into_iter().map(|key| (key, self.value())).collect()
    }

    /// A few milliseconds from now.
    fn soon_ms(&mut self) -> u64 {
        self.clock.now_ns() / 1_000_000 + 1 + self.random.next() % 8
    }

    fn command(&mut self, flavour: Flavour) -> Command {
        match flavour {
            Flavour::Expiry if self.random.one_in(3) => match self.random.below(6) {
                0 | 1 => Command::SetUntil(self.key(), self.value(), self.soon_ms()),
                2 | 3 => Command::ExpireAt(self.key(), self.soon_ms()),
                4 => Command::Persist(self.key()),
                _ => Command::ExpireTime(self.key()),
            },
            Flavour::Whole if self.random.one_in(8) => match self.random.below(4) {
                0 => Command::Flush,
                1 => Command::Count,
                _ => Command::Keys,
            },
            // Its list would count where keys are counted.
            Flavour::Plain | Flavour::Expiry if self.random.one_in(16) => {
                Command::LookUp((0..KEYS).collect())
            }
            _ if self.random.one_in(40) => Command::Keys,
            _ => self.ordinary_command(),
        }
    }

    fn ordinary_command(&mut self) -> Command {
        match self.random.below(24) {
            0..=2 => Command::Get(self.key()),
            3..=4 => Command::Set(self.key(), self.value()),
            5 => Command::SetIfAbsent(self.key(), self.value()),
            6 => Command::SetAndGet(self.key(), self.value()),
            7..=8 => Command::Increment(self.key()),
            9 => Command::Append(self.key(), self.value()),
            10 => Command::GetAndDelete(self.key()),
            11..=12 => Command::Delete(self.some_keys()),
            13 => Command::Exists(self.some_keys()),
            14..=16 => Command::GetMany(self.some_keys()),
            17..=18 => Command::SetMany(self.pairs()),
            19 => Command::SetManyIfAbsent(self.pairs()),
            20..=21 => {
                let (from, to) = self.two_keys();
                Command::Rename(from, to)
            }
            22 => {
                let (from, to) = self.two_keys();
                if self.random.one_in(2) {
                    Command::RenameIfAbsent(from, to)
                } else {
                    Command::Copy(from, to)
                }
            }
            _ => {
                let (from, to) = self.two_keys();
                Command::CopyOver(from, to)
            }
        }
    }
}

fn encode_action(action: &Action, keys: &Group, out: &mut Vec<u8>) {
    let mut command = |command: &Command| encode(&command.words(&keys.names, &keys.pattern), out);
    match action {
        Action::Plain(plain) => command(plain),
        Action::Transaction(commands) => {
            encode(&["MULTI"], out);
            commands.iter().for_each(|command| encode(&command.words(&keys.names, &keys.pattern), out));
            encode(&["EXEC"], out);
        }
        Action::Watch(watched) => {
            let names = watched.iter().map(|key| keys.names[*key].as_str());
            encode(&std::iter::once("WATCH").chain(names).collect::<Vec<_>>(), out);
        }
        Action::Unwatch => encode(&["UNWATCH"], out),
    }
}

/// Which earlier operations of the same pipeline come before this one for sure: those on a common key, and
/// all of them for one that spans several keys or is a transaction, since such ones wait.
fn ordering_bits(action: &Action) -> u8 {
    match action {
        Action::Plain(command) if command.keys().count_ones() == 1 => command.keys(),
        _ => u8::MAX,
    }
}

fn in_terms_of_model(command: &Command, reply: Reply, keys: &Group) -> Reply {
    match (command, reply) {
        (Command::Keys, Reply::Array(found)) => {
            let bit = |name: &Reply| {
                let key = keys.names.iter().position(|own| own.as_bytes() == name.bytes());
                1_i64 << key.unwrap_or_else(|| panic!("KEYS gave a key of nobody: {name:?}"))
            };
            Reply::Integer(found.iter().map(bit).sum())
        }
        (_, reply) => reply,
    }
}
