//! What the stream says of each kind of change, on a real disk. Every test also
//! folds the events and compares the result with the disk.

mod common;

use common::{bytes, Sandbox, RECURSIVE};
use kw::engine::watch::Options;
use std::fs;
use std::os::unix::fs::PermissionsExt;

#[test]
fn a_file_is_created_modified_and_deleted() {
    let mut s = Sandbox::new();
    s.write("f", "");
    assert_eq!(s.poll()[0], "created f");
    s.append("f", "hello");
    s.expect(&["modified f"]);
    s.remove("f");
    s.expect(&["deleted f"]);
}

#[test]
fn nothing_that_was_there_before_is_reported() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/f"), "x").unwrap();
    });
    s.expect(&[]);
}

#[test]
fn files_made_in_a_new_directory_before_it_is_watched_are_reported() {
    let mut s = Sandbox::new();
    s.mkdir("d");
    s.write("d/f", "x");
    s.expect(&["created d/", "created d/f"]);
    s.write("d/g", "y");
    assert_eq!(s.poll()[0], "created d/g");
    s.check();
}

#[test]
fn a_whole_tree_made_at_once_is_reported_parents_first() {
    let mut s = Sandbox::new();
    s.mkdir("a/b/c");
    s.write("a/b/c/f", "x");
    s.write("a/g", "y");
    s.expect_set(&[
        "created a/",
        "created a/b/",
        "created a/b/c/",
        "created a/b/c/f",
        "created a/g",
    ]);
    s.write("a/b/c/f", "changed");
    s.expect(&["modified a/b/c/f"]);
}

#[test]
fn a_whole_tree_removed_is_reported_leaves_first() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::write(root.join("a/b/c/f"), "x").unwrap();
        fs::write(root.join("a/g"), "y").unwrap();
    });
    s.remove("a");
    s.expect_set(&[
        "deleted a/",
        "deleted a/b/",
        "deleted a/b/c/",
        "deleted a/b/c/f",
        "deleted a/g",
    ]);
}

#[test]
fn a_file_renamed_is_moved() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a")).unwrap();
        fs::write(root.join("f"), "x").unwrap();
    });
    std::thread::sleep(std::time::Duration::from_millis(30)); // Its time is beyond doubt then.
    s.poll();
    s.rename("f", "g");
    assert_eq!(s.poll()[0], "moved f -> g");
    s.rename("g", "a/h");
    assert_eq!(s.poll()[0], "moved g -> a/h");
    s.check();
}

#[test]
fn a_directory_renamed_moves_with_its_content_and_goes_on_being_watched() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a/b/c")).unwrap();
        fs::create_dir_all(root.join("z")).unwrap();
        fs::write(root.join("a/b/c/f"), "x").unwrap();
    });
    s.rename("a", "z/a2");
    s.expect(&["moved a -> z/a2/"]);
    s.append("z/a2/b/c/f", "y");
    s.expect(&["modified z/a2/b/c/f"]);
    s.mkdir("z/a2/b/c/d");
    s.expect(&["created z/a2/b/c/d/"]);
    s.rename("z/a2/b", "b");
    s.expect(&["moved z/a2/b -> b/"]);
}

#[test]
fn a_directory_renamed_while_its_content_changes() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/b/f"), "x").unwrap();
        fs::write(root.join("a/b/g"), "x").unwrap();
    });
    s.write("a/b/new", "n");
    s.rename("a", "a2");
    s.remove("a2/b/f");
    s.append("a2/b/g", "more");
    s.rename("a2/b", "a2/b2");
    s.write("a2/b2/last", "l");
    s.expect_set(&[
        "moved a -> a2/",
        "moved a2/b -> a2/b2/",
        "deleted a2/b2/f",
        "modified a2/b2/g",
        "created a2/b2/new",
        "created a2/b2/last",
    ]);
}

#[test]
fn what_moves_out_is_deleted_and_what_moves_in_is_created() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("d/e")).unwrap();
        fs::write(root.join("d/e/f"), "x").unwrap();
    });
    fs::rename(s.path("d"), s.outside.join("d")).unwrap();
    s.expect(&["deleted d/e/f", "deleted d/e/", "deleted d/"]);
    fs::write(s.outside.join("d/e/g"), "y").unwrap();
    s.expect(&[]);
    fs::rename(s.outside.join("d"), s.path("d2")).unwrap();
    s.expect_set(&[
        "created d2/",
        "created d2/e/",
        "created d2/e/f",
        "created d2/e/g",
    ]);
    s.append("d2/e/f", "more");
    s.expect(&["modified d2/e/f"]);
}

#[test]
fn a_directory_that_left_and_came_back_changed_between_two_polls() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "x").unwrap();
        fs::write(root.join("d/g"), "x").unwrap();
    });
    fs::rename(s.path("d"), s.outside.join("d")).unwrap();
    fs::remove_file(s.outside.join("d/f")).unwrap();
    fs::write(s.outside.join("d/new"), "n").unwrap();
    fs::rename(s.outside.join("d"), s.path("d")).unwrap();
    s.expect_set(&["deleted d/f", "created d/new"]);
}

#[test]
fn a_file_written_to_under_another_name_and_renamed_back_is_modified() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("f"), "x").unwrap();
    });
    s.rename("f", "d/away");
    s.append("d/away", "more");
    s.rename("d/away", "f");
    s.expect(&["modified f"]);
}

#[test]
fn a_rename_over_an_existing_file_replaces_it() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::write(root.join("a"), "old").unwrap();
        fs::write(root.join("b"), "new!").unwrap();
    });
    s.rename("b", "a");
    s.expect(&["replaced a", "deleted b"]);
}

#[test]
fn a_rename_over_an_empty_directory() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a")).unwrap();
        fs::create_dir_all(root.join("b")).unwrap();
        fs::write(root.join("b/f"), "x").unwrap();
    });
    s.rename("b", "a");
    s.expect(&["deleted a/", "moved b -> a/"]);
    s.append("a/f", "y");
    s.expect(&["modified a/f"]);
}

#[test]
fn an_atomic_save_is_a_replacement_and_no_deletion() {
    let mut s = Sandbox::with(RECURSIVE, |root| fs::write(root.join("f"), "1").unwrap());
    for content in ["22", "333", "4444"] {
        s.write("f.tmp", content);
        s.rename("f.tmp", "f");
        s.expect(&["replaced f"]);
    }
}

#[test]
fn two_files_swapped_replace_one_another() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::write(root.join("a"), "1").unwrap();
        fs::write(root.join("b"), "22").unwrap();
    });
    s.rename("a", "t");
    s.rename("b", "a");
    s.rename("t", "b");
    s.expect_set(&["replaced a", "replaced b"]);
}

#[test]
fn two_directories_swapped() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a/x")).unwrap();
        fs::create_dir_all(root.join("b")).unwrap();
    });
    s.rename("a", "t");
    s.rename("b", "a");
    s.rename("t", "b");
    s.expect(&["deleted b/", "moved a -> b/", "created a/"]);
    s.write("b/x/f", "f");
    s.write("a/f", "f");
    s.expect_set(&["created a/f", "created b/x/f"]);
}

#[test]
fn a_cycle_of_three() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        for (name, content) in [("a", "1"), ("b", "22"), ("c", "333")] {
            fs::write(root.join(name), content).unwrap();
        }
        fs::create_dir_all(root.join("d")).unwrap();
    });
    s.rename("a", "t");
    s.rename("c", "a");
    s.rename("b", "c");
    s.rename("t", "b");
    s.expect_set(&["replaced a", "replaced b", "replaced c"]);
    // With a directory among them.
    s.rename("a", "t");
    s.rename("d", "a");
    s.rename("b", "d");
    s.rename("t", "b");
    let events = s.poll();
    let moved = events.iter().filter(|e| e.starts_with("moved")).count();
    assert!(
        moved > 0,
        "one of the circle gives way, not all: {events:?}"
    );
    s.check();
}

#[test]
fn a_chain_of_renames_is_told_from_its_end() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a")).unwrap();
        fs::create_dir_all(root.join("b")).unwrap();
    });
    s.rename("b", "c");
    s.rename("a", "b");
    s.expect(&["moved b -> c/", "moved a -> b/"]);
}

#[test]
fn parent_and_child_change_places() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(root.join("a/f"), "x").unwrap();
        fs::write(root.join("a/b/g"), "x").unwrap();
    });
    s.rename("a/b", "b");
    s.rename("a", "b/a");
    s.expect(&["moved a/b -> b/", "moved a -> b/a/"]);
}

#[test]
fn what_is_saved_from_a_removed_directory_has_moved() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("d/x/y")).unwrap();
        fs::write(root.join("d/junk"), "x").unwrap();
    });
    s.rename("d/x", "t");
    s.remove("d");
    s.rename("t", "d");
    let events = s.poll();
    assert!(events.contains(&"deleted d/junk".to_string()), "{events:?}");
    s.check();
    s.write("d/y/f", "x");
    s.expect(&["created d/y/f"]);
}

#[test]
fn a_name_that_changes_kind_is_deleted_and_created() {
    let mut s = Sandbox::with(RECURSIVE, |root| fs::write(root.join("n"), "x").unwrap());
    s.remove("n");
    s.mkdir("n");
    s.expect(&["deleted n", "created n/"]);
    s.remove("n");
    s.symlink("nowhere", "n");
    s.expect(&["deleted n/", "created n"]);
}

#[test]
fn hard_links_come_go_and_show_each_others_writes() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("f"), "x").unwrap();
    });
    s.link("f", "d/g");
    s.expect(&["created d/g"]);
    s.append("d/g", "through g");
    s.expect_set(&["modified d/g", "modified f"]);
    s.append("f", "through f");
    s.expect_set(&["modified d/g", "modified f"]);
    s.remove("f");
    s.expect(&["deleted f"]);
    s.append("d/g", "more");
    s.expect(&["modified d/g"]);
}

#[test]
fn hundreds_of_links_of_one_file_at_once() {
    let mut s = Sandbox::with(RECURSIVE, |root| fs::write(root.join("f"), "x").unwrap());
    for i in 0..300 {
        s.link("f", &format!("link{i}"));
    }
    assert_eq!(
        s.poll().iter().filter(|e| e.starts_with("created")).count(),
        300
    );
    s.append("link7", "more");
    assert_eq!(s.poll().len(), 301);
    s.check();
}

#[test]
fn symbolic_links_are_entries_and_never_followed() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "x").unwrap();
    });
    s.symlink("d", "to_d");
    s.symlink(".", "loop");
    s.expect_set(&["created to_d", "created loop"]);
    s.append("d/f", "y");
    s.expect(&["modified d/f"]);
    s.remove("to_d");
    s.symlink("loop", "to_d");
    // Where the inode's number is given out again and no time of birth is kept,
    // it cannot be told from the old link.
    let events = s.poll();
    assert!(
        events == ["replaced to_d"] || events == ["modified to_d"],
        "{events:?}"
    );
    s.check();
}

#[test]
fn inode_numbers_reused_at_once() {
    let mut s = Sandbox::new();
    for round in 0..50 {
        s.write("a", &format!("{round}"));
        s.poll();
        s.remove("a");
        s.write("b", &format!("{round} and more"));
        s.poll();
        s.check();
        s.remove("b");
        s.mkdir("a");
        s.poll();
        s.remove("a");
        s.mkdir("b/c");
        s.write("b/c/f", "x");
        s.poll();
        s.check();
        s.remove("b");
        s.poll();
        s.check();
    }
}

#[test]
fn a_directory_removed_and_made_again_with_the_same_inode_number() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("d/old")).unwrap();
    });
    s.remove("d");
    s.mkdir("d/new");
    s.poll();
    s.check();
    s.write("d/new/f", "x");
    assert_eq!(s.poll()[0], "created d/new/f");
    s.check();
}

#[test]
fn a_case_only_rename_is_a_move() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir(root.join("readme")).unwrap()
    });
    s.rename("readme", "README");
    s.expect(&["moved readme -> README/"]);
}

#[test]
fn metadata_changes_are_attrib() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("f"), "x").unwrap();
    });
    fs::set_permissions(s.path("f"), fs::Permissions::from_mode(0o600)).unwrap();
    fs::set_permissions(s.path("d"), fs::Permissions::from_mode(0o700)).unwrap();
    s.expect_set(&["attrib f", "attrib d/"]);
}

#[test]
fn truncation_is_a_modification() {
    let mut s = Sandbox::with(RECURSIVE, |root| fs::write(root.join("f"), "long").unwrap());
    fs::File::create(s.path("f")).unwrap();
    s.expect(&["modified f"]);
}

#[test]
fn the_root_deleted_and_made_again() {
    let mut s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir(root.join("d")).unwrap();
        fs::write(root.join("d/f"), "x").unwrap();
    });
    fs::remove_dir_all(&s.root).unwrap();
    s.expect(&["deleted d/f", "deleted d/", "root gone /"]);
    s.expect(&[]);
    fs::create_dir(&s.root).unwrap();
    s.write("g", "x");
    s.expect(&["root back /", "created g"]);
    s.mkdir("e");
    s.expect(&["created e/"]);
}

#[test]
fn the_root_moved_away_and_made_again() {
    let mut s = Sandbox::with(RECURSIVE, |root| fs::write(root.join("f"), "x").unwrap());
    fs::rename(&s.root, s.outside.join("r")).unwrap();
    s.expect(&["deleted f", "root gone /"]);
    fs::write(s.outside.join("r/unseen"), "x").unwrap();
    s.expect(&[]);
    fs::rename(s.outside.join("r"), &s.root).unwrap();
    s.expect_set(&["root back /", "created f", "created unseen"]);
}

#[test]
fn the_root_replaced_between_two_polls() {
    let mut s = Sandbox::with(RECURSIVE, |root| fs::write(root.join("f"), "x").unwrap());
    fs::rename(&s.root, s.outside.join("r")).unwrap();
    fs::create_dir(&s.root).unwrap();
    s.write("g", "x");
    s.expect(&["deleted f", "root gone /", "root back /", "created g"]);
    s.append("g", "y");
    s.expect(&["modified g"]);
}

#[test]
fn an_ancestor_of_the_root_renamed_takes_the_root_away() {
    let mut s = Sandbox::with(RECURSIVE, |_| {});
    let deep = s.outside.join("p/q/root");
    fs::create_dir_all(&deep).unwrap();
    s.watcher = kw::watcher::Watcher::open(&Default::default()).unwrap();
    let spelled = deep.as_os_str().as_encoded_bytes().to_vec();
    s.watcher.add(&spelled, RECURSIVE).unwrap();
    s.root = deep.clone();
    s.replayed = common::disk(&deep);
    fs::rename(s.outside.join("p"), s.outside.join("p2")).unwrap();
    s.expect(&["root gone /"]);
    fs::create_dir_all(&deep).unwrap();
    s.expect(&["root back /"]);
    fs::write(deep.join("f"), "x").unwrap();
    s.expect(&["created f"]);
}

#[test]
fn a_root_that_is_a_file_survives_atomic_saves() {
    let mut s = Sandbox::new();
    s.write("f", "1");
    let file = s.path("f");
    s.watcher = kw::watcher::Watcher::open(&Default::default()).unwrap();
    s.watcher
        .add(file.as_os_str().as_encoded_bytes(), RECURSIVE)
        .unwrap();
    s.replayed = common::disk(&file);
    s.append("f", "23");
    assert_eq!(s.poll(), ["modified"]);
    for content in ["new", "newer", "newest"] {
        s.write("f.tmp", content);
        s.rename("f.tmp", "f");
        assert_eq!(s.poll(), ["replaced"], "{content}");
    }
    s.remove("f");
    assert_eq!(s.poll(), ["root gone"]);
    s.write("f", "again");
    assert_eq!(s.poll()[0], "root back");
    s.root = file;
    s.check();
}

#[test]
fn without_recursive_only_direct_entries_are_reported() {
    let mut s = Sandbox::with(
        Options {
            levels: 1,
            ..RECURSIVE
        },
        |root| fs::create_dir_all(root.join("a/b")).unwrap(),
    );
    s.write("a/f", "x");
    s.write("a/b/f", "x");
    assert_eq!(s.poll(), [""; 0]);
    s.mkdir("c/d");
    s.write("g", "x");
    assert_eq!(s.poll()[..2], ["created c/", "created g"]);
    s.rename("a", "z");
    assert_eq!(s.poll(), ["moved a -> z/"]);
}

#[test]
fn directories_whose_entries_changed_are_reported_on_request() {
    let mut s = Sandbox::with(
        Options {
            dir_modified: true,
            ..RECURSIVE
        },
        |root| fs::create_dir_all(root.join("a")).unwrap(),
    );
    s.mkdir("a/f");
    s.expect(&["created a/f/", "modified a/"]);
    s.rename("a/f", "f");
    s.expect(&["moved a/f -> f/", "modified a/", "modified /"]);
}

#[test]
fn names_are_bytes() {
    let mut s = Sandbox::new();
    let name = b"line\nbreak \xff\xfe";
    fs::write(s.root.join(bytes(name)), "x").unwrap();
    s.poll();
    s.check();
    assert!(s.replayed.contains_key(&name[..]));
    let long = "x".repeat(255);
    s.write(&long, "x");
    s.poll();
    s.check();
}

#[test]
fn a_tree_deeper_than_path_max() {
    // Made step by step: no path names its end.
    let mut s = Sandbox::new();
    let name = "d".repeat(200);
    for _ in 0..30 {
        // From the inside out: each level is moved into a new one.
        fs::create_dir(s.path("outer")).unwrap();
        if s.path(&name).exists() {
            fs::rename(s.path(&name), s.path("outer").join(&name)).unwrap();
        }
        s.rename("outer", &name);
    }
    s.poll();
    let depth = s
        .replayed
        .keys()
        .map(|p| p.iter().filter(|&&b| b == b'/').count())
        .max();
    assert_eq!(depth, Some(29), "every level was reported");
    s.remove_deep(&name);
    s.poll();
    assert_eq!(s.replayed.len(), 1, "and is gone again");
}

#[test]
fn overlapping_watches_report_each_for_itself() {
    let s = Sandbox::with(RECURSIVE, |root| {
        fs::create_dir_all(root.join("a/b")).unwrap()
    });
    let inner = s.path("a").as_os_str().as_encoded_bytes().to_vec();
    let second = s.watcher.add(&inner, RECURSIVE).unwrap();
    s.write("a/b/f", "x");
    let mut seen = Vec::new();
    loop {
        let mut put = |_: usize, e: kw::engine::event::Event<'_>| {
            seen.push((e.watch, common::describe(&e)));
        };
        let timeout = Some(std::time::Duration::ZERO);
        if s.watcher.poll(8, timeout, &mut put).unwrap() == 0 {
            break;
        }
    }
    seen.retain(|(_, line)| line.starts_with("created"));
    seen.sort();
    assert_eq!(
        seen,
        [
            (1, "created a/b/f".to_string()),
            (second, "created b/f".to_string())
        ]
    );
}
