//! What compiles the kernel side: found where it is, else installed, else asked for.
//!
//! Three ways, in this order:
//! 1. rustup's nightly with `rust-src`, and `bpf-linker` in PATH ([`rustup`]);
//! 2. Debian's `rustc-web`, which has a prebuilt `core` for BPF, with LLVM 22 ([`debian`]);
//! 3. a ready object, by `--bpf-object FILE` or `METAMCP_GUARD_BPF_OBJECT` (`bpf.rs` sees to it).

mod debian;
mod rustup;

use std::path::PathBuf;
use std::process::Command;

use anyhow::{Result, bail};

/// The triple of the kernel side.
pub const TARGET: &str = "bpfel-unknown-none";

/// A compiler for BPF that is ready to use.
pub enum Toolchain {
    /// rustup's nightly, which builds `core` itself.
    Rustup { linker: PathBuf },
    /// Debian's compiler with its prebuilt `core`.
    Debian { linker: PathBuf },
}

impl Toolchain {
    /// The toolchain that is here already; nothing is installed.
    pub fn present() -> Option<Self> {
        rustup::present()
            .map(|linker| Self::Rustup { linker })
            .or_else(|| debian::present().map(|linker| Self::Debian { linker }))
    }

    /// The toolchain that is here, or Debian's, installed now.
    ///
    /// # Errors
    /// None is here and none can be installed: the message lists the three ways.
    pub fn ensure() -> Result<Self> {
        if let Some(here) = Self::present() {
            return Ok(here);
        }
        match debian::install() {
            Ok(linker) => Ok(Self::Debian { linker }),
            Err(why) => bail!(
                "no toolchain for BPF: {why:#}\n\
                 Any one of these will do:\n  \
                 - rustup: `rustup toolchain install nightly --component rust-src` and \
                   `cargo install bpf-linker`\n  \
                 - Debian, as root: `apt-get install {}`, then this command again\n  \
                 - an object built elsewhere: `--bpf-object FILE`",
                debian::PACKAGES.join(" ")
            ),
        }
    }

    /// A cargo command line for `guard-ebpf`: `verb` is `build` or `clippy`.
    pub fn cargo(&self, verb: &str) -> Command {
        let mut command = match self {
            Self::Rustup { .. } => rustup::cargo(verb),
            Self::Debian { .. } => debian::cargo(verb),
        };
        let (Self::Rustup { linker } | Self::Debian { linker }) = self;
        command
            .current_dir(crate::workspace::root())
            .env("RUSTFLAGS", flags(linker))
            // These would reach the BPF compiler and mean the host's.
            .env_remove("CARGO_ENCODED_RUSTFLAGS")
            .env_remove("RUSTC_WRAPPER")
            .env_remove("CARGO_BUILD_TARGET")
            .args([
                "--release",
                "--package",
                "guard-ebpf",
                "--target",
                TARGET,
                "--target-dir",
            ])
            .arg(crate::workspace::target().join("bpf-build"));
        command
    }

    /// Clippy over the kernel side, with warnings as errors.
    pub fn clippy(&self) -> Result<()> {
        if let Self::Debian { .. } = self {
            debian::install_clippy()?;
        }
        let mut command = self.cargo("clippy");
        crate::step::run(command.args(["--quiet", "--", "-D", "warnings"]))
    }

    /// What it is, for people.
    pub fn describe(&self) -> String {
        match self {
            Self::Rustup { linker } => {
                format!(
                    "rustup's nightly with rust-src, linker {}",
                    linker.display()
                )
            }
            Self::Debian { linker } => {
                format!(
                    "Debian's rustc-web with LLVM 22, linker {}",
                    linker.display()
                )
            }
        }
    }
}

/// BTF comes from debug information; v3 has the atomic instructions with results and 32-bit jumps.
fn flags(linker: &std::path::Path) -> String {
    format!(
        "--cfg bpf_target_arch=\"{}\" -C debuginfo=2 -C link-arg=--btf -C target-cpu=v3 -C linker={}",
        std::env::consts::ARCH,
        linker.display()
    )
}
