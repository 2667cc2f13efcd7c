//! CONFIG: what the configuration is, and changes of it. What the directives mean is where they are used; here is only
//! what must happen at the moment of a change.

use super::{ADMIN_NO_SCRIPT, ALL_NODES_SUCCEED, ANYTIME, row};
use crate::command::Command;
use crate::command::home::{Ask, HomeContext, Then};
use crate::config::{SetContext, SetError};
use crate::resp::error::SYNTAX;
use crate::state::log;

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

/// Directives that Redis applies by listening anew, with what it says when that fails. Listeners stay as they were
/// at the start here.
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
    let (pairs, []) = arguments[2..].as_chunks::<2>() else { return home.error(SYNTAX) };
    let pairs: Vec<(&[u8], &[u8])> = pairs.iter().map(|[name, value]| (*name, *value)).collect();
    let context = SetContext { local: home.session.is_local(), loading: false };
    let changed = home.server.config.change(|config| {
        let change = config.set(&pairs, context)?;
        match LISTENING.iter().find(|(name, _)| change.changed.contains(name)) {
            Some((name, reason)) => {
                Err(SetError::Refused { name: (*name).to_owned(), reason: (*reason).to_owned() })
            }
            None => Ok((change.config, change.changed)),
        }
    });
    match changed {
        Ok(names) => {
            apply(home, &names);
            home.ok()
        }
        Err(error @ SetError::Loading) => home.error(error.to_string()),
        Err(error) => home.error(format!("ERR {error}")),
    }
}

/// Passes changed values on to those who do not read the configuration themselves.
fn apply(home: &HomeContext<'_>, names: &[&str]) {
    let config = home.server.config.load();
    if names.contains(&"latency-tracking") {
        home.server.commands.set_tracking(config.latency_tracking);
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
    if home.server.config_file.is_empty() {
        return home.error("ERR The server is running without a config file");
    }
    Then::Ask(Ask::ConfigRewrite)
}
