//! The real thing: a dockerd of the suite's own, an image of the host's node with supergateway and
//! npx servers, a gateway that treats them as MetaMCP does, clients that leak their sessions, and one
//! that asks whether the gateway lives.
//!
//! All that is kept between runs (packages, image) is below `target/docker-suite`.

pub mod cli;
pub mod client;
pub mod container;
mod containerd;
pub mod daemon;
pub mod door;
pub mod gateway;
pub mod image;
pub mod java;
pub mod machine;
pub mod metamcp;
pub mod parent;
pub mod prober;
pub mod run;
pub mod spawners;
pub mod storm;
pub mod told;

pub use cli::Docker;
pub use container::Container;
pub use daemon::Daemon;
pub use parent::Parent;
pub use told::Told;
