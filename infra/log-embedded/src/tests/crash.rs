//! Torn ends: cut at every byte, with every subset of the last write's sectors missing.

use super::*;

/// Values that were appended one by one, and where each one's frame ends.
fn filled(home: &Home, topic: Topic, values: &[String]) -> Vec<u64> {
    let log = home.open();
    let mut frame_ends = vec![ends(&log, topic).1];
    for value in values {
        append(&log, topic, 1, value).unwrap();
        frame_ends.push(ends(&log, topic).1);
    }
    run(log.close()).unwrap();
    frame_ends
}

/// Opens, compares with what is to be left, appends, opens again: nothing cut comes back.
fn opens_with(home: &Home, topic: Topic, left: &[String], cut: bool) {
    let log = home.open();
    let report = log
        .recovery()
        .topics
        .iter()
        .find(|report| report.topic == topic)
        .unwrap();
    assert_eq!(report.cut.is_some(), cut, "{report:?}");
    assert_eq!(values(&log, topic, 1, Visibility::Durable), left);
    assert_eq!(append(&log, topic, 1, "new").unwrap(), left.len() as u64);
    run(log.sync(topic)).unwrap();
    drop(log);
    let log = home.open();
    assert!(
        log.recovery()
            .topics
            .iter()
            .all(|report| report.cut.is_none())
    );
    let mut expected = left.to_vec();
    expected.push("new".to_owned());
    assert_eq!(values(&log, topic, 1, Visibility::Durable), expected);
}

#[test]
fn a_file_cut_at_any_byte_of_its_last_records_keeps_all_whole_records_before() {
    let home = Home::new();
    let sent: Vec<String> = ["one", "two", "three and some more", ""]
        .map(Into::into)
        .to_vec();
    let frame_ends = filled(&home, Topic::Chats, &sent);
    let segment = |home: &Home| home.segment(Topic::Chats, 0);
    let written = std::fs::read(segment(&home)).unwrap();
    for cut in frame_ends[0]..=frame_ends[4] {
        let whole = frame_ends.iter().filter(|end| **end <= cut).count() - 1;
        // What is left of the frame may be the first zeros of its CRC: then nothing is torn.
        let rest = &written[frame_ends[whole] as usize..cut as usize];
        let torn = rest.iter().any(|byte| *byte != 0);
        let shortened = home.copy();
        spoil(&segment(&shortened), |bytes| bytes.truncate(cut as usize));
        opens_with(&shortened, Topic::Chats, &sent[..whole], torn);
        let zeroed = home.copy();
        spoil(&segment(&zeroed), |bytes| bytes[cut as usize..].fill(0));
        opens_with(&zeroed, Topic::Chats, &sent[..whole], torn);
    }
}

#[test]
fn whichever_sectors_of_the_last_write_are_missing_it_is_cut_whole() {
    let home = Home::new();
    let before = vec!["before".to_owned(), "also before".to_owned()];
    filled(&home, Topic::Chats, &before);
    let log = home.open();
    let start = ends(&log, Topic::Chats).1;
    let batch = (0..6)
        .map(|n| record(format!("{n}{}", "x".repeat(400))))
        .collect();
    run(log.append(Topic::Chats, Partition(1), batch)).unwrap();
    let end = ends(&log, Topic::Chats).1;
    drop(log);
    let sectors: Vec<u64> = (start / 512..=(end - 1) / 512).collect();
    assert!(sectors.len() >= 5);
    for missing in 1_u32..1 << sectors.len() {
        let torn = home.copy();
        spoil(&torn.segment(Topic::Chats, 0), |bytes| {
            let lost = sectors
                .iter()
                .enumerate()
                .filter(|(n, _)| missing & 1 << n != 0);
            for (_, sector) in lost {
                let from = (sector * 512).max(start);
                bytes[from as usize..((sector + 1) * 512).min(end) as usize].fill(0);
            }
        });
        // Without any of it nothing says that there was a write.
        let rest = missing + 1 < 1 << sectors.len();
        opens_with(&torn, Topic::Chats, &before, rest);
    }
}

#[test]
fn what_was_cut_never_comes_back_when_its_place_is_written_again() {
    let home = Home::new();
    let log = home.open();
    append(&log, Topic::Users, 1, "synced").unwrap();
    run(log.sync(Topic::Users)).unwrap();
    let mut frame_ends = vec![ends(&log, Topic::Users).1];
    for value in ["first ", "second", "third "] {
        append(&log, Topic::Users, 1, value).unwrap();
        frame_ends.push(ends(&log, Topic::Users).1);
    }
    drop(log);
    spoil(&home.segment(Topic::Users, 0), |bytes| {
        bytes[frame_ends[0] as usize..frame_ends[1] as usize].fill(0);
    });
    let log = home.open();
    let cut = log
        .recovery()
        .topics
        .iter()
        .find_map(|report| report.cut.clone())
        .unwrap();
    assert_eq!(cut.file, home.segment(Topic::Users, 0));
    assert_eq!(cut.position, frame_ends[0]);
    assert_eq!(cut.bytes, frame_ends[3] - frame_ends[0]);
    // As long as what stood there: the rest would join on behind it.
    append(&log, Topic::Users, 1, "FIRST ").unwrap();
    drop(log);
    let log = home.open();
    assert_eq!(
        values(&log, Topic::Users, 1, Visibility::Durable),
        ["synced", "FIRST "]
    );
}

#[test]
fn a_segment_that_was_made_ready_or_begun_in_part_is_no_segment() {
    let home = Home::new();
    let sent = vec!["a".to_owned(), "b".to_owned()];
    filled(&home, Topic::Chats, &sent);
    let head = std::fs::read(home.segment(Topic::Chats, 0)).unwrap()[..60].to_vec();
    for half_a_head in [
        vec![],
        vec![0; 8192],
        head[..30].to_vec(),
        [head, vec![0; 9000]].concat(),
    ] {
        let copy = home.copy();
        std::fs::write(copy.segment(Topic::Chats, 1), half_a_head).unwrap();
        opens_with(&copy, Topic::Chats, &sent, false);
        assert!(!copy.segment(Topic::Chats, 1).exists());
    }
}

#[test]
fn a_crash_at_any_segment_boundary_loses_nothing() {
    let home = Home::with(Config {
        segment_bytes: 4096,
        zero_ahead_bytes: 1024,
        ..Config::default()
    });
    let mut sent: Vec<String> = Vec::new();
    for round in 0..12 {
        let log = home.open();
        assert!(
            log.recovery()
                .topics
                .iter()
                .all(|report| report.cut.is_none())
        );
        assert_eq!(values(&log, Topic::Chats, 1, Visibility::Durable), sent);
        for n in 0..round {
            let value = format!("{round}.{n}.{}", "z".repeat(700));
            assert_eq!(
                append(&log, Topic::Chats, 1, &value).unwrap(),
                sent.len() as u64
            );
            sent.push(value);
        }
    }
}
