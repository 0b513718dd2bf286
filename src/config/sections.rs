//! `[server]`, `[admin]`, `[policies]`, `[providers.NAME]`, `[clients.NAME]`:
//! each table's keys, defaults and bounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use super::address::{BaseUrl, base_url, header_name, header_names, listen, listen_or_off};
use super::model::{Admin, Client, Policies, PolicyLimits, Provider, Server};
use super::reader::{Found, Table};
use super::rules::{self, Defaults};
use super::secrets::secret;
use super::values::{
    any_name, count, dialect, duration, duration_or_zero, duration_within, path, plain_name,
    quoted, show_size, show_time, size, text,
};
use crate::failover::rules::TargetRules;
use crate::secret::Secret;

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
        expose_headers: table.or("expose_headers", Vec::new(), header_names),
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
        cache: table.get("cache", path).map(|found| at(&found.value)),
    };
    table.finish();
    policies
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

/// A provider's name and rules, and the provider itself unless it was refused.
pub(super) struct Declared {
    pub provider: Option<Arc<Provider>>,
    pub rules: TargetRules,
}

pub(super) fn providers(root: &Table<'_>, defaults: &Defaults) -> BTreeMap<String, Declared> {
    let mut providers = BTreeMap::new();
    for (name, table) in root.named_tables("providers") {
        // A target is `provider/model`: the name must not hold a slash.
        check_name(&table, &name, plain_name);
        let provider = provider(&table, name.value, defaults).map(Arc::new);
        let rules = rules::of_provider(&table, defaults);
        table.finish();
        providers.insert(name.value.to_owned(), Declared { provider, rules });
    }
    providers
}

/// The providers that were not refused, without their rules.
pub(super) fn usable(declared: BTreeMap<String, Declared>) -> BTreeMap<String, Arc<Provider>> {
    declared.into_iter().filter_map(|(name, one)| Some((name, one.provider?))).collect()
}

fn provider(table: &Table<'_>, name: &str, defaults: &Defaults) -> Option<Provider> {
    let dialect = table.required("dialect", "\"openai\"", dialect);
    let base_url = table.required("base_url", "\"https://api.openai.com/v1\"", base_url);
    let api_key = secret(table, "api_key");
    let connect_timeout = table.or("connect_timeout", defaults.connect_timeout, duration);
    let headers = table.table("headers").map(|headers| extra_headers(&headers));
    if let Some(base_url) = &base_url {
        warn_of_key(table, base_url);
    }
    Some(Provider {
        name: name.to_owned(),
        site: crate::dialect::Site {
            dialect: dialect?.value,
            base_url: base_url?.value.url,
            api_version: None,
            responses: false,
        },
        quirks: crate::dialect::Quirks::NONE,
        api_key,
        connect_timeout,
        headers: headers.unwrap_or_default(),
    })
}

fn warn_of_key(table: &Table<'_>, base_url: &Found<BaseUrl>) {
    let BaseUrl { loopback, encrypted, .. } = base_url.value;
    if loopback {
        return;
    }
    let span = base_url.span.clone();
    let keyed = table.has("api_key");
    if !keyed && !table.has("headers") {
        let message = format!("{} calls another machine without a key", table.label());
        table.reader.warning(span, message, "add `api_key = { env = \"…\" }` if it wants one");
    } else if keyed && !encrypted {
        let message = format!("{} sends its key unencrypted", table.label());
        table.reader.warning(span, message, "use https");
    }
}

/// Headers the gateway sets itself, or that belong to one connection.
const OWN_HEADERS: [&str; 10] = [
    "host",
    "content-length",
    "content-type",
    "transfer-encoding",
    "connection",
    "te",
    "trailer",
    "upgrade",
    "expect",
    "accept-encoding",
];

fn extra_headers(table: &Table<'_>) -> Vec<(String, Secret)> {
    let mut headers = Vec::new();
    for (written, value) in table.entries() {
        let error = |span, message: &str, remedy: &str| {
            let name = quoted('`', written.value);
            table.reader.error(span, format!("{name} {message}"), remedy);
        };
        let sendable = |text: &&str| http::HeaderValue::from_str(text).is_ok();
        match (header_name(written.value), text(value.get_ref())) {
            (Err(fault), _) => error(written.span.clone(), &fault.message, &fault.remedy),
            (Ok(name), _) if OWN_HEADERS.contains(&name.as_str()) => {
                error(written.span.clone(), "is set by the gateway", "remove it");
            }
            (Ok(_), Err(fault)) => error(value.span(), &fault.message, &fault.remedy),
            (Ok(name), Ok(text)) if sendable(&text) => headers.push((name, Secret::new(text))),
            (Ok(_), Ok(_)) => {
                error(value.span(), "has a value no header can carry", "visible characters only");
            }
        }
    }
    headers
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
pub(super) fn check_name(
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
