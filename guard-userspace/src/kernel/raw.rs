//! Calls that no safe crate has: the agent's one file with unsafe code.
#![expect(
    unsafe_code,
    reason = "bpf(2), mmap(2), sched_setscheduler(2) and malloc_trim(3) have no safe wrapper here"
)]

use aya_obj::generated::{
    bpf_attach_type, bpf_attr, bpf_cmd, bpf_func_info, bpf_insn, bpf_prog_type,
};
use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::NonNull;

/// Makes the calling thread SCHED_FIFO, above all normal threads.
///
/// # Errors
/// Not permitted: not root, or a v1 `cpu` controller without real-time share.
pub fn be_fifo() -> io::Result<()> {
    // The lowest of its priorities: enough to be before whatever is not real-time.
    let param = libc::sched_param { sched_priority: 1 };
    // SAFETY: 0 is the calling thread; `param` lives through the call.
    let done = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const param) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// Has the allocator give free pages back to the kernel, which it would keep for later.
pub fn trim_heap() {
    #[cfg(target_env = "gnu")]
    // SAFETY: it looks at free memory alone.
    unsafe {
        libc::malloc_trim(0);
    }
}

/// Runs a raw tracepoint's program once, with these arguments (`BPF_PROG_TEST_RUN`); gives what it
/// returned. It allocates nothing and waits for nobody.
///
/// # Errors
/// The kernel's.
pub fn test_run(program: BorrowedFd<'_>, arguments: &[u64; 12]) -> io::Result<u32> {
    /// `BPF_PROG_TEST_RUN` of enum bpf_cmd.
    const TEST_RUN: libc::c_long = 10;
    // The struct `test` of union bpf_attr (include/uapi/linux/bpf.h), since Linux 5.10.
    #[repr(C)]
    struct Attr {
        fd: u32,
        returned: u32,
        data: [u64; 3],
        repeat_and_duration: [u32; 2],
        context_len: u32,
        context_out_len: u32,
        context: u64,
        context_out: u64,
        flags_and_cpu: [u32; 2],
        batch_and_padding: [u32; 2],
    }
    let mut attr = Attr {
        fd: program.as_raw_fd().cast_unsigned(),
        returned: 0,
        data: [0; 3],
        repeat_and_duration: [0; 2],
        context_len: u32::try_from(size_of_val(arguments)).unwrap_or(0),
        context_out_len: 0,
        context: arguments.as_ptr() as u64,
        context_out: 0,
        flags_and_cpu: [0; 2],
        batch_and_padding: [0; 2],
    };
    // SAFETY: `attr` has the size that is passed and lives through the call, in which the kernel
    // writes its `returned` alone; `context` and its length are those of `arguments`.
    let done = unsafe { libc::syscall(libc::SYS_bpf, TEST_RUN, &raw mut attr, size_of::<Attr>()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(attr.returned)
}

/// What a tracing program does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It modifies a kernel function's return (`BPF_MODIFY_RETURN`).
    ModifyReturn,
    /// It hears an event, by the types of its arguments (`BPF_TRACE_RAW_TP`).
    Event,
}

/// A tracing program.
#[derive(Debug)]
pub struct Tracing<'a> {
    /// What it does.
    pub kind: Kind,
    /// The function's, or the event's, type in the kernel's own types.
    pub hook: u32,
    /// The program's name.
    pub name: &'a str,
    /// All of it, relocated.
    pub instructions: &'a [bpf_insn],
    /// The types of its object, as the kernel took them.
    pub types: Option<BorrowedFd<'a>>,
    /// Which of them its functions are.
    pub functions: &'a [bpf_func_info],
}

/// Loads it (`BPF_PROG_LOAD`).
///
/// # Errors
/// The kernel's.
pub fn load_tracing(program: &Tracing<'_>) -> io::Result<OwnedFd> {
    let instructions = program.instructions;
    let mut attr = tracing(
        program.kind,
        program.hook,
        instructions.as_ptr() as u64,
        instructions.len(),
    );
    // SAFETY: these are the attributes that `tracing` set.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    // The last byte stays 0.
    let room = load.prog_name.iter_mut().take(15);
    for (to, from) in room.zip(program.name.bytes()) {
        *to = from.cast_signed();
    }
    if let Some(types) = program.types {
        load.prog_btf_fd = types.as_raw_fd().cast_unsigned();
        load.func_info = program.functions.as_ptr() as u64;
        load.func_info_cnt = count(program.functions.len());
        load.func_info_rec_size = count(size_of::<bpf_func_info>());
    }
    // SAFETY: all that `attr` points to is borrowed by `program` and lives through the call.
    unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &attr) }
}

/// Whether the kernel takes a program that modifies the return of a function (and changes nothing).
///
/// # Errors
/// The kernel's.
pub fn try_modify_return(hook: u32) -> io::Result<()> {
    // `r0 = 0; exit`: BPF_ALU64 | BPF_MOV | BPF_K, and BPF_JMP | BPF_EXIT.
    const NOTHING: [u64; 2] = [0xb7, 0x95];
    let attr = tracing(
        Kind::ModifyReturn,
        hook,
        NOTHING.as_ptr() as u64,
        NOTHING.len(),
    );
    // SAFETY: the instructions are static.
    unsafe { bpf(bpf_cmd::BPF_PROG_LOAD, &attr) }.map(drop)
}

fn tracing(kind: Kind, hook: u32, instructions: u64, len: usize) -> bpf_attr {
    const LICENSE: &CStr = c"Dual MIT/GPL";
    let mut attr = no_attributes();
    // SAFETY: all of the union is zero, which its every part may be.
    let load = unsafe { &mut attr.__bindgen_anon_3 };
    load.prog_type = bpf_prog_type::BPF_PROG_TYPE_TRACING as u32;
    load.expected_attach_type = match kind {
        Kind::ModifyReturn => bpf_attach_type::BPF_MODIFY_RETURN as u32,
        Kind::Event => bpf_attach_type::BPF_TRACE_RAW_TP as u32,
    };
    load.attach_btf_id = hook;
    load.insns = instructions;
    load.insn_cnt = count(len);
    load.license = LICENSE.as_ptr() as u64;
    attr
}

fn count(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}

/// As the kernel wants what is not used: 0.
fn no_attributes() -> bpf_attr {
    // SAFETY: it is numbers all through.
    unsafe { std::mem::zeroed() }
}

/// Attaches a tracing program to the function that it was loaded for (`BPF_RAW_TRACEPOINT_OPEN`); it is
/// detached when the descriptor is closed.
///
/// # Errors
/// The kernel's.
pub fn attach_tracing(program: BorrowedFd<'_>) -> io::Result<OwnedFd> {
    let mut attr = no_attributes();
    attr.raw_tracepoint.prog_fd = program.as_raw_fd().cast_unsigned();
    // SAFETY: `attr` points to nothing; a name is for raw tracepoints.
    unsafe { bpf(bpf_cmd::BPF_RAW_TRACEPOINT_OPEN, &attr) }
}

/// Gives the kernel an object's types (`BPF_BTF_LOAD`).
///
/// # Errors
/// The kernel's.
pub fn load_types(types: &[u8]) -> io::Result<OwnedFd> {
    let mut attr = no_attributes();
    // SAFETY: all of the union is zero, which its every part may be.
    let load = unsafe { &mut attr.__bindgen_anon_7 };
    load.btf = types.as_ptr() as u64;
    load.btf_size = count(types.len());
    // SAFETY: `types` lives through the call.
    unsafe { bpf(bpf_cmd::BPF_BTF_LOAD, &attr) }
}

/// Gives a program or link a name below a bpf filesystem (`BPF_OBJ_PIN`).
///
/// # Errors
/// The kernel's, or a path with a NUL.
pub fn pin(object: BorrowedFd<'_>, path: &Path) -> io::Result<()> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut attr = no_attributes();
    // SAFETY: all of the union is zero, which its every part may be.
    let obj = unsafe { &mut attr.__bindgen_anon_4 };
    obj.pathname = path.as_ptr() as u64;
    obj.bpf_fd = object.as_raw_fd().cast_unsigned();
    let attr: *const bpf_attr = &raw const attr;
    let command = bpf_cmd::BPF_OBJ_PIN as i64;
    // SAFETY: `path` lives through the call; `attr` has the size that is passed.
    let done = unsafe { libc::syscall(libc::SYS_bpf, command, attr, size_of::<bpf_attr>()) };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// bpf(2), for commands that give a descriptor.
///
/// # Safety
/// What `attr` points to must be valid for `command`.
unsafe fn bpf(command: bpf_cmd, attr: &bpf_attr) -> io::Result<OwnedFd> {
    let attr: *const bpf_attr = attr;
    // SAFETY: the caller's; `attr` has the size that is passed.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command as i64, attr, size_of::<bpf_attr>()) };
    match i32::try_from(fd) {
        // SAFETY: the kernel has just made this descriptor for us.
        Ok(fd) if fd >= 0 => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
        _ => Err(io::Error::last_os_error()),
    }
}

/// An array map's values in this process's memory, to be read alone (`BPF_F_MMAPABLE`).
#[derive(Debug)]
pub struct Mapped {
    at: NonNull<u64>,
    words: usize,
}

// SAFETY: it is memory that others write and nobody here does; each read is of one word.
unsafe impl Send for Mapped {}
// SAFETY: as above.
unsafe impl Sync for Mapped {}

impl Mapped {
    /// Maps that many words.
    ///
    /// # Errors
    /// The kernel's: the map is shorter, or not to be mapped.
    pub fn map(map: BorrowedFd<'_>, words: usize) -> io::Result<Self> {
        let len = words.saturating_mul(size_of::<u64>());
        // SAFETY: the kernel chooses where, so nothing is there yet; it fails where the map is shorter.
        let at = unsafe {
            libc::mmap(
                std::ptr::null_mut(),
                len,
                libc::PROT_READ,
                libc::MAP_SHARED,
                map.as_raw_fd(),
                0,
            )
        };
        if at == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        let at = NonNull::new(at.cast()).ok_or(io::ErrorKind::AddrNotAvailable)?;
        Ok(Self { at, words })
    }

    /// A word as it is now.
    #[must_use]
    pub fn word(&self, index: usize) -> Option<u64> {
        // SAFETY: it is within what is mapped, which is page-aligned and lives as long as `self`.
        (index < self.words).then(|| unsafe { self.at.add(index).read_volatile() })
    }
}

impl Drop for Mapped {
    fn drop(&mut self) {
        // SAFETY: it was mapped with this length, and nobody has a reference into it.
        unsafe {
            libc::munmap(self.at.as_ptr().cast(), self.words * size_of::<u64>());
        }
    }
}

/// Runs, their nanoseconds, and runs left out, of a program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Runs {
    /// Runs; counted while the kernel keeps statistics.
    pub count: u64,
    /// Nanoseconds spent in them.
    pub ns: u64,
    /// Runs that the kernel left out since the program, or a bpf(2) call, was busy on that CPU.
    pub misses: u64,
}

/// Reads a program's statistics (`BPF_OBJ_GET_INFO_BY_FD`).
///
/// # Errors
/// The kernel's.
pub fn runs(program: BorrowedFd<'_>) -> io::Result<Runs> {
    /// `BPF_OBJ_GET_INFO_BY_FD` of enum bpf_cmd.
    const GET_INFO: libc::c_long = 15;
    // struct bpf_prog_info as words (include/uapi/linux/bpf.h): run_time_ns, run_cnt and
    // recursion_misses are words 24 to 26, since Linux 5.12. Older kernels fill less.
    let mut info = [0_u64; 32];
    let len = u32::try_from(size_of_val(&info)).unwrap_or(0);
    // The union bpf_attr: bpf_fd, info_len, info.
    #[repr(C)]
    struct Attr {
        fd: u32,
        len: u32,
        info: u64,
    }
    let attr = Attr {
        fd: program.as_raw_fd().cast_unsigned(),
        len,
        info: (&raw mut info) as u64,
    };
    // SAFETY: `attr` has the size that is passed, and `info` the length that is in it; the kernel
    // writes no more than that.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, GET_INFO, &raw const attr, size_of::<Attr>()) };
    if done != 0 {
        return Err(io::Error::last_os_error());
    }
    let word = |at: usize| info.get(at).copied().unwrap_or(0);
    Ok(Runs {
        ns: word(24),
        count: word(25),
        misses: word(26),
    })
}
