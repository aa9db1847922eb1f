//! One connection after its hello: reads frames, keeps it alive, notices its end.

use std::time::Instant;

use bytes::BytesMut;
use parking_lot::Mutex;

use crate::config::Config;
use crate::frames::{Frame, FrameError};
use crate::outbox::Outbox;
use crate::wire::Wire;

/// Bytes read at once.
const READ_BYTES: usize = 256 << 10;

/// Why a connection ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum End {
    #[error("closed by this end")]
    Closed,
    #[error("closed by the other end")]
    Left,
    #[error("the other end takes too slowly: its queue is full")]
    Overflow,
    #[error("nothing came for too long")]
    Silent,
    #[error("lost: {0}")]
    Lost(String),
    #[error("the other end does not speak the protocol: {0}")]
    Malformed(#[from] FrameError),
    #[error("the other end sent a frame that is not its to send")]
    Unexpected,
}

/// Serves a connection until its end; `take` is given the frames that came together, pings left out.
pub(crate) async fn serve(
    wire: &Wire,
    outbox: &Outbox,
    config: &Config,
    take: impl FnMut(Vec<Frame>) -> Result<(), End>,
) -> End {
    let heard = Mutex::new(Instant::now());
    let end = tokio::select! {
        biased;
        end = outbox.drive() => end,
        end = read(wire, &heard, take) => end,
        end = beat(outbox, config, &heard) => end,
    };
    outbox.close();
    end
}

async fn read(
    wire: &Wire,
    heard: &Mutex<Instant>,
    mut take: impl FnMut(Vec<Frame>) -> Result<(), End>,
) -> End {
    let mut bytes = BytesMut::new();
    loop {
        bytes.reserve(READ_BYTES);
        match wire.read(&mut bytes).await {
            Ok(0) => return End::Left,
            Ok(_) => {}
            Err(error) => return End::Lost(error.to_string()),
        }
        let taken = whole(&mut bytes).and_then(&mut take);
        if let Err(end) = taken {
            return end;
        }
        // After: what took long to take is not the other end's silence.
        *heard.lock() = Instant::now();
    }
}

/// All whole frames but pings.
fn whole(bytes: &mut BytesMut) -> Result<Vec<Frame>, End> {
    let mut frames = Vec::new();
    while let Some(frame) = Frame::decode(bytes)? {
        if frame != Frame::Ping {
            frames.push(frame);
        }
    }
    Ok(frames)
}

/// Says something now and then, and listens whether the other end does.
async fn beat(outbox: &Outbox, config: &Config, heard: &Mutex<Instant>) -> End {
    loop {
        tokio::time::sleep(config.ping_every).await;
        if heard.lock().elapsed() > config.silent_for {
            return End::Silent;
        }
        if !outbox.spoke() {
            outbox.put(|into| Frame::Ping.encode(into));
        }
    }
}
