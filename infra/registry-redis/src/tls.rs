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

#[cfg(test)]
mod tests {
    use openssl::asn1::Asn1Time;
    use openssl::ec::{EcGroup, EcKey};
    use openssl::hash::MessageDigest;
    use openssl::nid::Nid;
    use openssl::pkey::{PKey, Private};
    use openssl::ssl::{Ssl, SslAcceptor};
    use openssl::x509::extension::{BasicConstraints, SubjectAlternativeName};
    use openssl::x509::{X509, X509Name};
    use tokio::net::TcpListener;

    use super::*;

    /// A certificate for this name or address, under an authority that is made with it.
    struct Shown {
        authority: X509,
        certificate: X509,
        key: PKey<Private>,
    }

    fn key() -> PKey<Private> {
        let curve = EcGroup::from_curve_name(Nid::X9_62_PRIME256V1).unwrap();
        PKey::from_ec_key(EcKey::generate(&curve).unwrap()).unwrap()
    }

    fn named(name: &str) -> X509Name {
        let mut named = X509Name::builder().unwrap();
        named.append_entry_by_text("CN", name).unwrap();
        named.build()
    }

    fn signed(
        subject: &str,
        key: &PKey<Private>,
        signs: &PKey<Private>,
        extend: impl FnOnce(&mut openssl::x509::X509Builder),
    ) -> X509 {
        let mut builder = X509::builder().unwrap();
        builder.set_version(2).unwrap();
        builder.set_subject_name(&named(subject)).unwrap();
        builder.set_issuer_name(&named("authority")).unwrap();
        builder.set_pubkey(key).unwrap();
        let days = |days| Asn1Time::days_from_now(days).unwrap();
        builder.set_not_before(&days(0)).unwrap();
        builder.set_not_after(&days(1)).unwrap();
        extend(&mut builder);
        builder.sign(signs, MessageDigest::sha256()).unwrap();
        builder.build()
    }

    impl Shown {
        fn of(address: &str) -> Self {
            let (of_authority, key) = (key(), key());
            let authority = signed("authority", &of_authority, &of_authority, |builder| {
                let extension = BasicConstraints::new().critical().ca().build().unwrap();
                builder.append_extension(extension).unwrap();
            });
            let certificate = signed("server", &key, &of_authority, |builder| {
                let context = builder.x509v3_context(Some(&authority), None);
                let names = SubjectAlternativeName::new().ip(address).build(&context);
                builder.append_extension(names.unwrap()).unwrap();
            });
            Self {
                authority,
                certificate,
                key,
            }
        }

        /// Meets a server at 127.0.0.1 that shows this, trusting its authority.
        async fn meet(self) -> io::Result<()> {
            let folder = tempfile::tempdir().unwrap();
            let file = folder.path().join("ca.pem");
            std::fs::write(&file, self.authority.to_pem().unwrap()).unwrap();
            let trusted = connector(Some(&file)).unwrap();
            let mut acceptor = SslAcceptor::mozilla_modern_v5(SslMethod::tls_server()).unwrap();
            acceptor.set_private_key(&self.key).unwrap();
            acceptor.set_certificate(&self.certificate).unwrap();
            let acceptor = acceptor.build();

            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let address = listener.local_addr().unwrap();
            let serves = async {
                let (socket, _) = listener.accept().await.unwrap();
                let session = Ssl::new(acceptor.context()).unwrap();
                let mut stream = SslStream::new(session, socket).unwrap();
                Pin::new(&mut stream).accept().await.ok();
            };
            let comes = async {
                let socket = TcpStream::connect(address).await.unwrap();
                meet(socket, &trusted, "127.0.0.1").await
            };
            let (met, ()) = tokio::join!(comes, serves);
            met.map(drop)
        }
    }

    #[tokio::test]
    async fn a_server_is_trusted_for_the_address_in_its_certificate_only() {
        Shown::of("127.0.0.1").meet().await.unwrap();
        let error = Shown::of("127.0.0.2").meet().await.unwrap_err();
        assert!(error.to_string().contains("verify failed"), "{error}");
    }

    #[test]
    fn who_names_authorities_trusts_no_others() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let authority = Shown::of("127.0.0.1").authority;
        std::fs::write(file.path(), authority.to_pem().unwrap()).unwrap();
        let trusted = connector(Some(file.path())).unwrap();
        let all = trusted.context().cert_store().all_certificates();
        assert_eq!(all.len(), 1);
    }
}
