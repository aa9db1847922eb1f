//! What an idle socket may take of the node's heap: every byte is counted, from the connection's task
//! to the entry in the table of subscribers.
//!
//! The node's runtime has one thread, this one, whose allocations are counted; the clients live on
//! another one. So nothing is timed and nothing depends on the allocator.

#![allow(
    clippy::unwrap_used,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};

use infra_testkit::platform::Platform;
use tokio::runtime::{Builder, Runtime};

/// Sockets of which the mean is taken.
const SOCKETS: usize = 400;
/// The most that one may take, in bytes. At 15,000 sockets the node's resident memory grew by 2,500
/// each when this was written.
const MOST: usize = 2_700;

/// A socket that is live: it was told so.
fn live(address: SocketAddr, token: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!(
        "GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
         Authorization: Bearer {token}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let (mut said, mut piece) = (Vec::new(), [0; 512]);
    while !said.windows(6).any(|part| part == b"\"live\"") {
        let read = stream.read(&mut piece).unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&said));
        said.extend(piece.iter().take(read));
    }
    stream
}

/// Connects a socket for each token, on another thread, and waits until the node has put away what
/// only the handshakes needed.
fn connect(runtime: &Runtime, platform: &Platform, tokens: Vec<String>) -> Vec<TcpStream> {
    let address = platform.node().address();
    let tasks = runtime.metrics().num_alive_tasks() + tokens.len();
    runtime.block_on(async {
        let all = move || tokens.iter().map(|token| live(address, token)).collect();
        let sockets = tokio::task::spawn_blocking(all).await.unwrap();
        while runtime.metrics().num_alive_tasks() > tasks {
            tokio::task::yield_now().await;
        }
        sockets
    })
}

#[test]
fn an_idle_socket_takes_no_more_of_the_heap_than_it_did() {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let platform = runtime.block_on(Platform::start()).unwrap();
    let mut tokens =
        (0..SOCKETS + 10).map(|n| platform.token(&format!("idle-{n}"), "phone").unwrap());
    // What is made once, for the first ones, is not what is measured.
    let first = connect(&runtime, &platform, tokens.by_ref().take(10).collect());
    let tokens = tokens.collect();
    let mut sockets = Vec::new();
    let used = allocation_counter::measure(|| sockets = connect(&runtime, &platform, tokens));
    let each = usize::try_from(used.bytes_current).unwrap() / SOCKETS;
    assert!(each <= MOST, "an idle socket takes {each} bytes");
    assert!(
        each > MOST / 2,
        "{each} bytes: it is not all counted, or MOST is out of date"
    );
    drop((first, sockets));
    runtime.block_on(platform.shutdown());
}
