//! Calls that no safe crate has: the agent's one file with unsafe code.
#![expect(
    unsafe_code,
    reason = "bpf(2), sched_setscheduler(2) and malloc_trim(3) have no safe wrapper here"
)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

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
