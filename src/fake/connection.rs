//! One accepted connection: reads requests, has answers decided, performs them
//! byte by byte, and notices when the peer has gone.

use std::fmt::Write as _;
use std::future::{Future, pending};
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};

use super::behaviour::Fault;
use super::http::{ReadError, Request, read};
use super::log::Seen;
use super::reply::{self, Asked, Context};
use super::script::{End, Script};
use super::server::{Active, Provider, now, wall};
use super::tongue::Tongue;

/// Bytes read ahead while an answer is under way.
const MAX_INBOX_BYTES: usize = 64 * 1024;
/// Before a reset. Elsewhere than on Linux a reset may throw away what the
/// peer has not read yet, and the fault would be another one.
const BEFORE_RESET: Duration = Duration::from_millis(5);
/// How long a closed connection is read, so that the close is no reset.
const LINGER: Duration = Duration::from_secs(1);

/// What comes after an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum After {
    NextRequest,
    Close,
    Reset,
    PeerGone,
}

/// Serves a connection to its end.
pub(super) async fn serve(
    mut socket: TcpStream,
    provider: Arc<Provider>,
    mut active: watch::Receiver<Arc<Active>>,
) {
    let number = provider.log.connected();
    let after = if socket.set_nodelay(true).is_ok() {
        converse(&mut socket, number, &provider, &mut active).await
    } else {
        After::Close
    };
    match after {
        After::Reset => {
            // Without the option the close is a clean one: nothing can be done.
            let _best_effort = socket.set_zero_linger();
        }
        After::Close => linger(&mut socket).await,
        After::NextRequest | After::PeerGone => {}
    }
    drop(socket);
    provider.log.disconnected();
}

/// Answers requests until the connection is to end.
async fn converse(
    socket: &mut TcpStream,
    connection: u64,
    provider: &Provider,
    active: &mut watch::Receiver<Arc<Active>>,
) -> After {
    let (mut reader, mut writer) = socket.split();
    let mut inbox = BytesMut::new();
    let mut script = Script::default();
    loop {
        let request = tokio::select! {
            biased;
            request = read(&mut reader, &mut writer, &mut inbox) => request,
            _refusing = active.wait_for(|active| active.refuses()) => return After::Reset,
        };
        let seen = match request {
            Ok(request) => {
                let active = Arc::clone(&active.borrow());
                decide(provider, &active, connection, &request, &mut script)
            }
            Err(ReadError::Gone) => return After::PeerGone,
            Err(ReadError::Invalid(problem)) => {
                script.clear(true);
                // What cannot be read has no dialect yet.
                let tongue = Tongue::OpenAi;
                reply::error(&mut script, tongue, tongue.invalid(400, "bad_request", problem));
                return perform(&script, &mut reader, &mut writer, &mut inbox).await;
            }
        };
        let after = perform(&script, &mut reader, &mut writer, &mut inbox).await;
        match after {
            After::PeerGone => provider.log.gone(&seen, now()),
            After::NextRequest | After::Close | After::Reset => provider.log.ended(&seen, now()),
        }
        if after != After::NextRequest {
            return after;
        }
    }
}

/// Decides the answer to a request, and logs the request.
fn decide(
    provider: &Provider,
    active: &Active,
    connection: u64,
    request: &Request,
    script: &mut Script,
) -> Arc<Seen> {
    let number = provider.log.count();
    let now = now();
    let mut seen = Seen::new(request, connection, number, now);
    script.clear(!request.keep_alive);
    // A String takes any write.
    let _infallible = write!(script.request_id, "req-{}-{number}", provider.name);
    let asked = Asked::of(request);
    asked.model().clone_into(&mut seen.model);
    seen.stream = asked.stream();
    seen.dialect = asked.tongue.name();
    match active.for_model(asked.model()) {
        Ok(counted) => {
            let (call, age) = counted.count(now);
            let behaviour = counted.behaviour();
            let fault = behaviour.fault_at(call, age, provider.seed);
            seen.faulty = *fault != Fault::None;
            script.pause(behaviour.latency_at(call, provider.seed));
            let context = Context {
                provider: &provider.name,
                number,
                now: wall(),
                key: &asked.key,
                key_accepted: provider.accepts(&asked.key),
            };
            reply::write(script, &context, &asked, behaviour, fault);
        }
        Err(problem) => {
            let problem = problem.to_string();
            let error = asked.tongue.invalid(400, "unknown_fault", &problem);
            script.id_header = asked.tongue.id_header();
            reply::error(script, asked.tongue, error);
        }
    }
    provider.log.add(seen)
}

/// Writes the script and does what comes after the last byte.
async fn perform(
    script: &Script,
    reader: &mut ReadHalf<'_>,
    writer: &mut WriteHalf<'_>,
    inbox: &mut BytesMut,
) -> After {
    let mut gone = std::pin::pin!(gone(reader, inbox));
    let mut written = 0;
    for (at, length) in &script.pauses {
        let part = &script.bytes[written..*at];
        written = *at;
        let step = async {
            writer.write_all(part).await?;
            sleep(*length).await;
            Ok(())
        };
        if !unless_gone(step, gone.as_mut()).await {
            return After::PeerGone;
        }
    }
    if !unless_gone(writer.write_all(&script.bytes[written..]), gone.as_mut()).await {
        return After::PeerGone;
    }
    match &script.end {
        End::KeepAlive => After::NextRequest,
        End::Close => After::Close,
        End::Reset => {
            if !script.bytes.is_empty() {
                sleep(BEFORE_RESET).await;
            }
            After::Reset
        }
        End::Silence => {
            gone.await;
            After::PeerGone
        }
        End::Repeat { bytes, every } => {
            let repeat = async {
                loop {
                    writer.write_all(bytes).await?;
                    sleep(*every).await;
                }
            };
            unless_gone(repeat, gone).await;
            After::PeerGone
        }
    }
}

/// Whether `step` ended well before the peer went.
async fn unless_gone(
    step: impl Future<Output = std::io::Result<()>>,
    gone: impl Future<Output = ()>,
) -> bool {
    tokio::select! {
        biased;
        result = step => result.is_ok(),
        () = gone => false,
    }
}

/// Ends when the peer has closed (even half) or reset the connection. What it
/// sends in the meantime is kept; once that is too much, its going is not noticed here.
async fn gone(reader: &mut ReadHalf<'_>, inbox: &mut BytesMut) {
    while inbox.len() < MAX_INBOX_BYTES {
        match reader.read_buf(inbox).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
    }
    pending::<()>().await;
}

/// Closes cleanly: the peer is told, and read until it closes too, because a
/// close with unread bytes becomes a reset.
async fn linger(socket: &mut TcpStream) {
    if socket.shutdown().await.is_err() {
        return;
    }
    let drain = async {
        let mut scrap = [0; 4096];
        while socket.read(&mut scrap).await.is_ok_and(|count| count > 0) {}
    };
    // When the time is up the connection is dropped all the same.
    let _elapsed = timeout(LINGER, drain).await;
}
