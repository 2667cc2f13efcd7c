//! EXEC: the queued commands as one transaction, with the replies of those that this home shard runs itself.
//!
//! Commands of the home shard (connection state, CONFIG, CLIENT …) are no part of the transaction. They run before it; but
//! while watched keys may still prevent it, after it. Their replies, which other shards may have a share in, are put into the
//! gaps that the transaction's reply has for them.

use super::ask::ReplyTo;
use super::executor::Core;
use crate::base::clock::Monotonic;
use crate::command::args::OwnedCommand;
use crate::command::home::Then;
use crate::command::{Command, Group, HomeHandler, Run};
use crate::net::SocketId;
use crate::shard::home::Finished;
use crate::shard::message::Ticket;
use crate::shard::owner::Shard;
use crate::shard::plan::Request;
use crate::shard::route::{Target, target};

/// An EXEC under way that has commands of the home shard.
#[derive(Debug, Default)]
pub(super) struct Block {
    /// Those that wait for the transaction.
    late: Vec<OwnedCommand>,
    /// The replies of those that ran, in order; `None` while other shards are asked.
    replies: Vec<Option<Vec<u8>>>,
    /// What the transaction replied, once it has run.
    frame: Option<Frame>,
}

#[derive(Debug)]
struct Frame {
    ticket: Ticket,
    reply: Vec<u8>,
    gaps: Vec<usize>,
}

impl Block {
    /// Whose reply it is, and that reply, once every part of it is there.
    fn join(&mut self) -> Option<(Ticket, Vec<u8>)> {
        let complete = |frame: &mut Frame| {
            frame.gaps.len() == self.replies.len() && self.replies.iter().all(Option::is_some)
        };
        let Frame { ticket, reply, gaps } = self.frame.take_if(complete)?;
        let mut whole = Vec::with_capacity(reply.len());
        let mut start = 0;
        for (gap, own) in gaps.into_iter().zip(self.replies.drain(..).flatten()) {
            whole.extend_from_slice(&reply[start..gap]);
            whole.extend_from_slice(&own);
            start = gap;
        }
        whole.extend_from_slice(&reply[start..]);
        Some((ticket, whole))
    }
}

impl Core {
    /// EXEC: plans the queued commands as one transaction.
    pub fn exec(&mut self, own: &mut Shard, id: SocketId) {
        let Some(connection) = self.connection(id) else { return };
        let queue = connection.session.queue.take().unwrap_or_default();
        let watches = std::mem::take(&mut connection.session.watches);
        let has_home = queue.commands.iter().any(|command| matches!(command.row.run, Run::Home(_)));
        connection.block = has_home.then(Box::default);
        let before = (has_home && !watches.is_empty()).then(|| connection.session.changeable());
        let slices: Vec<Vec<&[u8]>> =
            queue.commands.iter().map(|command| command.arguments.slices()).collect();
        let mut requests = Vec::with_capacity(slices.len());
        for (command, arguments) in queue.commands.iter().zip(&slices) {
            self.counters().commands_processed.add(1);
            if self.is_monitored() {
                self.feed_monitors(id, command.row, arguments);
            }
            let is_home = target(&self.server.slots, self.id, command.row, arguments) == Target::Home;
            match command.row.run {
                Run::Home(handler) if is_home => {
                    requests.push(Request::Gap);
                    if before.is_some() {
                        self.put_off(id, command, handler, arguments);
                    } else {
                        self.run_inside(own, id, command.row, handler, arguments);
                    }
                }
                _ => {
                    let Some(connection) = self.connection(id) else { return };
                    let caller = connection.session.caller;
                    requests.push(Request::Run { row: command.row, caller, arguments });
                }
            }
        }
        let Some(connection) = self.connection(id) else { return };
        if let Some(before) = before {
            connection.session.restore(before);
        }
        let may_borrow = connection.spanning == 0;
        let ticket = connection.wait(true);
        self.begin(own, ticket, requests, true, &watches, may_borrow);
    }

    /// Leaves a command for the end of the transaction. What follows sees the session as it will be then: the commands of
    /// that group change nothing else, whatever more they ask for.
    fn put_off(&mut self, id: SocketId, command: &OwnedCommand, handler: HomeHandler, arguments: &[&[u8]]) {
        let Some(mut connection) = self.take_connection(id) else { return };
        if command.row.group == Group::Connection {
            self.call_home(&mut connection.session, handler, arguments, true, &mut Vec::new());
        }
        if let Some(block) = &mut connection.block {
            block.late.push(command.clone());
        }
        self.connections[id.index()] = Some(connection);
    }

    /// Runs a command of this home shard whose reply belongs into that of an EXEC.
    fn run_inside(
        &mut self,
        own: &mut Shard,
        id: SocketId,
        row: &'static Command,
        handler: HomeHandler,
        arguments: &[&[u8]],
    ) {
        if row.group == Group::Server {
            self.publish_all(own);
        }
        let Some(mut connection) = self.take_connection(id) else { return };
        let mut out = Vec::new();
        let started = Monotonic::now();
        let then = self.call_home(&mut connection.session, handler, arguments, true, &mut out);
        let failed = self.count_error(&out);
        let index = connection.block.as_mut().map_or(0, |block| {
            block.replies.push(None);
            block.replies.len() - 1
        });
        self.put_connection(own, id, connection);
        match then {
            Then::Ask(ask) => self.ask(own, ReplyTo::inside(id, index), ask),
            _ => self.fill(id, index, out),
        }
        self.count_home(id, row, started, failed, arguments);
    }

    /// Puts a reply into the EXEC under way.
    pub fn fill(&mut self, id: SocketId, index: usize, reply: Vec<u8>) {
        let Some(connection) = self.connection(id) else { return };
        if let Some(slot) = connection.block.as_mut().and_then(|block| block.replies.get_mut(index)) {
            *slot = Some(reply);
        }
        self.join(id);
    }

    /// The transaction of an EXEC with commands of this home shard has run, or watched keys have prevented it.
    pub fn transaction_ran(&mut self, own: &mut Shard, id: SocketId, finished: Finished) {
        let Some(connection) = self.connection(id) else { return };
        let Finished { ticket, reply, gaps, is_stale, .. } = finished;
        if is_stale {
            connection.block = None;
            return self.answer(ticket, &reply);
        }
        let Some(block) = &mut connection.block else { return };
        let late = std::mem::take(&mut block.late);
        block.frame = Some(Frame { ticket, reply, gaps });
        for command in late {
            if let Run::Home(handler) = command.row.run {
                self.run_inside(own, id, command.row, handler, &command.arguments.slices());
            }
        }
        self.join(id);
    }

    /// Replies to EXEC if nothing of its reply is missing.
    fn join(&mut self, id: SocketId) {
        let Some(connection) = self.connection(id) else { return };
        if let Some((ticket, reply)) = connection.block.as_mut().and_then(|block| block.join()) {
            connection.block = None;
            self.answer(ticket, &reply);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn replies_come_into_their_gaps() {
        let ticket = Ticket { connection: 1, sequence: 2 };
        let mut block = Block { replies: vec![Some(b"+a\r\n".to_vec()), None], ..Block::default() };
        assert_eq!(block.join(), None, "the transaction has not run");
        block.frame = Some(Frame { ticket, reply: b"*3\r\n:1\r\n".to_vec(), gaps: vec![4, 8] });
        assert_eq!(block.join(), None, "a reply is missing");
        block.replies[1] = Some(b"+b\r\n".to_vec());
        assert_eq!(block.join(), Some((ticket, b"*3\r\n+a\r\n:1\r\n+b\r\n".to_vec())));
        assert_eq!(block.join(), None);
    }
}
