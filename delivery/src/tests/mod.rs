//! Delivery as a whole, scene by scene.

mod chat_list;
mod commands;
mod desk;
mod lifecycle;
mod live;
mod marks;
mod partitions;
mod reads;
mod resume;
mod standby;
