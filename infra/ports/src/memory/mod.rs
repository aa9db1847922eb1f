//! In-memory adapters: fast tests and the simulation run on them.
