//! The embedded table store: ordered keys on fjall
