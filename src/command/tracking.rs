//! Client-side caching: which keys clients have read, what a client has said about it, and the subcommands of CLIENT
//! for that.

use std::collections::BTreeSet;

use ahash::AHashMap;
use smallvec::SmallVec;

use super::args::{integer, is_word};
use super::home::{Ask, HomeContext, Then};
use super::notice::Actor;
use super::session::Session;
use crate::resp::error::SYNTAX;

/// Connections that have read a key.
pub type Readers = SmallVec<[Actor; 1]>;

/// The keys of one shard that clients have read since they last heard of a change, whatever the database.
#[derive(Debug, Default)]
pub struct Tracked {
    keys: AHashMap<Box<[u8]>, Readers>,
    items: usize,
}

impl Tracked {
    /// Whether nobody caches anything.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// Number of keys.
    pub fn keys(&self) -> usize {
        self.keys.len()
    }

    /// Number of readers, of all keys together.
    pub fn items(&self) -> usize {
        self.items
    }

    /// Takes note that a connection has read a key.
    pub fn remember(&mut self, key: &[u8], reader: Actor) {
        if let Some(readers) = self.keys.get_mut(key) {
            if !readers.contains(&reader) {
                readers.push(reader);
                self.items += 1;
            }
            return;
        }
        self.keys.insert(Box::from(key), SmallVec::from_elem(reader, 1));
        self.items += 1;
    }

    /// Connections that have read the key; they are forgotten.
    pub fn forget(&mut self, key: &[u8]) -> Readers {
        let readers = self.keys.remove(key).unwrap_or_default();
        self.items -= readers.len();
        readers
    }

    /// Forgets every key.
    pub fn clear(&mut self) {
        *self = Self::default();
    }

    /// So many keys, whichever; for a table that grew too large.
    pub fn some_keys(&self, count: usize) -> Vec<Box<[u8]>> {
        self.keys.keys().take(count).cloned().collect()
    }
}

/// Where a client has its invalidations sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Redirect {
    /// The client's number.
    pub client: u64,
    /// Its connection.
    pub target: Actor,
}

/// What CLIENT TRACKING says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// REDIRECT: the client that is told instead.
    pub redirect: Option<u64>,
    /// BCAST.
    pub bcast: bool,
    /// OPTIN.
    pub optin: bool,
    /// OPTOUT.
    pub optout: bool,
    /// NOLOOP.
    pub noloop: bool,
    /// PREFIX.
    pub prefixes: Vec<Box<[u8]>>,
}

/// A client that is told of changes of keys that it caches.
#[derive(Clone, Debug, Default)]
pub struct Tracking {
    /// Where its invalidations go, if not to itself.
    pub redirect: Option<Redirect>,
    /// Whether it follows all keys with its prefixes instead of those that it has read.
    pub bcast: bool,
    /// Whether it follows only keys of commands for which it says so.
    pub optin: bool,
    /// Whether it can say that it does not follow the keys of a command.
    pub optout: bool,
    /// Whether its own changes are not told to it.
    pub noloop: bool,
    /// Whether CLIENT CACHING was said for what follows.
    pub caching: bool,
    /// Whether the client that its invalidations go to is gone.
    pub is_broken: bool,
    /// What keys that it follows begin with.
    pub prefixes: BTreeSet<Box<[u8]>>,
}

impl Tracking {
    /// Whether keys that the next command reads are followed.
    pub fn follows_next(&self) -> bool {
        !self.bcast && if self.optin { self.caching } else { !(self.optout && self.caching) }
    }
}

/// `CLIENT TRACKING (ON|OFF) [option ...]`.
pub(super) fn tracking(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let options = match parse(&arguments[3..]) {
        Ok(options) => options,
        Err(text) => return home.error(text),
    };
    if is_word(arguments[2], "off") {
        home.session.end_tracking();
        return home.ok();
    }
    if !is_word(arguments[2], "on") {
        return home.error(SYNTAX);
    }
    if let Err(text) = check(home.session, &options) {
        return home.error(text);
    }
    if options.redirect.is_some() {
        return Then::Ask(Ask::Track(Box::new(options)));
    }
    home.session.begin_tracking(options, None);
    home.ok()
}

fn parse(arguments: &[&[u8]]) -> Result<Options, Vec<u8>> {
    let mut options = Options::default();
    let mut rest = arguments;
    while let Some((&option, following)) = rest.split_first() {
        rest = following;
        match following.split_first() {
            Some((&client, following)) if is_word(option, "redirect") => {
                if options.redirect.is_some_and(|client| client != 0) {
                    return Err(b"ERR A client can only redirect to a single other client".to_vec());
                }
                // Numbers of clients are positive: 0 is none that there is.
                options.redirect = Some(u64::try_from(integer(client)?).unwrap_or(0));
                rest = following;
            }
            Some((&prefix, following)) if is_word(option, "prefix") => {
                options.prefixes.push(Box::from(prefix));
                rest = following;
            }
            _ if is_word(option, "bcast") => options.bcast = true,
            _ if is_word(option, "optin") => options.optin = true,
            _ if is_word(option, "optout") => options.optout = true,
            _ if is_word(option, "noloop") => options.noloop = true,
            _ => return Err(SYNTAX.into()),
        }
    }
    Ok(options)
}

/// Whether the options fit together and to what the client does already.
fn check(session: &Session, options: &Options) -> Result<(), Vec<u8>> {
    let Options { bcast, optin, optout, ref prefixes, .. } = *options;
    let text = if !bcast && !prefixes.is_empty() {
        "ERR PREFIX option requires BCAST mode to be enabled"
    } else if session.tracking.as_ref().is_some_and(|known| known.bcast != bcast) {
        "ERR You can't switch BCAST mode on/off before disabling tracking for this client, and then re-enabling \
         it with a different mode."
    } else if bcast && (optin || optout) {
        "ERR OPTIN and OPTOUT are not compatible with BCAST"
    } else if optin && optout {
        "ERR You can't specify both OPTIN mode and OPTOUT mode"
    } else if session.tracking.as_ref().is_some_and(|known| optin && known.optout || optout && known.optin) {
        "ERR You can't switch OPTIN/OPTOUT mode before disabling tracking for this client, and then re-enabling \
         it with a different mode."
    } else {
        return check_prefixes(session, prefixes);
    };
    Err(text.into())
}

/// No key may have two prefixes of one client.
fn check_prefixes(session: &Session, prefixes: &[Box<[u8]>]) -> Result<(), Vec<u8>> {
    let overlap = |one: &[u8], other: &[u8]| one.starts_with(other) || other.starts_with(one);
    let known = session.tracking.as_ref().map(|tracking| &tracking.prefixes);
    for (at, prefix) in prefixes.iter().enumerate() {
        let with = |kind: &str, other: &[u8]| {
            let end = b"'. Prefixes for a single client must not overlap.";
            [b"ERR Prefix '", &**prefix, b"' overlaps with ", kind.as_bytes(), b" prefix '", other, end]
                .concat()
        };
        if let Some(other) = known.into_iter().flatten().find(|other| overlap(prefix, other)) {
            return Err(with("an existing", other));
        }
        if let Some(other) = prefixes[at + 1..].iter().find(|other| overlap(prefix, other)) {
            return Err(with("another provided", other));
        }
    }
    Ok(())
}

/// `CLIENT CACHING (YES|NO)`.
pub(super) fn caching(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let Some(tracking) = &mut home.session.tracking else {
        return home.error(
            "ERR CLIENT CACHING can be called only when the client is in tracking mode with OPTIN or OPTOUT mode \
             enabled",
        );
    };
    if is_word(arguments[2], "yes") {
        if !tracking.optin {
            return home
                .error("ERR CLIENT CACHING YES is only valid when tracking is enabled in OPTIN mode.");
        }
    } else if !is_word(arguments[2], "no") {
        return home.error(SYNTAX);
    } else if !tracking.optout {
        return home.error("ERR CLIENT CACHING NO is only valid when tracking is enabled in OPTOUT mode.");
    }
    tracking.caching = true;
    home.session.follow();
    home.ok()
}

/// The number of the client that invalidations go to; 0 for this one, -1 when it caches nothing.
pub fn redirection(session: &Session) -> i64 {
    let to = |tracking: &Tracking| tracking.redirect.map_or(0, |redirect| redirect.client as i64);
    session.tracking.as_deref().map_or(-1, to)
}

/// `CLIENT GETREDIR`.
pub(super) fn get_redirection(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.int(redirection(home.session));
    Then::Done
}

/// `CLIENT TRACKINGINFO`.
pub(super) fn info(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    let redirect = redirection(home.session);
    let tracking = home.session.tracking.as_deref();
    let flags: Vec<&str> = match tracking {
        None => vec!["off"],
        Some(tracking) => [
            ("on", true),
            ("bcast", tracking.bcast),
            ("optin", tracking.optin),
            ("caching-yes", tracking.optin && tracking.caching),
            ("optout", tracking.optout),
            ("caching-no", tracking.optout && tracking.caching),
            ("noloop", tracking.noloop),
            ("broken_redirect", tracking.is_broken),
        ]
        .into_iter()
        .filter_map(|(flag, is_set)| is_set.then_some(flag))
        .collect(),
    };
    let reply = &mut home.reply;
    reply.map(3);
    reply.bulk(b"flags");
    reply.set(flags.len());
    flags.iter().for_each(|flag| reply.bulk(flag.as_bytes()));
    reply.bulk(b"redirect");
    reply.int(redirect);
    reply.bulk(b"prefixes");
    reply.array(tracking.map_or(0, |tracking| tracking.prefixes.len()));
    tracking.iter().flat_map(|tracking| &tracking.prefixes).for_each(|prefix| reply.bulk(prefix));
    Then::Done
}

#[cfg(test)]
#[path = "tracking_test.rs"]
mod tests;
