//! Takes the kernel side's object, which `kernel` embeds.
#[path = "../xtask/embed.rs"]
mod embed;

fn main() {
    embed::embed("METAMCP_GUARD_BPF", "guard-ebpf");
}
