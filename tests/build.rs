//! Takes the witness's object, which `witness` embeds.
#[path = "../xtask/embed.rs"]
mod embed;

fn main() {
    embed::embed("METAMCP_GUARD_WITNESS", "witness");
}
