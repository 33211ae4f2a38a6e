//! Which file systems do not tell of changes: those whose files can be changed from
//! elsewhere (another machine, a process behind FUSE) or are made up when looked at.
//! What is watched there tells at best of what was done through this very mount.

use crate::collections::HashMap;
use std::os::fd::RawFd;

/// What is known of the file systems met so far, by device number.
#[derive(Default, Debug)]
pub struct Volumes {
    silent: HashMap<u64, bool>,
}

impl Volumes {
    /// Whether the file system of an open file, whose device this is, keeps changes to
    /// itself. One system call for each file system.
    pub fn is_silent(&mut self, fd: RawFd, dev: u64) -> bool {
        *self.silent.entry(dev).or_insert_with(|| ask(fd))
    }

    /// Somebody else has asked.
    #[cfg(all(target_os = "linux", not(feature = "libkqueue")))]
    pub fn learn(&mut self, dev: u64, silent: bool) {
        self.silent.insert(dev, silent);
    }

    /// A device's number may be another file system's from now on.
    pub fn forget(&mut self) {
        self.silent.clear();
    }
}

/// A file system that cannot be asked is taken for an ordinary one.
#[cfg(target_os = "linux")]
pub(super) fn ask(fd: RawFd) -> bool {
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: `answer` is a writable statfs buffer; a descriptor that is not open
    // gives an error.
    let failed = unsafe { libc::fstatfs(fd, answer.as_mut_ptr()) } != 0;
    // SAFETY: zeroed above; every bit pattern is a valid statfs.
    let kind = unsafe { answer.assume_init() }.f_type;
    // The type's width and sign differ between architectures.
    #[allow(clippy::unnecessary_cast)]
    let kind = kind as u32;
    !failed && SILENT.contains(&kind)
}

/// `f_type` of file systems that change without inotify knowing (`linux/magic.h`; where
/// they are not there, as `tail --follow` of coreutils knows them).
#[cfg(target_os = "linux")]
const SILENT: &[u32] = &[
    0x0000_6969, // NFS
    0x0000_517b, // SMB
    0xfe53_4d42, // SMB2
    0xff53_4d42, // CIFS
    0x0000_564c, // NCP
    0x5346_414f, // AFS
    0x6b41_4653, // AFS of the kernel
    0x7375_7245, // Coda
    0x00c3_6400, // Ceph
    0x0bd0_0bd0, // Lustre
    0x4750_4653, // GPFS
    0x1983_0326, // BeeGFS
    0xaad7_aaea, // PanFS
    0xbeef_dead, // StorNext
    0x6163_6673, // ACFS
    0x0102_1997, // 9p: virtual machines, WSL
    0x786f_4256, // VirtualBox's shared folders
    0xbacb_acbc, // VMware's
    0x7c7c_6673, // Parallels'
    0x6573_5546, // FUSE, virtiofs
    0x7461_636f, // OCFS2
    0x0116_1970, // GFS2
    0x0000_9fa0, // proc
    0x6265_6572, // sysfs
    0x6462_6720, // debugfs
    0x7472_6163, // tracefs
];

/// A local file system tells; of one made by a process (FUSE, puffs) or of the
/// kernel's own state (proc) only that process or the kernel knows.
#[cfg(not(target_os = "linux"))]
fn ask(fd: RawFd) -> bool {
    #[cfg(not(target_os = "netbsd"))]
    use libc::{fstatfs, statfs};
    #[cfg(target_os = "netbsd")]
    use libc::{fstatvfs as fstatfs, statvfs as statfs};
    let mut answer = std::mem::MaybeUninit::<statfs>::zeroed();
    // SAFETY: `answer` is a writable buffer; a descriptor that is not open gives an
    // error.
    if unsafe { fstatfs(fd, answer.as_mut_ptr()) } != 0 {
        return false;
    }
    // SAFETY: zeroed above and filled by a call that succeeded.
    let answer = unsafe { answer.assume_init() };
    #[cfg(target_os = "netbsd")]
    let flags = answer.f_flag;
    #[cfg(not(target_os = "netbsd"))]
    let flags = answer.f_flags;
    // The types of both differ between systems.
    #[allow(clippy::unnecessary_cast)]
    let local = flags as u64 & libc::MNT_LOCAL as u64 != 0;
    let name = answer.f_fstypename.iter();
    let name: Vec<u8> = name
        .map(|&c| c.to_ne_bytes()[0])
        .take_while(|&c| c != 0)
        .collect();
    let has = |word: &&[u8]| name.windows(word.len()).any(|part| part == *word);
    !local || MADE_UP.iter().any(has)
}

/// Parts of the names of such file systems.
#[cfg(not(target_os = "linux"))]
const MADE_UP: &[&[u8]] = &[b"fuse", b"puffs", b"procfs", b"fdesc", b"kernfs", b"9p"];

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use std::os::fd::AsRawFd;

    #[test]
    fn proc_is_silent_and_a_directory_for_temporary_files_is_not() {
        let mut volumes = Volumes::default();
        let dir = tempfile::tempdir().unwrap();
        let open = |path| std::fs::File::open(path).unwrap();
        let (proc, temporary) = (open("/proc".as_ref()), open(dir.path()));
        assert!(volumes.is_silent(proc.as_raw_fd(), 1));
        assert!(!volumes.is_silent(temporary.as_raw_fd(), 2));
        // Asked once for each device.
        assert!(volumes.is_silent(temporary.as_raw_fd(), 1));
        volumes.forget();
        assert!(!volumes.is_silent(temporary.as_raw_fd(), 1));
    }
}
