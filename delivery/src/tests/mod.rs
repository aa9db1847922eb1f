//! Delivery as a whole, scene by scene.

mod commands;
mod lifecycle;
mod live;
mod marks;
mod partitions;
mod reads;
mod resume;
