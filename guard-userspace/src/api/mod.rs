//! What the agent answers over HTTP: on TCP for scrapers, on a Unix socket for the commands.
//!
//! Everything is drawn from snapshots. A request may ask the agent's loop for a new one; requests
//! that come together share it, and a loop that does not answer is not waited for.

pub mod act;
pub mod auth;
pub mod health;
pub mod listen;
pub mod logs;
pub mod router;
pub mod serve;
pub mod snapshot;

pub use act::{Asked, Orders, Unheard};
pub use auth::Door;
pub use router::router;
pub use snapshot::{Snapshot, Snapshots};
