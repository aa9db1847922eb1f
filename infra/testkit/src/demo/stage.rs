//! Where the demo is seen: one aligned line for everything that happens, in colour on a terminal.
//!
//! Knows how things look and nothing of what they mean.

use std::io::{self, Write};
use std::time::{Duration, Instant};

/// Colours, by the number of the terminal's escape sequence.
const BOLD: &str = "1";
const FAINT: &str = "2";
const RED: &str = "31";
const GREEN: &str = "32";
const YELLOW: &str = "33";

/// Width of the column of who acts, and of the one of what they do.
const WHO: usize = 5;
const WHAT: usize = 14;

/// The place where lines are shown.
pub struct Stage {
    out: Box<dyn Write + Send>,
    colours: bool,
    pace: Duration,
    begun: Instant,
    scenes: u32,
}

impl Stage {
    /// A stage on any writer; after each line it rests for `pace`, so that people can follow.
    pub fn new(out: Box<dyn Write + Send>, colours: bool, pace: Duration) -> Self {
        Self {
            out,
            colours,
            pace,
            begun: Instant::now(),
            scenes: 0,
        }
    }

    /// A heading.
    pub(super) fn scene(&mut self, title: &str) -> io::Result<()> {
        self.scenes += 1;
        let heading = format!("{}  {title}", self.scenes);
        let heading = self.coloured(BOLD, &heading);
        writeln!(self.out, "\n{heading}")?;
        self.out.flush()
    }

    /// Somebody speaks.
    pub(super) fn says(&mut self, who: &str, to: &str, text: &str) -> io::Result<()> {
        let text = self.coloured(BOLD, text);
        self.line(who, &format!("→ {to}"), &text)
    }

    /// Somebody sees an entry.
    pub(super) fn sees(&mut self, who: &str, from: &str, text: &str) -> io::Result<()> {
        self.line(who, &format!("← {from}"), text)
    }

    /// Something about a person or the node.
    pub(super) fn tells(&mut self, who: &str, what: &str, text: &str) -> io::Result<()> {
        self.line(who, what, text)
    }

    /// Something that ends badly on purpose.
    pub(super) fn breaks(&mut self, who: &str, what: &str, text: &str) -> io::Result<()> {
        let text = self.coloured(RED, text);
        self.line(who, what, &text)
    }

    /// Something that was promised and has been found to hold.
    pub(super) fn holds(&mut self, what: &str, text: &str) -> io::Result<()> {
        let mark = self.coloured(GREEN, "holds");
        self.line("", what, &format!("{mark}  {text}"))
    }

    /// Something that was promised and does not hold.
    pub(super) fn fails(&mut self, what: &str, text: &str) -> io::Result<()> {
        let mark = self.coloured(RED, "BROKEN");
        self.line("", what, &format!("{mark} {text}"))
    }

    /// A line of another program.
    pub(super) fn quotes(&mut self, text: &str) -> io::Result<()> {
        let text = self.coloured(FAINT, text);
        self.line("", "", &text)
    }

    fn line(&mut self, who: &str, what: &str, text: &str) -> io::Result<()> {
        let at = format!("{:>7.2}", self.begun.elapsed().as_secs_f64());
        let at = self.coloured(FAINT, &at);
        let who = self.coloured(YELLOW, &format!("{who:<WHO$}"));
        let line = format!("  {at}  {who}  {what:<WHAT$}  {text}");
        writeln!(self.out, "{}", line.trim_end())?;
        self.out.flush()?;
        std::thread::sleep(self.pace);
        Ok(())
    }

    fn coloured(&self, colour: &str, text: &str) -> String {
        if self.colours {
            format!("\x1b[{colour}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use parking_lot::Mutex;

    use super::*;

    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn shown(colours: bool, act: impl FnOnce(&mut Stage)) -> String {
        let page = Page::default();
        act(&mut Stage::new(
            Box::new(page.clone()),
            colours,
            Duration::ZERO,
        ));
        let bytes = page.0.lock().clone();
        String::from_utf8(bytes).unwrap()
    }

    #[test]
    fn lines_are_aligned_and_without_escapes_where_there_is_no_terminal() {
        let text = shown(false, |stage| {
            stage.scene("Two people").unwrap();
            stage.says("ada", "bob", "hello").unwrap();
            stage.sees("bob", "ada", "hello").unwrap();
        });
        assert!(!text.contains('\x1b'), "{text}");
        let columns: Vec<usize> = text
            .lines()
            .filter_map(|l| l.split("hello").next().map(|b| b.chars().count()))
            .collect();
        assert_eq!(columns[2], columns[3], "{text}");
        assert!(text.starts_with("\n1  Two people\n"), "{text}");
    }

    #[test]
    fn terminal_gets_colours_and_each_is_switched_off_again() {
        let text = shown(true, |stage| stage.holds("order", "same for all").unwrap());
        assert_eq!(
            text.matches("\x1b[0m").count() * 2,
            text.matches('\x1b').count(),
            "{text}"
        );
    }
}
