//! Everything that reads what others wrote, one file each.

mod chain;
mod commands;
mod events;
mod handshake;
mod http;
mod news;
mod recovery;
mod rows;
mod segments;
mod tokens;
mod websocket;

/// Bytes that any reader may use, whatever it is given: its own tables and buffers.
const BASE_BYTES: u64 = 64 * 1024;

/// One reader, and what it promises.
pub trait Target: Send + Sync {
    /// What it is called.
    fn name(&self) -> &'static str;

    /// Valid inputs to begin with.
    fn samples(&self) -> Vec<Vec<u8>>;

    /// The most bytes that this thread may have allocated at one moment for an input of this
    /// length.
    fn bound_bytes(&self, input_bytes: usize) -> u64;

    /// Hands the input to the reader.
    ///
    /// # Panics
    /// When the reader breaks a promise.
    fn run(&self, input: &[u8]);
}

/// All targets, in the order of their names.
pub fn all() -> Vec<Box<dyn Target>> {
    vec![
        Box::new(commands::Commands::new()),
        Box::new(events::Events),
        Box::new(handshake::Handshake),
        Box::new(http::Http::new()),
        Box::new(news::News),
        Box::new(recovery::Recovery::new()),
        Box::new(rows::Rows),
        Box::new(segments::Segments::new()),
        Box::new(tokens::Tokens::new()),
        Box::new(websocket::Websocket::new()),
    ]
}

/// The target of this name, if there is one.
pub fn named(name: &str) -> Option<Box<dyn Target>> {
    all().into_iter().find(|target| target.name() == name)
}

/// A bound that grows with the input.
fn linear(input_bytes: usize, factor: u64) -> u64 {
    BASE_BYTES.saturating_add(factor.saturating_mul(input_bytes as u64))
}
