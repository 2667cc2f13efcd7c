//! MIGRATE: keys are dumped under their locks, sent to another server by a thread of its own, and dropped under their locks if
//! they have not changed meanwhile; those that have are sent again.
//!
//! There is one such thread for the process. It keeps connections for a while, as Redis does.

use std::io::{self, BufRead, BufReader, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::ask::ReplyTo;
use super::executor::Core;
use crate::base::clock::unix_millis;
use crate::base::slot::ShardId;
use crate::command::effect::encode;
use crate::command::home::MigrateRequest;
use crate::command::session::Caller;
use crate::command::table::{Resolved, resolve};
use crate::resp::Reply;
use crate::resp::reply::Protocol;
use crate::resp::skim::{bulk, elements, integer};
use crate::shard::cell::Shards;
use crate::shard::message::{Message, Migrated, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::shard::plan::Request;

/// In the number of a transaction of the server's own: it is a step of a MIGRATE.
const MIGRATION: u64 = 1 << 62;
/// How often keys that change on their way are sent.
const ATTEMPTS_MAX: usize = 5;
/// For how long a connection is kept without use.
const KEPT_FOR: Duration = Duration::from_secs(10);
/// How many connections are kept.
const KEPT_MAX: usize = 64;

const CONNECT_FAILED: &str = "IOERR error or timeout connecting to the client";
const WRITE_FAILED: &str = "IOERR error or timeout writing to target instance";
const READ_FAILED: &str = "IOERR error or timeout reading to target instance";
const KEEPS_CHANGING: &str = "TRYAGAIN A key changes faster than it is migrated";

/// A key on its way.
#[derive(Clone, Debug)]
struct Sent {
    key: Box<[u8]>,
    /// The deadline, or -1.
    expire: i64,
    payload: Vec<u8>,
}

/// A MIGRATE under way.
#[derive(Debug)]
pub(super) struct Migration {
    ticket: Ticket,
    database: u32,
    request: Arc<MigrateRequest>,
    /// Keys that are to be dumped, or dropped.
    keys: Vec<Box<[u8]>>,
    sent: Vec<Sent>,
    is_dropping: bool,
    attempts: usize,
    /// What the other server said against it.
    failure: Option<String>,
}

/// What the thread is to do.
struct Job {
    shards: Arc<Shards>,
    home: ShardId,
    number: u64,
    request: Arc<MigrateRequest>,
    /// Whether a key that is there already is replaced, or was put there by an earlier attempt.
    replaces: bool,
    keys: Vec<Sent>,
}

impl Core {
    /// MIGRATE: what follows on the connection waits for it.
    pub(super) fn migrate(&mut self, own: &mut Shard, to: ReplyTo, request: MigrateRequest) {
        let Some(database) = self.connection(to.id).map(|connection| connection.session.caller.database)
        else {
            return;
        };
        let Some(ticket) = self.await_reply(to) else { return };
        let number = self.next_migration;
        self.next_migration += 1;
        let migration = Migration {
            ticket,
            database,
            keys: request.keys.clone(),
            request: Arc::new(request),
            sent: Vec::new(),
            is_dropping: false,
            attempts: 0,
            failure: None,
        };
        self.migrations.insert(number, migration);
        self.dump_keys(own, number);
    }

    fn dump_keys(&mut self, own: &mut Shard, number: u64) {
        let Some(migration) = self.migrations.get_mut(&number) else { return };
        migration.is_dropping = false;
        let (keys, database) = (std::mem::take(&mut migration.keys), migration.database);
        let mut arguments: Vec<&[u8]> = vec![b"DEBUG", b"MIGRATE-DUMP"];
        arguments.extend(keys.iter().map(|key| &**key));
        self.run_step(own, number, database, &arguments);
    }

    fn drop_keys(&mut self, own: &mut Shard, number: u64, sent: &[Sent]) {
        let Some(migration) = self.migrations.get_mut(&number) else { return };
        migration.is_dropping = true;
        let database = migration.database;
        let deadlines: Vec<String> = sent.iter().map(|sent| sent.expire.to_string()).collect();
        let mut arguments: Vec<&[u8]> = vec![b"DEBUG", b"MIGRATE-DROP"];
        for (sent, deadline) in sent.iter().zip(&deadlines) {
            arguments.extend([&*sent.key, deadline.as_bytes(), &sent.payload]);
        }
        self.run_step(own, number, database, &arguments);
    }

    fn run_step(&mut self, own: &mut Shard, number: u64, database: u32, arguments: &[&[u8]]) {
        let Resolved::Row(row) = resolve(arguments) else { return };
        let caller = Caller { database, ..Caller::default() };
        let requests = vec![Request::Run { row, caller, arguments }];
        let ticket = Ticket { connection: Ticket::OF_SERVER, sequence: MIGRATION | number };
        self.begin(own, ticket, requests, false, &[], true);
    }

    /// A transaction of the server's own has ended; whether it was a step of a MIGRATE.
    pub(super) fn migration_ran(&mut self, own: &mut Shard, sequence: u64, reply: &[u8]) -> bool {
        if sequence & MIGRATION == 0 {
            return false;
        }
        let number = sequence & !MIGRATION;
        let Some(migration) = self.migrations.get_mut(&number) else { return true };
        if reply.first() == Some(&b'-') {
            self.end_migration(number, |out| out.raw(reply));
        } else if migration.is_dropping {
            self.keys_dropped(own, number, reply);
        } else {
            migration.keys = migration.request.keys.clone();
            self.keys_dumped(number, reply);
        }
        true
    }

    fn keys_dumped(&mut self, number: u64, reply: &[u8]) {
        let Some(migration) = self.migrations.get_mut(&number) else { return };
        let mut parts = elements(reply);
        let mut sent = Vec::new();
        for key in std::mem::take(&mut migration.keys) {
            let (Some(payload), Some(expire)) = (parts.next(), parts.next()) else { break };
            if expire.first() == Some(&b':') {
                sent.push(Sent { key, expire: integer(expire), payload: bulk(payload).to_vec() });
            }
        }
        migration.attempts += 1;
        if sent.is_empty() {
            let is_first = migration.attempts == 1;
            return self.end_migration(number, |out| if is_first { out.simple("NOKEY") } else { out.ok() });
        }
        migration.sent = sent.clone();
        let job = Job {
            shards: Arc::clone(&self.shards),
            home: self.id,
            number,
            replaces: migration.request.replaces || migration.attempts > 1,
            request: Arc::clone(&migration.request),
            keys: sent,
        };
        if hand_over(job).is_err() {
            self.end_migration(number, |out| out.error("ERR Can't start the thread that migrates keys"));
        }
    }

    /// The thread has an answer for a MIGRATE of this home shard.
    pub(super) fn migrated(&mut self, own: &mut Shard, answer: Migrated) {
        let Migrated { number, acknowledged, failure } = answer;
        let Some(migration) = self.migrations.get_mut(&number) else { return };
        let is_there = acknowledged.iter().copied().chain(std::iter::repeat(false));
        let sent: Vec<Sent> = std::mem::take(&mut migration.sent)
            .into_iter()
            .zip(is_there)
            .filter_map(|(sent, is_there)| is_there.then_some(sent))
            .collect();
        migration.failure = failure;
        if migration.request.copies || sent.is_empty() {
            return self.reply_to_migrate(number);
        }
        migration.sent = sent.clone();
        self.drop_keys(own, number, &sent);
    }

    fn keys_dropped(&mut self, own: &mut Shard, number: u64, reply: &[u8]) {
        let Some(migration) = self.migrations.get_mut(&number) else { return };
        let changed: Vec<Box<[u8]>> = std::mem::take(&mut migration.sent)
            .into_iter()
            .zip(elements(reply))
            .filter_map(|(sent, is_gone)| (integer(is_gone) == 0).then_some(sent.key))
            .collect();
        if changed.is_empty() || migration.failure.is_some() {
            return self.reply_to_migrate(number);
        }
        if migration.attempts == ATTEMPTS_MAX {
            migration.failure = Some(KEEPS_CHANGING.into());
            return self.reply_to_migrate(number);
        }
        let request = MigrateRequest { keys: changed.clone(), ..(*migration.request).clone() };
        (migration.keys, migration.request) = (changed, Arc::new(request));
        self.dump_keys(own, number);
    }

    fn reply_to_migrate(&mut self, number: u64) {
        let failure = self.migrations.get_mut(&number).and_then(|migration| migration.failure.take());
        self.end_migration(number, |out| match failure {
            Some(failure) => out.error(&failure),
            None => out.ok(),
        });
    }

    fn end_migration(&mut self, number: u64, write: impl FnOnce(&mut Reply<'_>)) {
        let Some(migration) = self.migrations.remove(&number) else { return };
        let mut out = Vec::new();
        // All that it replies looks alike in both protocols.
        write(&mut Reply::new(&mut out, Protocol::Resp2));
        self.answer(migration.ticket, &out);
    }
}

/// Gives the thread a job; starts it if this is the first.
fn hand_over(job: Job) -> io::Result<()> {
    static JOBS: Mutex<Option<Sender<Job>>> = Mutex::new(None);
    let mut jobs = JOBS.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(sender) = &*jobs {
        return sender.send(job).map_err(|_| io::ErrorKind::BrokenPipe.into());
    }
    let (sender, receiver) = channel();
    std::thread::Builder::new().name("migrate".into()).spawn(|| work(receiver))?;
    let sent = sender.send(job).map_err(|_| io::ErrorKind::BrokenPipe.into());
    *jobs = Some(sender);
    sent
}

fn work(jobs: Receiver<Job>) {
    let mut kept: Vec<Link> = Vec::new();
    let mut shards: Option<Arc<Shards>> = None;
    loop {
        match jobs.recv_timeout(Duration::from_secs(1)) {
            Ok(job) => {
                let (acknowledged, failure) = send_keys(&mut kept, &job);
                let migrated = Migrated { number: job.number, acknowledged, failure };
                set_kept(&job.shards, kept.len());
                job.shards.send(job.home, Message::Server(ServerMessage::Migrated(migrated)));
                shards = Some(job.shards);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        kept.retain(|link| link.used_at.elapsed() < KEPT_FOR);
        if let Some(shards) = &shards {
            set_kept(shards, kept.len());
        }
    }
}

fn set_kept(shards: &Shards, count: usize) {
    shards.server.migrate_cached_sockets.store(count as u64, Ordering::Relaxed);
}

/// A connection to another server.
struct Link {
    host: String,
    port: u16,
    stream: BufReader<TcpStream>,
    database: Option<i64>,
    used_at: Instant,
}

impl Link {
    fn open(request: &MigrateRequest) -> io::Result<Self> {
        let timeout = Duration::from_millis(request.timeout_ms);
        let mut failure = io::ErrorKind::NotFound.into();
        for address in (request.host.as_str(), request.port).to_socket_addrs()? {
            match TcpStream::connect_timeout(&address, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    let (host, port) = (request.host.clone(), request.port);
                    let stream = BufReader::new(stream);
                    return Ok(Self { host, port, stream, database: None, used_at: Instant::now() });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }

    fn limit(&self, timeout_ms: u64) -> io::Result<()> {
        let timeout = Some(Duration::from_millis(timeout_ms));
        self.stream.get_ref().set_read_timeout(timeout)?;
        self.stream.get_ref().set_write_timeout(timeout)
    }

    fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.get_mut().write_all(bytes)
    }

    /// Reads a reply of one line: nothing if it is none of an error, else the error.
    fn read(&mut self) -> io::Result<Option<String>> {
        let mut line = Vec::new();
        if self.stream.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(&line);
        Ok(text.strip_prefix('-').map(|error| error.trim_end().to_owned()))
    }
}

/// How a try to send keys ended.
struct Sending {
    acknowledged: Vec<bool>,
    failure: Option<String>,
    /// Whether the connection is of no more use.
    is_broken: bool,
    /// Whether nothing came back and another connection may do better.
    may_retry: bool,
}

/// Sends keys: which of them the other server has now, and what went wrong.
fn send_keys(kept: &mut Vec<Link>, job: &Job) -> (Vec<bool>, Option<String>) {
    let request = &job.request;
    let is_it = |link: &Link| link.host == request.host && link.port == request.port;
    let mut link = kept.iter().position(is_it).map(|at| kept.swap_remove(at));
    loop {
        let was_kept = link.is_some();
        let mut open = match link.take().map_or_else(|| Link::open(request), Ok) {
            Ok(open) => open,
            Err(_) => return (Vec::new(), Some(CONNECT_FAILED.into())),
        };
        let sending = send_over(&mut open, job);
        if sending.is_broken {
            if was_kept && sending.may_retry {
                continue;
            }
        } else {
            open.used_at = Instant::now();
            kept.push(open);
            if kept.len() > KEPT_MAX {
                kept.remove(0);
            }
        }
        return (sending.acknowledged, sending.failure);
    }
}

fn send_over(link: &mut Link, job: &Job) -> Sending {
    let request = &job.request;
    let is_selecting = link.database != Some(request.database);
    let bytes = requests(job, is_selecting);
    let broken = |acknowledged: Vec<bool>, failure: &str, error: io::Error| Sending {
        may_retry: acknowledged.is_empty()
            && !matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut),
        acknowledged,
        failure: Some(failure.into()),
        is_broken: true,
    };
    if let Err(error) = link.limit(request.timeout_ms).and_then(|()| link.write(&bytes)) {
        return broken(Vec::new(), WRITE_FAILED, error);
    }
    let mut refused = None;
    for _ in 0..usize::from(request.password.is_some()) + usize::from(is_selecting) {
        match link.read() {
            Ok(error) => refused = refused.or(error),
            Err(error) => return broken(Vec::new(), READ_FAILED, error),
        }
    }
    let is_refused = refused.is_some();
    let mut acknowledged = Vec::with_capacity(job.keys.len());
    for _ in &job.keys {
        match link.read() {
            Ok(error) => {
                acknowledged.push(!is_refused && error.is_none());
                refused = refused.or(error);
            }
            Err(error) => {
                let mut sending = broken(acknowledged, READ_FAILED, error);
                sending.failure = refused.map(said_by_target).or(sending.failure);
                return sending;
            }
        }
    }
    // After an error nobody knows where the connection stands.
    link.database = if refused.is_some() { None } else { Some(request.database) };
    Sending { acknowledged, failure: refused.map(said_by_target), is_broken: false, may_retry: false }
}

fn said_by_target(error: String) -> String {
    format!("ERR Target instance replied with error: {error}")
}

/// All that is sent at once.
fn requests(job: &Job, is_selecting: bool) -> Vec<u8> {
    let request = &job.request;
    let mut bytes = Vec::new();
    if let Some(password) = &request.password {
        let mut words: Vec<&[u8]> = vec![b"AUTH"];
        words.extend(request.user.as_deref());
        words.push(password);
        bytes.extend(encode(&words));
    }
    if is_selecting {
        bytes.extend(encode(&[b"SELECT".as_slice(), request.database.to_string().as_bytes()]));
    }
    let now = unix_millis();
    for Sent { key, expire, payload } in &job.keys {
        // Redis sends the time that is left, so that the clocks of both servers may differ.
        let left = if *expire < 0 { 0 } else { (*expire - now).max(1) }.to_string();
        let mut words: Vec<&[u8]> = vec![b"RESTORE", key, left.as_bytes(), payload];
        if job.replaces {
            words.push(b"REPLACE");
        }
        bytes.extend(encode(&words));
    }
    bytes
}
