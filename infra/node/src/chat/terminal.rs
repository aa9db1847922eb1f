//! The chat at a terminal: a line editor on its own thread, news printed above the line being typed.
//!
//! One loop takes typed lines, news of the client and what came of earlier orders; it never waits
//! for the server, so typing goes on while the connection is gone.

use std::time::Duration;

use cursus_client::{Client, Event};
use rustyline::error::ReadlineError;
use rustyline::{DefaultEditor, ExternalPrinter};
use schemas::ids::{ChatId, UserId};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::act::{self, Question, Report, Started};
use super::order::{HELP, Line, Order, understand};
use super::view::{Effect, View};

/// Messages shown when a chat is opened.
const SHOWN: u32 = 20;
/// How long orders under way are waited for when the user ends.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// A typed line; its typist waits for the next prompt.
struct Typed {
    line: String,
    prompt: oneshot::Sender<String>,
}

struct Terminal<P> {
    client: Client,
    me: UserId,
    view: View,
    printer: P,
    /// Orders under way.
    work: JoinSet<Report>,
    /// The chat to open once the list is there.
    start: Option<String>,
}

/// Chats until the user is done or the token is refused.
///
/// # Errors
/// When the terminal cannot be used or the server does not take the token.
pub(super) async fn run(
    client: Client,
    me: UserId,
    start: Option<String>,
    address: &str,
) -> anyhow::Result<()> {
    let mut editor = DefaultEditor::new()?;
    let mut printer = editor.create_external_printer()?;
    printer.print(format!("connecting to {address} as {me} …\n"))?;
    let mut terminal = Terminal {
        view: View::new(me.clone()),
        client,
        me,
        printer,
        work: JoinSet::new(),
        start,
    };
    terminal.first_live().await?;
    terminal.spawn(Started::Asking(Question::Chats));
    terminal.settle_in().await?;
    let prompt = terminal.view.prompt();
    let (lines, typed) = mpsc::channel(1);
    std::thread::Builder::new()
        .name("line-editor".to_owned())
        .spawn(move || edit(editor, prompt, &lines))?;
    let ended = terminal.serve(typed).await;
    if timeout(LAST_WORDS, terminal.finish_work()).await.is_err() {
        let open = terminal.work.len();
        terminal.print(&format!(
            "! {open} orders have no answer yet; they may count or not"
        ))?;
    }
    terminal.client.close().await;
    ended
}

/// Reads lines until the end of input; the channel's end tells the loop.
fn edit(mut editor: DefaultEditor, mut prompt: String, lines: &mpsc::Sender<Typed>) {
    loop {
        let line = match editor.readline(&prompt) {
            Ok(line) => line,
            Err(ReadlineError::Signal(_)) => continue,
            Err(_) => return,
        };
        // A history that cannot be kept is no reason to stop.
        let _ = editor.add_history_entry(&line);
        let (next, prompted) = oneshot::channel();
        let typed = Typed { line, prompt: next };
        if lines.blocking_send(typed).is_err() {
            return;
        }
        match prompted.blocking_recv() {
            Ok(next) => prompt = next,
            Err(_) => return,
        }
    }
}

impl<P: ExternalPrinter> Terminal<P> {
    /// Waits for the first connection; what is missed until then is shown as history and counts.
    async fn first_live(&mut self) -> anyhow::Result<()> {
        let mut waiting = false;
        loop {
            match self.client.next().await {
                Some(Event::Live) => return Ok(()),
                Some(Event::Disconnected { .. }) if !waiting => {
                    waiting = true;
                    self.print("no answer yet; trying again (Ctrl-C ends)")?;
                }
                Some(_) => {}
                None => anyhow::bail!("the server does not take this token"),
            }
        }
    }

    /// Shows the chat list and the chat to start with, before the first prompt.
    async fn settle_in(&mut self) -> anyhow::Result<()> {
        self.finish_work().await?;
        self.print("/help lists the orders")
    }

    /// Waits for every order under way.
    async fn finish_work(&mut self) -> anyhow::Result<()> {
        while !self.work.is_empty() {
            tokio::select! {
                biased;
                report = self.work.join_next() => self.report(report)?,
                event = self.client.next() => self.event(event).await?,
            }
        }
        Ok(())
    }

    async fn serve(&mut self, mut typed: mpsc::Receiver<Typed>) -> anyhow::Result<()> {
        loop {
            tokio::select! {
                biased;
                line = typed.recv() => {
                    let Some(Typed { line, prompt }) = line else {
                        return Ok(());
                    };
                    if !self.line(&line).await? {
                        return Ok(());
                    }
                    // The typist may have gone meanwhile.
                    let _ = prompt.send(self.view.prompt());
                }
                report = self.work.join_next(), if !self.work.is_empty() => self.report(report)?,
                event = self.client.next() => {
                    if event.is_none() {
                        self.print("the connection is closed for good: press Enter")?;
                        typed.recv().await;
                        anyhow::bail!("the server does not take this token any more");
                    }
                    self.event(event).await?;
                }
            }
        }
    }

    async fn event(&mut self, event: Option<Event>) -> anyhow::Result<()> {
        let Some(event) = event else {
            anyhow::bail!("the server does not take this token");
        };
        for effect in self.view.event(&event) {
            match effect {
                Effect::Print(text) => self.print(&text)?,
                Effect::Read(chat, seq) => self.client.mark_read(&chat, seq).await?,
            }
        }
        Ok(())
    }

    /// Does what a line says; false when it says to end.
    async fn line(&mut self, line: &str) -> anyhow::Result<bool> {
        let started = match understand(line) {
            Line::Nothing => return Ok(true),
            Line::Wrong(why) => {
                self.print(&format!("! {why}"))?;
                return Ok(true);
            }
            Line::Order(Order::Quit) => return Ok(false),
            Line::Order(Order::Help) => {
                self.print(HELP)?;
                return Ok(true);
            }
            Line::Order(Order::Open(name)) => {
                self.open_named(&name)?;
                return Ok(true);
            }
            Line::Order(Order::Chats) => Started::Asking(Question::Chats),
            Line::Order(Order::Create { title, members }) => {
                act::create(&self.client, title, members).await?
            }
            Line::Say(text) => match self.here()? {
                Some(chat) => act::say(&self.client, &chat, text).await?,
                None => return Ok(true),
            },
            Line::Order(Order::Here(order)) => match self.here()? {
                Some(chat) => act::start(&self.client, &self.me, &chat, order).await?,
                None => return Ok(true),
            },
        };
        self.spawn(started);
        Ok(true)
    }

    /// The open chat; without one the user is told how to open it.
    fn here(&mut self) -> anyhow::Result<Option<ChatId>> {
        let chat = self.view.open_chat().cloned();
        if chat.is_none() {
            self.print("! no chat is open: /chats, then /open NAME")?;
        }
        Ok(chat)
    }

    fn open_named(&mut self, name: &str) -> anyhow::Result<()> {
        match self.view.find(name) {
            Some(chat) => {
                self.open(chat);
                Ok(())
            }
            None => self.print(&format!("! there is no chat {name:?}; /chats lists them")),
        }
    }

    fn open(&mut self, chat: ChatId) {
        self.view.open(chat.clone());
        self.spawn(Started::Asking(Question::History(chat, SHOWN)));
    }

    fn spawn(&mut self, started: Started) {
        let (client, me) = (self.client.clone(), self.me.clone());
        self.work.spawn(act::finish(client, me, started));
    }

    fn report(
        &mut self,
        report: Option<Result<Report, tokio::task::JoinError>>,
    ) -> anyhow::Result<()> {
        let Some(report) = report.transpose()? else {
            return Ok(());
        };
        let lines = match report {
            Report::Lines(lines) => lines,
            Report::Listed(chats) => {
                let lines = self.view.list(&chats, act::now());
                self.print_all(&lines)?;
                return match self.start.take() {
                    Some(name) => self.open_named(&name),
                    None => Ok(()),
                };
            }
            Report::Made(chat) => {
                self.open(chat);
                return Ok(());
            }
            Report::History(history, ticks) => {
                let (lines, read) = self.view.history(&history, &ticks);
                if let Some(seq) = read {
                    self.mark_read(history.chat, seq);
                }
                lines
            }
        };
        self.print_all(&lines)
    }

    fn mark_read(&mut self, chat: ChatId, seq: schemas::position::Seq) {
        let client = self.client.clone();
        self.work.spawn(async move {
            // A closed client is told by its events.
            let _ = client.mark_read(&chat, seq).await;
            Report::Lines(Vec::new())
        });
    }

    fn print_all(&mut self, lines: &[String]) -> anyhow::Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        self.print(&lines.join("\n"))
    }

    fn print(&mut self, text: &str) -> anyhow::Result<()> {
        Ok(self.printer.print(format!("{text}\n"))?)
    }
}
