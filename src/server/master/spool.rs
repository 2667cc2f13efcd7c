//! Files that nobody can see, for what replicas have yet to take: a snapshot that is being written while it is sent, and the
//! part of the stream that has left the backlog. So neither ties the master's memory to a replica's speed.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::server::snapshot::SnapshotSink;

/// A file in `directory` without a name.
pub(super) fn unnamed_file(directory: &Path) -> io::Result<File> {
    use std::os::unix::fs::OpenOptionsExt;
    use std::sync::atomic::{AtomicU64, Ordering};
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let path = directory.join(format!("temp-spool-{}-{number}.rdb", std::process::id()));
    let mut options = File::options();
    let file = options.read(true).write(true).create_new(true).mode(0o600).open(&path)?;
    std::fs::remove_file(&path)?;
    Ok(file)
}

/// How far a snapshot is written.
#[derive(Debug)]
struct Progress {
    bytes: u64,
    end: Option<Result<(), String>>,
}

/// A snapshot that one thread writes and others read behind it.
#[derive(Debug)]
pub(super) struct Spool {
    file: File,
    progress: Mutex<Progress>,
    changed: Condvar,
}

impl Spool {
    /// An empty one.
    pub fn new(directory: &Path) -> io::Result<Self> {
        let progress = Mutex::new(Progress { bytes: 0, end: None });
        Ok(Self { file: unnamed_file(directory)?, progress, changed: Condvar::new() })
    }

    fn progress(&self) -> MutexGuard<'_, Progress> {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All of it is there, or it never will be, and why.
    pub fn end(&self, end: Result<(), String>) {
        self.progress().end.get_or_insert(end);
        self.changed.notify_all();
    }

    /// Whether it failed.
    pub fn has_failed(&self) -> bool {
        matches!(self.progress().end, Some(Err(_)))
    }

    /// The size of the whole, once it is known; `None` if the time is over before that.
    pub fn wait_for_size(&self, timeout: Duration) -> io::Result<Option<u64>> {
        let progress = self.progress();
        let waits = |progress: &mut Progress| progress.end.is_none();
        let waited = self.changed.wait_timeout_while(progress, timeout, waits);
        let (progress, _) = waited.unwrap_or_else(PoisonError::into_inner);
        match &progress.end {
            None => Ok(None),
            Some(Ok(())) => Ok(Some(progress.bytes)),
            Some(Err(reason)) => Err(io::Error::other(reason.clone())),
        }
    }

    /// Bytes from `position` on, as soon as there are any; 0 at the end.
    pub fn read(&self, position: u64, into: &mut [u8]) -> io::Result<usize> {
        let progress = self.progress();
        let waits = |progress: &mut Progress| progress.bytes <= position && progress.end.is_none();
        let progress = self.changed.wait_while(progress, waits).unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(reason)) = &progress.end {
            return Err(io::Error::other(reason.clone()));
        }
        let there = usize::try_from(progress.bytes - position).unwrap_or(usize::MAX);
        drop(progress);
        let count = there.min(into.len());
        self.file.read_exact_at(&mut into[..count], position)?;
        Ok(count)
    }
}

/// The writing end of a spool.
#[derive(Debug)]
pub(in crate::server) struct SpoolWriter {
    /// What readers share.
    pub(super) spool: Arc<Spool>,
}

impl Write for SpoolWriter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let position = self.spool.progress().bytes;
        self.spool.file.write_all_at(bytes, position)?;
        self.spool.progress().bytes += bytes.len() as u64;
        self.spool.changed.notify_all();
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl SnapshotSink for SpoolWriter {
    fn finish(&mut self) -> io::Result<()> {
        self.spool.end(Ok(()));
        Ok(())
    }

    fn abandon(&mut self, reason: &str) {
        self.spool.end(Err(reason.to_owned()));
    }
}

/// Bytes of the stream that have left the backlog before a replica took them.
#[derive(Debug)]
pub(super) struct Overflow {
    file: File,
    /// Position in the stream of the file's first byte.
    start: u64,
    /// Position in the stream behind its last.
    end: u64,
}

impl Overflow {
    /// An empty one that begins at a position of the stream.
    pub fn new(directory: &Path, start: u64) -> io::Result<Self> {
        Ok(Self { file: unnamed_file(directory)?, start, end: start })
    }

    /// Appends the bytes at `position`, as far as they are new.
    pub fn append(&mut self, position: u64, bytes: &[u8]) -> io::Result<()> {
        let known = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let Some(fresh) = bytes.get(known..) else { return Ok(()) };
        self.file.write_all_at(fresh, self.end - self.start)?;
        self.end += fresh.len() as u64;
        Ok(())
    }

    /// Position in the stream behind the last byte.
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Up to `bytes_max` bytes from a position of the stream on.
    pub fn read(&self, position: u64, bytes_max: usize) -> io::Result<Vec<u8>> {
        let there = usize::try_from(self.end.saturating_sub(position)).unwrap_or(usize::MAX);
        let mut bytes = vec![0; there.min(bytes_max)];
        self.file.read_exact_at(&mut bytes, position - self.start)?;
        Ok(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_is_read_while_it_is_written() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Arc::new(Spool::new(directory.path()).unwrap());
        let mut writer = SpoolWriter { spool: Arc::clone(&spool) };
        let reader = {
            let spool = Arc::clone(&spool);
            std::thread::spawn(move || {
                let (mut all, mut buffer) = (Vec::new(), [0; 1000]);
                loop {
                    let count = spool.read(all.len() as u64, &mut buffer).unwrap();
                    if count == 0 {
                        return all;
                    }
                    all.extend_from_slice(&buffer[..count]);
                }
            })
        };
        let bytes: Vec<u8> = (0..100_000u32).map(|number| number as u8).collect();
        for part in bytes.chunks(777) {
            writer.write_all(part).unwrap();
        }
        assert_eq!(spool.wait_for_size(Duration::from_millis(1)).unwrap(), None);
        spool.end(Ok(()));
        assert_eq!(reader.join().unwrap(), bytes);
        assert_eq!(spool.wait_for_size(Duration::ZERO).unwrap(), Some(bytes.len() as u64));
        assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[test]
    fn readers_of_a_failed_snapshot_are_told() {
        let directory = tempfile::tempdir().unwrap();
        let spool = Spool::new(directory.path()).unwrap();
        spool.end(Err("disk full".into()));
        assert!(spool.read(0, &mut [0; 10]).is_err());
        assert!(spool.wait_for_size(Duration::ZERO).is_err());
    }

    #[test]
    fn the_overflow_takes_each_byte_once() {
        let directory = tempfile::tempdir().unwrap();
        let mut overflow = Overflow::new(directory.path(), 100).unwrap();
        overflow.append(96, b"0123abcd").unwrap();
        overflow.append(100, b"abcdef").unwrap();
        overflow.append(90, b"old").unwrap();
        assert_eq!(overflow.end(), 106);
        assert_eq!(overflow.read(100, 99).unwrap(), b"abcdef");
        assert_eq!(overflow.read(103, 2).unwrap(), b"de");
    }
}
