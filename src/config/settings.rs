//! The settings that the server reads while it runs, as plain typed fields. They are a view: the store in
//! [`Config`](super::Config) is the truth, and a changed configuration reads all of them anew.

use std::path::PathBuf;

use super::choice::{
    AclPubsubDefault, AppendFsync, DisklessLoad, EndpointType, IoMode, KeyspaceEvents, LogLevel,
    MaxmemoryPolicy, PipelineOrder, ProtectedAction, SanitizeDumpPayload, ShutdownFlags,
};
use super::table::DIRECTIVES;
use super::value::{FromValue, OutputBufferLimit, Primary, SavePoint, Value};

/// Declares the fields, each with its type and the directive that it shows.
macro_rules! settings {
    ($($(#[$doc:meta])* $field:ident: $type:ty = $directive:literal;)+) => {
        /// The typed settings. Units are in the names of the fields or their descriptions.
        #[derive(Clone, Debug)]
        #[non_exhaustive]
        pub struct Settings { $($(#[$doc])* pub $field: $type,)+ }

        impl Settings {
            /// Reads the fields from values in the order of the table.
            pub(super) fn read(values: &[Value]) -> Settings {
                Settings { $($field: FromValue::from_value(value_of(values, $directive)),)+ }
            }
        }

        #[cfg(test)]
        pub(super) const FIELDS: &[(&str, &str)] = &[$((stringify!($field), $directive)),+];
    };
}

fn value_of<'a>(values: &'a [Value], name: &str) -> &'a Value {
    let index = DIRECTIVES.binary_search_by(|row| row.name.cmp(name));
    &values[index.unwrap_or_else(|_| panic!("no directive {name}"))]
}

settings! {
    // Listening.

    /// Addresses to listen on; a leading `-` lets a missing one pass.
    bind: Vec<String> = "bind";
    /// TCP port, 0 for none.
    port: u16 = "port";
    /// Unix socket to listen on.
    unixsocket: Option<PathBuf> = "unixsocket";
    /// File mode of the Unix socket, 0 to leave it to the umask.
    unixsocketperm: u32 = "unixsocketperm";
    /// Pending connections per listener.
    tcp_backlog: i32 = "tcp-backlog";
    /// Seconds between keepalive probes, 0 for none.
    tcp_keepalive: u32 = "tcp-keepalive";
    /// Seconds after which an idle client is closed, 0 for never.
    timeout: u64 = "timeout";
    /// Clients at once.
    maxclients: usize = "maxclients";
    /// Whether only local clients are served while there is no password.
    protected_mode: bool = "protected-mode";
    /// Password of the default user; empty for none.
    requirepass: Vec<u8> = "requirepass";

    // Shards.

    /// Number of shards, 0 for one per core.
    shards: usize = "shards";
    /// Slots of shard zero, in percent of every other shard's.
    zero_share: u32 = "zero-share";
    /// First port of the shards' own, 0 for none.
    cluster_ports: u16 = "cluster-ports";
    /// Order within a pipeline.
    pipeline_order: PipelineOrder = "pipeline-order";
    /// Operations of the kernel's ring.
    io_mode: IoMode = "io-mode";
    /// What CLUSTER SLOTS calls a node.
    cluster_preferred_endpoint_type: EndpointType = "cluster-preferred-endpoint-type";
    /// Address that CLUSTER SLOTS shows instead of the one connected to.
    cluster_announce_ip: Option<String> = "cluster-announce-ip";
    /// Host name that CLUSTER SLOTS shows.
    cluster_announce_hostname: Option<String> = "cluster-announce-hostname";

    // Process.

    /// Number of databases.
    databases: usize = "databases";
    /// Least severity that is logged.
    loglevel: LogLevel = "loglevel";
    /// Log file; none for standard output.
    logfile: Option<PathBuf> = "logfile";
    /// Whether to run in the background.
    daemonize: bool = "daemonize";
    /// File that holds the process's number.
    pidfile: Option<PathBuf> = "pidfile";
    /// Directory of the data files, absolute.
    dir: PathBuf = "dir";
    /// Periodic work per second.
    hz: u32 = "hz";
    /// From 1 to 10: CPU that active expiry may take.
    active_expire_effort: u32 = "active-expire-effort";
    /// Who may use DEBUG.
    enable_debug_command: ProtectedAction = "enable-debug-command";
    /// Who may set protected directives.
    enable_protected_configs: ProtectedAction = "enable-protected-configs";
    /// What SIGINT asks of the shutdown.
    shutdown_on_sigint: ShutdownFlags = "shutdown-on-sigint";
    /// What SIGTERM asks of the shutdown.
    shutdown_on_sigterm: ShutdownFlags = "shutdown-on-sigterm";
    /// Seconds that a shutdown waits for replicas that lag.
    shutdown_timeout: u64 = "shutdown-timeout";

    // Bounds.

    /// Bytes of data, 0 for no limit.
    maxmemory: u64 = "maxmemory";
    /// What goes first when memory is short.
    maxmemory_policy: MaxmemoryPolicy = "maxmemory-policy";
    /// Keys looked at per eviction.
    maxmemory_samples: usize = "maxmemory-samples";
    /// Bytes of all clients' buffers; 0 for no limit; negative: percent of `maxmemory`.
    maxmemory_clients: i64 = "maxmemory-clients";
    /// How fast the counter of LFU saturates.
    lfu_log_factor: u32 = "lfu-log-factor";
    /// Minutes after which the counter of LFU loses one.
    lfu_decay_time: u32 = "lfu-decay-time";
    /// Bytes of one argument.
    proto_max_bulk_len: usize = "proto-max-bulk-len";
    /// Bytes of one client's unread input.
    client_query_buffer_limit: usize = "client-query-buffer-limit";
    /// Limits on untaken output, by [`ClientClass`](super::ClientClass).
    client_output_buffer_limits: [OutputBufferLimit; 3] = "client-output-buffer-limit";
    /// Keys remembered for client-side caching, 0 for no limit.
    tracking_table_max_keys: usize = "tracking-table-max-keys";
    /// Milliseconds after which a script may be killed.
    busy_reply_threshold_ms: u64 = "busy-reply-threshold";

    // Observation.

    /// Microseconds from which a command is slow; negative for never.
    slowlog_log_slower_than_us: i64 = "slowlog-log-slower-than";
    /// Entries of the slow log.
    slowlog_max_len: usize = "slowlog-max-len";
    /// Milliseconds from which an event is a latency spike, 0 for never.
    latency_monitor_threshold_ms: u64 = "latency-monitor-threshold";
    /// Whether each command's latencies are counted.
    latency_tracking: bool = "latency-tracking";
    /// Percentiles that INFO shows of them.
    latency_tracking_info_percentiles: Vec<f64> = "latency-tracking-info-percentiles";
    /// Entries of the log of refused access.
    acllog_max_len: usize = "acllog-max-len";
    /// Classes of keyspace events that are published.
    notify_keyspace_events: KeyspaceEvents = "notify-keyspace-events";

    // Encodings.

    /// Fields of a compact hash.
    hash_max_listpack_entries: usize = "hash-max-listpack-entries";
    /// Bytes of a field or value of a compact hash.
    hash_max_listpack_value: usize = "hash-max-listpack-value";
    /// Elements of a set of integers.
    set_max_intset_entries: usize = "set-max-intset-entries";
    /// Elements of a compact set.
    set_max_listpack_entries: usize = "set-max-listpack-entries";
    /// Bytes of an element of a compact set.
    set_max_listpack_value: usize = "set-max-listpack-value";
    /// Elements of a compact sorted set.
    zset_max_listpack_entries: usize = "zset-max-listpack-entries";
    /// Bytes of an element of a compact sorted set.
    zset_max_listpack_value: usize = "zset-max-listpack-value";
    /// Size of a compact list: elements, or -1 to -5 for 4 to 64 KB.
    list_max_listpack_size: i32 = "list-max-listpack-size";
    /// Bytes of a stream's node.
    stream_node_max_bytes: usize = "stream-node-max-bytes";
    /// Entries of a stream's node.
    stream_node_max_entries: usize = "stream-node-max-entries";
    /// Bytes of a sparse HyperLogLog.
    hll_sparse_max_bytes: usize = "hll-sparse-max-bytes";
    /// Whether payloads are checked in depth.
    sanitize_dump_payload: SanitizeDumpPayload = "sanitize-dump-payload";

    // Freeing.

    /// Whether a key that loses its last elements at one go is replicated as UNLINK instead of DEL.
    lazyfree_lazy_server_del: bool = "lazyfree-lazy-server-del";
    /// Whether DEL behaves as UNLINK.
    lazyfree_lazy_user_del: bool = "lazyfree-lazy-user-del";
    /// Whether FLUSHALL and FLUSHDB are asynchronous unless they say SYNC.
    lazyfree_lazy_user_flush: bool = "lazyfree-lazy-user-flush";

    // Persistence.

    /// When snapshots are due.
    save: Vec<SavePoint> = "save";
    /// Name of the snapshot in `dir`.
    dbfilename: PathBuf = "dbfilename";
    /// Whether strings in snapshots are compressed.
    rdbcompression: bool = "rdbcompression";
    /// Whether snapshots end with a checksum.
    rdbchecksum: bool = "rdbchecksum";
    /// Whether what is written of a snapshot goes to the disk piece by piece.
    rdb_save_incremental_fsync: bool = "rdb-save-incremental-fsync";
    /// Whether writes are refused after a failed snapshot.
    stop_writes_on_bgsave_error: bool = "stop-writes-on-bgsave-error";
    /// Microseconds of delay per key of a snapshot, for tests.
    rdb_key_save_delay_us: i32 = "rdb-key-save-delay";
    /// Microseconds of delay per key loaded, for tests; negative: per so many keys.
    key_load_delay_us: i32 = "key-load-delay";
    /// Whether the append-only file is written.
    appendonly: bool = "appendonly";
    /// How often it is synced.
    appendfsync: AppendFsync = "appendfsync";
    /// Prefix of its files' names.
    appendfilename: PathBuf = "appendfilename";
    /// Its directory in `dir`.
    appenddirname: PathBuf = "appenddirname";
    /// Bytes below which it is not rewritten by itself.
    auto_aof_rewrite_min_size: u64 = "auto-aof-rewrite-min-size";
    /// Growth in percent after which it is rewritten by itself, 0 for never.
    auto_aof_rewrite_percentage: u64 = "auto-aof-rewrite-percentage";
    /// Whether a file that ends in the middle of a command is loaded.
    aof_load_truncated: bool = "aof-load-truncated";
    /// Whether a rewritten file starts with a snapshot.
    aof_use_rdb_preamble: bool = "aof-use-rdb-preamble";
    /// Whether it carries timestamps.
    aof_timestamp_enabled: bool = "aof-timestamp-enabled";

    // Replication.

    /// The primary to follow.
    replicaof: Option<Primary> = "replicaof";
    /// User at the primary.
    masteruser: Vec<u8> = "masteruser";
    /// Password at the primary.
    masterauth: Vec<u8> = "masterauth";
    /// Whether a replica that lost its primary answers.
    replica_serve_stale_data: bool = "replica-serve-stale-data";
    /// Whether a replica refuses writes.
    replica_read_only: bool = "replica-read-only";
    /// Whether a replica leaves eviction to its primary.
    replica_ignore_maxmemory: bool = "replica-ignore-maxmemory";
    /// Order of promotion by a sentinel, 0 for never.
    replica_priority: u32 = "replica-priority";
    /// Address that a replica announces.
    replica_announce_ip: Option<String> = "replica-announce-ip";
    /// Port that a replica announces, 0 for the one it listens on.
    replica_announce_port: u16 = "replica-announce-port";
    /// Whether a sentinel sees a replica.
    replica_announced: bool = "replica-announced";
    /// Seconds between a primary's pings.
    repl_ping_replica_period: u64 = "repl-ping-replica-period";
    /// Seconds of silence after which a link is closed.
    repl_timeout: u64 = "repl-timeout";
    /// Bytes of the backlog.
    repl_backlog_size: usize = "repl-backlog-size";
    /// Seconds that the backlog outlives the last replica, 0 for ever.
    repl_backlog_ttl: u64 = "repl-backlog-ttl";
    /// Whether small writes to a replica are gathered by the kernel.
    repl_disable_tcp_nodelay: bool = "repl-disable-tcp-nodelay";
    /// Whether snapshots go to replicas without a file.
    repl_diskless_sync: bool = "repl-diskless-sync";
    /// Seconds that such a snapshot waits for more replicas.
    repl_diskless_sync_delay: u64 = "repl-diskless-sync-delay";
    /// Replicas that end that wait, 0 for no bound.
    repl_diskless_sync_max_replicas: usize = "repl-diskless-sync-max-replicas";
    /// How a replica loads such a snapshot.
    repl_diskless_load: DisklessLoad = "repl-diskless-load";
    /// Replicas that must be in touch for writes to be accepted.
    min_replicas_to_write: usize = "min-replicas-to-write";
    /// Seconds of lag up to which a replica is in touch.
    min_replicas_max_lag: u64 = "min-replicas-max-lag";

    // Access.

    /// File of users.
    aclfile: Option<PathBuf> = "aclfile";
    /// What new users may hear.
    acl_pubsub_default: AclPubsubDefault = "acl-pubsub-default";
}
