//! The walk through the file, section by section, and what only the whole file
//! can tell.

use std::path::Path;

use sha2::{Digest, Sha256};
use toml::de::DeTable;

use super::address::{address_in_use_by_both, is_loopback};
use super::model::{Admin, Client, Config, Policies, Server};
use super::problem::{MAX_PROBLEMS, Problem, Problems, Severity};
use super::reader::{Environment, Reader, Table};
use super::secrets::read_at_most;
use super::source::Source;

use super::{providers, routes, rules, sections};

/// No configuration is this long; what is, is another file.
const LARGEST_FILE: usize = 4 * 1024 * 1024;

/// Reads and resolves the file at `path`; relative paths in it begin from its
/// directory, variables are looked up with `env`.
pub fn load(path: &Path, env: Environment<'_>) -> Result<Config, Problems> {
    parse(&read_text(path)?, path, env)
}

/// Only `[policies]` of the file, for who needs neither providers nor their keys.
pub fn load_policies(path: &Path, env: Environment<'_>) -> Result<Policies, Problems> {
    let policies = |root: &Table<'_>| sections::policies(&root.section("policies"));
    walk(&read_text(path)?, path, env, &mut |root| part(root, policies))
}

/// Only `[admin]` of the file.
pub fn load_admin(path: &Path, env: Environment<'_>) -> Result<Option<Admin>, Problems> {
    let admin = |root: &Table<'_>| sections::admin(&root.section("admin"));
    walk(&read_text(path)?, path, env, &mut |root| part(root, admin))
}

fn part<T>(root: &Table<'_>, read: impl Fn(&Table<'_>) -> T) -> Result<T, Problems> {
    let part = read(root);
    root.reader.verdict().map(|_warnings| part)
}

/// Resolves a configuration's text as if it stood at `path`.
pub fn parse(text: &str, path: &Path, env: Environment<'_>) -> Result<Config, Problems> {
    walk(text, path, env, &mut |root| resolve(root, path))
}

fn walk<T>(
    text: &str,
    path: &Path,
    env: Environment<'_>,
    resolve: &mut dyn FnMut(&Table<'_>) -> Result<T, Problems>,
) -> Result<T, Problems> {
    let mut source = Source::new(text, path);
    let (root, faults) = DeTable::parse_recoverable(text);
    if !faults.is_empty() {
        // What a broken text means cannot be told: more would be guesswork.
        return Err(syntax_problems(&mut source, &faults));
    }
    let root = root.into_inner();
    source.hide_secrets(&root);
    let reader = Reader::new(&source, path, env);
    resolve(&Table::root(&reader, &root))
}

fn resolve(root: &Table<'_>, path: &Path) -> Result<Config, Problems> {
    let server_table = root.section("server");
    let server = sections::server(&server_table);
    let admin_table = root.section("admin");
    let admin = sections::admin(&admin_table);
    let policies = sections::policies(&root.section("policies"));
    let journal = sections::journal(root);
    let defaults = rules::defaults(&root.section("rules"));
    let declared = providers::providers(root, &defaults);
    let routes = routes::routes(root, &defaults, &declared);
    let clients = sections::clients(root);
    root.finish();
    check_server_exposure(&server_table, &server, &clients, root.has("clients"));
    if let Some(admin) = &admin {
        check_admin_exposure(&admin_table, admin);
        check_listeners_differ(&server_table, &server, &admin_table, admin);
    }
    let reader = root.reader;
    let warnings = reader.verdict()?;
    Ok(Config {
        server,
        admin,
        policies,
        journal,
        providers: providers::usable(declared),
        routes,
        clients,
        names_by_catalog: false,
        warnings,
        source: path.to_owned(),
        digest: hex(&Sha256::digest(reader.source.text)),
        inputs: reader.inputs.take().finalize().into(),
    })
}

/// Whoever reaches the listener spends the operator's money.
fn check_server_exposure(table: &Table<'_>, server: &Server, clients: &[Client], written: bool) {
    if let (true, false, Some(span)) =
        (clients.is_empty() && !written, is_loopback(&server.listen), table.span_of("listen"))
    {
        table.reader.error(
            span,
            "other machines can reach this address, and no [clients] are named: \
             anyone could use the providers' keys",
            "add `[clients.NAME] key = { env = \"…\" }`, or listen on 127.0.0.1",
        );
    }
}

/// Whoever reaches the admin listener sees every call and gives commands.
fn check_admin_exposure(table: &Table<'_>, admin: &Admin) {
    if let (false, false, Some(span)) =
        (table.has("token"), is_loopback(&admin.listen), table.span_of("listen"))
    {
        table.reader.error(
            span,
            "other machines can reach the admin address, and it has no token",
            "add `token = { env = \"…\" }`, or listen on 127.0.0.1",
        );
    }
}

fn check_listeners_differ(
    server_table: &Table<'_>,
    server: &Server,
    admin_table: &Table<'_>,
    admin: &Admin,
) {
    if address_in_use_by_both(&server.listen, &admin.listen) {
        // One of them may be a default, which has no place to point at.
        let written = admin_table.span_of("listen").or_else(|| server_table.span_of("listen"));
        admin_table.reader.error(
            written.unwrap_or(0..0),
            "[server] and [admin] would listen on the same address",
            format!("[server] has \"{}\", [admin] \"{}\"", server.listen, admin.listen),
        );
    }
}

pub(super) fn syntax_problems(source: &mut Source<'_>, faults: &[toml::de::Error]) -> Problems {
    source.hide_suspicious_lines();
    let problem = |fault: &toml::de::Error| {
        let (message, remedy) = match fault.message().split_once(", expected ") {
            Some((message, expected)) => (message, format!("expected {expected}")),
            None if fault.message() == "duplicate key" => {
                ("the key is written twice", "keep one of them".to_owned())
            }
            None => (fault.message(), "correct the TOML here".to_owned()),
        };
        let span = fault.span().unwrap_or(0..0);
        source.problem(Severity::Error, span, format!("invalid TOML: {message}"), remedy)
    };
    let mut list: Vec<Problem> = faults.iter().take(MAX_PROBLEMS).map(problem).collect();
    list.sort_by_key(|problem| problem.span.start);
    Problems { list, left_off: faults.len().saturating_sub(MAX_PROBLEMS) }
}

pub(super) fn read_text(path: &Path) -> Result<String, Problems> {
    let whole_file = |message: String, remedy: &str| Problems {
        list: vec![Problem {
            severity: Severity::Error,
            file: path.to_owned(),
            line: 0,
            column: 0,
            span: 0..0,
            excerpt: None,
            message,
            remedy: remedy.to_owned(),
        }],
        left_off: 0,
    };
    match read_at_most(path, LARGEST_FILE) {
        Ok(Some(bytes)) => String::from_utf8(bytes).map_err(|error| {
            let read = &error.as_bytes()[..error.utf8_error().valid_up_to()];
            let line = read.split(|byte| *byte == b'\n').count();
            whole_file(format!("is not UTF-8 in line {line}"), "save it as UTF-8")
        }),
        Ok(None) => Err(whole_file(
            "is no file of at most 4 MiB".to_owned(),
            "name a configuration with --config",
        )),
        Err(error) => Err(whole_file(
            format!("cannot be read: {error}"),
            "write one with `backstay init`, or name one with --config",
        )),
    }
}

/// Bytes in lower-case hex.
fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}
