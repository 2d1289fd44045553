//! The mounts that this process sees.
//!
//! procfs fails as a whole at one line that it cannot read, and at one name that is not UTF-8. Any user
//! of a host with FUSE can mount something of such a name, and the guard would not start.

use procfs::process::MountInfo;
use std::fs;
use std::io;

/// All that can be read of them, in the kernel's order.
///
/// # Errors
/// /proc is not there.
pub fn here() -> io::Result<Vec<MountInfo>> {
    fs::read("/proc/self/mountinfo").map(|list| parse(&list))
}

/// A line that says nothing hides no other; of a name what is no UTF-8 is replaced.
fn parse(list: &[u8]) -> Vec<MountInfo> {
    let lines = list.split(|byte| *byte == b'\n');
    let lines = lines.map(String::from_utf8_lossy);
    lines
        .filter_map(|line| MountInfo::from_line(&line).ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    const CGROUPS: &[u8] = b"30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n";

    #[test]
    fn one_odd_line_hides_no_mount() {
        let odd: [&[u8]; 4] = [
            b"29 23 0:25 / /home/u/\xff\xfe rw - fuse.x x rw\n",
            b"29 23 0:25 / /cut rw",
            b"nonsense\n",
            b"\n",
        ];
        for odd in odd {
            let list = [odd, b"\n", CGROUPS].concat();
            let found = parse(&list);
            let last = found.last().unwrap();
            assert_eq!(last.mount_point, Path::new("/sys/fs/cgroup"));
            assert_eq!(last.fs_type, "cgroup2");
        }
        assert!(!here().unwrap().is_empty());
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(before: Vec<u8>, words in "([0-9:/,a-z =-]{0,40}\n){0,6}") {
            let list = [&before[..], b"\n", words.as_bytes(), b"\n", CGROUPS].concat();
            prop_assert!(parse(&list).iter().any(|mount| mount.fs_type == "cgroup2"));
        }
    }
}
