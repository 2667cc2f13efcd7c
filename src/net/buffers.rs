//! The memory that a ring receives into: a fixed pool of equal buffers, lent out one by one.
//!
//! In multishot mode the free buffers lie in a ring shared with the kernel, which picks one when bytes arrive
//! (`io_uring_register_buf_ring(3)`); in plain mode the pool hands them out itself. What does not live here: who
//! waits for a buffer when there is none; see `ring`.

use std::io;
use std::ptr::NonNull;
use std::sync::atomic::{AtomicU16, Ordering};

use io_uring::Submitter;
use io_uring::types::BufRingEntry;

/// The most memory that one pool may take.
pub(super) const POOL_BYTES_MAX: usize = 32 << 20;

/// The one buffer group that a ring registers.
pub(super) const GROUP: u16 = 0;

/// Received bytes, lent by the ring. Read them with [`Ring::bytes`](super::Ring::bytes) and give the buffer back with
/// [`Ring::recycle`](super::Ring::recycle); one that is dropped instead is lost to its ring for good.
#[derive(Debug)]
#[must_use = "a buffer that is not recycled is lost to its ring"]
pub struct Buffer {
    index: u16,
    /// Which pool lent it: a buffer of another ring must not be taken for one's own.
    pool: u16,
    length: u32,
}

impl Buffer {
    /// The number of bytes received.
    pub fn len(&self) -> usize {
        self.length as usize
    }

    /// Never true for a buffer that an event carries.
    pub fn is_empty(&self) -> bool {
        self.length == 0
    }
}

/// The pool of one ring.
pub(super) struct Pool {
    memory: Mapping,
    buffer_bytes: usize,
    count: usize,
    /// How many buffers are free, counting those that the kernel took but did not report yet.
    available: usize,
    free: Free,
    identity: u16,
}

enum Free {
    /// Entries in the ring shared with the kernel; `tail` runs ahead of the published one until [`Pool::publish`].
    Shared { ring: Mapping, tail: u16, published: u16 },
    /// The last one recycled is the first one taken: it is still in the cache.
    Own(Vec<u16>),
}

impl Pool {
    /// Maps a pool; `count` is a power of two of at most 32768. Pages take memory when they are first written to.
    pub fn new(count: u16, buffer_bytes: u32, shared: bool) -> io::Result<Self> {
        static POOLS: AtomicU16 = AtomicU16::new(0);
        let buffer_bytes = buffer_bytes as usize;
        let total = usize::from(count) * buffer_bytes;
        if !count.is_power_of_two() || buffer_bytes == 0 || total > POOL_BYTES_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "receive buffers: {count} of {buffer_bytes} bytes; the count must be a power of two and the sum at most {POOL_BYTES_MAX}"
                ),
            ));
        }
        let free = if shared {
            let ring = Mapping::new(usize::from(count) * size_of::<BufRingEntry>())?;
            Free::Shared { ring, tail: 0, published: 0 }
        } else {
            Free::Own(Vec::with_capacity(usize::from(count)))
        };
        let identity = POOLS.fetch_add(1, Ordering::Relaxed);
        let memory = Mapping::new(total)?;
        let mut pool = Self { memory, buffer_bytes, count: usize::from(count), available: 0, free, identity };
        for index in (0..count).rev() {
            pool.put(index);
        }
        Ok(pool)
    }

    /// Shows the shared ring to the kernel. A pool of the plain kind has nothing to show.
    pub fn register(&mut self, submitter: &Submitter<'_>) -> io::Result<()> {
        if let Free::Shared { ring, .. } = &self.free {
            let address = ring.start.as_ptr() as u64;
            // SAFETY: the mapping holds `count` entries, is page-aligned, and outlives the io_uring (`Ring` drops
            // its io_uring first and keeps the pool when operations are left over).
            unsafe { submitter.register_buf_ring_with_flags(address, self.count as u16, GROUP, 0)? };
        }
        self.publish();
        Ok(())
    }

    /// Takes over a buffer into which the kernel put `length` bytes.
    pub fn lend(&mut self, index: u16, length: u32) -> Buffer {
        assert!(usize::from(index) < self.count && length as usize <= self.buffer_bytes);
        self.available -= 1;
        Buffer { index, pool: self.identity, length }
    }

    /// Has a free buffer of a plain pool filled, and takes it if bytes came. ENOBUFS when all are lent.
    pub fn fill(&mut self, fill: impl FnOnce(&mut [u8]) -> io::Result<usize>) -> io::Result<Option<Buffer>> {
        let Free::Own(indices) = &mut self.free else {
            unreachable!("the kernel picks the buffers of a shared pool");
        };
        let Some(&index) = indices.last() else {
            return Err(io::Error::from_raw_os_error(libc::ENOBUFS));
        };
        let start = self.memory.start.as_ptr().wrapping_add(usize::from(index) * self.buffer_bytes);
        // SAFETY: the index is free, so nobody else refers to these bytes; they lie inside the mapping.
        let bytes = unsafe { std::slice::from_raw_parts_mut(start, self.buffer_bytes) };
        let length = fill(bytes)?.min(self.buffer_bytes) as u32;
        if length == 0 {
            return Ok(None);
        }
        indices.pop();
        self.available -= 1;
        Ok(Some(Buffer { index, pool: self.identity, length }))
    }

    /// The bytes that were received into this buffer.
    pub fn bytes(&self, buffer: &Buffer) -> &[u8] {
        assert_eq!(buffer.pool, self.identity, "a buffer of another ring");
        let start = self.memory.start.as_ptr().wrapping_add(usize::from(buffer.index) * self.buffer_bytes);
        // SAFETY: `Buffer` cannot be copied, so while it exists its slot is neither with the kernel nor lent twice;
        // `lend` and `fill` checked index and length.
        unsafe { std::slice::from_raw_parts(start, buffer.length as usize) }
    }

    /// Takes a buffer back; the kernel sees it at the next [`Pool::publish`].
    pub fn recycle(&mut self, buffer: Buffer) {
        assert_eq!(buffer.pool, self.identity, "a buffer of another ring");
        self.put(buffer.index);
    }

    /// Shows all recycled buffers to the kernel: one store for any number of them.
    pub fn publish(&mut self) {
        let Free::Shared { ring, tail, published } = &mut self.free else { return };
        if tail == published {
            return;
        }
        *published = *tail;
        // SAFETY: the mapping starts with an initialized entry, whose reserved field is the ring's tail; the kernel
        // only reads it, so an atomic store by the only writer is sound.
        unsafe {
            let field = BufRingEntry::tail(ring.start.as_ptr().cast());
            (*field.cast::<AtomicU16>()).store(*tail, Ordering::Release);
        }
    }

    /// How many buffers are free, counting those that the kernel took but did not report yet.
    pub fn available(&self) -> usize {
        self.available
    }

    /// Keeps the memory for ever, when the kernel may still write to it.
    pub fn leak(&mut self) {
        self.memory.leaked = true;
        if let Free::Shared { ring, .. } = &mut self.free {
            ring.leaked = true;
        }
    }

    fn put(&mut self, index: u16) {
        self.available += 1;
        match &mut self.free {
            Free::Own(indices) => indices.push(index),
            Free::Shared { ring, tail, .. } => {
                let slot = usize::from(*tail) & (self.count - 1);
                let address = self.memory.start.as_ptr() as usize + usize::from(index) * self.buffer_bytes;
                // SAFETY: `slot` is below `count`, the number of entries in the mapping, and no more than `count`
                // buffers exist, so the kernel does not read this entry before the tail covers it. The reserved field
                // of the first entry is the tail and is left alone.
                let entry = unsafe { &mut *ring.start.as_ptr().cast::<BufRingEntry>().add(slot) };
                entry.set_addr(address as u64);
                entry.set_len(self.buffer_bytes as u32);
                entry.set_bid(index);
                *tail = tail.wrapping_add(1);
            }
        }
    }
}

/// Zeroed anonymous memory, page-aligned, that takes room only where it is touched.
struct Mapping {
    start: NonNull<u8>,
    bytes: usize,
    leaked: bool,
}

impl Mapping {
    fn new(bytes: usize) -> io::Result<Self> {
        let protection = libc::PROT_READ | libc::PROT_WRITE;
        let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
        // SAFETY: an anonymous mapping at an address of the kernel's choice touches no existing memory.
        let start = unsafe { libc::mmap(std::ptr::null_mut(), bytes, protection, flags, -1, 0) };
        if start == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let start = NonNull::new(start.cast()).ok_or(io::ErrorKind::OutOfMemory)?;
        Ok(Self { start, bytes, leaked: false })
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        if self.leaked {
            return;
        }
        // SAFETY: this is the mapping that `new` made, and all borrows of it end with `self`.
        unsafe { libc::munmap(self.start.as_ptr().cast(), self.bytes) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plain_pool_lends_each_buffer_once_and_takes_it_back() {
        let mut pool = Pool::new(4, 16, false).unwrap();
        let mut lent: Vec<Buffer> = (0..4u8)
            .map(|tag| {
                pool.fill(|bytes| {
                    bytes.fill(tag);
                    Ok(usize::from(tag) + 1)
                })
                .unwrap()
                .unwrap()
            })
            .collect();
        assert_eq!(pool.available(), 0);
        assert_eq!(pool.fill(|_| Ok(1)).unwrap_err().raw_os_error(), Some(libc::ENOBUFS));
        for (tag, buffer) in lent.iter().enumerate() {
            assert_eq!(pool.bytes(buffer), vec![tag as u8; tag + 1]);
        }
        pool.recycle(lent.pop().unwrap());
        assert_eq!(pool.available(), 1);
        assert!(pool.fill(|_| Ok(0)).unwrap().is_none());
        assert_eq!(pool.available(), 1, "a fill without bytes takes nothing");
    }

    #[test]
    fn pools_beyond_the_bound_are_refused() {
        assert!(Pool::new(512, 16 << 10, true).is_ok());
        assert!(Pool::new(2048, 16 << 10, true).is_ok());
        assert!(Pool::new(4096, 16 << 10, true).is_err());
        assert!(Pool::new(3, 16, true).is_err());
        assert!(Pool::new(0, 16, true).is_err());
    }

    #[test]
    #[should_panic(expected = "a buffer of another ring")]
    fn a_buffer_of_another_pool_is_refused() {
        let mut one = Pool::new(1, 16, false).unwrap();
        let mut other = Pool::new(1, 16, false).unwrap();
        other.recycle(one.fill(|_| Ok(1)).unwrap().unwrap());
    }
}
