//! Who may look, and who may command. With a token, whoever presents it.
//! Without one, only this machine, and nothing that a page in the operator's
//! browser could ask there: where a name was bent to point at this machine,
//! browsers send that name as `Host`; and they send such pages' commands with an
//! `Origin`, and cannot add headers or send JSON without asking first.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderMap, HeaderName, HeaderValue, header};

use crate::config::Admin;

/// Marks a command that no form on a page can send.
pub const MARK: HeaderName = HeaderName::from_static("x-backstay-command");

/// Who may look.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Visitor {
    WithToken,
    /// There is none; not every one of these may command.
    WithoutToken,
}

/// Why somebody may not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    Unauthorized,
    Forbidden(&'static str),
}

/// Who this is, by `[admin]` as it is configured now.
pub fn admit(
    admin: Option<&Admin>,
    peer: SocketAddr,
    headers: &HeaderMap,
) -> Result<Visitor, Refusal> {
    // The listener stays open until a restart, whatever became of its section.
    let Some(admin) = admin else {
        return Err(Refusal::Forbidden("[admin] is switched off in the configuration"));
    };
    let Some(token) = &admin.token else {
        return without_token(peer, headers).map_err(Refusal::Forbidden);
    };
    let presented = headers.get(header::AUTHORIZATION).map(HeaderValue::as_bytes);
    let presented = presented.and_then(|value| value.strip_prefix(b"Bearer "));
    let matches = presented.is_some_and(|key| token.matches(key));
    if matches { Ok(Visitor::WithToken) } else { Err(Refusal::Unauthorized) }
}

fn without_token(peer: SocketAddr, headers: &HeaderMap) -> Result<Visitor, &'static str> {
    if !peer.ip().to_canonical().is_loopback() {
        return Err("without [admin] token, this machine only is answered");
    }
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
    if !host.is_some_and(is_plain_host) {
        return Err("without [admin] token, Host must be an IP address or localhost: \
                    set a token to use other names");
    }
    Ok(Visitor::WithoutToken)
}

/// Whether a command may be carried out for someone who may look, but has no
/// token; or why not.
pub fn may_command(headers: &HeaderMap) -> Result<(), &'static str> {
    if headers.contains_key(header::ORIGIN) {
        return Err("commands are not taken from web pages (there is an Origin header)");
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
    use super::*;
    use crate::secret::Secret;

    fn map(headers: &[(&'static str, &'static str)]) -> HeaderMap {
        headers
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
            .collect()
    }

    fn admin(token: Option<&str>) -> Admin {
        Admin { listen: "127.0.0.1:8081".to_owned(), token: token.map(Secret::new), traces: 1 }
    }

    fn check(peer: &str, headers: &[(&'static str, &'static str)], expected: &str) {
        let headers = map(headers);
        let peer = format!("{peer}:4711").parse().unwrap();
        let admitted = without_token(peer, &headers);
        let said = admitted.and_then(|_| may_command(&headers)).err().unwrap_or("yes");
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
        check("192.0.2.1", &[host("127.0.0.1"), JSON], "this machine only is");
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

    #[test]
    fn a_token_is_asked_for_where_there_is_one() {
        let peer = "192.0.2.1:4711".parse().unwrap();
        let name = ("host", "gateway.example");
        let with = |key| [name, ("authorization", key)];
        for (headers, expected) in [
            (&with("Bearer t1")[..], Ok(Visitor::WithToken)),
            (&with("Bearer t2"), Err(Refusal::Unauthorized)),
            (&with("t1"), Err(Refusal::Unauthorized)),
            (&[name], Err(Refusal::Unauthorized)),
        ] {
            let admitted = admit(Some(&admin(Some("t1"))), peer, &map(headers));
            assert_eq!(admitted, expected, "{headers:?}");
        }
    }

    #[test]
    fn without_a_token_no_bent_name_may_look() {
        let own = "127.0.0.1:4711".parse().unwrap();
        for (host, may_look) in [
            ("127.0.0.1:8081", true),
            ("[::1]:8081", true),
            ("10.0.0.7:9", true),
            ("LOCALHOST:8081", true),
            ("rebound.example:8081", false),
            ("backstay:8081", false),
        ] {
            let admitted = admit(Some(&admin(None)), own, &map(&[("host", host)]));
            assert_eq!(admitted.is_ok(), may_look, "{host}: {admitted:?}");
        }
        // Switched off since: not even those with the token of before.
        let headers = map(&[("host", "127.0.0.1"), ("authorization", "Bearer t1")]);
        assert!(matches!(admit(None, own, &headers), Err(Refusal::Forbidden(_))));
    }
}
