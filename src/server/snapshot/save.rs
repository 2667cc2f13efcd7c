//! Snapshots that are files: SAVE, BGSAVE and save points.

use std::sync::atomic::Ordering;

use super::sink::FileSink;
use super::write::GIVEN_UP;
use super::{FOR_FILES, Purpose, Request};
use crate::base::slot::ShardId;
use crate::command::home::SnapshotWish;
use crate::server::ask::ReplyTo;
use crate::server::executor::Core;
use crate::shard::message::{Message, ServerMessage, Ticket};
use crate::shard::owner::Shard;
use crate::shard::snapshot::ToSnapshots;
use crate::{notice, warning};

/// Milliseconds after a failed attempt before a save point tries again.
const RETRY_MS: i64 = 5000;

const IN_PROGRESS: &str = "ERR Background save already in progress";

impl Core {
    /// On a home shard: asks shard zero for what a client wants of snapshots. What follows on the connection waits.
    pub fn ask_for_snapshot(&mut self, to: ReplyTo, wish: SnapshotWish) {
        let Some(ticket) = self.await_reply(to) else { return };
        // By a message even on shard zero: in the midst of a tick commands are let in that have not run yet.
        let ask = ToSnapshots::Ask { home: self.id, ticket, wish };
        self.shards.send(0, Message::Server(ServerMessage::Snapshots(ask)));
    }

    pub(super) fn wish_snapshot(&mut self, own: &mut Shard, asker: (ShardId, Ticket), wish: SnapshotWish) {
        let is_in_background =
            self.snapshots.running.as_ref().is_some_and(|running| !running.purpose.is_save());
        match wish {
            _ if is_in_background => self.reply_elsewhere(asker, |reply| reply.error(IN_PROGRESS)),
            SnapshotWish::Save => {
                self.save(own, Purpose::Save(asker));
            }
            SnapshotWish::InBackground { inside_exec } if inside_exec || self.is_saving() => {
                self.snapshots.is_scheduled = true;
                self.reply_elsewhere(asker, |reply| reply.simple("Background saving scheduled"));
            }
            SnapshotWish::InBackground { .. } => {
                self.save_in_background(own);
                self.reply_elsewhere(asker, |reply| reply.simple("Background saving started"));
            }
            SnapshotWish::Reload(reload) => self.hold_for_reload(own, asker, reload),
        }
    }

    fn save_in_background(&mut self, own: &mut Shard) {
        self.snapshots.is_scheduled = false;
        notice!("Background saving started by pid {}", std::process::id());
        self.save(own, Purpose::Background);
    }

    /// Saves the dataset in the file; returns the number of the snapshot.
    pub fn save(&mut self, own: &mut Shard, purpose: Purpose) -> u64 {
        self.server.persistence.saves.fetch_add(1, Ordering::Relaxed);
        self.snapshots.tried_at = self.now;
        self.snapshots.last_number += 1;
        let id = FOR_FILES | self.snapshots.last_number;
        let sink = Box::new(FileSink::new(&self.config.dbfilename, self.config.rdb_save_incremental_fsync));
        self.request_snapshot(own, Request { id, purpose, replicates: false, sink });
        id
    }

    /// A snapshot has ended.
    pub(super) fn snapshot_ended(
        &mut self,
        own: &mut Shard,
        id: u64,
        purpose: Purpose,
        result: Result<(), String>,
    ) {
        if let Purpose::Replicas = purpose {
            return self.replica_snapshot_ended(own, id, result);
        }
        let registers = &self.server.persistence;
        match (&purpose, &result) {
            (Purpose::Replicas, _) => {}
            (Purpose::Save(_) | Purpose::Reload(..) | Purpose::Shutdown, Ok(())) => {
                notice!("DB saved on disk")
            }
            (Purpose::Save(_) | Purpose::Reload(..) | Purpose::Shutdown, Err(reason)) => {
                warning!("Error saving the DB: {reason}")
            }
            (Purpose::Background, Ok(())) => {
                notice!("DB saved on disk");
                notice!("Background saving terminated with success");
            }
            (Purpose::Background, Err(reason)) => {
                warning!("Error saving the DB: {reason}");
                warning!("Background saving error");
            }
        }
        match (&purpose, &result) {
            (Purpose::Replicas, _) => {}
            // Redis forgives by any file that was saved, and blames only what it does in the background, unless it was ended.
            (_, Ok(())) => registers.has_failed.store(false, Ordering::Relaxed),
            (Purpose::Background, Err(reason)) if reason == GIVEN_UP => {}
            (Purpose::Background, Err(_)) => registers.has_failed.store(true, Ordering::Relaxed),
            (_, Err(_)) => {}
        }
        match (purpose, result) {
            (Purpose::Save(asker), Ok(())) => self.reply_elsewhere(asker, |reply| reply.ok()),
            (Purpose::Reload(asker, reload), Ok(())) => self.reload(asker, reload),
            (Purpose::Reload(asker, _), Err(_)) => {
                self.release_after_reload();
                self.reply_elsewhere(asker, |reply| reply.error("ERR"));
            }
            (Purpose::Save(asker), Err(_)) => self.reply_elsewhere(asker, |reply| reply.error("ERR")),
            (Purpose::Shutdown, result) => self.final_snapshot_ended(id, result.is_ok()),
            (Purpose::Background | Purpose::Replicas, _) => {}
        }
    }

    /// FLUSHALL has run: what is being saved in the background is not wanted any more, and with save points a restart is not to
    /// bring back what the file has.
    pub(super) fn save_emptiness(&mut self, own: &mut Shard) {
        let running = self.snapshots.running.as_ref();
        let is_background = |purpose: &Purpose| matches!(purpose, Purpose::Background);
        if let Some(id) = running.filter(|running| is_background(&running.purpose)).map(|running| running.id)
        {
            self.abandon_snapshot(own, id);
        }
        self.snapshots.is_scheduled |= !self.config.save.is_empty();
    }

    /// On shard zero, by the clock: begins a snapshot that is scheduled or due.
    pub fn keep_save_points(&mut self, own: &mut Shard) {
        if self.is_saving() || self.server.persistence.is_loading() || self.shutdown.is_some() {
            return;
        }
        if self.snapshots.is_scheduled {
            return self.save_in_background(own);
        }
        let registers = &self.server.persistence;
        let may_try =
            !registers.has_failed.load(Ordering::Relaxed) || self.now - self.snapshots.tried_at > RETRY_MS;
        let seconds = self.now / 1000 - registers.saved_at.load(Ordering::Relaxed);
        let changes = registers.unsaved(self.server.totals().dirty);
        let is_due =
            |point: &&crate::config::SavePoint| changes >= point.changes && seconds > point.seconds as i64;
        let config = self.config.clone();
        if let Some(point) = config.save.iter().find(is_due).filter(|_| may_try) {
            notice!("{} changes in {} seconds. Saving...", point.changes, point.seconds);
            self.save_in_background(own);
        }
    }
}
