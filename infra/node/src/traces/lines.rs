//! Lines for a person, written to standard error by a thread of their own: whoever reads there may be
//! slow, or nobody may, and no message waits for that.
//!
//! ```text
//!  any thread ─▶ waiting (at most MOST_BYTES; what is beyond is dropped and counted) ─▶ thread ─▶ stderr
//! ```
//!
//! Not `tracing-appender`, which does the same: it bounds lines and not bytes, and prints to standard
//! output, which may be gone, when its queue is full at the end.

use std::io::Write;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::{Condvar, Mutex};
use tracing_subscriber::fmt::MakeWriter;

use crate::metrics;

/// What may wait to be written; as much again may be under way.
const MOST_BYTES: usize = 256 << 10;
/// How long what waits at the end may take to be written.
const LAST_WITHIN: Duration = Duration::from_secs(1);

#[derive(Default)]
struct Waiting {
    text: Vec<u8>,
    /// Lines dropped since something was written last.
    dropped: u64,
    /// Nothing more comes.
    closed: bool,
    /// All of it is written, or nobody takes it.
    over: bool,
}

#[derive(Default)]
struct Shared {
    waiting: Mutex<Waiting>,
    changed: Condvar,
}

/// Where lines are left. Never waits for whoever reads them.
#[derive(Clone, Default)]
pub(crate) struct Lines(Arc<Shared>);

/// Writes lines while it is held. Dropping it writes what waits, for a second at most.
pub(crate) struct Writing(Lines);

/// Starts to write lines there.
///
/// # Errors
/// When there is no thread for it.
pub(crate) fn start(to: impl Write + Send + 'static) -> std::io::Result<(Lines, Writing)> {
    let lines = Lines::default();
    let shared = Arc::clone(&lines.0);
    let thread = std::thread::Builder::new().name("lines".into());
    thread.spawn(move || write_all(&shared, to))?;
    Ok((lines.clone(), Writing(lines)))
}

impl Lines {
    /// Leaves whole lines; false when nobody writes them any more.
    pub(crate) fn leave(&self, text: &[u8]) -> bool {
        let mut waiting = self.0.waiting.lock();
        if waiting.closed {
            return false;
        }
        if waiting.text.len() + text.len() > MOST_BYTES {
            waiting.dropped += 1;
            metrics::line_dropped();
        } else {
            waiting.text.extend_from_slice(text);
            self.0.changed.notify_all();
        }
        true
    }
}

impl Write for Lines {
    fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
        self.leave(text);
        Ok(text.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        let shared = &self.0.0;
        let mut waiting = shared.waiting.lock();
        waiting.closed = true;
        shared.changed.notify_all();
        // Whatever is not taken by then is left behind with its thread.
        let not_yet = |waiting: &mut Waiting| !waiting.over;
        shared
            .changed
            .wait_while_for(&mut waiting, not_yet, LAST_WITHIN);
    }
}

fn write_all(shared: &Shared, mut to: impl Write) {
    loop {
        let mut waiting = shared.waiting.lock();
        let nothing = |waiting: &mut Waiting| waiting.text.is_empty() && !waiting.closed;
        shared.changed.wait_while(&mut waiting, nothing);
        if waiting.text.is_empty() {
            waiting.over = true;
            shared.changed.notify_all();
            return;
        }
        let text = std::mem::take(&mut waiting.text);
        let dropped = std::mem::take(&mut waiting.dropped);
        drop(waiting);
        // Where nobody can be told, there is nobody to tell that.
        drop(to.write_all(&text));
        if dropped > 0 {
            drop(writeln!(to, "cursus: {dropped} lines dropped here"));
        }
        drop(to.flush());
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};

    use super::*;

    /// Takes a text each time that it is let.
    struct Slow {
        let_go: Receiver<()>,
        taken: Sender<String>,
    }

    impl Write for Slow {
        fn write(&mut self, text: &[u8]) -> std::io::Result<usize> {
            let gone = |_| std::io::Error::other("the test is over");
            self.let_go.recv().map_err(gone)?;
            let text = String::from_utf8_lossy(text).into_owned();
            self.taken.send(text.clone()).ok();
            Ok(text.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    fn slow() -> (Slow, Sender<()>, Receiver<String>) {
        let ((go, let_go), (taken, told)) = (channel(), channel());
        (Slow { let_go, taken }, go, told)
    }

    #[test]
    fn what_waits_at_the_end_is_written() {
        let (slow, go, told) = slow();
        let (lines, writing) = start(slow).unwrap();
        (0..9).for_each(|_| go.send(()).unwrap());
        for line in ["one\n", "two\n", "three\n"] {
            assert!(lines.leave(line.as_bytes()));
        }
        drop(writing);
        assert_eq!(told.try_iter().collect::<String>(), "one\ntwo\nthree\n");
        assert!(!lines.leave(b"too late\n"), "it can be said elsewhere");
    }

    #[test]
    fn what_nobody_reads_is_dropped_and_counted_and_whoever_reads_later_is_told() {
        let (slow, go, told) = slow();
        let (lines, writing) = start(slow).unwrap();
        let line = [b'x'; 1024];
        // The bound twice: what the thread has taken, and what waits behind it.
        let fits = 2 * MOST_BYTES / line.len();
        (0..fits + 100).for_each(|_| assert!(lines.leave(&line)));
        assert!(lines.0.waiting.lock().text.len() <= MOST_BYTES);
        (0..9).for_each(|_| go.send(()).unwrap());
        drop((writing, go));
        // Until the thread has ended: on a busy machine that is later than whoever drops it waits.
        let all: String = told.iter().collect();
        let (kept, dropped) = (all.matches('x').count() / line.len(), all.lines().last());
        let dropped = dropped.unwrap().rsplit(' ').nth(3).unwrap();
        assert!(kept >= MOST_BYTES / line.len());
        assert_eq!(
            kept + dropped.parse::<usize>().unwrap(),
            fits + 100,
            "{dropped}"
        );
    }

    #[test]
    fn the_end_does_not_wait_for_whoever_does_not_read() {
        let (slow, _go, _told) = slow();
        let (lines, writing) = start(slow).unwrap();
        lines.leave(b"unheard\n");
        drop(writing);
        assert!(
            !lines.0.waiting.lock().over,
            "it came back before it was read"
        );
    }
}
