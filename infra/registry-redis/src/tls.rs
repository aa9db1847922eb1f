//! TLS under the connection to Redis: the driver is given a stream on which both ends have met already.

use std::io;
use std::path::Path;
use std::pin::Pin;

use openssl::error::ErrorStack;
use openssl::ssl::{SslConnector, SslMethod};
use openssl::x509::store::X509StoreBuilder;
use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, Client, ConnectionAddr, ErrorKind, RedisError};
use tokio::net::TcpStream;
use tokio_openssl::SslStream;

/// Trusts these authorities and no others; without a file, the system's.
pub(crate) fn connector(ca_file: Option<&Path>) -> Result<SslConnector, ErrorStack> {
    let mut connector = SslConnector::builder(SslMethod::tls_client())?;
    if let Some(file) = ca_file {
        connector.set_cert_store(X509StoreBuilder::new()?.build());
        connector.set_ca_file(file)?;
    }
    Ok(connector.build())
}

/// A connection whose server has shown a certificate for the name or address that it is reached at.
pub(crate) async fn connect(
    client: &Client,
    trusted: &SslConnector,
    config: AsyncConnectionConfig,
) -> Result<MultiplexedConnection, RedisError> {
    let info = client.get_connection_info();
    let ConnectionAddr::Tcp(host, port) = info.addr() else {
        let no_host = "TLS needs a host and a port";
        return Err(RedisError::from((ErrorKind::InvalidClientConfig, no_host)));
    };
    let socket = TcpStream::connect((host.as_str(), *port)).await?;
    socket.set_nodelay(true)?;
    let stream = meet(socket, trusted, host).await.map_err(failed)?;
    let login = info.redis_settings();
    let (connection, driver) =
        MultiplexedConnection::new_with_config(login, stream, config).await?;
    tokio::spawn(driver);
    Ok(connection)
}

async fn meet(
    socket: TcpStream,
    trusted: &SslConnector,
    host: &str,
) -> io::Result<SslStream<TcpStream>> {
    let session = trusted.configure()?.into_ssl(host)?;
    let mut stream = SslStream::new(session, socket)?;
    let met = Pin::new(&mut stream).connect().await;
    met.map_err(io::Error::other)?;
    Ok(stream)
}

fn failed(error: io::Error) -> RedisError {
    let told = io::Error::new(error.kind(), format!("redis_tls_failed: {error}"));
    RedisError::from(told)
}
