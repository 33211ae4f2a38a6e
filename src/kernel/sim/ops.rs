//! What users and misfortune do, as the lines of a scenario.

use super::files::Name;
use crate::kernel::Errno;
use std::fmt;

/// Which call of the seam fails.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Fault {
    /// A directory cannot be listed.
    List,
    /// An entry cannot be watched.
    Watch,
    /// An entry cannot be looked at.
    Stat,
}

/// One operation. Paths are relative to the root.
#[derive(Clone, PartialEq, Eq, Debug)]
#[allow(missing_docs)] // Named as in the scenarios, whose README describes them.
pub enum Op {
    Mkdir(Name),
    Mkdirs(Name),
    Create(Name),
    Write(Name, Name),
    Append(Name, u64),
    Overwrite(Name, u64),
    Truncate(Name, u64),
    Chmod(Name, u32),
    Age(Name),
    Rm(Name),
    Rmdir(Name),
    Rmtree(Name),
    Mv(Name, Name),
    Swap(Name, Name),
    Ln(Name, Name),
    Symlink(Name, Name),
    Mkfifo(Name),
    Overflow,
    /// The caller does not want the crawl any more.
    Cancel,
    Limit(Option<usize>),
    Fail(Fault, Name, Errno),
    /// Whether it is one that does not tell of every change.
    Mount(Name, bool),
    Unmount(Name),
    Notice(Name),
    Revoke(Name),
    Mmap(Name),
    Clone(Name, u64),
    Wait(u64),
}

const ERRORS: &[(&str, i32)] = &[
    ("EACCES", libc::EACCES),
    ("EIO", libc::EIO),
    ("EMFILE", libc::EMFILE),
    ("ENFILE", libc::ENFILE),
    ("ENOMEM", libc::ENOMEM),
    ("ENOSPC", libc::ENOSPC),
    ("ENOENT", libc::ENOENT),
];

const FAULTS: &[(&str, Fault)] = &[
    ("list", Fault::List),
    ("watch", Fault::Watch),
    ("stat", Fault::Stat),
];

/// Undoes the escapes in a word.
pub fn unescape(word: &str) -> Result<Name, String> {
    let mut out = Vec::new();
    let mut rest = word.bytes();
    while let Some(byte) = rest.next() {
        if byte != b'\\' {
            out.push(byte);
            continue;
        }
        out.push(match rest.next() {
            Some(b's') => b' ',
            Some(b'n') => b'\n',
            Some(b't') => b'\t',
            Some(b'x') => {
                let digits = [rest.next(), rest.next()];
                let digit = |d: Option<u8>| d.and_then(|d| char::from(d).to_digit(16));
                match digits.map(digit) {
                    [Some(high), Some(low)] => (high * 16 + low) as u8,
                    _ => return Err(format!("{word}: \\x takes two digits")),
                }
            }
            Some(other @ (b'\\' | b'|' | b',')) => other,
            _ => return Err(format!("{word}: unknown escape")),
        });
    }
    Ok(out.into())
}

/// A word as a scenario has it.
pub fn escape(name: &[u8]) -> String {
    let mut out = String::new();
    for &byte in name {
        match byte {
            b' ' => out.push_str("\\s"),
            b'\n' => out.push_str("\\n"),
            b'\t' => out.push_str("\\t"),
            b'\\' | b'|' | b',' => out.extend(['\\', char::from(byte)]),
            0x21..=0x7e => out.push(char::from(byte)),
            _ => out.push_str(&format!("\\x{byte:02x}")),
        }
    }
    out
}

impl Op {
    /// Reads an operation's words.
    pub fn parse(words: &[&str]) -> Result<Op, String> {
        let line = words.join(" ");
        let (&verb, rest) = words.split_first().ok_or("no operation")?;
        let word = |at: usize| -> Result<Name, String> {
            let word = rest.get(at).ok_or(format!("{line}: a word is missing"))?;
            unescape(word)
        };
        let number = |at: usize, radix: u32| -> Result<u64, String> {
            let word = rest.get(at).ok_or(format!("{line}: a number is missing"))?;
            u64::from_str_radix(word, radix).map_err(|_| format!("{line}: {word} is no number"))
        };
        let text = |at: usize| -> Result<u64, String> {
            Ok(rest
                .get(at)
                .map_or(Ok(0), |w| unescape(w).map(|t| t.len()))? as u64)
        };
        let (op, takes) = match verb {
            "mkdir" => (Op::Mkdir(word(0)?), 1),
            "mkdirs" => (Op::Mkdirs(word(0)?), 1),
            "create" => (Op::Create(word(0)?), 1),
            "write" => {
                let text = rest.get(1).map_or(Ok(Name::default()), |w| unescape(w));
                (Op::Write(word(0)?, text?), 2)
            }
            "append" => (Op::Append(word(0)?, text(1)?), 2),
            "overwrite" => (Op::Overwrite(word(0)?, text(1)?), 2),
            "truncate" => (Op::Truncate(word(0)?, number(1, 10)?), 2),
            "chmod" => (Op::Chmod(word(0)?, number(1, 8)? as u32), 2),
            "age" => (Op::Age(word(0)?), 1),
            "rm" => (Op::Rm(word(0)?), 1),
            "rmdir" => (Op::Rmdir(word(0)?), 1),
            "rmtree" => (Op::Rmtree(word(0)?), 1),
            "mv" => (Op::Mv(word(0)?, word(1)?), 2),
            "swap" => (Op::Swap(word(0)?, word(1)?), 2),
            "ln" => (Op::Ln(word(0)?, word(1)?), 2),
            "symlink" => (Op::Symlink(word(0)?, word(1)?), 2),
            "mkfifo" => (Op::Mkfifo(word(0)?), 1),
            "overflow" => (Op::Overflow, 0),
            "cancel" => (Op::Cancel, 0),
            "limit" if rest == ["none"] => (Op::Limit(None), 1),
            "limit" => (Op::Limit(Some(number(0, 10)? as usize)), 1),
            "fail" => {
                let find = |at: usize| *rest.get(at).unwrap_or(&"");
                let fault = FAULTS.iter().find(|(n, _)| *n == find(0));
                let error = ERRORS.iter().find(|(n, _)| *n == find(2));
                let (Some((_, fault)), Some((_, error))) = (fault, error) else {
                    return Err(format!("{line}: fail list|watch|stat PATH ERROR"));
                };
                (Op::Fail(*fault, word(1)?, Errno(*error)), 3)
            }
            "mount" if rest.get(1) == Some(&"silent") => (Op::Mount(word(0)?, true), 2),
            "mount" => (Op::Mount(word(0)?, false), 1),
            "unmount" => (Op::Unmount(word(0)?), 1),
            "notice" => (Op::Notice(word(0)?), 1),
            "revoke" => (Op::Revoke(word(0)?), 1),
            "mmap" => (Op::Mmap(word(0)?), 1),
            "clone" => (Op::Clone(word(0)?, text(1)?), 2),
            "wait" => (Op::Wait(number(0, 10)?), 1),
            _ => return Err(format!("{line}: unknown operation")),
        };
        if rest.len() > takes {
            return Err(format!("{line}: too many words"));
        }
        Ok(op)
    }
}

impl fmt::Display for Op {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = |verb: &str, words: &[&Name]| {
            f.write_str(verb)?;
            words.iter().try_for_each(|w| write!(f, " {}", escape(w)))
        };
        match self {
            Op::Mkdir(p) => line("mkdir", &[p]),
            Op::Mkdirs(p) => line("mkdirs", &[p]),
            Op::Create(p) => line("create", &[p]),
            Op::Age(p) => line("age", &[p]),
            Op::Rm(p) => line("rm", &[p]),
            Op::Rmdir(p) => line("rmdir", &[p]),
            Op::Rmtree(p) => line("rmtree", &[p]),
            Op::Mv(p, q) => line("mv", &[p, q]),
            Op::Swap(p, q) => line("swap", &[p, q]),
            Op::Ln(p, q) => line("ln", &[p, q]),
            Op::Symlink(p, q) => line("symlink", &[p, q]),
            Op::Mkfifo(p) => line("mkfifo", &[p]),
            Op::Overflow => line("overflow", &[]),
            Op::Cancel => line("cancel", &[]),
            Op::Mount(p, false) => line("mount", &[p]),
            Op::Mount(p, true) => write!(f, "mount {} silent", escape(p)),
            Op::Unmount(p) => line("unmount", &[p]),
            Op::Notice(p) => line("notice", &[p]),
            Op::Revoke(p) => line("revoke", &[p]),
            Op::Mmap(p) => line("mmap", &[p]),
            Op::Write(p, text) => line("write", &[p, text]),
            Op::Append(p, n) => line("append", &[p, &text(*n)]),
            Op::Overwrite(p, n) => line("overwrite", &[p, &text(*n)]),
            Op::Clone(p, n) => line("clone", &[p, &text(*n)]),
            Op::Truncate(p, n) => write!(f, "truncate {} {n}", escape(p)),
            Op::Chmod(p, mode) => write!(f, "chmod {} {mode:o}", escape(p)),
            Op::Limit(None) => f.write_str("limit none"),
            Op::Limit(Some(n)) => write!(f, "limit {n}"),
            Op::Wait(ms) => write!(f, "wait {ms}"),
            Op::Fail(fault, p, error) => {
                let fault = FAULTS.iter().find(|(_, x)| x == fault);
                let error = ERRORS.iter().find(|(_, x)| *x == error.0);
                let (fault, error) = (fault.map_or("?", |f| f.0), error.map_or("?", |e| e.0));
                write!(f, "fail {fault} {} {error}", escape(p))
            }
        }
    }
}

/// A text of so many bytes.
pub fn text(len: u64) -> Name {
    vec![b'x'; len as usize].into()
}
