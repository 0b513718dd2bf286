//! Where to listen, where to call, and with which headers: values of network
//! syntax. Opens nothing and resolves no name.

use std::net::{IpAddr, SocketAddr};

use toml::de::DeValue;

use super::values::{Fault, quoted, wrong_type};
use crate::secret::CREDENTIAL_HEADERS;

/// An address to listen on, or `None` for "off".
pub(super) fn listen_or_off(value: &DeValue<'_>) -> Result<Option<String>, Fault> {
    if value.as_str() == Some("off") { Ok(None) } else { listen(value).map(Some) }
}

/// An address to listen on: `IP:PORT` or `HOST:PORT`.
pub(super) fn listen(value: &DeValue<'_>) -> Result<String, Fault> {
    let example = || wrong_type(value, "an address with a port", "\"127.0.0.1:8080\"");
    let written = value.as_str().ok_or_else(example)?;
    let host = |text: &str| {
        text.starts_with(|c: char| c.is_ascii_alphabetic())
            && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '.' || c == '-')
    };
    let named = written
        .rsplit_once(':')
        .is_some_and(|(name, port)| host(name) && port.parse::<u16>().is_ok());
    if named || written.parse::<SocketAddr>().is_ok() {
        return Ok(written.to_owned());
    }
    Err(Fault::new(
        format!("is no address: {}", quoted('"', written)),
        "an address and a port: \"127.0.0.1:8080\", \"[::1]:8080\", \"localhost:8080\"",
    ))
}

/// Whether only this machine can reach an address of the form `listen` takes.
pub(super) fn is_loopback(address: &str) -> bool {
    match address.parse::<SocketAddr>() {
        Ok(address) => address.ip().is_loopback(),
        Err(_) => address.rsplit_once(':').is_some_and(|(host, _)| is_loopback_host(host)),
    }
}

/// Whether two listeners could not both be opened. Port 0 is any free port.
pub(super) fn address_in_use_by_both(one: &str, other: &str) -> bool {
    match (one.parse::<SocketAddr>(), other.parse::<SocketAddr>()) {
        (Ok(one), Ok(other)) => {
            let overlap =
                one.ip() == other.ip() || one.ip().is_unspecified() || other.ip().is_unspecified();
            one.port() != 0 && one.port() == other.port() && overlap
        }
        (Ok(_) | Err(_), Err(_)) | (Err(_), Ok(_)) => one == other,
    }
}

/// Whether a host, as a URL writes it, is this machine.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    bare.eq_ignore_ascii_case("localhost")
        || bare.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// A provider's base URL, without the slash at its end.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct BaseUrl {
    pub url: String,
    /// In lower case, without the port.
    pub host: String,
    pub loopback: bool,
    pub encrypted: bool,
}

/// An http or https URL with a host, and no credentials, query or fragment.
/// The value is in no message: it may hold a password.
pub(super) fn base_url(value: &DeValue<'_>) -> Result<BaseUrl, Fault> {
    let example = || wrong_type(value, "a URL", "\"https://api.openai.com/v1\"");
    base_url_of(value.as_str().ok_or_else(example)?)
}

/// `base_url` of a text.
pub(super) fn base_url_of(written: &str) -> Result<BaseUrl, Fault> {
    const EXAMPLE: &str = "for example `\"https://api.openai.com/v1\"`";
    let uri = written.parse::<http::Uri>().map_err(|_| Fault::new("is no URL", EXAMPLE))?;
    let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else {
        return Err(Fault::new("has no scheme or no host", EXAMPLE));
    };
    if !matches!(scheme, "http" | "https") {
        return Err(Fault::new("is neither http nor https", EXAMPLE));
    }
    if authority.as_str().contains('@') {
        return Err(Fault::new("contains credentials", "give the key as `api_key = { env = … }`"));
    }
    if authority.host().is_empty() {
        return Err(Fault::new("has no host", EXAMPLE));
    }
    if written.contains(['?', '#']) {
        return Err(Fault::new("has a query or a fragment", "end it with the path"));
    }
    Ok(BaseUrl {
        url: written.trim_end_matches('/').to_owned(),
        host: authority.host().to_ascii_lowercase(),
        loopback: is_loopback_host(authority.host()),
        encrypted: scheme == "https",
    })
}

/// A header's name in lower case.
pub(super) fn header_name(written: &str) -> Result<String, Fault> {
    http::HeaderName::try_from(written).map(|name| name.as_str().to_owned()).map_err(|_| {
        let message = format!("is no header name: {}", quoted('"', written));
        Fault::new(message, "letters, digits and hyphens, for example `x-team`")
    })
}

/// A list of names of headers, in lower case, that policies may see.
pub(super) fn exposed_headers(value: &DeValue<'_>) -> Result<Vec<String>, Fault> {
    /// Labels are copied into every question to a policy.
    const MOST: usize = 32;
    let example = || wrong_type(value, "a list of header names", "[\"x-team\"]");
    let items = value.as_array().ok_or_else(example)?;
    if items.len() > MOST {
        return Err(Fault::new("is too long", format!("at most {MOST} names")));
    }
    let one = |item: &toml::Spanned<DeValue<'_>>| {
        let name = header_name(item.get_ref().as_str().ok_or_else(example)?)?;
        if CREDENTIAL_HEADERS.contains(&name.as_str()) {
            let message = format!("would show policies the keys of clients: \"{name}\"");
            let remedy = "leave it out; a client's name in [clients] is its `tenant` for policies";
            return Err(Fault::new(message, remedy));
        }
        Ok(name)
    };
    items.iter().map(one).collect()
}
