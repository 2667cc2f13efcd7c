//! Datasets that are loaded: the barrier at the end of a load into a dataset beside the one that clients see.

use std::sync::mpsc::Sender;

use crate::server::executor::Core;
use crate::shard::owner::Shard;

/// Number of the barrier that puts a loaded dataset into the place of the one there is, among the transactions of the server's own.
pub(in crate::server) const ADOPT_BARRIER: u64 = 11;

impl Core {
    /// On shard zero: a dataset is loaded and takes the place of the one there is, on all shards at once.
    pub(super) fn adopt_loaded(&mut self, own: &mut Shard, number: u64, done: Sender<()>) {
        self.snapshots.adopting.push_back(done);
        self.begin_whole(own, ADOPT_BARRIER, 0, &[b"DEBUG", b"ADOPT", number.to_string().as_bytes()]);
    }

    /// It has. Barriers of one shard follow one another, so it is the first that waits.
    pub fn loaded_is_adopted(&mut self) {
        if let Some(done) = self.snapshots.adopting.pop_front() {
            // Who asked may wait no more.
            let _ = done.send(());
        }
    }
}
