//! The kernel side's own log lines (aya-log), from a thread that waits for them.

use aya::Ebpf;
use aya_log::EbpfLogger;
use rustix::event::{PollFd, PollFlags, poll};
use std::thread;

/// What the kernel side need not even say: each line costs it 12.7 µs with a reader, 74 ns where
/// it is filtered at load (6.18).
pub(super) fn level() -> u8 {
    match log::max_level() {
        log::LevelFilter::Off => 0,
        log::LevelFilter::Error => 1,
        log::LevelFilter::Warn => 2,
        log::LevelFilter::Info => 3,
        log::LevelFilter::Debug => 4,
        log::LevelFilter::Trace => 5,
    }
}

/// Says what the kernel side says, until the agent ends. Without it nothing else is missing.
pub(super) fn follow(ebpf: &mut Ebpf) {
    let mut logger = match EbpfLogger::init(ebpf) {
        Ok(logger) => logger,
        Err(error) => {
            tracing::debug!(%error, "the kernel side has no log");
            return;
        }
    };
    let reader = thread::Builder::new().name("kernel-log".to_owned());
    let spawned = reader.spawn(move || {
        loop {
            let ready = poll(&mut [PollFd::new(&logger, PollFlags::IN)], None);
            if ready.is_err_and(|errno| errno != rustix::io::Errno::INTR) {
                return;
            }
            logger.flush();
        }
    });
    if let Err(error) = spawned {
        tracing::warn!(%error, "the kernel side's log has no reader: no thread for it");
    }
}
