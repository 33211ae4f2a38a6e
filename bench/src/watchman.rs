//! Watchman as a contender: a server of our own with all its files in a private
//! directory, and the harness as its client, in JSON lines over its socket.

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{json, Value};
use tempfile::TempDir;

use crate::clock::{after, now_ns};
use crate::lines::{Line, Lines, Next};
use crate::process::ends_with_us;
use crate::tally::Told;

/// How long the server may take to begin to listen.
const STARTS: Duration = Duration::from_secs(10);

/// A server and the connection to it. The server has to be ended by whoever has this.
#[derive(Debug)]
pub struct Watchman {
    /// The server.
    pub server: Child,
    /// What it says.
    pub lines: Lines,
    /// To be kept as long as the server runs.
    pub connection: Connection,
}

/// The way to a server, and its files.
#[derive(Debug)]
pub struct Connection {
    socket: UnixStream,
    _files: TempDir,
}

impl Watchman {
    /// Starts a server and connects to it. It tells of changes as soon as it can: without
    /// `settle` it waits 20 ms for more.
    pub fn start() -> Result<Watchman, String> {
        let files = tempfile::tempdir().map_err(|error| error.to_string())?;
        let place = |name: &str| files.path().join(name);
        std::fs::write(place("config"), r#"{"settle": 1}"#).map_err(|error| error.to_string())?;
        let option = |name: &str, file: &str| format!("--{name}={}", place(file).display());
        let mut command = Command::new("watchman");
        ends_with_us(&mut command);
        let mut server = command
            .args(["--foreground", "--no-save-state"])
            .arg(option("sockname", "socket"))
            .arg(option("logfile", "log"))
            .arg(option("pidfile", "pid"))
            .arg(option("statefile", "state"))
            .env("WATCHMAN_CONFIG_FILE", place("config"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| format!("the server: {error}"))?;
        match connect(&place("socket")) {
            Ok((socket, lines)) => {
                let connection = Connection {
                    socket,
                    _files: files,
                };
                Ok(Watchman {
                    server,
                    lines,
                    connection,
                })
            }
            Err(error) => {
                let _ = server.kill();
                let _ = server.wait();
                Err(format!("the server's socket: {error}"))
            }
        }
    }

    /// Watches `tree`; returns when the server has crawled it.
    pub fn watch(&mut self, tree: &Path, deadline_ns: u64) -> Result<(), String> {
        self.ask(json!(["watch", tree]), deadline_ns)?;
        let wait_ms = deadline_ns.saturating_sub(now_ns()) / 1_000_000;
        let clock = self.ask(
            json!(["clock", tree, {"sync_timeout": wait_ms}]),
            deadline_ns,
        )?;
        let wanted = json!({
            "fields": ["name", "exists", "new"],
            "since": clock["clock"],
            "empty_on_fresh_instance": true,
        });
        self.ask(json!(["subscribe", tree, "bench", wanted]), deadline_ns)?;
        Ok(())
    }

    /// Sends a command and waits for the answer to it.
    fn ask(&mut self, command: Value, deadline_ns: u64) -> Result<Value, String> {
        // In one write: the server tells the encoding from what comes first.
        let line = format!("{command}\n");
        let sent = self.connection.socket.write_all(line.as_bytes());
        sent.map_err(|error| error.to_string())?;
        loop {
            let line = match self
                .lines
                .next(deadline_ns)
                .map_err(|error| error.to_string())?
            {
                Next::Line(line) => line,
                Next::Timeout => return Err("gave up: not ready in time".to_string()),
                Next::End => return Err("the server has gone".to_string()),
            };
            let answer: Value = serde_json::from_str(&line.text).unwrap_or(Value::Null);
            if let Some(error) = answer["error"].as_str() {
                return Err(error.to_string());
            }
            // An empty first answer of a subscription may come before.
            if !answer.is_null() && answer["unilateral"].is_null() {
                return Ok(answer);
            }
        }
    }
}

/// Connects as soon as the server listens.
fn connect(path: &Path) -> io::Result<(UnixStream, Lines)> {
    let deadline_ns = after(STARTS);
    loop {
        match UnixStream::connect(path) {
            Ok(socket) => {
                let lines = Lines::new(socket.try_clone()?.into());
                return Ok((socket, lines));
            }
            Err(error) if now_ns() > deadline_ns => return Err(error),
            Err(_) => std::thread::sleep(Duration::from_millis(10)),
        }
    }
}

/// The files that a line from the server tells of.
pub fn events(line: &Line) -> Vec<(Told, String)> {
    let told: Value = serde_json::from_str(&line.text).unwrap_or(Value::Null);
    let files = told["files"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let event = |file: &Value| {
        let told = match (file["exists"].as_bool()?, file["new"].as_bool()?) {
            (false, _) => Told::Deleted,
            (true, true) => Told::Created,
            (true, false) => Told::Touched,
        };
        Some((told, file["name"].as_str()?.to_string()))
    };
    files.iter().filter_map(event).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_server_is_told_apart() {
        let text = r#"{"files":[{"name":"a","exists":true,"new":true},
            {"name":"b","exists":false,"new":false},{"name":"c","exists":true,"new":false}]}"#;
        let line = Line {
            at_ns: 0,
            text: text.to_string(),
        };
        let told: Vec<Told> = events(&line).iter().map(|event| event.0).collect();
        assert_eq!(told, [Told::Created, Told::Deleted, Told::Touched]);
        assert_eq!(
            events(&Line {
                at_ns: 0,
                text: r#"{"clock":"c:1"}"#.into()
            }),
            []
        );
    }
}
