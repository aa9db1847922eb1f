//! The laws of the ports, run by every adapter.
