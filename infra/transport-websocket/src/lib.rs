//! Frames of a session over a WebSocket
