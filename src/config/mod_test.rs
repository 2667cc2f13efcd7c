//! Tests of the table, of typed settings, and of CONFIG GET and SET.

use proptest::prelude::*;

use super::*;

fn get(config: &Config, name: &str) -> String {
    let found = config.get(&[name]);
    assert_eq!(found.len(), 1, "{name}");
    String::from_utf8(found[0].1.clone()).unwrap()
}

fn set(config: &Config, pairs: &[(&str, &str)]) -> Result<Change, String> {
    config.set(pairs, SetContext::default()).map_err(|error| error.to_string())
}

#[test]
fn names_are_sorted_and_unique() {
    for pair in DIRECTIVES.windows(2) {
        assert!(pair[0].name < pair[1].name, "{} stands before {}", pair[0].name, pair[1].name);
    }
    let mut names: Vec<&str> =
        DIRECTIVES.iter().flat_map(|row| std::iter::once(row.name).chain(row.alias)).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), count, "an alias is taken");
    assert!(names.iter().all(|name| *name == name.to_ascii_lowercase()));
}

#[test]
fn answered_defaults_are_accepted_back() {
    let config = Config::default();
    for row in DIRECTIVES {
        let text = get(&config, row.name);
        if row.name == "replicaof" {
            continue;
        }
        let again = config.with(row.name, &text).unwrap_or_else(|reason| panic!("{}: {reason}", row.name));
        assert_eq!(again.value(row.name), config.value(row.name), "{}", row.name);
        assert_eq!(get(&again, row.name), text, "{}", row.name);
    }
}

#[test]
fn typed_fields_hold_both_bounds() {
    for row in DIRECTIVES {
        if let Kind::Integer { min, max, notation } = row.kind {
            for bound in [min, max] {
                let text = match notation {
                    Notation::Octal => format!("{bound:o}"),
                    Notation::MemoryOrPercent if bound < 0 => format!("{}%", -bound),
                    _ => bound.to_string(),
                };
                Config::default()
                    .with(row.name, text)
                    .unwrap_or_else(|reason| panic!("{}: {reason}", row.name));
            }
        }
    }
}

#[test]
fn typed_fields_carry_the_directives_names() {
    for (field, directive) in settings::FIELDS {
        let plain = field.trim_end_matches("_ms").trim_end_matches("_us").replace('_', "-");
        assert!(plain.trim_end_matches('s') == directive.trim_end_matches('s'), "{field} shows {directive}");
    }
}

#[test]
fn defaults_as_in_redis() {
    let config = Config::default();
    assert_eq!(config.port, 6379);
    assert_eq!(config.bind, ["*", "-::*"]);
    assert_eq!(config.proto_max_bulk_len, 512 << 20);
    assert_eq!(config.maxmemory_policy, MaxmemoryPolicy::NoEviction);
    assert_eq!(config.client_output_buffer_limits[ClientClass::Pubsub as usize].hard_bytes, 32 << 20);
    assert_eq!(config.repl_backlog_size, 64 << 20);
    assert_eq!(config.zero_share, 100);
    assert_eq!(config.save[1], SavePoint { seconds: 300, changes: 100 });
    assert_eq!(get(&config, "save"), "3600 1 300 100 60 10000");
    let limits = "normal 0 0 0 slave 268435456 67108864 60 pubsub 33554432 8388608 60";
    assert_eq!(get(&config, "client-output-buffer-limit"), limits);
    assert_eq!(get(&config, "latency-tracking-info-percentiles"), "50 99 99.9");
    assert_eq!(get(&config, "oom-score-adj-values"), "0 200 800");
    assert_eq!(get(&config, "shutdown-on-sigterm"), "default");
    assert_eq!(get(&config, "dir"), std::env::current_dir().unwrap().to_str().unwrap());
}

#[test]
fn get_finds_names_aliases_and_patterns() {
    let config = Config::default();
    let names = |patterns: &[&str]| -> Vec<String> {
        config.get(patterns).into_iter().map(|(name, _)| String::from_utf8(name).unwrap()).collect()
    };
    assert_eq!(names(&["slave-read-only"]), ["slave-read-only"]);
    assert_eq!(names(&["SLAVEOF", "slaveof"]), ["SLAVEOF"], "as spelled, and once");
    assert_eq!(names(&["*of"]), ["replicaof", "slaveof"]);
    assert_eq!(names(&["HASH-MAX-*-VALUE"]), ["hash-max-listpack-value", "hash-max-ziplist-value"]);
    assert_eq!(names(&["maxmemory", "maxmemory"]), ["maxmemory"]);
    assert_eq!(names(&["key-load-delay"]), ["key-load-delay"]);
    assert!(!names(&["*"]).contains(&"key-load-delay".to_owned()), "hidden");
    assert!(names(&["nothing", "rename-command"]).is_empty());
}

#[test]
fn set_answers_what_changed() {
    let config = Config::default();
    let change = set(&config, &[("MaxMemory", "100mb"), ("hz", "10"), ("slave-priority", "7")]).unwrap();
    assert_eq!(change.changed, ["maxmemory", "replica-priority"]);
    assert_eq!(change.config.maxmemory, 100 << 20);
    assert_eq!(change.config.replica_priority, 7);
    assert_eq!(config.maxmemory, 0, "the old one stays as it is");
    assert_eq!(set(&config, &[("tls-key-file", "")]).unwrap().changed, ["tls-key-file"]);
}

#[test]
fn set_is_atomic_and_names_the_culprit() {
    let config = Config::default();
    let cases: &[(&[(&str, &str)], &str)] = &[
        (
            &[("maxmemory", "1"), ("Nope", "1")],
            "Unknown option or number of arguments for CONFIG SET - 'Nope'",
        ),
        (&[("hz", "1"), ("hz", "2")], "(possibly related to argument 'hz') - duplicate parameter"),
        (&[("Daemonize", "yes")], "(possibly related to argument 'Daemonize') - can't set immutable config"),
        (&[("dir", "/")], "(possibly related to argument 'dir') - can't set protected config"),
        (
            &[("maxmemory-clients", "200%")],
            "'maxmemory-clients') - percentage argument must be less or equal to 100",
        ),
        (&[("maxmemory-clients", "-1")], "argument must be a memory or percent value"),
        (&[("maxmemory", "1x")], "argument must be a memory value"),
        (&[("maxclients", "0")], "argument must be between 1 and 4294967295 inclusive"),
        (&[("maxclients", "ten")], "argument couldn't be parsed into an integer"),
        (&[("Slave-Read-Only", "maybe")], "'slave-read-only') - argument must be 'yes' or 'no'"),
        (&[("appendfsync", "x")], "argument(s) must be one of the following: everysec, always, no"),
        (
            &[("shutdown-on-sigint", "save nosave")],
            "shutdown options SAVE and NOSAVE can't be used simultaneously",
        ),
        (&[("shutdown-on-sigint", "")], "must be one of the following: default, save, nosave, now, force"),
        (&[("save", "60")], "Invalid save parameters"),
        (&[("save", "0 1")], "Invalid save parameters"),
        (&[("client-output-buffer-limit", "normal 0 0")], "Wrong number of arguments in buffer limit"),
        (&[("client-output-buffer-limit", "master 0 0 0")], "Invalid client class specified"),
        (&[("client-output-buffer-limit", "normal 0 0 x")], "Error in hard, soft or soft_seconds"),
        (&[("notify-keyspace-events", "KEq")], "Invalid event class character. Use 'Ag$lshzxeKEtmdn'."),
        (&[("oom-score-adj-values", "1 2")], "wrong number of arguments"),
        (&[("oom-score-adj-values", "1 2 3000")], "elements must be between -2000 and 2000."),
        (&[("latency-tracking-info-percentiles", "101")], "should sit between [0.0,100.0]"),
        (
            &[("latency-tracking-info-percentiles", "x")],
            "Invalid latency-tracking-info-percentiles parameters",
        ),
        (&[("proc-title-template", "{nope}")], "template format is invalid or contains unknown variables"),
        (&[("proc-title-template", " {title}")], "template format is invalid or contains unknown variables"),
        (&[("cluster-announce-hostname", "a_b")], "Hostnames may only contain alphanumeric characters"),
    ];
    for (pairs, reason) in cases {
        let error = set(&config, pairs).unwrap_err();
        assert!(error.ends_with(reason) || error.contains(reason), "{error}");
        assert!(
            error.starts_with("CONFIG SET failed (possibly") || error.starts_with("Unknown option"),
            "{error}"
        );
    }
}

#[test]
fn protected_and_loading() {
    let local = SetContext { local: true, loading: false };
    let pair = [("dbfilename", "other.rdb")];
    assert!(Config::default().set(&pair, local).is_err());
    let guarded = Config::default().with("enable-protected-configs", "local").unwrap();
    assert!(guarded.set(&pair, SetContext::default()).is_err());
    assert_eq!(guarded.set(&pair, local).unwrap().changed, ["dbfilename"]);
    let open = Config::default().with("enable-protected-configs", "yes").unwrap();
    let error = open.set(&[("dbfilename", "a/b")], SetContext::default()).unwrap_err().to_string();
    assert!(error.ends_with("dbfilename can't be a path, just a filename"), "{error}");
    let error = open.set(&[("dir", "/nowhere")], SetContext::default()).unwrap_err().to_string();
    assert!(error.ends_with("'dir') - No such file or directory"), "{error}");
    let error = open.set(&[("dir", "/proc/self/stat")], SetContext::default()).unwrap_err().to_string();
    assert!(error.ends_with("Not a directory"), "{error}");
    let loading = SetContext { local: true, loading: true };
    assert_eq!(open.set(&[("dir", "/")], loading).unwrap_err(), SetError::Loading);
    assert!(open.set(&[("loglevel", "debug")], loading).is_ok());
}

#[test]
fn values_of_several_words() {
    let config = Config::default();
    let set = |name, text| get(&set(&config, &[(name, text)]).unwrap().config, name);
    assert_eq!(set("save", ""), "");
    assert_eq!(set("save", "10 5"), "10 5");
    assert_eq!(set("shutdown-on-sigint", "force nosave now"), "nosave now force");
    assert_eq!(set("notify-keyspace-events", "EKgx$"), "g$xKE");
    assert_eq!(set("notify-keyspace-events", "KEAnm"), "AKEm");
    assert_eq!(set("bind", ""), "");
    assert_eq!(set("bind", "127.0.0.1 -::1"), "127.0.0.1 -::1");
    assert_eq!(set("latency-tracking-info-percentiles", "0.5 100"), "0.5 100");
    assert_eq!(set("maxmemory-clients", "5%"), "5%");
    assert_eq!(set("hz", "1000"), "500");
    assert_eq!(set("repl-backlog-size", "1"), "16384");
    assert_eq!(set("proc-title-template", "{{ {title} {port}"), "{{ {title} {port}");
    assert_eq!(set("oom-score-adj", "relative"), "yes");
    let limits = set("client-output-buffer-limit", "replica 1mb 1kb 5");
    assert_eq!(limits, "normal 0 0 0 slave 1048576 1024 5 pubsub 33554432 8388608 60");
    assert_eq!(get(&config.with("unixsocketperm", "700").unwrap(), "unixsocketperm"), "700");
    assert_eq!(config.with("unixsocketperm", "700").unwrap().unixsocketperm, 0o700);
}

#[test]
fn every_directive_is_documented() {
    let table = compatibility_table();
    assert!(table.contains("| `maxmemory` |  | `0` | active |"));
    assert!(table.contains("| `rename-command` |  |  | active |"));
    assert_eq!(table.lines().count(), 2 + DIRECTIVES.len() + table::FILE_ONLY.len());
}

/// Values that kinds take, and bytes that none expects.
fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let plausible =
        "(yes|no|-?[0-9]{1,20}|[0-9]{1,3}(kb|m|gb|%)|save|now|normal|pubsub|KEA| |99\\.5|\\{port\\}|\"){1,6}";
    prop_oneof![plausible.prop_map(String::into_bytes), proptest::collection::vec(any::<u8>(), 0..20)]
}

proptest! {
    /// Whatever is given, it is refused, or it is answered so that it can be given again.
    #[test]
    fn any_value_is_refused_or_kept(index in 0..DIRECTIVES.len(), text in any_value()) {
        let row = &DIRECTIVES[index];
        if let Ok(config) = Config::default().with(row.name, &text) {
            let answer = config.get(&[row.name])[0].1.clone();
            if row.name != "replicaof" || !answer.is_empty() {
                let again = config.with(row.name, &answer).map_err(TestCaseError::fail)?;
                prop_assert_eq!(&again.get(&[row.name])[0].1, &answer);
            }
        }
    }

    /// No text stops the reader otherwise than by an error. (The log file would be created, so it is left out.)
    #[test]
    fn any_text_reads_or_is_refused(index in 0..DIRECTIVES.len(), text in any_value()) {
        let row = &DIRECTIVES[index];
        if row.name != "logfile" && !text.windows(7).any(|window| window.eq_ignore_ascii_case(b"logfile")) {
            let line = [row.name.as_bytes(), b" ", &text].concat();
            if let Ok(config) = Config::parse(&line) {
                config.rewrite(&line, None, true);
            }
        }
    }
}
