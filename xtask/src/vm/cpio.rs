//! The initramfs archive format: "newc" cpio, of which Linux reads several in a row.

use std::collections::BTreeSet;
use std::io::{Result, Write};
use std::path::Path;

/// Writes one archive; parent folders are added by themselves.
pub struct Writer<W> {
    to: W,
    folders: BTreeSet<String>,
    next_inode: u32,
}

const FOLDER: u32 = 0o040_755;
const PROGRAM: u32 = 0o100_755;
const LINK: u32 = 0o120_777;

impl<W: Write> Writer<W> {
    /// An empty archive.
    pub fn new(to: W) -> Self {
        Self {
            to,
            folders: BTreeSet::new(),
            next_inode: 1,
        }
    }

    /// An executable file; `path` is absolute or relative to the root.
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<()> {
        self.parents(path)?;
        self.entry(path, PROGRAM, content)
    }

    /// A symbolic link.
    pub fn link(&mut self, path: &str, target: &str) -> Result<()> {
        self.parents(path)?;
        self.entry(path, LINK, target.as_bytes())
    }

    /// An empty folder.
    pub fn folder(&mut self, path: &str) -> Result<()> {
        self.parents(path)?;
        if self.folders.insert(relative(path).to_owned()) {
            self.entry(path, FOLDER, &[])?;
        }
        Ok(())
    }

    /// Ends the archive.
    pub fn finish(mut self) -> Result<W> {
        self.entry("TRAILER!!!", 0, &[])?;
        Ok(self.to)
    }

    fn parents(&mut self, path: &str) -> Result<()> {
        let parents: Vec<&Path> = Path::new(relative(path)).ancestors().skip(1).collect();
        for parent in parents.into_iter().rev() {
            let parent = parent.to_string_lossy();
            if !parent.is_empty() && self.folders.insert(parent.clone().into_owned()) {
                self.entry(&parent, FOLDER, &[])?;
            }
        }
        Ok(())
    }

    fn entry(&mut self, path: &str, mode: u32, content: &[u8]) -> Result<()> {
        let name = relative(path);
        let inode = self.next_inode;
        self.next_inode += 1;
        let (size, name_size) = (content.len(), name.len() + 1);
        // magic, inode, mode, uid, gid, links, mtime, size, device ×4, name size, checksum
        write!(
            self.to,
            "070701{inode:08x}{mode:08x}{0:08x}{0:08x}{1:08x}{0:08x}{size:08x}\
             {0:08x}{0:08x}{0:08x}{0:08x}{name_size:08x}{0:08x}{name}\0",
            0, 1
        )?;
        self.pad(110 + name_size)?;
        self.to.write_all(content)?;
        self.pad(size)
    }

    fn pad(&mut self, written: usize) -> Result<()> {
        let zeros = [0; 3];
        let missing = written.next_multiple_of(4) - written;
        self.to.write_all(zeros.get(..missing).unwrap_or(&zeros))
    }
}

fn relative(path: &str) -> &str {
    path.trim_start_matches('/')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_are_aligned_and_parents_come_first_and_once() {
        let mut archive = Writer::new(Vec::new());
        archive.file("/a/b/one", b"12345").unwrap();
        archive.file("a/b/two", b"").unwrap();
        archive.link("a/link", "b/one").unwrap();
        let bytes = archive.finish().unwrap();
        assert_eq!(bytes.len() % 4, 0);
        let text = String::from_utf8_lossy(&bytes);
        let names: Vec<usize> = [
            "a\0",
            "a/b\0",
            "a/b/one\0",
            "a/b/two\0",
            "a/link\0",
            "TRAILER!!!\0",
        ]
        .iter()
        .map(|name| text.find(name).unwrap())
        .collect();
        assert!(names.is_sorted(), "{names:?}");
        assert_eq!(text.matches("070701").count(), 6);
        for (at, _) in text.match_indices("070701") {
            assert_eq!(at % 4, 0);
        }
    }
}
