//! The stream on its way to replicas: as each can take it, from the backlog, or from a file for what has left that.

use super::backlog::{Backlog, PIECE_BYTES};
use super::follower::{Follower, Phase};
use super::spool::Overflow;
use super::{GET_ACK, Master, Order, View};
use crate::config::ClientClass;
use crate::shard::replicas::Seat;
use crate::{notice, warning};

impl Master {
    /// Gives every replica that is ready for more its next piece.
    pub fn feed(&mut self, view: View<'_>) {
        if self.wants_acknowledgements {
            self.wants_acknowledgements = false;
            self.append(view, GET_ACK);
        }
        let Some(backlog) = &self.backlog else { return };
        for follower in &mut self.followers {
            if !follower.is_online() || follower.is_feeding {
                continue;
            }
            let Some(position) = follower.position.filter(|&position| position < backlog.end()) else {
                continue;
            };
            match next_piece(backlog, follower, position) {
                Ok(bytes) => {
                    let next = position + bytes.len() as u64;
                    follower.position = Some(next);
                    follower.is_feeding = true;
                    follower.has_caught_up |= next == backlog.end();
                    if follower.overflow.as_ref().is_some_and(|overflow| next >= overflow.end()) {
                        follower.overflow = None;
                    }
                    self.orders.push(Order::Feed(follower.hello.seat, bytes));
                }
                Err(error) => {
                    warning!("Can't read what replica {} has yet to get: {error}", follower.hello.name());
                    self.orders.push(Order::Disconnect(follower.hello.seat));
                }
            }
        }
    }

    /// The kernel has what was fed to a connection.
    pub fn fed(&mut self, seat: Seat) {
        if let Some(index) = self.index_of(seat) {
            self.followers[index].is_feeding = false;
        }
    }

    /// A replica says how far it is.
    pub fn acknowledge(&mut self, view: View<'_>, seat: Seat, offset: u64) {
        let Some(index) = self.index_of(seat) else { return };
        let follower = &mut self.followers[index];
        follower.acknowledged = follower.acknowledged.max(offset);
        follower.acknowledged_at = view.now;
        if follower.phase == Phase::Loading {
            follower.phase = Phase::Online;
            notice!("Synchronization with replica {} succeeded", follower.hello.name());
        }
        self.publish_replicas(view);
        self.serve_acknowledged(view);
    }

    /// Cuts off what the backlog has too much of. Who has yet to take it finds it in a file.
    pub(super) fn trim(&mut self, view: View<'_>) {
        let Some(backlog) = &mut self.backlog else { return };
        while let Some((start, piece)) = backlog.excess(view.config.repl_backlog_size) {
            for follower in &mut self.followers {
                let Some(position) = follower.position.filter(|&at| at < start + piece.len() as u64) else {
                    continue;
                };
                let overflow = match &mut follower.overflow {
                    Some(overflow) => Ok(overflow),
                    none => Overflow::new(&view.config.dir, position).map(|overflow| none.insert(overflow)),
                };
                if let Err(error) = overflow.and_then(|overflow| overflow.append(start, piece)) {
                    warning!("Can't keep what replica {} has yet to get: {error}", follower.hello.name());
                    follower.position = None;
                    self.orders.push(Order::Disconnect(follower.hello.seat));
                }
            }
            backlog.cut_off();
        }
        let limit = view.config.client_output_buffer_limits[ClientClass::Replica as usize];
        for follower in self.followers.iter_mut().filter(|follower| follower.has_caught_up) {
            let lag = follower.position.map_or(0, |position| backlog.end() - position);
            if limit.soft_bytes == 0 || lag < limit.soft_bytes {
                follower.soft_limit_since = None;
            } else {
                follower.soft_limit_since.get_or_insert(view.now);
            }
            let lagged_ms = follower.soft_limit_since.map_or(0, |since| view.now - since);
            let is_over = limit.hard_bytes > 0 && lag >= limit.hard_bytes
                || lagged_ms > 1000 * limit.soft_seconds as i64;
            if is_over && follower.position.take().is_some() {
                warning!(
                    "Replica {} is disconnected: it lags by {lag} bytes, more than its output buffer limit",
                    follower.hello.name()
                );
                self.orders.push(Order::Disconnect(follower.hello.seat));
            }
        }
    }
}

/// Up to a piece of the stream from where the replica is.
fn next_piece(backlog: &Backlog, follower: &Follower, position: u64) -> std::io::Result<Vec<u8>> {
    if backlog.covers(position) {
        let mut bytes = backlog.read(position).to_vec();
        while bytes.len() < PIECE_BYTES / 2 && position + (bytes.len() as u64) < backlog.end() {
            bytes.extend_from_slice(backlog.read(position + bytes.len() as u64));
        }
        return Ok(bytes);
    }
    match &follower.overflow {
        Some(overflow) => overflow.read(position, PIECE_BYTES),
        None => Err(std::io::Error::other("it is gone")),
    }
}
