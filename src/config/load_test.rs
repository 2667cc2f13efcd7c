//! Tests of reading configurations.

use std::fs;

use super::*;

fn error(text: &str) -> String {
    Config::parse(text).unwrap_err().to_string()
}

fn reason(text: &str) -> String {
    error(text).lines().last().unwrap().to_owned()
}

#[test]
fn reads_a_file_like_redis_conf() {
    let config = Config::parse(
        "# comment\n\n  PORT 7000\r\nmaxmemory 100mb\nrequirepass \"se\\x63ret\"\nlogfile ''\n\
         bind 127.0.0.1 -::1\nslave-read-only no\nlist-max-ziplist-entries 512\n",
    )
    .unwrap();
    assert_eq!(config.port, 7000);
    assert_eq!(config.maxmemory, 100 << 20);
    assert_eq!(config.requirepass, b"secret");
    assert_eq!(config.logfile, None);
    assert_eq!(config.bind, ["127.0.0.1", "-::1"]);
    assert!(!config.replica_read_only);
}

#[test]
fn errors_name_file_line_and_reason() {
    let title = concat!("\n*** FATAL CONFIG FILE ERROR (Skerry ", env!("CARGO_PKG_VERSION"), ") ***\n");
    assert_eq!(
        error("port 1\n  nope 2 \n"),
        format!(
            "{title}Reading the configuration file, at line 2\n>>> 'nope 2'\n\
             Bad directive or wrong number of arguments"
        )
    );
    let cases = [
        ("port", "wrong number of arguments"),
        ("port 1 2", "wrong number of arguments"),
        ("port x", "argument couldn't be parsed into an integer"),
        ("port 70000", "argument must be between 0 and 65535 inclusive"),
        ("appendonly maybe", "argument must be 'yes' or 'no'"),
        ("port \"1", "Unbalanced quotes in configuration line"),
        ("bind \"'a\"", "Unbalanced quotes in configuration line"),
        (
            "loglevel loud",
            "argument(s) must be one of the following: debug, verbose, notice, warning, nothing",
        ),
        ("unixsocketperm 9", "argument couldn't be parsed as an octal number"),
        ("unixsocketperm 1000", "argument must be between 0 and 777 inclusive"),
        ("shutdown-on-sigint", "argument(s) must be one of the following: default, save, nosave, now, force"),
        ("replicaof here abc", "Invalid master port"),
        ("replicaof here", "wrong number of arguments"),
        ("sentinel monitor", "sentinel directive while not in sentinel mode"),
        ("rename-command GET", "Bad directive or wrong number of arguments"),
        ("a.b", "Module config specified without value"),
        ("dir /nowhere", "No such file or directory"),
        ("appendfilename ''", "appendfilename can't be empty"),
        ("include a b", "Bad directive or wrong number of arguments"),
    ];
    for (text, expected) in cases {
        assert_eq!(reason(text), expected, "{text}");
    }
}

#[test]
fn several_occurrences() {
    let save = |text: &str| {
        let config = Config::parse(text).unwrap();
        String::from_utf8(config.get(&["save"])[0].1.clone()).unwrap()
    };
    assert_eq!(save(""), "3600 1 300 100 60 10000");
    assert_eq!(save("save 900 1\nsave 100 100"), "900 1 100 100");
    assert_eq!(save("save 900 1 100 100"), "900 1 100 100");
    assert_eq!(save("save \"900 1\""), "900 1");
    assert_eq!(save("save 900 1\nsave ''"), "");
    assert_eq!(save("save ''\nsave 5 6"), "5 6");

    let config = Config::parse(
        "client-output-buffer-limit pubsub 1mb 0 0\nclient-output-buffer-limit replica 2mb 1mb 9\n\
         rename-command FLUSHALL \"\"\nrename-command GET fetch\nuser alice on >x\nloadmodule /a.so 1 2\n\
         hz 20\nhz 30",
    )
    .unwrap();
    assert_eq!(config.client_output_buffer_limits[ClientClass::Pubsub as usize].hard_bytes, 1 << 20);
    assert_eq!(config.client_output_buffer_limits[ClientClass::Replica as usize].soft_seconds, 9);
    assert_eq!(config.hz, 30);
    let declarations = config.declarations();
    assert_eq!(declarations.renamed_commands[0].arguments, [b"FLUSHALL".to_vec(), b"".to_vec()]);
    assert_eq!(declarations.users[0].arguments[0], b"alice");
    assert_eq!(declarations.modules[0].arguments.len(), 3);
    let refused = declarations.renamed_commands[1].refuse("No such command in rename-command").to_string();
    assert!(refused.contains("at line 4\n>>> 'rename-command GET fetch'\nNo such command"), "{refused}");
}

#[test]
fn a_change_keeps_declarations() {
    let config = Config::parse("rename-command GET fetch").unwrap();
    assert_eq!(config.with("hz", "20").unwrap().declarations().renamed_commands.len(), 1);
}

#[test]
fn includes() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::create_dir(directory.path().join("conf.d")).unwrap();
    fs::write(path("conf.d/1.conf"), "hz 20\nport 1").unwrap();
    fs::write(path("conf.d/2.conf"), "\nport 2\n").unwrap();
    fs::write(path("conf.d/.hidden.conf"), "bad\n").unwrap();
    fs::write(path("loop.conf"), format!("include {}\n", path("loop.conf"))).unwrap();
    fs::write(path("bad.conf"), "\nhz x\n").unwrap();

    let config = Config::parse(format!("include {}\nhz 30", path("conf.d/*.conf"))).unwrap();
    assert_eq!((config.port, config.hz), (2, 30));
    let config =
        Config::parse(format!("dir {}\ninclude conf.d/[!2].c?nf", directory.path().display())).unwrap();
    assert_eq!((config.port, config.hz), (1, 20));
    assert!(Config::parse(format!("include {}", path("none/*.conf"))).is_ok());
    let missing = error(&format!("include {}", path("none.conf")));
    assert_eq!(
        missing,
        format!("Fatal error, can't open config file '{}': No such file or directory", path("none.conf"))
    );
    assert!(error(&format!("include {}", path("loop.conf"))).ends_with("nested too deeply"));
    assert!(
        error(&format!("port 1\nport 2\ninclude {}", path("bad.conf"))).contains("at line 2\n>>> 'hz x'")
    );
}

#[test]
fn file_then_options() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("skerry.conf");
    fs::write(&file, "port 7000\nsave 900 1").unwrap();
    let mut sources = Sources {
        file: Some(file.clone()),
        options: b"save \"100\" \"100\" ".to_vec(),
        ..Sources::default()
    };
    let config = Config::load(&sources).unwrap();
    assert_eq!(config.get(&["save"])[0].1, b"900 1 100 100");
    assert_eq!(config.declarations().file.as_deref(), Some(file.as_path()));
    sources.options = b"bogus ".to_vec();
    let text = Config::load(&sources).unwrap_err().to_string();
    assert!(text.contains("at line 3\n>>> 'bogus'\n"), "{text}");
    sources.file = Some("/nowhere/x.conf".into());
    let text = Config::load(&sources).unwrap_err().to_string();
    assert_eq!(text, "Fatal error, can't open config file '/nowhere/x.conf': No such file or directory");
}

#[test]
fn the_log_file_must_open() {
    let directory = tempfile::tempdir().unwrap();
    let dir = directory.path().display();
    let text = error(&format!("dir {dir}\nlogfile none/x.log"));
    assert!(text.ends_with("***\nCan't open the log file: No such file or directory"), "{text}");
    let config = Config::parse(format!("dir {dir}\nlogfile x.log")).unwrap();
    assert_eq!(config.logfile.as_deref(), Some(std::path::Path::new("x.log")));
    assert!(directory.path().join("x.log").exists());
}
