//! The cells: not the whole product, but each way in which kernels differ that has mattered.

/// One machine.
#[derive(Debug)]
pub struct Cell {
    /// Its name on the command line and in the table.
    pub name: &'static str,
    /// Debian's kernel.
    pub kernel: &'static str,
    /// Its parameters.
    pub parameters: &'static str,
    /// Its `lsm=`; Debian's own list (bpf is in it) where there is none.
    pub lsm: Option<&'static str>,
    /// v1 controllers with the v2 hierarchy beside them.
    pub hybrid: bool,
    /// CPUs.
    pub cpus: u32,
    /// What it is for.
    pub why: &'static str,
}

/// `lsm=` as Ubuntu's LTS releases have it, as far as it matters: without bpf.
const NO_BPF: Option<&str> = Some("lockdown,yama");

const FULL: &str = "preempt=full";
const CONFIDENTIAL: &str = "lockdown=confidentiality";

/// What the others differ from: v2 alone, Debian's `lsm=`, two CPUs, nothing on the command line.
const USUAL: Cell = Cell {
    name: "",
    kernel: "",
    parameters: "",
    lsm: None,
    hybrid: false,
    cpus: 2,
    why: "",
};

/// All of them, the oldest kernel first.
pub const CELLS: &[Cell] = &[
    Cell {
        name: "6.1",
        kernel: "6.1",
        why: "the oldest kernel that the guard is for, as Debian 12 boots it",
        ..USUAL
    },
    Cell {
        name: "6.1-nolsm",
        kernel: "6.1",
        lsm: NO_BPF,
        why: "the same where BPF is no security module: fmod_ret on the oldest trampolines",
        ..USUAL
    },
    Cell {
        name: "6.1-full",
        kernel: "6.1",
        parameters: FULL,
        cpus: 4,
        why: "tasks preempt each other inside the programs, on four CPUs",
        ..USUAL
    },
    Cell {
        name: "6.1-hybrid",
        kernel: "6.1",
        hybrid: true,
        cpus: 1,
        why: "v1 controllers beside v2, as old hosts have them; one CPU",
        ..USUAL
    },
    Cell {
        name: "6.1-confidentiality",
        kernel: "6.1",
        parameters: CONFIDENTIAL,
        why: "tracefs hides its events and BPF may not read kernel memory",
        ..USUAL
    },
    Cell {
        name: "6.12",
        kernel: "6.12",
        why: "Debian 13's kernel, as it boots",
        ..USUAL
    },
    Cell {
        name: "6.12-nolsm",
        kernel: "6.12",
        lsm: NO_BPF,
        hybrid: true,
        why: "no BPF LSM, hybrid cgroups: what an upgraded Ubuntu looks like",
        ..USUAL
    },
    Cell {
        name: "6.12-full",
        kernel: "6.12",
        parameters: FULL,
        why: "full preemption on two CPUs: the worst case up to 6.17",
        ..USUAL
    },
    Cell {
        name: "6.12-full-nolsm",
        kernel: "6.12",
        parameters: FULL,
        lsm: NO_BPF,
        cpus: 4,
        why: "full preemption without BPF LSM: fmod_ret's worst case",
        ..USUAL
    },
    Cell {
        name: "6.12-one",
        kernel: "6.12",
        parameters: FULL,
        cpus: 1,
        why: "one CPU: whatever runs at once does so by preemption",
        ..USUAL
    },
    Cell {
        name: "6.12-confidentiality",
        kernel: "6.12",
        parameters: CONFIDENTIAL,
        why: "as on 6.1",
        ..USUAL
    },
    Cell {
        name: "6.18",
        kernel: "6.18",
        why: "the first with lazy preemption by default",
        ..USUAL
    },
    Cell {
        name: "6.18-full-nolsm",
        kernel: "6.18",
        parameters: FULL,
        lsm: NO_BPF,
        why: "full preemption without BPF LSM",
        ..USUAL
    },
    Cell {
        name: "7.3",
        kernel: "7.3",
        cpus: 4,
        why: "the newest that Debian has; no voluntary preemption any more",
        ..USUAL
    },
    Cell {
        name: "7.3-full-nolsm",
        kernel: "7.3",
        parameters: FULL,
        lsm: NO_BPF,
        why: "full preemption without BPF LSM, where fmod_ret lost most",
        ..USUAL
    },
    Cell {
        name: "7.3-confidentiality",
        kernel: "7.3",
        parameters: CONFIDENTIAL,
        why: "as on 6.1, where tp_btf programs are skipped most",
        ..USUAL
    },
];
