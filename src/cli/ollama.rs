//! Asks a local Ollama which models it has, for a set-up without a
//! configuration. Blocks, but never for long; whatever goes wrong, there is none.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream, ToSocketAddrs as _};
use std::time::Duration;

use serde::Deserialize;

use crate::config::{Ollama, environment, ollama_url};

/// Who is on this machine or beside it answers at once.
const PATIENCE: Duration = Duration::from_millis(500);
/// A list of models is far shorter.
const LARGEST_ANSWER: u64 = 1024 * 1024;

#[derive(Deserialize)]
struct Tags {
    models: Vec<Tag>,
}

#[derive(Deserialize)]
struct Tag {
    name: String,
}

/// The Ollama that the environment names, or the usual one, if it answers.
pub fn find() -> Option<Ollama> {
    ask(&ollama_url(&environment))
}

/// Only in plain HTTP: who serves Ollama behind TLS names it in a configuration.
fn ask(url: &str) -> Option<Ollama> {
    let authority = url.strip_prefix("http://")?;
    let host = if authority.ends_with(|c: char| c.is_ascii_digit()) && authority.contains(':') {
        authority.to_owned()
    } else {
        format!("{authority}:80")
    };
    let address: SocketAddr = host.to_socket_addrs().ok()?.next()?;
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE).ok()?;
    stream.set_read_timeout(Some(PATIENCE)).ok()?;
    stream.set_write_timeout(Some(PATIENCE)).ok()?;
    // Version 1.0, so that the body comes in one piece and ends the connection.
    let request =
        format!("GET /api/tags HTTP/1.0\r\nHost: {authority}\r\nAccept: application/json\r\n\r\n");
    stream.write_all(request.as_bytes()).ok()?;
    let mut answer = Vec::new();
    stream.take(LARGEST_ANSWER).read_to_end(&mut answer).ok()?;
    models(&answer)
}

/// The models in an answer of HTTP.
fn models(answer: &[u8]) -> Option<Ollama> {
    let end = answer.windows(4).position(|bytes| bytes == b"\r\n\r\n")?;
    let (head, body) = answer.split_at(end);
    let status = std::str::from_utf8(head).ok()?.split(' ').nth(1)?;
    let tags: Tags = serde_json::from_slice(&body[4..]).ok().filter(|_| status == "200")?;
    Some(Ollama { models: tags.models.into_iter().map(|tag| tag.name).collect() })
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn the_models_of_an_answer_are_read() {
        let check = |answer: &str, expected: Option<&[&str]>| {
            let found = models(answer.as_bytes()).map(|ollama| ollama.models);
            let found: Option<Vec<&str>> =
                found.as_ref().map(|all| all.iter().map(String::as_str).collect());
            assert_eq!(found.as_deref(), expected, "{answer}");
        };
        let head = "HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n";
        check(
            &format!("{head}{{\"models\":[{{\"name\":\"a:7b\",\"size\":1}},{{\"name\":\"b\"}}]}}"),
            Some(&["a:7b", "b"]),
        );
        check(&format!("{head}{{\"models\":[]}}"), Some(&[]));
        check(&format!("{head}{{}}"), None);
        check(&format!("{head}<html>"), None);
        check("HTTP/1.0 404 Not Found\r\n\r\n{\"models\":[]}", None);
        check("", None);
        check("\r\n\r\n", None);
    }

    #[test]
    fn a_server_is_asked_and_a_missing_one_is_none() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = std::thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = [0; 512];
            let length = stream.read(&mut request).unwrap();
            let body = "{\"models\":[{\"name\":\"m\"}]}";
            write!(stream, "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n{body}").unwrap();
            String::from_utf8_lossy(&request[..length]).into_owned()
        });
        assert_eq!(ask(&url), Some(Ollama { models: vec!["m".to_owned()] }));
        assert!(server.join().unwrap().starts_with("GET /api/tags HTTP/1.0\r\n"));
        assert_eq!(ask(&url), None, "the listener is closed");
        assert_eq!(ask("https://127.0.0.1:1"), None);
        assert_eq!(ask("http://"), None);
    }
}
