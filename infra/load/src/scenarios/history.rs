//! Paging through a chat, newest first, 50 a page: over frames and over HTTP, one page after the
//! other.

use std::time::Instant;

use anyhow::Context;
use infra_testkit::raw::RawClient;
use serde_json::{Value, json};

use super::cast::Cast;
use super::measure::{Quantiles, Span, Times, from_any, measure_all};
use super::stage::Stage;
use crate::fleet::marks::Marking;
use crate::fleet::tally::Latencies;

/// Messages of the chat: 20 pages.
const MESSAGES: u64 = 1_000;
/// At this rate they are written.
const RATE: u64 = 4_000;
/// Messages of a page.
const PAGE: u64 = 50;
/// Times that the whole chat is read.
const READINGS: usize = 5;

/// Latencies of a page.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pages {
    /// Over a socket.
    pub frames: Quantiles,
    /// Over HTTP, on one connection.
    pub http: Quantiles,
}

/// Writes a chat and reads it in pages.
///
/// # Errors
/// When a message is lost, repeated, swapped or refused, or a page has not what it should.
pub fn paging(stage: &Stage) -> anyhow::Result<Pages> {
    let mut cast = Cast::new(stage, 2, Marking::Delivered)?;
    cast.pairs(0..2);
    let (user, chat) = (cast.user(0), format!("d.{}.{}", cast.user(0), cast.user(1)));
    let mut fleet = cast.live()?;
    let span = Span {
        warm_up: 0.0,
        seconds: MESSAGES as f64 / RATE as f64,
    };
    let times = Times::from_now(&fleet, span);
    let shots = times.evenly(RATE, |n| from_any(n, 0..2, 0));
    measure_all(&mut fleet, "a chat", &times, 1, shots, None)?;
    let token = stage.token(&user, "tablet")?;
    Ok(Pages {
        frames: over_frames(stage, &token, &chat)?,
        http: over_http(stage, &token, &chat)?,
    })
}

fn over_frames(stage: &Stage, token: &str, chat: &str) -> anyhow::Result<Quantiles> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    let url = stage.http("/v1/connect").replacen("http", "ws", 1);
    let mut client = runtime.block_on(RawClient::live(&url, token))?;
    read_all(|before| {
        runtime.block_on(async {
            let mut data = json!({"chat": chat, "limit": PAGE});
            if let (Some(before), Some(fields)) = (before, data.as_object_mut()) {
                fields.insert("before".to_owned(), before.into());
            }
            let query = json!({"type": "history", "ref": "h", "data": data});
            client.send(query.to_string()).await?;
            let mut answer = client.answer("h").await?;
            Ok(answer.get_mut("data").map(Value::take).unwrap_or_default())
        })
    })
}

fn over_http(stage: &Stage, token: &str, chat: &str) -> anyhow::Result<Quantiles> {
    let agent = ureq::Agent::new_with_defaults();
    let bearer = format!("Bearer {token}");
    read_all(|before| {
        let before = before.map_or(String::new(), |seq| format!("&before={seq}"));
        let path = format!("/v1/chats/{chat}/messages?limit={PAGE}{before}");
        let answer = agent
            .get(stage.http(&path))
            .header("Authorization", &bearer);
        Ok(answer.call()?.body_mut().read_json()?)
    })
}

/// Reads the whole chat some times and checks that every message is there once.
fn read_all(
    mut page: impl FnMut(Option<u64>) -> anyhow::Result<Value>,
) -> anyhow::Result<Quantiles> {
    let mut latencies = Latencies::default();
    for _ in 0..READINGS {
        let (mut before, mut wanted) = (None, MESSAGES);
        while wanted > 0 {
            let from = Instant::now();
            let answer = page(before)?;
            latencies.record(u64::try_from(from.elapsed().as_nanos())?);
            let messages = answer.get("messages").and_then(Value::as_array);
            for message in messages.context("a page of messages")? {
                let seq = message.get("seq").and_then(Value::as_u64);
                anyhow::ensure!(seq == Some(wanted), "{seq:?} stands where {wanted} should");
                wanted -= 1;
            }
            before = answer.get("before").and_then(Value::as_u64);
            anyhow::ensure!(
                before.is_some() || wanted == 0,
                "{wanted} messages are missing"
            );
        }
    }
    Ok((&latencies).into())
}
