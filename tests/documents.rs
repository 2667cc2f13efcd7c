//! The documents say what the code does, where a machine can tell: generated tables are current, commands that are
//! called missing are missing, files and functions that a document names exist. No server is started here.
//!
//! `SKERRY_WRITE_DOCUMENTS=1` writes the generated tables instead of comparing them.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use skerry::command::table;

const COMPATIBILITY: &str = "docs/compatibility.md";

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// What stands between the two marks of a block, and the text before and after it, marks included.
fn block<'a>(text: &'a str, name: &str) -> [&'a str; 3] {
    let (begin, end) = (format!("<!-- {name}:begin -->\n"), format!("<!-- {name}:end -->"));
    let start = text.find(&begin).unwrap_or_else(|| panic!("{begin} is there")) + begin.len();
    let length = text[start..].find(&end).unwrap_or_else(|| panic!("{end} is there"));
    [&text[..start], &text[start..start + length], &text[start + length..]]
}

fn served_commands() -> String {
    let mut groups: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    let mut rows: Vec<_> = table::all().collect();
    rows.sort_by_key(|row| row.full_name);
    for row in rows {
        let name = row.full_name.to_uppercase();
        let mut subcommands: Vec<String> =
            row.subcommands.iter().map(|sub| sub.name.to_uppercase()).collect();
        subcommands.sort();
        let shown = match subcommands.as_slice() {
            // Those of DEBUG that work on keys are no rows to clients either.
            [] => format!("`{name}`"),
            _ if name == "DEBUG" => format!("`{name}`"),
            names => format!("`{name}` ({})", names.join(", ")),
        };
        groups.entry(row.group.name()).or_default().push(shown);
    }
    let mut text = String::from("| group | commands |\n| --- | --- |\n");
    for (group, names) in groups {
        text.push_str(&format!("| {group} | {} |\n", names.join(" ")));
    }
    text
}

#[test]
fn generated_tables_are_current() {
    let before = read(COMPATIBILITY);
    let mut text = before.clone();
    let tables = [("commands", served_commands()), ("directives", skerry::config::compatibility_table())];
    for (name, table) in tables {
        let [head, _, tail] = block(&text, name);
        text = [head, &table, tail].concat();
    }
    if std::env::var_os("SKERRY_WRITE_DOCUMENTS").is_some() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(COMPATIBILITY);
        fs::write(path, text).expect("writing a document");
    } else {
        assert!(
            text == before,
            "{COMPATIBILITY} is not current: SKERRY_WRITE_DOCUMENTS=1 cargo test --test documents writes it"
        );
    }
}

/// Words in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.lines().flat_map(|line| line.split('`').skip(1).step_by(2))
}

#[test]
fn missing_commands_are_missing() {
    let text = read(COMPATIBILITY);
    let [_, missing, _] = block(&text, "missing");
    let there: Vec<&str> = quoted(missing).filter(|name| table::find(name.as_bytes()).is_some()).collect();
    assert!(there.is_empty(), "{COMPATIBILITY} calls these missing, but they are here: {there:?}");
    assert!(quoted(missing).count() > 0, "the list is read");
}

/// Every line of Rust in the project's sources.
fn all_sources() -> String {
    let mut pending = vec![Path::new(env!("CARGO_MANIFEST_DIR")).join("src")];
    let mut text = String::new();
    while let Some(path) = pending.pop() {
        if path.is_dir() {
            let entries = fs::read_dir(&path).expect("reading a directory of the project");
            pending.extend(entries.map(|entry| entry.expect("reading a directory entry").path()));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            text.push_str(&fs::read_to_string(&path).expect("a source file is text"));
        }
    }
    text
}

/// Whether the file of that path is there, from the project's directory or from `src`.
fn is_file(path: &str) -> bool {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    project.join(path).exists() || project.join("src").join(path).exists()
}

/// Whether the sources define something of that name: a function, type, module, or a variant on a line of its own.
fn is_defined(sources: &str, name: &str) -> bool {
    ["fn ", "struct ", "enum ", "mod ", "    "].iter().any(|before| {
        sources.match_indices(&format!("{before}{name}")).any(|(at, found)| {
            !sources[at + found.len()..].starts_with(|next: char| next.is_alphanumeric() || next == '_')
        })
    })
}

#[test]
fn what_documents_name_exists() {
    let sources = all_sources();
    let mut faults = Vec::new();
    for document in ["README.md", "docs/ARCHITECTURE.md", "docs/TESTING.md", COMPATIBILITY] {
        let text = read(document);
        for name in quoted(&text) {
            let is_path =
                |allowed: &str| name.chars().all(|c| c.is_ascii_alphanumeric() || allowed.contains(c));
            let exists = match name.rsplit_once("::") {
                _ if name.ends_with(".rs") && name.contains('/') && is_path("/_.") => is_file(name),
                Some((_, last)) if !last.is_empty() && is_path("_:") => is_defined(&sources, last),
                _ => true,
            };
            if !exists {
                faults.push(format!("{document} names {name}"));
            }
        }
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join(document);
        let directory = directory.parent().expect("a document lies in a directory");
        let targets = text.split("](").skip(1).filter_map(|rest| rest.split(')').next());
        for target in targets.filter(|target| !target.starts_with("http")) {
            if !directory.join(target).exists() {
                faults.push(format!("{document} links to {target}"));
            }
        }
    }
    assert!(faults.is_empty(), "no such thing:\n  {}", faults.join("\n  "));
}
