//! The gate before the fork, by BPF LSM: security_task_alloc refuses with EAGAIN before memory is
//! copied. Exact on 6.1, 6.12 and 7.3, also under full preemption (kernel-facts §2, §5).

use crate::alloc;
use aya_ebpf::macros::lsm;
use aya_ebpf::programs::LsmContext;
use guard_common::GateMode;

#[lsm(hook = "task_alloc")]
fn task_alloc(ctx: LsmContext) -> i32 {
    let earlier: i32 = ctx.arg(2);
    if earlier != 0 {
        return earlier;
    }
    if alloc::admits(ctx.arg(0), ctx.arg(1), GateMode::Lsm) {
        0
    } else {
        -alloc::EAGAIN
    }
}

#[lsm(hook = "task_free")]
fn task_free(ctx: LsmContext) -> i32 {
    alloc::freed(ctx.arg(0));
    0
}
