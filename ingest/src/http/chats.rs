//! `POST /v1/chats`: create a group.

use axum::extract::State;
use axum::response::Response;
use schemas::frames::{Command, CreateGroup};

use super::Api;
use super::answer::Failure;
use super::request::{Caller, Fields};

/// Creates a group; the body has the fields of `create_group`.
pub(super) async fn create(
    State(api): State<Api>,
    Caller(who): Caller,
    Fields(group): Fields<CreateGroup>,
) -> Result<Response, Failure> {
    api.carry_out(&who, Command::CreateGroup(group)).await
}
