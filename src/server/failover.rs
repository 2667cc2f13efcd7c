//! FAILOVER, on shard zero: this master waits until a replica has everything, becomes its replica, and has it take over in the
//! same step.
//!
//! Writes pause from the beginning on. A barrier over all shards says when none is under way any more; the stream's offset
//! then is what the replica must have. The change of role is the one of REPLICAOF; PSYNC tells the replica to take over.

use super::barrier::FAILOVER_BARRIER;
use super::executor::Core;
use crate::base::clock::UnixMillis;
use crate::base::slot::ShardId;
use crate::command::home::FailoverRequest;
use crate::config::Primary;
use crate::shard::message::Ticket;
use crate::shard::owner::Shard;
use crate::shard::replicas::FromMaster;
use crate::state::following::Link;
use crate::state::replication::{FailoverState, ReplicaInfo, ReplicaState};
use crate::{notice, warning};

/// A failover that this server coordinates.
#[derive(Debug)]
pub(super) struct Failover {
    /// The replica that is to take over; any that has everything first without one.
    target: Option<Primary>,
    deadline: Option<UnixMillis>,
    /// Whether it goes on when the time is over.
    is_forced: bool,
    /// What the replica must have, once no write is under way.
    offset: Option<u64>,
}

impl Core {
    /// FAILOVER of a client, which is told at once whether it begins.
    pub fn begin_failover(&mut self, own: &mut Shard, asker: (ShardId, Ticket), request: FailoverRequest) {
        let begun = self.try_failover(own, request);
        self.reply_elsewhere(asker, |reply| match begun {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        });
    }

    fn try_failover(&mut self, own: &mut Shard, request: FailoverRequest) -> Result<(), &'static str> {
        let registers = &self.server.replication;
        let is_under_way = registers.failover() != FailoverState::None;
        let (target, timeout_ms, is_forced) = match request {
            FailoverRequest::Abort if !is_under_way => return Err("ERR No failover in progress."),
            FailoverRequest::Abort => {
                self.abort_failover(own, "Failover manually aborted");
                return Ok(());
            }
            FailoverRequest::Begin { target, timeout_ms, is_forced } => (target, timeout_ms, is_forced),
        };
        if is_under_way {
            return Err("ERR FAILOVER already in progress.");
        }
        if self.server.following.master().is_some() {
            return Err("ERR FAILOVER is not valid when server is a replica.");
        }
        let replicas = registers.replicas();
        if replicas.is_empty() {
            return Err("ERR FAILOVER requires connected replicas.");
        }
        if is_forced && (timeout_ms.is_none() || target.is_none()) {
            return Err("ERR FAILOVER with force option requires both a timeout and target HOST and IP.");
        }
        match &target {
            None => notice!("FAILOVER requested."),
            Some(target) => {
                let Some(replica) = replicas.iter().find(|replica| is_at(replica, target)) else {
                    return Err("ERR FAILOVER target HOST and PORT is not a replica.");
                };
                if replica.state != ReplicaState::Online {
                    return Err("ERR FAILOVER target replica is not online.");
                }
                notice!("FAILOVER requested to {}:{}.", target.host, target.port);
            }
        }
        let deadline = timeout_ms.map(|timeout_ms| self.now.saturating_add(timeout_ms));
        self.failover = Some(Failover { target, deadline, is_forced, offset: None });
        self.hold_writes(own, FAILOVER_BARRIER);
        self.server.replication.set_failover(FailoverState::WaitingForSync);
        Ok(())
    }

    /// The stream has everything that was written before the pause.
    pub fn failover_settled(&mut self, own: &mut Shard) {
        if let Some(failover) = &mut self.failover {
            failover.offset = Some(self.server.replication.offset());
        }
        self.keep_failover(own);
    }

    /// Goes on with a failover: by the clock, and when a replica has acknowledged.
    pub fn keep_failover(&mut self, own: &mut Shard) {
        let Some(failover) = &self.failover else { return };
        let registers = &self.server.replication;
        match registers.failover() {
            FailoverState::None => {}
            FailoverState::Rejected => {
                self.abort_failover(own, "Failover target rejected psync request");
            }
            // The replica is the master as soon as the link to it stands.
            FailoverState::InProgress if self.server.following.link() == Link::Connected => {
                notice!("Failover is complete: this server follows the new master");
                self.end_failover();
            }
            FailoverState::InProgress => {}
            FailoverState::WaitingForSync => {
                let Some(offset) = failover.offset else { return };
                let replicas = registers.replicas();
                let is_wanted = |replica: &&ReplicaInfo| {
                    failover.target.as_ref().is_none_or(|target| is_at(replica, target))
                };
                let has_everything = |replica: &&ReplicaInfo| {
                    replica.state == ReplicaState::Online && replica.offset >= offset
                };
                if let Some(replica) = replicas.iter().filter(is_wanted).find(has_everything) {
                    let target = Primary { host: replica.address.clone(), port: replica.port };
                    notice!("Failover target {}:{} is synced, failing over.", target.host, target.port);
                    return self.hand_over(own, target);
                }
                if failover.deadline.is_some_and(|deadline| self.now >= deadline) {
                    if let Some(target) = failover.target.clone().filter(|_| failover.is_forced) {
                        notice!(
                            "Failover to {}:{} time out exceeded, failing over.",
                            target.host,
                            target.port
                        );
                        return self.hand_over(own, target);
                    }
                    return self.abort_failover(own, "Replica never caught up before timeout");
                }
                self.master.ask_for_acknowledgements();
            }
        }
    }

    fn hand_over(&mut self, own: &mut Shard, target: Primary) {
        self.server.replication.set_failover(FailoverState::InProgress);
        self.follow(own, Some(target), None);
    }

    fn abort_failover(&mut self, own: &mut Shard, reason: &str) {
        warning!("Aborting failover: {reason}");
        let has_handed_over = self.server.replication.failover() != FailoverState::WaitingForSync;
        self.end_failover();
        if has_handed_over {
            self.follow(own, None, None);
        }
    }

    fn end_failover(&mut self) {
        self.failover = None;
        self.server.replication.set_failover(FailoverState::None);
        self.server.pause.release_writes();
        self.end_pause();
    }

    /// A master that hands over asks for the stream: this replica becomes a master, and then gives it that.
    pub fn take_over(&mut self, own: &mut Shard, hello: crate::shard::replicas::Hello) {
        let refusal: Option<&'static [u8]> = if self.server.following.master().is_none() {
            Some(b"-ERR PSYNC FAILOVER can't be sent to a master.\r\n")
        } else if self.server.replication.history().id != hello.id {
            Some(b"-ERR PSYNC FAILOVER replid must match my replid.\r\n")
        } else {
            None
        };
        if let Some(line) = refusal {
            return self.order_home(hello.seat.0, FromMaster::Say(hello.seat.1, line));
        }
        notice!("Failover request received for replid {}.", hello.id);
        notice!("MASTER MODE enabled (failover request from '{}')", hello.name());
        self.taking_over.push(hello);
        self.follow(own, None, None);
    }

    /// The role has changed: those who handed over get the stream.
    pub fn serve_predecessors(&mut self, own: &mut Shard) {
        for hello in std::mem::take(&mut self.taking_over) {
            self.begin_sync(own, hello);
        }
    }
}

fn is_at(replica: &ReplicaInfo, target: &Primary) -> bool {
    replica.address.eq_ignore_ascii_case(&target.host) && replica.port == target.port
}
