//! `POST /v1/chats/{chat}/messages`: send a message.

use axum::extract::State;
use axum::response::Response;
use schemas::frames::{Command, Send, WireBody};
use schemas::ids::ClientId;
use schemas::position::Seq;
use serde::Deserialize;

use super::Api;
use super::answer::Failure;
use super::request::{Caller, Fields, InChat};

/// The fields of `send`, but for the chat.
#[derive(Deserialize)]
pub(super) struct Sending {
    client_id: ClientId,
    body: WireBody,
    #[serde(default)]
    reply_to: Option<Seq>,
}

/// Sends a message to the chat of the path.
pub(super) async fn send(
    State(api): State<Api>,
    Caller(who): Caller,
    InChat(chat): InChat,
    Fields(sending): Fields<Sending>,
) -> Result<Response, Failure> {
    let Sending {
        client_id,
        body,
        reply_to,
    } = sending;
    api.carry_out(
        &who,
        Command::Send(Send {
            chat,
            client_id,
            body,
            reply_to,
        }),
    )
    .await
}
