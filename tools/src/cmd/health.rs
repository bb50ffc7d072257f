//! `bigrain health`: does the server answer?

use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use bigrain_api::{DEFAULT_PORT, Settings, Sources};
use clap::Args;

use super::serve::environment;
use crate::session::Session;

/// How long each step of the question may take.
const TIMEOUT: Duration = Duration::from_secs(3);
/// How an alert of TLS begins, which is what a port with TLS answers to a question in clear.
const TLS_ALERT: u8 = 21;

/// Asks the server whether it takes requests: for supervisors that have no HTTP client at hand.
///
/// A port with TLS is asked in clear, and its refusal shows that it answers.
#[derive(Args, Debug)]
pub struct HealthArgs {
    /// Address and port to ask [default: what the settings say, or 127.0.0.1:7700]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    /// The TOML file of settings the server has
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
}

/// Runs the command.
///
/// # Errors
///
/// When the server is not there, is not ready, or does not answer in time.
pub fn run(args: &HealthArgs, session: &mut Session<'_>) -> anyhow::Result<()> {
    let address = reachable(args.address()?);
    let answer = ask(address).with_context(|| format!("ask {address}"))?;
    let first_line = answer.split(|byte| *byte == b'\r').next().unwrap_or_default();
    if answer.first() == Some(&TLS_ALERT) {
        writeln!(session.out, "{address} answers, in TLS")?;
    } else if first_line.starts_with(b"HTTP/1.1 200") {
        writeln!(session.out, "{address} is ready")?;
    } else {
        bail!("{address} is not ready: {:?}", String::from_utf8_lossy(first_line));
    }
    Ok(())
}

impl HealthArgs {
    fn address(&self) -> anyhow::Result<SocketAddr> {
        if let Some(address) = self.listen {
            return Ok(address);
        }
        let sources =
            Sources { file: self.config.clone(), environment: environment(), ..Sources::default() };
        // Not checked further: the server has flags, too, that may allow what its settings do not.
        let default = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), DEFAULT_PORT);
        Ok(Settings::read(sources)?.listen.unwrap_or(default))
    }
}

/// Returns where this machine reaches a server that listens everywhere.
fn reachable(mut address: SocketAddr) -> SocketAddr {
    if address.ip().is_unspecified() {
        let loopback = match address {
            SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
            SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
        };
        address.set_ip(loopback);
    }
    address
}

fn ask(address: SocketAddr) -> std::io::Result<Vec<u8>> {
    let mut stream = TcpStream::connect_timeout(&address, TIMEOUT)?;
    stream.set_read_timeout(Some(TIMEOUT))?;
    stream.set_write_timeout(Some(TIMEOUT))?;
    let request = format!("GET /readyz HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = vec![0; 512];
    let bytes = stream.read(&mut answer)?;
    answer.truncate(bytes);
    Ok(answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_listens_everywhere_is_asked_on_this_machine() {
        for (listens, asked) in [
            ("0.0.0.0:7700", "127.0.0.1:7700"),
            ("[::]:7700", "[::1]:7700"),
            ("192.0.2.1:80", "192.0.2.1:80"),
        ] {
            assert_eq!(reachable(listens.parse().unwrap()).to_string(), asked);
        }
    }
}
