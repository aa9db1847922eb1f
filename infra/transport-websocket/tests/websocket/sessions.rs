//! What only a real WebSocket shows: fragments, masks, bad bytes, the bytes after the handshake.

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use infra_ports::laws::transport::write_all;
use infra_ports::{Inbound, TransportError};
use infra_transport_websocket::{Config, OpenError, open, open_stream};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{Error, Message};

use super::support::{Loopback, masked, timely};

const TEXT: u8 = 0x81;

fn text(text: &'static str) -> Inbound {
    Inbound::Text(Bytes::from_static(text.as_bytes()))
}

#[tokio::test]
async fn bytes_that_came_with_the_handshake_are_not_lost() {
    timely(async {
        let server = Loopback::start().await;
        let mut early = masked(TEXT, b"first");
        let second = masked(TEXT, b"second");
        early.extend_from_slice(&second[..4]);
        let (mut client, (mut reader, _writer)) = server.raw(&early).await;
        assert_eq!(reader.next().await.unwrap(), text("first"));
        client.write_all(&second[4..]).await.unwrap();
        assert_eq!(reader.next().await.unwrap(), text("second"));
    })
    .await;
}

#[tokio::test]
async fn fragments_make_one_text_with_a_ping_in_between() {
    timely(async {
        let server = Loopback::start().await;
        let (mut client, (mut reader, writer)) = server.raw(b"").await;
        let fragments = [
            masked(0x01, b"in "),
            masked(0x89, b"!"),
            masked(0x00, b"three "),
            masked(0x80, b"parts"),
        ];
        client.write_all(&fragments.concat()).await.unwrap();
        assert_eq!(reader.next().await.unwrap(), Inbound::Alive);
        let Inbound::Reply(pong) = reader.next().await.unwrap() else {
            panic!("a pong is due")
        };
        assert_eq!(reader.next().await.unwrap(), text("in three parts"));
        write_all(writer.as_ref(), pong).await.unwrap();
        let mut answer = [0; 3];
        client.read_exact(&mut answer).await.unwrap();
        assert_eq!(
            answer,
            [0x8A, 1, b'!'],
            "an unmasked pong with the ping's payload"
        );
    })
    .await;
}

#[tokio::test]
async fn the_answer_to_a_close_has_its_code_and_leaves_through_the_outbox() {
    timely(async {
        let server = Loopback::start().await;
        let (mut client, (mut reader, writer)) = server.raw(&masked(0x88, &[0x03, 0xE8])).await;
        let Inbound::Reply(answer) = reader.next().await.unwrap() else {
            panic!("an answer is due")
        };
        assert_eq!(reader.next().await.unwrap(), Inbound::Closed);
        write_all(writer.as_ref(), answer).await.unwrap();
        writer.shut();
        let mut all = Vec::new();
        client.read_to_end(&mut all).await.unwrap();
        assert_eq!(all, [0x88, 2, 0x03, 0xE8], "the answer, once, and the end");
    })
    .await;
}

#[tokio::test]
async fn a_client_that_knows_websockets_closes_cleanly() {
    timely(async {
        let server = Loopback::start().await;
        let (mut client, (mut reader, writer)) = server.client().await;
        client.close(None).await.unwrap();
        let Inbound::Reply(answer) = reader.next().await.unwrap() else {
            panic!("an answer is due")
        };
        write_all(writer.as_ref(), answer).await.unwrap();
        writer.shut();
        assert!(matches!(client.next().await, Some(Ok(Message::Close(_)))));
        assert!(
            client.next().await.is_none(),
            "no error, the closing handshake was whole"
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_not_the_protocol_ends_the_session() {
    timely(async {
        let unmasked = [TEXT, 2, b'h', b'i'].to_vec();
        let cases = [
            ("unmasked", unmasked),
            ("not utf-8", masked(TEXT, &[0xC3, 0x28])),
            ("reserved bit", masked(0xC1, b"hi")),
            ("unknown opcode", masked(0x83, b"hi")),
            ("continuation of nothing", masked(0x80, b"hi")),
            ("fragmented ping", masked(0x09, b"hi")),
            ("http again", b"GET / HTTP/1.1\r\n\r\n".to_vec()),
            ("binary", masked(0x82, b"hi")),
        ];
        let server = Loopback::start().await;
        for (what, bytes) in cases {
            let (client, (mut reader, _writer)) = server.raw(&bytes).await;
            let came = reader.next().await;
            assert!(
                matches!(came, Err(TransportError::Malformed(_))),
                "{what}: {came:?}"
            );
            drop(client);
            assert_eq!(reader.next().await.unwrap(), Inbound::Closed, "{what}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_length_that_lies_is_refused_before_its_bytes_come() {
    timely(async {
        let server = Loopback::start().await;
        let mut header = vec![TEXT, 0x80 | 127];
        header.extend_from_slice(&(1_u64 << 40).to_be_bytes());
        header.extend_from_slice(&[1, 2, 1, 2]);
        let (_client, (mut reader, _writer)) = server.raw(&header).await;
        let came = reader.next().await;
        assert!(
            matches!(
                came,
                Err(TransportError::TooLarge {
                    limit_bytes: 262_144
                })
            ),
            "{came:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn fragments_over_the_limit_together_are_refused() {
    timely(async {
        let server = Loopback::start().await;
        let (client, (mut reader, _writer)) = server.raw(&masked(0x01, b"x")).await;
        let (_unread, mut sends) = client.into_split();
        let sending = tokio::spawn(async move {
            let fragment = masked(0x00, &[b'x'; 125]);
            while sends.write_all(&fragment).await.is_ok() {}
        });
        let came = reader.next().await;
        assert!(
            matches!(came, Err(TransportError::TooLarge { .. })),
            "{came:?}"
        );
        drop((reader, _writer, _unread));
        sending.await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_reset_connection_is_lost() {
    timely(async {
        let server = Loopback::start().await;
        let (client, (mut reader, writer)) = server.raw(b"").await;
        writer.try_write(&[Bytes::from_static(b"unread")]).unwrap();
        client.readable().await.unwrap();
        // Closing with unread bytes resets the connection.
        drop(client);
        let came = reader.next().await;
        assert!(matches!(came, Err(TransportError::Lost(_))), "{came:?}");
    })
    .await;
}

#[tokio::test]
async fn threads_outside_the_runtime_write_too() {
    timely(async {
        let server = Loopback::start().await;
        let (mut client, (_reader, writer)) = server.client().await;
        let frame = infra_ports::transport::encode_text(b"from a thread");
        let thread = std::thread::spawn(move || {
            let taken = writer.try_write(std::slice::from_ref(&frame)).unwrap();
            assert_eq!(taken, frame.len());
            writer
        });
        let received = client.next().await.unwrap().unwrap();
        assert_eq!(received, Message::text("from a thread"));
        drop(thread.join().unwrap());
    })
    .await;
}

#[tokio::test]
async fn a_foreign_subprotocol_is_refused_with_a_reason() {
    timely(async {
        let server = Loopback::start().await;
        let request = server.request("soap");
        let refused = tokio_tungstenite::client_async(request, server.tcp().await)
            .await
            .unwrap_err();
        let Error::Http(response) = refused else {
            panic!("{refused:?}")
        };
        assert_eq!(response.status(), 400);
    })
    .await;
}

#[tokio::test]
async fn a_plain_request_is_no_websocket() {
    timely(async {
        let server = Loopback::start().await;
        let mut stream = server.tcp().await;
        let request = b"GET /v1/connect HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 400"), "{answer}");
        assert!(answer.ends_with("not a websocket upgrade"), "{answer}");
    })
    .await;
}

#[tokio::test]
async fn a_text_holds_its_own_bytes_only() {
    timely(async {
        let server = Loopback::start().await;
        let (mut client, (mut reader, _writer)) = server.client().await;
        client.send(Message::text("small")).await.unwrap();
        let Inbound::Text(small) = reader.next().await.unwrap() else {
            panic!("a text was sent")
        };
        let owned = small.try_into_mut().expect("nobody else holds it");
        assert!(
            owned.capacity() < 64,
            "{} bytes held for five",
            owned.capacity()
        );
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_is_not_tcp_is_told_apart() {
    timely(async {
        let (client, server) = tokio::io::duplex(1024);
        let (tell, told) = tokio::sync::oneshot::channel();
        let tell = std::sync::Mutex::new(Some(tell));
        let service = hyper::service::service_fn(move |mut request| {
            let upgrade = hyper::upgrade::on(&mut request);
            let tell = tell.lock().unwrap().take().unwrap();
            tokio::spawn(async move {
                let opened = open(upgrade.await.unwrap(), &Config::default());
                tell.send(opened.map(|_| ())).unwrap();
            });
            let (parts, _): (_, hyper::body::Incoming) = request.into_parts();
            let response = infra_transport_websocket::handshake(&parts).unwrap();
            std::future::ready(Ok::<_, std::convert::Infallible>(
                response.map(|()| String::new()),
            ))
        });
        let io = hyper_util::rt::TokioIo::new(server);
        let serving = hyper::server::conn::http1::Builder::new().serve_connection(io, service);
        tokio::spawn(serving.with_upgrades());
        let _client = tokio_tungstenite::client_async("ws://x/v1/connect", client)
            .await
            .unwrap();
        assert!(matches!(told.await.unwrap(), Err(OpenError::ForeignStream)));
    })
    .await;
}

#[tokio::test]
async fn a_smaller_limit_is_kept() {
    timely(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = tokio::net::TcpStream::connect(listener.local_addr().unwrap())
            .await
            .unwrap();
        let (stream, _) = listener.accept().await.unwrap();
        let config = Config { message_bytes: 10 };
        let leftover = Bytes::from(masked(TEXT, b"ten bytes!"));
        let (mut reader, _writer) = open_stream(stream, &leftover, &config).unwrap();
        assert_eq!(reader.next().await.unwrap(), text("ten bytes!"));
        client
            .write_all(&masked(TEXT, b"11 bytes..."))
            .await
            .unwrap();
        let came = reader.next().await;
        assert!(
            matches!(came, Err(TransportError::TooLarge { limit_bytes: 10 })),
            "{came:?}"
        );
    })
    .await;
}

#[tokio::test]
async fn who_never_stops_after_a_bad_frame_is_left_in_the_end() {
    timely(async {
        let server = Loopback::start().await;
        let (client, (mut reader, writer)) = server.raw(&masked(0x83, b"bad")).await;
        let (unread, mut sends) = client.into_split();
        let sending = tokio::spawn(async move {
            let mut sent_bytes = 0;
            while sends.write_all(&[0; 65_536]).await.is_ok() {
                sent_bytes += 65_536;
            }
            sent_bytes
        });
        let came = reader.next().await;
        assert!(
            matches!(came, Err(TransportError::Malformed(_))),
            "{came:?}"
        );
        assert_eq!(reader.next().await.unwrap(), Inbound::Closed);
        drop((reader, writer));
        let bound = 64 * Config::default().message_bytes;
        // Beside it what lay in the sockets' own buffers.
        assert!((bound..2 * bound).contains(&sending.await.unwrap()));
        drop(unread);
    })
    .await;
}
