//! The terminal chat: `cursus chat --as ada --with bob`.
//!
//! A user of the client library like any other. At a terminal it shows chats, history and live
//! messages with their ticks and takes orders that begin with `/`; with lines piped in it sends
//! them. `order`, `render` and `view` decide and are pure; `act`, `terminal` and `piped` do.

mod act;
mod order;
mod piped;
mod render;
mod terminal;
mod view;

use std::io::IsTerminal;
use std::path::PathBuf;

use anyhow::{Context, bail};
use cursus_client::{Client, Config, Marking};
use schemas::frames::ChatSummary;
use schemas::ids::{ChatId, UserId};

use self::view::View;

/// What `cursus chat` takes.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct ChatOptions {
    /// The server
    #[arg(long, default_value = "ws://127.0.0.1:7800", value_name = "URL")]
    pub(crate) server: String,
    /// Who you are, [a-z0-9_-]
    #[arg(long = "as", value_name = "USER")]
    pub(crate) user: String,
    /// On which device, [a-z0-9_-]
    #[arg(long, default_value = "terminal")]
    pub(crate) device: String,
    /// Open the chat with this user
    #[arg(long, value_name = "USER", conflicts_with = "group")]
    pub(crate) with: Option<String>,
    /// Open this group, by its id or title
    #[arg(long, value_name = "GROUP")]
    pub(crate) group: Option<String>,
    /// An access token, which everybody on this machine can see here; else it is taken from
    /// --token-file, from CURSUS_TOKEN, or made from the node's development key
    #[arg(long, value_name = "TOKEN", conflicts_with = "token_file")]
    pub(crate) token: Option<String>,
    /// A file that holds an access token
    #[arg(long, value_name = "FILE")]
    pub(crate) token_file: Option<PathBuf>,
}

/// Chats in the terminal, or, when the input is no terminal, sends its lines as messages and
/// prints those that come.
///
/// # Errors
/// When the options name nobody, the token is missing or refused, or (with lines piped in) a
/// message was refused.
pub(crate) async fn run(options: ChatOptions) -> anyhow::Result<()> {
    let me = UserId::new(&options.user).with_context(|| format!("--as {:?}", options.user))?;
    let Some(token) = options.token.clone() else {
        bail!("--token is missing");
    };
    let with = options.with.as_deref();
    let with = with.map(|with| direct(&me, with)).transpose()?;
    let mut config = Config::new(&options.server, token);
    // Nothing is kept here: the server's marks tell what was shown.
    config.session.verify_heads = false;
    if std::io::stdin().is_terminal() {
        // By its id: a group may have somebody's name as its title.
        let start = with.map(|chat| chat.to_string()).or(options.group);
        return terminal::run(Client::connect(config), me, start, &options.server).await;
    }
    let chat = named(&config, &me, &options).await?;
    let client = Client::connect(config);
    let outputs = piped::Outputs {
        lines: std::io::stdout(),
        complaints: std::io::stderr(),
        terminal: std::io::stdout().is_terminal(),
    };
    let input = std::io::BufReader::new(std::io::stdin());
    let sent = piped::run(&client, &me, &chat, input, outputs).await;
    client.close().await;
    sent
}

fn direct(me: &UserId, with: &str) -> anyhow::Result<ChatId> {
    let other = UserId::new(with).with_context(|| format!("--with {with:?}"))?;
    ChatId::direct(me, &other).context("--with: somebody else than --as")
}

/// The chat that the options name. A group's title is looked up in the chat list.
async fn named(config: &Config, me: &UserId, options: &ChatOptions) -> anyhow::Result<ChatId> {
    let group = match (&options.with, &options.group) {
        (Some(with), _) => return direct(me, with),
        (None, Some(group)) => group,
        (None, None) => bail!("lines are piped in: say to whom, --with USER or --group GROUP"),
    };
    if let Ok(chat) = ChatId::new(group) {
        return Ok(chat);
    }
    let mut view = View::new(me.clone());
    view.list(&look_up(config).await?, act::now());
    let found = view.find(group).filter(ChatId::is_group);
    found.with_context(|| format!("{me} is in no group {group:?}"))
}

/// The chat list, over a connection of its own that marks nothing: what it is told on the side is
/// told again to the one that shows it.
async fn look_up(config: &Config) -> anyhow::Result<Vec<ChatSummary>> {
    let mut config = config.clone();
    config.session.marking = Marking::Off;
    let client = Client::connect(config);
    let pass_over = async { while client.next().await.is_some() {} };
    let chats = tokio::select! {
        biased;
        chats = act::chats(&client) => chats,
        () = pass_over => bail!("the server does not take this token"),
    };
    client.close().await;
    Ok(chats?)
}
