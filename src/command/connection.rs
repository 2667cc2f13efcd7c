//! The connection family: who the client is, in which protocol it speaks, which database it uses. Rows on top,
//! handlers below. CLIENT has a file of its own (`client`).

use super::args::{integer, is_word};
use super::home::{Ask, HomeContext, Then};
use super::{Command, Flags, Group, Run};
use crate::base::number::parse_i64;
use crate::config::Config;
use crate::resp::error::{DB_INDEX_OUT_OF_RANGE, SYNTAX, WRONG_PASSWORD, wrong_arity};
use crate::resp::reply::Protocol;

/// The version of Redis that this server tells clients it is, so that they choose their ways by it.
pub const REDIS_VERSION: &str = "7.2.6";

/// Commands that a client may send before it has authenticated.
const HANDSHAKE: Flags = Flags::NOSCRIPT
    .union(Flags::LOADING)
    .union(Flags::STALE)
    .union(Flags::FAST)
    .union(Flags::NO_AUTH)
    .union(Flags::ALLOW_BUSY);

const ANYTIME: Flags = Flags::LOADING.union(Flags::STALE).union(Flags::FAST);

/// The rows of this family.
pub const COMMANDS: &[Command] = &[
    Command::new("auth", -2, Group::Connection, Run::Home(auth))
        .flags(HANDSHAKE.union(Flags::SENTINEL))
        .docs(
            "1.0.0",
            "Authenticates the connection.",
            "O(N) where N is the number of passwords defined for the user",
        ),
    Command::new("echo", 2, Group::Connection, Run::Home(echo)).flags(ANYTIME).docs(
        "1.0.0",
        "Returns its argument.",
        "O(1)",
    ),
    Command::new("hello", -1, Group::Connection, Run::Home(hello))
        .flags(HANDSHAKE.union(Flags::SENTINEL))
        .docs("6.0.0", "Agrees on the protocol, and authenticates and names the connection.", "O(1)"),
    Command::new("ping", -1, Group::Connection, Run::Home(ping))
        .flags(Flags::FAST.union(Flags::SENTINEL))
        .docs("1.0.0", "Says that the server is there.", "O(1)")
        .tips(&["request_policy:all_shards", "response_policy:all_succeeded"]),
    Command::new("quit", -1, Group::Connection, Run::Home(quit))
        .flags(HANDSHAKE.union(Flags::NOT_QUEUED))
        .docs("1.0.0", "Closes the connection.", "O(1)")
        .deprecated("7.2.0", "just closing the connection"),
    Command::new("reset", 1, Group::Connection, Run::Home(reset))
        .flags(HANDSHAKE.union(Flags::NOT_QUEUED))
        .docs("6.2.0", "Brings the connection back to its first state.", "O(1)"),
    Command::new("select", 2, Group::Connection, Run::Home(select)).flags(ANYTIME).docs(
        "1.0.0",
        "Changes the database of the connection.",
        "O(1)",
    ),
];

fn auth(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let (user, password) = match *arguments {
        [_, _] if home.config.requirepass.is_empty() => {
            return home.error(
                "ERR AUTH <password> called without any password configured for the default user. \
                 Are you sure your configuration is correct?",
            );
        }
        [_, password] => (&b"default"[..], password),
        [_, user, password] => (user, password),
        _ => return home.error(SYNTAX),
    };
    if authenticate(home, user, password) { home.ok() } else { home.error(WRONG_PASSWORD) }
}

/// Makes the session that of `user` if the password is right.
fn authenticate(home: &mut HomeContext<'_>, user: &[u8], password: &[u8]) -> bool {
    let passed = user == b"default" && password_fits(home.config, password);
    if passed {
        home.session.authenticated = true;
        home.session.user = Box::from(user);
    }
    passed
}

/// Whether `given` is the default user's password; without one every password is. The time that it takes does not
/// tell where the two differ.
fn password_fits(config: &Config, given: &[u8]) -> bool {
    let wanted = &config.requirepass;
    if wanted.is_empty() {
        return true;
    }
    let differing = wanted.iter().zip(given).fold(0, |differing, (one, other)| differing | (one ^ other));
    differing == 0 && wanted.len() == given.len()
}

fn echo(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    home.reply.bulk(arguments[1]);
    Then::Done
}

/// What HELLO asks for.
#[derive(Default)]
struct Handshake<'a> {
    protocol: Option<Protocol>,
    credentials: Option<(&'a [u8], &'a [u8])>,
    name: Option<&'a [u8]>,
}

impl<'a> Handshake<'a> {
    fn parse(arguments: &[&'a [u8]]) -> Result<Self, Vec<u8>> {
        let mut handshake = Self::default();
        let Some(version) = arguments.get(1) else { return Ok(handshake) };
        handshake.protocol = Some(match parse_i64(version) {
            Some(2) => Protocol::Resp2,
            Some(3) => Protocol::Resp3,
            Some(_) => return Err(b"NOPROTO unsupported protocol version".to_vec()),
            None => return Err(b"ERR Protocol version is not an integer or out of range".to_vec()),
        });
        let mut rest = &arguments[2..];
        while let Some((&option, following)) = rest.split_first() {
            rest = match *following {
                [user, password, ..] if is_word(option, "auth") => {
                    handshake.credentials = Some((user, password));
                    &following[2..]
                }
                [name, ..] if is_word(option, "setname") => {
                    super::client::check_name(name)?;
                    handshake.name = Some(name);
                    &following[1..]
                }
                _ => return Err([b"ERR Syntax error in HELLO option '", option, b"'"].concat()),
            };
        }
        Ok(handshake)
    }
}

fn hello(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let handshake = match Handshake::parse(arguments) {
        Ok(handshake) => handshake,
        Err(text) => return home.error(text),
    };
    if let Some((user, password)) = handshake.credentials
        && !authenticate(home, user, password)
    {
        return home.error(WRONG_PASSWORD);
    }
    if !home.session.authenticated {
        return home.error(
            "NOAUTH HELLO must be called with the client already authenticated, otherwise the HELLO <proto> \
             AUTH <user> <pass> option can be used to authenticate the client and select the RESP protocol \
             version at the same time",
        );
    }
    if let Some(name) = handshake.name {
        home.session.name = Box::from(name);
    }
    if let Some(protocol) = handshake.protocol {
        home.session.caller.protocol = protocol;
        home.reply.set_protocol(protocol);
    }
    describe_server(home);
    Then::Done
}

fn describe_server(home: &mut HomeContext<'_>) {
    let version = if home.reply.is_resp3() { 3 } else { 2 };
    let mode = if home.session.caller.cluster_port { "cluster" } else { "standalone" };
    let reply = &mut home.reply;
    reply.map(7);
    for (name, value) in [("server", "redis"), ("version", REDIS_VERSION)] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"proto");
    reply.int(version);
    reply.bulk(b"id");
    reply.int(home.session.id as i64);
    let role = if home.server.following.master().is_some() { "replica" } else { "master" };
    for (name, value) in [("mode", mode), ("role", role)] {
        reply.bulk(name.as_bytes());
        reply.bulk(value.as_bytes());
    }
    reply.bulk(b"modules");
    reply.array(0);
}

fn ping(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    if arguments.len() > 2 {
        return home.error(wrong_arity("ping"));
    }
    let message = arguments.get(1);
    if home.session.only_subscribes() {
        home.reply.array(2);
        home.reply.bulk(b"pong");
        home.reply.bulk(message.unwrap_or(&&b""[..]));
    } else if let Some(message) = message {
        home.reply.bulk(message);
    } else {
        home.reply.simple("PONG");
    }
    Then::Done
}

fn quit(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.ok();
    Then::Close
}

fn reset(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.session.reset(home.config.requirepass.is_empty());
    Then::Ask(Ask::Reset)
}

fn select(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let index = match integer(arguments[1]) {
        Ok(index) => index,
        Err(text) => return home.error(text),
    };
    if i32::try_from(index).is_err() {
        return home.error("ERR value is out of range, value must between -2147483648 and 2147483647");
    }
    match u32::try_from(index) {
        Ok(database) if (database as usize) < home.config.databases => {
            home.session.caller.database = database;
            home.ok()
        }
        _ => home.error(DB_INDEX_OUT_OF_RANGE),
    }
}

#[cfg(test)]
#[path = "connection_test.rs"]
mod tests;
