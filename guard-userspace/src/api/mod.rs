//! What the agent answers over HTTP: on TCP for scrapers, on a Unix socket for the commands.
//!
//! Everything is drawn from the last snapshot; no request reaches into the agent's loop, so that no
//! request can hold it up.

pub mod health;
pub mod listen;
pub mod router;
pub mod serve;
pub mod snapshot;

pub use router::router;
pub use snapshot::{Snapshot, Snapshots};
