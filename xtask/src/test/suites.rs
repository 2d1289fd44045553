//! The suites, in the order in which they run: the quickest verdict first.

use std::time::Duration;

/// One suite of `cargo xtask test`.
pub struct Suite {
    /// Its name on the command line and in the verdict.
    pub name: &'static str,
    /// What it shows.
    pub about: &'static str,
    /// How it runs.
    pub kind: Kind,
}

/// How a suite runs.
pub enum Kind {
    /// `cargo xtask lint`.
    Lint,
    /// `cargo xtask tidy`.
    Tidy,
    /// Unit, property and documentation tests of all host crates.
    Host,
    /// A test binary of `guard-tests`.
    Binary(Binary),
}

/// A test binary of `guard-tests`, and where it runs.
pub struct Binary {
    /// `tests/tests/NAME.rs`.
    pub test: &'static str,
    /// Programs that it needs beside the toolchain, each with its Debian package.
    pub programs: &'static [(&'static str, &'static str)],
    /// Variables of its environment.
    pub environment: &'static [(&'static str, &'static str)],
    /// Runs in a virtual machine instead of here.
    pub machine: Option<Machine>,
    /// Given up after that.
    pub timeout: Duration,
}

/// A virtual machine for a suite.
pub struct Machine {
    /// Debian's kernel.
    pub kernel: &'static str,
    /// Its `lsm=`; Debian's own list where there is none.
    pub lsm: Option<&'static str>,
    /// With what dockerd needs, and an image for it.
    pub docker: bool,
    /// Its first process is a real systemd.
    pub systemd: bool,
}

/// The suites that run where none is named.
pub const SUITES: &[Suite] = &[
    Suite {
        name: "lint",
        about: "format, clippy on both sides of the kernel boundary, rustdoc, licences",
        kind: Kind::Lint,
    },
    Suite {
        name: "tidy",
        about: "the rules that no compiler holds: who uses whom, what stays pure",
        kind: Kind::Tidy,
    },
    Suite {
        name: "host",
        about: "unit, property and documentation tests",
        kind: Kind::Host,
    },
    Suite {
        name: "kernel",
        about: "counting and gate on this machine's kernel",
        kind: Kind::Binary(Binary {
            programs: STRESS,
            environment: &[("GUARD_EXPECT_MODE", "deny")],
            ..KERNEL
        }),
    },
    Suite {
        name: "vm-6.12-lsm",
        about: "the same on Debian's 6.12, where BPF may refuse a fork",
        kind: Kind::Binary(Binary {
            environment: &[
                ("GUARD_EXPECT_MODE", "lsm"),
                (
                    "GUARD_TRIALS",
                    "counting,refusing,storming,lasting-brief,silencing",
                ),
                ("GUARD_STORMS", "5"),
                ("GUARD_KILLS", "3"),
            ],
            machine: Some(Machine {
                kernel: "6.12",
                lsm: None,
                docker: false,
                systemd: false,
            }),
            timeout: EMULATED,
            ..KERNEL
        }),
    },
    Suite {
        name: "vm-6.12-nolsm",
        about: "in brief booted without bpf in lsm=: its programs load, attach and never run; others refuse",
        kind: Kind::Binary(Binary {
            environment: &[
                ("GUARD_EXPECT_MODE", "fmod_ret"),
                ("GUARD_TRIALS", "refusing-brief,denying-brief,silencing"),
            ],
            machine: Some(Machine {
                kernel: "6.12",
                lsm: Some("lockdown,yama"),
                docker: false,
                systemd: false,
            }),
            timeout: EMULATED,
            ..KERNEL
        }),
    },
    Suite {
        name: "vm-6.1-lsm",
        about: "in brief on Debian's 6.1, the oldest kernel that the guard is for",
        kind: Kind::Binary(Binary {
            environment: &[
                ("GUARD_EXPECT_MODE", "lsm"),
                ("GUARD_TRIALS", "counting-brief,refusing-brief"),
            ],
            machine: Some(Machine {
                kernel: "6.1",
                lsm: None,
                docker: false,
                systemd: false,
            }),
            timeout: EMULATED,
            ..KERNEL
        }),
    },
    Suite {
        name: "deny",
        about: "execs denied through fanotify, and nobody left waiting, whatever becomes of the agent",
        kind: Kind::Binary(Binary {
            test: "deny",
            programs: &[
                ("node", "nodejs"),
                ("python3", "python3"),
                ("unshare", "util-linux"),
            ],
            environment: &[],
            machine: None,
            timeout: Duration::from_secs(3 * 60),
        }),
    },
    Suite {
        name: "cli",
        about: "the command line and the running agent, as an operator meets them",
        kind: Kind::Binary(Binary {
            test: "cli",
            programs: &[
                ("jq", "jq"),
                ("promtool", "prometheus"),
                ("docker-compose", "docker-compose"),
            ],
            environment: &[("GUARD_EXPECT_MODE", "deny")],
            machine: None,
            timeout: Duration::from_secs(10 * 60),
        }),
    },
    Suite {
        name: "demo",
        about: "what a newcomer sees first",
        kind: Kind::Binary(Binary {
            test: "demo",
            programs: &[],
            environment: &[("GUARD_EXPECT_MODE", "deny")],
            machine: None,
            timeout: Duration::from_secs(5 * 60),
        }),
    },
    Suite {
        name: "docker",
        about: "real containers followed, counted and held; sessions that leak, as through MetaMCP",
        kind: Kind::Binary(Binary {
            test: "docker",
            programs: DOCKER,
            environment: &[("GUARD_EXPECT_MODE", "deny")],
            machine: None,
            timeout: Duration::from_secs(25 * 60),
        }),
    },
    Suite {
        name: "vm-docker-6.12-lsm",
        about: "a container's leaked sessions on Debian's 6.12, where BPF may refuse a fork",
        kind: Kind::Binary(Binary {
            environment: &[
                ("GUARD_EXPECT_MODE", "lsm"),
                ("GUARD_EXPECT_ERRNO", "EAGAIN"),
            ],
            machine: Some(Machine {
                kernel: "6.12",
                lsm: None,
                docker: true,
                systemd: false,
            }),
            ..DOCKER_IN_MACHINE
        }),
    },
    Suite {
        name: "vm-docker-6.12-nolsm",
        about: "the same booted without bpf in lsm=: execs are denied, with the errno that 6.12 has",
        kind: Kind::Binary(Binary {
            environment: &[
                ("GUARD_EXPECT_MODE", "deny"),
                ("GUARD_EXPECT_ERRNO", "EPERM"),
            ],
            machine: Some(Machine {
                kernel: "6.12",
                lsm: Some("lockdown,yama"),
                docker: true,
                systemd: false,
            }),
            ..DOCKER_IN_MACHINE
        }),
    },
];

/// Suites that run by their name alone: what they show takes too long for each change.
pub const BY_NAME: &[Suite] = &[
    Suite {
        name: "docker-long",
        about: "healthy boots of 3 to 20 npx servers, cold and warm, on one CPU and all; five sessions of ten",
        kind: Kind::Binary(Binary {
            test: "docker",
            programs: DOCKER,
            environment: &[("GUARD_EXPECT_MODE", "deny"), ("GUARD_LONG", "1")],
            machine: None,
            timeout: Duration::from_secs(40 * 60),
        }),
    },
    Suite {
        name: "docker-idle",
        about: "five live sessions of ten servers, most of them idle for half an hour, lose nothing",
        kind: Kind::Binary(Binary {
            test: "docker",
            programs: DOCKER,
            environment: &[("GUARD_EXPECT_MODE", "deny"), ("GUARD_LONG", "idle")],
            machine: None,
            timeout: Duration::from_secs(40 * 60),
        }),
    },
    Suite {
        name: "vm-6.1-nolsm",
        about: "in brief on Debian's 6.1 booted without bpf in lsm=",
        kind: Kind::Binary(Binary {
            environment: &[
                ("GUARD_EXPECT_MODE", "fmod_ret"),
                ("GUARD_TRIALS", "refusing-brief,denying-brief"),
            ],
            machine: Some(Machine {
                kernel: "6.1",
                lsm: Some("lockdown,yama"),
                docker: false,
                systemd: false,
            }),
            timeout: EMULATED,
            ..KERNEL
        }),
    },
    Suite {
        name: "vm-6.12-nolsm-all",
        about: "all of vm-6.12-nolsm, which CI runs in brief",
        kind: Kind::Binary(Binary {
            environment: &[
                ("GUARD_EXPECT_MODE", "fmod_ret"),
                ("GUARD_TRIALS", "refusing,denying,silencing"),
            ],
            machine: Some(Machine {
                kernel: "6.12",
                lsm: Some("lockdown,yama"),
                docker: false,
                systemd: false,
            }),
            timeout: EMULATED,
            ..KERNEL
        }),
    },
    Suite {
        name: "vm-6.12-clock",
        about: "a clock that is set, pids and memory that run out, a sleep: what only a virtual machine is put through",
        kind: Kind::Binary(Binary {
            environment: &[("GUARD_EXPECT_MODE", "lsm"), ("GUARD_TRIALS", "machine")],
            machine: Some(Machine {
                kernel: "6.12",
                lsm: None,
                docker: false,
                systemd: false,
            }),
            timeout: EMULATED,
            ..KERNEL
        }),
    },
    Suite {
        name: SYSTEMD,
        about: "Docker with the systemd cgroup driver under a real systemd, on Debian's 6.12",
        kind: Kind::Binary(Binary {
            environment: &[
                ("GUARD_EXPECT_MODE", "lsm"),
                ("GUARD_EXPECT_ERRNO", "EAGAIN"),
                ("GUARD_CGROUP_DRIVER", "systemd"),
            ],
            machine: Some(Machine {
                kernel: "6.12",
                lsm: None,
                docker: true,
                systemd: true,
            }),
            ..DOCKER_IN_MACHINE
        }),
    },
    Suite {
        name: "storms",
        about: "1,000 storms against small caps, none of which is passed; GUARD_STORMS=N and GUARD_SEED=N are heard",
        kind: Kind::Binary(Binary {
            programs: STRESS,
            environment: &[
                ("GUARD_EXPECT_MODE", "deny"),
                ("GUARD_TRIALS", "storming"),
                ("GUARD_STORMS", "1000"),
            ],
            timeout: Duration::from_secs(40 * 60),
            ..KERNEL
        }),
    },
];

/// Docker where systemd makes its cgroups.
pub const SYSTEMD: &str = "vm-docker-systemd";

/// Other people's storms.
const STRESS: &[(&str, &str)] = &[("stress-ng", "stress-ng")];

/// The docker tests that are for other kernels too, wherever they run. npm fetches what is in the image.
const DOCKER_IN_MACHINE: Binary = Binary {
    test: "docker",
    programs: &[
        ("dockerd", "docker.io"),
        ("docker", "docker.io"),
        ("docker-init", "docker.io"),
        ("containerd", "containerd"),
        ("runc", "runc"),
        ("npm", "npm"),
    ],
    environment: &[],
    machine: None,
    timeout: Duration::from_secs(10 * 60),
};

/// dockerd with its runtime, and what fetches the contents of its image.
const DOCKER: &[(&str, &str)] = &[
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("containerd", "containerd"),
    ("runc", "runc"),
    ("npm", "npm"),
    ("s6-svscan", "s6"),
    ("python3", "python3"),
    ("java", "default-jre-headless"),
    ("docker-compose", "docker-compose"),
];

/// `tests/tests/kernel.rs`.
pub const KERNEL_TEST: &str = "kernel";

/// The kernel tests, wherever they run.
const KERNEL: Binary = Binary {
    test: KERNEL_TEST,
    programs: &[],
    environment: &[],
    machine: None,
    timeout: Duration::from_secs(5 * 60),
};

/// A machine without KVM is ten times slower, and slower still beside others.
const EMULATED: Duration = Duration::from_secs(20 * 60);

/// The suite of that name.
pub fn find(name: &str) -> Option<&'static Suite> {
    SUITES
        .iter()
        .chain(BY_NAME)
        .find(|suite| suite.name == name)
}
