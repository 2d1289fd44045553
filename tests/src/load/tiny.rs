//! The smallest program that needs no loader, at a place that nobody has marked: in memory, or on a
//! mount that was made a moment ago.

use std::fs::{self, File, Permissions};
use std::io::{self, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;

use rustix::fs::{MemfdFlags, memfd_create};
use rustix::mount::{MountFlags, mount};

/// Says that it runs (one byte) and stays until its standard input ends, for x86-64:
/// write(1, rsp, 1); read(0, rsp, 1); exit(0).
const HOLDS: [u8; 43] = [
    0xb8, 1, 0, 0, 0, 0x89, 0xc7, 0x48, 0x89, 0xe6, 0xba, 1, 0, 0, 0, 0x0f, 0x05, // write
    0x31, 0xc0, 0x31, 0xff, 0x48, 0x89, 0xe6, 0xba, 1, 0, 0, 0, 0x0f, 0x05, // read
    0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05, // exit
    0x90, 0x90, 0x90,
];

/// exit(0).
const ENDS: [u8; 9] = [0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05];

/// A program that is there.
#[derive(Clone, Debug)]
pub struct Tiny {
    path: PathBuf,
    /// Keeps what is in memory.
    file: Option<std::sync::Arc<File>>,
}

impl Tiny {
    /// In memory.
    ///
    /// # Errors
    /// The kernel's.
    pub fn in_memory() -> io::Result<Self> {
        Self::of(&holds())
    }

    /// In memory, one that ends at once.
    ///
    /// # Errors
    /// The kernel's.
    pub fn that_ends() -> io::Result<Self> {
        Self::of(&ends())
    }

    fn of(program: &[u8]) -> io::Result<Self> {
        // Not closed at the exec that it is for.
        let mut file = File::from(memfd_create("tiny", MemfdFlags::empty())?);
        file.write_all(program)?;
        Ok(Self {
            path: format!("/proc/self/fd/{}", file.as_raw_fd()).into(),
            file: Some(std::sync::Arc::new(file)),
        })
    }

    /// On a mount made now, which goes with this process's mount namespace.
    ///
    /// # Errors
    /// Not root, or no namespace of its own.
    pub fn on_new_mount() -> io::Result<Self> {
        // Any folder will do: what is below it is hidden from this namespace alone.
        let folder = std::env::temp_dir();
        mount("none", &folder, "tmpfs", MountFlags::empty(), None)?;
        let path = folder.join("tiny");
        fs::write(&path, holds())?;
        fs::set_permissions(&path, Permissions::from_mode(0o755))?;
        Ok(Self { path, file: None })
    }

    /// At a path of somebody else's: it is executed as such a program.
    #[must_use]
    pub const fn at(path: PathBuf) -> Self {
        Self { path, file: None }
    }

    /// The descriptor of what is in memory.
    #[must_use]
    pub fn file(&self) -> Option<&File> {
        self.file.as_deref()
    }

    /// How to execute it.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.path.clone()
    }
}

/// A program that says that it runs and stays until its standard input ends.
#[must_use]
pub fn holds() -> Vec<u8> {
    elf(&HOLDS)
}

/// A program that ends at once with code 0.
#[must_use]
pub fn ends() -> Vec<u8> {
    elf(&ENDS)
}

/// A program of one segment, for x86-64.
fn elf(code: &[u8]) -> Vec<u8> {
    const BASE: u64 = 0x40_0000;
    const HEADERS: u64 = 64 + 56;
    let size = HEADERS + code.len() as u64;
    let mut elf = vec![0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let mut put = |bytes: &[u8]| elf.extend_from_slice(bytes);
    put(&2u16.to_le_bytes()); // ET_EXEC
    put(&62u16.to_le_bytes()); // x86-64
    put(&1u32.to_le_bytes());
    put(&(BASE + HEADERS).to_le_bytes());
    put(&64u64.to_le_bytes());
    put(&[0; 12]);
    for half in [64u16, 56, 1, 0, 0, 0] {
        put(&half.to_le_bytes());
    }
    put(&1u32.to_le_bytes()); // PT_LOAD
    put(&5u32.to_le_bytes()); // read, execute
    for word in [0, BASE, BASE, size, size, 0x1000] {
        put(&word.to_le_bytes());
    }
    put(code);
    elf
}
