//! What goes on while a command waits: a line that changes on a terminal, plain lines otherwise. On
//! standard error, so that standard output has the result alone.

use indicatif::{ProgressBar, ProgressStyle};
use std::io::{IsTerminal, stderr};
use std::time::{Duration, Instant};

/// Between two plain lines of a wait.
const PLAIN_EVERY: Duration = Duration::from_secs(30);

/// A wait of a known length.
#[derive(Debug)]
pub(super) struct Wait {
    bar: Option<ProgressBar>,
    what: String,
    length: Duration,
    began: Instant,
    said: Option<Instant>,
}

impl Wait {
    /// Begins to wait for `what`, at most so long.
    pub fn begin(what: &str, length: Duration) -> Self {
        let bar = stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(length.as_secs());
            // The template is a constant, which the unit test below tries.
            let style = ProgressStyle::with_template(TEMPLATE);
            bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self {
            bar,
            what: what.to_owned(),
            length,
            began: Instant::now(),
            said: None,
        }
    }

    /// How long it has been waited.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Whether all the time is over.
    pub fn is_over(&self) -> bool {
        self.elapsed() >= self.length
    }

    /// How it stands now.
    pub fn say(&mut self, now: &str) {
        let left = self.length.saturating_sub(self.elapsed()).as_secs();
        if let Some(bar) = &self.bar {
            bar.set_position(self.elapsed().as_secs().min(self.length.as_secs()));
            bar.set_message(format!("{}: {now}, {left} s left", self.what));
        } else if self.said.is_none_or(|said| said.elapsed() >= PLAIN_EVERY) {
            eprintln!("{}: {now}, {left} s left", self.what);
            self.said = Some(Instant::now());
        }
    }
}

impl Drop for Wait {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

const TEMPLATE: &str = "[{bar:24}] {wide_msg}";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template(TEMPLATE).is_ok());
    }
}
