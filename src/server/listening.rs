//! Where the server listens over TCP: at the start, and anew when CONFIG SET changes `port` or `bind`.
//!
//! What stays the same keeps its sockets, so nothing that fails has to be undone: new addresses are bound first, and only
//! when all of them could be had the configuration changes and every shard lets go of the old ones.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::ask::{Fold, ReplyTo};
use super::executor::{Core, Executor, Origin};
use crate::base::slot::ShardId;
use crate::command::args::OwnedArgs;
use crate::command::server::change_config;
use crate::config::Config;
use crate::net::listener::{Sharing, bind_tcp, tcp_address};
use crate::shard::message::{NewListeners, Question, Ticket};
use crate::state::Server;
use crate::{notice, warning};

/// Listening sockets of one shard, with the tags of their listeners.
pub(super) type Listeners = Vec<(OwnedFd, u32)>;

/// Addresses with the tags of their listeners.
pub(super) type Addresses = Vec<(SocketAddr, u32)>;

/// What a configuration makes of the addresses that are there already.
pub(super) struct Bound {
    /// Where the server is to listen, old or new.
    pub addresses: Addresses,
    /// Sockets of each shard for what is new.
    pub sockets: Vec<Listeners>,
}

/// Listens wherever `config` says over TCP and the server does not yet. The error says what failed, as the last word of a
/// start; the log has more.
pub(super) fn bind(config: &Config, present: &Addresses, shards: usize) -> Result<Bound, String> {
    let mut bound = Bound { addresses: Vec::new(), sockets: (0..shards).map(|_| Vec::new()).collect() };
    if config.port != 0 {
        let all: Vec<ShardId> = (0..shards).collect();
        bound.extend(config, present, Origin::Tcp, config.port, &all)?;
    }
    if config.cluster_ports != 0 {
        if usize::from(config.cluster_ports) + shards > 1 << 16 {
            return Err(format!("cluster-ports {} leaves no room for {shards} ports", config.cluster_ports));
        }
        for shard in 0..shards {
            let port = config.cluster_ports + shard as u16;
            bound.extend(config, present, Origin::Cluster, port, &[shard])?;
        }
    }
    Ok(bound)
}

impl Bound {
    /// Adds the addresses of `bind` with a port that these shards share.
    fn extend(
        &mut self,
        config: &Config,
        present: &Addresses,
        origin: Origin,
        port: u16,
        shards: &[ShardId],
    ) -> Result<(), String> {
        let kind = if origin == Origin::Cluster { "cluster" } else { "tcp" };
        let failed = || format!("Failed listening on port {port} ({kind}), aborting.");
        let backlog = u32::try_from(config.tcp_backlog).unwrap_or(511);
        let before = self.addresses.len();
        for name in &config.bind {
            let (name, is_optional) = match name.strip_prefix('-') {
                Some(name) => (name, true),
                None => (name.as_str(), false),
            };
            let listened = resolve(name, port).and_then(|address| {
                if !present.contains(&(address, origin.tag())) {
                    let sharing = sharing(present, address, origin);
                    let sockets = bind_tcp(address, backlog, shards.len(), sharing)?;
                    for (&shard, socket) in shards.iter().zip(sockets) {
                        self.sockets[shard].push((socket, origin.tag()));
                    }
                }
                Ok(address)
            });
            match listened {
                Ok(address) => self.addresses.push((address, origin.tag())),
                Err(error) if is_optional => notice!("Could not listen on {name}:{port}: {error}"),
                Err(error) => {
                    warning!(
                        "Warning: Could not create server TCP listening socket {name}:{port}: bind: {error}"
                    );
                    return Err(failed());
                }
            }
        }
        if self.addresses.len() == before && !config.bind.is_empty() { Err(failed()) } else { Ok(()) }
    }
}

fn resolve(name: &str, port: u16) -> io::Result<SocketAddr> {
    let host = match name {
        "*" => "0.0.0.0",
        "::*" => "::",
        name => name,
    };
    let found = (host, port).to_socket_addrs()?.next();
    found.ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no such address"))
}

/// All addresses of the machine and one of them overlap: who listens on one of the two has the port already.
fn sharing(present: &Addresses, address: SocketAddr, origin: Origin) -> Sharing {
    let overlaps = |own: &SocketAddr| {
        own.port() == address.port()
            && own.is_ipv4() == address.is_ipv4()
            && (own.ip().is_unspecified() || address.ip().is_unspecified())
    };
    let is_ours = present.iter().any(|(own, tag)| *tag == origin.tag() && overlaps(own));
    if is_ours { Sharing::WithOwn } else { Sharing::WithNobody }
}

/// Where the server listens over TCP.
fn addresses(server: &Server) -> MutexGuard<'_, Addresses> {
    server.listening.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Core {
    /// CONFIG SET of directives that say where to listen; `pairs` are names and values.
    pub fn set_listening(&mut self, to: ReplyTo, pairs: &OwnedArgs) {
        let Some(connection) = self.connection(to.id) else { return };
        let is_local = connection.session.is_local();
        let mut sockets = None;
        let server = &self.server;
        let changed = change_config(server, &pairs.slices(), is_local, |config| {
            let mut listening = addresses(server);
            let bound = bind(config, &listening, self.shards.len()).ok()?;
            *listening = bound.addresses;
            sockets = Some(bound.sockets.into_iter().map(Mutex::new).collect());
            Some(())
        });
        match (changed, sockets) {
            (Err(error), _) => self.reply_to(to, |reply| reply.error(error)),
            (Ok(()), None) => self.reply_to(to, |reply| reply.ok()),
            (Ok(()), Some(sockets)) => self.tell(to, Question::Listen(sockets), Fold::Ok),
        }
    }
}

/// New sockets that a shard has yet to listen on, and whom to tell when it does.
pub(super) struct Relisten {
    pub home: ShardId,
    pub ticket: Ticket,
    pub sockets: NewListeners,
}

impl Executor {
    /// Listens where the server listens now, and nowhere else. Changes may come here in another order than they were made in.
    pub fn relisten(&mut self) {
        for Relisten { home, ticket, sockets } in std::mem::take(&mut self.core.relisten) {
            let mut own = sockets[self.core.id].lock().unwrap_or_else(PoisonError::into_inner);
            let server = Arc::clone(&self.core.server);
            let listening = addresses(&server);
            let is_wanted = |socket: &OwnedFd, tag: u32| {
                tcp_address(socket).is_ok_and(|address| listening.contains(&(address, tag)))
            };
            for tag in [Origin::Tcp.tag(), Origin::Cluster.tag()] {
                self.ring.retain_listeners(tag, |socket| is_wanted(socket, tag));
            }
            for (socket, tag) in own.drain(..) {
                if is_wanted(&socket, tag) && !self.core.stopping {
                    self.ring.listen(socket, tag);
                }
            }
            self.core.send_told(home, ticket, 0, Vec::new());
        }
    }
}
