//! The figures of the storms, side by side.

use std::sync::{Mutex, PoisonError};

use guard_tests::docker::storm::Course;
use guard_tests::witness::Counts;

static ROWS: Mutex<Vec<Row>> = Mutex::new(Vec::new());

/// One storm.
pub struct Row {
    pub what: &'static str,
    pub course: Course,
    pub counts: Counts,
    pub memory: u64,
    pub alive: bool,
}

/// Keeps a row for [`print`].
pub fn add(row: Row) {
    ROWS.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(row);
}

/// Prints all rows: 20 sessions that are never ended, three at a time, over supergateway 4.0.0.
pub fn print() {
    let rows = ROWS.lock().unwrap_or_else(PoisonError::into_inner);
    if rows.is_empty() {
        return;
    }
    println!("\n20 leaking sessions, 3 at a time, each an npx server behind supergateway 4.0.0:\n");
    println!(
        "| {:<28} | served | failed | hung | peak processes | peak tasks* | peak memory | health answered | p99, max |",
        "limit"
    );
    println!("|{}|", "---|".repeat(9).trim_end_matches('|'));
    for row in rows.iter() {
        let (course, health) = (&row.course, &row.course.health);
        println!(
            "| {:<28} | {} | {} | {} | {} | {} | {} MB | {} of {}{} | {:.0?}, {:.0?} |",
            row.what,
            course.served(),
            course.failed(),
            course.hung(),
            row.counts.running_peak,
            row.counts.tasks,
            row.memory >> 20,
            health.latencies.len(),
            health.latencies.len() + health.failures.len(),
            if row.alive { "" } else { ", gateway dead" },
            health.percentile(99),
            health.percentile(100),
        );
    }
    println!("\n* tasks when the last session had ended\n");
}
