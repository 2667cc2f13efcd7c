//! CLIENT and its subcommands: what a client says of itself, and what it asks about others. Rows on top, handlers
//! below. Other clients are the floor above's: what concerns them is asked for as an [`Ask`].

use super::args::{integer, is_word};
use super::home::{Ask, ClientFilter, ClientKind, HomeContext, Then};
use super::session::ReplyMode;
use super::tracking;
use super::{Command, Flags, Group, Run};
use crate::base::number::parse_i64;
use crate::resp::error::{SYNTAX, unknown_form};

const OWN: Flags = Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE).union(Flags::SENTINEL);

const OTHERS: Flags = OWN.union(Flags::ADMIN);

/// The rows of this file.
pub const COMMANDS: &[Command] = &[Command::new("client", -2, Group::Connection, Run::Container)
    .flags(Flags::SENTINEL)
    .docs("2.4.0", "Commands about connections.", "Depends on subcommand.")
    .subcommands(SUBCOMMANDS)];

const fn row(
    name: &'static str,
    arity: i32,
    flags: Flags,
    run: fn(&mut HomeContext<'_>, &[&[u8]]) -> Then,
) -> Command {
    Command::new(name, arity, Group::Connection, Run::Home(run)).flags(flags)
}

const SUBCOMMANDS: &[Command] = &[
    row("client|caching", 3, OWN, tracking::caching).docs(
        "6.0.0",
        "Says whether the keys of the next command are followed.",
        "O(1)",
    ),
    row("client|getname", 2, OWN, get_name).docs("2.6.9", "Returns the name of the connection.", "O(1)"),
    row("client|getredir", 2, OWN, tracking::get_redirection).docs(
        "6.0.0",
        "Returns the client that invalidation messages of this connection go to.",
        "O(1)",
    ),
    row("client|help", 2, Flags::LOADING.union(Flags::STALE).union(Flags::SENTINEL), help).docs(
        "5.0.0",
        "Lists the subcommands.",
        "O(1)",
    ),
    row("client|id", 2, OWN, id).docs("5.0.0", "Returns the number of the connection.", "O(1)"),
    row("client|info", 2, OWN, info)
        .docs("6.2.0", "Describes the connection.", "O(1)")
        .tips(&["nondeterministic_output"]),
    row("client|kill", -3, OTHERS, kill).docs(
        "2.4.0",
        "Closes connections.",
        "O(N) where N is the number of client connections",
    ),
    row("client|list", -2, OTHERS, list)
        .docs("2.4.0", "Describes connections.", "O(N) where N is the number of client connections")
        .tips(&["nondeterministic_output"]),
    row("client|no-evict", 3, OTHERS, no_evict).docs(
        "7.0.0",
        "Keeps the connection from being closed when memory is short.",
        "O(1)",
    ),
    row("client|no-touch", 3, Flags::NOSCRIPT.union(Flags::LOADING).union(Flags::STALE), no_touch).docs(
        "7.2.0",
        "Lets the connection's commands leave the age of keys as it is.",
        "O(1)",
    ),
    row("client|pause", -3, OTHERS, pause).docs("3.0.0", "Holds commands back for a time.", "O(1)"),
    row("client|reply", 3, OWN, reply).docs(
        "3.2.0",
        "Says whether the server answers the connection's commands.",
        "O(1)",
    ),
    row("client|setinfo", 4, OWN, set_info)
        .docs("7.2.0", "Tells the server about the client's library.", "O(1)")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    row("client|setname", 3, OWN, set_name)
        .docs("2.6.9", "Names the connection.", "O(1)")
        .tips(&["request_policy:all_nodes", "response_policy:all_succeeded"]),
    row("client|tracking", -3, OWN, tracking::tracking).docs(
        "6.0.0",
        "Switches on or off that the server tells of changes of keys that the client caches.",
        "O(1). Some options may introduce additional complexity.",
    ),
    row("client|trackinginfo", 2, OWN, tracking::info).docs(
        "6.2.0",
        "Tells how the connection uses client-side caching.",
        "O(1)",
    ),
    row("client|unblock", -3, OTHERS, unblock).docs(
        "5.0.0",
        "Ends the waiting of a blocked client.",
        "O(log N) where N is the number of client connections",
    ),
    row("client|unpause", 2, OTHERS, unpause).docs(
        "6.2.0",
        "Lets held commands run.",
        "O(N) Where N is the number of paused clients",
    ),
];

const HELP: &[&str] = &[
    "CACHING (YES|NO)",
    "    Follow the keys of the next command, or do not, where tracking leaves that open.",
    "GETREDIR",
    "    Tell which client gets the invalidation messages of this connection.",
    "GETNAME",
    "    Tell the name of this connection.",
    "ID",
    "    Tell the number of this connection.",
    "INFO",
    "    Describe this connection.",
    "KILL <ip:port>",
    "    Close the connection from <ip:port>.",
    "KILL <option> <value> [<option> <value> [...]]",
    "    Close the connections for which all of these hold:",
    "    * ADDR (<ip:port>|<unixsocket>:0)",
    "      It comes from this address.",
    "    * LADDR (<ip:port>|<unixsocket>:0)",
    "      It goes to this address of the server.",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      It is of this kind.",
    "    * USER <username>",
    "      It authenticated as this user.",
    "    * SKIPME (YES|NO)",
    "      It is not this one (default: yes).",
    "    * ID <client-id>",
    "      It has this number.",
    "    * MAXAGE <seconds>",
    "      It is at least this old.",
    "LIST [options ...]",
    "    Describe connections. Options:",
    "    * TYPE (NORMAL|MASTER|REPLICA|PUBSUB)",
    "      Those of this kind.",
    "    * ID <client-id> [<client-id> ...]",
    "      Those with these numbers.",
    "UNPAUSE",
    "    End the pause of clients.",
    "PAUSE <timeout> [WRITE|ALL]",
    "    Hold back all commands, or those that write, for <timeout> milliseconds.",
    "REPLY (ON|OFF|SKIP)",
    "    Say whether commands of this connection are answered.",
    "SETNAME <name>",
    "    Name this connection.",
    "SETINFO <option> <value>",
    "    Describe the client. Options:",
    "    * LIB-NAME: name of its library.",
    "    * LIB-VER: version of its library.",
    "UNBLOCK <clientid> [TIMEOUT|ERROR]",
    "    End the waiting of a blocked client.",
    "TRACKING (ON|OFF) [REDIRECT <id>] [BCAST] [PREFIX <prefix> [...]] [OPTIN] [OPTOUT] [NOLOOP]",
    "    Tell, or tell no more, of changes of keys that this connection has read.",
    "TRACKINGINFO",
    "    Tell how this connection uses client-side caching.",
    "NO-EVICT (ON|OFF)",
    "    Keep this connection open when memory is short.",
    "NO-TOUCH (ON|OFF)",
    "    Leave the age of keys as it is when this connection reads them.",
];

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.help("client", HELP);
    Then::Done
}

fn id(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.int(home.session.id as i64);
    Then::Done
}

fn info(_: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    Then::Ask(Ask::ClientInfo)
}

fn get_name(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    match &*home.session.name {
        [] => home.reply.null(),
        name => home.reply.bulk(name),
    }
    Then::Done
}

fn set_name(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    match check_name(arguments[2]) {
        Ok(()) => {
            home.session.name = Box::from(arguments[2]);
            home.ok()
        }
        Err(text) => home.error(text),
    }
}

/// Whether a client may call itself `name`; the error if not. An empty name takes the name away.
pub(super) fn check_name(name: &[u8]) -> Result<(), Vec<u8>> {
    if is_attribute(name) {
        Ok(())
    } else {
        Err(b"ERR Client names cannot contain spaces, newlines or special characters.".to_vec())
    }
}

/// Whether the fields of CLIENT LIST can still be told apart when one of them is `value`.
fn is_attribute(value: &[u8]) -> bool {
    value.iter().all(u8::is_ascii_graphic)
}

fn set_info(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let (attribute, value) = (arguments[2], arguments[3]);
    let field = if is_word(attribute, "lib-name") {
        &mut home.session.library_name
    } else if is_word(attribute, "lib-ver") {
        &mut home.session.library_version
    } else {
        return home.error([b"ERR Unrecognized option '", attribute, b"'"].concat());
    };
    if !is_attribute(value) {
        let reason = b" cannot contain spaces, newlines or special characters.";
        return home.error([b"ERR ", attribute, reason].concat());
    }
    *field = Box::from(value);
    home.ok()
}

fn list(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    match list_filter(&arguments[2..]) {
        Ok(filter) => Then::Ask(Ask::ClientList(filter)),
        Err(text) => home.error(text),
    }
}

fn list_filter(options: &[&[u8]]) -> Result<ClientFilter, Vec<u8>> {
    let mut filter = ClientFilter::default();
    match *options {
        [] => {}
        [option, kind] if is_word(option, "type") => filter.kind = Some(client_kind(kind)?),
        [option, ref ids @ ..] if is_word(option, "id") && !ids.is_empty() => {
            let ids: Option<Vec<i64>> = ids.iter().map(|id| parse_i64(id)).collect();
            let ids = ids.ok_or(&b"ERR Invalid client ID"[..])?;
            filter.ids = Some(ids.into_iter().filter_map(|id| u64::try_from(id).ok()).collect());
        }
        _ => return Err(SYNTAX.into()),
    }
    Ok(filter)
}

fn client_kind(name: &[u8]) -> Result<ClientKind, Vec<u8>> {
    const KINDS: &[(&str, ClientKind)] = &[
        ("normal", ClientKind::Normal),
        ("slave", ClientKind::Replica),
        ("replica", ClientKind::Replica),
        ("pubsub", ClientKind::Pubsub),
        ("master", ClientKind::Master),
    ];
    match KINDS.iter().find(|(word, _)| is_word(name, word)) {
        Some((_, kind)) => Ok(*kind),
        None => Err([b"ERR Unknown client type '", name, b"'"].concat()),
    }
}

fn kill(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    if let [_, _, address] = *arguments {
        let address = Some(String::from_utf8_lossy(address).into());
        let filter = ClientFilter { address, ..ClientFilter::default() };
        return Then::Ask(Ask::ClientKill { filter, old_form: true });
    }
    match kill_filter(&arguments[2..], home.session.id) {
        Ok(filter) => Then::Ask(Ask::ClientKill { filter, old_form: false }),
        Err(text) => home.error(text),
    }
}

fn kill_filter(options: &[&[u8]], own_id: u64) -> Result<ClientFilter, Vec<u8>> {
    let mut filter = ClientFilter { skip: Some(own_id), ..ClientFilter::default() };
    for pair in options.chunks(2) {
        let [option, value] = *pair else { return Err(SYNTAX.into()) };
        if is_word(option, "id") {
            let id = parse_i64(value).filter(|id| *id > 0);
            let id = id.ok_or(&b"ERR client-id should be greater than 0"[..])?;
            filter.ids = Some(vec![id as u64]);
        } else if is_word(option, "type") {
            filter.kind = Some(client_kind(value)?);
        } else if is_word(option, "addr") {
            filter.address = Some(String::from_utf8_lossy(value).into());
        } else if is_word(option, "laddr") {
            filter.local_address = Some(String::from_utf8_lossy(value).into());
        } else if is_word(option, "user") {
            if value != b"default" {
                return Err([b"ERR No such user '", value, b"'"].concat());
            }
            filter.user = Some(Box::from(value));
        } else if is_word(option, "skipme") && is_word(value, "yes") {
            filter.skip = Some(own_id);
        } else if is_word(option, "skipme") && is_word(value, "no") {
            filter.skip = None;
        } else if is_word(option, "maxage") {
            let seconds = parse_i64(value).ok_or(&b"ERR maxage is not an integer or out of range"[..])?;
            if seconds <= 0 {
                return Err(b"ERR maxage should be greater than 0".to_vec());
            }
            filter.age_min_ms = Some(seconds.saturating_mul(1000));
        } else {
            return Err(SYNTAX.into());
        }
    }
    Ok(filter)
}

fn pause(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let writes_only = match *arguments {
        [_, _, _] => false,
        [_, _, _, mode] if is_word(mode, "all") => false,
        [_, _, _, mode] if is_word(mode, "write") => true,
        [_, _, _, _] => return home.error("ERR CLIENT PAUSE mode must be WRITE or ALL"),
        _ => return wrong_form(home, arguments),
    };
    let until = match parse_i64(arguments[2]) {
        None => return home.error("ERR timeout is not an integer or out of range"),
        Some(timeout) if timeout < 0 => return home.error("ERR timeout is negative"),
        Some(0) => 0,
        Some(timeout) => match timeout.checked_add(home.now) {
            Some(until) => until,
            None => return home.error("ERR timeout is out of range"),
        },
    };
    Then::Ask(Ask::ClientPause { until, writes_only })
}

fn unpause(_: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    Then::Ask(Ask::ClientUnpause)
}

/// The error for a number of arguments that the row's arity lets pass.
fn wrong_form(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    home.error(unknown_form(arguments[1], "CLIENT"))
}

fn reply(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let mode = arguments[2];
    if is_word(mode, "on") {
        home.session.reply_mode = ReplyMode::On;
        return home.ok();
    }
    if is_word(mode, "off") {
        home.session.reply_mode = ReplyMode::Off;
    } else if !is_word(mode, "skip") {
        return home.error(SYNTAX);
    } else if home.session.reply_mode != ReplyMode::Off {
        home.session.reply_mode = ReplyMode::SkipNext;
    }
    Then::Done
}

fn no_evict(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    switch(home, arguments[2], |home, on| home.session.no_evict = on)
}

fn no_touch(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    switch(home, arguments[2], |home, on| home.session.caller.no_touch = on)
}

fn switch(home: &mut HomeContext<'_>, word: &[u8], set: fn(&mut HomeContext<'_>, bool)) -> Then {
    let on = is_word(word, "on");
    if !on && !is_word(word, "off") {
        return home.error(SYNTAX);
    }
    set(home, on);
    home.ok()
}

fn unblock(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let with_error = match *arguments {
        [_, _, _] => false,
        [_, _, _, reason] if is_word(reason, "timeout") => false,
        [_, _, _, reason] if is_word(reason, "error") => true,
        [_, _, _, _] => return home.error("ERR CLIENT UNBLOCK reason should be TIMEOUT or ERROR"),
        _ => return wrong_form(home, arguments),
    };
    match integer(arguments[2]).map(u64::try_from) {
        Err(text) => home.error(text),
        Ok(Ok(id)) => Then::Ask(Ask::ClientUnblock { id, with_error }),
        Ok(Err(_)) => {
            home.reply.int(0);
            Then::Done
        }
    }
}
