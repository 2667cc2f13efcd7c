//! The house rules that a machine can check: which floor may import which, where the runtime's names may
//! stand, how a file opens, what no file may contain. No server is started here.

use std::fs;
use std::path::{Path, PathBuf};

/// The floors from the bottom up. A module imports its own directory and those of lower floors; modules on
/// one floor do not know each other.
const FLOORS: [&[&str]; 7] = [
    &["base"],
    &["config", "resp", "net"],
    &["store"],
    &["state", "rdb"],
    &["command"],
    &["shard"],
    &["server"],
];

/// Where the runtime and the ring may be named: a crate, and what the paths of files below `src/` start with.
const RUNTIME: [(&str, &[&str]); 2] = [
    ("glommio", &["net/", "server/", "shard/executor", "shard/mailbox"]),
    ("io_uring", &["net/", "server/boot", "server/probe"]),
];

/// Lines from which a file is reported, and from which it fails the check.
const LONG_FILE_LINES: usize = 600;
const LONGEST_FILE_LINES: usize = 900;

/// What stands in no file of ours. Spelled in two halves so that this list does not find itself.
const FORBIDDEN: [&str; 9] = [
    concat!("TO", "DO"),
    concat!("FIX", "ME"),
    concat!("todo", "!("),
    concat!("unimplemented", "!("),
    concat!("dbg", "!("),
    concat!("/ro", "ot/"),
    concat!("/ho", "me/"),
    concat!("/wo", "rk/"),
    concat!("#[ig", "nore"),
];

struct Source {
    /// Path from the project's directory, with `/`.
    path: String,
    text: String,
}

fn project() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn sources(directories: &[&str], endings: &[&str]) -> Vec<Source> {
    let mut pending: Vec<PathBuf> = directories.iter().map(|name| project().join(name)).collect();
    let mut found = Vec::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("reading a directory of the project");
            pending.extend(entries.map(|entry| entry.expect("reading a directory entry").path()));
        } else if endings.iter().any(|ending| path.to_string_lossy().ends_with(ending)) {
            let text = fs::read_to_string(&path).expect("a source file is text");
            let path = path.strip_prefix(project()).expect("inside the project").to_string_lossy().into();
            found.push(Source { path, text });
        }
    }
    found.sort_by(|left, right| left.path.cmp(&right.path));
    found
}

fn rust_sources() -> Vec<Source> {
    sources(&["src", "tests", "bench"], &[".rs"])
}

#[track_caller]
fn assert_none(rule: &str, faults: Vec<String>) {
    assert!(faults.is_empty(), "{rule}:\n  {}", faults.join("\n  "));
}

/// The text without its comments, line by line as before. A `//` inside a string ends the line as well,
/// which no import survives or needs.
fn without_comments(text: &str) -> String {
    text.lines().map(|line| line.split("//").next().unwrap_or("")).collect::<Vec<_>>().join("\n")
}

fn floor_of(module: &str) -> Option<usize> {
    FLOORS.iter().position(|modules| modules.contains(&module))
}

/// The module of a file below `src/`: its directory, or its name when it lies at the top.
fn module_of(path: &str) -> &str {
    let inside = path.strip_prefix("src/").unwrap_or(path);
    inside.split('/').next().unwrap_or(inside).trim_end_matches(".rs")
}

/// The modules named after each `prefix` (such as `crate::`), whether alone or in braces.
fn modules_after(code: &str, prefix: &str) -> Vec<String> {
    let mut modules = Vec::new();
    for (position, _) in code.match_indices(prefix) {
        let rest = &code[position + prefix.len()..];
        match rest.strip_prefix('{') {
            Some(group) => modules.extend(heads_of_group(group)),
            None => modules.push(identifier(rest)),
        }
    }
    modules
}

/// The first identifier of each element of a brace group, up to its closing brace.
fn heads_of_group(group: &str) -> Vec<String> {
    let mut heads = Vec::new();
    let (mut depth, mut start) = (0, 0);
    for (position, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' if depth > 0 => depth -= 1,
            ',' | '}' if depth == 0 => {
                heads.push(identifier(group[start..position].trim_start()));
                start = position + 1;
                if letter == '}' {
                    break;
                }
            }
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// The modules that a file of a module must not name but does.
fn upward_imports(path: &str, text: &str) -> Vec<String> {
    let own = module_of(path);
    let Some(own_floor) = floor_of(own) else { return Vec::new() };
    let code = without_comments(text);
    let mut named = modules_after(&code, "crate::");
    named.extend(modules_after(&code, "super::super::"));
    named.retain(|module| module != own && floor_of(module).is_some_and(|floor| floor >= own_floor));
    named.sort();
    named.dedup();
    named
}

#[test]
fn imports_point_downwards() {
    let mut faults = Vec::new();
    for source in sources(&["src"], &[".rs"]) {
        for module in upward_imports(&source.path, &source.text) {
            faults.push(format!("{} imports crate::{module}", source.path));
        }
    }
    assert_none("a module imports its own directory and lower floors only", faults);
}

#[test]
fn every_module_has_a_floor() {
    let mut faults = Vec::new();
    for source in sources(&["src"], &[".rs"]) {
        let module = module_of(&source.path);
        if floor_of(module).is_none() && !["lib", "main"].contains(&module) {
            faults.push(format!("{} lies on no floor", source.path));
        }
    }
    assert_none("FLOORS names every directory of src/", faults);
}

#[test]
fn runtime_is_named_only_where_the_map_says() {
    let mut faults = Vec::new();
    for source in sources(&["src"], &[".rs"]) {
        let inside = source.path.trim_start_matches("src/");
        let code = without_comments(&source.text);
        for (name, allowed) in RUNTIME {
            let named = code.contains(&format!("{name}::")) || code.contains(&format!("use {name};"));
            if named && !allowed.iter().any(|start| inside.starts_with(start)) {
                faults.push(format!("{} names {name}", source.path));
            }
        }
    }
    assert_none("glommio and io_uring are named only in the files that RUNTIME lists", faults);
}

#[test]
fn every_file_says_what_lives_in_it() {
    let opens = |source: &Source| source.text.starts_with("//! ");
    let faults = rust_sources().iter().filter(|source| !opens(source)).map(|s| s.path.clone()).collect();
    assert_none("every file opens with //! and a sentence", faults);
}

#[test]
fn nothing_unfinished_and_no_private_path() {
    let mut faults = Vec::new();
    let mut all = rust_sources();
    all.extend(sources(&["docs"], &[".md"]));
    for source in all {
        for (index, line) in source.text.lines().enumerate() {
            if let Some(word) = FORBIDDEN.iter().find(|word| line.contains(**word)) {
                faults.push(format!("{}:{} contains {word}", source.path, index + 1));
            }
        }
    }
    assert_none("no unfinished marks, no switched-off tests, no paths of one machine", faults);
}

#[test]
fn files_stay_readable() {
    let mut faults = Vec::new();
    for source in rust_sources() {
        let lines = source.text.lines().count();
        if lines > LONGEST_FILE_LINES {
            faults.push(format!("{}: {lines} lines", source.path));
        } else if lines > LONG_FILE_LINES {
            println!("long, a place to look for two things in one: {} ({lines} lines)", source.path);
        }
    }
    assert_none("no file is longer than 900 lines", faults);
}

#[test]
fn the_check_itself_finds_what_it_looks_for() {
    let upward = |text: &str| upward_imports("src/store/table.rs", text);
    assert_eq!(upward("use crate::base::clock;"), Vec::<String>::new());
    assert_eq!(upward("use crate::store::entry::Entry;"), Vec::<String>::new());
    assert_eq!(upward("// as crate::server does"), Vec::<String>::new());
    assert_eq!(upward("use crate::command::Row;"), ["command"]);
    assert_eq!(upward("let x = crate::state::stats();"), ["state"]);
    assert_eq!(upward("use crate::{base::slot, shard::{a, b}, server};"), ["server", "shard"]);
    assert_eq!(upward("use crate::{\n    base::slot,\n    shard::locks,\n};"), ["shard"]);
    assert_eq!(upward("use super::super::shard::locks;"), ["shard"]);
    assert_eq!(upward_imports("src/resp/reply.rs", "use crate::net::ring;"), ["net"]);
    assert_eq!(upward_imports("src/main.rs", "use crate::server;"), Vec::<String>::new());
}
