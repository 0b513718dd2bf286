//! Who may give an operator's command. With a token, whoever presents it.
//! Without one, only this machine, and nothing that a page in the operator's
//! browser could send there: browsers send such pages' commands with an
//! `Origin`, cannot add headers or send JSON without asking first, and, where a
//! name was bent to point at this machine, send that name as `Host`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, header};

/// Marks a command that no form on a page can send.
pub const MARK: HeaderName = HeaderName::from_static("x-backstay-command");

/// Whether a command may be carried out for someone without a token, or why not.
pub fn may_command(peer: SocketAddr, headers: &HeaderMap) -> Result<(), &'static str> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err("without [admin] token, commands are taken from this machine only");
    }
    if headers.contains_key(header::ORIGIN) {
        return Err("commands are not taken from web pages (there is an Origin header)");
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_plain_host) {
        return Err("Host must be an IP address or localhost");
    }
    let json = headers.get(header::CONTENT_TYPE).is_some_and(|kind| is_json(kind.as_bytes()));
    if !json && !headers.contains_key(MARK) {
        return Err("send `x-backstay-command: 1` or `content-type: application/json`");
    }
    Ok(())
}

/// An address or `localhost`, with or without a port: no name that somebody
/// else's DNS decides about.
fn is_plain_host(host: &str) -> bool {
    if host.parse::<SocketAddr>().is_ok() || host.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = match host.rsplit_once(':') {
        Some((name, port)) if port.parse::<u16>().is_ok() => name,
        Some(_) | None => host,
    };
    let literal = name.strip_prefix('[').and_then(|name| name.strip_suffix(']'));
    name.eq_ignore_ascii_case("localhost")
        || literal.is_some_and(|literal| literal.parse::<IpAddr>().is_ok())
}

fn is_json(kind: &[u8]) -> bool {
    let essence = kind.split(|byte| *byte == b';').next().unwrap_or_default();
    essence.trim_ascii().eq_ignore_ascii_case(b"application/json")
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn check(peer: &str, headers: &[(&'static str, &'static str)], expected: &str) {
        let headers: HeaderMap = headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect();
        let peer = format!("{peer}:4711").parse().unwrap();
        let said = may_command(peer, &headers).err().unwrap_or("yes");
        assert!(said.contains(expected), "{peer} {headers:?}: {said}");
    }

    #[test]
    fn only_this_machine_and_no_web_page_may_command() {
        const JSON: (&str, &str) = ("content-type", "application/json");
        const MARKED: (&str, &str) = ("x-backstay-command", "1");
        let host = |host| ("host", host);
        check("127.0.0.1", &[host("127.0.0.1:8081"), JSON], "yes");
        check("127.0.0.1", &[host("localhost:8081"), MARKED], "yes");
        check("127.0.0.1", &[host("LOCALHOST"), JSON], "yes");
        check("[::1]", &[host("[::1]:8081"), MARKED], "yes");
        check("[::1]", &[host("[::1]"), MARKED], "yes");
        check("[::ffff:127.0.0.1]", &[host("127.0.0.1"), MARKED], "yes");
        let charset = ("content-type", "Application/JSON; charset=utf-8");
        check("127.0.0.1", &[host("127.0.0.1"), charset], "yes");
        check("192.0.2.1", &[host("127.0.0.1"), JSON], "this machine only");
        check("127.0.0.1", &[host("127.0.0.1"), JSON, ("origin", "http://127.0.0.1")], "Origin");
        check("127.0.0.1", &[host("127.0.0.1"), JSON, ("origin", "null")], "Origin");
        check("127.0.0.1", &[host("rebound.example:8081"), JSON], "Host");
        check("127.0.0.1", &[host("localhost.example"), JSON], "Host");
        check("127.0.0.1", &[host("127.0.0.1.example:80"), JSON], "Host");
        check("127.0.0.1", &[host(""), JSON], "Host");
        check("127.0.0.1", &[JSON], "Host");
        check("127.0.0.1", &[host("127.0.0.1")], "x-backstay-command");
        let form = ("content-type", "application/x-www-form-urlencoded");
        check("127.0.0.1", &[host("127.0.0.1"), form], "x-backstay-command");
        let plain = ("content-type", "text/plain; application/json");
        check("127.0.0.1", &[host("127.0.0.1"), plain], "x-backstay-command");
    }
}
