//! The system calls that std has not and a storm needs: fork without exec, clone3 into a cgroup,
//! the end of one thread, memory that forks share. The crate's unsafe code is here and in `raw/`.
#![expect(
    unsafe_code,
    reason = "raw process creation is what the storm is made of; nothing else here may use it"
)]

pub mod ring;

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::AtomicU64;

use rustix::mount::{MountPropagationFlags, UnmountFlags, mount_change, unmount};
use rustix::process::Pid;

/// Words of memory that this process and all its forks share, zeroed, for as long as any lives.
///
/// # Errors
/// The kernel's, where it has no page left.
pub fn shared_words<const N: usize>() -> io::Result<&'static [AtomicU64; N]> {
    // SAFETY: a fresh anonymous mapping, checked below, never unmapped; it is zeroed, page-aligned,
    // large enough, and AtomicU64 is valid for any bits.
    unsafe {
        let page = libc::mmap(
            std::ptr::null_mut(),
            size_of::<[AtomicU64; N]>(),
            libc::PROT_READ | libc::PROT_WRITE,
            libc::MAP_SHARED | libc::MAP_ANONYMOUS,
            -1,
            0,
        );
        if page == libc::MAP_FAILED {
            return Err(io::Error::last_os_error());
        }
        Ok(&*page.cast::<[AtomicU64; N]>())
    }
}

/// Memory that is there, in pages of the usual size: of what a fork copies the tables of, huge pages would
/// leave next to nothing.
///
/// # Errors
/// The kernel's.
pub fn small_pages(bytes: usize) -> io::Result<Vec<u8>> {
    let mut memory = Vec::with_capacity(bytes);
    let page = 4096_usize;
    let begin = (memory.as_ptr() as usize).next_multiple_of(page);
    let within = bytes.saturating_sub(page) / page * page;
    if within > 0 {
        // SAFETY: whole pages within what was just allocated; the advice changes nothing that can be read.
        let told =
            unsafe { libc::madvise(begin as *mut libc::c_void, within, libc::MADV_NOHUGEPAGE) };
        if told != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // 1: what is 0 need not be there.
    memory.resize(bytes, 1);
    Ok(memory)
}

/// Gives this process a mount namespace of its own, without the mounts of container engines, which
/// their owners could not take away while a copy is in use.
///
/// # Errors
/// The kernel's: not root.
pub fn own_mounts() -> io::Result<()> {
    // SAFETY: it takes no pointer.
    if unsafe { libc::unshare(libc::CLONE_NEWNS) } != 0 {
        return Err(io::Error::last_os_error());
    }
    let all = MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC;
    // Where it is no mount (an initramfs), nothing comes from outside either.
    let _ = mount_change("/", all);
    for line in std::fs::read_to_string("/proc/self/mounts")?.lines() {
        if let Some(point) = line.split(' ').nth(1)
            && point.contains("/docker")
        {
            // Gone with the one that it was on, perhaps.
            let _ = unmount(point, UnmountFlags::DETACH);
        }
    }
    Ok(())
}

/// Forks; the child runs `body` and ends with its result, never returning from here.
///
/// Where this process has other threads, `body` must not allocate: one of them may have held the
/// allocator's lock.
///
/// # Errors
/// The kernel's: `EAGAIN` where the gate or a limit refuses.
pub fn fork(body: impl FnOnce() -> i32) -> io::Result<Pid> {
    // SAFETY: the child goes on in a copy of this address space and leaves it by _exit.
    let pid = unsafe { libc::fork() };
    in_child_or_parent(pid, body)
}

/// As [`fork`], but the child is born in another cgroup (`CLONE_INTO_CGROUP`, Linux 5.7), as
/// runc's `docker exec` does where it can.
///
/// # Errors
/// The kernel's.
pub fn fork_into(cgroup: BorrowedFd<'_>, body: impl FnOnce() -> i32) -> io::Result<Pid> {
    let how = Clone3 {
        cgroup: Some(cgroup),
        ..Clone3::default()
    };
    clone3(&how, body)
}

/// How a process is cloned; by default as [`fork`] does it.
#[derive(Clone, Copy, Debug, Default)]
pub struct Clone3<'a> {
    /// Where it is born, if not where its parent is.
    pub cgroup: Option<BorrowedFd<'a>>,
    /// Its pid (Linux 5.5), which must be free.
    pub pid: Option<Pid>,
    /// Its parent is the caller's (`CLONE_PARENT`): the caller cannot wait for it.
    pub sibling: bool,
}

/// Forks by clone3(2). What [`fork`] says of `body` holds here too.
///
/// # Errors
/// The kernel's: also `EEXIST` where the pid is another's.
pub fn clone3(how: &Clone3<'_>, body: impl FnOnce() -> i32) -> io::Result<Pid> {
    let pids = how.pid.map(|pid| [pid.as_raw_pid()]);
    let into = guard_common::abi::CLONE_INTO_CGROUP;
    let mut arguments = libc::clone_args {
        flags: how.cgroup.map_or(0, |_| into) | if how.sibling { CLONE_PARENT } else { 0 },
        pidfd: 0,
        child_tid: 0,
        parent_tid: 0,
        // A sibling's end is told as the caller's own.
        exit_signal: if how.sibling { 0 } else { SIGCHLD },
        stack: 0,
        stack_size: 0,
        tls: 0,
        set_tid: pids.as_ref().map_or(0, |pids| pids.as_ptr() as u64),
        set_tid_size: u64::from(pids.is_some()),
        cgroup: how.cgroup.map_or(0, |cgroup| {
            u64::try_from(cgroup.as_raw_fd()).unwrap_or(u64::MAX)
        }),
    };
    // SAFETY: the structure has the size that is passed, and the pids live through the call;
    // without CLONE_VM this is a fork.
    let pid = unsafe {
        libc::syscall(
            libc::SYS_clone3,
            &raw mut arguments,
            size_of::<libc::clone_args>(),
        )
    };
    in_child_or_parent(i32::try_from(pid).unwrap_or(-1), body)
}

const CLONE_PARENT: u64 = libc::CLONE_PARENT as u64;
const SIGCHLD: u64 = libc::SIGCHLD as u64;

/// Executes the program that this descriptor is of (`execveat`, no path, no environment); it comes back
/// only where that failed. It allocates nothing.
#[must_use]
pub fn execute(program: BorrowedFd<'_>, words: [&CStr; 3]) -> io::Error {
    let words = [
        words[0].as_ptr(),
        words[1].as_ptr(),
        words[2].as_ptr(),
        std::ptr::null(),
    ];
    let nothing: [*const libc::c_char; 1] = [std::ptr::null()];
    // SAFETY: all that is pointed to lives through the call, and both lists end with a null.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            program.as_raw_fd(),
            c"".as_ptr(),
            words.as_ptr(),
            nothing.as_ptr(),
            libc::AT_EMPTY_PATH,
        );
    }
    io::Error::last_os_error()
}

fn in_child_or_parent(pid: i32, body: impl FnOnce() -> i32) -> io::Result<Pid> {
    if pid == 0 {
        // A panic must not unwind into the copy of the parent's frames.
        let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(body)).unwrap_or(101);
        // SAFETY: ends this process; nothing of it is used afterwards.
        unsafe { libc::_exit(code) }
    }
    if pid < 0 {
        return Err(io::Error::last_os_error());
    }
    Pid::from_raw(pid).ok_or_else(|| io::Error::other("fork gave no pid"))
}

/// Makes the calling thread come before all that are not real-time themselves, as the agent makes
/// the thread that answers execs.
///
/// # Errors
/// The kernel's, where it may not.
pub fn urgent() -> io::Result<()> {
    let priority = libc::sched_param { sched_priority: 10 };
    // SAFETY: 0 is the calling thread; the parameters live until the call returns.
    let done = unsafe {
        libc::sched_setscheduler(
            0,
            libc::SCHED_FIFO | libc::SCHED_RESET_ON_FORK,
            &raw const priority,
        )
    };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has this process ended by a signal after some time, also where it has executed something else by
/// then. What it forks is not.
pub fn ends_after(time: std::time::Duration) {
    // SAFETY: it takes no pointer.
    unsafe { libc::alarm(u32::try_from(time.as_secs()).unwrap_or(u32::MAX)) };
}

/// Ignores SIGTERM from now on, also in what this process executes and starts.
pub fn ignore_term() {
    // SAFETY: SIG_IGN runs no code of ours.
    unsafe { libc::signal(libc::SIGTERM, libc::SIG_IGN) };
}

/// Detaches the BPF link that is pinned there, as `bpftool link detach` does.
///
/// # Errors
/// The kernel's: EOPNOTSUPP where it lets nobody detach a link of that kind.
pub fn detach_link(pin: &Path) -> io::Result<()> {
    const OBJ_GET: libc::c_long = 7;
    const LINK_DETACH: libc::c_long = 34;
    const ATTRIBUTES: usize = 128;
    let path = CString::new(pin.as_os_str().as_bytes())?;
    let mut get = [0_u64; ATTRIBUTES / 8];
    get[0] = path.as_ptr() as u64;
    // SAFETY: the attributes are as long as said; the path lives until the call returns.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, OBJ_GET, get.as_mut_ptr(), ATTRIBUTES) };
    let fd = i32::try_from(fd).map_err(io::Error::other)?;
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the kernel has just given it to us.
    let link = unsafe { OwnedFd::from_raw_fd(fd) };
    let mut detach = [0_u64; ATTRIBUTES / 8];
    detach[0] = u64::try_from(link.as_raw_fd()).map_err(io::Error::other)?;
    // SAFETY: as above.
    let done =
        unsafe { libc::syscall(libc::SYS_bpf, LINK_DETACH, detach.as_mut_ptr(), ATTRIBUTES) };
    if done < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Ends the calling thread alone; the process lives on while it has others.
pub fn exit_thread() -> ! {
    // SAFETY: exit(2), not exit_group(2). What this thread owned is leaked, which is allowed.
    unsafe { libc::syscall(libc::SYS_exit, 0) };
    unreachable!("exit(2) does not return")
}
