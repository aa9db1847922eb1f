//! Who is let in: a node that delivers nothing any more says so, and no address takes all places.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    reason = "a test may fail loudly"
)]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use infra_testkit::platform::Platform;

/// Asks once over a connection of its own and answers all that comes.
fn ask(address: SocketAddr, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    // A connection that was turned away may be gone already.
    drop(stream.write_all(request.as_bytes()));
    let mut answer = Vec::new();
    drop(stream.read_to_end(&mut answer));
    String::from_utf8(answer).unwrap()
}

/// Asks until the answer is as wanted.
async fn until(address: SocketAddr, path: &'static str, wanted: impl Fn(&str) -> bool) -> String {
    let asked = async {
        loop {
            let answer = tokio::task::spawn_blocking(move || ask(address, path));
            let answer = answer.await.unwrap();
            if wanted(&answer) {
                return answer;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    let asked = tokio::time::timeout(Duration::from_secs(30), asked).await;
    asked.expect("the wanted answer in time")
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_when_nothing_is_delivered_any_more_is_told_to_go_elsewhere() {
    let mut log = None;
    let platform = Platform::start_on(
        |_| {},
        |adapters| {
            log = Some(adapters.log.clone());
            adapters
        },
    );
    let platform = platform.await.unwrap();
    log.unwrap().close().await.unwrap();
    let address = platform.node().address();
    let refused = |answer: &str| answer.contains("\"shutting_down\"");
    let answer = until(address, "/v1/connect", refused).await;
    assert!(answer.starts_with("HTTP/1.1 503"), "{answer}");
    let (dead, report) = ("HTTP/1.1 503", until(address, "/readyz", |_| true).await);
    assert!(report.starts_with(dead), "{report}");
    platform.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_address_never_takes_all_places() {
    let platform = Platform::start_with(|config| config.connections_per_address = 2);
    let platform = platform.await.unwrap();
    let address = platform.node().address();
    let held = [TcpStream::connect(address), TcpStream::connect(address)];
    until(address, "/healthz", str::is_empty).await;
    drop(held);
    let answer = until(address, "/healthz", |answer| !answer.is_empty()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    platform.shutdown().await;
}
