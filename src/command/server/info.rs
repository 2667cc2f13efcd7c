//! INFO: what the server is and does, in sections. The fields and their order are those of Redis 7.2, so that its
//! monitoring tools read them; what has no counterpart yet has the value that Redis shows when it is idle. The section
//! `shards` is our own.

use std::fmt::Write;
use std::sync::atomic::Ordering;

use super::statistics;
use crate::base::number::format_f64;
use crate::command::home::{HomeContext, Then};
use crate::config::Config;
use crate::state::Server;
use crate::state::counters::{Counter, ShardCounters, Totals};
use crate::state::process::{self, CpuOf};
use crate::state::rates::Rate;
use crate::state::replication::ReplicaState;
use crate::store::access::lru_clock;

/// The version of Redis whose behaviour this is.
pub const REDIS_VERSION: &str = "7.2.6";

/// When a section is shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Shown {
    /// Unless other sections are asked for.
    ByDefault,
    /// For `all` and `everything`, or by its name.
    InAll,
    /// By its name only.
    ByName,
}

struct Section {
    name: &'static str,
    title: &'static str,
    shown: Shown,
    write: fn(&Subject<'_>, &mut String),
}

const fn section(
    name: &'static str,
    title: &'static str,
    shown: Shown,
    write: fn(&Subject<'_>, &mut String),
) -> Section {
    Section { name, title, shown, write }
}

const SECTIONS: &[Section] = &[
    section("server", "Server", Shown::ByDefault, server),
    section("clients", "Clients", Shown::ByDefault, clients),
    section("memory", "Memory", Shown::ByDefault, memory),
    section("persistence", "Persistence", Shown::ByDefault, persistence),
    section("stats", "Stats", Shown::ByDefault, stats),
    section("replication", "Replication", Shown::ByDefault, replication),
    section("cpu", "CPU", Shown::ByDefault, cpu),
    section("modules", "Modules", Shown::ByDefault, |_, _| {}),
    section("commandstats", "Commandstats", Shown::InAll, command_statistics),
    section("errorstats", "Errorstats", Shown::ByDefault, error_statistics),
    section("latencystats", "Latencystats", Shown::InAll, latency_statistics),
    section("cluster", "Cluster", Shown::ByDefault, cluster),
    section("keyspace", "Keyspace", Shown::ByDefault, keyspace),
    section("shards", "Shards", Shown::ByDefault, shards),
    section("debug", "Debug", Shown::ByName, debug),
];

/// What sections tell of.
struct Subject<'a> {
    server: &'a Server,
    config: &'a Config,
    now: i64,
    totals: Totals,
    baseline: Totals,
}

impl Subject<'_> {
    /// How much a counter has grown since CONFIG RESETSTAT.
    fn since_reset(&self, counter: impl Fn(&Totals) -> u64) -> u64 {
        counter(&self.totals).saturating_sub(counter(&self.baseline))
    }

    /// The largest that a shard has of a figure.
    fn largest(&self, figure: impl Fn(&ShardCounters) -> &Counter) -> u64 {
        self.server.shards.iter().map(|shard| figure(shard).get()).max().unwrap_or(0)
    }
}

/// Writes `name:value` lines.
macro_rules! fields {
    ($out:expr, $($name:ident: $value:expr,)+) => {{
        $(let _ = write!($out, concat!(stringify!($name), ":{}\r\n"), $value);)+
    }};
}

pub(super) fn info(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let subject = Subject {
        server: home.server,
        config: home.config,
        now: home.now,
        totals: home.server.totals(),
        baseline: home.server.baseline(),
    };
    let mut text = String::with_capacity(8192);
    for section in SECTIONS.iter().filter(|section| is_wanted(section, &arguments[1..])) {
        if !text.is_empty() {
            text.push_str("\r\n");
        }
        let _ = write!(text, "# {}\r\n", section.title);
        (section.write)(&subject, &mut text);
    }
    home.reply.verbatim("txt", text.as_bytes());
    Then::Done
}

fn is_wanted(section: &Section, names: &[&[u8]]) -> bool {
    let by_default = section.shown == Shown::ByDefault;
    names.is_empty() && by_default
        || names.iter().any(|name| match name.to_ascii_lowercase().as_slice() {
            b"default" => by_default,
            b"all" | b"everything" => section.shown != Shown::ByName,
            b"module_list" => section.name == "modules",
            name => name == section.name.as_bytes(),
        })
}

fn server(of: &Subject<'_>, out: &mut String) {
    let uptime = of.now.saturating_sub(of.server.started_at).max(0) / 1000;
    fields!(out,
        redis_version: REDIS_VERSION,
        skerry_version: env!("CARGO_PKG_VERSION"),
        redis_git_sha1: "00000000",
        redis_git_dirty: 0,
        redis_build_id: "0",
        redis_mode: "standalone",
        os: process::system_name(),
        arch_bits: usize::BITS,
        monotonic_clock: "POSIX clock_gettime",
        multiplexing_api: "io_uring",
        atomicvar_api: "rust-core",
        gcc_version: "0.0.0",
        process_id: std::process::id(),
        process_supervised: "no",
        run_id: of.server.run_id,
        tcp_port: of.config.port,
        server_time_usec: of.now * 1000,
        uptime_in_seconds: uptime,
        uptime_in_days: uptime / 86400,
        hz: of.config.hz,
        configured_hz: of.config.hz,
        lru_clock: lru_clock(of.now),
        executable: of.server.executable,
        config_file: of.server.config_file,
        io_threads_active: 0,
        shards: of.server.shards.len(),
    );
    let waits_until = of.server.shutdown_waits_until.load(Ordering::Acquire);
    if waits_until > 0 {
        fields!(out, shutdown_in_milliseconds: (waits_until - of.now).max(1),);
    }
    let mut listeners = 0;
    if of.config.port != 0 {
        let _ = write!(out, "listener{listeners}:name=tcp");
        for address in &of.config.bind {
            let _ = write!(out, ",bind={address}");
        }
        let _ = write!(out, ",port={}\r\n", of.config.port);
        listeners += 1;
    }
    if let Some(path) = &of.config.unixsocket {
        let _ = write!(out, "listener{listeners}:name=unix,bind={}\r\n", path.display());
    }
}

fn clients(of: &Subject<'_>, out: &mut String) {
    fields!(out,
        connected_clients: of.totals.clients.saturating_sub(of.server.replication.replicas().len() as u64),
        cluster_connections: 0,
        maxclients: of.config.maxclients,
        client_recent_max_input_buffer: of.largest(|shard| &shard.client_input_bytes_max),
        client_recent_max_output_buffer: of.largest(|shard| &shard.client_output_bytes_max),
        blocked_clients: of.totals.blocked_clients,
        tracking_clients: of.totals.tracking_clients,
        pubsub_clients: of.totals.pubsub_clients,
        clients_in_timeout_table: 0,
        watching_clients: of.totals.watching_clients,
        total_watched_keys: of.totals.watched_keys,
        total_blocking_keys: of.totals.awaited_keys,
        total_blocking_keys_on_nokey: of.totals.awaited_on_removal,
    );
}

/// Figures about memory that INFO and MEMORY share.
pub(super) struct MemoryFigures {
    pub used: u64,
    pub resident: u64,
    pub peak: u64,
    pub startup: u64,
    pub overhead: u64,
    pub dataset: u64,
    pub dataset_percent: f64,
    pub peak_percent: f64,
}

impl MemoryFigures {
    pub(super) fn of(server: &Server, totals: &Totals) -> Self {
        let startup = server.startup_bytes.load(Ordering::Relaxed);
        let used = server.used_memory();
        let peak = server.peak_memory();
        let overhead = (startup + totals.table_bytes).min(used);
        let dataset = used - overhead;
        let percent =
            |part: u64, whole: u64| if whole == 0 { 0.0 } else { part as f64 * 100.0 / whole as f64 };
        Self {
            used,
            resident: process::resident_bytes(),
            peak,
            startup,
            overhead,
            dataset,
            dataset_percent: percent(dataset, used.saturating_sub(startup)),
            peak_percent: percent(used, peak),
        }
    }

    /// Resident bytes for each that is in use.
    pub(super) fn resident_ratio(&self) -> f64 {
        if self.used == 0 { 0.0 } else { self.resident as f64 / self.used as f64 }
    }
}

/// The allocator and its version (`mimalloc-2.3.2`), of which minor and patch have two digits each in its number.
fn allocator_name() -> String {
    let version = mimalloc::MiMalloc.version();
    format!("mimalloc-{}.{}.{}", version / 10_000, version / 100 % 100, version % 100)
}

fn memory(of: &Subject<'_>, out: &mut String) {
    let figures = MemoryFigures::of(of.server, &of.totals);
    let system = process::machine_bytes();
    let resident_excess = figures.resident as i64 - figures.used as i64;
    let backlog = of.server.replication.backlog();
    fields!(out,
        used_memory: figures.used,
        used_memory_human: human(figures.used),
        used_memory_rss: figures.resident,
        used_memory_rss_human: human(figures.resident),
        used_memory_peak: figures.peak,
        used_memory_peak_human: human(figures.peak),
        used_memory_peak_perc: format_args!("{:.2}%", figures.peak_percent),
        used_memory_overhead: figures.overhead,
        used_memory_startup: figures.startup,
        used_memory_dataset: figures.dataset,
        used_memory_dataset_perc: format_args!("{:.2}%", figures.dataset_percent),
        allocator_allocated: figures.used,
        allocator_active: figures.resident,
        allocator_resident: figures.resident,
        total_system_memory: system,
        total_system_memory_human: human(system),
        used_memory_lua: 0,
        used_memory_vm_eval: 0,
        used_memory_lua_human: human(0),
        used_memory_scripts_eval: 0,
        number_of_cached_scripts: 0,
        number_of_functions: 0,
        number_of_libraries: 0,
        used_memory_vm_functions: 0,
        used_memory_vm_total: 0,
        used_memory_vm_total_human: human(0),
        used_memory_functions: 0,
        used_memory_scripts: 0,
        used_memory_scripts_human: human(0),
        maxmemory: of.config.maxmemory,
        maxmemory_human: human(of.config.maxmemory),
        maxmemory_policy: value_of(of.config, "maxmemory-policy"),
        allocator_frag_ratio: format_args!("{:.2}", figures.resident_ratio()),
        allocator_frag_bytes: resident_excess.max(0),
        allocator_rss_ratio: "1.00",
        allocator_rss_bytes: 0,
        rss_overhead_ratio: "1.00",
        rss_overhead_bytes: 0,
        mem_fragmentation_ratio: format_args!("{:.2}", figures.resident_ratio()),
        mem_fragmentation_bytes: resident_excess,
        mem_not_counted_for_evict: of.totals.lazy_bytes,
        mem_replication_backlog: backlog.length,
        mem_total_replication_buffers: backlog.length + backlog.overflow,
        mem_clients_slaves: backlog.overflow,
        mem_clients_normal: of.totals.client_bytes,
        mem_cluster_links: 0,
        mem_aof_buffer: 0,
        mem_allocator: allocator_name(),
        active_defrag_running: 0,
        lazyfree_pending_objects: of.totals.lazily_freeing,
        lazyfreed_objects: of.since_reset(|totals| totals.lazily_freed),
    );
}

/// The value of a directive as CONFIG GET shows it.
fn value_of(config: &Config, name: &str) -> String {
    let found = config.get(&[name]);
    found.first().map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
}

fn persistence(of: &Subject<'_>, out: &mut String) {
    let saved = &of.server.persistence;
    let (done, total) =
        (saved.keys_saved.load(Ordering::Relaxed), saved.keys_to_save.load(Ordering::Relaxed));
    let since = saved.saving_since.load(Ordering::Relaxed);
    let loading = &saved.loading;
    fields!(out,
        loading: u8::from(saved.is_loading()),
        async_loading: u8::from(of.server.following.is_loading.load(Ordering::Relaxed)),
        current_cow_peak: 0,
        current_cow_size: 0,
        current_cow_size_age: 0,
        current_fork_perc: format!("{:.2}", 100.0 * done as f64 / total.max(1) as f64),
        current_save_keys_processed: done,
        current_save_keys_total: total,
        rdb_changes_since_last_save: saved.unsaved(of.totals.dirty),
        rdb_bgsave_in_progress: u8::from(since > 0),
        rdb_last_save_time: saved.saved_at.load(Ordering::Relaxed),
        rdb_last_bgsave_status: if saved.has_failed.load(Ordering::Relaxed) { "err" } else { "ok" },
        rdb_last_bgsave_time_sec: saved.last_duration.load(Ordering::Relaxed),
        rdb_current_bgsave_time_sec: if since > 0 { of.now / 1000 - since } else { -1 },
        rdb_saves: saved.saves.load(Ordering::Relaxed),
        rdb_last_cow_size: 0,
        rdb_last_load_keys_expired: loading.expired_keys.load(Ordering::Relaxed),
        rdb_last_load_keys_loaded: loading.keys.load(Ordering::Relaxed),
        aof_enabled: 0,
        aof_rewrite_in_progress: 0,
        aof_rewrite_scheduled: 0,
        aof_last_rewrite_time_sec: -1,
        aof_current_rewrite_time_sec: -1,
        aof_last_bgrewrite_status: "ok",
        aof_rewrites: 0,
        aof_rewrites_consecutive_failures: 0,
        aof_last_write_status: "ok",
        aof_last_cow_size: 0,
        module_fork_in_progress: 0,
        module_fork_last_cow_size: 0,
    );
    if saved.is_loading() {
        let started = loading.started_at.load(Ordering::Relaxed) as u64;
        let registers = [&loading.total_bytes, &loading.used_memory, &loading.loaded_bytes];
        let [total, used, loaded] = registers.map(|register| register.load(Ordering::Relaxed));
        let elapsed = (of.now as u64 / 1000).saturating_sub(started);
        let left = total.saturating_sub(loaded);
        fields!(out,
            loading_start_time: started,
            loading_total_bytes: total,
            loading_rdb_used_mem: used,
            loading_loaded_bytes: loaded,
            loading_loaded_perc: format!("{:.2}", 100.0 * loaded as f64 / total.max(1) as f64),
            loading_eta_seconds: if elapsed == 0 { 1 } else { elapsed * left / (loaded + 1) },
        );
    }
}

fn stats(of: &Subject<'_>, out: &mut String) {
    let rates = &of.server.rates;
    let kilobytes = |rate| format!("{:.2}", rates.per_second(rate) / 1024.0);
    let commands_micros: u64 = of.server.commands.totals().map(|totals| totals.nanos / 1000).sum();
    let ticks = rates.per_second(Rate::Ticks);
    let tick_micros = if ticks > 0.0 { rates.per_second(Rate::BusyMicros) / ticks } else { 0.0 };
    fields!(out,
        total_connections_received: of.since_reset(|totals| totals.connections_received),
        total_commands_processed: of.since_reset(|totals| totals.commands_processed),
        instantaneous_ops_per_sec: rates.per_second(Rate::Commands) as u64,
        total_net_input_bytes: of.since_reset(|totals| totals.input_bytes),
        total_net_output_bytes: of.since_reset(|totals| totals.output_bytes),
        total_net_repl_input_bytes: of.server.following.input_bytes.load(Ordering::Relaxed),
        total_net_repl_output_bytes: 0,
        instantaneous_input_kbps: kilobytes(Rate::InputBytes),
        instantaneous_output_kbps: kilobytes(Rate::OutputBytes),
        instantaneous_input_repl_kbps: "0.00",
        instantaneous_output_repl_kbps: "0.00",
        rejected_connections: of.since_reset(|totals| totals.connections_rejected),
        sync_full: of.server.replication.full_syncs.load(Ordering::Relaxed),
        sync_partial_ok: of.server.replication.partial_syncs.load(Ordering::Relaxed),
        sync_partial_err: of.server.replication.refused_partial_syncs.load(Ordering::Relaxed),
        expired_keys: of.since_reset(|totals| totals.expired_keys),
        expired_subkeys: of.since_reset(|totals| totals.expired_fields),
        expired_stale_perc: "0.00",
        expired_time_cap_reached_count: 0,
        expire_cycle_cpu_milliseconds: 0,
        evicted_keys: of.since_reset(|totals| totals.evicted_keys),
        evicted_clients: of.since_reset(|totals| totals.evicted_clients),
        total_eviction_exceeded_time: 0,
        current_eviction_exceeded_time: 0,
        keyspace_hits: of.since_reset(|totals| totals.keyspace_hits),
        keyspace_misses: of.since_reset(|totals| totals.keyspace_misses),
        pubsub_channels: of.totals.pubsub_channels,
        pubsub_patterns: of.totals.pubsub_patterns,
        pubsubshard_channels: of.totals.pubsub_shard_channels,
        latest_fork_usec: 0,
        total_forks: 0,
        migrate_cached_sockets: of.server.migrate_cached_sockets.load(Ordering::Relaxed),
        slave_expires_tracked_keys: of.totals.local_deadlines,
        active_defrag_hits: 0,
        active_defrag_misses: 0,
        active_defrag_key_hits: 0,
        active_defrag_key_misses: 0,
        total_active_defrag_time: 0,
        current_active_defrag_time: 0,
        tracking_total_keys: of.totals.tracking_keys,
        tracking_total_items: of.totals.tracking_items,
        tracking_total_prefixes: of.totals.tracking_prefixes,
        unexpected_error_replies: of.server.following.failed_commands.load(Ordering::Relaxed),
        total_error_replies: of.since_reset(|totals| totals.error_replies),
        dump_payload_sanitizations: 0,
        total_reads_processed: of.since_reset(|totals| totals.ticks),
        total_writes_processed: of.since_reset(|totals| totals.ticks),
        io_threaded_reads_processed: 0,
        io_threaded_writes_processed: 0,
        client_query_buffer_limit_disconnections: of.since_reset(|totals| totals.query_limit_disconnections),
        client_output_buffer_limit_disconnections: of.since_reset(|totals| totals.output_limit_disconnections),
        reply_buffer_shrinks: 0,
        reply_buffer_expands: 0,
        eventloop_cycles: of.since_reset(|totals| totals.ticks),
        eventloop_duration_sum: of.since_reset(|totals| totals.busy_micros),
        eventloop_duration_cmd_sum: commands_micros,
        instantaneous_eventloop_cycles_per_sec: ticks as u64,
        instantaneous_eventloop_duration_usec: tick_micros as u64,
        acl_access_denied_auth: 0,
        acl_access_denied_cmd: 0,
        acl_access_denied_key: 0,
        acl_access_denied_channel: 0,
    );
}

fn replication(of: &Subject<'_>, out: &mut String) {
    let registers = &of.server.replication;
    let (history, replicas, backlog) = (registers.history(), registers.replicas(), registers.backlog());
    let role = if of.server.following.master().is_some() { "slave" } else { "master" };
    fields!(out, role: role,);
    super::replica::info(of.server, of.config, of.now, out);
    fields!(out,
        connected_slaves: replicas.len(),
    );
    if of.config.min_replicas_to_write > 0 && of.config.min_replicas_max_lag > 0 {
        fields!(out, min_slaves_good_slaves: registers.good_replicas.load(Ordering::Relaxed),);
    }
    for (number, replica) in replicas.iter().enumerate() {
        let lag =
            if replica.state == ReplicaState::Online { (of.now - replica.acknowledged_at) / 1000 } else { 0 };
        let _ = write!(
            out,
            "slave{number}:ip={},port={},state={},offset={},lag={lag}\r\n",
            replica.address,
            replica.port,
            replica.state.name(),
            replica.offset,
        );
    }
    let (second_id, second_offset) = match history.second {
        Some((id, end)) => (id, end as i64 + 1),
        None => ("0".repeat(40), -1),
    };
    fields!(out,
        master_failover_state: registers.failover().name(),
        master_replid: history.id,
        master_replid2: second_id,
        master_repl_offset: registers.offset(),
        second_repl_offset: second_offset,
        repl_backlog_active: u8::from(backlog.is_active),
        repl_backlog_size: of.config.repl_backlog_size,
        repl_backlog_first_byte_offset: backlog.first_offset,
        repl_backlog_histlen: backlog.length,
    );
}

fn cpu(_: &Subject<'_>, out: &mut String) {
    let seconds = |micros: i64| format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    let (process, children) = (process::cpu_time(CpuOf::Process), process::cpu_time(CpuOf::Children));
    let thread = process::cpu_time(CpuOf::Thread);
    fields!(out,
        used_cpu_sys: seconds(process.system_us),
        used_cpu_user: seconds(process.user_us),
        used_cpu_sys_children: seconds(children.system_us),
        used_cpu_user_children: seconds(children.user_us),
        used_cpu_sys_main_thread: seconds(thread.system_us),
        used_cpu_user_main_thread: seconds(thread.user_us),
    );
}

fn command_statistics(of: &Subject<'_>, out: &mut String) {
    for totals in statistics::totals(of.server) {
        if totals.calls == 0 && totals.failed == 0 && totals.rejected == 0 {
            continue;
        }
        let micros = totals.nanos as f64 / 1000.0;
        let per_call = if totals.calls == 0 { 0.0 } else { micros / totals.calls as f64 };
        let _ = write!(
            out,
            "cmdstat_{}:calls={},usec={},usec_per_call={per_call:.2},rejected_calls={},failed_calls={}\r\n",
            totals.name, totals.calls, micros as u64, totals.rejected, totals.failed
        );
    }
}

fn error_statistics(of: &Subject<'_>, out: &mut String) {
    for (code, count) in of.server.errors.totals() {
        // What would break a line or a field of it, as Redis has it.
        let shown = code.replace(['#', ':', '\n', '\r'], "_");
        let _ = write!(out, "errorstat_{shown}:count={count}\r\n");
    }
}

fn latency_statistics(of: &Subject<'_>, out: &mut String) {
    if !of.config.latency_tracking {
        return;
    }
    for totals in statistics::totals(of.server).filter(|totals| totals.latencies.total() > 0) {
        let percentiles = of.config.latency_tracking_info_percentiles.iter().map(|&percent| {
            let micros = totals.latencies.percentile(percent) as f64 / 1000.0;
            format!("p{}={micros:.3}", format_f64(percent))
        });
        let percentiles: Vec<String> = percentiles.collect();
        let _ = write!(out, "latency_percentiles_usec_{}:{}\r\n", totals.name, percentiles.join(","));
    }
}

fn cluster(of: &Subject<'_>, out: &mut String) {
    fields!(out, cluster_enabled: u8::from(of.config.cluster_ports != 0),);
}

fn keyspace(of: &Subject<'_>, out: &mut String) {
    for index in 0..of.config.databases {
        let (mut keys, mut expires, mut subexpiry, mut ttl_sum) = (0, 0, 0, 0);
        for database in of.server.shards.iter().filter_map(|shard| shard.databases.get(index)) {
            let with_expire = database.keys_with_expire.get();
            keys += database.keys.get();
            expires += with_expire;
            subexpiry += database.keys_with_field_expire.get();
            ttl_sum += u128::from(with_expire) * u128::from(database.mean_ttl_ms.get());
        }
        if keys > 0 {
            let mean = if expires == 0 { 0 } else { ttl_sum / u128::from(expires) };
            let _ = write!(
                out,
                "db{index}:keys={keys},expires={expires},avg_ttl={mean},subexpiry={subexpiry}\r\n"
            );
        }
    }
}

fn shards(of: &Subject<'_>, out: &mut String) {
    let uptime = crate::base::clock::Monotonic::now().micros_since(of.server.started).max(1);
    for (index, shard) in of.server.shards.iter().enumerate() {
        let _ = write!(
            out,
            "shard{index}:keys={},expires={},commands_local={},commands_borrowed={},commands_sent={},\
             commands_spanning={},clients={},used_memory={},busy_ratio={:.3}\r\n",
            shard.keys.get(),
            shard.keys_with_expire.get(),
            shard.commands_local.get(),
            shard.commands_borrowed.get(),
            shard.commands_sent.get(),
            shard.commands_spanning.get(),
            shard.clients.get(),
            shard.allocated_bytes.get() as i64,
            shard.busy_micros.get() as f64 / uptime as f64,
        );
    }
}

fn debug(of: &Subject<'_>, out: &mut String) {
    fields!(out,
        eventloop_duration_aof_sum: 0,
        eventloop_duration_cron_sum: of.totals.busy_micros,
        eventloop_duration_max: of.totals.busy_micros,
        eventloop_cmd_per_cycle_max: of.totals.commands_processed,
    );
}

/// A number of bytes as people read it: `1.50K`.
fn human(bytes: u64) -> String {
    if bytes < 1024 {
        return format!("{bytes}B");
    }
    let (mut amount, mut units) = (bytes as f64 / 1024.0, "KMGTP".chars());
    let mut unit = units.next();
    while amount >= 1024.0 && unit != Some('P') {
        amount /= 1024.0;
        unit = units.next();
    }
    format!("{amount:.2}{}", unit.unwrap_or('P'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_for_people() {
        for (bytes, text) in [
            (0, "0B"),
            (1023, "1023B"),
            (1024, "1.00K"),
            (1536, "1.50K"),
            (1 << 20, "1.00M"),
            (3 << 30, "3.00G"),
        ] {
            assert_eq!(human(bytes), text);
        }
    }
}
