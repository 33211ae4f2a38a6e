//! Counts what a contender tells of, by the numbers in which the harness's names end.
//!
//! To mark a bit for a number costs next to nothing, where a set of paths would cost more
//! than the watching that is to be measured. `contenders/protocol.c` does the same in C.

use std::fmt;

use crate::clock::now_ns;

/// The highest number in a name; the harness stays below it.
pub const NUMBERS: usize = 1 << 20;

/// What an event says of a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Told {
    /// Something has appeared there.
    Created,
    /// What was there is gone.
    Deleted,
    /// Anything else.
    Touched,
}

/// What was told of so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Count {
    /// Events of any kind.
    pub events: u64,
    /// Distinct numbers that appeared.
    pub created: u64,
    /// Distinct numbers that went.
    pub deleted: u64,
    /// Distinct numbers told of in any event.
    pub touched: u64,
    /// When a number was told of for the first time last, by `CLOCK_MONOTONIC`.
    pub last_ns: u64,
}

/// A [`Count`] with the marks that make it.
#[derive(Debug, Default)]
pub struct Tally {
    count: Count,
    created: Marks,
    deleted: Marks,
    touched: Marks,
}

impl Tally {
    /// Counts one event.
    pub fn event(&mut self) {
        self.count.events += 1;
    }

    /// Counts what an event told of `path`; nothing if that does not end in a number.
    pub fn path(&mut self, told: Told, path: &[u8]) {
        let Some(number) = number(path) else { return };
        let mut new = self.touched.mark(number);
        match told {
            Told::Created => new |= self.created.mark(number),
            Told::Deleted => new |= self.deleted.mark(number),
            Told::Touched => {}
        }
        if new {
            self.count.last_ns = now_ns();
        }
    }

    /// The counts now.
    pub fn count(&self) -> Count {
        Count {
            created: self.created.marked,
            deleted: self.deleted.marked,
            touched: self.touched.marked,
            ..self.count.clone()
        }
    }
}

impl fmt::Display for Tally {
    /// As the protocol has it.
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        let Count {
            events,
            created,
            deleted,
            touched,
            last_ns,
        } = self.count();
        write!(f, "count {events} {created} {deleted} {touched} {last_ns}")
    }
}

impl Count {
    /// Reads what a contender answered to `count`.
    pub fn parse(line: &str) -> Option<Count> {
        let mut words = line.split_whitespace();
        if words.next() != Some("count") {
            return None;
        }
        let mut next = || words.next()?.parse().ok();
        Some(Count {
            events: next()?,
            created: next()?,
            deleted: next()?,
            touched: next()?,
            last_ns: next()?,
        })
    }
}

/// The number that `path` ends in.
fn number(path: &[u8]) -> Option<usize> {
    let digits = path
        .iter()
        .rev()
        .take_while(|byte| byte.is_ascii_digit())
        .count();
    let number = std::str::from_utf8(&path[path.len() - digits..])
        .ok()?
        .parse()
        .ok()?;
    (number < NUMBERS).then_some(number)
}

/// A bit for each number.
#[derive(Debug)]
struct Marks {
    bits: Vec<u8>,
    marked: u64,
}

impl Default for Marks {
    fn default() -> Marks {
        Marks {
            bits: vec![0; NUMBERS / 8],
            marked: 0,
        }
    }
}

impl Marks {
    /// Says whether it was not marked before.
    fn mark(&mut self, number: usize) -> bool {
        let bit = 1 << (number % 8);
        let byte = &mut self.bits[number / 8];
        let new = *byte & bit == 0;
        *byte |= bit;
        self.marked += u64::from(new);
        new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_number_counts_once_in_each_kind() {
        let mut tally = Tally::default();
        for path in ["a/f000007", "b/f7", "a/no number", "a/f8"] {
            tally.event();
            tally.path(Told::Created, path.as_bytes());
        }
        tally.path(Told::Deleted, b"a/f8");
        let count = tally.count();
        assert_eq!(
            (count.events, count.created, count.deleted, count.touched),
            (4, 2, 1, 2)
        );
        assert_eq!(Count::parse(&tally.to_string()), Some(count));
    }

    #[test]
    fn a_number_beyond_the_highest_is_none() {
        assert_eq!(number(b"f1048576"), None);
        assert_eq!(number(b"f1048575"), Some(1_048_575));
        assert_eq!(number(b"f"), None);
    }
}
