//! Lines from a pipe or socket, each with the time at which it could be read.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::clock::now_ns;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// When the read that brought its end had returned, by `CLOCK_MONOTONIC`.
    pub at_ns: u64,
    /// Without the line break; what is no UTF-8 is replaced.
    pub text: String,
}

/// What can be read next.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Next {
    /// A line.
    Line(Line),
    /// None until the deadline.
    Timeout,
    /// The writer has closed its end.
    End,
}

/// Reads lines. No thread is between the pipe and the caller: it would add its own wait
/// to every latency.
#[derive(Debug)]
pub struct Lines {
    file: File,
    chunk: Vec<u8>,
    part: Vec<u8>,
    lines: VecDeque<Line>,
}

impl Lines {
    /// Reads from `descriptor`.
    pub fn new(descriptor: OwnedFd) -> Lines {
        Lines {
            file: descriptor.into(),
            chunk: vec![0; 64 * 1024],
            part: Vec::new(),
            lines: VecDeque::new(),
        }
    }

    /// The next line; waits for it until `deadline_ns` by `CLOCK_MONOTONIC`.
    pub fn next(&mut self, deadline_ns: u64) -> io::Result<Next> {
        loop {
            if let Some(line) = self.lines.pop_front() {
                return Ok(Next::Line(line));
            }
            if !self.wait(deadline_ns)? {
                return Ok(Next::Timeout);
            }
            let n = self.file.read(&mut self.chunk)?;
            if n == 0 {
                return Ok(Next::End);
            }
            self.split(n, now_ns());
        }
    }

    /// Whether there is something to read; waits for it until `deadline_ns`.
    fn wait(&self, deadline_ns: u64) -> io::Result<bool> {
        let left = deadline_ns.saturating_sub(now_ns());
        let timeout = libc::timespec {
            tv_sec: (left / 1_000_000_000) as libc::time_t,
            tv_nsec: (left % 1_000_000_000) as libc::c_long,
        };
        let mut poll = libc::pollfd {
            fd: self.file.as_raw_fd(),
            events: libc::POLLIN,
            revents: 0,
        };
        // SAFETY: both live through the call; there is one descriptor.
        match unsafe { libc::ppoll(&mut poll, 1, &timeout, std::ptr::null()) } {
            -1 => Err(io::Error::last_os_error()),
            n => Ok(n > 0),
        }
    }

    /// Takes the lines out of the first `n` bytes of the chunk.
    fn split(&mut self, n: usize, at_ns: u64) {
        let mut pieces = self.chunk[..n].split(|&byte| byte == b'\n');
        let mut piece = pieces.next();
        while let Some(bytes) = piece {
            self.part.extend_from_slice(bytes);
            piece = pieces.next();
            // What follows the last line break is the beginning of a line to come.
            if piece.is_some() {
                let text = String::from_utf8_lossy(&self.part).into_owned();
                self.lines.push_back(Line { at_ns, text });
                self.part.clear();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn lines_come_whole_though_they_are_written_in_pieces() {
        let (reader, mut writer) = io::pipe().unwrap();
        let mut lines = Lines::new(reader.into());
        writer.write_all(b"one\ntw").unwrap();
        let mut next = || match lines.next(now_ns() + 1_000_000).unwrap() {
            Next::Line(line) => line.text,
            other => format!("{other:?}"),
        };
        assert_eq!((next(), next()), ("one".to_string(), "Timeout".to_string()));
        writer.write_all(b"o\n\n").unwrap();
        drop(writer);
        assert_eq!(
            (next(), next(), next()),
            ("two".into(), "".into(), "End".into())
        );
    }
}
