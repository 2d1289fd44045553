//! Random numbers that are the same for the same seed, for simulations. Tests alone have them.

/// A generator: splitmix64.
#[derive(Clone, Debug)]
pub struct Dice(u64);

impl Dice {
    /// Of this seed.
    pub const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Any number.
    pub const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `end`, which is not 0.
    pub const fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// From `first` to `last`.
    pub const fn within(&mut self, first: u64, last: u64) -> u64 {
        first + self.below(last - first + 1)
    }

    /// True once in so many.
    pub const fn once_in(&mut self, many: u64) -> bool {
        self.below(many) == 0
    }

    /// Waits of this mean, as between things that happen by chance.
    pub fn wait(&mut self, mean: u64) -> u64 {
        let uniform = (self.below(1 << 20) + 1) as f64 / (1u64 << 20) as f64;
        (-uniform.ln() * mean as f64) as u64
    }
}
