//! `docs/benchmarks.md`: every area with its circumstances, its table and its plots.

use std::fmt::Write;

use super::table;
use crate::report::Results;

/// Areas in the order of the page, with their headings and a line on how they are measured. Others
/// follow under their own names.
const AREAS: [(&str, &str, &str); 18] = [
    (
        "one-to-one",
        "One-to-one, over sockets",
        "A node as a process of its own, loaded through WebSockets by open-loop load on the same \
         cores: a message counts from when it *should* have been sent. Marks are on. Raw limit: the \
         sum of write + fdatasync (what is due meanwhile goes together) and of a bare WebSocket \
         echo, both open loops at the same rate, so that a disk which stands still counts alike in \
         all. At p99 that is the sum of the two p99s, which seldom fall on the same message: more \
         than the p99 of both done one after the other, so that these ratios flatter.",
    ),
    (
        "highest",
        "The highest rates",
        "Open loops of rising rates: one is sustained when all of it arrives in its time, is marked \
         and nothing is refused. Raw limit: the highest rate of a bare WebSocket echo, found alike.",
    ),
    (
        "groups",
        "Groups",
        "One message alone: members by the time until the last of them has it. Many waiting: all \
         deliveries by the time from when they were due, all at once, until the last. Raw limit: a \
         server that writes the same bytes in one write a member, and no more.",
    ),
    (
        "idle",
        "Idle sockets",
        "The growth of the node's resident memory while sockets are added.",
    ),
    (
        "storm",
        "A storm of reconnects",
        "Sockets that are cut off, miss a message each and come back all together.",
    ),
    (
        "catch-up",
        "Catching up",
        "One device that is cut off, misses messages of a hundred chats and comes back.",
    ),
    (
        "day",
        "Everyday life",
        "From client to client, marks on; pages one after the other.",
    ),
    (
        "log",
        "The embedded log",
        "Appends beside write + fdatasync of the same bytes into a file that is written already; \
         the scan beside reading the same files from begin to end; opening beside reading the last \
         segment of each topic, to which appends go.",
    ),
    (
        "projection",
        "Projection and rebuild",
        "The four projectors on a log that is full, with all their tables to make. The bare store \
         loop writes the very same rows in the same batches from as many threads, without reading \
         the log or folding. The rebuild runs in the store that serves, and is compared with the \
         live tables bit for bit.",
    ),
    (
        "reads",
        "Pages of history",
        "Through the reads that clients use: rights, rows, later changes, decoding. The bare scan \
         reads as many rows of the same places and decodes nothing. Each run is the 99th \
         percentile of thousands of reads, ours and bare in turns.",
    ),
    (
        "start",
        "Start after kill -9",
        "The `cursus` process on data that a killed one left. The raw limit reads the last segment \
         of each topic, to which appends go.",
    ),
    (
        "memory",
        "Memory",
        "Resident memory of the `cursus` process, with everything it has cached.",
    ),
    (
        "kafka",
        "Appending to Kafka",
        "A real broker on the same cores (`make bench-cluster`). The bare loop hands the same \
         records to one idempotent librdkafka producer, with its own defaults for batches, and \
         waits until all are acknowledged.",
    ),
    (
        "cassandra",
        "Projection into Cassandra",
        "A real server on the same cores. The projectors read a full log, fold and write; the bare \
         loop has the driver write the same rows, bound beforehand, into tables as empty, those of \
         a partition together, as many at once.",
    ),
    (
        "over-kafka",
        "One-to-one, over Kafka",
        "A node with its log on a real broker, load, node and broker on the same cores. Raw limit: \
         the sum of two hops over Kafka (produce, consume, produce, consume) and of a bare \
         WebSocket echo, at the same rate and as many partitions. At p99 that is the sum of the \
         two p99s, which is more than the p99 of the sum: these ratios flatter.",
    ),
    (
        "link",
        "The link between worker and gateway",
        "Worker's end, connection and gateway's end in one process; the bare loop writes and reads \
         the same bytes.",
    ),
    (
        "pauses",
        "When a process goes and comes back",
        "A process a role on real servers, all on the same cores. Some say what time it is at one gateway, \
         all the time, and others hear it at another: the longest time in which one of them heard nothing, \
         less the time between two messages. Whoever goes stays away until messages flow again, so that its going and \
         its coming back are measured apart; the first figure is the same while nobody goes.",
    ),
    (
        "held",
        "Many sockets",
        "Gateways, worker, projectors and servers as processes of one machine, and on it the other ends of all sockets \
         too. When all are live and idle, memory is read; then each socket is written to by its neighbour, and the run \
         fails unless each has its message, once.",
    ),
];

/// The page.
pub(super) fn page(areas: &[Results]) -> Result<String, std::fmt::Error> {
    let mut text = String::from(HEAD);
    for results in areas {
        area(&mut text, results)?;
    }
    Ok(text)
}

const HEAD: &str = "# Benchmarks

Made by `make bench` (short) or `make bench-full`, `make bench-cluster` and `make bench-pages`; not written by hand.

Every figure is a **ratio against a raw loop measured in the same run**: `value` and `raw` are
medians, `ratio` is the median of the ratios of the runs, with the smallest and the largest in
brackets. A goal is met (`yes`) when the worst of the runs meets it; `at the median` says that the
median does and the worst does not. Absolute numbers are of the machine named with them. What is measured is checked: a run
that loses, repeats or swaps one message, or whose tables differ in a bit, gives no figure.
What each change brought, and what did not help, stands in [performance.md](performance.md).
";

fn area(text: &mut String, results: &Results) -> std::fmt::Result {
    let known = AREAS.iter().find(|(area, ..)| *area == results.area);
    let heading = known.map_or(results.area.as_str(), |(_, heading, _)| heading);
    writeln!(text, "\n## {heading}\n")?;
    if let Some((_, _, how)) = known {
        writeln!(text, "{how}\n")?;
    }
    text.push_str(&table::for_page(&results.figures));
    for plot in &results.plots {
        writeln!(text, "\n![{}](benchmarks/{}.svg)", plot.title, plot.name)?;
    }
    let at = &results.circumstances;
    writeln!(
        text,
        "\n*{}; commit {}; {}; {}*",
        at.machine, at.commit, at.at, at.settings
    )
}

/// Where an area stands on the page.
pub(super) fn place(area: &str) -> usize {
    AREAS
        .iter()
        .position(|(known, ..)| *known == area)
        .unwrap_or(AREAS.len())
}
