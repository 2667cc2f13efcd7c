//! New connections: which core serves them, and whether they are let in.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::connection::Connection;
use super::executor::{Executor, Origin};
use crate::command::session::Session;
use crate::net::listener::{Address, configure_accepted};
use crate::shard::message::{Message, ServerMessage};

const PROTECTED_MODE: &str = "-DENIED Redis is running in protected mode because protected mode is enabled and no \
password is set for the default user. In this mode connections are only accepted from the loopback interface. If you \
want to connect from external computers to Redis you may adopt one of the following solutions: 1) Just disable \
protected mode sending the command 'CONFIG SET protected-mode no' from the loopback interface by connecting to Redis \
from the same host the server is running, however MAKE SURE Redis is not publicly accessible from internet if you do \
so. Use CONFIG REWRITE to make this change permanent. 2) Alternatively you can just disable the protected mode by \
editing the Redis configuration file, and setting the protected mode option to 'no', and then restarting the server. \
3) If you started the server manually just for testing, restart it with the '--protected-mode no' option. 4) Set up an \
authentication password for the default user. NOTE: You only need to do one of the above things in order for the \
server to start accepting connections from the outside.\r\n";

impl Executor {
    pub(super) fn accepted(&mut self, tag: u32, fd: OwnedFd) {
        let origin = Origin::of_tag(tag);
        if self.core.stopping {
            return;
        }
        if origin != Origin::Cluster
            && let Some(other) = self.core.less_loaded()
        {
            let message = ServerMessage::Adopt { socket: fd, listener: tag };
            self.core.shards.send(other, Message::Server(message));
            // Counted there when it arrives; counted at once so that a burst spreads.
            return;
        }
        self.adopt(origin, fd);
    }

    pub(super) fn adopt(&mut self, origin: Origin, fd: OwnedFd) {
        let server = Arc::clone(&self.core.server);
        let total: u64 = server.shards.iter().map(|shard| shard.clients.get()).sum();
        if total >= self.core.config.maxclients as u64 {
            self.core.counters().connections_rejected.add(1);
            return refuse(fd, "-ERR max number of clients reached\r\n");
        }
        let (Ok(peer), Ok(local)) = (Address::of_peer(&fd), Address::of_local(&fd)) else { return };
        if self.core.config.protected_mode && self.core.config.requirepass.is_empty() && !peer.is_local() {
            self.core.counters().connections_rejected.add(1);
            return refuse(fd, PROTECTED_MODE);
        }
        if let Err(error) = configure_accepted(&fd, self.core.config.tcp_keepalive) {
            crate::verbose!("Error setting up a client connection: {error}");
        }
        let socket = self.ring.attach(fd);
        let mut session =
            Session::new(server.next_client_id(), self.core.now, self.core.config.requirepass.is_empty());
        session.peer_address = peer.to_string().into();
        session.local_address = local.to_string().into();
        session.caller.cluster_port = origin == Origin::Cluster;
        let index = socket.index();
        if self.core.connections.len() <= index {
            self.core.connections.resize_with(index + 1, || None);
        }
        self.core.connections[index] = Some(Box::new(Connection::new(socket, session)));
        self.core.counters().clients.add(1);
        self.core.counters().connections_received.add(1);
    }
}

/// Writes a refusal, as far as the socket takes it at once, and closes.
fn refuse(fd: OwnedFd, text: &str) {
    use std::io::Write;
    let mut stream = std::net::TcpStream::from(fd);
    if stream.set_nonblocking(true).is_ok() {
        // The peer may be gone already: then there is nobody to tell.
        let _ = stream.write_all(text.as_bytes());
    }
}
