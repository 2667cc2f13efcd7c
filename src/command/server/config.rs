//! CONFIG: what the configuration is, and changes of it. What the directives mean is where they are used; here is only
//! what must happen at the moment of a change.

use std::sync::atomic::Ordering;

use super::{ADMIN_NO_SCRIPT, ALL_NODES_SUCCEED, ANYTIME, row};
use crate::command::Command;
use crate::command::args::{OwnedArgs, is_word};
use crate::command::home::{Ask, HomeContext, Then};
use crate::config::{Config, SetContext, SetError};
use crate::resp::error::SYNTAX;
use crate::state::{Server, log};

const PER_PARAMETER: &str = "O(N) when N is the number of configuration parameters provided";

pub(super) const COMMANDS: &[Command] = &[
    row("config|get", -3, get).flags(ADMIN_NO_SCRIPT).docs(
        "2.0.0",
        "Returns the directives that match, with their values.",
        PER_PARAMETER,
    ),
    row("config|help", 2, help).flags(ANYTIME).docs("5.0.0", "Lists the subcommands.", "O(1)"),
    row("config|resetstat", 2, reset_statistics)
        .flags(ADMIN_NO_SCRIPT)
        .docs("2.0.0", "Begins the statistics anew.", "O(1)")
        .tips(ALL_NODES_SUCCEED),
    row("config|rewrite", 2, rewrite)
        .flags(ADMIN_NO_SCRIPT)
        .docs("2.8.0", "Brings the configuration file up to date.", "O(1)")
        .tips(ALL_NODES_SUCCEED),
    row("config|set", -4, set)
        .flags(ADMIN_NO_SCRIPT)
        .docs("2.0.0", "Changes directives of the running server.", PER_PARAMETER)
        .tips(ALL_NODES_SUCCEED),
];

const HELP: &[&str] = &[
    "GET <pattern>",
    "    Return the directives that match the glob-style <pattern>, with their values.",
    "SET <directive> <value>",
    "    Give the <directive> the <value>.",
    "RESETSTAT",
    "    Begin the statistics of INFO anew.",
    "REWRITE",
    "    Bring the configuration file up to date.",
];

/// Directives that say where the server listens, with what it says when it cannot.
const LISTENING: &[(&str, &str)] = &[
    ("bind", "Failed to bind to specified addresses."),
    ("port", "Unable to listen on this port. Check server logs."),
];

fn help(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.reply.help("config", HELP);
    Then::Done
}

fn get(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let found = home.server.config.load().get(&arguments[2..]);
    home.reply.map(found.len());
    for (name, value) in found {
        home.reply.bulk(&name);
        home.reply.bulk(&value);
    }
    Then::Done
}

fn set(home: &mut HomeContext<'_>, arguments: &[&[u8]]) -> Then {
    let pairs = &arguments[2..];
    let is_of_listening = |name: &[u8]| LISTENING.iter().any(|(of, _)| is_word(name, of));
    if pairs.iter().step_by(2).any(|name| is_of_listening(name)) {
        return Then::Ask(Ask::ConfigListen(OwnedArgs::copy(pairs)));
    }
    match change(home.server, pairs, home.session.is_local(), |_| Some(())) {
        Ok(()) => home.ok(),
        Err(error) => home.error(error),
    }
}

/// CONFIG SET of names and values. A configuration by which the server has to listen anew is shown to `listen` first, whose
/// `None` refuses it. The error is the reply.
pub fn change(
    server: &Server,
    pairs: &[&[u8]],
    is_local: bool,
    listen: impl FnOnce(&Config) -> Option<()>,
) -> Result<(), String> {
    let (pairs, []) = pairs.as_chunks::<2>() else { return Err(SYNTAX.into()) };
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    let is_loading = server.persistence.is_loading() || server.following.is_loading.load(Ordering::Relaxed);
    let context = SetContext { local: is_local, loading: is_loading };
    let changed = server.config.change(|config| {
        let change = config.set(&pairs, context)?;
        if let Some((name, reason)) = LISTENING.iter().find(|(name, _)| change.changed.contains(name)) {
            let refused = || SetError::Refused { name: (*name).to_owned(), reason: (*reason).to_owned() };
            listen(&change.config).ok_or_else(refused)?;
        }
        if change.changed.contains(&"dir") {
            std::env::set_current_dir(&change.config.dir)
                .map_err(|error| SetError::Refused { name: "dir".to_owned(), reason: error.to_string() })?;
        }
        Ok((change.config, change.changed))
    });
    match changed {
        Ok(names) => apply(server, &names),
        Err(error @ SetError::Loading) => return Err(error.to_string()),
        Err(error) => return Err(format!("ERR {error}")),
    }
    Ok(())
}

/// Passes changed values on to those who do not read the configuration themselves.
fn apply(server: &Server, names: &[&str]) {
    let config = server.config.load();
    if names.contains(&"latency-tracking") {
        server.commands.set_tracking(config.latency_tracking);
    }
    if names.contains(&"loglevel") {
        log::set_level(config.loglevel);
    }
}

fn reset_statistics(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    home.server.reset_statistics();
    home.ok()
}

fn rewrite(home: &mut HomeContext<'_>, _: &[&[u8]]) -> Then {
    rewrite_file(home, false)
}

/// CONFIG REWRITE; with `everything` also of what has its default.
pub(super) fn rewrite_file(home: &mut HomeContext<'_>, everything: bool) -> Then {
    if home.server.config_file.is_empty() {
        return home.error("ERR The server is running without a config file");
    }
    Then::Ask(Ask::ConfigRewrite { everything })
}
