//! A container, as Docker tells of it.

use super::Found;
use std::collections::BTreeMap;

/// A container, as far as Docker has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Container {
    /// 64 hexadecimal digits.
    pub id: String,
    /// Without Docker's leading slash.
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Whether it runs.
    pub standing: Standing,
}

/// A container in Docker's list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// What the list tells: not how it runs.
    pub container: Container,
    /// Whether the list says that it runs.
    pub running: bool,
}

/// Whether a container runs, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It does not run; how it ended, in words, where that is known.
    Stopped(Option<String>),
    /// It runs.
    Running(Found),
    /// It runs and cannot be guarded.
    Refused(String),
}
