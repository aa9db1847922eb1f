//! The bytes of one connection, encrypted: TLS 1.3 under certificates that nobody checks, bound to the
//! hello, which everybody does.
//!
//! A worker makes itself a key at its start. A gateway takes whatever key it is shown; who stands between
//! the two must show another one, and then both ends have different keys for the connection. What is
//! derived from these ([`Binding`], RFC 9266) goes into the proofs of the hello, so that such a proof is
//! none at the other end. So the secret is all that two ends need, and no authority.

use std::future::poll_fn;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::BytesMut;
use openssl::asn1::Asn1Time;
use openssl::ec::{EcGroup, EcKey};
use openssl::error::ErrorStack;
use openssl::hash::MessageDigest;
use openssl::nid::Nid;
use openssl::pkey::PKey;
use openssl::ssl::{
    Ssl, SslAcceptor, SslContext, SslMethod, SslMode, SslOptions, SslVerifyMode, SslVersion,
};
use openssl::x509::X509;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// What both ends of a connection know, and nobody between them does.
pub(crate) type Binding = [u8; 32];

const BINDING_LABEL: &str = "EXPORTER-Channel-Binding";
/// How long a worker's certificate says that it is good; nobody looks.
const DAYS: u32 = 3_650;

/// A connection that is encrypted and may not be trusted yet.
pub(crate) type Stream = SslStream<TcpStream>;

/// A worker's key, made here and now.
pub(crate) fn acceptor() -> Result<SslAcceptor, ErrorStack> {
    let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1)?;
    let key = PKey::from_ec_key(EcKey::generate(&curve)?)?;
    let mut certificate = X509::builder()?;
    certificate.set_pubkey(&key)?;
    certificate.set_not_before(Asn1Time::days_from_now(0)?.as_ref())?;
    certificate.set_not_after(Asn1Time::days_from_now(DAYS)?.as_ref())?;
    certificate.sign(&key, MessageDigest::sha256())?;
    let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server())?;
    acceptor.set_private_key(&key)?;
    acceptor.set_certificate(certificate.build().as_ref())?;
    acceptor.set_options(SslOptions::IGNORE_UNEXPECTED_EOF);
    // Connections last: none is resumed.
    acceptor.set_num_tickets(0)?;
    Ok(acceptor.build())
}

/// A gateway's side. Not the library's ready-made one: that reads all authorities of the system first,
/// tens of milliseconds in which a gateway has one worker less.
pub(crate) fn connector() -> Result<SslContext, ErrorStack> {
    let mut connector = SslContext::builder(SslMethod::tls_client())?;
    connector.set_min_proto_version(Some(SslVersion::TLS1_3))?;
    connector.set_verify(SslVerifyMode::NONE);
    connector.set_options(SslOptions::IGNORE_UNEXPECTED_EOF);
    connector.set_mode(
        SslMode::AUTO_RETRY
            | SslMode::ACCEPT_MOVING_WRITE_BUFFER
            | SslMode::ENABLE_PARTIAL_WRITE
            | SslMode::RELEASE_BUFFERS,
    );
    Ok(connector.build())
}

/// Encrypts a connection that a gateway makes.
pub(crate) async fn connect(
    socket: TcpStream,
    connector: &SslContext,
) -> io::Result<(Stream, Binding)> {
    let mut stream = SslStream::new(Ssl::new(connector)?, socket)?;
    let met = Pin::new(&mut stream).connect().await;
    met.map_err(io::Error::other)?;
    bound(stream)
}

/// Encrypts a connection that a worker takes.
pub(crate) async fn accept(
    socket: TcpStream,
    acceptor: &SslAcceptor,
) -> io::Result<(Stream, Binding)> {
    let mut stream = SslStream::new(Ssl::new(acceptor.context())?, socket)?;
    let met = Pin::new(&mut stream).accept().await;
    met.map_err(io::Error::other)?;
    bound(stream)
}

fn bound(stream: Stream) -> io::Result<(Stream, Binding)> {
    let mut binding = Binding::default();
    let keys = stream.ssl();
    keys.export_keying_material(&mut binding, BINDING_LABEL, None)?;
    Ok((stream, binding))
}

/// A connection after its hello. Written from any thread, read by one task.
pub(crate) struct Wire(Mutex<Stream>);

impl Wire {
    pub(crate) fn new(stream: Stream) -> Self {
        Self(Mutex::new(stream))
    }

    /// Writes as much as the socket takes at once. When it takes nothing ([`io::ErrorKind::WouldBlock`]), the
    /// next call must bring the same bytes, and may bring more behind them.
    pub(crate) fn try_write(&self, bytes: &[u8]) -> io::Result<usize> {
        let mut stream = self.0.lock();
        // Nobody is woken: who wants to be waits in `writable`.
        let mut nobody = Context::from_waker(Waker::noop());
        match Pin::new(&mut *stream).poll_write(&mut nobody, bytes) {
            Poll::Ready(written) => written,
            Poll::Pending => Err(io::ErrorKind::WouldBlock.into()),
        }
    }

    /// Waits until the socket takes bytes. One task waits.
    pub(crate) async fn writable(&self) -> io::Result<()> {
        poll_fn(|cx| self.0.lock().get_ref().poll_write_ready(cx)).await
    }

    /// Appends what has come, at most what `into` has room for, as soon as anything has; 0 at the end. One
    /// task reads. Cancel safe.
    pub(crate) async fn read(&self, into: &mut BytesMut) -> io::Result<usize> {
        let room = into.capacity();
        let before = into.len();
        poll_fn(|cx| {
            while into.len() < room {
                // A record at a time, so that who writes has its turn between.
                let mut stream = self.0.lock();
                let reading = pin!(stream.read_buf(into));
                match reading.poll(cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                    Poll::Pending if into.len() == before => return Poll::Pending,
                    Poll::Ready(Ok(0)) | Poll::Pending => break,
                }
            }
            Poll::Ready(Ok(into.len() - before))
        })
        .await
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::TcpListener;

    use super::*;

    async fn pair() -> ((Stream, Binding), (Stream, Binding)) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let socket = TcpStream::connect(listener.local_addr().unwrap());
        let (socket, taken) = tokio::join!(socket, listener.accept());
        let (connector, acceptor) = (connector().unwrap(), acceptor().unwrap());
        let connected = connect(socket.unwrap(), &connector);
        let accepted = accept(taken.unwrap().0, &acceptor);
        let (connected, accepted) = tokio::join!(connected, accepted);
        (connected.unwrap(), accepted.unwrap())
    }

    #[test]
    fn a_gateway_reads_no_authorities_that_it_does_not_ask() {
        let trusted = connector().unwrap();
        assert_eq!(trusted.cert_store().all_certificates().len(), 0);
    }

    #[tokio::test]
    async fn both_ends_know_one_binding_and_each_connection_has_its_own() {
        let ((_one, gateway), (_other, worker)) = pair().await;
        assert_eq!(gateway, worker);
        let ((_one, another), _) = pair().await;
        assert_ne!(gateway, another);
    }

    #[tokio::test]
    async fn what_is_written_at_once_arrives_whole_also_when_the_socket_was_full() {
        let ((one, _), (mut other, _)) = pair().await;
        let wire = Wire::new(one);
        let bytes: Vec<u8> = (0..8_u32 << 20).map(|n| (n % 251) as u8).collect();
        let mut blocked = 0;
        let write = async {
            let mut rest = &bytes[..];
            while !rest.is_empty() {
                match wire.try_write(rest) {
                    Ok(written) => rest = &rest[written..],
                    Err(error) => {
                        assert_eq!(error.kind(), io::ErrorKind::WouldBlock);
                        blocked += 1;
                        wire.writable().await.unwrap();
                    }
                }
            }
        };
        let mut got = vec![0; bytes.len()];
        let (read, ()) = tokio::join!(other.read_exact(&mut got), write);
        read.unwrap();
        assert!(got == bytes && blocked > 0);

        other.write_all(b"back").await.unwrap();
        let mut into = BytesMut::with_capacity(64);
        while into.len() < 4 {
            wire.read(&mut into).await.unwrap();
        }
        assert_eq!(into, &b"back"[..]);
        drop(other);
        assert_eq!(wire.read(&mut into).await.unwrap(), 0, "its end");
    }
}
