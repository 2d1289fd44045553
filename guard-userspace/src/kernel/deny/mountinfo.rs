//! /proc/PID/mountinfo, as far as it says what can be asked about.
//!
//! procfs has a reader for it, which leaves `\040` in paths and fails as a whole at one name that is
//! not UTF-8. Whoever may mount in a container could hide all its mounts from us by such a name.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;

/// A mount in some mount namespace.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Its id, which another mount may have once this one is gone.
    pub id: u64,
    /// The mount that it is mounted on.
    pub parent: u64,
    /// Where, seen from the root of the process whose list this is.
    pub point: PathBuf,
    /// What may be asked about it.
    pub kind: Kind,
}

/// What may be asked about a mount.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Whether a program may be executed.
    Local,
    /// Nothing: the kernel executes nothing from it.
    Noexec,
    /// Nothing, of it or of what is mounted on it: opening a file on it may wait for a process or
    /// for another host, and so would the thread that answers. Were that process in a target, the
    /// two would wait for each other.
    Remote,
}

/// Filesystems that are served by another process or host. Overlayfs over one of them is not found
/// out; the guardian is the net below.
const REMOTE: [&str; 13] = [
    "fuse",
    "fuseblk",
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "9p",
    "ceph",
    "afs",
    "autofs",
    "coda",
    "lustre",
    "glusterfs",
];

/// Reads the list; lines that say nothing are left out.
#[must_use]
pub fn parse(list: &[u8]) -> Vec<Mount> {
    let lines = list.split(|byte| *byte == b'\n');
    let mut mounts: Vec<Mount> = lines.filter_map(line).collect();
    spread_remote(&mut mounts);
    mounts
}

fn line(line: &[u8]) -> Option<Mount> {
    let mut words = line.split(|byte| *byte == b' ');
    let id = number(words.next()?)?;
    let parent = number(words.next()?)?;
    let _device = words.next()?;
    let _root = words.next()?;
    let point = PathBuf::from(OsString::from_vec(unescape(words.next()?)));
    let noexec = words
        .next()?
        .split(|byte| *byte == b',')
        .any(|option| option == b"noexec");
    // Optional words, as many as there are, end with a dash.
    words.find(|word| *word == b"-")?;
    let filesystem = words.next()?;
    let kind = if is_remote(filesystem) {
        Kind::Remote
    } else if noexec {
        Kind::Noexec
    } else {
        Kind::Local
    };
    Some(Mount {
        id,
        parent,
        point,
        kind,
    })
}

fn is_remote(filesystem: &[u8]) -> bool {
    filesystem.starts_with(b"fuse.") || REMOTE.iter().any(|name| name.as_bytes() == filesystem)
}

/// The way to what is mounted on a remote filesystem leads through it. Each mount is judged once: who may
/// mount in a container may nest 100,000 of them (fs.mount-max).
fn spread_remote(mounts: &mut [Mount]) {
    let parents: BTreeMap<u64, u64> = mounts
        .iter()
        .map(|mount| (mount.id, mount.parent))
        .collect();
    let mut judged: BTreeMap<u64, bool> = mounts
        .iter()
        .filter(|mount| mount.kind == Kind::Remote)
        .map(|mount| (mount.id, true))
        .collect();
    for mount in mounts.iter_mut() {
        let mut way = Vec::new();
        let mut at = mount.id;
        let verdict = loop {
            if let Some(verdict) = judged.get(&at) {
                break *verdict;
            }
            // Until it is known: a list that is read while it changes may be a ring.
            judged.insert(at, false);
            way.push(at);
            match parents.get(&at) {
                Some(next) => at = *next,
                None => break false,
            }
        };
        judged.extend(way.into_iter().map(|id| (id, verdict)));
        if verdict {
            mount.kind = Kind::Remote;
        }
    }
}

fn number(word: &[u8]) -> Option<u64> {
    std::str::from_utf8(word).ok()?.parse().ok()
}

/// Blanks, line ends and backslashes are written as three octal digits.
fn unescape(word: &[u8]) -> Vec<u8> {
    let mut plain = Vec::with_capacity(word.len());
    let mut rest = word;
    while let Some((first, behind)) = rest.split_first() {
        match behind.split_at_checked(3).filter(|_| *first == b'\\') {
            Some((digits, behind)) if digits.iter().all(|digit| (b'0'..=b'7').contains(digit)) => {
                let value = digits
                    .iter()
                    .fold(0u32, |value, digit| value * 8 + u32::from(digit - b'0'));
                plain.push(u8::try_from(value & 0xff).unwrap_or(0));
                rest = behind;
            }
            _ => {
                plain.push(*first);
                rest = behind;
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn kinds(list: &str) -> Vec<(u64, Kind)> {
        let mounts = parse(list.as_bytes());
        mounts.iter().map(|mount| (mount.id, mount.kind)).collect()
    }

    #[test]
    fn a_container_s_mounts() {
        let list = "\
601 500 0:58 / / rw,relatime master:9 - overlay overlay rw,lowerdir=/a
602 601 0:61 / /proc rw,nosuid,nodev,noexec,relatime - proc proc rw
603 601 0:62 / /dev rw,nosuid - tmpfs tmpfs rw,size=65536k
604 601 254:0 /v /data\\040dir rw,relatime shared:3 master:1 - ext4 /dev/vda rw
605 601 0:70 / /nfs rw - nfs4 host:/x rw
606 605 0:71 / /nfs/deep rw - tmpfs tmpfs rw
607 606 0:72 / /nfs/deep/er rw - ext4 tmpfs rw
608 601 0:73 / /f rw - fuse.sshfs host: rw

609 nonsense
610 601 0:73 / /no-dash rw fuse x rw";
        use Kind::{Local, Noexec, Remote};
        assert_eq!(
            kinds(list),
            [
                (601, Local),
                (602, Noexec),
                (603, Local),
                (604, Local),
                (605, Remote),
                (606, Remote),
                (607, Remote),
                (608, Remote)
            ]
        );
        assert_eq!(parse(list.as_bytes())[3].point, PathBuf::from("/data dir"));
    }

    #[test]
    fn names_come_back_as_they_were() {
        let check = |word: &[u8], expected: &[u8]| assert_eq!(unescape(word), expected);
        check(b"/a\\040b\\011\\012\\134c", b"/a b\t\n\\c");
        check(b"/a\\04", b"/a\\04");
        check(b"/a\\988", b"/a\\988");
        check(b"\\", b"\\");
        check(b"/\xff\xfe", b"/\xff\xfe");
    }

    #[test]
    fn one_odd_name_hides_no_other_mount() {
        let list = b"1 1 0:1 / / rw - ext4 a rw\n2 1 0:2 / /\xff rw - tmpfs b rw\n";
        assert_eq!(parse(list).len(), 2);
        // Two mounts that are each other's parent are nobody's, and end.
        let ring = "1 2 0:1 / /a rw - ext4 a rw\n2 1 0:1 / /b rw - ext4 a rw";
        assert_eq!(kinds(ring), [(1, Kind::Local), (2, Kind::Local)]);
    }

    /// Within the second that a unit test may take, where each step up from each mount took minutes.
    #[test]
    fn mounts_nested_without_end_are_read() {
        let list: String = (1..=100_000u32)
            .map(|id| format!("{id} {} 0:1 / /m rw - ext4 a rw\n", id - 1))
            .collect();
        let remote = list.replacen("ext4", "nfs", 1);
        for (list, kind) in [(&list, Kind::Local), (&remote, Kind::Remote)] {
            let mounts = parse(list.as_bytes());
            assert_eq!(mounts.len(), 100_000);
            assert!(mounts.iter().all(|mount| mount.kind == kind));
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_read(list: Vec<u8>) {
            let lines = list.split(|byte| *byte == b'\n').count();
            prop_assert!(parse(&list).len() <= lines);
        }
    }
}
