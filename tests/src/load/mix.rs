//! A storm of many ways at once: threads that fork, clone, spawn and make threads, in an order that a
//! number decides.

use std::ffi::CStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use super::Tally;
use crate::raw::{self, Clone3};

/// Numbers that look as if drawn by chance, and are the same for the same seed (splitmix64).
#[derive(Clone, Copy, Debug)]
pub struct Chance(pub u64);

impl Chance {
    /// The next one, below `limit`.
    pub const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % limit
    }
}

/// How long what is made stays, at most.
const STAYS_MS: u64 = 20;

/// The words of the program that stays so long.
const STAY: [&CStr; 3] = [c"storm", c"stay", c"10"];

/// `n` processes or threads in all, by `parallel` threads, each made in a way that `seed` decides.
///
/// # Errors
/// This program cannot be found.
pub fn mix(tally: Tally, n: u64, parallel: u64, seed: u64) -> io::Result<()> {
    let path = std::env::current_exe()?;
    let program = File::open(&path)?;
    let parallel = parallel.clamp(1, 16);
    thread::scope(|scope| {
        for worker in 0..parallel {
            let (program, path) = (&program, &path);
            scope.spawn(move || {
                let mut chance = Chance(seed.wrapping_add(worker << 32));
                let share = n / parallel + u64::from(worker < n % parallel);
                let mut made = Vec::new();
                for _ in 0..share {
                    tally.tries();
                    let stays = Duration::from_millis(chance.below(STAYS_MS));
                    let body = || {
                        thread::sleep(stays);
                        0
                    };
                    let executes = || tally.no_exec(&raw::execute(program.as_fd(), STAY));
                    let child = match chance.below(6) {
                        0 => raw::fork(body),
                        1 => raw::clone3(&Clone3::default(), body),
                        2 => raw::fork(executes),
                        3 => raw::clone3(&Clone3::default(), executes),
                        4 => {
                            let mut command = Command::new(path);
                            command.args(["stay", "10"]).stdin(Stdio::null());
                            super::exec::by_vfork(&mut command)
                        }
                        _ => {
                            let spawned = thread::Builder::new().spawn_scoped(scope, move || {
                                thread::sleep(stays);
                            });
                            tally.attempt(spawned);
                            continue;
                        }
                    };
                    made.extend(tally.attempt(child));
                    if chance.below(4) == 0 {
                        thread::sleep(Duration::from_micros(chance.below(2_000)));
                    }
                }
                made.into_iter().for_each(|child| tally.wait(child));
            });
        }
    });
    Ok(())
}
