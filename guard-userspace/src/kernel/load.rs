//! Loads the kernel side and attaches it, or takes over what an earlier agent has left.

use super::btf::{Btf as Types, Damaged};
use super::carried::Carried;
use super::events::{Events, FORK, KILLS, program_of};
use super::fmod_ret::{ModifyError, PROGRAM, Parts};
use super::hook::Hook;
use super::inherit::{self, Place};
use super::kfunc;
use super::layout::{self, LayoutError};
use super::offsets::{self, OffsetError};
use super::pins::{PinError, Pins};
use super::refuse;
use super::tables::{TableError, Tables};
use super::tracefs::TracefsError;
use aya::maps::{MapData, RingBuf};
use aya::programs::links::FdLink;
use aya::programs::{ProgramError, RawTracePoint};
use aya::{Btf, Ebpf, EbpfError, EbpfLoader, Endianness};
use aya_obj::Object;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};

/// The kernel side, as the build script took it.
pub static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/guard-ebpf.o"));

/// The kernel's own types.
const TYPES: &str = "/sys/kernel/btf/vmlinux";

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
    #[error("{TYPES}: {0}")]
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
        "the kernel does not take the program {name}: {}{}",
        in_full(source),
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
    /// It is not kept.
    #[error(transparent)]
    Pin(#[from] PinError),
    /// A map is not what it should be.
    #[error(transparent)]
    Table(#[from] TableError),
}

/// With what aya leaves to be asked for: which errno a system call failed with.
fn in_full(error: &ProgramError) -> String {
    let mut said = error.to_string();
    let mut next = std::error::Error::source(error);
    while let Some(cause) = next {
        let cause_said = cause.to_string();
        if !said.contains(&cause_said) {
            said = format!("{said}: {cause_said}");
        }
        next = cause.source();
    }
    said
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
    pub(super) ebpf: Ebpf,
    /// The kernel's types, 10 MB of memory, while something is to be attached that needs them.
    pub(super) types: Option<Btf>,
    /// What the programs that aya does not load are put together from.
    pub(super) parts: Parts,
    /// What counts.
    counting: Vec<Hook>,
    /// What refuses before the fork, by LSM.
    pub(super) lsm: Vec<Hook>,
    /// The same, by programs that modify a return.
    pub(super) modifying: Vec<Hook>,
    /// Where all of it is kept for a later agent; `None`: it ends with this one.
    pub(super) pins: Option<Pins>,
    /// What another version has left, until this one refuses.
    earlier: Option<Pins>,
    /// It was at work already.
    adopted: bool,
    /// What another build had counted.
    pub carried: Carried,
    /// How its events are heard.
    pub events: Events,
    /// Its maps.
    pub tables: Tables,
}

impl Kernel {
    /// Takes over what an agent of this build has left at work, or loads and attaches all but the gate
    /// before the fork. Returns the ring buffer too, for whoever reads it. What it attaches outlives
    /// the agent where `keep`, until [`Self::disarm`].
    ///
    /// # Errors
    /// What this host lacks, or why the kernel refuses.
    pub fn load(keep: bool) -> Result<(Self, RingBuf<MapData>), LoadError> {
        layout::check(OBJECT)?;
        let object = Object::parse(OBJECT).map_err(EbpfError::from)?;
        let events = Events::look()?;
        let Place {
            pins,
            adopted,
            carried,
        } = if keep {
            inherit::take(&object, &events)
        } else {
            inherit::clear_away();
            Place::default()
        };
        let loaded = Self::load_into(events, pins.clone(), adopted, &inherit::maps(&object));
        let loaded = loaded.map(|(kernel, ring)| (Self { carried, ..kernel }, ring));
        if let (Err(_), Some(pins), false) = (&loaded, pins, adopted)
            && let Err(error) = pins.remove()
        {
            tracing::debug!(%error, "what could not be loaded");
        }
        loaded
    }

    fn load_into(
        events: Events,
        pins: Option<Pins>,
        adopted: bool,
        maps: &[String],
    ) -> Result<(Self, RingBuf<MapData>), LoadError> {
        let bytes = std::fs::read(TYPES).map_err(LoadError::NoTypes)?;
        let own = Types::parse(&bytes)?;
        let globals = offsets::read(&own, events.described())?;
        let mut object = OBJECT.to_vec();
        let kills = kfunc::name(&mut object, &own);
        let types = Btf::parse(&bytes, Endianness::default()).map_err(EbpfError::from)?;
        let level = super::log::level();
        let mut loader = EbpfLoader::new();
        loader.btf(Some(&types));
        loader.override_global(aya_log::LEVEL, &level, false);
        for (name, offset) in &globals {
            loader.override_global(name, offset, true);
        }
        for (name, pins) in maps.iter().zip(pins.iter().cycle()) {
            loader.map_pin_path(name, pins.map(name));
        }
        let mut ebpf = loader.load(&object)?;
        super::log::follow(&mut ebpf);
        let parts = Parts::of(&ebpf, &globals, level).map_err(ModifyError::from)?;
        let (tables, ring) = Tables::take(&mut ebpf)?;
        let mut kernel = Self {
            ebpf,
            types: None,
            parts,
            counting: Vec::new(),
            lsm: Vec::new(),
            modifying: Vec::new(),
            pins,
            earlier: Pins::earlier(),
            adopted,
            carried: Carried::default(),
            events,
            tables,
        };
        with::<RawTracePoint, _>(&mut kernel.ebpf, "control", RawTracePoint::load)?;
        if adopted {
            kernel.find();
        } else {
            let Self {
                ebpf,
                parts,
                pins,
                events,
                ..
            } = &mut kernel;
            let pins = pins.as_ref();
            kernel.counting = events.attach((ebpf, kills), pins, &types, parts)?;
            kernel.tables.set_mark(inherit::mark())?;
        }
        kernel.tables.keep_room();
        kernel.types = Some(types);
        Ok((kernel, ring))
    }

    /// Takes up what is pinned.
    fn find(&mut self) {
        let Some(pins) = &self.pins else { return };
        self.counting = self.events.found(pins).unwrap_or_default();
        (self.lsm, self.modifying) = refuse::find(pins);
    }

    /// The kernel's types, read again where they were forgotten.
    pub(super) fn types(types: &mut Option<Btf>) -> Result<&Btf, LoadError> {
        if types.is_none() {
            let bytes = std::fs::read(TYPES).map_err(LoadError::NoTypes)?;
            let read = Btf::parse(&bytes, Endianness::default()).map_err(EbpfError::from)?;
            *types = Some(read);
        }
        types.as_ref().ok_or(LoadError::Forgotten)
    }

    /// It was at work when this agent came, which has taken it over.
    #[must_use]
    pub const fn is_adopted(&self) -> bool {
        self.adopted
    }

    /// It goes on without this agent.
    #[must_use]
    pub const fn is_kept(&self) -> bool {
        self.pins.is_some()
    }

    /// Whether condemned processes beyond `newborn_max` die at birth (`bpf_send_signal_task`).
    #[must_use]
    pub fn kills_at_birth(&self) -> bool {
        self.counting.iter().any(|hook| hook.name() == KILLS)
    }

    /// Gives back the memory of what only attaching needs.
    pub fn forget_types(&mut self) {
        if self.types.take().is_some() {
            super::raw::trim_heap();
        }
    }

    /// Takes what another version has left away, now that this one refuses.
    pub fn replace_earlier(&mut self) {
        let Some(earlier) = self.earlier.take() else {
            return;
        };
        match earlier.remove() {
            Ok(()) => tracing::info!(
                event = "replaced",
                "the gate of another version, at work until now, is taken away"
            ),
            Err(error) => {
                tracing::warn!(%error, "the gate of another version stays at work; disarm it");
            }
        }
    }

    /// Takes all of it away: nothing outlives the agent.
    pub fn disarm(&mut self) {
        self.detach_lsm();
        self.detach_fmod_ret();
        self.counting.clear();
        for pins in self.pins.take().into_iter().chain(self.earlier.take()) {
            if let Err(error) = pins.remove() {
                tracing::warn!(%error, "the gate stays at work; metamcp-guard disarm tries it again");
            }
        }
    }

    /// The programs that are loaded, each with its name.
    pub(super) fn programs(&self) -> impl Iterator<Item = (&str, BorrowedFd<'_>)> {
        let hooks = self.counting.iter().chain(&self.lsm);
        let hooks = hooks.chain(&self.modifying).map(|hook| {
            // One or the other of the two, and all copies alike, for whoever draws it.
            let name = match hook.name() {
                KILLS => FORK,
                copy if copy.starts_with(PROGRAM) => PROGRAM,
                other => program_of(other),
            };
            (name, hook.program())
        });
        let control = self.control_program().and_then(|control| {
            let fd = control.fd().ok()?;
            Some(("control", fd.as_fd()))
        });
        control.into_iter().chain(hooks)
    }

    /// The program that the agent runs itself.
    pub(super) fn control_program(&self) -> Option<&RawTracePoint> {
        self.ebpf.program("control")?.try_into().ok()
    }
}

/// Attaches a program and holds it, by a pin where there are `pins`.
pub(super) fn hook<P>(
    ebpf: &mut Ebpf,
    pins: Option<&Pins>,
    name: &'static str,
    attach: impl FnOnce(&mut P) -> Result<FdLink, ProgramError>,
) -> Result<Hook, LoadError>
where
    for<'p> &'p mut P: TryFrom<&'p mut aya::programs::Program, Error = ProgramError>,
{
    let link = with::<P, _>(ebpf, name, attach)?;
    let program = ebpf.program(name).ok_or(LoadError::Missing(name))?;
    let failed = |source| LoadError::Program { name, source };
    let program = program.fd().map_err(failed)?.as_fd();
    Ok(Hook::of(pins, name, program, link)?)
}

/// Does something to the program of that name.
pub(super) fn with<P, T>(
    ebpf: &mut Ebpf,
    name: &'static str,
    act: impl FnOnce(&mut P) -> Result<T, ProgramError>,
) -> Result<T, LoadError>
where
    for<'p> &'p mut P: TryFrom<&'p mut aya::programs::Program, Error = ProgramError>,
{
    let failed = |source| LoadError::Program { name, source };
    let program = ebpf.program_mut(name).ok_or(LoadError::Missing(name))?;
    let program: &mut P = program.try_into().map_err(failed)?;
    act(program).map_err(failed)
}
