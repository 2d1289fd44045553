//! The programs: each reads its context, calls, and returns.

mod cgroup;
mod control;
mod exec;
mod exit;
mod fmod_ret;
mod fork;
mod lsm;
mod typed;
