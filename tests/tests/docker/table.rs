//! The figures of the storms, side by side, and what other tests measured: printed when all is over,
//! so that each test's verdict stands on its own line.

use std::sync::{Mutex, PoisonError};

use guard_tests::docker::storm::Course;
use guard_tests::witness::Counts;

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());
static BOOTS: Mutex<Vec<String>> = Mutex::new(Vec::new());
static NOTES: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// One storm: a column of the table.
pub struct Row {
    pub what: &'static str,
    pub course: Course,
    pub counts: Counts,
    /// Processes, when all was over, that belong to no session that works.
    pub left_over: u64,
    pub memory: u64,
    pub alive: bool,
}

/// Keeps a row for [`print`].
pub fn add(row: Row) {
    ROWS.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(row);
}

/// Keeps one boot under the guard, a line of a table, for [`print`].
pub fn boot(line: String) {
    let mut boots = BOOTS.lock().unwrap_or_else(PoisonError::into_inner);
    boots.push(line);
}

/// Keeps a measured figure for [`print`].
pub fn note(figure: String) {
    let mut notes = NOTES.lock().unwrap_or_else(PoisonError::into_inner);
    notes.push(figure);
}

/// One line of the table: what, and how it is read from a storm.
type Line = (&'static str, fn(&Row) -> String);

const LINES: [Line; 11] = [
    ("clients that got their tools", |row| {
        row.course.served().to_string()
    }),
    ("… and still have them afterwards", |row| {
        row.course.kept.to_string()
    }),
    ("clients that got an error", |row| {
        row.course.failed().to_string()
    }),
    ("clients that got nothing within 20 s", |row| {
        row.course.hung().to_string()
    }),
    ("servers that died, and how", ended),
    ("processes at most", |row| {
        row.counts.running_peak.to_string()
    }),
    ("processes and tasks at the end", |row| {
        format!("{}, {}", row.counts.live, row.counts.tasks)
    }),
    ("… processes that serve nobody", |row| {
        row.left_over.to_string()
    }),
    ("memory at most", |row| format!("{} MB", row.memory >> 20)),
    ("gateway", |row| {
        if row.alive { "lives" } else { "died" }.to_owned()
    }),
    ("its health endpoint: answered, slowest", health),
];

fn ended(row: &Row) -> String {
    let kinds = row.course.ended.iter();
    let kinds: Vec<_> = kinds.map(|(how, n)| format!("{n} {how}")).collect();
    if kinds.is_empty() {
        return "none".to_owned();
    }
    kinds.join(", ")
}

fn health(row: &Row) -> String {
    let health = &row.course.health;
    let answered = health.latencies.len();
    let asked = answered + health.failures.len();
    format!("{answered} of {asked}, {:.0?}", health.percentile(100))
}

/// Prints all figures.
pub fn print() {
    for figure in NOTES.lock().unwrap_or_else(PoisonError::into_inner).iter() {
        println!("{figure}");
    }
    boots();
    storms();
}

/// Prints all boots under the guard.
fn boots() {
    let boots = BOOTS.lock().unwrap_or_else(PoisonError::into_inner);
    if boots.is_empty() {
        return;
    }
    println!("\n| servers | CPUs | all idle after | processes at most | spawns | memory at most |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for line in boots.iter() {
        println!("{line}");
    }
}

/// Prints all storms: 20 sessions that are never ended, three at a time, over supergateway 4.0.0.
fn storms() {
    let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    if rows.is_empty() {
        return;
    }
    println!("\n20 leaking sessions, 3 at a time, each an npx server behind supergateway 4.0.0:\n");
    let line = |first: &str, cell: &dyn Fn(&Row) -> String| {
        let cells: Vec<_> = rows.iter().map(cell).collect();
        println!("| {first} | {} |", cells.join(" | "));
    };
    line("", &|row| row.what.to_owned());
    line("---", &|_| "---".to_owned());
    for (what, read) in LINES {
        line(what, &read);
    }
    println!();
    for row in rows.iter() {
        println!("{}: {}", row.what, row.course);
    }
}
