//! Process-wide registers that all shards share: configuration, statistics, clients' numbers, pauses.
//!
//! Counters are written by one shard each and read by whoever asks; what is behind a mutex is touched on rare paths
//! only. No key and no value is here.

pub mod commands;
pub mod counters;
pub mod errors;
pub mod following;
pub mod histogram;
pub mod latency;
pub mod log;
pub mod persistence;
pub mod process;
pub mod rates;
pub mod replication;
pub mod slowlog;

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crossbeam_utils::CachePadded;

use crate::base::clock::{Monotonic, UnixMillis, unix_millis};
use crate::base::memory;
use crate::base::slot::SlotMap;
use crate::config::Config;
use commands::Commands;
use counters::{ShardCounters, Totals};
use errors::Errors;
use following::Following;
use latency::LatencyMonitor;
use persistence::Persistence;
use rates::Rates;
use replication::Replication;
use slowlog::SlowLog;

/// The configuration of the process: replaced whole by CONFIG SET, cached by every shard.
#[derive(Debug)]
pub struct ConfigCell {
    current: Mutex<Arc<Config>>,
    version: AtomicU64,
}

impl ConfigCell {
    /// A cell that holds `config`.
    pub fn new(config: Config) -> Self {
        Self { current: Mutex::new(Arc::new(config)), version: AtomicU64::new(1) }
    }

    /// The configuration now. Takes a mutex: shards call it when [`ConfigCell::version`] has moved.
    pub fn load(&self) -> Arc<Config> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes with every replacement.
    #[inline]
    pub fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    /// Replaces the configuration by what `change` makes of it, unless that fails; changes follow one another.
    pub fn change<R, E>(&self, change: impl FnOnce(&Config) -> Result<(Config, R), E>) -> Result<R, E> {
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let (config, result) = change(&current)?;
        *current = Arc::new(config);
        self.version.fetch_add(1, Ordering::Release);
        Ok(result)
    }
}

/// Why writes are refused while the dataset cannot be saved.
pub const CANNOT_SAVE: &str = "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. \
Commands that may modify the data set are disabled, because this instance is configured to report errors during writes if \
RDB snapshotting fails (stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";

/// CLIENT PAUSE, and the pause of writes at the end of the server, as every shard reads it before it lets a command pass.
#[derive(Debug, Default)]
pub struct Pause {
    until: AtomicI64,
    writes_only: AtomicBool,
    /// For how many reasons writes pause: another server is about to take over, the dataset is about to be saved for the last
    /// time, or loaded again.
    holds: AtomicUsize,
}

impl Pause {
    /// Pauses until then. A pause of everything is not weakened by one of writes while it lasts.
    pub fn set(&self, until: UnixMillis, writes_only: bool, now: UnixMillis) {
        let running = self.until.load(Ordering::Relaxed) > now;
        let weaker = running && !self.writes_only.load(Ordering::Relaxed) && writes_only;
        self.writes_only.store(writes_only && !weaker, Ordering::Relaxed);
        let longest = if running { self.until.load(Ordering::Relaxed).max(until) } else { until };
        self.until.store(longest, Ordering::Release);
    }

    /// Begins a pause of writes that lasts until everyone who began one has ended it.
    pub fn hold_writes(&self) {
        self.holds.fetch_add(1, Ordering::AcqRel);
    }

    /// Ends such a pause.
    pub fn release_writes(&self) {
        self.holds.fetch_sub(1, Ordering::AcqRel);
    }

    /// Whether writes pause whatever clients say.
    #[inline]
    fn is_holding(&self) -> bool {
        self.holds.load(Ordering::Acquire) > 0
    }

    /// Ends the pause.
    pub fn clear(&self) {
        self.until.store(0, Ordering::Release);
    }

    /// Whether commands pause now: writes, or all.
    #[inline]
    pub fn holds(&self, now: UnixMillis, is_write: bool) -> bool {
        let until = self.until.load(Ordering::Acquire);
        let is_paused = until != 0 && until > now && (is_write || !self.writes_only.load(Ordering::Relaxed));
        is_paused || is_write && self.is_holding()
    }

    /// End of the pause and whether it holds writes only, while it lasts.
    pub fn current(&self, now: UnixMillis) -> Option<(UnixMillis, bool)> {
        let until = self.until.load(Ordering::Acquire);
        let asked = (until > now).then(|| (until, self.writes_only.load(Ordering::Relaxed)));
        asked.or_else(|| self.is_holding().then_some((UnixMillis::MAX, true)))
    }
}

/// What all shards share.
#[derive(Debug)]
pub struct Server {
    /// Configuration.
    pub config: ConfigCell,
    /// Which shard owns which slot.
    pub slots: SlotMap,
    /// One register of counters per shard.
    pub shards: Box<[CachePadded<ShardCounters>]>,
    /// One register per shard and row of the command table.
    pub commands: Commands,
    /// Error replies by their code.
    pub errors: Errors,
    /// Commands that ran long.
    pub slowlog: SlowLog,
    /// Events that took long.
    pub latency: LatencyMonitor,
    /// What happens per second.
    pub rates: Rates,
    /// What the counters were at CONFIG RESETSTAT: they have one writer each, so they go on and INFO subtracts.
    baseline: Mutex<Totals>,
    /// Most bytes that were in use, as far as seen.
    peak_bytes: AtomicU64,
    /// Bytes in use when the start was complete.
    pub startup_bytes: AtomicU64,
    /// Who follows whom.
    pub replication: Replication,
    /// The master that is followed.
    pub following: Following,
    /// What is saved and loaded.
    pub persistence: Persistence,
    /// 40 hexadecimal digits drawn at start.
    pub run_id: String,
    /// Wall clock at start.
    pub started_at: UnixMillis,
    /// Monotonic clock at start.
    pub started: Monotonic,
    /// Addresses on which all shards listen over TCP, each with the tag of its listeners.
    pub listening: Mutex<Vec<(SocketAddr, u32)>>,
    /// Path of the executable.
    pub executable: String,
    /// Path of the configuration file, empty without one.
    pub config_file: String,
    /// CLIENT PAUSE.
    pub pause: Pause,
    /// Last number given to a client.
    pub last_client_id: AtomicU64,
    /// Connections that MONITOR.
    pub monitors: AtomicUsize,
    /// Connections that take the stream of effects; while it is zero none are made.
    pub effect_listeners: AtomicUsize,
    /// Whether expired keys are removed in the background (DEBUG SET-ACTIVE-EXPIRE).
    pub active_expire: AtomicBool,
    /// Connections to other servers that MIGRATE keeps.
    pub migrate_cached_sockets: AtomicU64,
    /// When a shard evicted last without a write that asked for it, in Unix milliseconds.
    pub made_room_at: AtomicI64,
    /// Whether the process is to end, unless that is called off.
    pub shutting_down: AtomicBool,
    /// Until when a shutdown waits for replicas, Unix milliseconds; 0 when it does not.
    pub shutdown_waits_until: AtomicI64,
    /// Whether the process is ending.
    pub stopping: AtomicBool,
    /// Shards that have not yet had everything sent since then; what they wait for may come from any other.
    pub unsettled: AtomicUsize,
}

impl Server {
    /// Registers for a process that starts now with `config`, its slots spread over `shards` shards. `command_names`
    /// are those of the rows of the command table, in order.
    pub fn new(config: Config, shards: usize, run_id: String, command_names: Vec<&'static str>) -> Self {
        let slots = SlotMap::new(shards, config.zero_share);
        Self {
            slots,
            shards: (0..shards).map(|_| CachePadded::new(ShardCounters::new(config.databases))).collect(),
            commands: Commands::new(shards, command_names, config.latency_tracking),
            errors: Errors::new(shards),
            slowlog: SlowLog::default(),
            latency: LatencyMonitor::default(),
            rates: Rates::default(),
            baseline: Mutex::default(),
            peak_bytes: AtomicU64::new(0),
            startup_bytes: AtomicU64::new(0),
            migrate_cached_sockets: AtomicU64::new(0),
            // Any digits that no other process has: those of the run id backwards.
            replication: Replication::new(run_id.chars().rev().collect()),
            following: Following::new(config.replicaof.clone()),
            persistence: Persistence::new(unix_millis() / 1000),
            run_id,
            started_at: unix_millis(),
            started: Monotonic::now(),
            listening: Mutex::default(),
            executable: String::new(),
            config_file: String::new(),
            pause: Pause::default(),
            last_client_id: AtomicU64::new(0),
            monitors: AtomicUsize::new(0),
            effect_listeners: AtomicUsize::new(0),
            active_expire: AtomicBool::new(true),
            made_room_at: AtomicI64::new(0),
            shutting_down: AtomicBool::new(false),
            shutdown_waits_until: AtomicI64::new(0),
            stopping: AtomicBool::new(false),
            unsettled: AtomicUsize::new(shards),
            config: ConfigCell::new(config),
        }
    }

    /// Why a master takes no writes from clients now.
    #[inline]
    pub fn write_refusal(&self, config: &Config) -> Option<&'static str> {
        if self.persistence.has_failed.load(Ordering::Relaxed)
            && config.stop_writes_on_bgsave_error
            && !config.save.is_empty()
        {
            return Some(CANNOT_SAVE);
        }
        let needed = config.min_replicas_to_write;
        let too_few = needed > 0
            && config.min_replicas_max_lag > 0
            && self.replication.good_replicas.load(Ordering::Relaxed) < needed;
        too_few.then_some("NOREPLICAS Not enough good replicas to write.")
    }

    /// A number for a new client.
    pub fn next_client_id(&self) -> u64 {
        self.last_client_id.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// The counters of all shards added up.
    pub fn totals(&self) -> Totals {
        let mut totals = Totals::default();
        self.shards.iter().for_each(|counters| totals.add(counters));
        totals
    }

    /// The totals at the last CONFIG RESETSTAT.
    pub fn baseline(&self) -> Totals {
        self.baseline.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// CONFIG RESETSTAT: statistics begin anew.
    pub fn reset_statistics(&self) {
        *self.baseline.lock().unwrap_or_else(PoisonError::into_inner) = self.totals();
        self.commands.reset();
        self.errors.reset();
        self.rates.reset();
        self.replication.reset_statistics();
    }

    /// Most bytes that were in use when somebody looked; who looks often (shard zero) keeps it true.
    pub fn peak_memory(&self) -> u64 {
        let used = self.used_memory();
        self.peak_bytes.fetch_max(used, Ordering::Relaxed).max(used)
    }

    /// Samples what changes with time: rates and the peak of memory. Shard zero calls it some ten times a second.
    pub fn sample(&self, now: Monotonic) {
        self.peak_memory();
        self.rates.sample(now, || {
            let totals = self.totals();
            [
                totals.commands_processed,
                totals.input_bytes,
                totals.output_bytes,
                totals.ticks,
                totals.busy_micros,
            ]
        });
    }

    /// Bytes allocated in the process: by the shards as they published it, and by all other threads.
    pub fn used_memory(&self) -> u64 {
        let shards: i64 = self.shards.iter().map(|shard| shard.allocated_bytes.get() as i64).sum();
        (shards + memory::unclaimed_allocated()).max(0) as u64
    }

    /// Bytes above `maxmemory`, not counting what waits to be freed; zero without a limit.
    pub fn memory_excess(&self, maxmemory: u64) -> u64 {
        if maxmemory == 0 {
            return 0;
        }
        let lazy: u64 = self.shards.iter().map(|shard| shard.lazy_bytes.get()).sum();
        self.used_memory().saturating_sub(lazy).saturating_sub(maxmemory)
    }

    /// Whether a shard other than `shard` has keys that could be evicted.
    pub fn others_can_evict(&self, shard: usize, only_volatile: bool) -> bool {
        self.shards.iter().enumerate().any(|(index, counters)| {
            let keys = if only_volatile { &counters.keys_with_expire } else { &counters.keys };
            index != shard && keys.get() > 0
        })
    }
}
