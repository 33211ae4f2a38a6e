//! The `notify` crate as a contender: `contender-notify version | print TREE | count
//! TREE`. `protocol.h` says what is printed.

use std::io::Write;
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use kw_bench::tally::{Tally, Told};
use notify::event::{ModifyKind, RenameMode};
use notify::{Event, EventKind, RecursiveMode, Watcher};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let outcome = match words[..] {
        ["version"] => {
            println!("{}", version());
            Ok(())
        }
        ["print", tree] => watch(Path::new(tree), None),
        ["count", tree] => watch(Path::new(tree), Some(Arc::default())),
        _ => {
            eprintln!("usage: contender-notify version | print TREE | count TREE");
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("notify: {error}");
            ExitCode::FAILURE
        }
    }
}

/// The crate does not tell its version; the lock file that it was built with does.
fn version() -> &'static str {
    include_str!("../Cargo.lock")
        .split("[[package]]")
        .find(|package| package.contains("name = \"notify\"\n"))
        .and_then(|package| package.split('"').nth(3))
        .unwrap_or("unknown")
}

/// Watches, and prints events, or counts them for whoever asks on standard input.
fn watch(tree: &Path, tally: Option<Arc<Mutex<Tally>>>) -> notify::Result<()> {
    let counted = tally.clone();
    let begin = Instant::now();
    let mut watcher =
        notify::recommended_watcher(
            move |event: notify::Result<Event>| match (event, &counted) {
                // That a file was opened or closed says of no change. As a line it would be
                // taken for what the write after it has caused.
                (Ok(event), _) if event.kind.is_access() => {}
                (Ok(event), None) => print(&event),
                (Ok(event), Some(tally)) => {
                    if let Ok(mut tally) = tally.lock() {
                        count(&event, &mut tally);
                    }
                }
                (Err(error), _) => eprintln!("notify: {error}"),
            },
        )?;
    watcher.watch(tree, RecursiveMode::Recursive)?;
    println!("ready {}", begin.elapsed().as_nanos());
    for line in std::io::stdin().lines() {
        let Some(tally) = &tally else { continue };
        let Ok(mut tally) = tally.lock() else { break };
        if line? == "reset" {
            *tally = Tally::default();
            println!("reset");
        } else {
            println!("{tally}");
        }
    }
    Ok(())
}

/// One line for each path, in one write.
fn print(event: &Event) {
    let mut lines = String::new();
    for path in &event.paths {
        lines += &path.to_string_lossy();
        lines.push('\n');
    }
    // Who does not listen any more needs no events.
    let _ = std::io::stdout().write_all(lines.as_bytes());
}

fn count(event: &Event, tally: &mut Tally) {
    let told = match event.kind {
        EventKind::Create(_) | EventKind::Modify(ModifyKind::Name(RenameMode::To)) => Told::Created,
        EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(RenameMode::From)) => {
            Told::Deleted
        }
        // RenameMode::Both repeats what From and To have said.
        _ => Told::Touched,
    };
    tally.event();
    for path in &event.paths {
        tally.path(told, path.as_os_str().as_encoded_bytes());
    }
}
