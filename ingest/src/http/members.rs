//! `/v1/chats/{chat}/members`: add a member, set a role, remove a member or leave.

use axum::extract::State;
use axum::response::Response;
use schemas::events::Role;
use schemas::frames::{AddMember, Command, Leave, RemoveMember, SetRole};
use schemas::ids::{ClientId, UserId};
use serde::Deserialize;

use super::Api;
use super::answer::Failure;
use super::request::{Asked, Caller, Fields, InChat, MemberOf};

/// The fields of `add_member`, but for the chat.
#[derive(Deserialize)]
pub(super) struct Adding {
    client_id: ClientId,
    user: UserId,
    #[serde(default)]
    role: Role,
}

/// The fields of `set_role`, but for chat and user.
#[derive(Deserialize)]
pub(super) struct NewRole {
    client_id: ClientId,
    role: Role,
}

/// What a DELETE, which has no body, says in its query.
#[derive(Deserialize)]
pub(super) struct Removing {
    client_id: ClientId,
}

/// Adds a member to the group of the path.
pub(super) async fn add(
    State(api): State<Api>,
    Caller(who): Caller,
    InChat(chat): InChat,
    Fields(adding): Fields<Adding>,
) -> Result<Response, Failure> {
    let Adding {
        client_id,
        user,
        role,
    } = adding;
    api.carry_out(
        &who,
        Command::AddMember(AddMember {
            chat,
            client_id,
            user,
            role,
        }),
    )
    .await
}

/// Gives the member of the path another role.
pub(super) async fn set_role(
    State(api): State<Api>,
    Caller(who): Caller,
    MemberOf(chat, user): MemberOf,
    Fields(role): Fields<NewRole>,
) -> Result<Response, Failure> {
    let NewRole { client_id, role } = role;
    api.carry_out(
        &who,
        Command::SetRole(SetRole {
            chat,
            client_id,
            user,
            role,
        }),
    )
    .await
}

/// Removes the member of the path; whoever removes themselves leaves.
pub(super) async fn remove(
    State(api): State<Api>,
    Caller(who): Caller,
    MemberOf(chat, user): MemberOf,
    Asked(removing): Asked<Removing>,
) -> Result<Response, Failure> {
    let client_id = removing.client_id;
    let command = if user == who.user {
        Command::Leave(Leave { chat, client_id })
    } else {
        Command::RemoveMember(RemoveMember {
            chat,
            client_id,
            user,
        })
    };
    api.carry_out(&who, command).await
}
