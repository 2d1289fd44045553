//! The maps of an agent that runs, looked at and filled from outside: the very ones that the kernel side
//! uses, by the descriptors that the agent's process holds.
//!
//! Only while nothing happens in its targets: a tracepoint that preempts a bpf(2) call on a map is
//! skipped by the kernel.

use std::collections::BTreeSet;
use std::fs;
use std::os::fd::{AsFd, OwnedFd};

use anyhow::{Context, Result, ensure};
use aya::Pod;
use aya::maps::{HashMap, Map, MapData};
use aya::programs::loaded_programs;
use guard_common::abi::Control;
use guard_common::{ProcessEntry, TreeEntry};
use guard_userspace::kernel::test_run;

use crate::Agent;

/// A pid that no kernel gives (they end at 2^22), and all above it.
pub const NOBODYS: u32 = 1 << 23;

/// The maps of one agent, and its program `control`.
#[derive(Debug)]
pub struct Tables {
    maps: BTreeSet<u32>,
    control: OwnedFd,
}

/// Entries of one slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// Watched processes, and who is remembered outside.
    pub processes: usize,
    /// Trees and entries from outside.
    pub trees: usize,
    /// Tagged cgroups.
    pub cgroups: usize,
}

impl Tables {
    /// Those of an agent that has started.
    ///
    /// # Errors
    /// It has none.
    pub fn of(agent: &Agent) -> Result<Self> {
        let ids = |of: &str| -> Result<BTreeSet<u32>> {
            let mut found = BTreeSet::new();
            for file in fs::read_dir(format!("/proc/{}/fdinfo", agent.pid()))?.flatten() {
                // One that was closed meanwhile.
                let text = fs::read_to_string(file.path()).unwrap_or_default();
                let id = text.lines().find_map(|line| line.strip_prefix(of));
                found.extend(id.and_then(|id| id.trim().parse::<u32>().ok()));
            }
            Ok(found)
        };
        let programs = ids("prog_id:")?;
        let control = loaded_programs().flatten().find(|program| {
            programs.contains(&program.id()) && program.name_as_str() == Some("control")
        });
        let control = control.context("the agent has no program control")?;
        Ok(Self {
            maps: ids("map_id:")?,
            control: control.fd()?.as_fd().try_clone_to_owned()?,
        })
    }

    /// One of its hash maps.
    ///
    /// # Errors
    /// It has none of that name, or of other types.
    pub fn map<K: Pod, V: Pod>(&self, name: &str) -> Result<HashMap<MapData, K, V>> {
        for id in &self.maps {
            // One that went meanwhile.
            let Ok(data) = MapData::from_id(*id) else {
                continue;
            };
            if data.info()?.name_as_str() == Some(name) {
                return HashMap::try_from(Map::HashMap(data)).with_context(|| name.to_owned());
            }
        }
        anyhow::bail!("the agent has no map {name}")
    }

    /// Room of one of its maps.
    ///
    /// # Errors
    /// It has none of that name.
    pub fn room(&self, name: &str) -> Result<u32> {
        for id in &self.maps {
            if let Ok(data) = MapData::from_id(*id)
                && data.info()?.name_as_str() == Some(name)
            {
                return Ok(data.info()?.max_entries());
            }
        }
        anyhow::bail!("the agent has no map {name}")
    }

    /// What a slot has.
    ///
    /// # Errors
    /// The kernel's.
    pub fn held(&self, slot: u32) -> Result<Held> {
        let processes = self.map::<u32, ProcessEntry>("PROCESSES")?;
        let trees = self.map::<u64, TreeEntry>("TREES")?;
        let cgroups = self.map::<u64, u32>("CGROUPS")?;
        let processes = processes.iter().flatten().filter(|(_, it)| it.slot == slot);
        let trees = trees.iter().flatten().filter(|(_, it)| it.slot == slot);
        let cgroups = cgroups.iter().flatten().filter(|(_, it)| *it == slot);
        Ok(Held {
            processes: processes.count(),
            trees: trees.count(),
            cgroups: cgroups.count(),
        })
    }

    /// Asks the program `control`, as the agent does; whether it did anything.
    ///
    /// # Errors
    /// The kernel's, or it does not know the operation.
    pub fn control(&self, op: Control, slot: u32, arguments: [u64; 4]) -> Result<bool> {
        let mut words = [0; 12];
        let [a, b, c, d] = arguments;
        let all = [op as u64, u64::from(slot), a, b, c, d];
        for (to, word) in words.iter_mut().zip(all) {
            *to = word;
        }
        let answer = test_run(self.control.as_fd(), &words)?.cast_signed();
        ensure!(answer >= 0, "the program control does not know {op:?}");
        Ok(answer == 1)
    }
}
