//! The track against a model.
