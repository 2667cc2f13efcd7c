//! The command line: `skerry [FILE] [--directive value ...]`, read by redis-server's rules into the lines of a
//! configuration. clap declares the options of our own and prints the help; every directive is an option, and
//! its values run to the next one, which no parser of fixed options could tell.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use clap::{Arg, ArgAction, Command};

use super::directive::is_known;
use super::load::Sources;
use super::words::{push_quoted, split};

/// What the command line asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Invocation {
    /// To serve with this configuration.
    Serve(Sources),
    /// To print this text and to exit with code 0.
    Print(String),
}

/// Reads the arguments, without the program's name. Whatever is wrong with them is a wrong line of the
/// configuration, which [`Config::load`](super::Config::load) refuses with Redis's words.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Invocation {
    let arguments: Vec<Vec<u8>> = arguments.into_iter().map(OsString::into_vec).collect();
    match arguments.first().map(Vec::as_slice) {
        Some(b"-h" | b"--help") => Invocation::Print(command().render_help().to_string()),
        Some(b"-v" | b"--version") => Invocation::Print(command().render_version()),
        _ => Invocation::Serve(read(&arguments)),
    }
}

/// Our own options. An option's identity is the directive that it stands for.
fn command() -> Command {
    let option = |directive: &'static str, long: &'static str, value: &'static str, help: &'static str| {
        Arg::new(directive).long(long).value_name(value).help(help)
    };
    Command::new("skerry")
        .about("A Redis-compatible, share-nothing in-memory data server")
        .version(env!("CARGO_PKG_VERSION"))
        .override_usage("skerry [FILE] [OPTIONS] [--DIRECTIVE VALUE...] [-]")
        .disable_version_flag(true)
        .arg(
            Arg::new("file")
                .value_name("FILE")
                .help("Configuration in redis.conf's syntax; `-` is standard input"),
        )
        .arg(option("bind", "host", "ADDRESS...", "Addresses to listen on [default: all]").short('H'))
        .arg(option("port", "port", "PORT", "TCP port, 0 for none [default: 6379]").short('p'))
        .arg(
            option("replicaof", "replicaof", "HOST PORT", "Follow a primary, as one argument or two")
                .short('r'),
        )
        .arg(option("shards", "shards", "N", "Shards, one thread each; 0 for one per core [default: 0]"))
        .arg(option(
            "zero-share",
            "zero-share",
            "PERCENT",
            "Slots of shard zero in percent of another shard's [default: 100]",
        ))
        .arg(
            Arg::new("version")
                .short('v')
                .long("version")
                .action(ArgAction::Version)
                .help("Print the version"),
        )
        .after_help(
            "Every directive of redis.conf is an option too, for example --maxmemory 1gb or --save 60 100. \
             Options win over the file.",
        )
}

/// How an argument that starts an option reads.
enum Opening {
    /// A name; its values follow.
    Name(Vec<u8>),
    /// A name with its values, as a line.
    Whole(Vec<u8>),
}

fn read(arguments: &[Vec<u8>]) -> Sources {
    let mut sources = Sources::default();
    let mut position = 0;
    if let Some(first) = arguments.first().filter(|first| !first.starts_with(b"-")) {
        sources.file = Some(OsStr::from_bytes(first).into());
        position = 1;
    }
    // Whether the latest option has a value; until then even `--x` is one.
    let mut complete = true;
    let command = command();
    for (index, argument) in arguments.iter().enumerate().skip(position) {
        let next = arguments.get(index + 1);
        if argument == b"-" && (index == 0 || next.is_none()) {
            sources.standard_input = true;
            continue;
        }
        let options = &mut sources.options;
        match opening(&command, argument).filter(|_| complete) {
            Some(opening) => {
                if !options.is_empty() {
                    options.push(b'\n');
                }
                complete = push_opening(options, &opening);
                // `--save` without a value means none, also before another option.
                let is_last = next.is_none_or(|next| self::opening(&command, next).is_some());
                if argument.eq_ignore_ascii_case(b"--save") && is_last {
                    options.extend(b"\"\"");
                    complete = true;
                }
            }
            None => {
                push_quoted(options, argument);
                options.push(b' ');
                complete = true;
            }
        }
    }
    sources
}

/// Appends what opens an option and answers whether it has its value already.
fn push_opening(options: &mut Vec<u8>, opening: &Opening) -> bool {
    let (Opening::Name(text) | Opening::Whole(text)) = opening;
    options.extend(text);
    options.push(b' ');
    matches!(opening, Opening::Whole(_))
}

/// The option that an argument starts, if it is one: `--name`, `"--name value"`, `--name=value`, `-p`, `-p7000`.
fn opening(command: &Command, argument: &[u8]) -> Option<Opening> {
    let Some(body) = argument.strip_prefix(b"--") else { return short_opening(command, argument) };
    if let Some(equals) = body.iter().position(|&byte| byte == b'=') {
        let name = directive_of(command, &body[..equals]);
        if is_known(name) {
            return Some(Opening::Whole(line(name, &body[equals + 1..])));
        }
    }
    // An argument that holds several words is a line as it stands.
    match split(argument) {
        Some(words) if words.len() == 1 => Some(Opening::Name(directive_of(command, body).to_vec())),
        _ => Some(Opening::Whole(body.to_vec())),
    }
}

/// The directive that one of our long options stands for, or the name itself.
fn directive_of<'a>(command: &'a Command, long: &'a [u8]) -> &'a [u8] {
    let option =
        command.get_arguments().find(|option| option.get_long().is_some_and(|l| l.as_bytes() == long));
    option.map_or(long, |option| option.get_id().as_str().as_bytes())
}

fn short_opening(command: &Command, argument: &[u8]) -> Option<Opening> {
    let [b'-', letter, value @ ..] = argument else { return None };
    let option = command.get_arguments().find(|option| option.get_short() == Some(char::from(*letter)))?;
    let directive = option.get_id().as_str().as_bytes();
    match value {
        _ if !is_known(directive) => None,
        [] => Some(Opening::Name(directive.to_vec())),
        digits if digits.iter().all(u8::is_ascii_digit) => Some(Opening::Whole(line(directive, digits))),
        _ => None,
    }
}

fn line(name: &[u8], value: &[u8]) -> Vec<u8> {
    let mut line = [name, b" "].concat();
    push_quoted(&mut line, value);
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn sources(arguments: &[&str]) -> Sources {
        match parse(arguments.iter().map(OsString::from)) {
            Invocation::Serve(sources) => sources,
            Invocation::Print(text) => panic!("printed {text}"),
        }
    }

    fn load(arguments: &[&str]) -> Config {
        Config::load(&sources(arguments)).unwrap_or_else(|error| panic!("{arguments:?}: {error}"))
    }

    fn value(arguments: &[&str], name: &str) -> String {
        String::from_utf8(load(arguments).get(&[name])[0].1.clone()).unwrap()
    }

    fn error(arguments: &[&str]) -> String {
        Config::load(&sources(arguments)).unwrap_err().to_string()
    }

    #[test]
    fn file_and_standard_input() {
        assert_eq!(sources(&[]), Sources::default());
        assert_eq!(sources(&["a.conf", "--port", "1"]).file, Some("a.conf".into()));
        assert!(sources(&["-"]).standard_input);
        assert!(sources(&["a.conf", "--port", "1", "-"]).standard_input);
        assert!(!sources(&["a.conf", "-", "--port", "1"]).standard_input);
    }

    #[test]
    fn options_of_our_own() {
        let config = load(&["-p", "7000", "-H", "127.0.0.1", "-r", "primary 6379", "--shards", "3"]);
        assert_eq!((config.port, config.shards), (7000, 3));
        assert_eq!(config.bind, ["127.0.0.1"]);
        assert_eq!(config.replicaof.as_ref().unwrap().host, "primary");
        assert_eq!(load(&["-p7001", "--zero-share", "50"]).port, 7001);
        assert_eq!(value(&["--replicaof", "here", "6379", "-p", "1"], "replicaof"), "here 6379");
        assert_eq!(value(&["--replicaof", "here 6379"], "replicaof"), "here 6379");
        assert_eq!(load(&["--host", "127.0.0.1", "-::1"]).bind, ["127.0.0.1", "-::1"]);
    }

    #[test]
    fn any_directive() {
        assert_eq!(load(&["--maxmemory", "700mb"]).maxmemory, 700 << 20);
        assert_eq!(load(&["--maxmemory 700mb", "--port 7000"]).maxmemory, 700 << 20);
        assert_eq!(load(&["--maxmemory '700mb'"]).maxmemory, 700 << 20);
        assert_eq!(load(&["--maxmemory=700mb", "--hz", "20"]).maxmemory, 700 << 20);
        assert_eq!(value(&["--save=900 1"], "save"), "900 1");
        assert_eq!(value(&["--list-max-listpack-size", "-5"], "list-max-ziplist-size"), "-5");
        assert_eq!(value(&["--requirepass", "--secret"], "requirepass"), "--secret");
        assert_eq!(value(&["--requirepass", "a \"b\" \\"], "requirepass"), "a \"b\" \\");
        assert_eq!(
            value(&["--proc-title-template", "--my--title", "--loglevel", "verbose"], "proc-title-template"),
            "--my--title"
        );
        assert_eq!(
            value(&["--shutdown-on-sigint", "nosave", "force", "now"], "shutdown-on-sigint"),
            "nosave now force"
        );
        assert_eq!(value(&["--shutdown-on-sigterm", "nosave force"], "shutdown-on-sigterm"), "nosave force");
        let limits = ["--client-output-buffer-limit", "normal", "1", "2", "3", "pubsub", "4", "5", "6"];
        assert!(value(&limits, "client-output-buffer-limit").starts_with("normal 1 2 3 slave"));
    }

    #[test]
    fn save_in_all_its_forms() {
        assert_eq!(value(&["--save", ""], "save"), "");
        assert_eq!(value(&["--save"], "save"), "");
        assert_eq!(value(&["--save", "--loglevel", "verbose"], "save"), "");
        assert_eq!(value(&["--save", "--loglevel", "verbose"], "loglevel"), "verbose");
        assert_eq!(value(&["--save", "-p", "7000"], "port"), "7000");
        assert_eq!(value(&["--save", "100", "100"], "save"), "100 100");
        assert_eq!(value(&["--save", "100 100", "--save", "5", "6"], "save"), "100 100 5 6");
        assert_eq!(value(&["--proc-title-template", "--save", "--save", "", "--hz", "20"], "save"), "");
    }

    #[test]
    fn errors_as_redis_server_prints_them() {
        let cases: &[(&[&str], &str, &str)] = &[
            (&["--invalid"], "invalid", "Bad directive or wrong number of arguments"),
            (&["--port"], "port", "wrong number of arguments"),
            (&["--port", "6380", "--loglevel"], "loglevel", "wrong number of arguments"),
            (&["--port", "6379", "6380"], "port \"6379\" \"6380\"", "wrong number of arguments"),
            (
                &["--port", "--loglevel", "verbose"],
                "port \"--loglevel\" \"verbose\"",
                "wrong number of arguments",
            ),
            (&["--port", "--bla", "--loglevel", "verbose"], "port \"--bla\"", "argument couldn't be parsed"),
            (&["--loglevel", "--bla"], "loglevel \"--bla\"", "argument(s) must be one of the following"),
            (&["--shutdown-on-sigint"], "shutdown-on-sigint", "argument(s) must be one of the following"),
            (&["--replicaof", "127.0.0.1", "abc"], "replicaof \"127.0.0.1\" \"abc\"", "Invalid master port"),
            (
                &["--replicaof", "--127.0.0.1", "abc"],
                "replicaof \"--127.0.0.1\" \"abc\"",
                "Invalid master port",
            ),
            (
                &["--replicaof", "--127.0.0.1", "--abc"],
                "replicaof \"--127.0.0.1\"",
                "wrong number of arguments",
            ),
            (&["--no-such=1"], "no-such=1", "Bad directive or wrong number of arguments"),
            (&["-x"], "\"-x\"", "Bad directive or wrong number of arguments"),
        ];
        for (arguments, line, reason) in cases {
            let text = error(arguments);
            assert!(text.contains(&format!("\n>>> '{line}'\n{reason}")), "{arguments:?}: {text}");
        }
        assert!(error(&["--port", "1", "--hz", "x"]).contains("at line 3\n"));
    }

    #[test]
    fn help_and_version() {
        for name in ["-h", "--help"] {
            let Invocation::Print(text) = parse([OsString::from(name)]) else { panic!("no help") };
            for option in ["--port", "-H", "--replicaof", "--shards", "--zero-share", "[FILE]", "--version"] {
                assert!(text.contains(option), "{option} in {text}");
            }
        }
        let version = Invocation::Print(format!("skerry {}\n", env!("CARGO_PKG_VERSION")));
        assert_eq!(parse([OsString::from("-v")]), version);
        assert_eq!(parse([OsString::from("--version")]), version);
    }

    #[test]
    fn the_declaration_is_sound() {
        command().debug_assert();
    }
}
