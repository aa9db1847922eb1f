//! The WebSocket: opened, read in batches, written without ever standing in the way of reading.

use std::collections::VecDeque;
use std::future::poll_fn;
use std::pin::Pin;

use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{FutureExt, SinkExt, StreamExt};
use schemas::errors::close;
use schemas::frames::SUBPROTOCOL;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::{HeaderValue, Response, StatusCode, header};
use tokio_tungstenite::tungstenite::protocol::{
    CloseFrame, WebSocketConfig, frame::coding::CloseCode,
};
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};

use crate::Lost;
use crate::config::without_query;

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;
type Opening = Pin<Box<dyn Future<Output = Result<Socket, Lost>> + Send>>;

/// Frames taken from the socket in one step, so that their answers leave in one write.
const BATCH: usize = 128;
/// 100 entries with bodies of 64 KiB in base64, and their envelopes.
const MAX_MESSAGE_BYTES: usize = 16 << 20;

/// What has happened on the wire.
pub(super) enum Step {
    Opened,
    /// Texts in order, and what came after them.
    Read(Vec<Utf8Bytes>, Option<Lost>),
    Lost(Lost),
    Written,
}

/// The socket in its states.
pub(super) enum Wire {
    Down,
    Opening(Opening),
    Up(Box<Up>),
}

pub(super) struct Up {
    sink: SplitSink<Socket, Message>,
    stream: SplitStream<Socket>,
    writes: VecDeque<Message>,
    unflushed: bool,
}

impl Wire {
    /// Begins to open a socket.
    pub(super) fn open(&mut self, url: &str, bearer: Option<&str>) {
        let (url, bearer) = (endpoint(url), bearer.map(str::to_owned));
        *self = Self::Opening(Box::pin(open(url, bearer)));
    }

    /// Puts a text in the queue of what is to be written.
    pub(super) fn write(&mut self, text: Vec<u8>) {
        if let Self::Up(up) = self {
            let text = String::from_utf8(text).expect("JSON is UTF-8");
            up.writes.push_back(Message::text(text));
            up.unflushed = true;
        }
    }

    /// Frames that wait to be written.
    pub(super) fn queued(&self) -> usize {
        match self {
            Self::Up(up) => up.writes.len(),
            Self::Down | Self::Opening(_) => 0,
        }
    }

    /// Waits for what happens next; for ever, if nothing can. Reads only where told to.
    /// Cancel safe: what was not returned is not lost.
    pub(super) async fn step(&mut self, read: bool) -> Step {
        let step = match self {
            Self::Down => std::future::pending().await,
            Self::Opening(opening) => match opening.await {
                Ok(socket) => {
                    let (sink, stream) = socket.split();
                    *self = Self::Up(Box::new(Up {
                        sink,
                        stream,
                        writes: VecDeque::new(),
                        unflushed: false,
                    }));
                    Step::Opened
                }
                Err(lost) => Step::Lost(lost),
            },
            Self::Up(up) => up.step(read).await,
        };
        if matches!(step, Step::Lost(_) | Step::Read(_, Some(_))) {
            *self = Self::Down;
        }
        step
    }

    /// Writes what waits and says goodbye.
    pub(super) async fn close(&mut self) {
        if let Self::Up(up) = self {
            up.writes.push_back(Message::Close(Some(CloseFrame {
                code: CloseCode::Normal,
                reason: Utf8Bytes::default(),
            })));
            // The server finds out by itself if this does not reach it.
            let _ = up.write_out().await;
        }
        *self = Self::Down;
    }
}

impl Up {
    async fn step(&mut self, read: bool) -> Step {
        let Self {
            sink,
            stream,
            writes,
            unflushed,
        } = self;
        let pending = *unflushed;
        tokio::select! {
            biased;
            written = write_out(sink, writes), if pending => match written {
                Ok(()) => {
                    *unflushed = false;
                    Step::Written
                }
                Err(error) => Step::Lost(lost(&error)),
            },
            first = stream.next(), if read => gather(first, stream),
            else => std::future::pending().await,
        }
    }

    async fn write_out(&mut self) -> Result<(), Error> {
        write_out(&mut self.sink, &mut self.writes).await
    }
}

async fn write_out(
    sink: &mut SplitSink<Socket, Message>,
    writes: &mut VecDeque<Message>,
) -> Result<(), Error> {
    while !writes.is_empty() {
        poll_fn(|cx| sink.poll_ready_unpin(cx)).await?;
        if let Some(message) = writes.pop_front() {
            sink.start_send_unpin(message)?;
        }
    }
    sink.flush().await
}

/// Takes what is there already after the first, without waiting.
fn gather(first: Option<Result<Message, Error>>, stream: &mut SplitStream<Socket>) -> Step {
    let (mut texts, mut next) = (Vec::new(), Some(first));
    let mut end = None;
    while let Some(message) = next {
        match message {
            Some(Ok(Message::Text(text))) => texts.push(text),
            Some(Ok(Message::Close(frame))) => {
                end = Some(closed(frame.map(|frame| frame.code.into())));
                break;
            }
            Some(Ok(_)) => {}
            Some(Err(error)) => {
                end = Some(lost(&error));
                break;
            }
            None => {
                end = Some(Lost::Broken);
                break;
            }
        }
        if texts.len() >= BATCH {
            break;
        }
        next = stream.next().now_or_never();
    }
    Step::Read(texts, end)
}

async fn open(url: String, bearer: Option<String>) -> Result<Socket, Lost> {
    let mut request = url.as_str().into_client_request().map_err(|error| {
        let url = without_query(&url);
        tracing::warn!(%error, url, "not a WebSocket URL");
        Lost::NotReached
    })?;
    let headers = request.headers_mut();
    let protocol = HeaderValue::from_static(SUBPROTOCOL);
    headers.insert(header::SEC_WEBSOCKET_PROTOCOL, protocol);
    if let Some(token) = bearer {
        let value = HeaderValue::try_from(format!("Bearer {token}"));
        let mut value = value.map_err(|_| Lost::Unauthorized)?;
        value.set_sensitive(true);
        headers.insert(header::AUTHORIZATION, value);
    }
    let config = WebSocketConfig::default()
        .read_buffer_size(16 * 1024)
        .write_buffer_size(16 * 1024)
        .max_message_size(Some(MAX_MESSAGE_BYTES))
        .max_frame_size(Some(MAX_MESSAGE_BYTES));
    let opened = connect_async_with_config(request, Some(config), true).await;
    let (socket, _) = opened.map_err(|error| {
        let url = without_query(&url);
        tracing::debug!(%error, url, "the server was not reached");
        let unauthorized = |answer: &Response<_>| answer.status() == StatusCode::UNAUTHORIZED;
        if matches!(&error, Error::Http(answer) if unauthorized(answer)) {
            Lost::Unauthorized
        } else {
            Lost::NotReached
        }
    })?;
    Ok(socket)
}

fn closed(code: Option<u16>) -> Lost {
    match code {
        Some(close::UNAUTHORIZED) => Lost::Unauthorized,
        Some(code) => Lost::Closed(code),
        None => Lost::Closed(close::NORMAL),
    }
}

fn lost(error: &Error) -> Lost {
    tracing::debug!(%error, "the socket broke");
    Lost::Broken
}

/// The URL of the socket: where no path is given, the protocol's own.
fn endpoint(url: &str) -> String {
    let url = match (url.strip_prefix("http://"), url.strip_prefix("https://")) {
        (Some(rest), _) => format!("ws://{rest}"),
        (None, Some(rest)) => format!("wss://{rest}"),
        (None, None) => url.to_owned(),
    };
    let bare = url.trim_end_matches('/');
    let has_path = bare
        .split_once("://")
        .is_some_and(|(_, rest)| rest.contains(['/', '?']));
    if has_path {
        url
    } else {
        format!("{bare}/v1/connect")
    }
}

#[cfg(test)]
mod tests {
    use super::endpoint;

    #[test]
    fn a_url_without_a_path_gets_the_protocols() {
        for (given, made) in [
            ("ws://h:1", "ws://h:1/v1/connect"),
            ("ws://h:1/", "ws://h:1/v1/connect"),
            ("http://h", "ws://h/v1/connect"),
            ("wss://h/x", "wss://h/x"),
            ("ws://h/v1/connect?a=b", "ws://h/v1/connect?a=b"),
        ] {
            assert_eq!(endpoint(given), made);
        }
    }
}
