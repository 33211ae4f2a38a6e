//! Scenarios as text: see `tests/scenarios/README.md`.

use super::wish::Wish;
use kw::kernel::sim::ops::Op;
use kw::kernel::sim::systems::System;
use kw::kernel::sim::Scheduled;
use std::fmt;
use std::path::{Path, PathBuf};

/// What must be told at a poll, on some kernels.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Expected {
    /// A file system, a system or a family; empty: all.
    pub kernel: String,
    pub any_order: bool,
    /// None of these may be told, whatever else is.
    pub never: bool,
    pub events: Vec<String>,
}

/// One line.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Step {
    Do(Scheduled),
    /// The script is run again and again, with this at each moment in turn.
    Each(Scheduled),
    Watch(Box<Wish>),
    Unwatch(String),
    /// What is known of a watch is saved under a name.
    Save(String, String),
    Sync,
    /// A poll that does not wait.
    Peek,
    /// How many watches there may be.
    Budget(Option<usize>),
    /// How many looks there are in a tick.
    Looks(usize),
    /// What was told since the last poll, with the number of the line.
    Poll(Vec<Expected>, usize),
    /// The resolution of time stamps, in nanoseconds.
    Granule(i64),
    Casefold,
    /// Listings do not tell kinds.
    Kindless,
    /// How many events the kernel's queue holds.
    Queue(usize),
    /// How much time each call takes, in nanoseconds.
    Pace(u64),
}

/// A scenario.
#[derive(Clone, Default, Debug)]
pub struct Script {
    pub title: String,
    pub only: Vec<String>,
    pub except: Vec<String>,
    pub steps: Vec<Step>,
}

impl Script {
    /// Reads a scenario.
    pub fn parse(text: &str) -> Result<Script, String> {
        let mut script = Script::default();
        for (at, line) in text.lines().enumerate() {
            let fail = |why: String| format!("line {}: {why}", at + 1);
            if let Some(comment) = line.strip_prefix('#') {
                if script.title.is_empty() {
                    script.title = comment.trim().to_string();
                }
                continue;
            }
            let (left, right) = match split(line) {
                Some((left, right)) => (left, Some(right)),
                None => (line, None),
            };
            let words: Vec<&str> = left.split_whitespace().collect();
            if !words.is_empty() {
                script.left(&words).map_err(fail)?;
            }
            if let Some(right) = right {
                script
                    .right(right, at + 1, !words.is_empty())
                    .map_err(fail)?;
            }
        }
        match script.title.is_empty() {
            true => Err("the first line must say what the scenario proves".to_string()),
            false => Ok(script),
        }
    }

    fn left(&mut self, words: &[&str]) -> Result<(), String> {
        let number = |at: usize| -> Result<u64, String> {
            let word = words.get(at).copied().unwrap_or_default();
            word.parse().map_err(|_| format!("{word:?} is no number"))
        };
        let step = match words[0] {
            "only" => {
                self.only.extend(words[1..].iter().map(|w| w.to_string()));
                return Ok(());
            }
            "except" => {
                self.except.extend(words[1..].iter().map(|w| w.to_string()));
                return Ok(());
            }
            "watch" => watch(&words[1..], Some(true))?,
            "-" if words.get(1) == Some(&"watch") => watch(&words[2..], Some(false))?,
            "?" if words.get(1) == Some(&"watch") => watch(&words[2..], None)?,
            "unwatch" => Step::Unwatch(words.get(1).copied().unwrap_or_default().to_string()),
            "save" => {
                let word = |at: usize| words.get(at).copied().unwrap_or_default().to_string();
                match words.len() {
                    2 => Step::Save(String::new(), word(1)),
                    3 => Step::Save(word(1), word(2)),
                    _ => return Err("save [WATCH] NAME".to_string()),
                }
            }
            "sync" => Step::Sync,
            "peek" => Step::Peek,
            "budget" if words.get(1) == Some(&"none") => Step::Budget(None),
            "budget" => Step::Budget(Some(number(1)? as usize)),
            "looks" => Step::Looks(number(1)? as usize),
            "poll" => Step::Poll(Vec::new(), 0),
            "granule" => Step::Granule(number(1)? as i64),
            "casefold" => Step::Casefold,
            "kindless" => Step::Kindless,
            "queue" => Step::Queue(number(1)? as usize),
            "pace" => Step::Pace(number(1)?),
            "@*" => Step::Each(scheduled(&words[1..])?),
            _ => Step::Do(scheduled(words)?),
        };
        self.steps.push(step);
        Ok(())
    }

    fn right(&mut self, right: &str, line: usize, first: bool) -> Result<(), String> {
        if let Some(more) = right.strip_prefix('+') {
            let Some(Step::Poll(all, _)) = self.steps.last_mut() else {
                return Err("|+ goes on with nothing".to_string());
            };
            let last = all.last_mut().ok_or("|+ goes on with nothing")?;
            last.events.extend(events(more));
            return Ok(());
        }
        let (never, rest) = match right.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, right),
        };
        let (any_order, rest) = match rest.strip_prefix('~') {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let (kernel, rest) = match rest.split_once(':') {
            Some((kernel, rest)) if !kernel.is_empty() && !kernel.contains([' ', ',']) => {
                (kernel, rest)
            }
            _ => ("", rest),
        };
        let expected = Expected {
            kernel: kernel.to_string(),
            any_order,
            never,
            events: events(rest),
        };
        match self.steps.last_mut() {
            Some(Step::Poll(all, _)) if !first => all.push(expected),
            _ => self.steps.push(Step::Poll(vec![expected], line)),
        }
        Ok(())
    }

    /// Whether it makes sense on a system.
    pub fn suits(&self, system: &System) -> bool {
        let named = |list: &[String]| list.iter().any(|n| system.names.contains(&n.as_str()));
        let only = self.only.iter().any(|n| n != "sim");
        (!only || named(&self.only)) && !named(&self.except)
    }
}

/// Every scenario of `tests/scenarios`, with its file's name.
pub fn all() -> Vec<(String, Script)> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scenarios");
    let entries = std::fs::read_dir(dir).expect("tests/scenarios");
    let mut files: Vec<PathBuf> = entries.flatten().map(|e| e.path()).collect();
    files.retain(|f| f.extension().is_some_and(|e| e == "txt"));
    files.sort();
    files.iter().map(|file| one(file)).collect()
}

/// One scenario, with its file's name.
pub fn one(file: &Path) -> (String, Script) {
    let name = file.display().to_string();
    let text = std::fs::read_to_string(file).expect("a scenario");
    match Script::parse(&text) {
        Ok(script) => (name, script),
        Err(why) => panic!("{name}: {why}"),
    }
}

/// The two sides of a line. `\|` is part of a word.
fn split(line: &str) -> Option<(&str, &str)> {
    let bytes = line.as_bytes();
    let bar = (0..bytes.len()).find(|&i| bytes[i] == b'|' && (i == 0 || bytes[i - 1] != b'\\'))?;
    Some((&line[..bar], &line[bar + 1..]))
}

fn events(list: &str) -> Vec<String> {
    let mut events = vec![String::new()];
    let mut before = ' ';
    for c in list.chars() {
        match c {
            ',' if before != '\\' => events.push(String::new()),
            _ => events[..].last_mut().expect("never empty").push(c),
        }
        before = c;
    }
    let events = events.into_iter().map(|e| e.trim().to_string());
    events
        .filter(|e| !e.is_empty())
        .map(|e| match e.find("REPLACED ") {
            Some(at) if at == 0 || e[..at].ends_with(": ") => {
                format!("{}MODIFIED|{}", &e[..at], &e[at..])
            }
            _ => e,
        })
        .collect()
}

fn watch(words: &[&str], succeeds: Option<bool>) -> Result<Step, String> {
    Ok(Step::Watch(Box::new(Wish::parse(words, succeeds)?)))
}

fn scheduled(mut words: &[&str]) -> Result<Scheduled, String> {
    let (mut after, mut late, mut early, mut succeeds) = (0, 0, 0, Some(true));
    loop {
        let number = |word: &str| {
            let number: Result<u32, _> = word.parse();
            number.map_err(|_| format!("{word:?} is no number"))
        };
        match words {
            ["-", rest @ ..] => {
                succeeds = Some(false);
                words = rest;
            }
            ["?", rest @ ..] => {
                succeeds = None;
                words = rest;
            }
            ["late", calls, rest @ ..] => {
                late = number(calls)?;
                words = rest;
            }
            ["early", calls, rest @ ..] => {
                early = number(calls)?;
                words = rest;
            }
            [at, rest @ ..] if at.starts_with('@') => {
                after = number(&at[1..])?;
                words = rest;
            }
            _ => {
                let op = Op::parse(words)?;
                return Ok(Scheduled {
                    after,
                    late,
                    early,
                    succeeds,
                    op,
                });
            }
        }
    }
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::Do(s) | Step::Each(s) => {
                if matches!(self, Step::Each(_)) {
                    f.write_str("@* ")?;
                } else if s.after > 0 {
                    write!(f, "@{} ", s.after)?;
                }
                if s.late > 0 {
                    write!(f, "late {} ", s.late)?;
                }
                if s.early > 0 {
                    write!(f, "early {} ", s.early)?;
                }
                f.write_str(match s.succeeds {
                    Some(true) => "",
                    Some(false) => "- ",
                    None => "? ",
                })?;
                write!(f, "{}", s.op)
            }
            Step::Watch(wish) => wish.fmt(f),
            Step::Unwatch(label) => write!(f, "unwatch {label}"),
            Step::Save(label, name) => match label.is_empty() {
                true => write!(f, "save {name}"),
                false => write!(f, "save {label} {name}"),
            },
            Step::Sync => f.write_str("sync"),
            Step::Peek => f.write_str("peek"),
            Step::Budget(None) => f.write_str("budget none"),
            Step::Budget(Some(n)) => write!(f, "budget {n}"),
            Step::Looks(n) => write!(f, "looks {n}"),
            Step::Poll(..) => f.write_str("poll"),
            Step::Granule(ns) => write!(f, "granule {ns}"),
            Step::Casefold => f.write_str("casefold"),
            Step::Kindless => f.write_str("kindless"),
            Step::Queue(n) => write!(f, "queue {n}"),
            Step::Pace(ns) => write!(f, "pace {ns}"),
        }
    }
}
