//! A target's folder and the kernel side's table of its processes, for tests with real processes.

use crate::evidence::process::{kin, look, ns_per_tick};
use crate::kernel::members::Members;
use guard_common::ProcessEntry;
use guard_common::tree::{Place, Role};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

/// The target's slot.
pub const SLOT: u32 = 3;

/// The folder is gone with it.
pub struct Table {
    pub dir: PathBuf,
    entries: Arc<Mutex<BTreeMap<u32, ProcessEntry>>>,
}

impl Table {
    /// Of nobody, yet; `name` is the test's own.
    pub fn new(name: &str) -> Self {
        let dir = std::env::temp_dir().join(format!("guard-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&dir).unwrap();
        let entries = Arc::default();
        Self { dir, entries }
    }

    /// A process that runs is in `tree`.
    pub fn put(&self, pid: u32, tree: u64) {
        let entry = ProcessEntry {
            tasks: 1,
            dead: 0,
            flags: 0,
            start_ns: kin(pid).unwrap().start_ticks * ns_per_tick() + 17,
            place: Place::new(Role::Member, tree).0,
            slot: SLOT,
            parent: 0,
        };
        self.set(pid, entry);
    }

    pub fn set(&self, pid: u32, entry: ProcessEntry) {
        let mut entries = self.entries.lock().unwrap();
        entries.insert(pid, entry);
        let pids: String = entries.keys().map(|pid| format!("{pid}\n")).collect();
        std::fs::write(self.dir.join("cgroup.procs"), pids).unwrap();
    }

    pub fn entry(&self, pid: u32) -> ProcessEntry {
        *self.entries.lock().unwrap().get(&pid).unwrap()
    }

    /// Who is in it. As in the kernel, who has ended is not.
    pub fn members(&self) -> Members {
        let entries = Arc::clone(&self.entries);
        Members::by(move |pid| {
            let entry = entries.lock().unwrap().get(&pid).copied()?;
            look(pid).map(|_| entry)
        })
    }
}

impl Drop for Table {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.dir);
    }
}
