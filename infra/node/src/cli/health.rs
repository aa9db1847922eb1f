//! `cursus health`: asks the node of this configuration how it is, for what watches a container from
//! inside: there is no other program there that could.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use anyhow::{Context, bail};

use crate::config::Config;

/// How long a node may take to answer.
const WITHIN: Duration = Duration::from_secs(5);

/// What `cursus health` takes.
#[derive(Debug, clap::Args)]
pub(super) struct HealthOptions {
    /// Ask whether messages flow (/readyz), not only whether a restart would help (/healthz)
    #[arg(long)]
    ready: bool,
}

/// Ends well when the node says that it is well.
pub(super) fn ask(config: &Config, options: &HealthOptions) -> anyhow::Result<()> {
    let address = reached(config.operators_listen.unwrap_or(config.listen));
    let page = if options.ready { "readyz" } else { "healthz" };
    let url = format!("http://{address}/{page}");
    let agent = ureq::Agent::config_builder().timeout_global(Some(WITHIN));
    let agent: ureq::Agent = agent.http_status_as_error(false).build().into();
    let answer = agent.get(&url).call();
    let status = answer
        .with_context(|| format!("no answer from {url}"))?
        .status();
    if !status.is_success() {
        bail!("{url}: {status}");
    }
    writeln!(std::io::stdout(), "{url}: {status}").context("standard output")
}

/// Where something that listens at this address is reached from this machine.
fn reached(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip @ (IpAddr::V4(_) | IpAddr::V6(_)) => ip,
    };
    SocketAddr::new(ip, listen.port())
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpListener;

    use super::*;

    /// Answers one request.
    fn says(status: &'static str, listen: &str) -> anyhow::Result<()> {
        let listener = TcpListener::bind(listen).unwrap();
        let config = Config {
            operators_listen: Some(listener.local_addr().unwrap()),
            ..Config::default()
        };
        let answers = std::thread::spawn(move || {
            let (mut peer, _) = listener.accept().unwrap();
            let read = peer.read(&mut [0; 1024]).unwrap();
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\n\r\n");
            peer.write_all(answer.as_bytes()).unwrap();
            read
        });
        let asked = ask(&config, &HealthOptions { ready: true });
        assert!(answers.join().unwrap() > 0);
        asked
    }

    #[test]
    fn node_is_well_when_it_says_so() {
        assert!(says("200 OK", "127.0.0.1:0").is_ok());
        assert!(says("200 OK", "0.0.0.0:0").is_ok(), "asked over loopback");
        let refused = says("503 Service Unavailable", "127.0.0.1:0").unwrap_err();
        assert!(refused.to_string().contains("503"), "{refused}");
    }

    #[test]
    fn node_that_does_not_answer_is_not_well() {
        let free = TcpListener::bind("127.0.0.1:0").unwrap();
        let config = Config {
            listen: free.local_addr().unwrap(),
            ..Config::default()
        };
        drop(free);
        assert!(ask(&config, &HealthOptions { ready: false }).is_err());
    }
}
