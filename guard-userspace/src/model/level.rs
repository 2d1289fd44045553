//! How bad it is.

/// A target's level, worst last.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// All is well.
    #[default]
    Normal,
    /// Logged and told.
    Warning,
    /// Calls for a cleanup.
    Critical,
    /// Calls for ending what can be ended.
    Emergency,
    /// Calls for a restart.
    Nuclear,
}

impl Level {
    /// All levels, in order.
    pub const ALL: [Self; 5] = [
        Self::Normal,
        Self::Warning,
        Self::Critical,
        Self::Emergency,
        Self::Nuclear,
    ];

    /// The level's name in log, metrics and config.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Normal => "normal",
            Self::Warning => "warning",
            Self::Critical => "critical",
            Self::Emergency => "emergency",
            Self::Nuclear => "nuclear",
        }
    }
}
