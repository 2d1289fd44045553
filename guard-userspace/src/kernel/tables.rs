//! The kernel side's maps. The agent writes LIMITS, NEAR, EXPECTED, ARMING and the tags of cgroups that
//! were there before they were watched; the rest it reads.
//!
//! Seldom while targets are busy, but for what is mapped (`mapped.rs`): a classic tracepoint that preempts a bpf(2) call on a map is
//! skipped by the kernel (guard-ebpf/src/main.rs).

use super::mapped::MappedArray;
use super::members::Members;
use crate::model::kin::{TreeKind, TreeSeen};
use aya::Ebpf;
use aya::maps::{Array, HashMap, Map, MapData, MapError, RingBuf};
use guard_common::abi::{CANARY_SLOT, PATH_MAX};
use guard_common::life::{self, Heartbeat, Inside, Mark, Note, Owner};
use guard_common::tree::account::{Account, Kind};
use guard_common::{GateLimits, GateState, ProcessEntry, TargetCounters, TreeEntry};
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};

/// A map is missing, is another one, or cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// The object has none of that name.
    #[error("the BPF object has no map {0}; build agent and object together: cargo xtask build")]
    Missing(&'static str),
    /// The kernel refuses, or it is of another kind.
    #[error("the kernel side's map {name}: {source}")]
    Map {
        /// Its name.
        name: &'static str,
        /// Why.
        source: MapError,
    },
    /// A name that no cgroup can have.
    #[error("{0:?} cannot be expected: it is longer than {len} bytes", len = PATH_MAX - 1)]
    TooLong(String),
}

/// What a cgroup that is not there yet will be called.
type Name = [u8; PATH_MAX];

/// The maps.
pub struct Tables {
    limits: Array<MapData, GateLimits>,
    near: Array<MapData, u64>,
    expected: HashMap<MapData, Name, u32>,
    cgroups: HashMap<MapData, u64, u32>,
    arming: Array<MapData, u64>,
    counters: MappedArray<TargetCounters>,
    gates: MappedArray<GateState>,
    processes: HashMap<MapData, u32, ProcessEntry>,
    trees: HashMap<MapData, u64, TreeEntry>,
    notes: Array<MapData, Note>,
    members: Members,
}

fn of<T: TryFrom<Map, Error = MapError>>(
    ebpf: &mut Ebpf,
    name: &'static str,
) -> Result<T, TableError> {
    let map = ebpf.take_map(name).ok_or(TableError::Missing(name))?;
    map.try_into().map_err(named(name))
}

/// One more descriptor of a hash map.
fn descriptor(ebpf: &Ebpf, name: &'static str) -> Result<OwnedFd, TableError> {
    let Some(Map::HashMap(map)) = ebpf.map(name) else {
        return Err(TableError::Missing(name));
    };
    let fd = map.fd().as_fd().try_clone_to_owned();
    fd.map_err(|error| named(name)(MapError::IoError(error)))
}

fn named(name: &'static str) -> impl Fn(MapError) -> TableError {
    move |source| TableError::Map { name, source }
}

/// Nothing is there: no error where something is to be removed.
fn or_absent(name: &'static str, removed: Result<(), MapError>) -> Result<(), TableError> {
    match removed {
        Ok(()) | Err(MapError::KeyNotFound) => Ok(()),
        Err(MapError::SyscallError(error))
            if error.io_error.kind() == std::io::ErrorKind::NotFound =>
        {
            Ok(())
        }
        Err(source) => Err(TableError::Map { name, source }),
    }
}

fn read<V: bytemuck::Pod>(
    array: &MappedArray<V>,
    name: &'static str,
    slot: u32,
) -> Result<V, TableError> {
    array
        .get(slot)
        .ok_or_else(|| named(name)(MapError::KeyNotFound))
}

impl Tables {
    /// Takes the maps, and the ring buffer beside them.
    pub(super) fn take(ebpf: &mut Ebpf) -> Result<(Self, RingBuf<MapData>), TableError> {
        let members = Members::of(&descriptor(ebpf, "PROCESSES")?)?;
        let tables = Self {
            limits: of(ebpf, "LIMITS")?,
            near: of(ebpf, "NEAR")?,
            expected: of(ebpf, "EXPECTED")?,
            cgroups: of(ebpf, "CGROUPS")?,
            arming: of(ebpf, "ARMING")?,
            counters: of(ebpf, "COUNTERS")?,
            gates: of(ebpf, "GATES")?,
            processes: of(ebpf, "PROCESSES")?,
            trees: of(ebpf, "TREES")?,
            notes: of(ebpf, "NOTES")?,
            members,
        };
        Ok((tables, of(ebpf, "EVENTS")?))
    }

    /// Puts a slot's limits in force.
    ///
    /// # Errors
    /// No such slot.
    pub fn set_limits(&mut self, slot: u32, limits: &GateLimits) -> Result<(), TableError> {
        let set = self.limits.set(slot, limits, 0);
        set.map_err(named("LIMITS"))
    }

    /// Has the kernel take a slot for near its limits while fewer than `slots` are free.
    ///
    /// # Errors
    /// No such slot.
    pub fn set_near(&mut self, slot: u32, slots: u64) -> Result<(), TableError> {
        self.near.set(slot, slots, 0).map_err(named("NEAR"))
    }

    /// The agent lives.
    ///
    /// # Errors
    /// The kernel's.
    pub fn beat(&mut self, heartbeat: Heartbeat) -> Result<(), TableError> {
        self.note(life::HEARTBEAT, &heartbeat)
    }

    /// From now on all of it is there, for later agents.
    ///
    /// # Errors
    /// The kernel's.
    pub(super) fn set_mark(&mut self, mark: Mark) -> Result<(), TableError> {
        self.note(life::MARK, &mark)
    }

    fn note(&mut self, at: u32, what: &impl bytemuck::Pod) -> Result<(), TableError> {
        let set = self.notes.set(at, Note::of(what), 0);
        set.map_err(named("NOTES"))
    }

    /// Slots that are somebody's, with their names.
    #[must_use]
    pub fn owners(&self) -> BTreeMap<u32, String> {
        owners(&self.notes)
    }

    /// Says whose a slot is, and the cap that was fixed for it; `None`: nobody's.
    ///
    /// # Errors
    /// No such slot.
    pub fn set_owner(
        &mut self,
        slot: u32,
        name: Option<&str>,
        auto_cap: Option<u64>,
    ) -> Result<(), TableError> {
        // A longer name than fits is not known to a later agent, and its target begins anew.
        let owner = name.and_then(Owner::of).unwrap_or(Owner::NOBODY);
        self.note(life::OWNERS + slot, &owner.with_auto_cap(auto_cap))
    }

    /// The cap that an earlier agent fixed for the target in a slot.
    #[must_use]
    pub fn auto_cap(&self, slot: u32) -> Option<u64> {
        let note = self.notes.get(&(life::OWNERS + slot), 0).ok()?;
        note.read::<Owner>().auto_cap()
    }

    /// What is within the targets in all slots, where anything is or was.
    #[must_use]
    pub fn inside(&self) -> BTreeMap<u32, Inside> {
        inside(&self.notes)
    }

    /// Says what is within the target in a slot.
    ///
    /// # Errors
    /// No such slot.
    pub fn set_inside(&mut self, slot: u32, inside: &Inside) -> Result<(), TableError> {
        self.note(life::INSIDE + slot, inside)
    }

    /// A slot's limits, as they are in force.
    ///
    /// # Errors
    /// No such slot.
    pub fn limits(&self, slot: u32) -> Result<GateLimits, TableError> {
        self.limits.get(&slot, 0).map_err(named("LIMITS"))
    }

    /// Cgroups that are a slot's.
    #[must_use]
    pub fn cgroups(&self, slot: u32) -> Vec<u64> {
        let all = self.cgroups.iter().flatten();
        all.filter(|(_, of)| *of == slot)
            .map(|(id, _)| id)
            .collect()
    }

    /// Names that are expected for a slot.
    #[must_use]
    pub fn expected(&self, slot: u32) -> Vec<String> {
        let all = self.expected.iter().flatten();
        let names = all.filter(|(_, of)| *of == slot).map(|(name, _)| {
            let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
            String::from_utf8_lossy(name).into_owned()
        });
        names.collect()
    }

    /// Has a cgroup of that path (below the v2 mount, with its leading slash) or of that container
    /// id armed by the kernel as soon as it is made.
    ///
    /// # Errors
    /// The name is too long, or the table full.
    pub fn expect(&mut self, name: &str, slot: u32) -> Result<(), TableError> {
        let key = key(name)?;
        let added = self.expected.insert(key, slot, 0);
        added.map_err(named("EXPECTED"))
    }

    /// Expects it no longer.
    ///
    /// # Errors
    /// The name is too long.
    pub fn forget_expected(&mut self, name: &str) -> Result<(), TableError> {
        or_absent("EXPECTED", self.expected.remove(&key(name)?))
    }

    /// Tags a cgroup that is there: what happens in it is a slot's from now on.
    ///
    /// # Errors
    /// The table is full.
    pub fn tag(&mut self, cgroup: u64, slot: u32) -> Result<(), TableError> {
        let added = self.cgroups.insert(cgroup, slot, 0);
        added.map_err(named("CGROUPS"))
    }

    /// Takes a cgroup's tag away.
    ///
    /// # Errors
    /// The kernel's.
    pub fn untag(&mut self, cgroup: u64) -> Result<(), TableError> {
        or_absent("CGROUPS", self.cgroups.remove(&cgroup))
    }

    /// Whose a cgroup is.
    #[must_use]
    pub fn slot_of(&self, cgroup: u64) -> Option<u32> {
        self.cgroups.get(&cgroup, 0).ok()
    }

    /// Says that a slot is being armed: until that ends, the kernel takes in whoever forks in it. One
    /// at a time.
    ///
    /// # Errors
    /// The kernel's.
    pub fn begin_arming(&mut self, slot: u32) -> Result<(), TableError> {
        let word = u64::from(slot) + 1;
        self.arming.set(0, word, 0).map_err(named("ARMING"))
    }

    /// Says that it is armed.
    ///
    /// # Errors
    /// The kernel's.
    pub fn end_arming(&mut self) -> Result<(), TableError> {
        self.arming.set(0, 0, 0).map_err(named("ARMING"))
    }

    /// A slot's counts now.
    ///
    /// # Errors
    /// No such slot.
    pub fn counters(&self, slot: u32) -> Result<TargetCounters, TableError> {
        read(&self.counters, "COUNTERS", slot)
    }

    /// A slot's gate now.
    ///
    /// # Errors
    /// No such slot.
    pub fn gate(&self, slot: u32) -> Result<GateState, TableError> {
        read(&self.gates, "GATES", slot)
    }

    /// Trees and entries from outside of all slots, each by its slot. Not atomic.
    #[must_use]
    pub fn trees(&self) -> BTreeMap<u32, Vec<TreeSeen>> {
        let mut all: BTreeMap<u32, Vec<TreeSeen>> = BTreeMap::new();
        // One that is removed meanwhile makes the walk begin again, so some may come twice.
        let mut known = std::collections::BTreeSet::new();
        for (id, entry) in self.trees.iter().flatten() {
            if known.insert(id) {
                all.entry(entry.slot).or_default().extend(seen(id, &entry));
            }
        }
        all
    }

    /// Who is in which tree, for other threads.
    #[must_use]
    pub fn members(&self) -> Members {
        self.members.clone()
    }

    /// A watched process.
    #[must_use]
    pub fn process(&self, pid: u32) -> Option<ProcessEntry> {
        self.processes.get(&pid, 0).ok()
    }
}

/// Slots that are somebody's, with their names.
pub(super) fn owners(notes: &Array<MapData, Note>) -> BTreeMap<u32, String> {
    let all = (0..CANARY_SLOT).filter_map(|slot| {
        let note = notes.get(&(life::OWNERS + slot), 0).ok()?;
        Some((slot, note.read::<Owner>().name()?.to_owned()))
    });
    all.collect()
}

/// What is within the targets in all slots, where anything is or was.
pub(super) fn inside(notes: &Array<MapData, Note>) -> BTreeMap<u32, Inside> {
    let all = (0..CANARY_SLOT).filter_map(|slot| {
        let note = notes.get(&(life::INSIDE + slot), 0).ok()?;
        let inside: Inside = note.read();
        (inside != Inside::default()).then_some((slot, inside))
    });
    all.collect()
}

/// `None`: it is gone, or its element is another's by now.
fn seen(id: u64, entry: &TreeEntry) -> Option<TreeSeen> {
    let account = Account(entry.account);
    account.is(id).then(|| TreeSeen {
        id,
        root: entry.root,
        kind: match account.kind() {
            Kind::Tree => TreeKind::Tree,
            Kind::Open => TreeKind::Open,
            Kind::Guest => TreeKind::Guests,
        },
        used: account.used(),
        reserved: account.reserved(),
        born_ns: entry.born_ns,
        active_ns: entry.active_ns,
    })
}

fn key(name: &str) -> Result<Name, TableError> {
    let mut key = [0; PATH_MAX];
    // The last byte stays NUL: the kernel side compares whole strings.
    match key.get_mut(..name.len()) {
        Some(to) if name.len() < PATH_MAX => to.copy_from_slice(name.as_bytes()),
        _ => return Err(TableError::TooLong(name.to_owned())),
    }
    Ok(key)
}
