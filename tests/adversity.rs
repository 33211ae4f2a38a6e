//! When the system refuses, forgets or takes away: overflow of the kernel's
//! queue, permissions lost and regained, and limits reached.
#![cfg(target_os = "linux")]

mod common;

use common::{Sandbox, RECURSIVE};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;
use std::sync::Mutex;

/// More than the kernel's queue holds (`fs.inotify.max_queued_events`).
#[cfg(not(feature = "libkqueue"))]
fn flood(s: &Sandbox) {
    let limit = fs::read_to_string("/proc/sys/fs/inotify/max_queued_events").unwrap();
    let limit: usize = limit.trim().parse().unwrap();
    for i in 0..limit / 2 + 100 {
        // A create and a delete each, which leave no trace but the notes.
        fs::create_dir(s.path("x")).unwrap();
        fs::remove_dir(s.path("x")).unwrap();
        if i % 1000 == 0 {
            s.write(&format!("f{i}"), "x");
        }
    }
}

#[test]
#[cfg(not(feature = "libkqueue"))]
fn an_overflow_of_the_queue_loses_nothing() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("old/sub")).unwrap();
        fs::write(root.join("old/sub/f"), "x").unwrap();
        fs::create_dir_all(root.join("renamed/sub")).unwrap();
    });
    flood(&s);
    // All of this is in the part that is lost.
    s.remove("old/sub");
    s.mkdir("old/sub/again");
    s.write("old/sub/again/f", "x");
    s.rename("renamed", "renamed2");
    s.mkdir("new/d");
    s.write("new/d/f", "x");
    let events = s.poll();
    s.check();
    assert!(events.contains(&"rescanned /".to_string()));
    assert!(
        events.contains(&"moved renamed -> renamed2/".to_string()),
        "{events:?}"
    );
    assert_eq!(s.watcher.stats().overflows, 1);
    // And everything is watched again.
    for dir in ["old/sub/again", "renamed2/sub", "new/d"] {
        s.write(&format!("{dir}/later"), "x");
        assert_eq!(s.poll()[0], format!("created {dir}/later"));
    }
    s.check();
}

/// Runs a test as somebody to whom permissions apply: as another user in a
/// process of its own if this one is root's.
fn unprivileged(test: &str, body: fn()) {
    const NOBODY: u32 = 65534;
    if std::env::var_os("KW_UNPRIVILEGED").is_some() {
        return body();
    }
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", test, "--nocapture"])
        .env("KW_UNPRIVILEGED", "1");
    let is_root = fs::metadata("/proc/self").is_ok_and(|m| {
        use std::os::unix::fs::MetadataExt;
        m.uid() == 0
    });
    // A process that another test starts while the copy is written has it open for
    // writing until it becomes another program; so long the copy cannot be started.
    static STARTING: Mutex<()> = Mutex::new(());
    let starting = STARTING.lock().unwrap_or_else(|e| e.into_inner());
    let copy = tempfile::tempdir().unwrap();
    if is_root {
        use std::os::unix::process::CommandExt;
        // The test program may be where nobody may read.
        fs::set_permissions(copy.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let program = copy.path().join("test");
        fs::copy(std::env::current_exe().unwrap(), &program).unwrap();
        let mut other = std::process::Command::new(program);
        other
            .args(["--exact", test, "--nocapture"])
            .env("KW_UNPRIVILEGED", "1");
        other.uid(NOBODY).gid(NOBODY).current_dir("/");
        command = other;
    }
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    drop(starting);
    let output = child.wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{text}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    assert!(text.contains("1 passed"), "the test did not run: {text}");
}

fn set_mode(s: &Sandbox, name: &str, mode: u32) {
    fs::set_permissions(s.path(name), fs::Permissions::from_mode(mode)).unwrap();
}

#[test]
fn permission_lost_and_regained_on_a_directory() {
    unprivileged("permission_lost_and_regained_on_a_directory", || {
        let mut s = Sandbox::with(RECURSIVE, |root| {
            fs::create_dir_all(root.join("d/sub")).unwrap();
            fs::write(root.join("d/f"), "x").unwrap();
        });
        set_mode(&s, "d", 0o000);
        assert!(s.poll().contains(&"attrib d/".to_string()));
        set_mode(&s, "d", 0o700);
        s.write("d/g", "x");
        s.write("d/sub/h", "x");
        let events = s.poll();
        for created in ["created d/g", "created d/sub/h"] {
            assert!(events.contains(&created.to_string()), "{events:?}");
        }
        s.check();
    });
}

#[test]
fn a_directory_that_cannot_be_read_is_an_error_of_its_own_and_heals() {
    unprivileged(
        "a_directory_that_cannot_be_read_is_an_error_of_its_own_and_heals",
        || {
            let mut s = Sandbox::new();
            s.mkdir("d/sub");
            s.write("d/f", "x");
            set_mode(&s, "d", 0o000);
            s.write("beside", "x");
            let events = s.poll();
            for line in ["created d/", "error d/", "created beside"] {
                assert!(events.contains(&line.to_string()), "{events:?}");
            }
            assert_eq!(s.poll(), [""; 0], "an error is told once");
            set_mode(&s, "d", 0o700);
            s.watcher.sync(); // With kqueue it could not be watched, and is polled.
            let events = s.poll();
            for line in ["attrib d/", "created d/f", "created d/sub/"] {
                assert!(events.contains(&line.to_string()), "{events:?}");
            }
            s.write("d/sub/g", "x");
            assert_eq!(s.poll()[0], "created d/sub/g");
            s.check();
        },
    );
}

// libkqueue tells nothing of the removal of an empty directory that is open.
#[test]
#[cfg(not(feature = "libkqueue"))]
fn a_root_that_comes_back_unreadable_is_watched_once_it_can_be_read() {
    unprivileged(
        "a_root_that_comes_back_unreadable_is_watched_once_it_can_be_read",
        || {
            let mut s = Sandbox::new();
            fs::remove_dir(&s.root).unwrap();
            assert_eq!(s.poll(), ["root gone /"]);
            fs::create_dir(&s.root).unwrap();
            set_mode(&s, "", 0o000);
            assert_eq!(s.poll(), ["error"]);
            s.watcher.sync();
            assert_eq!(s.poll(), [""; 0], "said once");
            set_mode(&s, "", 0o700);
            s.write("f", "x");
            s.watcher.sync();
            assert_eq!(s.poll(), ["root back /", "created f"]);
            s.write("g", "x");
            assert_eq!(s.poll()[0], "created g");
            s.check();
        },
    );
}
