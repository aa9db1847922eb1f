//! The embedded event log: one chain of segment files a topic, group commit, crash recovery
