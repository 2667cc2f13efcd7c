//! Registers of persistence: what was saved when, what is being saved or loaded. Shard zero, the writer of snapshots and the
//! loader write them, every shard reads.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

/// A dataset that is being loaded, or the last one.
#[derive(Debug, Default)]
pub struct Loading {
    /// Whether clients must wait for it.
    pub is_on: AtomicBool,
    /// When it began, Unix seconds.
    pub started_at: AtomicI64,
    /// Bytes of the file.
    pub total_bytes: AtomicU64,
    /// Bytes of it that were read.
    pub loaded_bytes: AtomicU64,
    /// Bytes that the dataset took when it was saved.
    pub used_memory: AtomicU64,
    /// Keys that were loaded.
    pub keys: AtomicU64,
    /// Keys that were left out because their time was over.
    pub expired_keys: AtomicU64,
}

impl Loading {
    /// A load of so many bytes begins.
    pub fn begin(&self, total_bytes: u64, now_seconds: i64) {
        self.started_at.store(now_seconds, Ordering::Relaxed);
        self.total_bytes.store(total_bytes, Ordering::Relaxed);
        for register in [&self.loaded_bytes, &self.used_memory, &self.keys, &self.expired_keys] {
            register.store(0, Ordering::Relaxed);
        }
    }
}

/// All of them.
#[derive(Debug)]
pub struct Persistence {
    /// What is being loaded.
    pub loading: Loading,
    /// When the dataset was last saved, Unix seconds.
    pub saved_at: AtomicI64,
    /// Changes of the dataset before that.
    pub saved_dirty: AtomicU64,
    /// Since when it is saved in the background, Unix seconds; 0 when it is not.
    pub saving_since: AtomicI64,
    /// How long that took last, seconds; -1 if it never was.
    pub last_duration: AtomicI64,
    /// Whether the last attempt failed.
    pub has_failed: AtomicBool,
    /// Attempts so far.
    pub saves: AtomicU64,
    /// Keys of the snapshot under way, zero when there is none.
    pub keys_to_save: AtomicU64,
    /// Those of them that are written.
    pub keys_saved: AtomicU64,
}

impl Persistence {
    /// Registers of a server that starts at this time, in Unix seconds.
    pub fn new(now_seconds: i64) -> Self {
        Self {
            loading: Loading::default(),
            saved_at: AtomicI64::new(now_seconds),
            saved_dirty: AtomicU64::new(0),
            saving_since: AtomicI64::new(0),
            last_duration: AtomicI64::new(-1),
            has_failed: AtomicBool::new(false),
            saves: AtomicU64::new(0),
            keys_to_save: AtomicU64::new(0),
            keys_saved: AtomicU64::new(0),
        }
    }

    /// Whether clients must wait until the dataset is loaded.
    #[inline]
    pub fn is_loading(&self) -> bool {
        self.loading.is_on.load(Ordering::Relaxed)
    }

    /// Changes since the dataset was saved, of so many in all.
    pub fn unsaved(&self, dirty: u64) -> u64 {
        dirty.saturating_sub(self.saved_dirty.load(Ordering::Relaxed))
    }
}
