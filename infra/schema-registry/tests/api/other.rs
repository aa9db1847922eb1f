//! Ids that another registry gives.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::time::Duration;

use infra_schema_registry::Other;
use infra_schema_registry::other::LearnError;
use schemas::avro::{SUBJECTS, SchemaIds, SchemaStore, schema_id};
use serde_json::Value;

const WITHIN: Duration = Duration::from_secs(20);

/// A registry that answers each request with what is said to it; what it was sent, when it is done.
fn registry(
    requests: usize,
    says: impl Fn(usize) -> String + Send + 'static,
) -> (String, std::thread::JoinHandle<Vec<(String, Value)>>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    let served = std::thread::spawn(move || {
        let mut sent = Vec::new();
        for nth in 0..requests {
            let (mut peer, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(peer.try_clone().unwrap());
            let (mut head, mut length) = (String::new(), 0);
            while !head.ends_with("\r\n\r\n") {
                let at = head.len();
                reader.read_line(&mut head).unwrap();
                let line = head[at..].to_ascii_lowercase();
                if let Some(size) = line.strip_prefix("content-length:") {
                    length = size.trim().parse().unwrap();
                }
            }
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            sent.push((head, serde_json::from_slice(&body).unwrap()));
            let says = says(nth);
            let length = says.split_once("\r\n\r\n").unwrap().1.len();
            let says = says.replace(
                "\r\n\r\n",
                &format!("\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n"),
            );
            peer.write_all(says.as_bytes()).unwrap();
        }
        sent
    });
    (url, served)
}

fn id(id: usize) -> String {
    format!("HTTP/1.1 200 OK\r\n\r\n{{\"id\":{id}}}")
}

#[test]
fn every_schema_is_registered_there_and_its_id_stands_in_the_head() {
    let (url, served) = registry(SUBJECTS.len(), |nth| id(40 + nth));
    let ids = Other::new(&url, Some("basic ada:secret\n"), WITHIN)
        .unwrap()
        .learn()
        .unwrap();
    for ((head, body), subject) in served.join().unwrap().iter().zip(SUBJECTS) {
        assert!(
            head.starts_with(&format!("POST /subjects/{subject}/versions ")),
            "{head}"
        );
        assert!(
            head.to_ascii_lowercase().contains("authorization: basic "),
            "{head}"
        );
        assert_eq!(body["schema"], subject.released()[0]);
    }
    for (expected, subject) in (40_u32..).zip(SUBJECTS) {
        let mut releases = SchemaStore::released().releases();
        let release = releases.find(|one| one.subject == *subject).unwrap();
        let frame = [&[0xC3, 0x01], &release.fingerprint().to_le_bytes()[..]].concat();
        let (head, _) = ids.to_registered(&frame).unwrap();
        assert_eq!(head[1..], expected.to_be_bytes());
    }
}

#[test]
fn another_platforms_registry_gives_the_ids_that_are_ours() {
    let fixed = |nth: usize| id(schema_id(SUBJECTS[nth], 1) as usize);
    let (url, served) = registry(SUBJECTS.len(), fixed);
    let ids = Other::new(&url, None, WITHIN).unwrap().learn().unwrap();
    assert!(Arc::ptr_eq(&ids, &SchemaIds::fixed()));
    assert_eq!(served.join().unwrap().len(), SUBJECTS.len());
}

#[test]
fn registry_that_refuses_is_told_with_what_it_says() {
    let says = "HTTP/1.1 409 Conflict\r\n\r\n{\"error_code\":409,\"message\":\"no\"}";
    let (url, served) = registry(1, |_| says.to_owned());
    let refused = Other::new(&url, None, WITHIN).unwrap().learn().unwrap_err();
    let told = refused.to_string();
    assert!(
        told.contains("409") && told.contains(SUBJECTS[0].name()),
        "{told}"
    );
    assert_eq!(served.join().unwrap().len(), 1);
    assert!(
        Other::new(&url, None, WITHIN).unwrap().learn().is_err(),
        "nobody is there"
    );
    assert!(Other::new(&url, Some("ada:secret"), WITHIN).is_err());
}

#[test]
fn credentials_in_the_address_are_refused_and_not_told() {
    let url = "https://user:hunter2@registry.example/";
    let refused = Other::new(url, None, Duration::from_secs(1)).unwrap_err();
    assert!(matches!(refused, LearnError::Address));
    assert!(!refused.to_string().contains("hunter2"));
    assert!(Other::new("http://127.0.0.1:8081/a@b", None, Duration::from_secs(1)).is_ok());
}
