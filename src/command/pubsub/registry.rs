//! Who listens to what, as the shard knows it that passes messages on: for each channel, pattern or prefix the home
//! shards of subscribers, with their numbers. Which connections those are, only their home shards know.

use std::sync::Arc;

use ahash::AHashMap;
use smallvec::SmallVec;

use super::subscriptions::Topic;
use crate::base::glob;
use crate::base::slot::ShardId;

/// How many connections of a home shard listen to one topic now. The number replaces what was known, so that the last
/// such statement counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listening {
    /// What kind of topic.
    pub topic: Topic,
    /// Its name.
    pub name: Arc<[u8]>,
    /// Connections that listen.
    pub connections: u32,
    /// Whether the shard that is told counts the topic among its own: each topic is counted by one shard.
    pub is_own: bool,
}

/// One home shard among those that a message goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Receiver {
    /// The home shard.
    pub home: ShardId,
    /// Whether connections there subscribed to the channel itself.
    pub is_direct: bool,
    /// Patterns of connections there that the channel matches.
    pub patterns: Vec<Arc<[u8]>>,
}

/// Whom a message goes to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Audience {
    /// Subscriptions that get it, over all shards.
    pub receivers: u64,
    /// The home shards of those.
    pub homes: SmallVec<[Receiver; 2]>,
}

impl Audience {
    fn home(&mut self, home: ShardId) -> &mut Receiver {
        let at = match self.homes.iter().position(|receiver| receiver.home == home) {
            Some(at) => at,
            None => {
                self.homes.push(Receiver { home, ..Receiver::default() });
                self.homes.len() - 1
            }
        };
        &mut self.homes[at]
    }
}

#[derive(Debug, Default)]
struct Listeners {
    homes: SmallVec<[(ShardId, u32); 2]>,
    is_own: bool,
}

impl Listeners {
    fn connections(&self) -> u64 {
        self.homes.iter().map(|&(_, connections)| u64::from(connections)).sum()
    }
}

/// Listeners by topic.
#[derive(Debug, Default)]
pub struct Registry {
    topics: [AHashMap<Arc<[u8]>, Listeners>; Topic::COUNT],
    own: [usize; Topic::COUNT],
}

impl Registry {
    /// Takes note of how many connections of `home` listen.
    pub fn set(&mut self, home: ShardId, listening: &Listening) {
        let Listening { topic, name, connections, is_own } = listening;
        let (table, own) = (&mut self.topics[*topic as usize], &mut self.own[*topic as usize]);
        if *connections == 0 {
            let Some(listeners) = table.get_mut(name) else { return };
            listeners.homes.retain(|&mut (at, _)| at != home);
            if listeners.homes.is_empty() {
                *own -= usize::from(listeners.is_own);
                table.remove(name);
            }
            return;
        }
        let listeners = table.entry(Arc::clone(name)).or_insert_with(|| {
            *own += usize::from(*is_own);
            Listeners { homes: SmallVec::new(), is_own: *is_own }
        });
        match listeners.homes.iter_mut().find(|(at, _)| *at == home) {
            Some((_, known)) => *known = *connections,
            None => listeners.homes.push((home, *connections)),
        }
    }

    /// Whom a message on `channel` goes to. Takes time in proportion to the number of patterns; those of channels of
    /// their own kind ([`Topic::ShardChannel`]) there are none.
    pub fn audience(&self, topic: Topic, channel: &[u8]) -> Audience {
        let mut audience = Audience::default();
        if let Some(listeners) = self.topics[topic as usize].get(channel) {
            audience.receivers = listeners.connections();
            let direct = listeners.homes.iter().map(|&(home, _)| Receiver {
                home,
                is_direct: true,
                patterns: Vec::new(),
            });
            audience.homes.extend(direct);
        }
        if topic == Topic::Channel {
            for (pattern, listeners) in &self.topics[Topic::Pattern as usize] {
                if glob::matches(pattern, channel, false) {
                    audience.receivers += listeners.connections();
                    for &(home, _) in &listeners.homes {
                        audience.home(home).patterns.push(Arc::clone(pattern));
                    }
                }
            }
        }
        audience
    }

    /// Whether nobody could hear of an event of a key.
    pub fn is_silent(&self) -> bool {
        self.topics[Topic::Channel as usize].is_empty() && self.topics[Topic::Pattern as usize].is_empty()
    }

    /// Whether clients follow keys by prefix.
    #[inline]
    pub fn has_prefixes(&self) -> bool {
        !self.topics[Topic::Prefix as usize].is_empty()
    }

    /// Home shards of clients that follow a prefix of `key`.
    pub fn followers(&self, key: &[u8]) -> SmallVec<[ShardId; 4]> {
        let mut homes: SmallVec<[ShardId; 4]> = SmallVec::new();
        for (prefix, listeners) in &self.topics[Topic::Prefix as usize] {
            if key.starts_with(prefix) {
                homes.extend(listeners.homes.iter().map(|&(home, _)| home));
            }
        }
        homes.sort_unstable();
        homes.dedup();
        homes
    }

    /// Names of a topic that this shard counts as its own.
    pub fn own_names(&self, topic: Topic) -> impl Iterator<Item = &[u8]> {
        let own = self.topics[topic as usize].iter().filter(|(_, listeners)| listeners.is_own);
        own.map(|(name, _)| &**name)
    }

    /// Number of [`Registry::own_names`].
    pub fn own_count(&self, topic: Topic) -> usize {
        self.own[topic as usize]
    }

    /// Number of names of a topic, whoever counts them.
    pub fn count(&self, topic: Topic) -> usize {
        self.topics[topic as usize].len()
    }

    /// Connections that subscribed to a channel of this shard's own; zero for any other.
    pub fn own_subscribers(&self, topic: Topic, name: &[u8]) -> u64 {
        let listeners = self.topics[topic as usize].get(name).filter(|listeners| listeners.is_own);
        listeners.map_or(0, Listeners::connections)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn set(registry: &mut Registry, home: ShardId, topic: Topic, name: &str, connections: u32) {
        let name = Arc::from(name.as_bytes());
        registry.set(home, &Listening { topic, name, connections, is_own: true });
    }

    fn homes(audience: &Audience) -> Vec<(ShardId, bool, usize)> {
        let mut homes: Vec<_> =
            audience.homes.iter().map(|to| (to.home, to.is_direct, to.patterns.len())).collect();
        homes.sort_unstable();
        homes
    }

    #[test]
    fn receivers_are_counted_over_all_homes() {
        let mut registry = Registry::default();
        set(&mut registry, 0, Topic::Channel, "news", 2);
        set(&mut registry, 3, Topic::Channel, "news", 1);
        set(&mut registry, 3, Topic::Pattern, "n*", 4);
        set(&mut registry, 1, Topic::Pattern, "ne?s", 1);
        set(&mut registry, 1, Topic::Pattern, "other", 1);
        let audience = registry.audience(Topic::Channel, b"news");
        assert_eq!(audience.receivers, 8);
        assert_eq!(homes(&audience), [(0, true, 0), (1, false, 1), (3, true, 1)]);
        assert_eq!(registry.audience(Topic::Channel, b"xyz"), Audience::default());
    }

    #[test]
    fn the_last_statement_counts_and_nothing_is_left_behind() {
        let mut registry = Registry::default();
        set(&mut registry, 0, Topic::Channel, "c", 2);
        set(&mut registry, 0, Topic::Channel, "c", 1);
        set(&mut registry, 1, Topic::Channel, "c", 1);
        assert_eq!(registry.own_subscribers(Topic::Channel, b"c"), 2);
        set(&mut registry, 0, Topic::Channel, "c", 0);
        set(&mut registry, 0, Topic::Channel, "c", 0);
        assert_eq!((registry.own_count(Topic::Channel), registry.count(Topic::Channel)), (1, 1));
        set(&mut registry, 1, Topic::Channel, "c", 0);
        assert_eq!((registry.own_count(Topic::Channel), registry.count(Topic::Channel)), (0, 0));
        assert!(registry.is_silent());
    }

    #[test]
    fn shard_channels_know_no_patterns() {
        let mut registry = Registry::default();
        set(&mut registry, 0, Topic::Pattern, "*", 1);
        assert_eq!(registry.audience(Topic::ShardChannel, b"c").receivers, 0);
        set(&mut registry, 0, Topic::ShardChannel, "c", 1);
        assert_eq!(registry.audience(Topic::ShardChannel, b"c").receivers, 1);
        assert_eq!(registry.audience(Topic::Channel, b"c").receivers, 1);
    }

    #[test]
    fn what_others_count_is_not_listed() {
        let mut registry = Registry::default();
        let name: Arc<[u8]> = Arc::from(&b"__keyspace@0__:a"[..]);
        let mirrored = Listening { topic: Topic::Channel, name, connections: 1, is_own: false };
        registry.set(2, &mirrored);
        assert_eq!(registry.own_names(Topic::Channel).count(), 0);
        assert_eq!(registry.own_subscribers(Topic::Channel, &mirrored.name), 0);
        assert_eq!(registry.audience(Topic::Channel, &mirrored.name).receivers, 1);
    }

    #[test]
    fn prefixes_have_followers() {
        let mut registry = Registry::default();
        assert!(!registry.has_prefixes());
        set(&mut registry, 1, Topic::Prefix, "user:", 1);
        set(&mut registry, 2, Topic::Prefix, "user:1", 1);
        set(&mut registry, 2, Topic::Prefix, "", 1);
        assert_eq!(registry.followers(b"user:17").as_slice(), [1, 2]);
        assert_eq!(registry.followers(b"u").as_slice(), [2]);
    }
}
