//! A table of figures: each the median of several rounds, with the lowest and highest beside it, and
//! its budget where it has one.

use serde_json::{Value, json};

/// What was measured of one thing.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Row {
    what: String,
    unit: &'static str,
    rounds: Vec<f64>,
    budget: Option<f64>,
    /// Why it misses its budget, where it does and that is known.
    why: Option<&'static str>,
}

impl Row {
    /// The median; 0 where nothing was measured.
    #[must_use]
    pub fn median(&self) -> f64 {
        let mut sorted = self.rounds.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.get(sorted.len() / 2).copied().unwrap_or_default()
    }

    /// Whether the median is within the budget; `None`: it has none.
    #[must_use]
    pub fn met(&self) -> Option<bool> {
        self.budget.map(|budget| self.median() <= budget)
    }

    /// Why it missed its budget.
    fn missed(&self) -> Option<&'static str> {
        self.why.filter(|_| self.met() == Some(false))
    }

    fn spread(&self) -> (f64, f64) {
        let low = self.rounds.iter().copied().fold(f64::INFINITY, f64::min);
        let high = self.rounds.iter().copied().fold(0.0, f64::max);
        (low, high)
    }

    fn verdict(&self) -> String {
        let Some(budget) = self.budget else {
            return String::new();
        };
        let word = if self.met() == Some(true) {
            "met"
        } else {
            "MISSED"
        };
        format!("budget {} {}: {word}", short(budget), self.unit)
    }
}

/// All rows, in the order in which they were first measured.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    rows: Vec<Row>,
    notes: Vec<String>,
}

impl Table {
    /// Takes one round's figure of `what`; `budget` in the same unit.
    pub fn add(&mut self, what: &str, unit: &'static str, value: f64, budget: Option<f64>) {
        match self.rows.iter_mut().find(|row| row.what == what) {
            Some(row) => row.rounds.push(value),
            None => self.rows.push(Row {
                what: what.to_owned(),
                unit,
                rounds: vec![value],
                budget,
                why: None,
            }),
        }
    }

    /// Says why `what` misses its budget; heard only where it does.
    pub fn because(&mut self, what: &str, why: &'static str) {
        if let Some(row) = self.rows.iter_mut().find(|row| row.what == what) {
            row.why = Some(why);
        }
    }

    /// Says something beside the figures, once.
    pub fn note(&mut self, text: String) {
        if !self.notes.contains(&text) {
            self.notes.push(text);
        }
    }

    /// The row of that name.
    #[must_use]
    pub fn row(&self, what: &str) -> Option<&Row> {
        self.rows.iter().find(|row| row.what == what)
    }

    /// As lines for people.
    #[must_use]
    pub fn lines(&self) -> Vec<String> {
        let widest = self.rows.iter().map(|row| row.what.chars().count()).max();
        let widest = widest.unwrap_or_default();
        let line = |row: &Row| {
            let (low, high) = row.spread();
            let value = format!("{} {}", short(row.median()), row.unit);
            let spread = format!("{} to {}", short(low), short(high));
            let line = format!(
                "{:widest$}  {value:>14}  {spread:<20}  {}",
                row.what,
                row.verdict()
            );
            line.trim_end().to_owned()
        };
        let why = |row: &Row| row.missed().map(|why| format!("  missed, because {why}"));
        let rows = self.rows.iter();
        rows.flat_map(|row| std::iter::once(line(row)).chain(why(row)))
            .chain(self.notes.iter().cloned())
            .collect()
    }

    /// For scripts.
    #[must_use]
    pub fn json(&self) -> Value {
        let row = |row: &Row| {
            json!({
                "what": row.what,
                "unit": row.unit,
                "median": row.median(),
                "rounds": row.rounds,
                "budget": row.budget,
                "met": row.met(),
                "why": row.missed(),
            })
        };
        json!({
            "rows": self.rows.iter().map(row).collect::<Vec<_>>(),
            "notes": self.notes,
        })
    }
}

/// Three digits are as many as a machine that others use tells.
fn short(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_median_of_its_rounds() {
        let mut table = Table::default();
        for value in [3.0, 100.4, 1.0] {
            table.add("exec", "µs", value, Some(2.5));
        }
        table.add("other", "ns", 12.345, None);
        let row = table.row("exec").unwrap();
        assert_eq!((row.median(), row.met()), (3.0, Some(false)));
        assert_eq!(
            table.lines(),
            [
                "exec          3.00 µs  1.00 to 100           budget 2.50 µs: MISSED",
                "other         12.3 ns  12.3 to 12.3",
            ]
        );
        assert_eq!(table.json()["rows"][0]["met"], false);
        assert_eq!(table.row("none"), None);
        assert_eq!(Row::default().median(), 0.0);
    }

    #[test]
    fn a_reason_is_said_where_a_budget_is_missed() {
        let said = |budget| {
            let mut table = Table::default();
            table.add("exec", "µs", 3.0, Some(budget));
            table.because("exec", "it is slow");
            table.because("nothing", "it is not there");
            table.note("a note".to_owned());
            table.note("a note".to_owned());
            table.lines().split_off(1)
        };
        assert_eq!(said(2.5), ["  missed, because it is slow", "a note"]);
        assert_eq!(said(3.5), ["a note"]);
    }
}
