//! The server's side of a socket, played by hand.

use cursus_client::Config;
use futures_util::{SinkExt, StreamExt};
use schemas::frames::{Command, Frame, SUBPROTOCOL, Welcome, decode_command, encode_frame};
use schemas::ids::{ClientId, DeviceId, UserId};
use schemas::position::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::handshake::server::{ErrorResponse, Request, Response};
use tokio_tungstenite::tungstenite::http::{HeaderValue, StatusCode};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

/// A listener and the URL to it.
pub(crate) struct Server(pub(crate) TcpListener);

impl Server {
    pub(crate) async fn bind() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").await.unwrap())
    }

    pub(crate) fn url(&self) -> String {
        format!("ws://{}", self.0.local_addr().unwrap())
    }

    pub(crate) fn config(&self) -> Config {
        let mut config = Config::new(self.url(), "secret");
        // What is heard here are the test's own questions.
        config.session.verify_heads = false;
        config
    }

    #[expect(clippy::result_large_err, reason = "the callback's own type")]
    pub(crate) async fn handshake(&self, status: StatusCode) -> Result<Peer, Error> {
        let (stream, _) = self.0.accept().await.unwrap();
        let mut token = None;
        let check = |request: &Request, mut response: Response| {
            assert_eq!(request.uri().path(), "/v1/connect");
            let header = |name: &str| request.headers().get(name).cloned();
            assert_eq!(header("sec-websocket-protocol").unwrap(), SUBPROTOCOL);
            token = header("authorization");
            if status != StatusCode::OK {
                let mut refused = ErrorResponse::new(None);
                *refused.status_mut() = status;
                return Err(refused);
            }
            let name = "sec-websocket-protocol";
            let protocol = HeaderValue::from_static(SUBPROTOCOL);
            response.headers_mut().insert(name, protocol);
            Ok(response)
        };
        let socket = accept_hdr_async(stream, check).await?;
        Ok(Peer { socket, token })
    }

    pub(crate) async fn accept(&self) -> Peer {
        self.handshake(StatusCode::OK).await.unwrap()
    }

    /// Accepts, welcomes and goes live.
    pub(crate) async fn live(&self) -> Peer {
        let mut peer = self.accept().await;
        peer.greet().await;
        peer
    }
}

/// The server's end of one socket.
pub(crate) struct Peer {
    pub(crate) socket: WebSocketStream<TcpStream>,
    pub(crate) token: Option<HeaderValue>,
}

impl Peer {
    pub(crate) async fn say(&mut self, reference: Option<&str>, frame: &Frame) {
        let text = String::from_utf8(encode_frame(reference, frame)).unwrap();
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn greet(&mut self) {
        let welcome = Welcome {
            user: UserId::new("ada").unwrap(),
            device: DeviceId::new("phone").unwrap(),
            at: Timestamp(0),
            heartbeat_ms: 30_000,
        };
        self.say(None, &Frame::Welcome(welcome)).await;
        self.say(None, &Frame::Live {}).await;
    }

    /// The next command; none when the client has gone.
    pub(crate) async fn hear(&mut self) -> Option<(String, Command)> {
        loop {
            match self.socket.next().await?.ok()? {
                Message::Text(text) => {
                    let received = decode_command(text.as_bytes());
                    let reference = received.reference.unwrap_or_default();
                    return Some((reference, received.value.unwrap()));
                }
                Message::Close(_) => return None,
                _ => {}
            }
        }
    }

    /// The client id of the next send; everything else is passed over.
    pub(crate) async fn hear_send(&mut self) -> ClientId {
        loop {
            if let Some((_, Command::Send(send))) = self.hear().await {
                return send.client_id;
            }
        }
    }

    pub(crate) async fn close(&mut self, code: CloseCode) {
        let frame = CloseFrame {
            code,
            reason: "".into(),
        };
        self.socket.close(Some(frame)).await.unwrap();
    }
}
