//! The end of the server, on shard zero: writes are held back, replicas get what they have yet to get, the dataset is saved if
//! that is configured, and all shards are told to stop. Until the last step it can be called off.

use std::sync::atomic::Ordering;

use super::barrier::SHUTDOWN_BARRIER;
use super::executor::Core;
use super::snapshot::Purpose;
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::config::ShutdownFlags;
use crate::shard::message::{Message, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::shard::replicas::FromMaster;
use crate::{notice, warning};

const FAILED: &str = "ERR Errors trying to SHUTDOWN. Check logs.";

/// How far a shutdown is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Writes that are under way end.
    Draining,
    /// Replicas get the stream up to this offset, until then at the latest.
    Lagging { offset: u64, until: UnixMillis },
    /// Snapshots under way end, the last one is made.
    Saving,
}

/// A shutdown under way.
#[derive(Debug)]
pub(super) struct Shutdown {
    flags: ShutdownFlags,
    /// Who asked for it.
    askers: Vec<(ShardId, Ticket)>,
    phase: Phase,
    /// The last snapshot.
    snapshot: Option<u64>,
}

impl Core {
    /// On shard zero: begins to end the server, as a client asked for it or a signal.
    pub fn begin_shutdown(
        &mut self,
        own: &mut Shard,
        flags: ShutdownFlags,
        asker: Option<(ShardId, Ticket)>,
    ) {
        if let Some(shutdown) = &mut self.shutdown {
            shutdown.askers.extend(asker);
            return;
        }
        notice!("User requested shutdown...");
        let mut flags = flags;
        if self.server.persistence.is_loading() {
            // What is loaded by half must not take the place of the file.
            flags = (flags - ShutdownFlags::SAVE) | ShutdownFlags::NOSAVE | ShutdownFlags::NOW;
        }
        self.shutdown = Some(Shutdown {
            flags,
            askers: asker.into_iter().collect(),
            phase: Phase::Draining,
            snapshot: None,
        });
        self.server.shutting_down.store(true, Ordering::Release);
        self.hold_writes(own, SHUTDOWN_BARRIER);
    }

    /// No write is under way any more, and the stream has them all.
    pub fn shutdown_settled(&mut self, own: &mut Shard) {
        let offset = self.server.replication.offset();
        let until = self.now.saturating_add(self.config.shutdown_timeout as i64 * 1000);
        let Some(shutdown) = &mut self.shutdown else { return };
        shutdown.phase = Phase::Lagging { offset, until };
        let may_wait = !shutdown.flags.contains(ShutdownFlags::NOW) && self.config.shutdown_timeout > 0;
        if may_wait && self.lagging(offset) > 0 {
            self.server.shutdown_waits_until.store(until, Ordering::Release);
            notice!("Waiting for replicas before shutting down.");
            self.master.ask_for_acknowledgements();
        } else {
            self.end_with_a_snapshot(own);
        }
    }

    fn lagging(&self, offset: u64) -> usize {
        self.server.replication.replicas().iter().filter(|replica| replica.offset < offset).count()
    }

    /// On shard zero, by the clock: goes on when no replica lags, or no longer waits for those that do.
    pub fn keep_shutdown_time(&mut self, own: &mut Shard) {
        let phase = self.shutdown.as_ref().map(|shutdown| shutdown.phase);
        if let Some(Phase::Lagging { offset, until }) = phase
            && (self.now >= until || self.lagging(offset) == 0)
        {
            self.end_with_a_snapshot(own);
        }
    }

    fn end_with_a_snapshot(&mut self, own: &mut Shard) {
        let Some(shutdown) = &mut self.shutdown else { return };
        let (phase, flags) = (std::mem::replace(&mut shutdown.phase, Phase::Saving), shutdown.flags);
        if let Phase::Lagging { offset, .. } = phase {
            let (all, lagging) = (self.server.replication.replicas().len(), self.lagging(offset));
            if all > 0 {
                notice!("{} of {all} replicas are in sync when shutting down.", all - lagging);
            }
        }
        if self.is_saving() {
            warning!("There is a snapshot under way. Ending it!");
            self.abandon_snapshots(own);
        }
        if flags.contains(ShutdownFlags::SAVE)
            || !self.config.save.is_empty() && !flags.contains(ShutdownFlags::NOSAVE)
        {
            notice!("Saving the final RDB snapshot before exiting.");
            let id = self.save(own, Purpose::Shutdown);
            if let Some(shutdown) = &mut self.shutdown {
                shutdown.snapshot = Some(id);
            }
        } else if !self.is_saving() {
            self.stop();
        }
    }

    /// A snapshot that a shutdown has ended is gone; if none is to follow, nothing is left to do.
    pub fn go_on_with_shutdown(&mut self) {
        let is_last = |shutdown: &Shutdown| shutdown.phase == Phase::Saving && shutdown.snapshot.is_none();
        if self.shutdown.as_ref().is_some_and(is_last) && !self.is_saving() {
            self.stop();
        }
    }

    /// The last snapshot is made, or cannot be made.
    pub fn final_snapshot_ended(&mut self, id: u64, is_made: bool) {
        // That of a shutdown that was called off may end after the next has begun.
        let Some(shutdown) = self.shutdown.as_ref().filter(|shutdown| shutdown.snapshot == Some(id)) else {
            return;
        };
        if is_made {
            return self.stop();
        }
        if shutdown.flags.contains(ShutdownFlags::FORCE) {
            warning!("Error trying to save the DB. Exit anyway.");
            return self.stop();
        }
        warning!("Error trying to save the DB, can't exit.");
        warning!("Errors trying to shut down the server. Check the logs for more information.");
        self.call_off();
    }

    /// On shard zero: SHUTDOWN ABORT.
    pub fn abort_shutdown(&mut self, own: &mut Shard, asker: (ShardId, Ticket)) {
        if self.shutdown.is_none() || self.stopping {
            return self.reply_elsewhere(asker, |reply| reply.error("ERR No shutdown in progress."));
        }
        let snapshot = self.shutdown.as_ref().and_then(|shutdown| shutdown.snapshot);
        self.call_off();
        if let Some(id) = snapshot {
            self.abandon_snapshot(own, id);
        }
        notice!("Shutdown manually aborted.");
        self.reply_elsewhere(asker, |reply| reply.ok());
    }

    fn call_off(&mut self) {
        self.server.shutting_down.store(false, Ordering::Release);
        self.server.shutdown_waits_until.store(0, Ordering::Release);
        self.server.pause.release_writes();
        let askers = self.shutdown.take().map(|shutdown| shutdown.askers);
        for asker in askers.into_iter().flatten() {
            self.reply_elsewhere(asker, |reply| reply.error(FAILED));
        }
        // Others go on with their clients when they next look at the clock.
        self.end_pause();
    }

    /// The point of no return.
    fn stop(&mut self) {
        let askers = self.shutdown.iter_mut().flat_map(|shutdown| std::mem::take(&mut shutdown.askers));
        for (home, ticket) in askers.collect::<Vec<_>>() {
            let hang_up = FromMaster::Disconnect(ticket.connection);
            self.shards.send(home, Message::Server(ServerMessage::FromMaster(hang_up)));
        }
        self.stop_all();
    }
}
