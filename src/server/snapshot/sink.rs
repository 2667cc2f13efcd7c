//! Where a snapshot goes: a file that takes its name when it is whole, or whatever else its reader provides.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use crate::warning;

/// Bytes after which what was written is handed to the disk (`rdb-save-incremental-fsync`).
const SYNC_BYTES: u64 = 4 << 20;

/// Takes the bytes of a snapshot, on the thread that writes it.
pub(in crate::server) trait SnapshotSink: Write + Send {
    /// Before the first byte.
    fn open(&mut self) -> io::Result<()> {
        Ok(())
    }

    /// Behind the last byte: now it counts.
    fn finish(&mut self) -> io::Result<()>;

    /// The snapshot is not to be, for this reason.
    fn abandon(&mut self, reason: &str);
}

/// The name of a file that is not whole.
fn temporary_name() -> PathBuf {
    PathBuf::from(format!("temp-{}.rdb", std::process::id()))
}

/// Removes a file that is not whole, when the process ends at once.
pub(in crate::server) fn remove_temporary_file() {
    // There may be none, and nobody is left to be told.
    let _ = std::fs::remove_file(temporary_name());
}

/// A file in the current directory.
pub(super) struct FileSink {
    name: PathBuf,
    temporary: PathBuf,
    file: Option<File>,
    syncs: bool,
    written: u64,
    synced: u64,
}

impl FileSink {
    /// A file of this name; `syncs` says whether it goes to the disk piece by piece.
    pub fn new(name: &Path, syncs: bool) -> Self {
        Self { name: name.into(), temporary: temporary_name(), file: None, syncs, written: 0, synced: 0 }
    }

    fn file(&mut self) -> io::Result<&mut File> {
        self.file.as_mut().ok_or_else(|| io::Error::other("the file is not open"))
    }

    /// Has the kernel begin to write what it has, so that the last sync is short.
    fn sync_some(&mut self) {
        let (from, bytes) = (self.synced as libc::off64_t, (self.written - self.synced) as libc::off64_t);
        self.synced = self.written;
        if let Some(file) = &self.file {
            let flags = libc::SYNC_FILE_RANGE_WAIT_BEFORE | libc::SYNC_FILE_RANGE_WRITE;
            // SAFETY: the call takes a descriptor that is open, and numbers. That it failed means no more than that the sync at
            // the end has more to do.
            unsafe { libc::sync_file_range(file.as_raw_fd(), from, bytes, flags) };
        }
    }
}

impl Write for FileSink {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.file()?.write(bytes)?;
        self.written += count as u64;
        if self.syncs && self.written - self.synced >= SYNC_BYTES {
            self.sync_some();
        }
        Ok(count)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn directory() -> String {
    std::env::current_dir().map_or_else(|_| "unknown".to_owned(), |path| path.display().to_string())
}

impl SnapshotSink for FileSink {
    fn open(&mut self) -> io::Result<()> {
        self.file = Some(File::create(&self.temporary).inspect_err(|error| {
            warning!(
                "Failed opening the temp RDB file {} (in server root dir {}) for saving: {error}",
                self.temporary.display(),
                directory(),
            );
        })?);
        Ok(())
    }

    fn finish(&mut self) -> io::Result<()> {
        self.file()?.sync_all()?;
        self.file = None;
        std::fs::rename(&self.temporary, &self.name).inspect_err(|error| {
            warning!(
                "Error moving temp DB file {} on the final destination {} (in server root dir {}): {error}",
                self.temporary.display(),
                self.name.display(),
                directory(),
            );
        })?;
        File::open(".")?.sync_all()
    }

    fn abandon(&mut self, _: &str) {
        self.file = None;
        if let Err(error) = std::fs::remove_file(&self.temporary)
            && error.kind() != io::ErrorKind::NotFound
        {
            warning!("Could not remove {}: {error}", self.temporary.display());
        }
    }
}
