//! The loop: one thread, all connections, bursts out and replies in. What is sent comes from `workload`, what is
//! counted goes to `meter`.

use std::collections::VecDeque;
use std::io::{self, Error, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::rc::Rc;
use std::time::Duration;

use crate::meter::{Meter, Outcome};
use crate::poll::Poll;
use crate::reply::ReplyReader;
use crate::workload::{Burst, Template};

/// The largest piece read at once. What is read is judged at once, so one buffer serves all connections.
const READ_BUFFER: usize = 256 * 1024;
/// How long the loop sleeps at most, so that it sees the end of its windows.
const SLEEP_MAX: Duration = Duration::from_millis(10);

/// A node and what is sent to it.
pub struct Target {
    /// Host name or address.
    pub host: String,
    /// Port.
    pub port: u16,
    /// The requests.
    pub burst: Burst,
}

/// All that takes part in one run.
pub struct Load {
    template: Rc<Template>,
    targets: Vec<Target>,
    connections: Vec<Connection>,
    /// Connections that only read; their tokens follow those of `connections`.
    subscribers: Vec<TcpStream>,
    poll: Poll,
    meter: Meter,
    buffer: Box<[u8]>,
    /// Bursts whose replies have not all come.
    under_way: usize,
}

struct Connection {
    socket: TcpStream,
    target: usize,
    reader: ReplyReader,
    /// Bytes that the socket had no room for.
    unsent: Vec<u8>,
    /// The bursts under way: when each was due, and how many of its requests are unanswered.
    waiting: VecDeque<(Duration, usize)>,
    /// Which of a request's replies comes next.
    reply_index: usize,
}

impl Load {
    /// Opens the connections, which take the targets in turn.
    ///
    /// # Errors
    /// When one cannot be opened.
    pub fn connect(
        template: Rc<Template>,
        targets: Vec<Target>,
        connections: usize,
        meter: Meter,
    ) -> io::Result<Self> {
        let poll = Poll::new(connections)?;
        let open = |token| {
            let target: &Target = &targets[token % targets.len()];
            let socket = TcpStream::connect((target.host.as_str(), target.port)).map_err(|error| {
                Error::new(error.kind(), format!("{}:{}: {error}", target.host, target.port))
            })?;
            socket.set_nodelay(true)?;
            socket.set_nonblocking(true)?;
            poll.add(&socket, token)?;
            Ok(Connection::new(socket, token % targets.len()))
        };
        let connections = (0..connections).map(open).collect::<io::Result<_>>()?;
        Ok(Self {
            template,
            targets,
            connections,
            subscribers: Vec::new(),
            poll,
            meter,
            buffer: vec![0; READ_BUFFER].into(),
            under_way: 0,
        })
    }

    /// Opens `count` connections to the first target that subscribe to `channel`, and waits until they have.
    ///
    /// # Errors
    /// When one cannot be opened, or is answered with an error.
    pub fn subscribe(&mut self, count: usize, channel: &str) -> io::Result<()> {
        let request = format!("*2\r\n$9\r\nSUBSCRIBE\r\n${}\r\n{channel}\r\n", channel.len());
        for _ in 0..count {
            let target = &self.targets[0];
            let mut socket = TcpStream::connect((target.host.as_str(), target.port))?;
            socket.write_all(request.as_bytes())?;
            let length = moved(socket.read(&mut self.buffer))?;
            if !self.buffer[..length].starts_with(b"*3") {
                return Err(Error::other(String::from_utf8_lossy(&self.buffer[..length]).trim().to_owned()));
            }
            socket.set_nonblocking(true)?;
            self.poll.add(&socket, self.connections.len() + self.subscribers.len())?;
            self.subscribers.push(socket);
        }
        Ok(())
    }

    /// Keeps one burst of every connection under way until the window ends or the bursts are used up.
    ///
    /// # Errors
    /// When a connection breaks, a server answers what is no reply, or its process is gone.
    pub fn run_closed(mut self, busy: bool) -> io::Result<Outcome> {
        for token in 0..self.connections.len() {
            self.send(token, self.meter.now())?;
        }
        let sleep = if busy { Duration::ZERO } else { SLEEP_MAX };
        while self.meter.go_on()? && self.under_way > 0 {
            for index in 0..self.poll.wait(sleep)? {
                let token = self.poll.token(index);
                let now = self.receive(token)?;
                if self.connections.get(token).is_some_and(|connection| connection.waiting.is_empty()) {
                    self.send(token, now)?;
                }
            }
        }
        self.meter.finish()
    }

    /// Sends a burst every `interval`, on each connection in turn, whether or not replies came.
    ///
    /// # Errors
    /// As [`Load::run_closed`].
    pub fn run_scheduled(mut self, interval: Duration, busy: bool) -> io::Result<Outcome> {
        let interval = interval.max(Duration::from_nanos(1));
        let (mut burst, mut exhausted) = (0u32, false);
        while self.meter.go_on()? && !(exhausted && self.under_way == 0) {
            let mut now = self.meter.now();
            while !exhausted && interval * burst <= now {
                exhausted = !self.send(burst as usize % self.connections.len(), interval * burst)?;
                burst += 1;
                now = self.meter.now();
            }
            let until_due =
                if busy || exhausted { Duration::ZERO } else { (interval * burst).saturating_sub(now) };
            for index in 0..self.poll.wait(until_due.min(SLEEP_MAX))? {
                self.receive(self.poll.token(index))?;
            }
        }
        self.meter.finish()
    }

    /// Sends the next burst of a connection's target; false when there is none.
    fn send(&mut self, token: usize, due: Duration) -> io::Result<bool> {
        let connection = &mut self.connections[token];
        let (bytes, requests) = self.targets[connection.target].burst.next();
        if requests == 0 {
            return Ok(false);
        }
        connection.waiting.push_back((due, requests));
        self.under_way += 1;
        let had_room = connection.unsent.is_empty();
        let written = if had_room { moved(connection.socket.write(bytes))? } else { 0 };
        connection.unsent.extend_from_slice(&bytes[written..]);
        if had_room && !connection.unsent.is_empty() {
            self.poll.watch_output(&connection.socket, token, true)?;
        }
        Ok(true)
    }

    /// Writes what is unsent and reads what came. Returns the time at which it came.
    fn receive(&mut self, token: usize) -> io::Result<Duration> {
        if token >= self.connections.len() {
            moved(self.subscribers[token - self.connections.len()].read(&mut self.buffer))?;
            return Ok(self.meter.now());
        }
        let connection = &mut self.connections[token];
        if !connection.unsent.is_empty() {
            let written = moved(connection.socket.write(&connection.unsent))?;
            connection.unsent.drain(..written);
            if connection.unsent.is_empty() {
                self.poll.watch_output(&connection.socket, token, false)?;
            }
        }
        loop {
            let length = moved(connection.socket.read(&mut self.buffer))?;
            let now = self.meter.now();
            let requests = connection.take_in(&self.buffer[..length], &self.template, &mut self.meter)?;
            self.under_way -= connection.answered(requests, now, &mut self.meter)?;
            if length < self.buffer.len() {
                return Ok(now);
            }
        }
    }
}

impl Connection {
    fn new(socket: TcpStream, target: usize) -> Self {
        let (unsent, waiting) = (Vec::new(), VecDeque::new());
        Self { socket, target, reader: ReplyReader::default(), unsent, waiting, reply_index: 0 }
    }

    /// Judges the replies in `bytes`; returns how many requests they complete.
    fn take_in(&mut self, bytes: &[u8], template: &Template, meter: &mut Meter) -> io::Result<usize> {
        let mut requests = 0;
        let read = self.reader.feed(bytes, |reply| {
            meter.judged(template.judge(self.reply_index, reply));
            self.reply_index += 1;
            if self.reply_index == template.replies() {
                self.reply_index = 0;
                requests += 1;
            }
        });
        read.map_err(|bad| Error::other(format!("not a reply: {:?}", bad.0)))?;
        Ok(requests)
    }

    /// Takes `requests` answered ones off the bursts under way; returns how many bursts that completes.
    fn answered(&mut self, mut requests: usize, now: Duration, meter: &mut Meter) -> io::Result<usize> {
        let mut bursts = 0;
        while requests > 0 {
            let (due, unanswered) =
                self.waiting.front_mut().ok_or(Error::other("a reply that nobody asked for"))?;
            let answered = requests.min(*unanswered);
            meter.answered(answered as u64, *due, now);
            requests -= answered;
            *unanswered -= answered;
            if *unanswered == 0 {
                self.waiting.pop_front();
                bursts += 1;
            }
        }
        Ok(bursts)
    }
}

/// How many bytes were moved, none when the socket is not ready; a closed connection is an error.
fn moved(result: io::Result<usize>) -> io::Result<usize> {
    match result {
        Ok(0) => Err(Error::new(ErrorKind::UnexpectedEof, "the server closed a connection")),
        Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
        result => result,
    }
}

#[cfg(test)]
#[path = "load_test.rs"]
mod load_test;
