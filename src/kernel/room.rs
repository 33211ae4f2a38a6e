//! How many watches there may be: as many as the caller allows, and no more than the
//! kernel gives.

use super::Errno;

/// Room for watches. Once a kernel has refused one, it is not asked again until there
/// is reason to: a watch has ended, or it is time to [ask anew](Room::reopen).
#[derive(Clone, Default, Debug)]
pub struct Room {
    limit: Option<usize>,
    refused: Option<Errno>,
    last_refusal: Option<Errno>,
}

impl Room {
    /// What the caller allows; `None`: as many as there are.
    pub fn set_limit(&mut self, limit: Option<usize>) {
        self.limit = limit;
    }

    /// What the caller allows.
    pub fn limit(&self) -> Option<usize> {
        self.limit
    }

    /// Whether one more may be asked for where so many are held, or why not.
    pub fn admit(&self, held: usize) -> Result<(), Errno> {
        match self.refused {
            _ if self.limit.is_some_and(|limit| held >= limit) => Err(Errno::FULL),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// By how many more watches than the caller allows are held.
    pub fn excess(&self, held: usize) -> usize {
        self.limit.map_or(0, |limit| held.saturating_sub(limit))
    }

    /// The kernel's answer to a request for a watch.
    pub fn heed(&mut self, error: Errno) {
        if error.is_exhaustion() {
            self.refused = Some(error);
            self.last_refusal = Some(error);
        }
    }

    /// With which error the kernel has refused last, whenever that was.
    pub fn last_refusal(&self) -> Option<Errno> {
        self.last_refusal
    }

    /// A watch has ended, or others may have given back what they had: the kernel may
    /// be asked again.
    pub fn reopen(&mut self) {
        self.refused = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_limit_admits_as_many_as_it_says() {
        let mut room = Room::default();
        assert_eq!(room.admit(1_000_000), Ok(()));
        room.set_limit(Some(2));
        assert_eq!(room.admit(1), Ok(()));
        assert_eq!(room.admit(2), Err(Errno::FULL));
        assert_eq!((room.excess(2), room.excess(5)), (0, 3));
        room.reopen(); // That changes nothing of what the caller allows.
        assert_eq!(room.admit(2), Err(Errno::FULL));
    }

    #[test]
    fn a_kernel_that_refused_is_not_asked_again_until_there_is_reason_to() {
        let mut room = Room::default();
        room.heed(Errno(libc::EACCES)); // That one entry may not be watched.
        assert_eq!(room.admit(0), Ok(()));
        room.heed(Errno(libc::EMFILE));
        assert_eq!(room.admit(0), Err(Errno(libc::EMFILE)));
        room.reopen();
        assert_eq!(room.admit(0), Ok(()));
    }
}
