//! io_uring, as far as it makes threads that nobody asked clone(2) for: one that polls the queue, and
//! workers that wait.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::ptr;
use std::sync::atomic::{AtomicU32, Ordering::Release};

/// `IORING_SETUP_SQPOLL`.
const POLLED: u32 = 1 << 1;
/// `IORING_OFF_SQES`.
const ENTRIES_AT: libc::off_t = 0x1000_0000;
/// `IORING_OP_OPENAT`.
const OPEN: u8 = 18;
/// `IOSQE_ASYNC`: by a worker at once.
const BY_A_WORKER: u8 = 1 << 4;

/// struct io_uring_params, as words; those that are used here.
mod word {
    pub const FLAGS: usize = 2;
    pub const TAIL: usize = 11;
    pub const ARRAY: usize = 16;
    pub const ALL: usize = 30;
}

/// One entry of the queue: struct io_uring_sqe, its first half.
#[repr(C)]
struct Entry {
    opcode: u8,
    flags: u8,
    priority: u16,
    fd: i32,
    offset: u64,
    address: u64,
    len: u32,
    more: u32,
    second_half: [u64; 4],
}

fn set_up(entries: u32, flags: u32) -> io::Result<(OwnedFd, [u32; word::ALL])> {
    let mut params = [0_u32; word::ALL];
    params[word::FLAGS] = flags;
    // SAFETY: `params` has the size of struct io_uring_params, and the kernel makes the descriptor
    // for us.
    unsafe {
        let fd = libc::syscall(libc::SYS_io_uring_setup, entries, params.as_mut_ptr());
        match i32::try_from(fd) {
            Ok(fd) if fd >= 0 => Ok((OwnedFd::from_raw_fd(fd), params)),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

/// A ring whose queue a thread of the kernel's polls, which is one of this process's.
///
/// # Errors
/// The kernel's: it may have no io_uring, or not for us.
pub fn polled() -> io::Result<OwnedFd> {
    set_up(4, POLLED).map(|(ring, _)| ring)
}

/// A ring with `n` opens of a FIFO that nobody writes to, each by a worker: a thread of this process that
/// waits until somebody does, or the process ends. (A read would be polled for, by nobody's thread.)
///
/// # Errors
/// The kernel's.
pub fn opens(n: u32, fifo: CString) -> io::Result<OwnedFd> {
    // The kernel may look at it for as long as this process lives.
    let fifo = fifo.into_raw();
    let (ring, params) = set_up(n, 0)?;
    let size = params[word::ARRAY] + params[0] * 4;
    let queue = shared(&ring, size as usize, 0)?;
    let entries = shared(&ring, params[0] as usize * size_of::<Entry>(), ENTRIES_AT)?;
    for at in 0..n {
        let entry = Entry {
            opcode: OPEN,
            flags: BY_A_WORKER,
            priority: 0,
            fd: libc::AT_FDCWD,
            offset: 0,
            address: fifo as u64,
            len: 0,
            more: 0,
            second_half: [0; 4],
        };
        // SAFETY: both mappings have room for as many entries as were asked for, at the places that
        // the kernel gave; nobody reads them before the tail says so.
        unsafe {
            entries.cast::<Entry>().add(at as usize).write(entry);
            let array = queue.byte_add(params[word::ARRAY] as usize).cast::<u32>();
            array.add(at as usize).write(at);
        }
    }
    // SAFETY: the tail is an aligned word of the mapping, which the kernel reads as we write it.
    unsafe {
        let tail = queue.byte_add(params[word::TAIL] as usize).cast::<u32>();
        AtomicU32::from_ptr(tail).store(n, Release);
    }
    // SAFETY: it takes no pointer but a signal mask that is none.
    let taken = unsafe {
        let none = ptr::null::<u8>();
        libc::syscall(libc::SYS_io_uring_enter, ring.as_raw_fd(), n, 0, 0, none, 0)
    };
    if taken != libc::c_long::from(n) {
        return Err(io::Error::last_os_error());
    }
    Ok(ring)
}

/// A part of the ring's memory, never unmapped.
fn shared(ring: &OwnedFd, size: usize, at: libc::off_t) -> io::Result<*mut libc::c_void> {
    let rights = libc::PROT_READ | libc::PROT_WRITE;
    let how = libc::MAP_SHARED | libc::MAP_POPULATE;
    // SAFETY: a new mapping, checked below.
    let memory = unsafe { libc::mmap(ptr::null_mut(), size, rights, how, ring.as_raw_fd(), at) };
    if memory == libc::MAP_FAILED {
        return Err(io::Error::last_os_error());
    }
    Ok(memory)
}
