//! Loads and attaches what modifies the return of security_task_alloc, which aya cannot: it takes the
//! program from the object a second time, puts the descriptors of aya's maps into it, and gives it
//! to the kernel by bpf(2).

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
const PROGRAM: &str = "modify_task_alloc";

/// Copies of it: a task that preempts another inside one runs the next.
pub const COPIES: usize = 3;

/// Why it does not run.
#[derive(Debug, thiserror::Error)]
pub enum ModifyError {
    /// This kernel has no such function, or says nothing of it.
    #[error("the kernel has no function {HOOK}: {0}")]
    Hook(BtfError),
    /// The kernel refuses.
    #[error("the kernel does not let the return of {HOOK} be modified: {0}")]
    Refused(io::Error),
    /// No descriptor is left.
    #[error("cannot open the maps a second time: {0}")]
    Maps(#[from] io::Error),
    /// The object cannot be taken apart.
    #[error(
        "{PROGRAM} cannot be put together: {0}; build agent and object together: cargo xtask build"
    )]
    Object(String),
}

fn object(error: impl std::fmt::Display) -> ModifyError {
    ModifyError::Object(error.to_string())
}

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
    pub fn attach(&self, types: &Btf) -> Result<Vec<(OwnedFd, OwnedFd)>, ModifyError> {
        let hook = types
            .id_by_type_name_kind(HOOK, BtfKind::Func)
            .map_err(ModifyError::Hook)?;
        // Where it is a matter of policy the kernel says so before anything is put together.
        raw::try_modify_return(hook).map_err(ModifyError::Refused)?;
        let mut object = self.object()?;
        let program = object
            .programs
            .remove(PROGRAM)
            .ok_or_else(|| ModifyError::Object("it is missing".to_owned()))?;
        let key = program.function_key();
        let function = object
            .functions
            .get(&key)
            .ok_or_else(|| ModifyError::Object("it has no function".to_owned()))?;
        let types = match &object.btf {
            Some(types) => Some(raw::load_types(&types.to_bytes()).map_err(ModifyError::Refused)?),
            None => None,
        };
        let mut attached = Vec::with_capacity(COPIES);
        for _ in 0..COPIES {
            let program = raw::load_modify_return(&raw::Modify {
                hook,
                name: PROGRAM,
                instructions: &function.instructions,
                types: types.as_ref().map(AsFd::as_fd),
                functions: &function.func_info.func_info,
            })
            .map_err(ModifyError::Refused)?;
            let link = raw::attach_tracing(program.as_fd()).map_err(ModifyError::Refused)?;
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
        parsed.sanitize_functions(aya::features());
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
