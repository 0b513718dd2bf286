//! The shape of `src/`: which module may import which, that the heart is pure,
//! and that files and functions stay short.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level module may import of the others (design, "Modules").
const MAY_IMPORT: &[(&str, &[&str])] = &[
    ("failover", &[]),
    ("policy", &["failover", "pointer"]),
    ("dialect", &["failover", "pointer"]),
    ("upstream", &["failover", "dialect"]),
    ("config", &["failover", "dialect"]),
    (
        "gateway",
        &[
            "failover",
            "policy",
            "dialect",
            "upstream",
            "config",
            "journal",
            "schema",
            "store",
            "deferred",
            "telemetry",
        ],
    ),
    ("journal", &["failover", "policy"]),
    ("sim", &["failover", "policy", "config", "schema"]),
    ("admin", &["failover", "policy", "config", "gateway", "journal"]),
    ("fake", &[]),
    ("kit", &["policy"]),
    ("clock", &["failover"]),
    ("pointer", &[]),
    ("schema", &[]),
    ("secret", &[]),
    ("telemetry", &[]),
    ("tls", &[]),
];

/// What everyone but the heart may import as well.
const COMMON: &[&str] = &["clock", "secret"];

/// The edges of the program, which put the rest together.
const EDGES: &[&str] = &["cli", "lib", "main"];

/// What the heart never names, besides the dependencies of the package.
const NEVER_IN_THE_HEART: &[&str] = &[
    "std::env",
    "std::fs",
    "std::io",
    "std::net",
    "std::process",
    "std::thread",
    "Instant",
    "SystemTime",
    "hyper",
    "reqwest",
    "serde",
    "serde_json",
    "tokio",
    "wasmtime",
];

const MOST_LINES_OF_A_FILE: usize = 600;
const MOST_LINES_OF_A_FUNCTION: usize = 70;

/// A source file: its path under `src/`, and its lines.
struct Source {
    path: PathBuf,
    text: String,
}

/// A place and what is wrong there.
type Problem = String;

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), text: text.to_owned() }
    }

    /// The names of the modules it lies in, outermost first.
    fn module(&self) -> Vec<String> {
        let path = self.path.with_extension("");
        let names = path.iter().map(|name| name.to_string_lossy().into_owned());
        names.filter(|name| name != "mod").collect()
    }

    fn top(&self) -> String {
        self.module().swap_remove(0)
    }

    /// The lines with their numbers, freed of comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        (1..).zip(self.text.lines().map(without_comment))
    }

    fn problem(&self, line: usize, what: &str) -> Problem {
        format!("src/{}:{line}: {what}", self.path.display())
    }
}

/// The line up to a comment; the slashes of an address begin none.
fn without_comment(line: &str) -> &str {
    let begins = line.match_indices("//").map(|(at, _)| at);
    let comment = begins.into_iter().find(|at| !line[..*at].ends_with(':'));
    comment.map_or(line, |at| &line[..at])
}

fn sources() -> Vec<Source> {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    let mut open = vec![src.clone()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(&directory).expect("src can be listed") {
            let path = entry.expect("an entry of src").path();
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).expect("a source file");
                let path = path.strip_prefix(&src).expect("under src").to_owned();
                found.push(Source { path, text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(found.len() > 10, "src was not found: {} files", found.len());
    found
}

fn assert_none(problems: &[Problem]) {
    assert!(problems.is_empty(), "\n{}\n", problems.join("\n"));
}

/// The top-level modules a file names, with the lines: `crate::x`,
/// `crate::{x, y::z}`, and `super::super::x` where that leaves its own module.
fn imports(source: &Source) -> Vec<(usize, String)> {
    let text: String = source.code().flat_map(|(_, line)| [line, "\n"]).collect();
    let up = "super::".repeat(source.module().len());
    let mut found = Vec::new();
    for root in ["crate::", up.as_str()] {
        for (at, _) in text.match_indices(root) {
            let before = text[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':') {
                continue;
            }
            let line = text[..at].matches('\n').count() + 1;
            let names = first_names(&text[at + root.len()..]);
            found.extend(names.into_iter().map(|name| (line, name)));
        }
    }
    found
}

/// The first name of each path that follows: one, or those within braces.
fn first_names(rest: &str) -> Vec<String> {
    let Some(group) = rest.strip_prefix('{') else {
        return vec![first_name(rest)];
    };
    let mut depth = 0;
    let mut names = vec![first_name(group)];
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => names.push(first_name(&group[at + 1..])),
            _ => {}
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn first_name(path: &str) -> String {
    path.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
}

/// Imports that the table does not allow. `modules` are all top-level ones.
fn forbidden_imports(source: &Source, modules: &BTreeSet<String>) -> Vec<Problem> {
    let own = source.top();
    if EDGES.contains(&own.as_str()) {
        return Vec::new();
    }
    let Some((_, allowed)) = MAY_IMPORT.iter().find(|(module, _)| *module == own) else {
        return vec![source.problem(1, &format!("say in MAY_IMPORT what `{own}` may import"))];
    };
    let common = if own == "failover" { &[] } else { COMMON };
    let may = |name: &str| name == own || allowed.contains(&name) || common.contains(&name);
    let named = imports(source).into_iter().filter(|(_, name)| modules.contains(name));
    let bad = named.filter(|(_, name)| !may(name));
    bad.map(|(line, name)| {
        let instead = match allowed {
            [] => "nothing of the other modules".to_owned(),
            [..] => allowed.join(", "),
        };
        source.problem(line, &format!("`{own}` imports `{name}`; it may import {instead}"))
    })
    .collect()
}

/// Where the heart names what it must not know.
fn impurities(source: &Source, never: &[String]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (number, line) in source.code() {
        for word in never.iter().filter(|word| mentions(line, word)) {
            problems.push(source.problem(number, &format!("the heart must not know `{word}`")));
        }
    }
    problems
}

/// Whether the word stands in the line, and not within a longer name. One that
/// ends in `::` begins a path.
fn mentions(line: &str, word: &str) -> bool {
    let part_of_a_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).any(|(at, _)| {
        let before = line[..at].chars().next_back();
        let after = line[at + word.len()..].chars().next();
        let ends = word.ends_with("::") || !after.is_some_and(part_of_a_name);
        ends && !before.is_some_and(part_of_a_name)
    })
}

/// The package's dependencies, as paths into them would begin.
fn dependencies(manifest: &str) -> Vec<String> {
    let section = manifest.split("\n[").find(|section| section.starts_with("dependencies]"));
    let lines = section.expect("a section of dependencies").lines().skip(1);
    let names = lines.filter_map(|line| line.split_once(" = ")).map(|(name, _)| name);
    names.map(|name| format!("{}::", name.replace('-', "_"))).collect()
}

/// Functions with too many lines, told by the indentation rustfmt gives them.
fn long_functions(source: &Source, most: usize) -> Vec<Problem> {
    let lines: Vec<_> = source.text.lines().collect();
    let starts = lines.iter().enumerate().filter(|(_, line)| begins_function(line));
    let lengths = starts.map(|(start, line)| {
        let indent = line.len() - line.trim_start().len();
        let closes = |line: &&str| {
            let ended = line.trim_start();
            line.len() - ended.len() == indent && (ended == "}" || ended.ends_with(';'))
        };
        let on_one_line = line.ends_with('}') || line.ends_with(';');
        let rest = lines[start + 1..].iter().position(closes).map_or(0, |n| n + 1);
        (start + 1, if on_one_line { 1 } else { rest + 1 })
    });
    let long = lengths.filter(|(_, length)| *length > most);
    long.map(|(line, length)| source.problem(line, &format!("a function of {length} lines")))
        .collect()
}

fn begins_function(line: &str) -> bool {
    let mut words = line.split_whitespace();
    words.find(|word| !is_qualifier(word)).is_some_and(|word| word == "fn")
}

fn is_qualifier(word: &str) -> bool {
    matches!(word, "pub" | "const" | "async" | "unsafe" | "extern") || word.starts_with("pub(")
}

#[test]
fn modules_import_only_what_they_may() {
    let sources = sources();
    let modules = sources.iter().map(Source::top).collect();
    let problems: Vec<_> = sources.iter().flat_map(|s| forbidden_imports(s, &modules)).collect();
    assert_none(&problems);
}

#[test]
fn the_heart_is_pure() {
    let manifest = include_str!("../../Cargo.toml");
    let mut never = dependencies(manifest);
    assert!(never.contains(&"tokio::".to_owned()), "no dependencies found: {never:?}");
    never.extend(NEVER_IN_THE_HEART.iter().map(|word| (*word).to_owned()));
    let sources = sources();
    let heart = sources.iter().filter(|source| source.top() == "failover");
    assert_none(&heart.flat_map(|source| impurities(source, &never)).collect::<Vec<_>>());
}

#[test]
fn files_and_functions_are_short() {
    let mut problems = Vec::new();
    for source in sources() {
        let lines = source.text.lines().count();
        if lines > MOST_LINES_OF_A_FILE {
            problems.push(source.problem(lines, "the file is too long: is there a second noun?"));
        }
        problems.extend(long_functions(&source, MOST_LINES_OF_A_FUNCTION));
    }
    assert_none(&problems);
}

#[test]
fn lints_are_expected_with_a_reason_and_not_allowed() {
    let mut problems = Vec::new();
    for source in sources() {
        for (line, code) in source.code() {
            if code.contains("#[allow(") || code.contains("#![allow(") {
                problems.push(source.problem(line, "`#[expect(…, reason = \"…\")]` instead"));
            }
        }
    }
    assert_none(&problems);
}

#[test]
fn the_scan_sees_every_way_to_import() {
    for (path, text, expected) in [
        ("policy/mod.rs", "use crate::gateway::Server;", vec![(1, "gateway")]),
        ("policy/mod.rs", "\nlet x = crate::config::read();", vec![(2, "config")]),
        (
            "policy/host.rs",
            "use crate::{\n    clock,\n    config::{Config, Route},\n    sim\n};",
            vec![(1, "clock"), (1, "config"), (1, "sim")],
        ),
        ("clock.rs", "use super::gateway::Server;", vec![(1, "gateway")]),
        ("policy/mod.rs", "use super::gateway::Server;", vec![(1, "gateway")]),
        ("policy/host.rs", "use super::super::gateway::Server;", vec![(1, "gateway")]),
        ("policy/host.rs", "use super::gateway::Server;", vec![]),
        ("policy/mod.rs", "// use crate::gateway::Server;", vec![]),
        ("policy/mod.rs", "let x = my_crate::gateway();", vec![]),
    ] {
        let found = imports(&Source::new(path, text));
        let found: Vec<_> = found.iter().map(|(line, name)| (*line, name.as_str())).collect();
        assert_eq!(found, expected, "{path}: {text}");
    }
}

#[test]
fn the_table_is_enforced() {
    let modules = ["clock", "config", "failover", "gateway", "policy"].map(str::to_owned).into();
    for (path, text, expected) in [
        ("policy/mod.rs", "use crate::failover::Call;", None),
        ("policy/mod.rs", "use crate::policy::host;\nuse crate::clock::Clock;", None),
        (
            "policy/mod.rs",
            "\nuse crate::config::Config;",
            Some("src/policy/mod.rs:2: `policy` imports `config`; it may import failover, pointer"),
        ),
        (
            "failover/time.rs",
            "use crate::clock::Clock;",
            Some(
                "src/failover/time.rs:1: `failover` imports `clock`; it may import nothing of \
                 the other modules",
            ),
        ),
        ("cli/serve.rs", "use crate::config::Config;", None),
        ("novel.rs", "", Some("src/novel.rs:1: say in MAY_IMPORT what `novel` may import")),
    ] {
        let problems = forbidden_imports(&Source::new(path, text), &modules);
        assert_eq!(problems.first().map(String::as_str), expected, "{path}: {text}");
    }
}

#[test]
fn the_scan_sees_what_the_heart_must_not_know() {
    let never = ["tokio::", "Instant", "std::fs"].map(str::to_owned);
    for (text, expected) in [
        ("let at = std::time::Instant::now();", 1),
        ("use std::{\n    fmt};\nuse std::fs::File;", 1),
        ("tokio::spawn(x); Instant::now();", 2),
        ("let Instantly = 1; my_tokio::x();", 0),
        ("// Instant", 0),
    ] {
        let problems = impurities(&Source::new("failover/x.rs", text), &never);
        assert_eq!(problems.len(), expected, "{text}: {problems:?}");
    }
}

#[test]
fn the_scan_measures_functions() {
    let body = |lines| "        step();\n".repeat(lines);
    for (text, expected) in [
        (format!("    pub(super) fn f() {{\n{}    }}\n", body(3)), None),
        (format!("    pub(super) fn f() {{\n{}    }}\n", body(4)), Some(6)),
        (format!("    async fn f(\n        a: A,\n    ) {{\n{}    }}\n", body(2)), Some(6)),
        (format!("    fn f();\n    fn g() {{}}\n{}", body(9)), None),
        (format!("    // fn f() {{\n{}", body(9)), None),
    ] {
        let found = long_functions(&Source::new("x.rs", &text), 5);
        let expected = expected.map(|n: usize| format!("src/x.rs:1: a function of {n} lines"));
        assert_eq!(found.first(), expected.as_ref(), "{text}");
    }
}
