//! What one client is subscribed to.

use ahash::AHashSet;

/// What a subscription names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Topic {
    /// A channel of PUBLISH.
    Channel,
    /// A pattern of such channels.
    Pattern,
    /// A channel of SPUBLISH.
    ShardChannel,
    /// A prefix of keys whose changes a caching client is told of (CLIENT TRACKING BCAST).
    Prefix,
}

impl Topic {
    /// Number of kinds.
    pub const COUNT: usize = 4;

    /// Whether every shard must know the subscription: what it names may happen on any.
    pub fn is_everywhere(self, name: &[u8]) -> bool {
        match self {
            Topic::Pattern | Topic::Prefix => true,
            Topic::Channel => name.starts_with(b"__keyspace@") || name.starts_with(b"__keyevent@"),
            Topic::ShardChannel => false,
        }
    }
}

/// A subscription that began or ended, which the connection's loop tells the shards concerned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SubscriptionChange {
    /// What it names.
    pub topic: Topic,
    /// The name.
    pub name: Box<[u8]>,
    /// Whether it began.
    pub begins: bool,
}

/// A client's subscriptions to channels and patterns.
#[derive(Clone, Debug, Default)]
pub struct Subscriptions {
    names: [AHashSet<Box<[u8]>>; 3],
}

impl Subscriptions {
    /// Subscriptions of one kind.
    pub fn count_of(&self, topic: Topic) -> usize {
        self.names.get(topic as usize).map_or(0, |names| names.len())
    }

    /// The number that the client is told with a change of this kind: those to channels and patterns count together.
    pub fn told_count(&self, topic: Topic) -> usize {
        match topic {
            Topic::ShardChannel => self.count_of(topic),
            _ => self.count_of(Topic::Channel) + self.count_of(Topic::Pattern),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.names.iter().all(|names| names.is_empty())
    }

    /// Names of one kind, in no particular order.
    pub fn names_of(&self, topic: Topic) -> Vec<Box<[u8]>> {
        self.names.get(topic as usize).map_or_else(Vec::new, |names| names.iter().cloned().collect())
    }

    /// Begins a subscription; false when there is that already.
    pub fn begin(&mut self, topic: Topic, name: &[u8]) -> bool {
        let Some(names) = self.names.get_mut(topic as usize) else { return false };
        !names.contains(name) && names.insert(Box::from(name))
    }

    /// Ends a subscription; false when there is none.
    pub fn end(&mut self, topic: Topic, name: &[u8]) -> bool {
        self.names.get_mut(topic as usize).is_some_and(|names| names.remove(name))
    }

    /// All of them, with their kinds.
    pub fn into_all(self) -> impl Iterator<Item = (Topic, Box<[u8]>)> {
        let topics = [Topic::Channel, Topic::Pattern, Topic::ShardChannel];
        topics
            .into_iter()
            .zip(self.names)
            .flat_map(|(topic, names)| names.into_iter().map(move |name| (topic, name)))
    }

    /// Heap bytes, about.
    pub fn memory_usage(&self) -> usize {
        let slots: usize = self.names.iter().map(|names| names.capacity()).sum();
        slots * (size_of::<Box<[u8]>>() + 1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_name_counts_once() {
        let mut subscriptions = Subscriptions::default();
        assert!(subscriptions.begin(Topic::Channel, b"a") && !subscriptions.begin(Topic::Channel, b"a"));
        assert!(subscriptions.begin(Topic::Pattern, b"a") && subscriptions.begin(Topic::ShardChannel, b"a"));
        assert_eq!(subscriptions.told_count(Topic::Pattern), 2);
        assert_eq!(subscriptions.told_count(Topic::ShardChannel), 1);
        assert!(subscriptions.end(Topic::Channel, b"a") && !subscriptions.end(Topic::Channel, b"a"));
        assert_eq!(subscriptions.names_of(Topic::Pattern), [Box::from(&b"a"[..])]);
        assert_eq!(subscriptions.into_all().count(), 2);
    }

    #[test]
    fn events_of_keys_happen_on_every_shard() {
        assert!(Topic::Channel.is_everywhere(b"__keyspace@0__:a"));
        assert!(Topic::Channel.is_everywhere(b"__keyevent@0__:set"));
        assert!(!Topic::Channel.is_everywhere(b"a") && Topic::Pattern.is_everywhere(b"a"));
        assert!(!Topic::ShardChannel.is_everywhere(b"__keyspace@0__:a"));
    }
}
