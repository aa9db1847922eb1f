//! One socket of a fleet: its stream, what came and is not a whole frame yet, what waits to leave.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};

use anyhow::{Context, bail};
use schemas::frames::SUBPROTOCOL;
use socket2::{Domain, SockAddr, Type};

use super::ledger::View;
use super::{Nanos, Target};

/// Sockets of one source address: below the number of ports that a system gives out by itself.
const SOCKETS_AN_ADDRESS: usize = 20_000;

/// How far a socket has got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum State {
    /// Its handshake is not answered yet.
    Opening,
    /// It is what it should be, and the session is not live yet.
    Loading,
    /// Live.
    Live,
    /// Gone.
    Closed,
}

/// Who connects.
#[derive(Debug, Clone)]
pub struct Login {
    /// The access token; none for an echo server.
    pub token: Option<String>,
    /// The chats it hears.
    pub chats: Vec<usize>,
}

/// One socket.
#[derive(Debug)]
pub struct Socket {
    pub(super) stream: TcpStream,
    pub(super) state: State,
    pub(super) input: Vec<u8>,
    pub(super) output: Vec<u8>,
    /// Asked to be told when there is room to write.
    pub(super) blocked: bool,
    /// In the list of sockets with something to write.
    pub(super) dirty: bool,
    pub(super) is_echo: bool,
    /// The chats it hears.
    pub(super) views: Vec<View>,
    /// Entries that wait for a mark.
    pub(super) waiting: usize,
    /// When they will be marked.
    pub(super) mark_due: Nanos,
}

impl Socket {
    /// Begins to connect, without waiting. The source address is taken from 127.0.0.0/8, so that
    /// ports do not run out.
    pub(super) fn connect(number: usize, target: &Target, login: &Login) -> anyhow::Result<Self> {
        let address = target.address;
        let socket = socket2::Socket::new(Domain::IPV4, Type::STREAM, None)?;
        socket.set_nonblocking(true)?;
        socket.set_tcp_nodelay(true)?;
        let host = u8::try_from(number / SOCKETS_AN_ADDRESS + 1).context("too many sockets")?;
        if address.ip().is_loopback() && host > 1 {
            let source = SocketAddr::from((Ipv4Addr::new(127, 0, 0, host), 0));
            socket.bind(&SockAddr::from(source))?;
        }
        match socket.connect(&SockAddr::from(address)) {
            Ok(()) => {}
            // EINPROGRESS: it is writable once it is connected.
            Err(error) if error.raw_os_error() == Some(115) => {}
            Err(error) => return Err(error).context("cannot connect"),
        }
        Ok(Self {
            stream: socket.into(),
            state: State::Opening,
            input: Vec::new(),
            output: handshake(target, login.token.as_deref()),
            blocked: true,
            dirty: false,
            is_echo: login.token.is_none(),
            views: login
                .chats
                .iter()
                .map(|chat| View {
                    chat: *chat,
                    ..View::default()
                })
                .collect(),
            waiting: 0,
            mark_due: 0,
        })
    }

    /// Is gone: what was on its way is lost, what it knows of its chats stays.
    pub(super) fn cut_off(&mut self) {
        self.state = State::Closed;
        self.input = Vec::new();
        self.output = Vec::new();
        self.waiting = 0;
        // It is gone either way.
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }

    /// Reads once. How many bytes came; none when nothing is there.
    ///
    /// # Errors
    /// When the server has closed or the connection broke.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> anyhow::Result<Option<usize>> {
        match self.stream.read(buffer) {
            Ok(0) => bail!("the server closed the connection"),
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if e.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(e) if e.kind() == ErrorKind::Interrupted => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Writes what waits, as far as there is room. True when all has left.
    ///
    /// # Errors
    /// When the connection broke.
    pub(super) fn write(&mut self) -> anyhow::Result<bool> {
        let mut left = 0;
        while let Some(rest) = self.output.get(left..).filter(|rest| !rest.is_empty()) {
            match self.stream.write(rest) {
                Ok(bytes) => left += bytes,
                Err(e) if e.kind() == ErrorKind::WouldBlock => break,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        self.output.drain(..left);
        Ok(self.output.is_empty())
    }

    /// Takes the answer to the handshake out of what came: how many bytes it was. None when it is
    /// not whole yet.
    ///
    /// # Errors
    /// When the server refused.
    pub(super) fn opened(bytes: &[u8]) -> anyhow::Result<Option<usize>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        if !bytes.starts_with(b"HTTP/1.1 101") {
            let said = String::from_utf8_lossy(bytes).into_owned();
            bail!("the server refused the handshake: {said}");
        }
        Ok(Some(end + 4))
    }
}

fn handshake(target: &Target, token: Option<&str>) -> Vec<u8> {
    let Target { address, path } = target;
    let protocol = match token {
        Some(token) => {
            format!("Sec-WebSocket-Protocol: {SUBPROTOCOL}\r\nAuthorization: Bearer {token}\r\n")
        }
        None => String::new(),
    };
    format!(
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{protocol}\r\n"
    )
    .into_bytes()
}
