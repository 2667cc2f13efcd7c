//! The doorbell: how another thread wakes a shard that waits in its ring.
//!
//! What does not live here: when to ring. A sender announces nothing and counts nothing; it rings, and the owner's
//! [`Ring`](super::Ring) reports [`Event::Rung`](super::Event::Rung) at least once afterwards.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, RawFd};
use std::sync::Arc;

/// A cheap handle to one shard's doorbell; clones ring the same bell, from any thread.
#[derive(Clone, Debug)]
pub struct Doorbell {
    /// An eventfd. Its counter only ever grows while a multishot poll watches it (2^64 rings would be needed to
    /// fill it); a poll that has to be armed again is preceded by [`Doorbell::drain`].
    counter: Arc<File>,
}

impl Doorbell {
    /// Makes a bell that has not been rung.
    pub(super) fn new() -> io::Result<Self> {
        // SAFETY: no pointers are passed; the result is checked before use.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        // SAFETY: the kernel just returned this descriptor and nobody else owns it.
        let counter = unsafe { File::from_raw_fd(fd) };
        Ok(Self { counter: Arc::new(counter) })
    }

    /// Wakes the owner. One system call, never blocks. Whatever was written to memory before is visible to the owner
    /// when it sees the event.
    pub fn ring(&self) {
        // The only possible failure is a full counter, and then the owner is being woken already.
        let _ = (&*self.counter).write(&1u64.to_ne_bytes());
    }

    /// Forgets the rings so far, so that a poll armed now reports only later ones.
    pub(super) fn drain(&self) {
        let mut count = [0; 8];
        let _ = (&*self.counter).read(&mut count);
    }

    pub(super) fn raw_fd(&self) -> RawFd {
        self.counter.as_raw_fd()
    }
}
