//! A hyper server that hands out its sessions, and clients for it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{SinkExt, StreamExt};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use infra_ports::laws::transport::{Client, Connection, Received, Wire};
use infra_ports::{FrameReader, FrameWriter};
use infra_transport_websocket::{Config, handshake, open};
use schemas::frames::SUBPROTOCOL;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Mutex, mpsc};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{self, Message};

pub(crate) type Halves = (Box<dyn FrameReader>, Arc<dyn FrameWriter>);

/// Far more than any of these tests takes.
const WITHIN: Duration = Duration::from_secs(60);

/// Runs a test that waits for sockets.
///
/// # Panics
/// When it takes too long: what it waits for never comes.
pub(crate) async fn timely(test: impl Future<Output = ()>) {
    let ended = tokio::time::timeout(WITHIN, Box::pin(test)).await;
    assert!(ended.is_ok(), "still waiting after {WITHIN:?}");
}

/// Serves handshakes on loopback.
pub(crate) struct Loopback {
    address: SocketAddr,
    sessions: Mutex<mpsc::Receiver<Halves>>,
}

impl Loopback {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (tell, sessions) = mpsc::channel(16);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let tell = tell.clone();
                let service = service_fn(move |request| answer(request, tell.clone()));
                let server = hyper::server::conn::http1::Builder::new();
                let serving = server.serve_connection(TokioIo::new(stream), service);
                tokio::spawn(serving.with_upgrades());
            }
        });
        Self {
            address,
            sessions: Mutex::new(sessions),
        }
    }

    pub(crate) async fn session(&self) -> Halves {
        self.sessions.lock().await.recv().await.unwrap()
    }

    pub(crate) async fn tcp(&self) -> TcpStream {
        TcpStream::connect(self.address).await.unwrap()
    }

    /// A client that knows WebSockets, and the session at the other end.
    pub(crate) async fn client(&self) -> (WebSocketStream<TcpStream>, Halves) {
        let request = self.request(SUBPROTOCOL);
        let (client, response) = tokio_tungstenite::client_async(request, self.tcp().await)
            .await
            .unwrap();
        assert_eq!(response.headers()["sec-websocket-protocol"], SUBPROTOCOL);
        (client, self.session().await)
    }

    pub(crate) fn request(&self, subprotocol: &str) -> tungstenite::handshake::client::Request {
        let mut request = format!("ws://{}/v1/connect", self.address)
            .into_client_request()
            .unwrap();
        let subprotocol = subprotocol.parse().unwrap();
        request
            .headers_mut()
            .insert("sec-websocket-protocol", subprotocol);
        request
    }

    /// A client that writes bytes: its handshake and `with_it` leave in one write.
    pub(crate) async fn raw(&self, with_it: &[u8]) -> (TcpStream, Halves) {
        let head = "GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
            Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
            Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
        let mut stream = self.tcp().await;
        stream
            .write_all(&[head.as_bytes(), with_it].concat())
            .await
            .unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(stream.read_u8().await.unwrap());
        }
        assert!(answer.starts_with(b"HTTP/1.1 101"));
        (stream, self.session().await)
    }
}

async fn answer(
    mut request: Request<Incoming>,
    tell: mpsc::Sender<Halves>,
) -> Result<Response<String>, std::convert::Infallible> {
    let upgrade = hyper::upgrade::on(&mut request);
    let (parts, _) = request.into_parts();
    match handshake(&parts) {
        Ok(response) => {
            tokio::spawn(async move {
                let halves = open(upgrade.await.unwrap(), &Config::default()).unwrap();
                tell.send(halves).await.unwrap();
            });
            Ok(response.map(|()| String::new()))
        }
        Err(error) => {
            let mut response = Response::new(error.to_string());
            *response.status_mut() = error.status();
            Ok(response)
        }
    }
}

/// A frame as a client sends it: masked, with a mask of ones and twos.
pub(crate) fn masked(first: u8, payload: &[u8]) -> Vec<u8> {
    assert!(payload.len() < 126);
    let mask = [1, 2, 1, 2];
    let mut frame = vec![first, 0x80 | payload.len() as u8];
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

#[async_trait]
impl Wire for Loopback {
    async fn connect(&self) -> Connection {
        let (client, (reader, writer)) = self.client().await;
        Connection {
            reader,
            writer,
            client: Box::new(TungsteniteClient(client)),
        }
    }

    fn message_bytes(&self) -> usize {
        Config::default().message_bytes
    }
}

struct TungsteniteClient(WebSocketStream<TcpStream>);

impl TungsteniteClient {
    async fn send(&mut self, message: Message) {
        // The server may have ended the session in the middle: the law looks at its side.
        let _ = self.0.send(message).await;
    }
}

#[async_trait]
impl Client for TungsteniteClient {
    async fn send_text(&mut self, text: &str) {
        self.send(Message::text(text)).await;
    }

    async fn send_ping(&mut self, payload: &[u8]) {
        self.send(Message::Ping(payload.to_vec().into())).await;
    }

    async fn send_pong(&mut self) {
        self.send(Message::Pong(Vec::new().into())).await;
    }

    async fn send_close(&mut self, code: u16, reason: &str) {
        let frame = CloseFrame {
            code: CloseCode::from(code),
            reason: reason.into(),
        };
        self.send(Message::Close(Some(frame))).await;
    }

    async fn receive(&mut self) -> Received {
        match self.0.next().await {
            Some(Ok(Message::Text(text))) => Received::Text(text.into()),
            Some(Ok(Message::Ping(payload))) => Received::Ping(payload),
            Some(Ok(Message::Pong(payload))) => Received::Pong(payload),
            Some(Ok(Message::Close(Some(frame)))) => Received::Close {
                code: frame.code.into(),
                reason: frame.reason.to_string(),
            },
            Some(Ok(other)) => Received::Garbage(other.into_data()),
            Some(Err(_)) | None => Received::Ended,
        }
    }
}
