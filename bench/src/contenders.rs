//! Who is measured, and how each is started, listened to and asked.
//!
//! Our own programs speak the protocol of `contenders/protocol.h`. The tools that can only
//! print (`inotifywait`, `fswatch`, Watchman) are counted by the harness from what they
//! print: that is part of their work then, and the report says so.

use std::fmt;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::clock::{after, now_ns};
use crate::lines::{Line, Lines, Next};
use crate::process::{cpu_ns, ends_with_us, memory_bytes};
use crate::tally::{Count, Tally, Told};
use crate::watchman::{self, Connection, Watchman};

/// The contender that all others are compared with.
pub const FLOOR: &str = "floor";
/// The one that this is all about.
pub const KW: &str = "kw";
/// The same with two threads.
pub const KW_2: &str = "kw (2 threads)";

/// How long an answer or a version may take.
const ANSWERS: Duration = Duration::from_secs(30);
/// Who takes more to get ready is given up, before the machine has none left.
const MOST_MEMORY: u64 = 6 << 30;
/// How often that is looked at.
const LOOK_AT_MEMORY_EVERY: Duration = Duration::from_secs(1);
/// How often a file is written to, to see whether a tool that does not say so is ready.
const PROBE_EVERY: Duration = Duration::from_millis(20);
/// The file for that.
const PROBE: &str = "is-it-ready";

/// What a contender is to do with events.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Print a line for each.
    Print,
    /// Count them.
    Count,
}

/// How to talk to one.
#[derive(Clone, Debug)]
enum Adapter {
    /// It speaks the protocol. The command, without mode and tree.
    Protocol(Vec<PathBuf>),
    /// `inotifywait`.
    Inotifywait,
    /// `fswatch`.
    Fswatch,
    /// Watchman.
    Watchman,
}

/// One who is measured.
#[derive(Clone, Debug)]
pub struct Contender {
    /// What it is called in the report.
    pub name: &'static str,
    /// Of the program or package; or why it cannot be measured here.
    pub version: Result<String, String>,
    /// What a reader of its figures should know.
    pub note: &'static str,
    adapter: Adapter,
}

/// Where `build-aux/bench.sh` has put the programs.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `floor`, `kw` and `change`.
    pub bin: PathBuf,
    /// Where `make bench-peers` installs packages, and where the scripts are.
    pub peers: PathBuf,
}

impl Contender {
    /// All of them, present or not.
    pub fn all(programs: &Programs) -> Vec<Contender> {
        let bin = |name: &str| programs.bin.join(name);
        let script = |name: &str| programs.peers.join("contenders").join(name);
        let python = programs.peers.join("venv/bin/python");
        let node = PathBuf::from("node");
        let threads = |n: &str| vec![bin("kw"), "-t".into(), n.into()];
        let notify = std::env::current_exe()
            .unwrap_or_default()
            .with_file_name("contender-notify");
        let protocol = |command: Vec<PathBuf>| Adapter::Protocol(command);
        // Of a reason, what is of this machine is of no interest.
        let peers = format!("{}/", programs.peers.display());
        let of = |name, note, adapter: Adapter| Contender {
            name,
            version: adapter
                .version()
                .map_err(|reason| reason.replace(&peers, "")),
            note,
            adapter,
        };
        vec![
            of(
                FLOOR,
                "keeps nothing of what it has seen",
                protocol(vec![bin("floor")]),
            ),
            of(KW, "one thread", protocol(threads("1"))),
            of(KW_2, "two threads crawl", protocol(threads("2"))),
            of("notify", OPENS, protocol(vec![notify])),
            of("inotifywait", PRINTS, Adapter::Inotifywait),
            of(
                "fswatch",
                "least latency that it takes (0.1 s); says not when it is ready, so a file is \
                 written to every 20 ms until it tells of that; prints every event, the harness \
                 counts the lines",
                Adapter::Fswatch,
            ),
            of(
                "watchman",
                "the server is measured; settle 1 ms; prints every event, the harness counts \
                 the files",
                Adapter::Watchman,
            ),
            of(
                "watchdog",
                OPENS,
                protocol(vec![python.clone(), script("watchdog_.py")]),
            ),
            of(
                "watchfiles",
                "step 1 ms",
                protocol(vec![python, script("watchfiles_.py")]),
            ),
            of(
                "@parcel/watcher",
                "its inotify backend; gathers changes for 50 to 500 ms, which cannot be set",
                protocol(vec![node.clone(), script("parcel.mjs")]),
            ),
            of("chokidar", "", protocol(vec![node, script("chokidar.mjs")])),
        ]
    }

    /// Starts it on `tree` and waits until the tree is watched, `limit` at most.
    pub fn start(&self, mode: Mode, tree: &Path, limit: Duration) -> Result<Running, String> {
        let deadline_ns = after(limit);
        match &self.adapter {
            Adapter::Protocol(command) => {
                let mode = match mode {
                    Mode::Print => "print",
                    Mode::Count => "count",
                };
                let mut process = Command::new(&command[0]);
                process.args(&command[1..]).arg(mode).arg(tree);
                Running::spawn(process, Talk::Protocol)?.until(deadline_ns, |line| {
                    let own = line.text.strip_prefix("ready ")?;
                    Some(own.parse().ok())
                })
            }
            Adapter::Inotifywait => {
                let mut process = Command::new("inotifywait");
                process
                    .args(["-m", "-r", "-e", "modify,attrib,move,create,delete"])
                    .args(["--format", "%e %w%f"])
                    .arg(tree);
                Running::spawn(process, Talk::Lines(inotifywait_event))?
                    .until(deadline_ns, |line| {
                        (line.text == "Watches established.").then_some(None)
                    })
            }
            Adapter::Fswatch => {
                let mut process = Command::new("fswatch");
                process
                    .args(["-r", "-l", "0.1", "--allow-overflow", "--format", "%f %p"])
                    .args(["--event-flag-separator", ","])
                    .arg(tree);
                Running::spawn(process, Talk::Lines(fswatch_event))?.probe(tree, deadline_ns)
            }
            Adapter::Watchman => Running::watchman(tree, deadline_ns),
        }
    }
}

const PRINTS: &str = "prints every event, the harness counts the lines";
const OPENS: &str = "what it tells of opening and closing is left out";

impl Adapter {
    /// Runs it to see whether it is there, and of which version.
    fn version(&self) -> Result<String, String> {
        let (mut command, peer) = match self {
            Adapter::Protocol(words) => {
                let mut command = Command::new(&words[0]);
                command.args(&words[1..]).arg("version");
                (command, "make bench-peers")
            }
            Adapter::Inotifywait => (with("inotifywait", "--help"), "inotify-tools"),
            Adapter::Fswatch => (with("fswatch", "--version"), "fswatch"),
            Adapter::Watchman => (with("watchman", "--version"), "watchman"),
        };
        let output = command.stdin(Stdio::null()).output().map_err(|error| {
            let program = command.get_program().to_string_lossy();
            let name = program.rsplit('/').next().unwrap_or_default();
            format!("{name}: {error} ({peer} installs it)")
        })?;
        let text = |bytes| String::from_utf8_lossy(bytes).trim().to_string();
        let (out, err) = (text(&output.stdout), text(&output.stderr));
        // inotifywait has its version in the first line of its help, and fails.
        let failed = !output.status.success() && !matches!(self, Adapter::Inotifywait);
        if failed || out.is_empty() {
            // Of a script the line that names the error, not the trace around it.
            let names = |line: &&str| line.contains("Error: ") || line.contains("Error [");
            let reason = err.lines().find(names).or(err.lines().last());
            return Err(reason.unwrap_or("says nothing").to_string());
        }
        let first = out.lines().next().unwrap_or_default();
        let names = ["inotifywait ", "fswatch "];
        let version = names
            .iter()
            .find_map(|name| first.strip_prefix(name))
            .unwrap_or(first);
        Ok(version.to_string())
    }
}

fn with(program: &str, argument: &str) -> Command {
    let mut command = Command::new(program);
    command.arg(argument);
    command
}

/// What a line says happened, and to which path.
type Event = (Told, String);

/// How a running contender is understood.
#[derive(Clone, Copy)]
enum Talk {
    Protocol,
    Lines(fn(&Line) -> Vec<Event>),
}

impl fmt::Debug for Talk {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        f.write_str(match self {
            Talk::Protocol => "Protocol",
            Talk::Lines(_) => "Lines",
        })
    }
}

/// When a contender was ready.
#[derive(Clone, Debug, Default)]
pub struct Ready {
    /// From its start until the harness knew that it is ready.
    pub wall_ns: u64,
    /// By its own account: only to get the tree watched, without its start.
    pub own_ns: Option<u64>,
    /// CPU time until then.
    pub cpu_ns: u64,
}

/// A contender that watches. It is ended when this goes.
#[derive(Debug)]
pub struct Running {
    /// How long it took to get here.
    pub ready: Ready,
    process: Child,
    lines: Lines,
    talk: Talk,
    /// What the harness counts for those that can only print.
    tally: Tally,
    _watchman: Option<Connection>,
    begin_ns: u64,
}

impl Running {
    fn spawn(mut command: Command, talk: Talk) -> Result<Running, String> {
        let pipe = || -> io::Result<(OwnedFd, Stdio, Stdio)> {
            let (reader, writer) = io::pipe()?;
            Ok((reader.into(), writer.try_clone()?.into(), writer.into()))
        };
        let (reader, out, err) = pipe().map_err(|error| error.to_string())?;
        ends_with_us(&mut command);
        let begin_ns = now_ns();
        // Both through one pipe: who fails says why in its last line.
        let process = command
            .stdin(Stdio::piped())
            .stdout(out)
            .stderr(err)
            .spawn()
            .map_err(|error| error.to_string())?;
        Ok(Running {
            ready: Ready::default(),
            process,
            lines: Lines::new(reader),
            talk,
            tally: Tally::default(),
            _watchman: None,
            begin_ns,
        })
    }

    /// Waits for the line in which `is_ready` finds that the tree is watched; it gives the
    /// contender's own account of how long that took, if there is one.
    fn until(
        mut self,
        deadline_ns: u64,
        is_ready: impl Fn(&Line) -> Option<Option<u64>>,
    ) -> Result<Running, String> {
        let mut last = "has ended".to_string();
        loop {
            let next = self
                .lines
                .next(deadline_ns.min(after(LOOK_AT_MEMORY_EVERY)));
            match next.map_err(|error| error.to_string())? {
                Next::Line(line) => {
                    if let Some(own_ns) = is_ready(&line) {
                        self.is_ready(line.at_ns, own_ns);
                        return Ok(self);
                    }
                    last = line.text;
                }
                Next::Timeout if now_ns() >= deadline_ns => {
                    return Err(gave_up(deadline_ns, self.begin_ns));
                }
                Next::Timeout if self.memory_bytes() > MOST_MEMORY => {
                    let gib = MOST_MEMORY >> 30;
                    return Err(format!("gave up: not ready with {gib} GiB of memory"));
                }
                Next::Timeout => {}
                Next::End => return Err(last),
            }
        }
    }

    fn is_ready(&mut self, at_ns: u64, own_ns: Option<u64>) {
        let wall_ns = at_ns.saturating_sub(self.begin_ns);
        self.ready = Ready {
            wall_ns,
            own_ns,
            cpu_ns: self.cpu_ns(),
        };
    }

    /// For tools that do not say when they are ready: touches a file until they tell of it.
    fn probe(mut self, tree: &Path, deadline_ns: u64) -> Result<Running, String> {
        let probe = tree.join(PROBE);
        loop {
            std::fs::write(&probe, "?").map_err(|error| error.to_string())?;
            let next_ns = after(PROBE_EVERY);
            loop {
                match self
                    .lines
                    .next(next_ns)
                    .map_err(|error| error.to_string())?
                {
                    Next::Line(line) if line.text.contains(PROBE) => {
                        self.is_ready(line.at_ns, None);
                        // What was written meanwhile is told of, too.
                        self.pump(Duration::from_millis(300))?;
                        return Ok(self);
                    }
                    Next::Line(_) => {}
                    Next::Timeout => break,
                    Next::End => return Err("has ended".to_string()),
                }
            }
            if now_ns() > deadline_ns {
                return Err(gave_up(deadline_ns, self.begin_ns));
            }
        }
    }

    fn watchman(tree: &Path, deadline_ns: u64) -> Result<Running, String> {
        let mut watchman = Watchman::start()?;
        let pid = watchman.server.id();
        // The server is there before; only the watching of this tree counts.
        let (begin_ns, cpu_before) = (now_ns(), cpu_ns(pid));
        let watched = watchman.watch(tree, deadline_ns);
        let ready = Ready {
            wall_ns: now_ns() - begin_ns,
            own_ns: None,
            cpu_ns: cpu_ns(pid).saturating_sub(cpu_before),
        };
        let Watchman {
            server,
            lines,
            connection,
        } = watchman;
        let running = Running {
            ready,
            process: server,
            lines,
            talk: Talk::Lines(watchman::events),
            tally: Tally::default(),
            _watchman: Some(connection),
            begin_ns,
        };
        // Not before: with `running` the server is ended.
        watched.map(|()| running)
    }

    /// Its process, or its server's.
    fn pid(&self) -> u32 {
        self.process.id()
    }

    /// CPU time that it has used so far.
    pub fn cpu_ns(&self) -> u64 {
        cpu_ns(self.pid())
    }

    /// Memory that it uses now.
    pub fn memory_bytes(&self) -> u64 {
        memory_bytes(self.pid())
    }

    /// The next line of a contender that prints.
    pub fn next_line(&mut self, deadline_ns: u64) -> Result<Option<Line>, String> {
        match self
            .lines
            .next(deadline_ns)
            .map_err(|error| error.to_string())?
        {
            Next::Line(line) => Ok(Some(line)),
            Next::Timeout => Ok(None),
            Next::End => Err("has ended".to_string()),
        }
    }

    /// How many events a printed line stands for.
    pub fn events_in(&self, line: &Line) -> u64 {
        match self.talk {
            Talk::Protocol => 1,
            Talk::Lines(events) => events(line).len() as u64,
        }
    }

    /// Whether a printed line tells of a change to a path with this name in it.
    pub fn tells_of(&self, line: &Line, name: &str) -> bool {
        match self.talk {
            Talk::Protocol => line.text.contains(name),
            Talk::Lines(events) => events(line).iter().any(|event| event.1.contains(name)),
        }
    }

    /// Lets time pass, and counts what is printed meanwhile.
    pub fn pump(&mut self, time: Duration) -> Result<(), String> {
        let Talk::Lines(events) = self.talk else {
            std::thread::sleep(time);
            return Ok(());
        };
        let deadline_ns = after(time);
        while let Some(line) = self.next_line(deadline_ns)? {
            for (told, path) in events(&line) {
                self.tally.event();
                self.tally.path(told, path.as_bytes());
            }
            // A tool that never pauses must not keep us.
            if line.at_ns > deadline_ns {
                break;
            }
        }
        Ok(())
    }

    /// What was counted since [`Running::reset`].
    pub fn count(&mut self) -> Result<Count, String> {
        match self.talk {
            Talk::Lines(_) => Ok(self.tally.count()),
            Talk::Protocol => self.ask("count", Count::parse),
        }
    }

    /// Counts from 0 again.
    pub fn reset(&mut self) -> Result<(), String> {
        match self.talk {
            Talk::Lines(_) => {
                self.tally = Tally::default();
                Ok(())
            }
            Talk::Protocol => self.ask("reset", |line| (line == "reset").then_some(())),
        }
    }

    fn ask<T>(&mut self, question: &str, answer: impl Fn(&str) -> Option<T>) -> Result<T, String> {
        let stdin = self.process.stdin.as_mut().ok_or("has no standard input")?;
        stdin
            .write_all(format!("{question}\n").as_bytes())
            .map_err(|error| error.to_string())?;
        let deadline_ns = after(ANSWERS);
        while let Some(line) = self.next_line(deadline_ns)? {
            if let Some(answer) = answer(&line.text) {
                return Ok(answer);
            }
        }
        Err(format!("gave up: no answer for {ANSWERS:?}"))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has nothing to save. That it may have ended already is no matter.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn gave_up(deadline_ns: u64, begin_ns: u64) -> String {
    let seconds = deadline_ns.saturating_sub(begin_ns) as f64 / 1e9;
    format!("gave up: not ready after {seconds:.0} s")
}

/// `EVENT,EVENT PATH`, as the format that we ask for has it.
fn event_of(line: &Line, created: &[&str], deleted: &[&str]) -> Vec<Event> {
    let Some((flags, path)) = line.text.split_once(' ') else {
        return Vec::new();
    };
    let has = |names: &[&str]| flags.split(',').any(|flag| names.contains(&flag));
    let told = match (has(created), has(deleted)) {
        (true, false) => vec![Told::Created],
        (false, true) => vec![Told::Deleted],
        (true, true) => vec![Told::Created, Told::Deleted],
        (false, false) => vec![Told::Touched],
    };
    told.into_iter()
        .map(|told| (told, path.to_string()))
        .collect()
}

fn inotifywait_event(line: &Line) -> Vec<Event> {
    event_of(line, &["CREATE", "MOVED_TO"], &["DELETE", "MOVED_FROM"])
}

fn fswatch_event(line: &Line) -> Vec<Event> {
    // This is what it says when a file is opened, before anything has happened to it.
    match line.text.starts_with("PlatformSpecific ") {
        true => Vec::new(),
        false => event_of(line, &["Created", "MovedTo"], &["Removed", "MovedFrom"]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_tools_print_is_told_apart() {
        let line = |text: &str| Line {
            at_ns: 0,
            text: text.to_string(),
        };
        let told = inotifywait_event(&line("MOVED_TO,ISDIR /tree/a b"));
        assert_eq!(told, [(Told::Created, "/tree/a b".to_string())]);
        let told = fswatch_event(&line("Removed,IsFile /tree/f1"));
        assert_eq!(told, [(Told::Deleted, "/tree/f1".to_string())]);
        assert_eq!(fswatch_event(&line("PlatformSpecific /tree/f1")), []);
        assert_eq!(inotifywait_event(&line("nothing")), []);
    }
}
