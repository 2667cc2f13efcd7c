//! How a replica begins: by resuming where it was, or with a snapshot, which it shares with others.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rand::Rng;
use rand::distr::Alphanumeric;

use super::follower::{Follower, Phase};
use super::spool::{Spool, SpoolWriter};
use super::transfer::{Framing, Transfer};
use super::{Master, Order, View};
use crate::shard::replicas::{Hello, Seat};
use crate::state::replication::{History, random_id};
use crate::{notice, warning};

/// Bytes of the mark behind a snapshot of unknown size.
const MARK_BYTES: usize = 40;

/// A snapshot for replicas.
#[derive(Debug)]
pub(super) struct Sync {
    pub number: u64,
    pub spool: Arc<Spool>,
    /// Position of the stream at its cut.
    pub cut: Option<u64>,
    /// Whether all of it is in the spool, or never will be.
    pub is_written: bool,
    /// Whether nobody needs it.
    pub is_abandoned: bool,
}

impl Master {
    /// A replica asks for the stream.
    pub fn begin_sync(&mut self, view: View<'_>, hello: Hello) {
        notice!("Replica {} asks for synchronization", hello.name());
        if let Some(position) = self.resumes_at(view, &hello) {
            return self.resume(view, hello, position);
        }
        view.registers.full_syncs.fetch_add(1, Ordering::Relaxed);
        if !self.has_backlog() {
            if !view.registers.is_replica.load(Ordering::Relaxed) {
                // What was written so far is in no stream: nobody who knows the old id may resume.
                let id = random_id(&mut rand::rng());
                view.registers.set_history(History { id, second: None });
            }
            self.start_backlog(view);
        }
        self.followers.push(Follower::new(hello, view.now));
        self.serve_waiting(view);
        self.publish_replicas(view);
    }

    /// A replica gets nothing but this line.
    pub fn refuse(&mut self, seat: Seat, line: &'static [u8]) {
        self.orders.push(Order::Say(seat, line));
    }

    /// Where the replica can go on, if what it lacks is in the backlog.
    fn resumes_at(&self, view: View<'_>, hello: &Hello) -> Option<u64> {
        let registers = view.registers;
        if hello.is_old || hello.id == "?" {
            return None;
        }
        let history = registers.history();
        let position = hello.position.filter(|&position| history.covers(&hello.id, position));
        let position = position
            .filter(|&position| self.backlog.as_ref().is_some_and(|backlog| backlog.covers(position)));
        if position.is_none() {
            registers.refused_partial_syncs.fetch_add(1, Ordering::Relaxed);
            let known = history.id == hello.id || history.second.is_some_and(|(id, _)| id == hello.id);
            if known {
                notice!(
                    "Unable to partial resync with replica {} for lack of backlog (Replica request was: {:?}).",
                    hello.name(),
                    hello.position.map(|position| position + 1)
                );
            } else {
                notice!(
                    "Partial resynchronization not accepted: Replication ID mismatch (Replica asked for '{}', my replication ID is '{}')",
                    hello.id,
                    history.id
                );
            }
        }
        position
    }

    fn resume(&mut self, view: View<'_>, hello: Hello, position: u64) {
        view.registers.partial_syncs.fetch_add(1, Ordering::Relaxed);
        let end = self.position().unwrap_or(position);
        notice!(
            "Partial resynchronization request from {} accepted. Sending {} bytes of backlog starting from offset {}.",
            hello.name(),
            end - position,
            position + 1
        );
        let line = if hello.knows_psync2 {
            format!("+CONTINUE {}\r\n", view.registers.history().id)
        } else {
            "+CONTINUE\r\n".into()
        };
        let mut follower = Follower::new(hello, view.now);
        follower.hello.socket = None;
        follower.phase = Phase::Online;
        follower.position = Some(position);
        follower.acknowledged = position;
        follower.is_feeding = true;
        self.orders.push(Order::Feed(follower.hello.seat, line.into_bytes()));
        self.followers.push(follower);
        self.publish_replicas(view);
    }

    /// Gives those who wait for a snapshot the one under way, or begins one.
    fn serve_waiting(&mut self, view: View<'_>) {
        if !self.followers.iter().any(|follower| follower.phase == Phase::Waiting) {
            return;
        }
        if self.sync.is_none() {
            match Spool::new(&view.config.dir) {
                Ok(spool) => self.begin_snapshot(Arc::new(spool)),
                Err(error) => {
                    warning!("Can't make the file for a synchronization: {error}");
                    let waiting = self.followers.iter().filter(|follower| follower.phase == Phase::Waiting);
                    self.orders.extend(waiting.map(|follower| Order::Disconnect(follower.hello.seat)));
                    return;
                }
            }
        }
        let Some(sync) = self.sync.as_ref().filter(|sync| !sync.is_abandoned && !sync.spool.has_failed())
        else {
            return;
        };
        let (number, cut, spool) = (sync.number, sync.cut, Arc::clone(&sync.spool));
        match cut {
            None => {
                for follower in self.followers.iter_mut().filter(|follower| follower.phase == Phase::Waiting)
                {
                    follower.phase = Phase::Cutting(number);
                }
            }
            Some(cut) if self.backlog.as_ref().is_some_and(|backlog| backlog.covers(cut)) => {
                for index in 0..self.followers.len() {
                    if self.followers[index].phase == Phase::Waiting {
                        notice!(
                            "Replica {} shares the snapshot under way",
                            self.followers[index].hello.name()
                        );
                        self.transfer(view, index, cut, &spool);
                    }
                }
            }
            Some(_) => {}
        }
    }

    fn begin_snapshot(&mut self, spool: Arc<Spool>) {
        self.last_sync += 1;
        let number = self.last_sync;
        notice!("Starting a snapshot for replicas");
        self.orders.push(Order::Snapshot(number, SpoolWriter { spool: Arc::clone(&spool) }));
        self.sync = Some(Sync { number, spool, cut: None, is_written: false, is_abandoned: false });
    }

    /// The stream has reached the cut of a snapshot.
    pub(super) fn cut(&mut self, view: View<'_>, number: u64) {
        let Some(position) = self.position() else { return };
        let Some(sync) = self.sync.as_mut().filter(|sync| sync.number == number) else { return };
        sync.cut = Some(position);
        let spool = Arc::clone(&sync.spool);
        for index in 0..self.followers.len() {
            if self.followers[index].phase == Phase::Cutting(number) {
                self.transfer(view, index, position, &spool);
            }
        }
    }

    fn transfer(&mut self, view: View<'_>, index: usize, cut: u64, spool: &Arc<Spool>) {
        let follower = &mut self.followers[index];
        let Some(socket) = follower.hello.socket.take() else { return };
        follower.phase = Phase::Receiving;
        follower.position = Some(cut);
        let greeting = if follower.hello.is_old {
            String::new()
        } else {
            format!("+FULLRESYNC {} {cut}\r\n", view.registers.history().id)
        };
        let framing = if follower.hello.knows_eof {
            let mark = rand::rng().sample_iter(Alphanumeric).take(MARK_BYTES).map(char::from).collect();
            Framing::Mark(mark)
        } else {
            Framing::Length
        };
        let timeout = Duration::from_secs(view.config.repl_timeout.max(1));
        let transfer = Transfer { socket, spool: Arc::clone(spool), greeting, framing, timeout };
        self.orders.push(Order::Transfer(follower.hello.seat, transfer));
    }

    /// All of a snapshot is in its spool, or never will be, and why.
    pub fn snapshot_written(&mut self, view: View<'_>, number: u64, end: Result<(), String>) {
        let Some(sync) = self.sync.as_mut().filter(|sync| sync.number == number) else { return };
        sync.is_written = true;
        if let Err(reason) = &end {
            warning!("The snapshot for replicas failed: {reason}");
            let waits = |follower: &&Follower| follower.phase == Phase::Cutting(number);
            let waiting = self.followers.iter().filter(waits);
            self.orders.extend(waiting.map(|follower| Order::Disconnect(follower.hello.seat)));
        }
        sync.spool.end(end);
        self.end_snapshot(view);
    }

    /// A replica has been sent its snapshot, or could not be.
    pub fn transferred(&mut self, view: View<'_>, seat: Seat, result: Result<(), String>) {
        if let Some(index) =
            self.index_of(seat).filter(|&index| self.followers[index].phase == Phase::Receiving)
        {
            let follower = &mut self.followers[index];
            match result {
                Err(reason) => {
                    warning!("Synchronization with replica {} failed: {reason}", follower.hello.name());
                    self.orders.push(Order::Disconnect(seat));
                }
                Ok(()) if follower.hello.only_snapshot => {
                    notice!("Replica {} has its snapshot", follower.hello.name());
                    self.orders.push(Order::Disconnect(seat));
                }
                Ok(()) => {
                    follower.acknowledged_at = view.now;
                    follower.phase = if follower.hello.knows_eof { Phase::Loading } else { Phase::Online };
                    if follower.is_online() {
                        notice!("Synchronization with replica {} succeeded", follower.hello.name());
                    }
                }
            }
        }
        self.end_snapshot(view);
        self.publish_replicas(view);
    }

    /// Lets go of a snapshot that is written and that nobody is being sent any more; whoever waits for another gets that.
    fn end_snapshot(&mut self, view: View<'_>) {
        let is_read = self.followers.iter().any(|follower| follower.phase == Phase::Receiving);
        if !is_read && self.sync.as_ref().is_some_and(|sync| sync.is_written) {
            self.sync = None;
            self.serve_waiting(view);
        }
    }

    /// The snapshot under way is of another history: nobody else gets it.
    pub(super) fn void_snapshot(&mut self) {
        let Some(sync) = self.sync.as_mut().filter(|sync| !sync.is_abandoned) else { return };
        sync.is_abandoned = true;
        if !sync.is_written {
            self.orders.push(Order::Abandon(sync.number));
        }
    }

    /// A snapshot that nobody waits for any more is not finished.
    pub(super) fn abandon_unneeded(&mut self) {
        let Some(sync) = self.sync.as_mut().filter(|sync| !sync.is_written && !sync.is_abandoned) else {
            return;
        };
        let number = sync.number;
        let needs = |follower: &Follower| {
            matches!(follower.phase, Phase::Receiving) || follower.phase == Phase::Cutting(number)
        };
        if !self.followers.iter().any(needs) {
            sync.is_abandoned = true;
            self.orders.push(Order::Abandon(number));
        }
    }
}
