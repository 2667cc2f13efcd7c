//! The thread that reaches the master: it connects, agrees with the master on where to go on, has a snapshot loaded if
//! there is no other way, and hands the socket over to shard zero. It tries until that works or it is told to stop.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::handshake::{Handshake, Introduction, Next};
use crate::base::clock::{Monotonic, unix_millis};
use crate::config::{Config, Primary};
use crate::shard::cell::Shards;
use crate::shard::load::{Options, drop_load, load_beside};
use crate::shard::message::{MasterSnapshot, MasterStream, Message, ServerMessage};
use crate::state::following::{Link, Transfer};
use crate::state::replication::FailoverState;
use crate::{notice, warning};

/// Between two tries.
const RETRY: Duration = Duration::from_secs(1);
/// How often a read looks whether it is to stop, and how often a master that sends a snapshot hears that somebody listens.
const PERIOD: Duration = Duration::from_secs(1);
/// Longest answer of a master to a command of the handshake.
const LINE_BYTES_MAX: usize = 4096;
const BUFFER_BYTES: usize = 64 << 10;
/// Length of the mark at the end of a snapshot whose length the master does not know.
const MARK_LENGTH: usize = 40;

/// What a thread is to do.
#[derive(Clone, Debug)]
pub(super) struct Attempt {
    /// Number of this order; a later one makes it void.
    pub number: u64,
    /// Whom to reach.
    pub master: Primary,
    /// The history that the dataset is of, and the offset of the first byte that it lacks.
    pub resume: Option<(String, u64)>,
}

/// Holds a thread that is under way.
#[derive(Debug, Default)]
pub(super) struct Leash {
    is_over: AtomicBool,
    socket: Mutex<Option<TcpStream>>,
}

impl Leash {
    /// Tells the thread to end; whatever it still says is void.
    pub fn end(&self) {
        let mut socket = lock(&self.socket);
        self.is_over.store(true, Ordering::Release);
        if let Some(socket) = socket.take() {
            // It may be closed already.
            let _ = socket.shutdown(Shutdown::Both);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Acquire)
    }

    fn hold(&self, socket: Option<TcpStream>) {
        *lock(&self.socket) = socket;
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Starts a thread.
pub(super) fn start(shards: Arc<Shards>, attempt: Attempt) -> io::Result<Arc<Leash>> {
    let leash = Arc::new(Leash::default());
    let thread = Thread { shards, attempt, leash: Arc::clone(&leash) };
    std::thread::Builder::new().name("master-link".into()).spawn(move || thread.run())?;
    Ok(leash)
}

struct Thread {
    shards: Arc<Shards>,
    attempt: Attempt,
    leash: Arc<Leash>,
}

impl Thread {
    fn run(self) {
        loop {
            let tried = self.try_once();
            self.leash.hold(None);
            match tried {
                // Whether it is still wanted shard zero knows.
                Ok(stream) => {
                    let message = ServerMessage::Master(Box::new(stream));
                    return self.shards.send(0, Message::Server(message));
                }
                Err(_) if self.leash.is_over() => return,
                Err(reason) => {
                    warning!("{reason}");
                    self.set_link(Link::Connect);
                    std::thread::sleep(RETRY);
                }
            }
            if self.leash.is_over() {
                return;
            }
        }
    }

    fn set_link(&self, link: Link) {
        // Whoever ends the thread says how the link stands from then on.
        let _socket = lock(&self.leash.socket);
        if !self.leash.is_over() {
            self.shards.server.following.set_link(link);
        }
    }

    /// One try, from the name to the stream.
    fn try_once(&self) -> Result<MasterStream, String> {
        let config = self.shards.server.config.load();
        let timeout = Duration::from_secs(config.repl_timeout.max(1));
        let Primary { host, port } = &self.attempt.master;
        notice!("Connecting to MASTER {host}:{port}");
        self.set_link(Link::Connecting);
        notice!("MASTER <-> REPLICA sync started");
        let socket =
            connect(host, *port, timeout).map_err(|error| format!("Unable to connect to MASTER: {error}"))?;
        self.leash.hold(socket.try_clone().ok());
        self.set_link(Link::Handshake);
        let mut reader = Reader::new(self, socket, timeout);
        match self.shake_hands(&config, &mut reader)? {
            Next::Full { id, offset } => {
                self.set_link(Link::Transfer);
                notice!("Full resync from master: {id}:{offset}");
                let snapshot = self.receive_snapshot(&mut reader, offset)?;
                let stream = reader.into_stream(Some(id), Some(snapshot));
                stream.inspect_err(|_| drop_load(&self.shards, snapshot.load))
            }
            Next::Continue { id } => reader.into_stream(id, None),
            Next::Send(_) => Err("the handshake has no end".to_owned()),
        }
    }

    fn shake_hands(&self, config: &Config, reader: &mut Reader<'_>) -> Result<Next, String> {
        let replication = &self.shards.server.replication;
        let hands_over = replication.failover() == FailoverState::InProgress;
        let announced = config.replica_announce_port;
        let introduction = Introduction {
            user: config.masteruser.clone(),
            password: config.masterauth.clone(),
            port: if announced == 0 { config.port } else { announced },
            address: config.replica_announce_ip.clone(),
            resume: self.attempt.resume.clone(),
            hands_over,
        };
        let lost = |error: io::Error| match error.kind() {
            io::ErrorKind::TimedOut => "Timeout connecting to the MASTER...".to_owned(),
            _ => format!("Master did not respond to command during SYNC handshake: {error}"),
        };
        let (mut handshake, first) = Handshake::begin(introduction);
        let mut next = Next::Send(first);
        while let Next::Send(bytes) = next {
            reader.socket.write_all(&bytes).map_err(lost)?;
            let mut line = reader.line().map_err(lost)?;
            // A master that is not ready yet shows that it is alive.
            while line.is_empty() {
                line = reader.line().map_err(lost)?;
            }
            next = handshake.answer(&line).inspect_err(|_| {
                if hands_over && handshake.is_at_end() {
                    replication.set_failover(FailoverState::Rejected);
                }
            })?;
        }
        Ok(next)
    }

    /// Has the snapshot loaded that follows, which has the history up to `offset`.
    fn receive_snapshot(&self, reader: &mut Reader<'_>, offset: u64) -> Result<MasterSnapshot, String> {
        reader.begin_transfer();
        let mut line = reader.line().map_err(transfer_failed)?;
        while line.is_empty() {
            line = reader.line().map_err(transfer_failed)?;
        }
        let shown = String::from_utf8_lossy(&line).into_owned();
        if let Some(error) = shown.strip_prefix('-') {
            return Err(format!("MASTER aborted replication with an error: {error}"));
        }
        let header = shown.strip_prefix('$');
        let mark = header.and_then(|header| header.strip_prefix("EOF:"));
        if let Some(mark) = mark.filter(|mark| mark.len() == MARK_LENGTH) {
            notice!("MASTER <-> REPLICA sync: receiving streamed RDB from master with EOF to parser");
            let (load, database) = self.load(&mut *reader)?;
            let mut end = [0; MARK_LENGTH];
            let ended = match reader.read_exact(&mut end) {
                Ok(()) if end == mark.as_bytes() => Ok(()),
                Ok(()) => Err("Replication stream EOF marker is broken".to_owned()),
                Err(error) => Err(transfer_failed(error)),
            };
            self.keep(load, ended)?;
            Ok(MasterSnapshot { load, offset, database, is_awaited: true })
        } else if let Some(length) = header.and_then(|header| header.parse::<u64>().ok()) {
            notice!("MASTER <-> REPLICA sync: receiving {length} bytes from master to parser");
            reader.transfer.total = length;
            let mut whole = reader.take(length);
            let (load, database) = self.load(&mut whole)?;
            let ended = match whole.limit() {
                0 => Ok(()),
                left => Err(format!("The snapshot of the master ends {left} bytes before it should")),
            };
            self.keep(load, ended)?;
            Ok(MasterSnapshot { load, offset, database, is_awaited: false })
        } else {
            Err(format!(
                "Bad protocol from MASTER, the first byte is not '$' (we received '{shown}'), are you sure the host \
                 and port are right?"
            ))
        }
    }

    /// Loads a snapshot beside the dataset that clients see; returns the number of the load, and the database that is selected
    /// in the stream behind it.
    fn load(&self, snapshot: impl Read) -> Result<(u64, u32), String> {
        notice!("MASTER <-> REPLICA sync: Loading DB in memory");
        let shards = &self.shards;
        let is_checked = shards.server.config.load().rdbchecksum;
        let is_loading = &shards.server.following.is_loading;
        is_loading.store(true, Ordering::Release);
        let loaded = load_beside(shards, snapshot, Options { is_checked, ..Options::default() });
        is_loading.store(false, Ordering::Release);
        let (number, report) = loaded.map_err(|error| {
            format!("Failed trying to load the MASTER synchronization DB from socket: {error}")
        })?;
        let database = report.field("repl-stream-db").and_then(|index| index.parse().ok());
        Ok((number, database.unwrap_or(0)))
    }

    /// Drops what was loaded if it did not end as it should.
    fn keep(&self, load: u64, ended: Result<(), String>) -> Result<(), String> {
        if ended.is_err() {
            drop_load(&self.shards, load);
        }
        ended
    }
}

fn transfer_failed(error: io::Error) -> String {
    match error.kind() {
        io::ErrorKind::TimedOut => {
            "Timeout receiving bulk data from MASTER... If the problem persists try to set the \
                                    'repl-timeout' parameter in redis.conf to a larger value."
                .to_owned()
        }
        _ => format!("I/O error trying to sync with MASTER: {error}"),
    }
}

fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, format!("{host} has no address"));
    for address in (host, port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, timeout) {
            Ok(socket) => {
                socket.set_nodelay(true)?;
                socket.set_read_timeout(Some(PERIOD))?;
                socket.set_write_timeout(Some(timeout))?;
                return Ok(socket);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}

/// Reads from the master, for as long as it sends something and this thread is wanted.
struct Reader<'a> {
    thread: &'a Thread,
    socket: TcpStream,
    timeout: Duration,
    buffer: Box<[u8]>,
    filled: std::ops::Range<usize>,
    /// Whether a snapshot is being received, so that the master is told that somebody listens.
    is_transfer: bool,
    transfer: Transfer,
    told_at: Monotonic,
}

impl<'a> Reader<'a> {
    fn new(thread: &'a Thread, socket: TcpStream, timeout: Duration) -> Self {
        Self {
            thread,
            socket,
            timeout,
            buffer: vec![0; BUFFER_BYTES].into(),
            filled: 0..0,
            is_transfer: false,
            transfer: Transfer::default(),
            told_at: Monotonic::now(),
        }
    }

    fn begin_transfer(&mut self) {
        self.is_transfer = true;
        self.told_at = Monotonic::now();
        self.transfer = Transfer { last_io: unix_millis(), ..Transfer::default() };
        self.thread.shards.server.following.set_transfer(self.transfer);
    }

    /// Waits for more; fails when there is none for too long, or no more.
    fn fill(&mut self) -> io::Result<()> {
        let mut waited = Duration::ZERO;
        loop {
            self.tell_alive()?;
            if self.thread.leash.is_over() {
                return Err(io::ErrorKind::Interrupted.into());
            }
            match self.socket.read(&mut self.buffer) {
                Ok(0) => return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "connection lost")),
                Ok(count) => {
                    self.filled = 0..count;
                    self.count(count as u64);
                    return Ok(());
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut) => {
                    waited += PERIOD;
                    if waited >= self.timeout {
                        return Err(io::Error::new(io::ErrorKind::TimedOut, "timed out"));
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn count(&mut self, bytes: u64) {
        let following = &self.thread.shards.server.following;
        following.input_bytes.fetch_add(bytes, Ordering::Relaxed);
        if self.is_transfer {
            self.transfer.read += bytes;
            self.transfer.last_io = unix_millis();
            following.set_transfer(self.transfer);
        }
    }

    /// The master of a snapshot that is long under way wants to know whether its replica is.
    fn tell_alive(&mut self) -> io::Result<()> {
        let now = Monotonic::now();
        if self.is_transfer && now.micros_since(self.told_at) >= PERIOD.as_micros() as u64 {
            self.told_at = now;
            self.socket.write_all(b"\n")?;
        }
        Ok(())
    }

    /// The next line, without its end.
    fn line(&mut self) -> io::Result<Vec<u8>> {
        let mut line = Vec::new();
        loop {
            let mut byte = [0];
            self.read_exact(&mut byte)?;
            match byte[0] {
                b'\n' => break,
                byte => line.push(byte),
            }
            if line.len() > LINE_BYTES_MAX {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "a line without end"));
            }
        }
        if line.last() == Some(&b'\r') {
            line.pop();
        }
        Ok(line)
    }

    /// What shard zero goes on with.
    fn into_stream(
        self,
        id: Option<String>,
        snapshot: Option<MasterSnapshot>,
    ) -> Result<MasterStream, String> {
        let Self { thread, socket, buffer, filled, .. } = self;
        socket.set_read_timeout(None).map_err(|error| error.to_string())?;
        socket.set_write_timeout(None).map_err(|error| error.to_string())?;
        let order = thread.attempt.number;
        Ok(MasterStream { order, socket: socket.into(), received: buffer[filled].to_vec(), id, snapshot })
    }
}

impl Read for Reader<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        if self.filled.is_empty() {
            self.fill()?;
        }
        let count = out.len().min(self.filled.len());
        out[..count].copy_from_slice(&self.buffer[self.filled.start..][..count]);
        self.filled.start += count;
        Ok(count)
    }
}
