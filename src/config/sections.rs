//! `[server]`, `[admin]`, `[policies]`, `[journal]`, `[clients.NAME]`: each table's keys,
//! defaults and bounds.

use std::collections::BTreeMap;
use std::time::Duration;

use super::address::{exposed_headers, listen, listen_or_off};
use super::model::{Admin, Cache, Client, Journal, Policies, PolicyLimits, Server};
use super::reader::{Found, Table};
use super::secrets::secret;
use super::values::{
    any_name, count, duration, duration_or_zero, duration_within, path, plain_name, quoted, sha256,
    show_size, show_time, size,
};

const KIB: u64 = 1024;
const MIB: u64 = 1024 * KIB;

pub(super) fn server(table: &Table<'_>) -> Server {
    let seconds = Duration::from_secs;
    let server = Server {
        listen: table.or("listen", "127.0.0.1:8080".to_owned(), listen),
        drain_timeout: table.or("drain_timeout", seconds(30), duration_or_zero),
        max_body: bytes(table, "max_body", 32 * MIB, KIB, 1024 * MIB),
        max_concurrent_calls: table
            .or("max_concurrent_calls", 4096, |value| count(value, 1..=1_000_000)),
        header_timeout: table.or("header_timeout", seconds(10), duration),
        body_timeout: table.or("body_timeout", seconds(30), duration),
        idle_timeout: table.or("idle_timeout", seconds(75), duration),
        write_timeout: table.or("write_timeout", seconds(60), duration),
        stream_buffer: bytes(table, "stream_buffer", 256 * KIB, 4 * KIB, 64 * MIB),
        expose_headers: table.or("expose_headers", Vec::new(), exposed_headers),
    };
    table.finish();
    server
}

pub(super) fn admin(table: &Table<'_>) -> Option<Admin> {
    let listen = table.or("listen", Some("127.0.0.1:8081".to_owned()), listen_or_off);
    let token = secret(table, "token");
    let traces = table.or("traces", 1000, |value| count(value, 0..=100_000));
    table.finish();
    Some(Admin { listen: listen?, token, traces: traces as usize })
}

pub(super) fn policies(table: &Table<'_>) -> Policies {
    let at = |written: &str| table.reader.directory.join(written);
    let policies = Policies {
        directory: at(&table.or("directory", "policies".to_owned(), path)),
        limits: policy_limits(table),
        cache: match table.get("cache", path) {
            None => Cache::Usual,
            Some(found) if found.value == "off" => Cache::Off,
            Some(found) => Cache::At(at(&found.value)),
        },
        pins: pins(table),
    };
    table.finish();
    policies
}

pub(super) fn journal(root: &Table<'_>) -> Option<Journal> {
    let table = root.table("journal")?;
    let directory = table.required("directory", "\"journal\"", path);
    let bounds = 64 * KIB..=1024 * 1024 * MIB;
    let max_file = table.or("max_file", 64 * MIB, |value| size(value, bounds.clone()));
    let max_total = table.or("max_total", 1024 * MIB, |value| size(value, bounds));
    table.finish();
    if max_total < max_file {
        let span = table.span_of("max_total").or_else(|| table.span_of("max_file"));
        let message = format!(
            "all files of the journal may have {}, and a single one {}",
            show_size(max_total),
            show_size(max_file)
        );
        let remedy = "make `max_total` at least as large as `max_file`";
        table.reader.error(span.unwrap_or_else(|| table.span.clone()), message, remedy);
    }
    let directory = table.reader.directory.join(directory?.value);
    Some(Journal { directory, max_file, max_total })
}

/// `[policies.pin]`: `NAME = "sha256:…"`.
fn pins(policies: &Table<'_>) -> BTreeMap<String, [u8; 32]> {
    let Some(table) = policies.table("pin") else { return BTreeMap::new() };
    let mut pins = BTreeMap::new();
    for (name, value) in table.entries() {
        check_name(&table, &name, plain_name);
        match sha256(value.get_ref()) {
            Ok(digest) => {
                pins.insert(name.value.to_owned(), digest);
            }
            Err(fault) => {
                let message = format!("the pin of {} {}", quoted('`', name.value), fault.message);
                table.reader.error(value.span(), message, fault.remedy);
            }
        }
    }
    pins
}

fn policy_limits(table: &Table<'_>) -> PolicyLimits {
    let usual = PolicyLimits::default();
    let slowest = Duration::from_secs(10);
    let limits = PolicyLimits {
        time: table.or("time_limit", usual.time, |value| {
            duration_within(value, Duration::from_millis(1)..=slowest)
        }),
        memory: bytes(table, "memory_limit", usual.memory as u64, 64 * KIB, 1024 * MIB),
        stack: bytes(table, "stack_limit", usual.stack as u64, 64 * KIB, 8 * MIB),
        instances: table.or("instance_limit", usual.instances, |value| count(value, 1..=100)),
        tables: table.or("table_limit", usual.tables, |value| count(value, 1..=100)),
        allocation: bytes(table, "allocation_limit", usual.allocation as u64, 64 * KIB, 128 * MIB),
        log_lines: table.or("log_lines", usual.log_lines, |value| count(value, 0..=10_000)),
    };
    let size = |bytes: usize| show_size(bytes as u64);
    let raised = [
        ("time_limit", limits.time > usual.time, show_time(usual.time)),
        ("memory_limit", limits.memory > usual.memory, size(usual.memory)),
        ("stack_limit", limits.stack > usual.stack, size(usual.stack)),
        ("instance_limit", limits.instances > usual.instances, usual.instances.to_string()),
        ("table_limit", limits.tables > usual.tables, usual.tables.to_string()),
        ("allocation_limit", limits.allocation > usual.allocation, size(usual.allocation)),
        ("log_lines", limits.log_lines > usual.log_lines, usual.log_lines.to_string()),
    ];
    for (key, over, usual) in raised {
        if let (true, Some(span)) = (over, table.span_of(key)) {
            let message = format!("`{key}` lets every call of a policy use more than usual");
            table.reader.warning(span, message, format!("the default is {usual}"));
        }
    }
    limits
}

pub(super) fn clients(root: &Table<'_>) -> Vec<Client> {
    let mut clients: Vec<Client> = Vec::new();
    for (name, table) in root.named_tables("clients") {
        check_name(&table, &name, any_name);
        if !table.has("key") {
            let message = format!("`key` is missing in {}", table.label());
            table.reader.error(table.span.clone(), message, "add `key = { env = \"…\" }`");
        }
        let key = secret(&table, "key");
        table.finish();
        let Some(key) = key else { continue };
        if let Some(twin) = clients.iter().find(|other| other.key.matches(key.expose().as_bytes()))
        {
            let message = format!("{} has the key of `{}`", table.label(), twin.name);
            table.reader.error(name.span, message, "give every client a key of its own");
            continue;
        }
        clients.push(Client { name: name.value.to_owned(), key });
    }
    clients
}

/// Reports a name that `check` refuses.
pub(crate) fn check_name(
    table: &Table<'_>,
    name: &Found<&str>,
    check: fn(&str) -> Result<String, super::values::Fault>,
) {
    if let Err(fault) = check(name.value) {
        let message = format!("the name {}", fault.message);
        table.reader.error(name.span.clone(), message, fault.remedy);
    }
}

fn bytes(table: &Table<'_>, key: &'static str, default: u64, least: u64, most: u64) -> usize {
    let bytes = table.or(key, default, |value| size(value, least..=most));
    // The bounds are far below 4 GiB.
    usize::try_from(bytes).unwrap_or(usize::MAX)
}
