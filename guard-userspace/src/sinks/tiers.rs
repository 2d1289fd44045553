//! Each tier's own log file: what it decided, what became of that, and the levels it acts on, a line of
//! JSON each with the fields of the log. Written by a thread of its own; a file is opened for each line,
//! so that it may be moved away at any time.

mod line;

use crate::config::TargetConfig;
use crate::model::{Fact, FactKind, Level, TargetId};
use line::line;
use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread::{self, JoinHandle};

/// Lines that may wait for a slow disk; more are dropped, and the log of the agent has them.
const QUEUE_LINES: usize = 1_024;

/// Readable by the group, for whoever looks at logs; what is in it is masked.
const FILE_MODE: u32 = 0o640;
const FOLDER_MODE: u32 = 0o750;

/// The files, and which tier wanted what is under way.
#[derive(Debug)]
pub struct TierLogs {
    state_dir: PathBuf,
    to: Option<SyncSender<(PathBuf, String)>>,
    writer: Option<JoinHandle<()>>,
    trees: BTreeMap<(TargetId, u64), &'static str>,
    deeds: BTreeMap<TargetId, &'static str>,
}

impl TierLogs {
    /// Files below `state_dir`, where a tier names no other. Nothing is made before there is a line.
    #[must_use]
    pub fn below(state_dir: &Path) -> Self {
        let (to, lines) = sync_channel(QUEUE_LINES);
        let writer = thread::Builder::new()
            .name("tier-logs".to_owned())
            .spawn(move || write_all(&lines));
        if let Err(error) = &writer {
            tracing::warn!(%error, "no thread for the tiers' log files; this log has all of it");
        }
        Self {
            state_dir: state_dir.to_owned(),
            to: writer.is_ok().then_some(to),
            writer: writer.ok(),
            trees: BTreeMap::new(),
            deeds: BTreeMap::new(),
        }
    }

    /// Takes a fact about a target.
    pub fn hear(&mut self, fact: &Fact, config: &TargetConfig) {
        // Of a cgroup nobody says when it starts.
        if matches!(fact.kind, FactKind::Armed { .. }) && !config.source.is_container() {
            return;
        }
        for tier in self.tiers(fact) {
            let Some(path) = config.tiers.log_of(tier, &self.state_dir) else {
                continue;
            };
            if let (Some(to), Some(line)) = (&self.to, line(fact, &config.name, tier)) {
                // Where the disk is too slow the log of the agent has the line all the same.
                let _ = to.try_send((path, line));
            }
        }
    }

    /// Whom it concerns.
    fn tiers(&mut self, fact: &Fact) -> Vec<&'static str> {
        let target = fact.target;
        match &fact.kind {
            FactKind::Decision {
                tier,
                quiet: false,
                ending,
                doing,
                refused,
                ..
            } => {
                if refused.is_none() {
                    if let Some(ending) = ending {
                        self.trees.insert((target, ending.tree), tier);
                    }
                    if doing.is_some() {
                        self.deeds.insert(target, tier);
                    }
                }
                vec![tier]
            }
            FactKind::Action {
                ending: Some(ending),
                ..
            } => self
                .trees
                .remove(&(target, ending.tree))
                .into_iter()
                .collect(),
            FactKind::Action { did: Some(_), .. } => {
                self.deeds.remove(&target).into_iter().collect()
            }
            FactKind::Level { from, to, .. } => acting((*from).max(*to)).to_vec(),
            FactKind::Armed {
                from_birth: true, ..
            } => vec!["startup_preventer"],
            _ => Vec::new(),
        }
    }
}

/// The tiers that act at this level.
const fn acting(level: Level) -> &'static [&'static str] {
    match level {
        Level::Normal | Level::Warning => &[],
        Level::Critical | Level::Emergency => &["nuclear_monitor", "resource_enforcer"],
        Level::Nuclear => &["nuclear_monitor", "resource_enforcer", "host_monitor"],
    }
}

impl Drop for TierLogs {
    fn drop(&mut self) {
        self.to = None;
        // What is queued is written.
        if let Some(writer) = self.writer.take() {
            let _ = writer.join();
        }
    }
}

/// Until nobody sends any more. What cannot be written is said once for each file.
fn write_all(lines: &Receiver<(PathBuf, String)>) {
    let mut failing: BTreeMap<PathBuf, bool> = BTreeMap::new();
    for (path, line) in lines {
        let failed = failing.entry(path.clone()).or_default();
        match append(&path, &line) {
            Ok(()) => *failed = false,
            Err(error) if !*failed => {
                *failed = true;
                tracing::warn!(
                    event = "tier_log_lost",
                    path = %path.display(),
                    %error,
                    "{} cannot be written: {error}; this log has all of it. Make room, or name another \
                     file with `log` under [target.tiers]",
                    path.display()
                );
            }
            Err(_) => {}
        }
    }
}

fn append(path: &Path, line: &str) -> io::Result<()> {
    let open = || {
        let mut options = OpenOptions::new();
        let options = options.append(true).create(true).mode(FILE_MODE);
        options.open(path)
    };
    let opened = match (open(), path.parent()) {
        (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => {
            make(folder)?;
            open()
        }
        (opened, _) => opened,
    };
    // One write: a line is whole or not there.
    opened?.write_all(line.as_bytes())
}

fn make(folder: &Path) -> io::Result<()> {
    if let Some(outer) = folder.parent() {
        fs::create_dir_all(outer)?;
    }
    let made = DirBuilder::new().mode(FOLDER_MODE).create(folder);
    match made {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        made => made,
    }
}

#[cfg(test)]
mod tests;
