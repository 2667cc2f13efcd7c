//! A safe face for epoll: level-triggered, one token per socket.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

/// An epoll instance and the room for its events.
pub struct Poll {
    epoll: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Poll {
    /// An instance that reports up to `events` sockets at a time.
    ///
    /// # Errors
    /// When the process or the system is out of descriptors.
    pub fn new(events: usize) -> io::Result<Self> {
        // SAFETY: takes no pointer.
        let descriptor = check(unsafe { libc::epoll_create1(libc::EPOLL_CLOEXEC) })?;
        // SAFETY: the descriptor was just made and belongs to nobody else.
        let epoll = unsafe { OwnedFd::from_raw_fd(descriptor) };
        Ok(Self { epoll, events: Vec::with_capacity(events.max(1)) })
    }

    /// Watches `socket` for input; its events carry `token`.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn add(&self, socket: &impl AsFd, token: usize) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_ADD, socket, token, false)
    }

    /// Watches `socket` for room for output too, or no longer.
    ///
    /// # Errors
    /// Those of epoll_ctl(2).
    pub fn watch_output(&self, socket: &impl AsFd, token: usize, watch: bool) -> io::Result<()> {
        self.control(libc::EPOLL_CTL_MOD, socket, token, watch)
    }

    fn control(&self, operation: i32, socket: &impl AsFd, token: usize, output: bool) -> io::Result<()> {
        let output = if output { libc::EPOLLOUT } else { 0 };
        let mut event = libc::epoll_event { events: (libc::EPOLLIN | output) as u32, u64: token as u64 };
        let descriptor = socket.as_fd().as_raw_fd();
        // SAFETY: both descriptors are open, and `event` outlives the call, which only reads it.
        check(unsafe { libc::epoll_ctl(self.epoll.as_raw_fd(), operation, descriptor, &raw mut event) })
            .map(drop)
    }

    /// Waits at most `timeout` and returns how many sockets have input, room, or an error.
    ///
    /// # Errors
    /// Those of epoll_pwait2(2), which needs Linux 5.11; an interruption counts as no event.
    pub fn wait(&mut self, timeout: Duration) -> io::Result<usize> {
        let timeout = libc::timespec {
            tv_sec: timeout.as_secs() as libc::time_t,
            tv_nsec: timeout.subsec_nanos().into(),
        };
        self.events.clear();
        let room = i32::try_from(self.events.capacity()).unwrap_or(i32::MAX);
        let events = self.events.as_mut_ptr();
        // SAFETY: `events` points to room for `room` events; the time outlives the call; no signal mask is given.
        let count = unsafe {
            libc::epoll_pwait2(self.epoll.as_raw_fd(), events, room, &raw const timeout, std::ptr::null())
        };
        let count = match check(count) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => 0,
            count => count? as usize,
        };
        // SAFETY: the kernel has written `count` events, which is at most the capacity.
        unsafe { self.events.set_len(count) };
        Ok(count)
    }

    /// The token of the last wait's event `index`.
    pub fn token(&self, index: usize) -> usize {
        self.events[index].u64 as usize
    }
}

fn check(result: i32) -> io::Result<i32> {
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn input_and_output() {
        let (mut near, far) = UnixStream::pair().unwrap();
        let mut poll = Poll::new(4).unwrap();
        poll.add(&far, 7).unwrap();
        assert_eq!(poll.wait(Duration::ZERO).unwrap(), 0);
        near.write_all(b"x").unwrap();
        assert_eq!(poll.wait(Duration::from_secs(5)).unwrap(), 1);
        assert_eq!(poll.token(0), 7);
        poll.add(&near, 9).unwrap();
        poll.watch_output(&near, 9, true).unwrap();
        assert_eq!(poll.wait(Duration::ZERO).unwrap(), 2);
    }
}
