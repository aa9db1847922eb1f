//! Folds and the engine that runs them: chats, inbox, receipts, settings
