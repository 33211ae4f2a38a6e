//! The names of all entries, one after the other in one buffer.
//!
//! A name takes its bytes and one more for its length. What a removed one leaves
//! behind is reclaimed when half of the buffer is of no use.

/// Where a name is: half of its offset, so that there may be 8 GiB of them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name(u32);

impl Name {
    /// The empty one, which takes no room.
    pub const EMPTY: Name = Name(0);

    fn at(self) -> usize {
        self.0 as usize * UNIT
    }
}

const UNIT: usize = 2;
/// Stands before a length of two bytes.
const LONG: u8 = u8::MAX;
/// Less is not worth the copying.
const LITTLE: usize = 64 * 1024;

#[derive(Debug)]
pub struct Names {
    bytes: Vec<u8>,
    useless: usize,
}

impl Names {
    pub fn new() -> Names {
        Names {
            bytes: vec![0; UNIT], // The empty name.
            useless: 0,
        }
    }

    pub fn get(&self, name: Name) -> &[u8] {
        let (start, len) = self.span(name);
        &self.bytes[start..start + len]
    }

    /// Where the bytes of a name begin, and how many there are.
    fn span(&self, name: Name) -> (usize, usize) {
        let at = name.at();
        match self.bytes[at] {
            LONG => {
                let len = [self.bytes[at + 1], self.bytes[at + 2]];
                (at + 3, usize::from(u16::from_le_bytes(len)))
            }
            len => (at + 1, usize::from(len)),
        }
    }

    /// Longer ones than any system has (1,023 bytes on macOS) are cut.
    pub fn add(&mut self, name: &[u8]) -> Name {
        if name.is_empty() {
            return Name::EMPTY;
        }
        let name = &name[..name.len().min(usize::from(u16::MAX))];
        let at = u32::try_from(self.bytes.len() / UNIT).expect("less than 8 GiB of names");
        match u8::try_from(name.len()) {
            Ok(len) if len != LONG => self.bytes.push(len),
            _ => {
                self.bytes.push(LONG);
                let len = (name.len() as u16).to_le_bytes();
                self.bytes.extend_from_slice(&len);
            }
        }
        self.bytes.extend_from_slice(name);
        if self.bytes.len() % UNIT != 0 {
            self.bytes.push(0);
        }
        Name(at)
    }

    /// The name is of no use any more.
    pub fn drop(&mut self, name: Name) {
        if name != Name::EMPTY {
            let (start, len) = self.span(name);
            self.useless += (start + len - name.at()).next_multiple_of(UNIT);
        }
    }

    /// Whether it is time to move the names that are of use to a new buffer.
    pub fn is_wasteful(&self) -> bool {
        self.useless > LITTLE && self.useless > self.bytes.len() / 2
    }

    /// Bytes held.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }
}
