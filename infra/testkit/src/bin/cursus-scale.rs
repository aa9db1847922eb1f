//! `cursus-scale`: how evenly load falls on partitions, brokers and workers. `docs/scale.md` quotes it.

#![allow(
    clippy::print_stdout,
    reason = "a program of the command line speaks on standard output"
)]

fn main() -> std::process::ExitCode {
    match infra_testkit::scale::report() {
        Ok(report) => {
            print!("{report}");
            std::process::ExitCode::SUCCESS
        }
        Err(_) => std::process::ExitCode::FAILURE,
    }
}
