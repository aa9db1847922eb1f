//! A client without any cleverness: sends texts, reads frames. For malformed input and examples.

use std::time::Duration;

use anyhow::{Context, bail};
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::{Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// How long an answer may take on a busy machine.
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

/// A bare socket to a node.
pub struct RawClient {
    socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

/// What came over a bare socket.
#[derive(Debug, Clone, PartialEq)]
pub enum RawFrame {
    /// A frame.
    Text(Value),
    /// The server closed with this code.
    Closed(Option<u16>),
}

impl RawClient {
    /// Connects; with a token in the handshake when one is given.
    ///
    /// # Errors
    /// When the handshake is refused.
    pub async fn connect(url: &str, token: Option<&str>) -> anyhow::Result<Self> {
        let mut request = url.into_client_request()?;
        let headers = request.headers_mut();
        headers.insert(
            "Sec-WebSocket-Protocol",
            schemas::frames::SUBPROTOCOL.parse()?,
        );
        if let Some(token) = token {
            headers.insert("Authorization", format!("Bearer {token}").parse()?);
        }
        let (socket, _) = connect_async(request).await?;
        Ok(Self { socket })
    }

    /// Connects and waits until the session is live.
    ///
    /// # Errors
    /// When the session does not become live.
    pub async fn live(url: &str, token: &str) -> anyhow::Result<Self> {
        let mut client = Self::connect(url, Some(token)).await?;
        client.until("live").await?;
        Ok(client)
    }

    /// Sends a text frame as it is.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send(&mut self, text: impl Into<Utf8Bytes>) -> anyhow::Result<()> {
        Ok(self.socket.send(Message::Text(text.into())).await?)
    }

    /// Sends any WebSocket message.
    ///
    /// # Errors
    /// When the socket is gone.
    pub async fn send_message(&mut self, message: Message) -> anyhow::Result<()> {
        Ok(self.socket.send(message).await?)
    }

    /// The next frame, or the close.
    ///
    /// # Errors
    /// When nothing comes in time, or something that is not the protocol.
    #[expect(
        clippy::print_stdout,
        reason = "a test that fails shows why a socket broke"
    )]
    pub async fn next(&mut self) -> anyhow::Result<RawFrame> {
        loop {
            let next = tokio::time::timeout(ANSWER_WITHIN, self.socket.next()).await;
            match next.context("no frame came in time")? {
                Some(Ok(Message::Text(text))) => {
                    return Ok(RawFrame::Text(serde_json::from_str(text.as_str())?));
                }
                Some(Ok(Message::Close(frame))) => {
                    return Ok(RawFrame::Closed(frame.map(|f| f.code.into())));
                }
                Some(Ok(Message::Binary(_))) => bail!("the server never sends binary frames"),
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Err(broken)) => {
                    println!("a socket broke: {broken}");
                    return Ok(RawFrame::Closed(None));
                }
                None => return Ok(RawFrame::Closed(None)),
            }
        }
    }

    /// Skips frames until one of this type comes, and returns its data.
    ///
    /// # Errors
    /// When the socket closes first.
    pub async fn until(&mut self, kind: &str) -> anyhow::Result<Value> {
        loop {
            match self.next().await? {
                RawFrame::Text(frame) if frame.get("type").is_some_and(|t| t == kind) => {
                    return frame.get("data").cloned().context("a frame has data");
                }
                RawFrame::Text(_) => {}
                RawFrame::Closed(code) => bail!("closed with {code:?} before {kind}"),
            }
        }
    }

    /// Skips frames until the answer with this `ref` comes, and returns it whole.
    ///
    /// # Errors
    /// When the socket closes first.
    pub async fn answer(&mut self, reference: &str) -> anyhow::Result<Value> {
        loop {
            match self.next().await? {
                RawFrame::Text(frame) if frame.get("ref").is_some_and(|r| r == reference) => {
                    return Ok(frame);
                }
                RawFrame::Text(_) => {}
                RawFrame::Closed(code) => bail!("closed with {code:?} before the answer"),
            }
        }
    }

    /// Reads until the server closes, and returns the code.
    ///
    /// # Errors
    /// When it does not close in time.
    pub async fn until_closed(&mut self) -> anyhow::Result<Option<u16>> {
        loop {
            if let RawFrame::Closed(code) = self.next().await? {
                return Ok(code);
            }
        }
    }
}
