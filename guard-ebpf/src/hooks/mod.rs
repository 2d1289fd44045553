//! The programs: each reads its context, calls, and returns.

mod cgroup;
mod control;
mod exec;
mod exit;
mod fork;
mod lsm;
