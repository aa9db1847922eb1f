//! Settings of the projectors, one engine each.

use serde::{Deserialize, Serialize};

use crate::engine::config::EngineConfig;

/// How each projection's engine is sized.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Of chats.
    pub chats: EngineConfig,
    /// Of inbox.
    pub inbox: EngineConfig,
    /// Of receipts.
    pub receipts: EngineConfig,
    /// Of settings.
    pub settings: EngineConfig,
}
