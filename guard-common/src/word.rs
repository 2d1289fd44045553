//! One shared 64-bit word: the only way the gate's arithmetic touches memory.

/// A word that several CPUs change at once.
///
/// In BPF it is a word of a map value, on the host an [`core::sync::atomic::AtomicU64`]; the tests
/// also have one that lets others interfere between a load and its exchange.
pub trait Word {
    /// The word as it is now.
    fn load(&self) -> u64;

    /// Writes `new` where the word is still `old`; returns what was seen (`old`: it was written).
    fn compare_exchange(&self, old: u64, new: u64) -> u64;

    /// Adds `n`, wrapping; returns what was there before.
    fn fetch_add(&self, n: u64) -> u64;

    /// Takes `n` away, wrapping; returns what was there before.
    fn fetch_sub(&self, n: u64) -> u64 {
        self.fetch_add(n.wrapping_neg())
    }
}

impl<W: Word> Word for &W {
    #[inline(always)]
    fn load(&self) -> u64 {
        (**self).load()
    }

    #[inline(always)]
    fn compare_exchange(&self, old: u64, new: u64) -> u64 {
        (**self).compare_exchange(old, new)
    }

    #[inline(always)]
    fn fetch_add(&self, n: u64) -> u64 {
        (**self).fetch_add(n)
    }
}

/// Times a lost compare-and-exchange is tried again before the answer is [`Taken::Contended`].
///
/// Each loss means that another CPU won. A fork takes 50 µs and more, an exchange some 30 ns: 128
/// CPUs that fork in one target at once keep its word busy for 8 % of the time, and 16 losses in a
/// row come once in 10^17 forks. There is a bound because the verifier wants one, and each turn
/// costs it: with 64 it walked 169,752 instructions of `task_newtask`, with 16 it walks 58,759
/// (6.18), which is the longest part of the agent's start.
pub const RETRIES: u32 = 16;

/// How an attempt to take something from a shared word ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taken {
    /// It is ours, and must be given back.
    Yes,
    /// There was not enough.
    Refused,
    /// [`RETRIES`] used up: refused as well, and counted.
    Contended,
}

/// Replaces the word by `next(word)` until that is taken, refused, or the retries are used up.
///
/// What `next` notes of its last call belongs to the exchange that was taken or refused.
#[inline(always)]
pub fn update<W: Word>(word: &W, mut next: impl FnMut(u64) -> Option<u64>) -> Taken {
    let mut seen = word.load();
    for _ in 0..RETRIES {
        let Some(new) = next(seen) else {
            return Taken::Refused;
        };
        let found = word.compare_exchange(seen, new);
        if found == seen {
            return Taken::Yes;
        }
        seen = found;
    }
    Taken::Contended
}

#[cfg(any(test, not(target_arch = "bpf")))]
impl Word for core::sync::atomic::AtomicU64 {
    fn load(&self) -> u64 {
        self.load(core::sync::atomic::Ordering::SeqCst)
    }

    fn compare_exchange(&self, old: u64, new: u64) -> u64 {
        use core::sync::atomic::Ordering::SeqCst;
        match self.compare_exchange(old, new, SeqCst, SeqCst) {
            Ok(seen) | Err(seen) => seen,
        }
    }

    fn fetch_add(&self, n: u64) -> u64 {
        self.fetch_add(n, core::sync::atomic::Ordering::SeqCst)
    }
}
