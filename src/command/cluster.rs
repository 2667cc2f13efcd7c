//! The cluster family: the shards of this process shown as the nodes of a cluster, each on a port of its own
//! (`cluster-ports`), so that a cluster client sends every command to the core that owns its key. Rows on top,
//! handlers below. The gate asks here when it answers `-MOVED` on such a port.
//!
//! There is no bus between nodes and nothing can be rearranged, so the subcommands that rearrange do not exist.

use std::fmt::Write;

use super::args::integer;
use super::gate::Node;
use super::home::{HomeContext, Then};
use super::{Command, Context, Flags, Group, Merge, Route, Run};
use crate::base::slot::{SLOTS, ShardId, SlotMap, slot_of};
use crate::config::{Config, EndpointType};
use crate::resp::Reply;
use crate::resp::error::CLUSTER_DISABLED;

const NODE: Flags = Flags::FAST.union(Flags::LOADING).union(Flags::STALE);

const LOADING: Flags = Flags::LOADING.union(Flags::STALE);

const VARYING: &[&str] = &["nondeterministic_output"];

const BY_NODES: &str = "O(N) where N is the total number of Cluster nodes";

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    node("asking", asking).flags(Flags::FAST).docs(
        "3.0.0",
        "Lets the next command through to a slot that is being moved here.",
        "O(1)",
    ),
    Command::new("cluster", -2, Group::Cluster, Run::Container)
        .docs("3.0.0", "Commands about the nodes of the cluster.", "Depends on subcommand.")
        .subcommands(SUBCOMMANDS),
    node("readonly", read_only).docs("3.0.0", "Lets the connection read from a replica.", "O(1)"),
    node("readwrite", read_write).docs("3.0.0", "Takes READONLY back.", "O(1)"),
];

const SUBCOMMANDS: &[Command] = &[
    Command::new("cluster|countkeysinslot", 3, Group::Cluster, Run::Keyspace(count_keys_in_slot))
        .flags(Flags::STALE)
        .route(Route::EveryShard(Merge::Sum))
        .docs("3.0.0", "Counts the keys of a slot.", "O(N) where N is the number of keys"),
    Command::new("cluster|getkeysinslot", 4, Group::Cluster, Run::Keyspace(keys_in_slot))
        .flags(Flags::STALE)
        .route(Route::EveryShard(Merge::Concatenate))
        .docs("3.0.0", "Returns keys of a slot.", "O(N) where N is the number of keys")
        .tips(VARYING),
    row("cluster|help", 2, LOADING, help).docs("5.0.0", "Lists the subcommands.", "O(1)"),
    row("cluster|info", 2, Flags::STALE, info)
        .docs("3.0.0", "Describes the state of the cluster.", "O(1)")
        .tips(VARYING),
    row("cluster|keyslot", 3, Flags::STALE, key_slot).docs(
        "3.0.0",
        "Returns the slot of a key.",
        "O(N) where N is the number of bytes in the key",
    ),
    row("cluster|links", 2, Flags::STALE, links)
        .docs("7.0.0", "Lists the links between nodes, of which there are none.", BY_NODES)
        .tips(VARYING),
    row("cluster|myid", 2, Flags::STALE, my_id).docs("3.0.0", "Returns the id of the node.", "O(1)"),
    row("cluster|myshardid", 2, Flags::STALE, my_shard_id)
        .docs("7.2.0", "Returns the id of the node's shard.", "O(1)")
        .tips(VARYING),
    row("cluster|nodes", 2, Flags::STALE, nodes)
        .docs("3.0.0", "Describes the nodes, one a line.", BY_NODES)
        .tips(VARYING),
    row("cluster|shards", 2, LOADING, shards)
        .docs(
            "7.0.0",
            "Describes the slots and nodes of every shard.",
            "O(N) where N is the total number of cluster nodes",
        )
        .tips(VARYING),
    row("cluster|slots", 2, LOADING, slots)
        .docs("3.0.0", "Tells which node owns which slots.", BY_NODES)
        .deprecated("7.0.0", "`CLUSTER SHARDS`")
        .tips(VARYING),
];

const fn node(name: &'static str, run: fn(&mut HomeContext<'_>, &[&[u8]]) -> Then) -> Command {
    row(name, 1, NODE, run).categories(&["connection"])
}

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    run: fn(&mut HomeContext<'_>, &[&[u8]]) -> Then,
) -> Command {
    Command::new(name, arity, Group::Cluster, Run::Home(run)).flags(flags)
}

const HELP: &[&str] = &[
    "COUNTKEYSINSLOT <slot>",
    "    Count the keys of <slot>.",
    "GETKEYSINSLOT <slot> <count>",
    "    Return up to <count> keys of <slot>.",
    "INFO",
    "    Describe the state of the cluster.",
    "KEYSLOT <key>",
    "    Return the slot of <key>.",
    "LINKS",
    "    List the links between nodes.",
    "MYID",
    "    Return the id of this node.",
    "MYSHARDID",
    "    Return the id of this node's shard.",
    "NODES",
    "    Describe the nodes, one a line:",
    "    <id> <ip:port@bus-port[,hostname]> <flags> <master> <pings> <pongs> <epoch> <link> <slot> ...",
    "SHARDS",
    "    Describe the slots and nodes of every shard.",
    "SLOTS",
    "    Tell which node owns which slots: first slot, last slot, then address, port and id of the node.",
];

/// The shards as nodes, as this client sees them.
struct Cluster {
    host: String,
    hostname: Option<String>,
    endpoint: EndpointType,
    first_port: u16,
    /// One range of slots per shard.
    ranges: Vec<(u16, u16)>,
    run_id: String,
    own: ShardId,
}

impl Cluster {
    fn seen_by(home: &HomeContext<'_>) -> Self {
        let map = &home.server.slots;
        let config = home.config;
        Self {
            host: announced_host(config, &home.session.local_address),
            hostname: config.cluster_announce_hostname.clone(),
            endpoint: config.cluster_preferred_endpoint_type,
            first_port: config.cluster_ports,
            ranges: (0..map.shards()).map(|shard| map.range(shard)).collect(),
            run_id: home.server.run_id.clone(),
            own: home.shard,
        }
    }

    fn port(&self, shard: ShardId) -> i64 {
        i64::from(self.first_port) + shard as i64
    }

    /// 40 hexadecimal digits: those of the process, the last four counting the shards.
    fn node_id(&self, shard: ShardId) -> String {
        format!("{}{shard:04x}", self.run_id.get(..36).unwrap_or(&self.run_id))
    }

    /// 40 hexadecimal digits: those of the process, the first four counting the shards.
    fn shard_id(&self, shard: ShardId) -> String {
        format!("{shard:04x}{}", self.run_id.get(4..).unwrap_or(&self.run_id))
    }

    /// What CLUSTER SLOTS and SHARDS call a node; none when the client is to go on using the address it knows.
    fn endpoint(&self) -> Option<&str> {
        match self.endpoint {
            EndpointType::Ip => Some(&self.host),
            EndpointType::Hostname => Some(self.hostname.as_deref().unwrap_or("?")),
            EndpointType::UnknownEndpoint => None,
        }
    }
}

/// The address without its port; a client of the Unix socket is on this machine.
fn host_of(address: &str) -> String {
    let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
    let host = host.trim_start_matches('[').trim_end_matches(']');
    match host.parse::<std::net::IpAddr>() {
        Ok(_) => host.to_owned(),
        Err(_) => "127.0.0.1".to_owned(),
    }
}

/// The slot of a command's keys, or of all keys of a transaction.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Slots {
    first: Option<u16>,
    differ: bool,
}

impl Slots {
    /// Adds the keys of a command.
    pub(super) fn add(&mut self, row: &Command, arguments: &[&[u8]]) {
        for spec in row.keys {
            spec.positions(arguments, |at| {
                let slot = slot_of(arguments[at]);
                self.differ |= *self.first.get_or_insert(slot) != slot;
            });
        }
    }

    /// The error for keys that the node does not serve: of several slots, or of a slot of another node.
    pub(super) fn redirection(self, node: Node<'_>, config: &Config, local_address: &str) -> Option<String> {
        if self.differ {
            return Some("CROSSSLOT Keys in request don't hash to the same slot".into());
        }
        let slot = self.first?;
        let owner = node.slots.owner(slot);
        if owner == node.shard {
            return None;
        }
        let port = usize::from(config.cluster_ports) + owner;
        let endpoint = match config.cluster_preferred_endpoint_type {
            EndpointType::Ip => announced_host(config, local_address),
            EndpointType::Hostname => config.cluster_announce_hostname.clone().unwrap_or_else(|| "?".into()),
            EndpointType::UnknownEndpoint => String::new(),
        };
        Some(format!("MOVED {slot} {endpoint}:{port}"))
    }
}

/// Whether an error sends the client elsewhere, so that it is told as it is whatever was refused.
pub(super) fn is_redirection(error: &[u8]) -> bool {
    error.starts_with(b"MOVED ") || error.starts_with(b"CROSSSLOT ")
}

/// The address of the server as its clients know it.
fn announced_host(config: &Config, local_address: &str) -> String {
    config.cluster_announce_ip.clone().unwrap_or_else(|| host_of(local_address))
}

/// Runs `answer` if the shards have ports of their own, else replies with the error.
fn if_enabled(home: &mut HomeContext<'_>, answer: impl FnOnce(Cluster, &mut Reply<'_>)) -> Then {
    if home.config.cluster_ports == 0 {
        return home.error(CLUSTER_DISABLED);
    }
    answer(Cluster::seen_by(home), &mut home.reply);
    Then::Done
}

fn read_only(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let enabled = home.config.cluster_ports != 0;
    home.session.cluster_read_only |= enabled;
    if_enabled(home, |_, reply| reply.ok())
}

fn read_write(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.session.cluster_read_only = false;
    if_enabled(home, |_, reply| reply.ok())
}

/// No slot is ever on the move, so there is nothing to remember.
fn asking(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if_enabled(home, |_, reply| reply.ok())
}

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if_enabled(home, |_, reply| reply.help("cluster", HELP))
}

fn key_slot(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    home.reply.int(i64::from(slot_of(arguments[2])));
    Then::Done
}

fn links(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if_enabled(home, |_, reply| reply.array(0))
}

fn my_id(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if_enabled(home, |cluster, reply| reply.bulk(cluster.node_id(cluster.own).as_bytes()))
}

fn my_shard_id(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if_enabled(home, |cluster, reply| reply.bulk(cluster.shard_id(cluster.own).as_bytes()))
}

fn info(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if_enabled(home, |cluster, reply| {
        let nodes = cluster.ranges.len();
        let own_epoch = cluster.own + 1;
        let text = format!(
            "cluster_state:ok\r\ncluster_slots_assigned:{SLOTS}\r\ncluster_slots_ok:{SLOTS}\r\n\
             cluster_slots_pfail:0\r\ncluster_slots_fail:0\r\ncluster_known_nodes:{nodes}\r\ncluster_size:{nodes}\r\n\
             cluster_current_epoch:{nodes}\r\ncluster_my_epoch:{own_epoch}\r\ncluster_stats_messages_sent:0\r\n\
             cluster_stats_messages_received:0\r\ntotal_cluster_links_buffer_limit_exceeded:0\r\n"
        );
        reply.verbatim("txt", text.as_bytes());
    })
}

fn nodes(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let now = home.now;
    if_enabled(home, |cluster, reply| {
        let mut text = String::new();
        for (shard, (first, last)) in cluster.ranges.iter().enumerate() {
            let id = cluster.node_id(shard);
            let (host, port) = (&cluster.host, cluster.port(shard));
            let hostname = cluster.hostname.as_ref().map(|name| format!(",{name}")).unwrap_or_default();
            let is_own = shard == cluster.own;
            let flags = if is_own { "myself,master" } else { "master" };
            let pong = if is_own { 0 } else { now };
            let epoch = shard + 1;
            // Writing into a string cannot fail.
            let _ =
                write!(text, "{id} {host}:{port}@0{hostname} {flags} - 0 {pong} {epoch} connected {first}");
            let _ = if first == last { writeln!(text) } else { writeln!(text, "-{last}") };
        }
        reply.verbatim("txt", text.as_bytes());
    })
}

fn slots(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if_enabled(home, |cluster, reply| {
        reply.array(cluster.ranges.len());
        for (shard, (first, last)) in cluster.ranges.iter().enumerate() {
            reply.array(3);
            reply.int(i64::from(*first));
            reply.int(i64::from(*last));
            reply.array(4);
            write_endpoint(&cluster, reply);
            reply.int(cluster.port(shard));
            reply.bulk(cluster.node_id(shard).as_bytes());
            let ip = (cluster.endpoint != EndpointType::Ip).then_some(&cluster.host);
            let hostname = cluster.hostname.as_ref().filter(|_| cluster.endpoint != EndpointType::Hostname);
            reply.map(usize::from(ip.is_some()) + usize::from(hostname.is_some()));
            for (name, value) in [("ip", ip), ("hostname", hostname)] {
                if let Some(value) = value {
                    reply.bulk(name.as_bytes());
                    reply.bulk(value.as_bytes());
                }
            }
        }
    })
}

fn write_endpoint(cluster: &Cluster, reply: &mut Reply<'_>) {
    match cluster.endpoint() {
        Some(endpoint) => reply.bulk(endpoint.as_bytes()),
        None => reply.null(),
    }
}

fn shards(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    if_enabled(home, |cluster, reply| {
        reply.array(cluster.ranges.len());
        for (shard, (first, last)) in cluster.ranges.iter().enumerate() {
            reply.map(2);
            reply.bulk(b"slots");
            reply.array(2);
            reply.int(i64::from(*first));
            reply.int(i64::from(*last));
            reply.bulk(b"nodes");
            reply.array(1);
            write_node(&cluster, shard, reply);
        }
    })
}

fn write_node(cluster: &Cluster, shard: ShardId, reply: &mut Reply<'_>) {
    reply.map(7 + usize::from(cluster.hostname.is_some()));
    reply.bulk(b"id");
    reply.bulk(cluster.node_id(shard).as_bytes());
    reply.bulk(b"port");
    reply.int(cluster.port(shard));
    reply.bulk(b"ip");
    reply.bulk(cluster.host.as_bytes());
    reply.bulk(b"endpoint");
    write_endpoint(cluster, reply);
    if let Some(hostname) = &cluster.hostname {
        reply.bulk(b"hostname");
        reply.bulk(hostname.as_bytes());
    }
    reply.bulk(b"role");
    reply.bulk(b"master");
    reply.bulk(b"replication-offset");
    reply.int(0);
    reply.bulk(b"health");
    reply.bulk(b"online");
}

/// The slot number in `text`; the error if it is none.
fn parse_slot(text: &[u8], otherwise: &'static str) -> Result<u16, &'static str> {
    let slot = integer(text)?;
    u16::try_from(slot).ok().filter(|slot| usize::from(*slot) < SLOTS).ok_or(otherwise)
}

/// Adds up over the shards: those that do not own the slot answer zero.
fn count_keys_in_slot(context: &mut Context<'_>, arguments: &[&[u8]]) {
    if context.config.cluster_ports == 0 {
        return context.reply.error(CLUSTER_DISABLED);
    }
    match parse_slot(arguments[2], "ERR Invalid slot") {
        Err(text) => context.reply.error(text),
        Ok(slot) => {
            let mut count = 0;
            visit_slot(context, slot, |_, _| count += 1);
            context.reply.count(count);
        }
    }
}

/// Adds up over the shards: those that do not own the slot answer an empty array.
fn keys_in_slot(context: &mut Context<'_>, arguments: &[&[u8]]) {
    if context.config.cluster_ports == 0 {
        return context.reply.error(CLUSTER_DISABLED);
    }
    let (slot, keys_max) = match slot_and_count(arguments) {
        Ok(both) => both,
        Err(text) => return context.reply.error(text),
    };
    let open = context.reply.open();
    let mut count = 0;
    visit_slot(context, slot, |reply, key| {
        if count < keys_max {
            reply.bulk(key);
            count += 1;
        }
    });
    context.reply.close_array(open, count);
}

/// Calls `visit` with every key of the slot if this shard owns it. Tables are not ordered by slot, so this looks at
/// every key of the shard.
fn visit_slot(context: &mut Context<'_>, slot: u16, mut visit: impl FnMut(&mut Reply<'_>, &[u8])) {
    if SlotMap::new(context.shards, context.config.zero_share).owner(slot) != context.shard {
        return;
    }
    let reply = &mut context.reply;
    context.keyspace.database(0).table().scan(0, usize::MAX, |entry| {
        if slot_of(entry.key()) == slot {
            visit(reply, entry.key());
        }
    });
}

fn slot_and_count(arguments: &[&[u8]]) -> Result<(u16, usize), &'static str> {
    const INVALID: &str = "ERR Invalid slot or number of keys";
    let slot = parse_slot(arguments[2], INVALID);
    if slot.is_err_and(|text| text != INVALID) {
        return slot.map(|slot| (slot, 0));
    }
    let count = integer(arguments[3])?;
    Ok((slot?, usize::try_from(count).map_err(|_| INVALID)?))
}

#[cfg(test)]
#[path = "cluster_test.rs"]
mod tests;
