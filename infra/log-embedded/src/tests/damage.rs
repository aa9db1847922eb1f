//! A flipped bit in every region: noticed, named, and never mistaken for a torn end.

use super::*;

/// A log with one segment and `count` small records in chats/1, all within one sector; returns
/// where each frame begins and where the last one ends.
fn small(home: &Home, count: usize) -> Vec<u64> {
    let log = home.open();
    let mut frames = vec![ends(&log, Topic::Chats).1];
    for n in 0..count {
        append(&log, Topic::Chats, 1, &format!("value {n}")).unwrap();
        frames.push(ends(&log, Topic::Chats).1);
    }
    run(log.close()).unwrap();
    assert!(frames[count] < 512);
    frames
}

/// A log whose chats hold several sealed segments of 150 records in each of two partitions.
fn sealed() -> Home {
    let home = Home::with(Config {
        segment_bytes: 4096,
        zero_ahead_bytes: 1024,
        memory_bytes: 0,
        index_every_bytes: 128,
        ..Config::default()
    });
    let log = home.open();
    for n in 0..150 {
        let batches = vec![
            (Partition(1), vec![record(format!("{n}.1"))]),
            (Partition(2), vec![record(format!("{n}.2"))]),
        ];
        run(log.append_all(Topic::Chats, batches)).unwrap();
    }
    run(log.close()).unwrap();
    drop(log);
    assert!(home.open().recovery().topics[0].segments >= 3);
    home
}

fn expected(partition: u32) -> Vec<String> {
    (0..150).map(|n| format!("{n}.{partition}")).collect()
}

#[test]
fn a_flipped_bit_anywhere_in_a_record_of_the_active_segment_stops_the_open_and_is_named() {
    let home = Home::new();
    let frames = small(&home, 4);
    for (frame, end) in frames.iter().zip(&frames[1..]) {
        for byte in *frame..*end {
            let copy = home.copy();
            spoil(&copy.segment(Topic::Chats, 0), |bytes| {
                bytes[byte as usize] ^= 1 << (byte % 8);
            });
            let OpenError::Damaged { file, position, .. } = copy.refusal() else {
                panic!("byte {byte} of {frame}..{end}");
            };
            assert_eq!((file, position), (copy.segment(Topic::Chats, 0), *frame));
        }
    }
}

#[test]
fn a_record_in_the_middle_that_vanished_is_damage_not_a_torn_end() {
    let home = Home::new();
    let frames = small(&home, 4);
    for n in 0..3 {
        let copy = home.copy();
        spoil(&copy.segment(Topic::Chats, 0), |bytes| {
            bytes[frames[n] as usize..frames[n + 1] as usize].fill(0);
        });
        let refusal = copy.refusal();
        assert!(
            matches!(&refusal, OpenError::Damaged { position, .. } if *position == frames[n]),
            "{refusal}"
        );
        let text = refusal.to_string();
        assert!(
            text.contains(&frames[n].to_string()) && text.contains(".segment"),
            "{text}"
        );
    }
}

#[test]
fn a_flipped_bit_anywhere_in_the_head_of_a_segment_or_in_the_root_stops_the_open() {
    let home = Home::new();
    let frames = small(&home, 2);
    for byte in 0..frames[0] {
        let copy = home.copy();
        spoil(&copy.segment(Topic::Chats, 0), |bytes| {
            bytes[byte as usize] ^= 4
        });
        assert!(
            matches!(copy.refusal(), OpenError::Damaged { .. }),
            "byte {byte}"
        );
    }
    let root = std::fs::read(home.config.directory.join("log")).unwrap();
    for byte in 0..root.len() {
        let copy = home.copy();
        spoil(&copy.config.directory.join("log"), |bytes| bytes[byte] ^= 4);
        assert!(
            matches!(copy.refusal(), OpenError::Damaged { .. }),
            "byte {byte}"
        );
    }
}

#[test]
fn a_flipped_bit_behind_the_end_is_wiped_and_loses_nothing() {
    let home = Home::new();
    let frames = small(&home, 2);
    let log = home.open();
    // Zeros ahead are written in the background: wait for some.
    let behind = frames[2] + 1500;
    append(&log, Topic::Chats, 1, "value 2").unwrap();
    drop(log);
    for place in [frames[2] + 30, frames[2] + 100, behind] {
        let copy = home.copy();
        spoil(&copy.segment(Topic::Chats, 0), |bytes| {
            bytes.resize(bytes.len().max(4000), 0);
            bytes[place as usize] ^= 1;
        });
        if place == frames[2] + 30 {
            // Within the last record: that is damage.
            assert!(matches!(copy.refusal(), OpenError::Damaged { .. }));
            continue;
        }
        let log = copy.open();
        assert_eq!(values(&log, Topic::Chats, 1, Visibility::Durable).len(), 3);
        assert!(
            log.recovery()
                .topics
                .iter()
                .any(|report| report.cut.is_some())
        );
        drop(log);
        assert!(
            copy.open()
                .recovery()
                .topics
                .iter()
                .all(|report| report.cut.is_none())
        );
    }
}

#[test]
fn a_flipped_bit_in_a_sealed_segment_is_an_error_when_it_is_read_and_hides_no_other_record() {
    let home = sealed();
    let head = crate::format::header::Header::length(PARTITIONS as usize) as usize;
    let length = std::fs::read(home.segment(Topic::Chats, 1)).unwrap().len();
    for byte in (0..length).step_by(7) {
        let copy = home.copy();
        spoil(&copy.segment(Topic::Chats, 1), |bytes| bytes[byte] ^= 0x10);
        if byte < head {
            assert!(
                matches!(copy.refusal(), OpenError::Damaged { .. }),
                "byte {byte}"
            );
            continue;
        }
        let log = copy.open();
        let mut errors = 0;
        for partition in [1, 2] {
            for (offset, value) in expected(partition).iter().enumerate() {
                let from = Offset(offset as u64);
                let read = run(log.read(
                    Topic::Chats,
                    Partition(partition),
                    from,
                    1,
                    Visibility::Durable,
                ));
                match read {
                    Ok(records) => assert_eq!(records[0].value, value.as_bytes(), "byte {byte}"),
                    Err(LogError::Damaged { offset, reason, .. }) => {
                        assert_eq!(offset, from);
                        assert!(reason.contains("00001.segment"), "{reason}");
                        errors += 1;
                    }
                    Err(other) => panic!("{other}"),
                }
            }
        }
        assert!(errors >= 1, "byte {byte} was flipped and nobody noticed");
        let from = vec![(Partition(1), Offset(0)), (Partition(2), Offset(0))];
        let mut tail = run(log.tail(Topic::Chats, from, Visibility::Durable)).unwrap();
        let mut read = 0;
        let error = loop {
            match run(tail.next(7)) {
                Ok(batches) => read += batches.iter().map(|b| b.records.len()).sum::<usize>(),
                Err(error) => break error,
            }
        };
        assert!(
            matches!(error, LogError::Damaged { .. }),
            "byte {byte}: {error}"
        );
        assert!(read < 300);
    }
}

#[test]
fn a_record_that_vanished_from_a_sealed_segment_is_missed() {
    let home = sealed();
    let segment = home.segment(Topic::Chats, 1);
    let length = std::fs::read(&segment).unwrap().len();
    for keep in [length - 10, length - 60, length / 2] {
        let copy = home.copy();
        spoil(&copy.segment(Topic::Chats, 1), |bytes| {
            bytes[keep..].fill(0)
        });
        let log = copy.open();
        let mut error = None;
        for partition in [1, 2] {
            let from = vec![(Partition(partition), Offset(0))];
            let mut tail = run(log.tail(Topic::Chats, from, Visibility::Durable)).unwrap();
            let mut read = 0;
            while read < 150 {
                match run(tail.next(1000)) {
                    Ok(batches) => read += batches.iter().map(|b| b.records.len()).sum::<usize>(),
                    Err(other) => {
                        error = Some(other);
                        break;
                    }
                }
            }
        }
        assert!(matches!(error, Some(LogError::Damaged { .. })), "{error:?}");
    }
}

#[test]
fn a_record_is_missed_even_when_no_later_one_of_its_partition_stands_anywhere() {
    let home = Home::with(Config {
        segment_bytes: 4096,
        ..Config::default()
    });
    let log = home.open();
    append(&log, Topic::Chats, 3, "the only one").unwrap();
    for _ in 0..100 {
        append(&log, Topic::Chats, 1, &"x".repeat(100)).unwrap();
    }
    run(log.close()).unwrap();
    drop(log);
    let head = crate::format::header::Header::length(PARTITIONS as usize) as usize;
    spoil(&home.segment(Topic::Chats, 0), |bytes| {
        bytes[head..].fill(0)
    });
    let log = home.open();
    let read = run(log.read(
        Topic::Chats,
        Partition(3),
        Offset(0),
        1,
        Visibility::Durable,
    ));
    assert!(matches!(read, Err(LogError::Damaged { .. })), "{read:?}");
    let from = vec![(Partition(3), Offset(0))];
    let mut tail = run(log.tail(Topic::Chats, from, Visibility::Durable)).unwrap();
    let next = run(tail.next(10));
    assert!(matches!(next, Err(LogError::Damaged { .. })), "{next:?}");
}

#[test]
fn an_index_that_is_missing_or_damaged_is_made_again() {
    let home = sealed();
    let name = |number: u64| {
        home.topic_directory(Topic::Chats)
            .join(format!("{number:020}.index"))
    };
    let length = std::fs::read(name(1)).unwrap().len();
    for byte in 0..length {
        let copy = home.copy();
        let index = copy
            .topic_directory(Topic::Chats)
            .join(name(1).file_name().unwrap());
        if byte == 0 {
            std::fs::remove_file(&index).unwrap();
        } else {
            spoil(&index, |bytes| bytes[byte] ^= 0x20);
        }
        let log = copy.open();
        assert_eq!(
            values(&log, Topic::Chats, 1, Visibility::Durable),
            expected(1)
        );
        assert_eq!(
            values(&log, Topic::Chats, 2, Visibility::Durable),
            expected(2)
        );
        run(log.close()).unwrap();
        assert_eq!(
            std::fs::read(&index).unwrap(),
            std::fs::read(name(1)).unwrap()
        );
    }
}

#[test]
fn a_segment_that_is_missing_in_the_middle_is_named() {
    let home = sealed();
    std::fs::remove_file(home.segment(Topic::Chats, 1)).unwrap();
    let refusal = home.refusal();
    assert!(
        refusal.to_string().contains("segment 1 is missing"),
        "{refusal}"
    );
}

#[test]
fn a_whole_log_verifies_and_every_record_is_counted() {
    let home = sealed();
    let verified = home.open().verify().unwrap();
    let chats = verified
        .iter()
        .find(|verified| verified.topic == Topic::Chats)
        .unwrap();
    assert!(chats.segments >= 3);
    assert_eq!((chats.records, &chats.damages), (300, &Vec::new()));
}

#[test]
fn verifying_names_a_flipped_bit_anywhere_in_a_sealed_segment_and_goes_on_behind_a_body() {
    let home = sealed();
    let head = crate::format::header::Header::length(PARTITIONS as usize) as usize;
    let segment = |home: &Home| home.segment(Topic::Chats, 1);
    let length = std::fs::read(segment(&home)).unwrap().len();
    let mut went_on = 0;
    for byte in (head..length).step_by(5) {
        let copy = home.copy();
        spoil(&segment(&copy), |bytes| bytes[byte] ^= 0x10);
        let verified = copy.open().verify().unwrap();
        let damages: Vec<_> = verified.iter().flat_map(|topic| &topic.damages).collect();
        assert_eq!(damages.len(), 1, "byte {byte}: {damages:?}");
        assert_eq!(damages[0].file, segment(&copy));
        assert!((byte as u64 - 60..=byte as u64).contains(&damages[0].position));
        let records: u64 = verified.iter().map(|topic| topic.records).sum();
        went_on += usize::from(records == 299);
    }
    assert!(went_on > 10, "one record is damaged, the others are read");
}

#[test]
fn verifying_names_records_that_vanished_from_the_end_of_a_sealed_segment() {
    let home = sealed();
    let segment = home.segment(Topic::Chats, 1);
    let frame = 42 + 3 + "100.1".len();
    spoil(&segment, |bytes| {
        let end = bytes.len();
        bytes.truncate(end - frame);
    });
    let verified = home.open().verify().unwrap();
    let damages: Vec<_> = verified.iter().flat_map(|topic| &topic.damages).collect();
    assert_eq!(damages.len(), 1, "{damages:?}");
    assert_eq!(damages[0].file, segment);
}

#[test]
fn a_record_whose_claim_says_more_than_was_written_before_it_stops_the_open() {
    let home = Home::new();
    let frames = small(&home, 3);
    let seed = {
        let bytes = std::fs::read(home.segment(Topic::Chats, 0)).unwrap();
        let header = crate::format::header::Header::decode(&bytes, Topic::Chats).unwrap();
        header.seed()
    };
    for (claim, is_refused) in [
        (frames[2], false),
        (frames[2] + 1, true),
        (u64::from(u32::MAX), true),
    ] {
        let copy = home.copy();
        // A frame whose CRCs are right, so only the claim can tell.
        spoil(&copy.segment(Topic::Chats, 0), |bytes| {
            let head = frames[2] as usize;
            bytes[head + 20..head + 24].copy_from_slice(&(claim as u32).to_le_bytes());
            let crc = crc32c::crc32c_append(seed, &bytes[head + 4..head + 41]);
            bytes[head..head + 4].copy_from_slice(&crc.to_le_bytes());
        });
        if !is_refused {
            assert_eq!(
                values(&copy.open(), Topic::Chats, 1, Visibility::Durable).len(),
                3
            );
            continue;
        }
        let refusal = copy.refusal();
        assert!(
            matches!(&refusal, OpenError::Damaged { position, .. } if *position == frames[2]),
            "{refusal}"
        );
    }
}
