//! Open-loop load on a real node, over sockets.

pub mod cast;
pub mod cost;
pub mod measure;
pub mod stage;

pub mod away;
pub mod day;
pub mod first;
pub mod group;
pub mod highest;
pub mod history;
pub mod idle;
pub mod one_to_one;
