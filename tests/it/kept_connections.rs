//! Connections that were kept and died without a word, as a load balancer
//! leaves them that changed while nobody called.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::client::chat;
use crate::support::gateway::{Gateway, Setup};
use crate::support::scripted::table;

/// How a connection dies under a request.
#[derive(Clone, Copy, Debug)]
enum Death {
    /// The request is read, and the connection closed.
    Closed,
    /// It is not read: the connection is reset.
    Reset,
}

/// A provider whose connections serve `good` calls each, and die under the next.
/// Returns the number of its connections too.
async fn mortal(good: usize, death: Death) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let addr = listener.local_addr().expect("its address");
    let connections: Arc<AtomicUsize> = Arc::default();
    let counted = Arc::clone(&connections);
    tokio::spawn(async move {
        while let Ok((socket, _)) = listener.accept().await {
            counted.fetch_add(1, Ordering::Relaxed);
            tokio::spawn(serve(socket, good, death));
        }
    });
    (addr, connections)
}

async fn serve(mut socket: TcpStream, good: usize, death: Death) {
    const ANSWER: &str = r#"{"id":"c1","object":"chat.completion","created":1,"model":"m","choices":[{"index":0,"message":{"role":"assistant","content":"so it is"},"finish_reason":"stop"}]}"#;
    let mut read = vec![0; 64 * 1024];
    for _ in 0..good {
        let length = socket.read(&mut read).await.unwrap_or_default();
        if length == 0 {
            return;
        }
        let answer = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{ANSWER}",
            ANSWER.len()
        );
        let _answered = socket.write_all(answer.as_bytes()).await;
    }
    match death {
        Death::Closed => drop(socket.read(&mut read).await),
        Death::Reset => drop(socket.readable().await),
    }
}

/// A gateway of one attempt before such a provider, and the number of its
/// connections.
async fn before(good: usize, death: Death) -> (Gateway, Arc<AtomicUsize>) {
    let (a, connections) = mortal(good, death).await;
    let setup = Setup::new().with(&table("a", "openai", a)).rule("attempts", "1");
    (setup.route("m", &["a/m"]).start().await, connections)
}

/// The call goes out once more over a new connection, within its one attempt,
/// and nothing is held against the provider.
#[tokio::test(flavor = "multi_thread")]
async fn a_kept_connection_that_died_costs_no_attempt() {
    for death in [Death::Closed, Death::Reset] {
        let (gateway, connections) = before(1, death).await;
        for _ in 0..5 {
            let reply = gateway.ask(&chat("m", "hi", false)).await;
            assert_eq!(reply.status, 200, "{death:?}: {}", reply.text());
            assert_eq!(reply.header("x-backstay-attempts"), Some("1"), "{death:?}");
        }
        // One is kept, and one is opened where that had died; and so on.
        let connections = connections.load(Ordering::Relaxed);
        assert!((2..=5).contains(&connections), "{death:?}: {connections}");
    }
}

/// A new connection that dies is a failure of the provider, which is not asked
/// again by the way.
#[tokio::test(flavor = "multi_thread")]
async fn a_new_connection_that_dies_is_a_failure() {
    for death in [Death::Closed, Death::Reset] {
        let (gateway, connections) = before(0, death).await;
        let reply = gateway.ask(&chat("m", "hi", false)).await;
        assert_eq!(reply.status, 502, "{death:?}: {}", reply.text());
        assert_eq!(connections.load(Ordering::Relaxed), 1, "{death:?}");
    }
}
