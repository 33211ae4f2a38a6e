//! What the kernel knows of a contender's processes: CPU time and memory.

use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

/// Has the process that `command` starts end when the harness does, however that ends.
pub fn ends_with_us(command: &mut Command) {
    let request = || {
        // SAFETY: prctl(2) with these takes nothing but numbers.
        match unsafe { libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL) } {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    };
    // SAFETY: prctl(2) is one system call, which may be made between fork and exec.
    unsafe { command.pre_exec(request) };
}

/// A process with the processes that it has started, and theirs.
fn family(pid: u32) -> Vec<u32> {
    let mut pids = vec![pid];
    let mut next = 0;
    while next < pids.len() {
        let children = format!("/proc/{0}/task/{0}/children", pids[next]);
        let children = std::fs::read_to_string(children).unwrap_or_default();
        pids.extend(
            children
                .split_whitespace()
                .filter_map(|pid| pid.parse::<u32>().ok()),
        );
        next += 1;
    }
    pids
}

/// CPU time in nanoseconds, user and system, of all threads. By the process's own clock,
/// because `/proc/PID/stat` counts hundredths of a second.
pub fn cpu_ns(pid: u32) -> u64 {
    family(pid)
        .into_iter()
        .map(|pid| cpu_ns_of_one(pid).unwrap_or(0))
        .sum()
}

fn cpu_ns_of_one(pid: u32) -> io::Result<u64> {
    let mut clock = 0;
    // SAFETY: `clock` is writable.
    let error = unsafe { libc::clock_getcpuclockid(pid as libc::pid_t, &mut clock) };
    if error != 0 {
        return Err(io::Error::from_raw_os_error(error));
    }
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: `time` is writable.
    if unsafe { libc::clock_gettime(clock, &mut time) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64)
}

/// Memory in bytes: pages that are shared count in part (`Pss`). What the kernel takes for
/// the watches themselves is in no process's account.
pub fn memory_bytes(pid: u32) -> u64 {
    family(pid)
        .into_iter()
        .map(|pid| memory_of_one(pid).unwrap_or(0))
        .sum()
}

fn memory_of_one(pid: u32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix("Pss:"))?;
    Some(line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_has_used_some_of_both() {
        assert!(cpu_ns(std::process::id()) > 0);
        assert!(memory_bytes(std::process::id()) > 100_000);
    }

    #[test]
    fn a_process_that_is_not_there_uses_nothing() {
        // One more than the highest that Linux gives.
        let none = (1 << 22) + 1;
        assert_eq!((cpu_ns(none), memory_bytes(none)), (0, 0));
    }
}
