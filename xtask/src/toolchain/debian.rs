//! Debian's `rustc-web`: the one packaged compiler with a prebuilt `core` for BPF, so that a
//! machine with nothing but a Debian mirror and a crate registry builds the kernel side.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::{apt, step, workspace};

/// The compiler, its BPF `core`, and what `bpf-linker` links against.
pub const PACKAGES: [&str; 4] = [
    "rustc-web",
    "libstd-rust-web-dev-bpf",
    "llvm-22-dev",
    "libpolly-22-dev",
];

const RUSTC: &str = "/usr/bin/rustc";
const LLVM: &str = "/usr/lib/llvm-22";
/// The linker must have the LLVM that wrote the bitcode: 0.13.0 knows 22.
const LINKER_VERSION: &str = "0.13.0";

/// The linker, if the compiler and it are here.
pub fn present() -> Option<PathBuf> {
    let linker = linker();
    (has_core() && step::succeeds(Command::new(&linker).arg("--version"))).then_some(linker)
}

/// Installs what is missing, and says so first.
pub fn install() -> Result<PathBuf> {
    if !has_core() || !Path::new(LLVM).join("include").is_dir() {
        apt::ensure(
            &PACKAGES,
            "compiling the kernel side (Rust for BPF, and LLVM for its linker)",
        )?;
    }
    if !has_core() {
        bail!(
            "{RUSTC} has no `core` for {}: is another rustc in its place?",
            super::TARGET
        );
    }
    apt::ensure_programs(
        &[("g++", "g++")],
        "linking bpf-linker against LLVM, which is C++",
    )?;
    if !step::succeeds(Command::new(linker()).arg("--version")) {
        install_linker()?;
    }
    Ok(linker())
}

fn install_linker() -> Result<()> {
    step::say(&format!(
        "installing bpf-linker {LINKER_VERSION} by cargo into {} (it links the kernel side; about 90 s on 2 CPUs)",
        workspace::tools().display()
    ));
    let mut install = workspace::cargo();
    install
        .args([
            "install",
            "bpf-linker",
            "--version",
            LINKER_VERSION,
            "--locked",
        ])
        .args(["--no-default-features", "--features", "llvm-22", "--root"])
        .arg(workspace::tools())
        .arg("--target-dir")
        .arg(workspace::target().join("tools-build"))
        .env("LLVM_PREFIX", LLVM)
        .env("LLVM_SYS_221_PREFIX", LLVM)
        .env_remove("RUSTFLAGS")
        .env_remove("CARGO_BUILD_TARGET");
    step::quietly("cargo install bpf-linker", &mut install)
        .with_context(|| format!("bpf-linker {LINKER_VERSION} cannot be installed"))?;
    // 200 MB that nobody reads again.
    let _ = std::fs::remove_dir_all(workspace::target().join("tools-build"));
    Ok(())
}

/// Makes sure of the clippy that belongs to this compiler: rustup's cannot read its `core`.
pub fn install_clippy() -> Result<()> {
    apt::ensure(&["rust-web-clippy"], "clippy on the kernel side")
}

/// `cargo VERB` with Debian's compiler; it is a stable one that must accept what the BPF target
/// needs.
pub fn cargo(verb: &str) -> Command {
    let mut command = match verb {
        "clippy" => {
            let mut clippy = Command::new("/usr/bin/cargo-clippy");
            clippy.env("CARGO", workspace::cargo().get_program());
            clippy
        }
        _ => workspace::cargo(),
    };
    command
        .arg(verb)
        .env("RUSTC", RUSTC)
        .env("RUSTC_BOOTSTRAP", "1");
    command
}

fn linker() -> PathBuf {
    workspace::tools().join("bin/bpf-linker")
}

/// Whether Debian's compiler is here with `core` for BPF.
fn has_core() -> bool {
    let Ok(output) = Command::new(RUSTC)
        .args(["--print", "target-libdir", "--target", super::TARGET])
        .output()
    else {
        return false;
    };
    let folder = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    std::fs::read_dir(folder).is_ok_and(|entries| {
        entries
            .flatten()
            .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"))
    })
}
