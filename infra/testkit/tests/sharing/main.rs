//! Projectors that share their partitions, on a real Kafka: one comes, one leaves in order, one goes
//! on with what was given to another, a whole node is killed. Tables and `users` are as if there had
//! been one of them. How long news waited at each of these is printed.

#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    clippy::disallowed_methods,
    clippy::print_stdout,
    reason = "a test may fail loudly"
)]

mod engines;
mod feed;
mod nodes;

use infra_servers::Servers;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn engines_that_come_leave_or_do_not_hear_that_they_lost_all_are_as_one() {
    let servers = Servers::start(&["kafka"]).unwrap();
    engines::come_leave_and_do_not_hear(&servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_node_folded_the_other_one_folds() {
    let servers = Servers::start(&["kafka", "cassandra"]).unwrap();
    nodes::one_of_two_is_killed(&servers).await;
}
