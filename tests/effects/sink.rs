//! Where a stream is applied: a server as an ordinary client would fill it, and real Redis as a replica whose
//! master this test plays.

use super::common::{
    Answer, Client, Kind, Random, Reply, Server, Start, encode, everything_about, wait_until,
};
use super::stream::{Command, show};
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

/// How many databases are compared; the commands use the first three.
pub const DATABASES: usize = 4;
/// An empty snapshot: the format's name and version, the mark of the end, no checksum.
const EMPTY_SNAPSHOT: &[u8] = b"REDIS0009\xff\0\0\0\0\0\0\0\0";

/// Everything a server holds: database and key to type, time of expiry and value.
pub type Dataset = BTreeMap<(usize, Vec<u8>), Vec<Answer>>;

/// Reads everything through an ordinary connection.
pub fn dataset(client: &mut Client) -> Dataset {
    let mut all = Dataset::new();
    for database in 0..DATABASES {
        assert_eq!(client.run(&format!("SELECT {database}")), Reply::ok());
        for key in client.run("KEYS *").items() {
            let mut answers = everything_about(client, key.bytes());
            answers.iter_mut().for_each(|(question, reply)| without_negative_zeros(question, reply));
            all.insert((database, key.bytes().to_vec()), answers);
        }
    }
    all
}

/// Only an unpacked sorted set keeps the sign of a negative zero, and SORT unpacks one without any effect for others.
fn without_negative_zeros(question: &[Vec<u8>], reply: &mut Reply) {
    if let Reply::Array(items) = reply
        && question[0] == b"ZRANGE"
    {
        let scores = items.iter_mut().skip(1).step_by(2);
        scores.filter(|score| score.text() == "-0").for_each(|score| *score = Reply::bulk("0"));
    }
}

/// The difference between two datasets in words, if there is one.
pub fn difference(source: &Dataset, copy: &Dataset) -> Option<String> {
    let keys = source.keys().chain(copy.keys());
    let differs = |key: &&(usize, Vec<u8>)| source.get(*key) != copy.get(*key);
    let describe = |key: &(usize, Vec<u8>)| {
        let (database, name) = (key.0, key.1.escape_ascii());
        let (Some(one), Some(other)) = (source.get(key), copy.get(key)) else {
            let holder = if source.contains_key(key) { "source" } else { "copy" };
            return format!("database {database} key {name}: only the {holder} has it");
        };
        let unequal = one.iter().zip(other).find(|(one, other)| one != other);
        let Some(((question, held), (_, found))) = unequal else {
            return format!("database {database} key {name}: more is known of one than of the other");
        };
        let question = show(question);
        format!("database {database} key {name}: {question} is {held:?} at the source, {found:?} at the copy")
    };
    keys.into_iter().find(differs).map(describe)
}

/// A server that takes the stream like any client's commands.
pub struct ClientSink {
    pub server: Server,
    client: Client,
    /// Whether the server has failed by a fault of its own, so that it says nothing any more.
    pub is_lost: bool,
}

impl ClientSink {
    pub fn new(start: Start) -> Self {
        let server = start.spawn();
        let client = server.client();
        Self { server, client, is_lost: false }
    }

    /// Applies a batch; each of its commands must succeed, since it did so where it came from.
    pub fn apply(&mut self, batch: &[Command]) {
        for chunk in batch.chunks(1_000) {
            let mut bytes = Vec::new();
            chunk.iter().for_each(|command| encode(command, &mut bytes));
            self.client.send_raw(&bytes);
            for command in chunk {
                let reply = self.client.receive();
                let failed = reply.is_error()
                    || matches!(&reply, Reply::Array(replies) if replies.iter().any(Reply::is_error))
                    || (command[0].eq_ignore_ascii_case(b"EXEC") && reply.is_nil());
                if failed && self.server.kind() == Kind::Redis && has_stale_error(command, &reply) {
                    println!("Redis has lost its way: {} is answered {reply:?}", show(command));
                    self.is_lost = true;
                }
                assert!(
                    !failed || self.is_lost,
                    "{:?} answers {} with {reply:?}",
                    self.server.kind(),
                    show(command)
                );
            }
        }
    }
}

/// Redis 7.0 takes any number for one that is out of range once it has met one that is, until another call fails otherwise:
/// SORT does not reset `errno`.
fn has_stale_error(command: &Command, reply: &Reply) -> bool {
    let of_sort = command[0].eq_ignore_ascii_case(b"SORT") || command[0].eq_ignore_ascii_case(b"EXEC");
    of_sort && format!("{reply:?}").contains("converted into double")
}

/// Real Redis as a replica: it does not expire keys by itself, as the stream assumes.
pub struct ReplicaSink {
    pub server: Server,
    stream: TcpStream,
}

impl ReplicaSink {
    /// Makes a server a replica of this test, up to the empty snapshot.
    pub fn new(start: Start, random: &mut Random) -> Self {
        let server = start.spawn();
        let listener = TcpListener::bind(("127.0.0.1", 0)).expect("a port to play the master on");
        let port = listener.local_addr().expect("the port").port();
        assert_eq!(server.client().run(&format!("REPLICAOF 127.0.0.1 {port}")), Reply::ok());
        let (mut stream, _) = listener.accept().expect("the replica connects");
        let mut reader = stream.try_clone().expect("cloning a socket");
        shake_hands(&mut stream, random);
        // Acknowledgements are read and forgotten, so that the replica never waits.
        std::thread::spawn(move || while matches!(reader.read(&mut [0; 4096]), Ok(1..)) {});
        let mut client = server.client();
        wait_until("the replica is in sync", 20_000, || {
            client.run("INFO replication").text().contains("status:up")
        });
        Self { server, stream }
    }

    /// Sends a batch.
    pub fn apply(&mut self, batch: &[Command]) {
        let mut bytes = Vec::new();
        batch.iter().for_each(|command| encode(command, &mut bytes));
        self.stream.write_all(&bytes).expect("the replica takes the stream");
    }

    /// Fails the test when the replica had to answer any command with an error.
    pub fn assert_no_errors(&self) {
        let log = self.server.log();
        let complaint = log.lines().find(|line| line.contains("CRITICAL"));
        assert!(complaint.is_none(), "the replica refused an effect: {complaint:?}");
    }
}

/// Plays the master's part of the handshake.
fn shake_hands(stream: &mut TcpStream, random: &mut Random) {
    let mut received = Vec::new();
    loop {
        let mut chunk = [0; 1024];
        let count = stream.read(&mut chunk).expect("the replica's handshake");
        assert!(count > 0, "the replica gave up");
        received.extend_from_slice(&chunk[..count]);
        while let Some((request, length)) = Reply::decode(&received) {
            received.drain(..length);
            match request.items()[0].text().to_ascii_uppercase().as_str() {
                "PING" => stream.write_all(b"+PONG\r\n").expect("sending"),
                "PSYNC" => {
                    let id =
                        format!("{:016x}{:016x}{:08x}", random.next(), random.next(), random.next() as u32);
                    let header = format!("+FULLRESYNC {id} 0\r\n${}\r\n", EMPTY_SNAPSHOT.len());
                    stream.write_all(header.as_bytes()).expect("sending");
                    return stream.write_all(EMPTY_SNAPSHOT).expect("sending");
                }
                _ => stream.write_all(b"+OK\r\n").expect("sending"),
            }
        }
    }
}
