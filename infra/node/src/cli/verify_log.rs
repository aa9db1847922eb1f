//! `cursus verify --log`: reads every segment of the log for damage and names each damaged place. No
//! table is looked at. The node must be stopped: the log is one process's at a time.

use std::io::Write;

use anyhow::{Context, ensure};
use infra_log_embedded::TopicVerified;

use crate::adapters::log::{Kind, must_have_log, open_embedded};
use crate::config::Config;

/// Reads, prints a line a topic and one a damaged place.
pub(super) fn verify(config: &Config) -> anyhow::Result<()> {
    let here = config.log.kind == Kind::Embedded;
    ensure!(here, "the log is on Kafka: its brokers look after it");
    must_have_log(config)?;
    let log = open_embedded(config)?;
    let topics = log.verify()?;
    say(&topics).context("standard output")?;
    let places: usize = topics.iter().map(|topic| topic.damages.len()).sum();
    ensure!(places == 0, "the log is damaged in {places} places");
    Ok(())
}

fn say(topics: &[TopicVerified]) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    for verified in topics {
        let TopicVerified {
            topic,
            segments,
            records,
            bytes,
            damages,
        } = verified;
        let verdict = if damages.is_empty() {
            "whole"
        } else {
            "DAMAGED"
        };
        let name = topic.name();
        writeln!(
            out,
            "  {name:<14} {verdict:<8} {records} records, {bytes} bytes, {segments} segments"
        )?;
        for damage in damages {
            let (file, position) = (damage.file.display(), damage.position);
            writeln!(out, "    {file} at byte {position}: {}", damage.reason)?;
        }
    }
    out.flush()
}
