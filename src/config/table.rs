//! Every directive, one row each, sorted by name: those of Redis 7.2 with its defaults and bounds, and our own
//! (`cluster-ports`, `io-mode`, `pipeline-order`, `shards`, `zero-share`). How rows are read is in `directive`,
//! what the values do is where they are used.
//!
//! One default differs from Redis on purpose: `repl-backlog-size` is 64mb instead of 1mb, so that a replica that
//! restarts under load resumes where it was.

use super::choice::{
    self, AclPubsubDefault, AppendFsync, DisklessLoad, EndpointType, IoMode, LogLevel, MaxmemoryPolicy,
    PipelineOrder, ProtectedAction, SanitizeDumpPayload,
};
use super::directive::{
    Directive, Status, choice, integer, memory, memory_or_percent, octal, optional_text, special, text,
    yes_no,
};
use super::value::Kind;

const I32_MIN: i128 = i32::MIN as i128;
const I32_MAX: i128 = i32::MAX as i128;
const U32_MAX: i128 = u32::MAX as i128;
const I64_MAX: i128 = i64::MAX as i128;
const U64_MAX: i128 = u64::MAX as i128;
const MB: i128 = 1 << 20;
/// Shards of one process; more than any machine has cores.
const SHARDS_MAX: i128 = 256;
/// Bytes to which a smaller `repl-backlog-size` is brought.
const BACKLOG_BYTES_MIN: i128 = 16 << 10;
/// Bytes of a host name, with the zero that ends it in C.
const HOST_NAME_BYTES: usize = 256;

/// Directives that only files and the command line know, and that CONFIG GET does not answer.
pub(super) const FILE_ONLY: &[(&str, Status)] = &[
    ("include", Status::Active),
    ("loadmodule", Status::Meaningless),
    ("rename-command", Status::Active),
    ("user", Status::Later),
];

/// Directives of earlier Redis versions: with exactly one argument they are skipped.
pub(super) const RETIRED: &[&str] =
    &["list-max-ziplist-entries", "list-max-ziplist-value", "lua-replicate-commands"];

/// All directives, sorted by name in byte order.
pub static DIRECTIVES: &[Directive] = &[
    choice("acl-pubsub-default", "resetchannels", AclPubsubDefault::NAMES).later(),
    text("aclfile", "").immutable().later(),
    integer("acllog-max-len", "128", 0, I64_MAX).later(),
    integer("active-defrag-cycle-max", "25", 1, 99).meaningless(),
    integer("active-defrag-cycle-min", "1", 1, 99).meaningless(),
    memory("active-defrag-ignore-bytes", "100mb", 1, I64_MAX).meaningless(),
    integer("active-defrag-max-scan-fields", "1000", 1, I64_MAX).meaningless(),
    integer("active-defrag-threshold-lower", "10", 0, 1000).meaningless(),
    integer("active-defrag-threshold-upper", "100", 0, 1000).meaningless(),
    integer("active-expire-effort", "1", 1, 10),
    yes_no("activedefrag", "no").meaningless(),
    yes_no("activerehashing", "yes").meaningless(),
    yes_no("always-show-logo", "no").immutable().meaningless(),
    yes_no("aof-disable-auto-gc", "no").hidden().later(),
    yes_no("aof-load-truncated", "yes").later(),
    yes_no("aof-rewrite-incremental-fsync", "yes").meaningless(),
    yes_no("aof-timestamp-enabled", "no").later(),
    yes_no("aof-use-rdb-preamble", "yes").later(),
    optional_text("aof_rewrite_cpulist").immutable().meaningless(),
    text("appenddirname", "appendonlydir").checked(check_append_directory).immutable().later(),
    text("appendfilename", "appendonly.aof").checked(check_append_file).immutable().later(),
    choice("appendfsync", "everysec", AppendFsync::NAMES).later(),
    yes_no("appendonly", "no").denied_while_loading().meaningless(),
    memory("auto-aof-rewrite-min-size", "64mb", 0, I64_MAX).later(),
    integer("auto-aof-rewrite-percentage", "100", 0, I32_MAX).later(),
    optional_text("bgsave_cpulist").immutable().meaningless(),
    special("bind", "* -::*", Kind::Bind).several(),
    optional_text("bind-source-addr").later(),
    optional_text("bio_cpulist").immutable().meaningless(),
    integer("busy-reply-threshold", "5000", 0, I64_MAX).alias("lua-time-limit").later(),
    special(
        "client-output-buffer-limit",
        "normal 0 0 0 slave 256mb 64mb 60 pubsub 32mb 8mb 60",
        Kind::OutputBufferLimits,
    )
    .several(),
    memory("client-query-buffer-limit", "1gb", MB, I64_MAX),
    yes_no("cluster-allow-pubsubshard-when-down", "yes").meaningless(),
    yes_no("cluster-allow-reads-when-down", "no").meaningless(),
    yes_no("cluster-allow-replica-migration", "yes").meaningless(),
    integer("cluster-announce-bus-port", "0", 0, 65535).meaningless(),
    optional_text("cluster-announce-hostname").checked(check_host_name),
    optional_text("cluster-announce-human-nodename").checked(check_node_name).meaningless(),
    optional_text("cluster-announce-ip"),
    integer("cluster-announce-port", "0", 0, 65535).later(),
    integer("cluster-announce-tls-port", "0", 0, 65535).meaningless(),
    text("cluster-config-file", "nodes.conf").immutable().meaningless(),
    yes_no("cluster-enabled", "no").immutable().meaningless(),
    memory("cluster-link-sendbuf-limit", "0", 0, U64_MAX).meaningless(),
    integer("cluster-migration-barrier", "1", 0, I32_MAX).meaningless(),
    integer("cluster-node-timeout", "15000", 0, I64_MAX).meaningless(),
    integer("cluster-ping-interval", "0", 0, I64_MAX).hidden().meaningless(),
    integer("cluster-port", "0", 0, 65535).immutable().meaningless(),
    integer("cluster-ports", "0", 0, 65535).immutable(),
    choice("cluster-preferred-endpoint-type", "ip", EndpointType::NAMES),
    yes_no("cluster-replica-no-failover", "no").alias("cluster-slave-no-failover").meaningless(),
    integer("cluster-replica-validity-factor", "10", 0, I32_MAX)
        .alias("cluster-slave-validity-factor")
        .meaningless(),
    yes_no("cluster-require-full-coverage", "yes").meaningless(),
    yes_no("crash-log-enabled", "yes").meaningless(),
    yes_no("crash-memcheck-enabled", "yes").meaningless(),
    yes_no("daemonize", "no").immutable(),
    integer("databases", "16", 1, I32_MAX).immutable(),
    text("dbfilename", "dump.rdb").checked(check_snapshot_file).protected(),
    special("dir", "", Kind::Directory).protected().denied_while_loading(),
    yes_no("disable-thp", "yes").immutable().meaningless(),
    yes_no("dynamic-hz", "yes").meaningless(),
    choice("enable-debug-command", "no", ProtectedAction::NAMES).immutable(),
    choice("enable-module-command", "no", ProtectedAction::NAMES).immutable().meaningless(),
    choice("enable-protected-configs", "no", ProtectedAction::NAMES).immutable(),
    integer("hash-max-listpack-entries", "512", 0, I64_MAX).alias("hash-max-ziplist-entries"),
    memory("hash-max-listpack-value", "64", 0, I64_MAX).alias("hash-max-ziplist-value"),
    memory("hll-sparse-max-bytes", "3000", 0, I64_MAX),
    integer("hz", "10", 0, I32_MAX).clamped(1, 500),
    text("ignore-warnings", "").meaningless(),
    choice("io-mode", "auto", IoMode::NAMES).immutable(),
    integer("io-threads", "1", 1, 128).immutable().meaningless(),
    yes_no("io-threads-do-reads", "no").immutable().meaningless(),
    yes_no("jemalloc-bg-thread", "yes").meaningless(),
    integer("key-load-delay", "0", I32_MIN, I32_MAX).hidden(),
    integer("latency-monitor-threshold", "0", 0, I64_MAX),
    yes_no("latency-tracking", "yes"),
    special("latency-tracking-info-percentiles", "50 99 99.9", Kind::Percentiles).several(),
    yes_no("lazyfree-lazy-eviction", "no").meaningless(),
    yes_no("lazyfree-lazy-expire", "no").meaningless(),
    yes_no("lazyfree-lazy-server-del", "no"),
    yes_no("lazyfree-lazy-user-del", "no").later(),
    yes_no("lazyfree-lazy-user-flush", "no").later(),
    integer("lfu-decay-time", "1", 0, I32_MAX),
    integer("lfu-log-factor", "10", 0, I32_MAX),
    integer("list-compress-depth", "0", 0, I32_MAX).meaningless(),
    integer("list-max-listpack-size", "-2", I32_MIN, I32_MAX).alias("list-max-ziplist-size"),
    integer("loading-process-events-interval-bytes", "2097152", 1024, I32_MAX).hidden().meaningless(),
    text("locale-collate", "").meaningless(),
    text("logfile", "").immutable(),
    choice("loglevel", "notice", LogLevel::NAMES),
    optional_text("masterauth").sensitive(),
    optional_text("masteruser").sensitive(),
    integer("maxclients", "10000", 1, U32_MAX),
    memory("maxmemory", "0", 0, U64_MAX),
    memory_or_percent("maxmemory-clients", "0", 100, I64_MAX),
    integer("maxmemory-eviction-tenacity", "10", 0, 100).meaningless(),
    choice("maxmemory-policy", "noeviction", MaxmemoryPolicy::NAMES),
    integer("maxmemory-samples", "5", 1, I32_MAX),
    integer("min-replicas-max-lag", "10", 0, I32_MAX).alias("min-slaves-max-lag"),
    integer("min-replicas-to-write", "0", 0, I32_MAX).alias("min-slaves-to-write"),
    yes_no("no-appendfsync-on-rewrite", "no").meaningless(),
    special("notify-keyspace-events", "", Kind::Events),
    choice("oom-score-adj", "no", choice::OOM_SCORE_ADJ).meaningless(),
    special("oom-score-adj-values", "0 200 800", Kind::OomScores).several().meaningless(),
    optional_text("pidfile").immutable(),
    choice("pipeline-order", "relaxed", PipelineOrder::NAMES),
    integer("port", "6379", 0, 65535),
    text("proc-title-template", "{title} {listen-addr} {server-mode}").checked(check_title).meaningless(),
    choice("propagation-error-behavior", "ignore", choice::PROPAGATION_ERRORS).meaningless(),
    yes_no("protected-mode", "yes"),
    memory("proto-max-bulk-len", "512mb", MB, I64_MAX),
    yes_no("rdb-del-sync-files", "no").meaningless(),
    integer("rdb-key-save-delay", "0", I32_MIN, I32_MAX).hidden(),
    yes_no("rdb-save-incremental-fsync", "yes"),
    yes_no("rdbchecksum", "yes").immutable(),
    yes_no("rdbcompression", "yes"),
    memory("repl-backlog-size", "64mb", 1, I64_MAX).clamped(BACKLOG_BYTES_MIN, I64_MAX),
    integer("repl-backlog-ttl", "3600", 0, I64_MAX),
    yes_no("repl-disable-tcp-nodelay", "no").meaningless(),
    choice("repl-diskless-load", "disabled", DisklessLoad::NAMES).denied_while_loading().meaningless(),
    yes_no("repl-diskless-sync", "yes").meaningless(),
    integer("repl-diskless-sync-delay", "5", 0, I32_MAX).meaningless(),
    integer("repl-diskless-sync-max-replicas", "0", 0, I32_MAX).meaningless(),
    integer("repl-ping-replica-period", "10", 1, I32_MAX).alias("repl-ping-slave-period"),
    integer("repl-timeout", "60", 1, I32_MAX),
    optional_text("replica-announce-ip").alias("slave-announce-ip"),
    integer("replica-announce-port", "0", 0, 65535).alias("slave-announce-port"),
    yes_no("replica-announced", "yes"),
    yes_no("replica-ignore-disk-write-errors", "no").meaningless(),
    yes_no("replica-ignore-maxmemory", "yes").alias("slave-ignore-maxmemory"),
    yes_no("replica-lazy-flush", "no").alias("slave-lazy-flush").meaningless(),
    integer("replica-priority", "100", 0, I32_MAX).alias("slave-priority"),
    yes_no("replica-read-only", "yes").alias("slave-read-only"),
    yes_no("replica-serve-stale-data", "yes").alias("slave-serve-stale-data"),
    special("replicaof", "", Kind::ReplicaOf).alias("slaveof").immutable().several(),
    optional_text("requirepass").sensitive(),
    choice("sanitize-dump-payload", "no", SanitizeDumpPayload::NAMES).meaningless(),
    special("save", "3600 1 300 100 60 10000", Kind::Save).several(),
    optional_text("server_cpulist").immutable().meaningless(),
    integer("set-max-intset-entries", "512", 0, I64_MAX),
    integer("set-max-listpack-entries", "128", 0, I64_MAX),
    integer("set-max-listpack-value", "64", 0, I64_MAX),
    yes_no("set-proc-title", "yes").immutable().meaningless(),
    integer("shards", "0", 0, SHARDS_MAX).immutable(),
    special("shutdown-on-sigint", "default", Kind::Shutdown(choice::SHUTDOWN_FLAGS)).several(),
    special("shutdown-on-sigterm", "default", Kind::Shutdown(choice::SHUTDOWN_FLAGS)).several(),
    integer("shutdown-timeout", "10", 0, I32_MAX),
    integer("slowlog-log-slower-than", "10000", -1, I64_MAX),
    integer("slowlog-max-len", "128", 0, I64_MAX),
    integer("socket-mark-id", "0", 0, U32_MAX).immutable().meaningless(),
    yes_no("stop-writes-on-bgsave-error", "yes"),
    memory("stream-node-max-bytes", "4096", 0, I64_MAX),
    integer("stream-node-max-entries", "100", 0, I64_MAX),
    choice("supervised", "no", choice::SUPERVISED).immutable().meaningless(),
    yes_no("syslog-enabled", "no").immutable().meaningless(),
    choice("syslog-facility", "local0", choice::SYSLOG_FACILITY).immutable().meaningless(),
    text("syslog-ident", "redis").immutable().meaningless(),
    integer("tcp-backlog", "511", 0, I32_MAX).immutable(),
    integer("tcp-keepalive", "300", 0, I32_MAX),
    integer("timeout", "0", 0, I32_MAX),
    choice("tls-auth-clients", "yes", choice::TLS_AUTH_CLIENTS).meaningless(),
    optional_text("tls-ca-cert-dir").volatile().meaningless(),
    optional_text("tls-ca-cert-file").volatile().meaningless(),
    optional_text("tls-cert-file").volatile().meaningless(),
    optional_text("tls-ciphers").meaningless(),
    optional_text("tls-ciphersuites").meaningless(),
    optional_text("tls-client-cert-file").volatile().meaningless(),
    optional_text("tls-client-key-file").volatile().meaningless(),
    optional_text("tls-client-key-file-pass").meaningless(),
    yes_no("tls-cluster", "no").meaningless(),
    optional_text("tls-dh-params-file").volatile().meaningless(),
    optional_text("tls-key-file").volatile().meaningless(),
    optional_text("tls-key-file-pass").meaningless(),
    integer("tls-port", "0", 0, 65535).meaningless(),
    yes_no("tls-prefer-server-ciphers", "no").meaningless(),
    optional_text("tls-protocols").meaningless(),
    yes_no("tls-replication", "no").meaningless(),
    integer("tls-session-cache-size", "20480", 0, I32_MAX).meaningless(),
    integer("tls-session-cache-timeout", "300", 0, I32_MAX).meaningless(),
    yes_no("tls-session-caching", "yes").meaningless(),
    integer("tracking-table-max-keys", "1000000", 0, I64_MAX),
    optional_text("unixsocket").immutable(),
    octal("unixsocketperm", "0", 0, 0o777).immutable(),
    yes_no("use-exit-on-panic", "no").hidden().meaningless(),
    integer("watchdog-period", "0", 0, I32_MAX).hidden().meaningless(),
    integer("zero-share", "100", 1, 100).immutable(),
    integer("zset-max-listpack-entries", "128", 0, I64_MAX).alias("zset-max-ziplist-entries"),
    memory("zset-max-listpack-value", "64", 0, I64_MAX).alias("zset-max-ziplist-value"),
];

fn is_base_name(path: &[u8]) -> bool {
    !path.contains(&b'/') && !path.contains(&b'\\')
}

fn check_snapshot_file(name: &[u8]) -> Result<(), &'static str> {
    if is_base_name(name) { Ok(()) } else { Err("dbfilename can't be a path, just a filename") }
}

fn check_append_file(name: &[u8]) -> Result<(), &'static str> {
    match name {
        [] => Err("appendfilename can't be empty"),
        name if is_base_name(name) => Ok(()),
        _ => Err("appendfilename can't be a path, just a filename"),
    }
}

fn check_append_directory(name: &[u8]) -> Result<(), &'static str> {
    match name {
        [] => Err("appenddirname can't be empty"),
        name if is_base_name(name) => Ok(()),
        _ => Err("appenddirname can't be a path, just a dirname"),
    }
}

fn check_host_name(name: &[u8]) -> Result<(), &'static str> {
    if name.len() >= HOST_NAME_BYTES {
        return Err("Hostnames must be less than 256 characters");
    }
    let fits = |byte: &u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.');
    match name.iter().all(fits) {
        true => Ok(()),
        false => Err("Hostnames may only contain alphanumeric characters, hyphens or dots"),
    }
}

fn check_node_name(name: &[u8]) -> Result<(), &'static str> {
    match name.iter().any(|byte| b"!#$%&()*+:;<>?@[]^{|}~\0".contains(byte)) {
        false => Ok(()),
        true => Err("Announced human node name contained invalid character"),
    }
}

/// `{{` is a brace, `{name}` one of seven variables; nothing else may follow a brace. Something must be left when
/// the variables that can be empty are.
fn check_title(template: &[u8]) -> Result<(), &'static str> {
    const REFUSAL: &str = "template format is invalid or contains unknown variables";
    const FULL: [&[u8]; 4] = [b"listen-addr", b"config-file", b"port", b"tls-port"];
    const PERHAPS_EMPTY: [&[u8]; 3] = [b"title", b"server-mode", b"unixsocket"];
    let mut shows_something = false;
    let mut rest = template;
    while let Some(brace) = rest.iter().position(|&byte| byte == b'{') {
        shows_something |= !rest[..brace].trim_ascii().is_empty();
        rest = &rest[brace + 1..];
        if let Some(after) = rest.strip_prefix(b"{") {
            shows_something = true;
            rest = after;
            continue;
        }
        let end = rest.iter().position(|&byte| byte == b'}').ok_or(REFUSAL)?;
        if FULL.contains(&&rest[..end]) {
            shows_something = true;
        } else if !PERHAPS_EMPTY.contains(&&rest[..end]) {
            return Err(REFUSAL);
        }
        rest = &rest[end + 1..];
    }
    if shows_something || !rest.trim_ascii().is_empty() { Ok(()) } else { Err(REFUSAL) }
}
