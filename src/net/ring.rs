//! The network ring of one shard: accepts, receives and sends for all its sockets through one io_uring.
//!
//! The owner queues work (`attach`, `send`, `recycle` …) and calls [`Ring::poll`] or [`Ring::wait`] once per turn;
//! that one call submits everything queued and brings back what happened as [`Event`]s. What does not live here: the
//! protocol, the output queues of connections, and the choice between polling and waiting.
//!
//! Sends are first tried without waiting (`MSG_DONTWAIT`), so their completions are there as soon as they are
//! submitted. [`Ring::wait`] counts them and asks the kernel for one completion more: sending all replies of a turn and
//! sleeping until the next request take one system call.

use std::collections::VecDeque;
use std::io;
use std::marker::PhantomData;
use std::mem;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::Duration;

use io_uring::types::{Fd, SubmitArgs, Timespec};
use io_uring::{EnterFlags, IoUring, cqueue, opcode, squeue};

use super::buffers::{Buffer, GROUP, Pool};
use super::doorbell::Doorbell;
use super::event::{ACCEPT_PAUSE_MS, Event, IoMode, RingOptions, Statistics};
use super::socket::{Operation, Receiving, Socket, SocketId, Sockets, Token};

/// How long a listener rests after an error, where the kernel can read it at any time.
static ACCEPT_PAUSE: Timespec = Timespec::new().nsec(ACCEPT_PAUSE_MS * 1_000_000);

/// The most that one send entry carries; longer outputs take several.
const SEND_BYTES_MAX: usize = 1 << 30;

/// How long a ring that is dropped waits for the kernel to let go of its memory: tries, and milliseconds for each.
const DROP_TRIES: u32 = 100;
const DROP_WAIT_MS: u64 = 10;

struct Listener {
    /// `None` once it is stopped and the kernel has let go of it.
    fd: Option<OwnedFd>,
    tag: u32,
    stopped: bool,
}

/// The network ring of one shard. Stays on the thread that made it.
pub struct Ring {
    /// First, so that it goes before the memory that the kernel was shown.
    uring: IoUring,
    pool: Pool,
    sockets: Sockets,
    mode: IoMode,
    enter_flags: EnterFlags,
    listeners: Vec<Listener>,
    doorbell: Doorbell,
    /// Sockets whose receive found no buffer, in the order of their turn.
    starved: VecDeque<SocketId>,
    /// Entries that found the submission queue full and could not be submitted to make room.
    overflow: VecDeque<squeue::Entry>,
    /// Where completions are copied to before they are handled; kept for its memory.
    reaped: Vec<cqueue::Entry>,
    /// Entries queued or completed, but not yet reaped, that complete as soon as they are submitted.
    immediate: usize,
    /// Operations queued or with the kernel.
    in_flight: usize,
    statistics: Statistics,
    /// The kernel takes submissions from the thread that made the ring only.
    not_send: PhantomData<*const ()>,
}

impl Ring {
    /// Makes a ring for the calling thread, with its doorbell armed.
    pub fn new(options: RingOptions) -> io::Result<Self> {
        let multishot = options.mode == IoMode::Multishot;
        let mut builder = IoUring::builder();
        builder.dontfork().setup_clamp().setup_cqsize(options.entries.next_power_of_two() * 4);
        if multishot {
            builder.setup_single_issuer().setup_coop_taskrun().setup_taskrun_flag().setup_submit_all();
        }
        let uring: IoUring = builder.build(options.entries)?;
        let mut pool = Pool::new(options.buffer_count, options.buffer_bytes, multishot)?;
        pool.register(&uring.submitter())?;
        let no_iowait = uring.params().is_feature_no_iowait();
        let mut ring = Self {
            uring,
            pool,
            sockets: Sockets::default(),
            mode: options.mode,
            enter_flags: if no_iowait { EnterFlags::NO_IOWAIT } else { EnterFlags::empty() },
            listeners: Vec::new(),
            doorbell: Doorbell::new()?,
            starved: VecDeque::new(),
            overflow: VecDeque::new(),
            reaped: Vec::new(),
            immediate: 0,
            in_flight: 0,
            statistics: Statistics::default(),
            not_send: PhantomData,
        };
        ring.arm_doorbell();
        Ok(ring)
    }

    /// The handle by which other threads wake this ring.
    pub fn doorbell(&self) -> Doorbell {
        self.doorbell.clone()
    }

    /// The ring's own descriptor: readable when there are completions to reap.
    pub fn raw_fd(&self) -> RawFd {
        self.uring.as_raw_fd()
    }

    /// Starts accepting on a listening socket; its connections carry the tag. The socket must be a blocking one.
    pub fn listen(&mut self, listener: OwnedFd, tag: u32) {
        self.listeners.push(Listener { fd: Some(listener), tag, stopped: false });
        self.arm_accept(self.listeners.len() - 1);
    }

    /// Stops accepting on the listeners of this tag. A connection accepted meanwhile may still be reported.
    pub fn stop_listening(&mut self, tag: u32) {
        self.retain_listeners(tag, |_| false);
    }

    /// Stops accepting on those listeners of this tag that `keep` does not name; from then on nobody connects to them.
    pub fn retain_listeners(&mut self, tag: u32, mut keep: impl FnMut(&OwnedFd) -> bool) {
        for index in 0..self.listeners.len() {
            let listener = &mut self.listeners[index];
            let Some(fd) = listener.fd.as_ref().filter(|_| listener.tag == tag && !listener.stopped) else {
                continue;
            };
            if !keep(fd) {
                listener.stopped = true;
                // SAFETY: the descriptor is open, and no memory is passed. Closing it would not do: an accept under way
                // holds the socket.
                unsafe { libc::shutdown(fd.as_raw_fd(), libc::SHUT_RDWR) };
                self.cancel(Token::other(Operation::Accept, index));
                self.cancel(Token::other(Operation::AcceptPause, index));
            }
        }
    }

    /// Takes over a connected socket and starts receiving from it.
    pub fn attach(&mut self, fd: OwnedFd) -> SocketId {
        let id = self.sockets.insert(Socket::new(fd));
        self.arm_receive(id);
        id
    }

    /// The socket's descriptor, for questions and options.
    pub fn fd(&self, id: SocketId) -> Option<BorrowedFd<'_>> {
        self.sockets.find_open(id).map(|socket| socket.fd.as_fd())
    }

    /// Stops receiving. What is already under way is still reported.
    pub fn pause_receive(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.find(id) else { return };
        socket.wanted = false;
        // A poll for readability takes nothing from the socket: it may stay.
        if self.mode == IoMode::Multishot && socket.receiving == Receiving::Armed {
            socket.receiving = Receiving::Ending;
            self.cancel(Token::new(Operation::Receive, id));
        }
    }

    /// Receives again after [`Ring::pause_receive`].
    pub fn resume_receive(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.find(id) else { return };
        socket.wanted = true;
        if socket.receiving == Receiving::Off {
            self.arm_receive(id);
        }
    }

    /// Sends all the bytes, in one piece from the owner's view; [`Event::Sent`] or [`Event::Closed`] ends it. One at a
    /// time per socket. To a socket that broke or was closed nothing is sent.
    pub fn send(&mut self, id: SocketId, bytes: Vec<u8>) {
        let Some(socket) = self.sockets.find(id).filter(|socket| socket.reports()) else { return };
        assert!(!socket.sending, "one send at a time per socket");
        socket.output = bytes;
        socket.output_sent = 0;
        socket.sending = true;
        self.push_send(id, Operation::Send);
    }

    /// Whether a send is under way.
    pub fn is_sending(&self, id: SocketId) -> bool {
        self.sockets.find_open(id).is_some_and(|socket| socket.sending)
    }

    /// Closes the socket: nothing more is reported for it, its id names nothing from now on, and what is under way is
    /// ended. Bytes that [`Event::Sent`] did not confirm may be lost.
    pub fn close(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.find(id).filter(|socket| !socket.closing) else { return };
        socket.closing = true;
        if !socket.is_busy() {
            self.sockets.remove(id);
            return;
        }
        // SAFETY: the descriptor is open, and no memory is passed. Shutting down makes every operation on the
        // socket complete, a send that waits for room as well.
        unsafe { libc::shutdown(socket.fd.as_raw_fd(), libc::SHUT_RDWR) };
        // Without a cancellation a receive would first hand over what the peer had sent.
        if socket.receiving == Receiving::Armed {
            socket.receiving = Receiving::Ending;
            self.cancel(Token::new(Operation::Receive, id));
        }
    }

    /// The bytes of a received buffer.
    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        self.pool.bytes(buffer)
    }

    /// Gives a buffer back. The kernel sees all those given back in a turn at its end, at once.
    pub fn recycle(&mut self, buffer: Buffer) {
        self.pool.recycle(buffer);
    }

    /// Submits what is queued and appends what has happened, without waiting. No system call when nothing is queued
    /// and the kernel has not flagged anything.
    pub fn poll(&mut self, events: &mut Vec<Event>) -> io::Result<()> {
        self.prepare();
        if self.needs_enter() {
            self.enter(0, None)?;
        }
        self.reap(events);
        Ok(())
    }

    /// As [`Ring::poll`], but sleeps until something happens, the doorbell rings, or the time is over (`None`: no
    /// limit). May come back early and without events.
    pub fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        if self.has_completions() {
            return self.poll(events);
        }
        self.prepare();
        self.enter(self.immediate + 1, timeout)?;
        self.reap(events);
        Ok(())
    }

    /// Whether [`Ring::poll`] would find something without submitting anything.
    pub fn has_completions(&mut self) -> bool {
        let flagged = {
            let queue = self.uring.submission();
            queue.taskrun() || queue.cq_overflow()
        };
        flagged || !self.uring.completion().is_empty()
    }

    /// Counters and sizes.
    pub fn statistics(&self) -> Statistics {
        Statistics {
            sockets: self.sockets.count(),
            buffers_available: self.pool.available(),
            ..self.statistics
        }
    }
}

/// Submitting and reaping.
impl Ring {
    /// Publishes the recycled buffers, and lets as many starved sockets try again as there are buffers free.
    fn prepare(&mut self) {
        self.pool.publish();
        let turns = self.starved.len().min(self.pool.available());
        for _ in 0..turns {
            let Some(id) = self.starved.pop_front() else { return };
            if let Some(socket) = self.sockets.find(id).filter(|s| s.receiving == Receiving::Starved) {
                socket.receiving = Receiving::Off;
                self.arm_receive(id);
            }
        }
    }

    fn needs_enter(&mut self) -> bool {
        let queue = self.uring.submission();
        !queue.is_empty() || queue.taskrun() || queue.cq_overflow() || !self.overflow.is_empty()
    }

    /// Submits everything queued, and waits until there are `want` completions in the queue.
    fn enter(&mut self, want: usize, timeout: Option<Duration>) -> io::Result<()> {
        let want = want.min(self.uring.params().cq_entries() as usize) as u32;
        let timespec = timeout.map(Timespec::from);
        loop {
            let queued = self.refill_submissions();
            self.statistics.enters += 1;
            let mut flags = EnterFlags::GETEVENTS;
            if want > 0 {
                flags |= self.enter_flags;
            }
            let submitter = self.uring.submitter();
            let outcome = match &timespec {
                // SAFETY: the argument has the layout that EXT_ARG asks for, and outlives the call.
                Some(timespec) => unsafe {
                    let arguments = SubmitArgs::new().timespec(timespec);
                    let flags = flags | EnterFlags::EXT_ARG;
                    submitter.enter(queued as u32, want, flags.bits(), Some(&arguments))
                },
                // SAFETY: no argument is passed.
                None => unsafe { submitter.enter::<libc::sigset_t>(queued as u32, want, flags.bits(), None) },
            };
            match outcome {
                Ok(submitted) if submitted == queued && self.overflow.is_empty() => return Ok(()),
                Ok(0) => return Ok(()),
                Ok(_) => {}
                Err(error) => return tolerate(error),
            }
        }
    }

    /// Moves entries that found no place into the submission queue; the number of entries in it now.
    fn refill_submissions(&mut self) -> usize {
        let mut queue = self.uring.submission();
        while let Some(entry) = self.overflow.front() {
            // SAFETY: as in `push`, which made the entry wait here.
            if unsafe { queue.push(entry) }.is_err() {
                break;
            }
            self.overflow.pop_front();
        }
        queue.len()
    }

    /// Queues an entry. Never loses one: a full queue is submitted, and when that gives no room the entry waits aside.
    fn push(&mut self, entry: squeue::Entry, token: Token) {
        let entry = entry.user_data(token.pack());
        self.in_flight += 1;
        if self.uring.submission().is_full() {
            // What goes wrong here goes wrong again, and is reported, in the next `poll` or `wait`.
            let _ = self.enter(0, None);
        }
        // SAFETY: what the entries of this module refer to outlives their completion: outputs and descriptors lie in
        // sockets and listeners that are not freed before, the pool and the static pause live longer still.
        if !self.overflow.is_empty() || unsafe { self.uring.submission().push(&entry) }.is_err() {
            self.overflow.push_back(entry);
        }
    }

    fn reap(&mut self, events: &mut Vec<Event>) {
        let mut reaped = mem::take(&mut self.reaped);
        reaped.extend(self.uring.completion());
        for completion in reaped.drain(..) {
            self.complete(&completion, events);
        }
        self.reaped = reaped;
    }

    fn complete(&mut self, completion: &cqueue::Entry, events: &mut Vec<Event>) {
        let token = Token::unpack(completion.user_data());
        let more = cqueue::more(completion.flags());
        if !more {
            self.in_flight -= 1;
        }
        let outcome = match completion.result() {
            code if code < 0 => Err(io::Error::from_raw_os_error(-code)),
            count => Ok(count as u32),
        };
        match token.operation {
            Operation::Receive if self.mode == IoMode::Plain => self.on_readable(token.id, outcome, events),
            Operation::Receive => {
                let picked = cqueue::buffer_select(completion.flags());
                let buffer = picked.map(|index| self.pool.lend(index, *outcome.as_ref().unwrap_or(&0)));
                self.on_received(token.id, outcome.map(|_| buffer), more, events);
            }
            Operation::Send => {
                self.immediate -= 1;
                self.on_sent(token.id, outcome, events);
            }
            Operation::SendRest => self.on_sent(token.id, outcome, events),
            Operation::Accept => self.on_accepted(token.id.index(), outcome, more, events),
            Operation::AcceptPause => self.arm_accept(token.id.index()),
            Operation::Doorbell => self.on_rung(more, events),
            Operation::Cancel => self.immediate -= 1,
        }
    }

    fn cancel(&mut self, target: Token) {
        self.immediate += 1;
        let entry = opcode::AsyncCancel::new(target.pack()).build();
        self.push(entry, Token { operation: Operation::Cancel, ..target });
    }
}

/// Receiving.
impl Ring {
    fn arm_receive(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.find(id).filter(|socket| socket.may_receive()) else { return };
        socket.receiving = Receiving::Armed;
        let fd = Fd(socket.fd.as_raw_fd());
        let entry = match self.mode {
            IoMode::Multishot => opcode::RecvMulti::new(fd, GROUP).build(),
            IoMode::Plain => opcode::PollAdd::new(fd, (libc::POLLIN | libc::POLLRDHUP) as u32).build(),
        };
        self.push(entry, Token::new(Operation::Receive, id));
    }

    /// A receive brought a buffer, the end (`None`), or an error; it goes on if there is `more`.
    fn on_received(
        &mut self,
        id: SocketId,
        outcome: io::Result<Option<Buffer>>,
        more: bool,
        events: &mut Vec<Event>,
    ) {
        let Some(socket) = self.sockets.find(id) else { return };
        if !more {
            socket.receiving = Receiving::Off;
        }
        match outcome {
            Ok(Some(buffer)) if buffer.is_empty() => {
                self.pool.recycle(buffer);
                self.on_end(id, events);
            }
            Ok(Some(buffer)) if socket.reports() => events.push(Event::Received { id, buffer }),
            Ok(Some(buffer)) => self.pool.recycle(buffer),
            Ok(None) => self.on_end(id, events),
            Err(error) => match error.raw_os_error() {
                Some(libc::ENOBUFS) => self.starve(id),
                Some(libc::ECANCELED | libc::EINTR | libc::EAGAIN) => {}
                _ => self.fail(id, error, events),
            },
        }
        if !more {
            self.settle(id);
        }
    }

    /// Plain mode: the socket has bytes, or ended, or broke; `recv(2)` tells which.
    fn on_readable(&mut self, id: SocketId, outcome: io::Result<u32>, events: &mut Vec<Event>) {
        let Some(socket) = self.sockets.find(id) else { return };
        let outcome = match outcome {
            Ok(_) if !socket.may_receive() => Err(io::Error::from_raw_os_error(libc::ECANCELED)),
            Ok(_) => self.pool.fill(|bytes| receive_now(&socket.fd, bytes)),
            Err(error) => Err(error),
        };
        self.on_received(id, outcome, false, events);
    }

    fn on_end(&mut self, id: SocketId, events: &mut Vec<Event>) {
        let Some(socket) = self.sockets.find(id) else { return };
        if socket.reports() && !mem::replace(&mut socket.ended, true) {
            events.push(Event::Closed { id, error: None });
        }
    }

    fn starve(&mut self, id: SocketId) {
        self.statistics.receive_starved += 1;
        let Some(socket) = self.sockets.find(id).filter(|socket| socket.may_receive()) else { return };
        socket.receiving = Receiving::Starved;
        self.starved.push_back(id);
    }

    fn fail(&mut self, id: SocketId, error: io::Error, events: &mut Vec<Event>) {
        let Some(socket) = self.sockets.find(id).filter(|socket| socket.reports()) else { return };
        socket.failed = true;
        events.push(Event::Closed { id, error: Some(error) });
    }

    /// After an operation ended: frees a closed socket that nothing holds any more, or receives on.
    fn settle(&mut self, id: SocketId) {
        let Some(socket) = self.sockets.find(id) else { return };
        if socket.closing && !socket.is_busy() {
            self.sockets.remove(id);
        } else if socket.receiving == Receiving::Off {
            self.arm_receive(id);
        }
    }
}

/// Sending.
impl Ring {
    fn push_send(&mut self, id: SocketId, operation: Operation) {
        let Some(socket) = self.sockets.find(id) else { return };
        let rest = &socket.output[socket.output_sent..];
        let length = rest.len().min(SEND_BYTES_MAX) as u32;
        // The first try must not combine with MSG_WAITALL: kernels before 6.1 forget, when such a send would have to
        // wait and may not, that a part of it has left.
        let waiting = match operation {
            Operation::Send => libc::MSG_DONTWAIT,
            _ => libc::MSG_WAITALL,
        };
        let entry = opcode::Send::new(Fd(socket.fd.as_raw_fd()), rest.as_ptr(), length)
            .flags(waiting | libc::MSG_NOSIGNAL)
            .build();
        self.immediate += usize::from(operation == Operation::Send);
        self.push(entry, Token::new(operation, id));
    }

    fn on_sent(&mut self, id: SocketId, outcome: io::Result<u32>, events: &mut Vec<Event>) {
        let Some(socket) = self.sockets.find(id) else { return };
        match outcome {
            Ok(count) => {
                socket.output_sent += count as usize;
                if socket.output_sent >= socket.output.len() {
                    return self.finish_send(id, None, events);
                }
            }
            Err(error) => match error.raw_os_error() {
                Some(libc::EAGAIN | libc::EINTR) => {}
                _ => return self.finish_send(id, Some(error), events),
            },
        }
        if socket.reports() {
            self.statistics.sends_blocked += 1;
            self.push_send(id, Operation::SendRest);
        } else {
            self.finish_send(id, None, events);
        }
    }

    fn finish_send(&mut self, id: SocketId, error: Option<io::Error>, events: &mut Vec<Event>) {
        let Some(socket) = self.sockets.find(id) else { return };
        socket.sending = false;
        let mut buffer = mem::take(&mut socket.output);
        if let Some(error) = error {
            self.fail(id, error, events);
        } else if socket.reports() {
            buffer.clear();
            events.push(Event::Sent { id, buffer });
        }
        if self.sockets.find(id).is_some_and(|socket| socket.closing) {
            self.settle(id);
        }
    }
}

/// Accepting, and the doorbell.
impl Ring {
    fn arm_accept(&mut self, index: usize) {
        let listener = &mut self.listeners[index];
        if listener.stopped {
            listener.fd = None;
            return;
        }
        let Some(fd) = listener.fd.as_ref().map(|fd| Fd(fd.as_raw_fd())) else { return };
        let null = std::ptr::null_mut();
        let entry = match self.mode {
            IoMode::Multishot => opcode::AcceptMulti::new(fd).flags(libc::SOCK_CLOEXEC).build(),
            IoMode::Plain => opcode::Accept::new(fd, null, null.cast()).flags(libc::SOCK_CLOEXEC).build(),
        };
        self.push(entry, Token::other(Operation::Accept, index));
    }

    fn on_accepted(&mut self, index: usize, outcome: io::Result<u32>, more: bool, events: &mut Vec<Event>) {
        let tag = self.listeners[index].tag;
        match outcome {
            Ok(fd) => {
                // SAFETY: the kernel just made this descriptor for us.
                let fd = unsafe { OwnedFd::from_raw_fd(fd as RawFd) };
                events.push(Event::Accepted { tag, fd });
            }
            Err(error) => match error.raw_os_error() {
                _ if self.listeners[index].stopped => {}
                Some(libc::ECONNABORTED | libc::EINTR | libc::EAGAIN) => {}
                _ => {
                    self.statistics.accept_failures += 1;
                    events.push(Event::AcceptFailed { tag, error });
                    if !more {
                        let entry = opcode::Timeout::new(&raw const ACCEPT_PAUSE).build();
                        self.push(entry, Token::other(Operation::AcceptPause, index));
                    }
                    return;
                }
            },
        }
        if !more {
            self.arm_accept(index);
        }
    }

    fn arm_doorbell(&mut self) {
        let multishot = self.mode == IoMode::Multishot;
        let fd = Fd(self.doorbell.raw_fd());
        let entry = opcode::PollAdd::new(fd, libc::POLLIN as u32).multi(multishot).build();
        self.push(entry, Token::other(Operation::Doorbell, 0));
    }

    fn on_rung(&mut self, more: bool, events: &mut Vec<Event>) {
        events.push(Event::Rung);
        if !more {
            self.doorbell.drain();
            self.arm_doorbell();
        }
    }
}

impl Drop for Ring {
    /// Ends all operations before their memory goes: the kernel cancels those of a closed ring only later, and would
    /// meanwhile write into what is no longer ours.
    fn drop(&mut self) {
        for index in 0..self.listeners.len() {
            let tag = self.listeners[index].tag;
            self.stop_listening(tag);
        }
        for id in self.sockets.ids() {
            self.close(id);
        }
        // The doorbell's poll touches no memory of ours and is left to the kernel.
        let mut events = Vec::new();
        for _ in 0..DROP_TRIES {
            if self.in_flight <= 1 {
                return;
            }
            let waited = self.wait(&mut events, Some(Duration::from_millis(DROP_WAIT_MS)));
            for event in events.drain(..) {
                if let Event::Received { buffer, .. } = event {
                    self.recycle(buffer);
                }
            }
            if waited.is_err() {
                break;
            }
        }
        // Something is stuck in the kernel: its memory must stay.
        mem::forget(mem::take(&mut self.sockets));
        self.pool.leak();
    }
}

/// Errors of `io_uring_enter` that only mean "nothing happened" or "reap first"; what was queued stays queued.
fn tolerate(error: io::Error) -> io::Result<()> {
    match error.raw_os_error() {
        Some(libc::ETIME | libc::EINTR | libc::EBUSY | libc::EAGAIN) => Ok(()),
        _ => Err(error),
    }
}

fn receive_now(fd: &OwnedFd, bytes: &mut [u8]) -> io::Result<usize> {
    // SAFETY: the pointer and length are those of a slice that we may write to.
    let count =
        unsafe { libc::recv(fd.as_raw_fd(), bytes.as_mut_ptr().cast(), bytes.len(), libc::MSG_DONTWAIT) };
    if count < 0 { Err(io::Error::last_os_error()) } else { Ok(count as usize) }
}
