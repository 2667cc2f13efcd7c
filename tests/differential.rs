//! The same random commands to the server under test and to real Redis, every reply compared; those that are
//! newer than that Redis to one shard and to four. What counts as
//! equal stands in `compare.rs`, what is sent in `grammar.rs`.
//!
//! `SKERRY_COMMANDS` sets how many commands a run sends (100 000), `SKERRY_SEED` repeats one.

mod common;
#[path = "differential/compare.rs"]
mod compare;
#[path = "differential/generator.rs"]
mod generator;
#[path = "differential/grammar.rs"]
mod grammar;

use common::{
    Answer, Client, Random, Reply, Start, encode, everything_about, is_redis, redis, seed, setting, skerry,
};
use compare::{DIFFERENCES, command_name, equal};
use generator::Generator;
use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt::Write;

/// Connections that take turns; the last one speaks RESP3 from the start.
const CONNECTIONS: usize = 3;
const LONGEST_PIPELINE: usize = 40;
/// Commands after which the whole datasets are compared.
const COMPARE_EVERY: u64 = 5_000;
/// How many commands a failure shows.
const HISTORY: usize = 60;
const DATABASES: usize = 3;

type Command = Vec<Vec<u8>>;

/// One client of both servers.
struct Pair {
    redis: Client,
    ours: Client,
    in_transaction: bool,
    queued: Vec<Command>,
    /// Channels, patterns and shard channels.
    subscribed: [BTreeSet<Vec<u8>>; 3],
}

/// A run: both servers, and what was sent lately.
struct Run {
    pairs: Vec<Pair>,
    scanner: Pair,
    recent: VecDeque<String>,
    sent: u64,
    seed: u64,
}

impl Pair {
    fn new(redis: Client, ours: Client) -> Self {
        Self { redis, ours, in_transaction: false, queued: Vec::new(), subscribed: Default::default() }
    }

    /// Both replies to one command.
    fn both(&mut self, command: &[&str]) -> (Reply, Reply) {
        (self.redis.command(command), self.ours.command(command))
    }

    /// Both servers' next replies.
    fn receive(&mut self) -> [Reply; 2] {
        [self.redis.receive(), self.ours.receive()]
    }

    /// How many replies a command that ran has, and what it subscribes to.
    fn replies_to(&mut self, command: &Command) -> usize {
        let name = command_name(command);
        let kinds = ["SUBSCRIBE", "PSUBSCRIBE", "SSUBSCRIBE", "UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"];
        if name == "RESET" {
            self.subscribed = Default::default();
        }
        let Some(kind) = kinds.iter().position(|kind| *kind == name) else { return 1 };
        let (names, subscribed) = (&command[1..], &mut self.subscribed[kind % 3]);
        if names.is_empty() {
            return std::mem::take(subscribed).len().max(1);
        }
        for name in names {
            if kind < 3 {
                subscribed.insert(name.clone())
            } else {
                subscribed.remove(name)
            };
        }
        names.len()
    }

    /// Reads the rest of what came for a command, of which these are the first replies: several of one command become an
    /// array, also within the reply of EXEC.
    fn gather(&mut self, command: &Command, queued: &[Command], first: [Reply; 2]) -> [Reply; 2] {
        let reply = &first[0];
        if reply.is_error() || reply.text() == "QUEUED" {
            return first;
        }
        if command_name(command) != "EXEC" {
            return match self.replies_to(command) {
                1 => first,
                count => self.read_up_to(count, first.map(|reply| vec![reply])).map(Reply::Array),
            };
        }
        let [Reply::Array(redis), Reply::Array(ours)] = first else { return first };
        let replies_to = |command: &Command| match command_name(command).as_str() {
            // Refused in a transaction, unlike its kin.
            "SSUBSCRIBE" => 1,
            _ => self.replies_to(command),
        };
        let counts: Vec<usize> = queued.iter().map(replies_to).collect();
        let all = self.read_up_to(counts.iter().sum(), [redis, ours]);
        all.map(|replies| {
            let mut replies = replies.into_iter();
            let of_one = |&count: &usize| match count {
                1 => replies.next().unwrap_or(Reply::Null),
                count => Reply::Array(replies.by_ref().take(count).collect()),
            };
            Reply::Array(counts.iter().map(of_one).collect())
        })
    }

    fn read_up_to(&mut self, count: usize, mut replies: [Vec<Reply>; 2]) -> [Vec<Reply>; 2] {
        while replies[0].len() < count {
            let [redis, ours] = self.receive();
            replies[0].push(redis);
            replies[1].push(ours);
        }
        replies
    }

    /// Follows the connection through MULTI and EXEC by what Redis answers, and gives the queued commands
    /// when this was their EXEC.
    fn follow(&mut self, command: &Command, reply: &Reply) -> Vec<Command> {
        match command_name(command).as_str() {
            "MULTI" if !reply.is_error() => self.in_transaction = true,
            "EXEC" | "DISCARD" | "RESET" if reply.text() != "QUEUED" => {
                let ended = !reply.is_error() || reply.text().starts_with("EXECABORT");
                if ended || command_name(command) == "RESET" {
                    self.in_transaction = false;
                    return std::mem::take(&mut self.queued);
                }
            }
            _ if reply.text() == "QUEUED" && self.in_transaction => self.queued.push(command.clone()),
            _ => {}
        }
        Vec::new()
    }
}

impl Run {
    fn pipeline(&mut self, connection: usize, commands: &[Command]) {
        let mut bytes = Vec::new();
        commands.iter().for_each(|command| encode(command, &mut bytes));
        self.pairs[connection].redis.send_raw(&bytes);
        self.pairs[connection].ours.send_raw(&bytes);
        for command in commands {
            let pair = &mut self.pairs[connection];
            let first = pair.receive();
            let queued = pair.follow(command, &first[0]);
            let [redis, ours] = pair.gather(command, &queued, first);
            self.remember(connection, command, &redis);
            if !equal(command, &queued, &redis, &ours) {
                self.fail(&format!("the replies to {} differ", show(command)), &redis, &ours);
            }
        }
    }

    fn remember(&mut self, connection: usize, command: &Command, reply: &Reply) {
        if self.recent.len() == HISTORY {
            self.recent.pop_front();
        }
        self.sent += 1;
        self.recent.push_back(format!("#{} c{connection} {} -> {reply:?}", self.sent, show(command)));
    }

    #[track_caller]
    fn fail(&self, what: &str, redis: &Reply, ours: &Reply) -> ! {
        let mut text = String::new();
        for line in &self.recent {
            writeln!(text, "  {line}").expect("writing to a string");
        }
        panic!(
            "{what}\n reference: {redis:?}\n ours:      {ours:?}\n after, with the reference's replies:\n{text} SKERRY_SEED={} command {}",
            self.seed, self.sent
        );
    }

    /// Compares whole iterations, and then every key with its type, value and time.
    fn compare_datasets(&mut self, random: &mut Random) {
        for database in 0..DATABASES {
            let select = database.to_string();
            self.scanner.both(&["SELECT", &select]);
            self.compare_scans(random);
            let redis = dataset(&mut self.scanner.redis);
            let ours = dataset(&mut self.scanner.ours);
            for key in redis.keys().chain(ours.keys()).collect::<BTreeSet<_>>() {
                let none = Vec::new();
                let (left, right) = (redis.get(key).unwrap_or(&none), ours.get(key).unwrap_or(&none));
                let same = left.len() == right.len()
                    && left
                        .iter()
                        .zip(right)
                        .all(|((question, left), (_, right))| equal(question, &[], left, right));
                if !same {
                    let what = format!("database {database}, key {}", key.escape_ascii());
                    let replies =
                        |all: &[Answer]| Reply::Array(all.iter().map(|(_, reply)| reply.clone()).collect());
                    self.fail(&what, &replies(left), &replies(right));
                }
            }
        }
    }

    fn compare_scans(&mut self, random: &mut Random) {
        let count = random.between(1, 20).to_string();
        let mut options: Vec<&[u8]> = vec![b"COUNT", count.as_bytes()];
        if random.one_in(2) {
            options.extend([b"MATCH".as_slice(), b"*t*"]);
        }
        let redis = scan(&mut self.scanner.redis, &options);
        let ours = scan(&mut self.scanner.ours, &options);
        if redis != ours {
            let list = |keys: BTreeSet<Vec<u8>>| Reply::Array(keys.into_iter().map(Reply::Bulk).collect());
            self.fail("whole SCAN iterations differ", &list(redis), &list(ours));
        }
    }
}

/// All keys that a whole iteration yields.
fn scan(client: &mut Client, options: &[&[u8]]) -> BTreeSet<Vec<u8>> {
    let mut keys = BTreeSet::new();
    let mut cursor = b"0".to_vec();
    loop {
        let mut command: Vec<&[u8]> = vec![b"SCAN", &cursor];
        command.extend(options);
        let reply = client.command(&command);
        keys.extend(reply.items()[1].items().iter().map(|key| key.bytes().to_vec()));
        cursor = reply.items()[0].bytes().to_vec();
        if cursor == b"0" {
            return keys;
        }
    }
}

/// Every key of the selected database with its type, expiry, value and form.
fn dataset(client: &mut Client) -> BTreeMap<Vec<u8>, Vec<Answer>> {
    let keys = client.command(&["KEYS", "*"]);
    let describe = |key: &Reply| {
        let mut answers = everything_about(client, key.bytes());
        answers.push(form(client, key.bytes(), &answers[0].1.text()));
        (key.bytes().to_vec(), answers)
    };
    keys.items().iter().map(describe).collect()
}

/// The encoding of a value of this type, as 7.0 calls it, which has no sets in listpacks and no lists without a quicklist
/// around them.
fn form(client: &mut Client, key: &[u8], kind: &str) -> Answer {
    let reply = client.command(&[b"OBJECT".as_slice(), b"ENCODING", key]);
    let reply = match (kind, reply.text().as_str()) {
        ("set", "listpack") => Reply::bulk("hashtable"),
        ("list", "listpack") => Reply::bulk("quicklist"),
        _ => reply,
    };
    (vec![b"form".to_vec(), key.to_vec()], reply)
}

fn show(command: &Command) -> String {
    command.iter().map(|word| format!("\"{}\"", word.escape_ascii())).collect::<Vec<_>>().join(" ")
}

/// What is compared with what.
struct Comparison {
    reference: Start,
    ours: Start,
    newer_commands: bool,
}

fn compare_servers(test: &str, comparison: Comparison) {
    let Comparison { reference, ours, newer_commands } = comparison;
    let (redis, ours) = (reference.spawn(), ours.spawn());
    let seed = seed(test);
    let mut random = Random::new(seed);
    let mut generator = Generator::new(random.fork()).with_subscriptions();
    if newer_commands {
        generator = generator.with_newer_commands();
    }
    let pair = || Pair::new(redis.client(), ours.client());
    let mut pairs: Vec<Pair> = (0..CONNECTIONS).map(|_| pair()).collect();
    pairs[CONNECTIONS - 1].both(&["HELLO", "3"]);
    let mut run = Run { pairs, scanner: pair(), recent: VecDeque::new(), sent: 0, seed };
    let total = setting("SKERRY_COMMANDS", 100_000);
    let mut compare_at = COMPARE_EVERY;
    while run.sent < total {
        let connection = random.below(CONNECTIONS);
        let length = if random.one_in(2) { 1 } else { 1 + random.below(LONGEST_PIPELINE) };
        let in_transaction = run.pairs[connection].in_transaction;
        let mut commands: Vec<Command> = generator.pipeline(length, in_transaction);
        // A subscriber of the older protocol can do little else.
        if run.pairs[connection].subscribed.iter().any(|names| !names.is_empty()) && random.one_in(2) {
            let all =
                ["UNSUBSCRIBE", "PUNSUBSCRIBE", "SUNSUBSCRIBE"].map(|name| vec![name.as_bytes().to_vec()]);
            commands.splice(0..0, all);
        }
        run.pipeline(connection, &commands);
        if run.sent >= compare_at {
            run.compare_datasets(&mut random);
            compare_at += COMPARE_EVERY;
        }
    }
    run.compare_datasets(&mut random);
    println!("{test}: {} commands, every reply as expected", run.sent);
}

#[test]
fn one_shard_answers_like_redis() {
    let (Some(reference), Some(start)) = (redis(), skerry()) else { return };
    let comparison = Comparison { reference, ours: start.shards(1), newer_commands: false };
    compare_servers("one_shard_answers_like_redis", comparison);
}

#[test]
fn four_shards_answer_like_redis() {
    let (Some(reference), Some(start)) = (redis(), skerry()) else { return };
    let comparison = Comparison { reference, ours: start.shards(4), newer_commands: false };
    compare_servers("four_shards_answer_like_redis", comparison);
}

#[test]
fn four_shards_answer_like_one() {
    let Some(start) = skerry() else { return };
    if is_redis() {
        return;
    }
    let comparison =
        Comparison { reference: start.clone().shards(1), ours: start.shards(4), newer_commands: true };
    compare_servers("four_shards_answer_like_one", comparison);
}

/// Keys whose time has passed when they are written, which the random commands leave out: a dataset that
/// still counts them differs from moment to moment.
const EXPIRED_AT_ONCE: &[&str] = &[
    "SET k v PXAT 1",
    "GET k",
    "EXISTS k k",
    "TTL k",
    "TYPE k",
    "KEYS *",
    "RANDOMKEY",
    "RENAME k l",
    "COPY k l",
    "SET k v EXAT 1 GET",
    "SET k w NX",
    "SET k v XX PXAT 1",
    "PERSIST k",
    "INCR k",
    "PTTL k",
    "SET k v EXAT 1",
    "APPEND k x",
    "SET k v EXAT 1",
    "SETRANGE k 2 x",
    "SET k v EXAT 1",
    "SETBIT k 7 1",
    "SET k v EXAT 1",
    "GETSET k x",
    "SET k v EXAT 1",
    "BITOP OR d k k",
    "SET k v EXAT 1",
    "MSETNX k 1 l 2",
    "SET k v EXAT 1",
    "EXPIRE k 100",
    "SET k v EXAT 1",
    "DEL k",
    "SET k v EXAT 1",
    "MOVE k 1",
    "SET k v EXAT 1",
    "OBJECT ENCODING k",
    "GETEX k",
    "MGET k l d",
    "SET k v",
    "PEXPIRE k -1",
    "GETEX l EXAT 1",
    "DBSIZE",
];

#[test]
fn expired_keys_are_gone_like_in_redis() {
    let (Some(redis), Some(ours)) = (redis(), skerry()) else { return };
    let (redis, ours) = (redis.spawn(), ours.shards(4).spawn());
    let (mut redis, mut ours) = (redis.client(), ours.client());
    for line in EXPIRED_AT_ONCE {
        let (left, right) = (redis.run(line), ours.run(line));
        let command: Command = line.split(' ').map(|word| word.as_bytes().to_vec()).collect();
        assert!(equal(&command, &[], &left, &right), "{line}: redis {left:?}, ours {right:?}");
    }
}

#[test]
fn known_differences_are_as_listed() {
    let (Some(redis), Some(ours)) = (redis(), skerry()) else { return };
    let (redis, ours) = (redis.spawn(), ours.spawn());
    for row in DIFFERENCES {
        let (left, right) = (redis.client().command(row.command), ours.client().command(row.command));
        let command: Command = row.command.iter().map(|word| word.as_bytes().to_vec()).collect();
        let listed = left != right && equal(&command, &[], &left, &right);
        assert!(listed || is_redis(), "{} ({}): {left:?}, {right:?}", row.command.join(" "), row.reason);
    }
}
