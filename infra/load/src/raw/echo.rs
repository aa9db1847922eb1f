//! A bare WebSocket server that gives back what comes, as a process of its own: what a node that
//! decides nothing, keeps nothing and tells nobody else would cost.
//!
//! tokio-tungstenite with two worker threads and small buffers, the settings found best for many
//! small frames.

use std::io::Write;
use std::net::{Ipv4Addr, SocketAddr};

use futures_util::{SinkExt, StreamExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio_tungstenite::accept_async_with_config;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

/// The argument under which the program serves as an echo.
pub const ARGUMENT: &str = "echo-server";

/// Serves on a free port of loopback, printed first, until the process ends.
///
/// # Errors
/// When it cannot listen.
pub fn serve() -> anyhow::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let socket = TcpSocket::new_v4()?;
        socket.bind(SocketAddr::from((Ipv4Addr::LOCALHOST, 0)))?;
        let listener = socket.listen(4_096)?;
        writeln!(std::io::stdout(), "{}", listener.local_addr()?)?;
        accept(listener).await
    })
}

async fn accept(listener: TcpListener) -> anyhow::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
    }
}

/// Gives back every text of one socket. Ends when the socket does.
async fn echo(stream: TcpStream) -> Option<()> {
    stream.set_nodelay(true).ok()?;
    let config = WebSocketConfig::default()
        .read_buffer_size(1024)
        .write_buffer_size(16 * 1024)
        .max_write_buffer_size(4 << 20);
    let mut socket = accept_async_with_config(stream, Some(config)).await.ok()?;
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() {
            socket.send(message).await.ok()?;
        }
    }
    None
}
