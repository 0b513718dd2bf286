//! The listening socket: open, or shut while the port stays ours. A shut door
//! refuses connections as a dead provider does.

use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll};

use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::Notify;

const BACKLOG: u32 = 1024;

#[derive(Debug)]
pub(super) struct Door {
    addr: SocketAddr,
    state: Mutex<State>,
    opened: Notify,
}

#[derive(Debug)]
enum State {
    Open(TcpListener),
    /// Bound so that nobody else takes the port, but not listening.
    Shut(TcpSocket),
    /// Only while one state is replaced by the other, or after that failed.
    Gone,
}

impl Door {
    /// An open door at this address; port 0 picks a free one.
    pub fn open_at(addr: SocketAddr) -> io::Result<Self> {
        let listener = bind(addr)?.listen(BACKLOG)?;
        let addr = listener.local_addr()?;
        Ok(Self { addr, state: Mutex::new(State::Open(listener)), opened: Notify::new() })
    }

    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Connections that were not yet accepted are reset.
    pub fn shut(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if !matches!(*state, State::Shut(_)) {
            *state = State::Gone;
            *state = State::Shut(bind(self.addr)?);
        }
        Ok(())
    }

    pub fn open(&self) -> io::Result<()> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = match std::mem::replace(&mut *state, State::Gone) {
            State::Open(listener) => {
                *state = State::Open(listener);
                return Ok(());
            }
            State::Shut(socket) => socket,
            State::Gone => bind(self.addr)?,
        };
        *state = State::Open(socket.listen(BACKLOG)?);
        self.opened.notify_one();
        Ok(())
    }

    /// The next connection; waits while the door is shut.
    pub async fn accept(&self) -> io::Result<TcpStream> {
        loop {
            tokio::select! {
                // The listener that was polled before may be gone, and its waker with it.
                () = self.opened.notified() => {}
                accepted = poll_fn(|context| self.poll_accept(context)) => return accepted,
            }
        }
    }

    fn poll_accept(&self, context: &mut Context<'_>) -> Poll<io::Result<TcpStream>> {
        match &*self.state.lock().unwrap_or_else(PoisonError::into_inner) {
            State::Open(listener) => listener.poll_accept(context).map_ok(|(stream, _peer)| stream),
            State::Shut(_) | State::Gone => Poll::Pending,
        }
    }
}

fn bind(addr: SocketAddr) -> io::Result<TcpSocket> {
    let socket = if addr.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    socket.set_reuseaddr(true)?;
    socket.bind(addr)?;
    Ok(socket)
}
