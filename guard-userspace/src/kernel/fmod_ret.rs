//! Loads and attaches programs that aya cannot: it takes one from the object a second time, puts the
//! descriptors of aya's maps into it, and gives it to the kernel by bpf(2).
//!
//! One is what modifies the return of security_task_alloc, a kind that aya does not know. The other is an
//! event's program that reads a process's own memory, under lockdown=confidentiality: there the kernel
//! has no bpf_probe_read_kernel, which aya takes for an old kernel's lack of bpf_probe_read_user too.

use super::load::OBJECT;
use super::raw;
use aya::maps::{Map, MapData};
use aya::{Btf, Ebpf};
use aya_obj::Object;
use aya_obj::btf::{BtfError, BtfKind};
use std::collections::HashMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

/// The function whose return is modified. It is there with or without BPF LSM, and the kernel lets
/// the return of every `security_*` function be modified (check_attach_modify_return(),
/// kernel/bpf/verifier.c).
const HOOK: &str = "security_task_alloc";

/// Our program.
pub(super) const PROGRAM: &str = "modify_task_alloc";

/// Copies of it: a task that preempts another inside one runs the next. Under full preemption each is
/// skipped an eighth as often as the one before it: of 5,670 forks of a storm on 6.12 the first was 500
/// times, the second 58, the third 8 (`cargo xtask test --matrix 6.12-full`). The kernel has room for 38.
pub const COPIES: usize = 6;

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum ModifyError {
    /// This kernel has no such function, or says nothing of it.
    #[error("the kernel has no such hook: {0}")]
    Hook(BtfError),
    /// The kernel refuses.
    #[error("the kernel does not let the return of {HOOK} be modified: {0}")]
    Refused(io::Error),
    /// The kernel refuses an event's program.
    #[error("the kernel does not take the program {0}: {1}")]
    Event(&'static str, io::Error),
    /// No descriptor is left.
    #[error("cannot open the maps a second time: {0}")]
    Maps(#[from] io::Error),
    /// The object cannot be taken apart.
    #[error(
        "a program cannot be put together: {0}; build agent and object together: cargo xtask build"
    )]
    Object(String),
}

fn object(error: impl std::fmt::Display) -> ModifyError {
    ModifyError::Object(error.to_string())
}

/// A program and its link.
pub type Pair = (OwnedFd, OwnedFd);

/// What the program is put together from: the values of globals, and the maps. Kept from the loading
/// of the rest until all is attached.
#[derive(Debug)]
pub struct Parts {
    globals: Vec<(&'static str, u32)>,
    level: u8,
    maps: HashMap<String, OwnedFd>,
}

impl Parts {
    /// Of what was loaded, before its maps are taken away.
    ///
    /// # Errors
    /// No descriptor is left.
    pub fn of(ebpf: &Ebpf, globals: &[(&'static str, u32)], level: u8) -> io::Result<Self> {
        let maps = ebpf.maps().filter_map(|(name, map)| {
            let fd = data(map)?.fd().as_fd().try_clone_to_owned();
            Some(fd.map(|fd| (name.to_owned(), fd)))
        });
        Ok(Self {
            globals: globals.to_vec(),
            level,
            maps: maps.collect::<io::Result<_>>()?,
        })
    }

    /// Attaches the copies; gives each with its link. Dropped, they are detached.
    ///
    /// # Errors
    /// Why not; nothing is attached then.
    pub fn attach(&self, types: &Btf) -> Result<Vec<Pair>, ModifyError> {
        let hook = types
            .id_by_type_name_kind(HOOK, BtfKind::Func)
            .map_err(ModifyError::Hook)?;
        // Where it is a matter of policy the kernel says so before anything is put together.
        raw::try_modify_return(hook).map_err(ModifyError::Refused)?;
        self.put(PROGRAM, hook, raw::Kind::ModifyReturn, COPIES)
    }

    /// Attaches copies of the program of that name to an event, by the types of its arguments. Dropped, they
    /// are detached.
    ///
    /// # Errors
    /// There is no such event, or the kernel refuses.
    pub fn attach_event(
        &self,
        program: &'static str,
        event: &str,
        types: &Btf,
        copies: usize,
    ) -> Result<Vec<Pair>, ModifyError> {
        let hook = types
            .id_by_type_name_kind(&format!("btf_trace_{event}"), BtfKind::Typedef)
            .map_err(ModifyError::Hook)?;
        self.put(program, hook, raw::Kind::Event, copies)
    }

    fn put(
        &self,
        name: &'static str,
        hook: u32,
        kind: raw::Kind,
        copies: usize,
    ) -> Result<Vec<Pair>, ModifyError> {
        let refused = |error| match kind {
            raw::Kind::ModifyReturn => ModifyError::Refused(error),
            raw::Kind::Event => ModifyError::Event(name, error),
        };
        let mut object = self.object()?;
        let program = object
            .programs
            .remove(name)
            .ok_or_else(|| ModifyError::Object("it is missing".to_owned()))?;
        let key = program.function_key();
        let function = object
            .functions
            .get(&key)
            .ok_or_else(|| ModifyError::Object("it has no function".to_owned()))?;
        let types = match &object.btf {
            Some(types) => Some(raw::load_types(&types.to_bytes()).map_err(refused)?),
            None => None,
        };
        let mut attached = Vec::with_capacity(copies);
        for _ in 0..copies {
            let program = raw::load_tracing(&raw::Tracing {
                kind,
                hook,
                name,
                instructions: &function.instructions,
                types: types.as_ref().map(AsFd::as_fd),
                functions: &function.func_info.func_info,
            })
            .map_err(refused)?;
            let link = raw::attach_tracing(program.as_fd()).map_err(refused)?;
            attached.push((program, link));
        }
        Ok(attached)
    }

    /// The object with our globals and maps in it, as `EbpfLoader` does it.
    fn object(&self) -> Result<Object, ModifyError> {
        let mut parsed = Object::parse(OBJECT).map_err(object)?;
        let values = self
            .globals
            .iter()
            .map(|(name, value)| (*name, value.to_ne_bytes()));
        let values: Vec<_> = values.collect();
        let level = [self.level];
        let mut globals: HashMap<&str, (&[u8], bool)> = HashMap::new();
        globals.insert(aya_log::LEVEL, (&level, false));
        for (name, value) in &values {
            globals.insert(name, (value, true));
        }
        parsed.patch_map_data(globals).map_err(object)?;
        if let Some(features) = aya::features().btf() {
            parsed.fixup_and_sanitize_btf(features).map_err(object)?;
        }
        let text = parsed
            .functions
            .keys()
            .map(|(section, _)| *section)
            .collect();
        let maps = std::mem::take(&mut parsed.maps);
        let known = maps.iter().filter_map(|(name, map)| {
            let fd = self.maps.get(name)?.as_raw_fd();
            Some((name.as_str(), fd, map))
        });
        parsed.relocate_maps(known, &text).map_err(object)?;
        parsed.relocate_calls(&text).map_err(object)?;
        Ok(parsed)
    }
}

/// What the object's maps are made of; `None`: a kind that it has not.
const fn data(map: &Map) -> Option<&MapData> {
    match map {
        Map::Array(data)
        | Map::HashMap(data)
        | Map::LruHashMap(data)
        | Map::PerCpuArray(data)
        | Map::PerCpuHashMap(data)
        | Map::RingBuf(data) => Some(data),
        _ => None,
    }
}
