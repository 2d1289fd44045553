//! The line per second of the demo.

/// Columns of the bar.
const BAR: u64 = 40;

const RED: &str = "\x1b[31m";
const GREEN: &str = "\x1b[32m";
const BLUE: &str = "\x1b[34m";
const BOLD: &str = "\x1b[1m";
const PLAIN: &str = "\x1b[0m";

/// One second of the storm.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Second {
    /// Seconds since the storm began.
    pub at: u64,
    /// Processes alive at its end.
    pub live: u64,
    /// Their threads.
    pub tasks: u64,
    /// Forks that made a process.
    pub spawns: u64,
    /// Forks over the limit: let through when only watching, else stopped.
    pub over: u64,
}

/// How lines are drawn.
#[derive(Clone, Copy, Debug)]
pub struct Screen {
    /// The limit, marked in the bar.
    pub cap: u64,
    /// What a full bar stands for.
    pub full: u64,
    /// Whether the gate is at work; else it only says what it would do.
    pub gated: bool,
    /// Whether colours may be used.
    pub colour: bool,
}

impl Screen {
    /// A title.
    #[must_use]
    pub fn title(&self, text: &str) -> String {
        self.paint(BOLD, text)
    }

    /// The names of the columns.
    #[must_use]
    pub fn heading(&self) -> String {
        let over = if self.gated { "stopped" } else { "would stop" };
        let bar = usize::try_from(BAR + 1).unwrap_or(0);
        format!("  time   processes  {:bar$}   threads  spawns  {over}", "")
    }

    /// One second.
    #[must_use]
    pub fn line(&self, second: &Second) -> String {
        let Second {
            at,
            live,
            tasks,
            spawns,
            over,
        } = *second;
        let width = if self.gated { 7 } else { 10 };
        let colour = if self.gated { GREEN } else { RED };
        let over = match over {
            0 => format!("{:>width$}", "-"),
            n => self.paint(colour, &format!("{n:>width$}")),
        };
        let bar = self.bar(live);
        format!("  {at:>2} s  {live:>10}  {bar}   {tasks:>7}  {spawns:>6}  {over}")
    }

    /// Blue up to the limit, red beyond it, and the limit itself as a line.
    fn bar(&self, live: u64) -> String {
        let columns = |n: u64| n.saturating_mul(BAR).div_ceil(self.full.max(1)).min(BAR);
        let (filled, limit) = (columns(live), columns(self.cap));
        let stretch = |from: u64, to: u64, of: &str| {
            of.repeat(usize::try_from(to.saturating_sub(from)).unwrap_or(0))
        };
        let within = stretch(0, filled.min(limit), "█");
        let beyond = stretch(limit, filled, "█");
        let empty = if filled < limit {
            format!(
                "{}┊{}",
                stretch(filled, limit, " "),
                stretch(limit, BAR, " ")
            )
        } else {
            stretch(filled, BAR, " ")
        };
        let mark = if filled < limit { "" } else { "┊" };
        format!(
            "{}{mark}{}{empty}",
            self.paint(BLUE, &within),
            self.paint(RED, &beyond)
        )
    }

    fn paint(&self, colour: &str, text: &str) -> String {
        if self.colour && !text.is_empty() {
            format!("{colour}{text}{PLAIN}")
        } else {
            text.to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SCREEN: Screen = Screen {
        cap: 10,
        full: 40,
        gated: true,
        colour: false,
    };

    #[test]
    fn bars_are_of_one_width_and_show_the_limit() {
        for live in [0, 1, 9, 10, 11, 39, 40, 41, 5_000, u64::MAX] {
            let bar = SCREEN.bar(live);
            assert_eq!(bar.chars().count() as u64, BAR + 1, "{live}: {bar:?}");
            assert_eq!(bar.chars().nth(10), Some('┊'), "{live}: {bar:?}");
        }
    }

    #[test]
    fn columns_stand_below_their_names() {
        let heading = SCREEN.heading();
        let line = SCREEN.line(&Second {
            at: 3,
            live: 12,
            tasks: 120,
            spawns: 9,
            over: 4,
        });
        assert_eq!(
            heading.chars().count(),
            line.chars().count(),
            "\n{heading}\n{line}"
        );
    }
}
