//! How many watches there may be: as many as the caller allows, and no more than the
//! kernel gives.

use super::Errno;

/// Room for watches. Once a kernel has refused one, it is not asked again until there
/// is reason to: a watch has ended, or it is time to [ask anew](Room::reopen).
#[derive(Clone, Default, Debug)]
pub struct Room {
    limit: Option<usize>,
    /// What the system allows, where that is known before it refuses.
    system: Option<usize>,
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

    /// What the system allows, as of now.
    pub fn set_system_limit(&mut self, limit: usize) {
        self.system = Some(limit);
    }

    fn least_limit(&self) -> Option<usize> {
        self.limit.into_iter().chain(self.system).min()
    }

    /// Whether one more may be asked for where so many are held, or why not.
    pub fn admit(&self, held: usize) -> Result<(), Errno> {
        match self.refused {
            _ if self.least_limit().is_some_and(|limit| held >= limit) => Err(Errno::FULL),
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    /// By how many more watches than allowed are held.
    pub fn excess(&self, held: usize) -> usize {
        let limit = self.least_limit();
        limit.map_or(0, |limit| held.saturating_sub(limit))
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
    fn the_lower_one_of_two_limits_counts() {
        let mut room = Room::default();
        room.set_system_limit(3);
        assert_eq!((room.excess(4), room.limit()), (1, None));
        room.set_limit(Some(2));
        assert_eq!(room.excess(4), 2);
        room.set_system_limit(1);
        assert_eq!((room.excess(4), room.limit()), (3, Some(2)));
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
