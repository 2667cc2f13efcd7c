//! Each policy on small keyspaces, under fixed seeds.

use ahash::RandomState;
use rand::SeedableRng;
use rand::rngs::SmallRng;

use super::*;
use crate::store::access::{lfu_minutes, lru_clock};

const NOW: UnixMillis = 1_700_000_000_000;

fn rules(policy: MaxmemoryPolicy) -> Rules {
    Rules { policy, samples: 5, lfu_decay_minutes: 1 }
}

/// `count` keys of which the number is the age in seconds and the frequency; every third has a deadline.
fn keyspace(count: usize) -> Keyspace {
    let mut keyspace = Keyspace::new(2, RandomState::with_seeds(1, 2, 3, 4));
    for number in 0..count {
        let expire = number.is_multiple_of(3).then_some(NOW + 1_000_000 - number as i64);
        let entry = Entry::new_string(format!("{number}").as_bytes(), b"value", expire);
        entry.set_access(lru_clock(NOW - number as i64 * 1000));
        keyspace.insert(number % 2, entry, NOW);
    }
    keyspace
}

fn number(entry: &Entry) -> usize {
    std::str::from_utf8(entry.key()).unwrap().parse().unwrap()
}

fn evict(keyspace: &mut Keyspace, policy: MaxmemoryPolicy, count: usize) -> Vec<usize> {
    let mut rng = SmallRng::seed_from_u64(7);
    let mut evicted = Vec::new();
    for _ in 0..count {
        let Some((_, entry)) = keyspace.evict_one(&rules(policy), &mut rng, NOW, |_| false) else { break };
        evicted.push(number(&entry));
    }
    evicted
}

#[test]
fn lru_prefers_what_was_not_used_for_long() {
    let evicted = evict(&mut keyspace(3000), MaxmemoryPolicy::AllkeysLru, 300);
    assert_eq!(evicted.len(), 300);
    let old = evicted.iter().filter(|&&number| number >= 2000).count();
    assert!(old > 270, "only {old} of 300 were among the oldest third");
}

#[test]
fn lfu_prefers_what_is_rarely_used() {
    let mut keyspace = keyspace(0);
    for number in 0..1000 {
        let entry = Entry::new_string(format!("{number}").as_bytes(), b"value", None);
        entry.set_access((lfu_minutes(NOW) << 8) | (number / 4) as u32);
        keyspace.insert(0, entry, NOW);
    }
    let evicted = evict(&mut keyspace, MaxmemoryPolicy::AllkeysLfu, 100);
    let rare = evicted.iter().filter(|&&number| number < 333).count();
    assert!(rare > 90, "only {rare} of 100 were among the rarest third");
}

#[test]
fn the_shortest_time_to_live_goes_first() {
    let evicted = evict(&mut keyspace(3000), MaxmemoryPolicy::VolatileTtl, 100);
    let soon = evicted.iter().filter(|&&number| number >= 2000).count();
    assert!(soon > 90, "only {soon} of 100 were among those that expire soonest");
}

#[test]
fn volatile_policies_spare_what_has_no_deadline() {
    for policy in [
        MaxmemoryPolicy::VolatileLru,
        MaxmemoryPolicy::VolatileLfu,
        MaxmemoryPolicy::VolatileRandom,
        MaxmemoryPolicy::VolatileTtl,
    ] {
        let evicted = evict(&mut keyspace(300), policy, 1000);
        assert!(evicted.iter().all(|number| number % 3 == 0), "{policy}");
        assert_eq!(evicted.len(), 100, "{policy} evicts all that it may");
    }
}

#[test]
fn allkeys_policies_evict_everything() {
    for policy in [MaxmemoryPolicy::AllkeysLru, MaxmemoryPolicy::AllkeysLfu, MaxmemoryPolicy::AllkeysRandom] {
        let mut keyspace = keyspace(300);
        assert_eq!(evict(&mut keyspace, policy, 1000).len(), 300, "{policy}");
        assert_eq!(keyspace.counters.evicted, 300);
    }
}

#[test]
fn locked_keys_stay() {
    for policy in [MaxmemoryPolicy::AllkeysLru, MaxmemoryPolicy::AllkeysRandom] {
        let mut keyspace = keyspace(20);
        let locked = keyspace.hash(b"13");
        let mut rng = SmallRng::seed_from_u64(7);
        let mut evicted = 0;
        while let Some((_, entry)) = keyspace.evict_one(&rules(policy), &mut rng, NOW, |hash| hash == locked)
        {
            assert_ne!(entry.key(), b"13");
            evicted += 1;
        }
        assert_eq!(evicted, 19, "{policy}");
    }
}

#[test]
fn noeviction_evicts_nothing_and_a_seed_repeats_itself() {
    assert!(evict(&mut keyspace(10), MaxmemoryPolicy::NoEviction, 1).is_empty());
    let choose = || evict(&mut keyspace(100), MaxmemoryPolicy::AllkeysRandom, 20);
    assert_eq!(choose(), choose());
}
