//! Takes the objects that `witness` and `bench` embed.
#[path = "../xtask/embed.rs"]
mod embed;

fn main() {
    embed::embed("METAMCP_GUARD_WITNESS", "witness");
    embed::embed("METAMCP_GUARD_EMPTY", "empty");
}
