//! What can be said to `cursus-load`: one file for each of its commands.

pub mod run;
