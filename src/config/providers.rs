//! `[providers.NAME]`: its keys, defaults and bounds, and which of them a
//! dialect has.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::address::{BaseUrl, base_url, base_url_of, header_name};
use super::model::Provider;
use super::reader::{Found, Table};
use super::rules::{self, Defaults};
use super::secrets::secret;
use super::sections::check_name;
use super::values::{api_version, dialect, duration, flag, plain_name, quirks, quoted, text};
use crate::dialect::openai::quirks;
use crate::dialect::{ProviderDialect, Quirks, Site};
use crate::failover::rules::TargetRules;
use crate::secret::Secret;

/// A provider's name and rules, and the provider itself unless it was refused.
pub(crate) struct Declared {
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
    let spoken = table.required("dialect", "\"openai\"", dialect).map(|found| found.value);
    let base_url = base_url_or_usual(table, spoken);
    let api_key = secret(table, "api_key");
    let connect_timeout = table.or("connect_timeout", defaults.connect_timeout, duration);
    let headers = table.table("headers").map(|headers| extra_headers(&headers));
    let official = base_url.as_ref().is_some_and(|found| found.value.host == OPENAI_HOST);
    let api_version = table.get("api_version", api_version).map(|found| found.value);
    let responses = table.get("responses", flag).map(|found| found.value);
    let listed = table.get("quirks", quirks).map(|found| found.value);
    if let Some(spoken) = spoken {
        check_dialect_has(table, spoken);
    }
    if let Some(base_url) = &base_url {
        warn_of_key(table, base_url);
    }
    let (dialect, base_url) = (spoken?, base_url?.value);
    let responses = responses.unwrap_or(official && dialect == ProviderDialect::OpenAi);
    let usual =
        || if is_openai_like(dialect) { quirks::of_host(&base_url.host) } else { Quirks::NONE };
    Some(Provider {
        name: name.to_owned(),
        quirks: listed.unwrap_or_else(usual),
        site: Site { dialect, base_url: base_url.url, api_version, responses },
        api_key,
        connect_timeout,
        headers: headers.unwrap_or_default(),
    })
}

/// The official API, which has Chat Completions and Responses.
const OPENAI_HOST: &str = "api.openai.com";

/// Where a dialect's own maker serves it. Azure has a host for each customer.
const fn usual_base_url(dialect: ProviderDialect) -> Option<&'static str> {
    match dialect {
        ProviderDialect::OpenAi | ProviderDialect::Responses => Some("https://api.openai.com/v1"),
        ProviderDialect::Anthropic => Some("https://api.anthropic.com/v1"),
        ProviderDialect::Gemini => Some("https://generativelanguage.googleapis.com/v1beta"),
        ProviderDialect::Azure => None,
    }
}

/// What is written, or where the dialect's maker is.
fn base_url_or_usual(
    table: &Table<'_>,
    dialect: Option<ProviderDialect>,
) -> Option<Found<BaseUrl>> {
    match dialect.map(usual_base_url) {
        Some(Some(usual)) => table.get("base_url", base_url).or_else(|| {
            // A URL that was refused is not replaced by another.
            let missing = !table.has("base_url");
            let url = base_url_of(usual).ok().filter(|_| missing)?;
            Some(Found { value: url, span: table.span.clone() })
        }),
        Some(None) => table.required("base_url", "\"https://NAME.openai.azure.com\"", base_url),
        // Which one is the usual is not known.
        None => table.get("base_url", base_url),
    }
}

pub(super) const fn is_openai_like(dialect: ProviderDialect) -> bool {
    match dialect {
        ProviderDialect::OpenAi | ProviderDialect::Azure => true,
        ProviderDialect::Responses | ProviderDialect::Anthropic | ProviderDialect::Gemini => false,
    }
}

/// Refuses settings that would have no effect.
fn check_dialect_has(table: &Table<'_>, dialect: ProviderDialect) {
    let azure = dialect == ProviderDialect::Azure;
    let like = is_openai_like(dialect);
    let settings = [
        ("api_version", azure, "only dialect \"azure\" has it"),
        ("responses", like, "only dialects \"openai\" and \"azure\" have it"),
        ("quirks", like, "only dialects \"openai\" and \"azure\" have them"),
    ];
    for (key, known, who) in settings {
        if let (false, Some(span)) = (known, table.span_of(key)) {
            let message = format!("`{key}` means nothing for dialect \"{}\"", dialect.label());
            table.reader.error(span, message, format!("remove it: {who}"));
        }
    }
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
