//! Loads the kernel side and attaches it. It ends with the agent: nothing is pinned.

use super::btf::{Btf as Types, Damaged};
use super::fmod_ret::{Attached, ModifyError, Parts};
use super::kfunc;
use super::layout::{self, LayoutError};
use super::offsets::{self, OffsetError};
use super::tables::{TableError, Tables};
use super::tracefs::{self, TracefsError};
use aya::maps::{MapData, RingBuf};
use aya::programs::{BtfTracePoint, FEntry, Lsm, ProgramError, RawTracePoint, TracePoint};
use aya::{Btf, Ebpf, EbpfError, EbpfLoader, Endianness};
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The kernel side, as the build script took it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard-ebpf.o"));

/// The kernel's own types.
const TYPES: &str = "/sys/kernel/btf/vmlinux";

/// Category and name of the events that count. Exits first: whoever is counted in is counted out.
const EVENTS: [(&str, &str); 4] = [
    ("sched", "sched_process_exit"),
    ("sched", "sched_process_exec"),
    ("sched", "sched_process_fork"),
    ("task", "task_newtask"),
];

/// In the place of the program for new processes, where the kernel can kill one at birth.
const KILLS: (&str, &str) = ("sched_process_fork", "sched_process_fork_kills");

/// Events about cgroups, heard with their arguments' types.
const CGROUP_EVENTS: [&str; 3] = ["cgroup_rmdir", "cgroup_attach_task", "cgroup_mkdir"];

/// The gate before the fork. What gives back comes first.
const LSM: [&str; 2] = ["task_free", "task_alloc"];

/// What gives back where the gate is programs that modify a return, and the function it follows.
const AFTER: (&str, &str) = ("after_task_alloc", "security_task_free");

/// Why the kernel side does not run.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No type information.
    #[error(
        "cannot read {TYPES}: {0}; the kernel must be built with CONFIG_DEBUG_INFO_BTF, as \
         distributions do"
    )]
    NoTypes(io::Error),
    /// Type information that cannot be read.
    #[error(transparent)]
    Damaged(#[from] Damaged),
    /// The object is another agent's.
    #[error(transparent)]
    Layout(#[from] LayoutError),
    /// Something that is read is not there.
    #[error(transparent)]
    Offset(#[from] OffsetError),
    /// No events.
    #[error(transparent)]
    Tracefs(#[from] TracefsError),
    /// The object does not load.
    #[error("cannot load the kernel side: {0}; `metamcp-guard doctor` says what this host lacks")]
    Object(#[from] EbpfError),
    /// The object has no such program.
    #[error(
        "the BPF object has no program {0}; build agent and object together: cargo xtask build"
    )]
    Missing(&'static str),
    /// The return of the function that makes a task cannot be modified.
    #[error(transparent)]
    Modify(#[from] ModifyError),
    /// A program does not load or attach.
    #[error(
        "the kernel does not take the program {name}: {source}{}",
        hint(source)
    )]
    Program {
        /// Its name.
        name: &'static str,
        /// Why.
        source: ProgramError,
    },
    /// Too late.
    #[error("the kernel's types are forgotten: what needs them is attached at the start")]
    Forgotten,
    /// A map is not what it should be.
    #[error(transparent)]
    Table(#[from] TableError),
}

fn hint(error: &ProgramError) -> &'static str {
    let not_permitted = matches!(
        error,
        ProgramError::LoadError { io_error, .. } if io_error.kind() == io::ErrorKind::PermissionDenied
    );
    if not_permitted {
        "; run it as root on the host itself, with CAP_BPF and CAP_PERFMON"
    } else {
        ""
    }
}

/// The kernel side at work.
pub struct Kernel {
    ebpf: Ebpf,
    /// The kernel's types, 10 MB of memory, while something is to be attached that needs them.
    types: Option<Btf>,
    /// What the programs that modify a return are put together from.
    parts: Parts,
    /// The programs that modify a return.
    modified: Option<Attached>,
    /// Condemned processes die at birth beyond a few.
    kills_at_birth: bool,
    /// Its maps.
    pub tables: Tables,
}

impl Kernel {
    /// Loads and attaches all but the gate before the fork. Nothing is guarded yet. Returns the
    /// ring buffer too, for whoever reads it.
    ///
    /// # Errors
    /// What this host lacks, or why the kernel refuses.
    pub fn load() -> Result<(Self, RingBuf<MapData>), LoadError> {
        layout::check(OBJECT)?;
        let bytes = std::fs::read(TYPES).map_err(LoadError::NoTypes)?;
        let tracefs = tracefs::place()?;
        let own = Types::parse(&bytes)?;
        let globals = offsets::read(&own, &tracefs)?;
        let mut object = OBJECT.to_vec();
        let named = kfunc::name(&mut object, &own);
        let types = Btf::parse(&bytes, Endianness::default()).map_err(EbpfError::from)?;
        let level = super::log::level();
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&types));
        loader.override_global(aya_log::LEVEL, &level, false);
        for (name, offset) in &globals {
            loader.override_global(name, offset, true);
        }
        let mut ebpf = loader.load(&object)?;
        super::log::follow(&mut ebpf);
        let parts = Parts::of(&ebpf, &globals, level).map_err(ModifyError::from)?;
        let (tables, ring) = Tables::take(&mut ebpf)?;
        let mut kernel = Self {
            ebpf,
            types: None,
            parts,
            modified: None,
            kills_at_birth: named,
            tables,
        };
        kernel.attach(&types)?;
        kernel.types = Some(types);
        Ok((kernel, ring))
    }

    fn attach(&mut self, types: &Btf) -> Result<(), LoadError> {
        for name in CGROUP_EVENTS {
            with::<BtfTracePoint>(&mut self.ebpf, name, |program| {
                program.load(name, types)?;
                program.attach().map(drop)
            })?;
        }
        for (category, name) in EVENTS {
            if name == KILLS.0 && self.kills_at_birth {
                let kills = with::<TracePoint>(&mut self.ebpf, KILLS.1, |program| {
                    program.load()?;
                    program.attach(category, name).map(drop)
                });
                let Err(error) = kills else { continue };
                tracing::info!(%error, "condemned processes cannot be killed at birth here");
                self.kills_at_birth = false;
            }
            with::<TracePoint>(&mut self.ebpf, name, |program| {
                program.load()?;
                program.attach(category, name).map(drop)
            })?;
        }
        with::<RawTracePoint>(&mut self.ebpf, "control", RawTracePoint::load)
    }

    /// The kernel's types, read again where they were forgotten.
    fn types(types: &mut Option<Btf>) -> Result<&Btf, LoadError> {
        if types.is_none() {
            let bytes = std::fs::read(TYPES).map_err(LoadError::NoTypes)?;
            let read = Btf::parse(&bytes, Endianness::default()).map_err(EbpfError::from)?;
            *types = Some(read);
        }
        types.as_ref().ok_or(LoadError::Forgotten)
    }

    /// Puts the gate before the fork in place. That this succeeds proves nothing: without `bpf` in the
    /// kernel's `lsm=` list it is never asked (6.12).
    ///
    /// # Errors
    /// The kernel takes no LSM program; what was attached is detached again.
    pub fn attach_lsm(&mut self) -> Result<(), LoadError> {
        let Self { ebpf, types, .. } = self;
        let types = Self::types(types)?;
        let attached = LSM.into_iter().try_for_each(|name| {
            with::<Lsm>(ebpf, name, |program| {
                program.load(name, types)?;
                program.attach().map(drop)
            })
        });
        if attached.is_err() {
            self.detach_lsm();
        }
        attached
    }

    /// Puts it in place by programs that modify the return of what makes a task.
    ///
    /// # Errors
    /// The kernel does not let it be modified; nothing is attached then.
    pub fn attach_fmod_ret(&mut self) -> Result<(), LoadError> {
        let Self {
            ebpf,
            types,
            parts,
            modified,
            ..
        } = self;
        let types = Self::types(types)?;
        let (name, function) = AFTER;
        // Where this is refused the other would be too, and takes longer to say so.
        with::<FEntry>(ebpf, name, |program| {
            program.load(function, types)?;
            program.attach().map(drop)
        })?;
        match parts.attach(types) {
            Ok(attached) => *modified = Some(attached),
            Err(error) => {
                self.detach_fmod_ret();
                return Err(error.into());
            }
        }
        Ok(())
    }

    /// Takes them away.
    pub fn detach_fmod_ret(&mut self) {
        self.modified = None;
        if let Err(error) = with::<FEntry>(&mut self.ebpf, AFTER.0, FEntry::unload) {
            tracing::debug!(%error, "detaching");
        }
    }

    /// Whether condemned processes beyond `newborn_max` die at birth (`bpf_send_signal_task`).
    #[must_use]
    pub const fn kills_at_birth(&self) -> bool {
        self.kills_at_birth
    }

    /// Gives back the memory of what only attaching needs.
    pub fn forget_types(&mut self) {
        if self.types.take().is_some() {
            super::raw::trim_heap();
        }
    }

    /// Takes the gate before the fork away.
    pub fn detach_lsm(&mut self) {
        // The other way round: what takes goes first. One that never loaded is no news.
        for name in LSM.into_iter().rev() {
            let unloaded = with::<Lsm>(&mut self.ebpf, name, Lsm::unload);
            if let Err(error) = unloaded {
                tracing::debug!(%error, "detaching");
            }
        }
    }

    /// The programs that are loaded, each with its name.
    pub(super) fn programs(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let loaded = self.ebpf.programs().filter_map(|(name, program)| {
            let fd = program.fd().ok()?;
            // One or the other of the two, for whoever draws it.
            let name = if name == KILLS.1 { KILLS.0 } else { name };
            Some((name, fd.as_fd()))
        });
        let modified = self.modified.iter().flat_map(Attached::programs);
        loaded.chain(modified.map(|(name, fd)| (name, fd.as_fd())))
    }

    /// The program that the agent runs itself.
    pub(super) fn control_program(&self) -> Option<&RawTracePoint> {
        self.ebpf.program("control")?.try_into().ok()
    }
}

/// Does something to the program of that name.
fn with<P>(
    ebpf: &mut Ebpf,
    name: &'static str,
    act: impl FnOnce(&mut P) -> Result<(), ProgramError>,
) -> Result<(), LoadError>
where
    for<'p> &'p mut P: TryFrom<&'p mut aya::programs::Program, Error = ProgramError>,
{
    let failed = |source| LoadError::Program { name, source };
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    let program: &mut P = program.try_into().map_err(failed)?;
    act(program).map_err(failed)
}
