//! What is PID 1 of the container, and what stands between it and the gateway.

/// Where the gateway's files are in the container.
pub const PLACE: &str = "/opt/metamcp";

/// How a container comes to its gateway. None of them needs to be told to the guard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// MetaMCP's own: a shell with a trap, the gateway, and `pnpm start` with the frontend.
    Entrypoint,
    /// `docker run --init`.
    Init,
    /// `npm start`.
    NpmStart,
    /// s6-svscan, which keeps s6-supervise, which keeps the gateway.
    S6,
    /// supervisord, which keeps the gateway.
    Supervisord,
    /// The gateway itself is PID 1, and reaps nobody's orphans.
    Direct,
}

/// A server with a habit.
const ODD: &str = include_str!("../../../gateways/odd.py");

/// Each file below [`PLACE`], with its text.
pub(super) const FILES: [(&str, &str); 11] = [
    ("metamcp.js", include_str!("../../../gateways/metamcp.js")),
    ("browser.js", include_str!("../../../gateways/browser.js")),
    // By its path it is a family of its own.
    ("lazy.py", ODD),
    ("heaps.py", ODD),
    ("deaf.py", ODD),
    (
        "supervisord.conf",
        "[supervisord]\nnodaemon=true\nuser=root\nlogfile=/dev/null\nlogfile_maxbytes=0\npidfile=/tmp/supervisord.pid\n[program:gateway]\ncommand=node /opt/metamcp/metamcp.js\nstdout_logfile=/dev/fd/1\nstdout_logfile_maxbytes=0\n",
    ),
    (
        "entrypoint.sh",
        include_str!("../../../gateways/entrypoint.sh"),
    ),
    (
        "package.json",
        r#"{"name": "gateway", "scripts": {"start": "node metamcp.js"}}"#,
    ),
    (
        "frontend/frontend.js",
        include_str!("../../../gateways/frontend.js"),
    ),
    (
        "frontend/package.json",
        r#"{"name": "frontend", "scripts": {"start": "node frontend.js"}}"#,
    ),
    (
        "services/gateway/run",
        "#!/bin/sh\nexec node /opt/metamcp/metamcp.js\n",
    ),
];

impl Layout {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Entrypoint,
        Self::Init,
        Self::NpmStart,
        Self::S6,
        Self::Supervisord,
        Self::Direct,
    ];

    /// Processes that are there before any server: what leads to the gateway, the gateway, and what
    /// stands beside it.
    #[must_use]
    pub fn processes(self) -> u64 {
        match self {
            // sh, the gateway; pnpm, its shell, the frontend.
            Self::Entrypoint => 5,
            // docker-init, the gateway.
            Self::Init => 2,
            // npm, its shell, the gateway.
            Self::NpmStart => 3,
            // s6-svscan, s6-supervise, the gateway.
            Self::S6 => 3,
            // supervisord, the gateway.
            Self::Supervisord => 2,
            Self::Direct => 1,
        }
    }

    /// Options of `docker run`.
    pub(super) fn options(self) -> &'static [&'static str] {
        match self {
            Self::Init => &["--init", "-w", PLACE],
            _ => &["-w", PLACE],
        }
    }

    /// What the container runs.
    pub(super) fn command(self) -> &'static [&'static str] {
        match self {
            Self::Entrypoint => &["sh", "entrypoint.sh"],
            Self::Init | Self::Direct => &["node", "metamcp.js"],
            Self::NpmStart => &["npm", "start"],
            Self::S6 => &["s6-svscan", "/opt/metamcp/services"],
            Self::Supervisord => &["supervisord", "-c", "/opt/metamcp/supervisord.conf"],
        }
    }
}
