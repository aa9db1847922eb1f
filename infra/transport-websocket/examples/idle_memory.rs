//! How much memory an idle connection takes: opens pairs on loopback and looks at the process's
//! resident memory before and after. Both ends of a pair are here, but the client's is a bare
//! `std` stream without a buffer, so nearly all of the difference is the server's.
//!
//! `cargo run --release -p infra-transport-websocket --example idle_memory -- 4000 [text bytes]`:
//! with a second number every client first sends a text of that size.
#![allow(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement, run by hand, that prints its result"
)]

use std::io::Write;
use std::net::TcpStream;

use infra_ports::Inbound;
use infra_transport_websocket::{Config, Halves, open_stream};

type AnyError = Box<dyn std::error::Error>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let mut numbers = std::env::args()
        .skip(1)
        .map(|number| number.parse::<usize>());
    let connections = numbers.next().transpose()?.unwrap_or(4000);
    let text_bytes = numbers.next().transpose()?.unwrap_or(5);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    // What is taken once, for the first connection, is not what is measured.
    let _first = connect(&listener, text_bytes).await?;
    let before = resident_bytes()?;
    let mut open = Vec::with_capacity(connections);
    for _ in 0..connections {
        open.push(connect(&listener, text_bytes).await?);
    }
    let each = resident_bytes()?.saturating_sub(before) / connections;
    println!("{connections} connections, texts of {text_bytes} bytes: {each} bytes each");
    Ok(())
}

/// A connection that has read one text, and now waits.
async fn connect(
    listener: &tokio::net::TcpListener,
    text_bytes: usize,
) -> Result<(TcpStream, Halves), AnyError> {
    let mut client = TcpStream::connect(listener.local_addr()?)?;
    let (stream, _) = listener.accept().await?;
    let (mut reader, writer) = open_stream(stream, &bytes::Bytes::new(), &Config::default())?;
    let mut frame = vec![0x81];
    match (u8::try_from(text_bytes), u16::try_from(text_bytes)) {
        (Ok(short), _) if short < 126 => frame.push(0x80 | short),
        (_, Ok(middle)) => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&middle.to_be_bytes());
        }
        _ => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&u64::try_from(text_bytes)?.to_be_bytes());
        }
    }
    frame.extend_from_slice(&[0; 4]);
    frame.resize(frame.len() + text_bytes, b'x');
    let sending = std::thread::spawn(move || client.write_all(&frame).map(|()| client));
    let read = reader.next().await?;
    assert!(
        matches!(read, Inbound::Text(text) if text.len() == text_bytes),
        "a text was sent"
    );
    let client = sending
        .join()
        .map_err(|_| "the sending thread panicked")??;
    Ok((client, (reader, writer)))
}

fn resident_bytes() -> Result<usize, AnyError> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    let kilobytes = line
        .and_then(|line| line.trim().strip_suffix(" kB"))
        .ok_or("no VmRSS")?;
    Ok(kilobytes.trim().parse::<usize>()? * 1024)
}
