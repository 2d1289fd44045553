//! What is there now, what it asks for, and what comes next: pure functions of the status.

use crate::model::Level;
use crate::model::order::TreeResult;
use crate::model::status::TargetStatus;
use crate::model::whole::Whole;
use core::fmt::Write;
use serde::Serialize;

/// What is said of one target before anything is done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Verdict {
    /// The target.
    pub target: String,
    /// The level that its figures ask for now.
    pub level: String,
    /// Why.
    pub why: String,
    /// Its live processes.
    pub live: u64,
    /// Of them, those beyond what is healthy.
    pub excess: u64,
    /// Its memory in use, in bytes, where it is known.
    pub memory_bytes: Option<u64>,
    /// Live processes more (or less) than at the look before.
    pub trend: i64,
    /// Whether there is pressure.
    pub pressed: bool,
    /// Families with more trees than at the look before.
    pub growing: Vec<String>,
    /// Trees with evidence against them.
    pub victims: usize,
    /// What the protocol says to do.
    pub advice: &'static str,
}

/// Judges what was seen at two looks, a moment apart.
pub fn verdict(before: &TargetStatus, now: &TargetStatus) -> Verdict {
    let live = |one: &TargetStatus| i64::try_from(one.counts.live).unwrap_or(i64::MAX);
    let trees_before = |name: &str| {
        let known = before.families.iter().find(|family| family.name == name);
        known.map_or(0, |family| family.trees)
    };
    let grown = now.families.iter();
    let grown = grown.filter(|family| family.trees > trees_before(&family.name));
    let level = level(now);
    Verdict {
        target: now.name.clone(),
        level: level.name().to_owned(),
        why: now.level_why.clone(),
        live: now.counts.live,
        excess: now.excess,
        memory_bytes: now.sentinel.memory_used_bytes.or(now.memory_bytes),
        trend: live(now) - live(before),
        pressed: now.sentinel.pressed_since_ms.is_some(),
        growing: grown.map(|family| family.name.clone()).collect(),
        victims: now.sentinel.victims.len(),
        advice: advice(level),
    }
}

/// The level that the figures ask for now.
pub fn level(target: &TargetStatus) -> Level {
    let name = target.sentinel.measured.as_str();
    let mut all = Level::ALL.into_iter();
    all.find(|level| level.name() == name).unwrap_or_default()
}

/// The protocol's decision tree.
const fn advice(level: Level) -> &'static str {
    match level {
        Level::Normal => "nothing to do",
        Level::Warning => "watch: the agent follows it, nothing is ended",
        Level::Critical | Level::Emergency => {
            "A: end what has evidence against it; if that is not enough, B: restart the container, then \
             C: recreate it"
        }
        Level::Nuclear => {
            "A: end what has evidence against it, and then, unless that suffices, B: restart the \
             container; if that fails, C: recreate it"
        }
    }
}

/// One step that was taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Step {
    /// `A`, `B` or `C`.
    pub option: char,
    /// What was done.
    pub action: Whole,
    /// How that ended.
    pub result: TreeResult,
    /// The same in words.
    pub message: String,
    /// The level some time after it.
    pub level: String,
    /// Whether that is better for sure.
    pub better: bool,
}

/// What comes next where things are not better; `None`: nothing is left to try.
pub fn next(taken: &[Step], is_container: bool) -> Option<(char, Whole)> {
    let all = [
        ('A', Whole::Cleanup),
        ('B', Whole::Restart),
        ('C', Whole::Recreate),
    ];
    let done = |option: char| taken.iter().any(|step| step.option == option);
    let mut left = all.into_iter().filter(|(option, _)| !done(*option));
    left.next()
        .filter(|(option, _)| *option == 'A' || is_container)
}

/// Whether the target is no longer where somebody must act.
pub fn is_better(target: &TargetStatus) -> bool {
    target.armed && level(target) < Level::Critical && target.sentinel.health != "unhealthy"
}

/// The verdict as lines for a terminal.
pub fn words(verdict: &Verdict) -> String {
    let Verdict {
        target,
        level,
        why,
        live,
        excess,
        memory_bytes,
        trend,
        pressed,
        growing,
        victims,
        advice,
    } = verdict;
    let mut text = format!("{target}: {level}: {live} processes, {excess} beyond what is healthy");
    // Writing to a String cannot fail.
    if let Some(bytes) = memory_bytes {
        let _ = write!(text, ", {} MB in use", bytes / 1_000_000);
    }
    let _ = match trend {
        0 => write!(text, ", steady"),
        more if *more > 0 => write!(text, ", {more} more within seconds"),
        less => write!(text, ", {} less within seconds", less.unsigned_abs()),
    };
    if *pressed {
        text.push_str(", under pressure");
    }
    text.push('\n');
    if level != "normal" && !why.is_empty() {
        let _ = writeln!(text, "{target}: why: {why}");
    }
    if !growing.is_empty() {
        let _ = writeln!(text, "{target}: grows: {}", growing.join(", "));
    }
    if *victims > 0 {
        let _ = writeln!(text, "{target}: {victims} trees have evidence against them");
    }
    let _ = writeln!(text, "{target}: {level}: {advice}");
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::status::sentinel::SentinelStatus;
    use crate::model::status::{Counts, FamilyStatus};

    fn target(level: Level, live: u64, trees: u64) -> TargetStatus {
        TargetStatus {
            name: "metamcp".to_owned(),
            armed: true,
            level_why: "35 processes beyond what is healthy, critical from 30".to_owned(),
            excess: 35,
            counts: Counts {
                live,
                ..Counts::default()
            },
            families: vec![FamilyStatus {
                name: "npx x".to_owned(),
                trees,
                ..FamilyStatus::default()
            }],
            sentinel: SentinelStatus {
                measured: level.name().to_owned(),
                memory_used_bytes: Some(1_200_000_000),
                pressed_since_ms: (level >= Level::Critical).then_some(1),
                ..SentinelStatus::default()
            },
            ..TargetStatus::default()
        }
    }

    #[test]
    fn the_decision_tree() {
        let of = |level| advice(level).split(':').next().unwrap();
        assert_eq!(of(Level::Normal), "nothing to do");
        assert_eq!(of(Level::Warning), "watch");
        assert_eq!(of(Level::Critical), "A");
        assert!(advice(Level::Nuclear).contains("restart"));
    }

    #[test]
    fn a_verdict_says_what_grows() {
        let before = target(Level::Critical, 60, 12);
        let now = target(Level::Critical, 66, 14);
        insta::assert_snapshot!(words(&verdict(&before, &now)), @r"
        metamcp: critical: 66 processes, 35 beyond what is healthy, 1200 MB in use, 6 more within seconds, under pressure
        metamcp: why: 35 processes beyond what is healthy, critical from 30
        metamcp: grows: npx x
        metamcp: critical: A: end what has evidence against it; if that is not enough, B: restart the container, then C: recreate it
        ");
        let calm = verdict(&now, &target(Level::Normal, 60, 12));
        assert_eq!((calm.trend, calm.advice), (-6, "nothing to do"));
        assert_eq!(calm.growing, [""; 0]);
    }

    #[test]
    fn a_then_b_then_c_then_nothing() {
        let mut taken = Vec::new();
        let mut seen = Vec::new();
        while let Some((option, action)) = next(&taken, true) {
            seen.push((option, action.name()));
            taken.push(Step {
                option,
                action,
                result: TreeResult::Failed,
                message: String::new(),
                level: String::new(),
                better: false,
            });
        }
        let expected = [('A', "cleanup"), ('B', "restart"), ('C', "recreate")];
        assert_eq!(seen, expected);
        assert_eq!(next(&[], false), Some(('A', Whole::Cleanup)));
        assert_eq!(next(taken.get(..1).unwrap(), false), None, "a cgroup");
    }

    #[test]
    fn better_is_there_below_critical_and_not_unhealthy() {
        assert!(is_better(&target(Level::Warning, 1, 1)));
        assert!(!is_better(&target(Level::Critical, 1, 1)));
        let mut gone = target(Level::Normal, 1, 1);
        gone.sentinel.health = "unhealthy".to_owned();
        assert!(!is_better(&gone));
        gone.sentinel.health.clear();
        gone.armed = false;
        assert!(!is_better(&gone));
    }
}
