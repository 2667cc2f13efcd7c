//! What happens by the clock on each shard: expiry, lazy freeing, eviction, idle clients, ends of pauses, and the
//! registers that others read.

use std::time::Duration;

use super::executor::Core;
use super::survey::Survey;
use crate::base::clock::{Monotonic, UnixMillis};
use crate::config::Config;
use crate::net::SocketId;
use crate::shard::Env;
use crate::shard::owner::Shard;

/// Entries freed per slice of lazy freeing.
const FREE_SLICE: usize = 256;
/// Deadlines looked at per slice of the expire cycle.
const EXPIRE_SLICE: usize = 128;

/// How long a shard expires or frees in one go before its clients have their turn.
const SLICE: Duration = Duration::from_micros(500);

/// When the periodic work of a shard is due.
pub(super) struct Cron {
    due: Monotonic,
    /// When expiring and freeing go on, if the last run left something of it.
    goes_on: Option<Monotonic>,
    survey: Survey,
}

impl Cron {
    /// Due at once.
    pub fn new() -> Self {
        Self { due: Monotonic::now(), goes_on: None, survey: Survey::default() }
    }

    /// Whether its time has come.
    pub fn is_due(&self) -> bool {
        Monotonic::now() >= self.next()
    }

    /// How long the shard may sleep.
    pub fn until_next(&self, config: &Config) -> Duration {
        let left = self.next().nanos_since(Monotonic::now());
        Duration::from_nanos(left).min(period(config))
    }

    fn next(&self) -> Monotonic {
        self.goes_on.map_or(self.due, |goes_on| goes_on.min(self.due))
    }

    /// Runs what is due. What may take long takes a bounded part of the shard's time (`hz`, `active-expire-effort`), in slices.
    pub fn run(&mut self, core: &mut Core, own: &mut Shard) {
        let config = core.config.clone();
        let server = core.server.clone();
        let env = core.env(&config, &server);
        let pause = clear_away(env, own);
        self.goes_on = pause.map(|pause| Monotonic::now().plus(pause));
        core.publish(own);
        if Monotonic::now() < self.due {
            return;
        }
        self.survey.go_on(core, config.hz as usize);
        own.bound_tracked(env);
        if core.id == 0 {
            server.sample(Monotonic::now());
            core.keep_replication_time(own);
            core.stop_effects_of_nobody(own);
            core.attend_link();
            core.keep_save_points(own);
            core.keep_shutdown_time(own);
        }
        let evicting = Monotonic::now();
        core.make_room(own);
        own.announce();
        note_latency(env, "eviction-cycle", evicting);
        core.close_idle();
        core.cut_off_slow();
        core.end_pause();
        self.due = Monotonic::now().plus(period(&config));
    }
}

/// Expires and frees for a slice of time each; returns how long others have their turn before it goes on, if there is more to
/// do.
fn clear_away(env: Env<'_>, own: &mut Shard) -> Option<Duration> {
    let is_over = |started: Monotonic| Monotonic::now().nanos_since(started) > SLICE.as_nanos() as u64;
    let mut pause = None;
    let started = Monotonic::now();
    let may_expire = env.server.active_expire.load(std::sync::atomic::Ordering::Relaxed) && !env.is_paused();
    if may_expire && own.keyspace.follows {
        expire_local(env, own);
    } else if may_expire {
        while expire_slice(env, own) {
            if is_over(started) {
                let percent = 25 + 2 * env.config.active_expire_effort.saturating_sub(1);
                pause = Some(SLICE * (100 - percent) / percent);
                break;
            }
        }
    }
    note_latency(env, "expire-cycle", started);
    let started = Monotonic::now();
    while own.keyspace.lazy_objects() > 0 {
        own.keyspace.free_some(FREE_SLICE);
        if is_over(started) {
            return Some(SLICE);
        }
    }
    pause
}

fn note_latency(env: Env<'_>, event: &'static str, since: Monotonic) {
    let millis = Monotonic::now().nanos_since(since) / 1_000_000;
    env.server.latency.note(event, millis, env.config.latency_monitor_threshold_ms, env.now / 1000);
}

fn period(config: &Config) -> Duration {
    Duration::from_millis(1000 / u64::from(config.hz.clamp(1, 500)))
}

/// On a replica: removes what its own clients gave a time to live.
fn expire_local(env: Env<'_>, own: &mut Shard) {
    if own.keyspace.local_deadlines() == 0 {
        return;
    }
    own.maintain(|keyspace, locks, _, notices| {
        let is_locked = |hash| locks.is_claimed(hash);
        keyspace.expire_local(env.now, is_locked, |database, entry| {
            notices.expired(env.config.notify_keyspace_events, database, entry.key());
        });
    });
}

/// One slice of the expire cycle; whether there may be more to do.
fn expire_slice(env: Env<'_>, own: &mut Shard) -> bool {
    own.maintain(|keyspace, locks, effects, notices| {
        let (mut budget, mut fields_budget) = (EXPIRE_SLICE, EXPIRE_SLICE);
        let is_locked = |hash| locks.is_claimed(hash);
        keyspace.expire_cycle(env.now, &mut budget, is_locked, |database, entry| {
            effects.push(database, &[b"DEL".as_slice(), entry.key()]);
            notices.expired(env.config.notify_keyspace_events, database, entry.key());
        });
        keyspace.expire_fields_cycle(
            env.now,
            &mut fields_budget,
            is_locked,
            |database, key, fields, is_gone| {
                let fields = fields.iter().map(|field| &**field);
                let effect: Vec<&[u8]> = [b"HDEL".as_slice(), key].into_iter().chain(fields).collect();
                effects.push(database, &effect);
                notices.fields_expired(env.config.notify_keyspace_events, database, key, is_gone);
            },
        );
        budget == 0 || fields_budget == 0
    })
}

impl Core {
    /// Writes the registers that INFO and other shards read.
    pub fn publish(&self, own: &Shard) {
        let counters = self.counters();
        counters.allocated_bytes.set(crate::base::memory::thread_allocated() as u64);
        counters.publish_keyspace(&own.keyspace, self.now);
        let watching = self.connections.iter().flatten().filter(|c| !c.session.watches.is_empty()).count();
        counters.watching_clients.set(watching as u64);
    }

    /// Brings the registers of this shard and of every shard that sleeps up to date; those that are awake do so
    /// themselves, a few times a second.
    pub fn publish_all(&self, own: &Shard) {
        self.publish(own);
        for shard in (0..self.shards.len()).filter(|&shard| shard != self.id) {
            if let Some(token) = self.shards.try_own(shard) {
                self.server.shards[shard].publish_keyspace(&token.keyspace, self.now);
            }
        }
    }

    /// Ends connections that were silent for longer than `timeout`.
    fn close_idle(&mut self) {
        if self.config.timeout == 0 {
            return;
        }
        let limit = self.config.timeout as i64 * 1000;
        let now: UnixMillis = self.now;
        let idle: Vec<SocketId> = self
            .connections
            .iter()
            .flatten()
            .filter(|connection| now - connection.session.active_at > limit && connection.is_settled())
            .filter(|connection| !connection.session.monitor && !connection.takes_effects)
            .filter(|connection| connection.progress.is_none())
            .filter(|connection| !connection.is_subscriber && !connection.session.follows())
            .map(|connection| connection.socket)
            .collect();
        for id in idle {
            crate::verbose!("Closing idle client");
            self.break_connection(id);
        }
    }

    /// Looks again at connections whose output is above a soft limit: they may be so for too long, though nothing is added.
    fn cut_off_slow(&mut self) {
        let connections = self.connections.iter().flatten();
        let slow = connections.filter(|connection| connection.soft_limit_since.is_some());
        let slow: Vec<SocketId> = slow.map(|connection| connection.socket).collect();
        slow.into_iter().for_each(|id| self.mark_dirty(id));
    }

    /// Lets commands go on that CLIENT PAUSE held back, when it is over.
    pub fn end_pause(&mut self) {
        if self.paused.is_empty() || self.server.pause.current(self.now).is_some() {
            return;
        }
        let paused = std::mem::take(&mut self.paused);
        let blocked = &self.counters().blocked_clients;
        blocked.set(blocked.get().saturating_sub(paused.len() as u64));
        for id in paused {
            if let Some(connection) = self.connection(id) {
                connection.is_ready = false;
            }
            self.make_ready(id);
        }
    }
}
