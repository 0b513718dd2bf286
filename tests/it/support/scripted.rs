//! A provider that answers with the bytes it is given, whatever it is asked.

use std::net::SocketAddr;

use bytes::Bytes;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

/// The head of an answer that ends with its connection.
pub fn head(content_type: &str) -> String {
    format!("HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\nconnection: close\r\n\r\n")
}

/// Answers every call with these bytes, as far as they are taken, and closes.
pub async fn scripted(answer: impl Into<Bytes>) -> SocketAddr {
    let answer = answer.into();
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("its address");
    tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let mut read = vec![0; 64 * 1024];
            let _request = socket.read(&mut read).await;
            let _answered = socket.write_all(&answer).await;
        }
    });
    addr
}

/// The table of a provider of this name there.
pub fn table(name: &str, dialect: &str, addr: SocketAddr) -> String {
    let version = if dialect.starts_with("openai") { "/v1" } else { "" };
    format!("[providers.{name}]\ndialect = \"{dialect}\"\nbase_url = \"http://{addr}{version}\"")
}
