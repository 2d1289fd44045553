//! Lets aya's maps carry our types: plain old data without padding, which bytemuck's derive has
//! checked.
#![expect(
    unsafe_code,
    reason = "aya::Pod is an unsafe trait; bytemuck::Pod is its proof"
)]

/// Implements `aya::Pod` for types that are `bytemuck::Pod`, and for no others.
macro_rules! pod {
    ($($t:ty),+ $(,)?) => {$(
        const _: fn() = || {
            fn proven<T: bytemuck::Pod>() {}
            proven::<$t>();
        };
        // SAFETY: `proven` compiles only for bytemuck::Pod: any bit pattern, no padding, no pointer.
        unsafe impl aya::Pod for $t {}
    )+};
}

pod!(
    crate::entry::ProcessEntry,
    crate::entry::TreeEntry,
    crate::life::Note,
    crate::limits::GateLimits,
    crate::limits::GateState,
    crate::limits::TargetCounters,
);
