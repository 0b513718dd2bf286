//! What was found as the text of a configuration. Holds no key: only the names
//! of the variables.

use std::fmt::{self, Write};

use super::super::address::base_url_of;
use super::super::providers::is_openai_like;
use super::found::{ADMIN_TOKEN, CLIENT_KEY, Doors, Found, FoundProvider};
use super::routes::SetRoute;
use crate::dialect::Quirks;
use crate::dialect::openai::quirks;

const HEAD: &str = "\
# Written by Backstay from the keys in the environment. `backstay check` says what
# would happen to a call for every kind of failure; `backstay init` writes a file
# that shows every setting.
";

pub(super) fn text(found: &Found, routes: &[SetRoute]) -> String {
    let mut text = HEAD.to_owned();
    // Writing to a string cannot fail.
    let _ = write_text(&mut text, found, routes);
    text
}

/// Where the gateway listens.
fn doors(text: &mut String, doors: &Doors) -> fmt::Result {
    let listen = doors.listen.as_deref().unwrap_or("127.0.0.1:8080");
    writeln!(text, "\n[server]\nlisten = {}", quoted(listen))?;
    let admin = doors.admin_listen.as_deref().unwrap_or("127.0.0.1:8081");
    writeln!(text, "\n[admin]\nlisten = {}", quoted(admin))?;
    if doors.admin_token {
        writeln!(text, "token = {{ env = \"{ADMIN_TOKEN}\" }}")?;
    }
    if doors.client_key {
        writeln!(text, "\n[clients.environment]\nkey = {{ env = \"{CLIENT_KEY}\" }}")?;
    }
    Ok(())
}

fn write_text(text: &mut String, found: &Found, routes: &[SetRoute]) -> fmt::Result {
    doors(text, &found.doors)?;
    for note in &found.notes {
        writeln!(text, "\n# {}", note.replace(char::is_control, " "))?;
    }
    for one in &found.providers {
        provider(text, one)?;
    }
    writeln!(text, "\n# The targets of a route are tried in the order of their priorities.")?;
    for one in routes {
        for name in &one.names {
            route(text, name, one)?;
        }
    }
    Ok(())
}

fn provider(text: &mut String, found: &FoundProvider) -> fmt::Result {
    let known = found.known;
    writeln!(text, "\n[providers.{}]", known.name)?;
    writeln!(text, "dialect = \"{}\"", known.dialect.label())?;
    write!(text, "base_url = {}", quoted(&found.base_url))?;
    match found.url_from {
        Some(variable) => writeln!(text, " # {variable}")?,
        None => text.push('\n'),
    }
    if let Some(variable) = found.key {
        writeln!(text, "api_key = {{ env = \"{variable}\" }}")?;
    }
    if let Some(version) = &found.api_version {
        writeln!(text, "api_version = {}", quoted(version))?;
    }
    let quirks = quirks(found);
    if !quirks.is_empty() {
        writeln!(text, "quirks = [\"{}\"]", quirks.join("\", \""))?;
    }
    Ok(())
}

/// The usual host's deviations where another stands for it, such as a proxy:
/// from that one's name they could not be told.
fn quirks(found: &FoundProvider) -> Vec<&'static str> {
    let host = |url: &str| base_url_of(url).map(|url| url.host).unwrap_or_default();
    let usual = host(found.known.base_url);
    if !is_openai_like(found.known.dialect) || usual == host(&found.base_url) {
        return Vec::new();
    }
    let quirks = quirks::of_host(&usual);
    Quirks::NAMES.iter().filter(|(_, one)| quirks.has(*one)).map(|(name, _)| *name).collect()
}

fn route(text: &mut String, name: &str, route: &SetRoute) -> fmt::Result {
    writeln!(text, "\n[routes.{}]\ntargets = [", quoted(name))?;
    for (target, priority) in route.targets.iter().zip(1..) {
        let (provider, model) = (target.provider, quoted(&target.model));
        writeln!(
            text,
            "  {{ provider = \"{provider}\", model = {model}, priority = {priority} }},"
        )?;
    }
    writeln!(text, "]")
}

/// A TOML string on one line.
fn quoted(value: &str) -> String {
    let mut text = String::from("\"");
    for c in value.chars() {
        match c {
            '"' | '\\' => text.extend(['\\', c]),
            // A line break in a variable must not become one in the file.
            c if c.is_control() => text.push('\u{fffd}'),
            c => text.push(c),
        }
    }
    text.push('"');
    text
}
