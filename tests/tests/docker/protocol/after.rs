//! What must be true when a trial is over: nobody else was touched, the container's own processes live,
//! journal and log tell what was done in order, and where calm came back `validate` says so.

use std::collections::BTreeSet;

use anyhow::{Context, Result, ensure};
use guard_tests::agent::output;
use guard_tests::check::{eventually, same};
use serde_json::Value;

use super::{Neighbour, decided};
use crate::journal::lines;
use crate::metamcp::Stand;
use crate::profile::until;
use crate::scene::{Guard, SOON};

/// What is done to processes or to the container, and so has a decision, an intent and an outcome.
const DEEDS: [&str; 6] = ["end", "force", "nudge", "restart", "recreate", "limit"];

/// How a trial must end.
pub struct After<'a> {
    pub guard: &'a Guard,
    /// The container's own processes, where they are to be the same ones still.
    pub spine: Option<&'a Spine<'a>>,
    pub neighbour: Option<&'a Neighbour>,
    /// What the agent is to have done, in the order in which it began to.
    pub did: &'a [&'a str],
    /// It is over, and proved to be.
    pub calm: bool,
}

impl After<'_> {
    /// All of it.
    pub fn ensure(&self) -> Result<()> {
        if let Some(spine) = self.spine {
            spine.ensure_alive(self.guard)?;
        }
        journalled(self.guard, self.did)
            .with_context(|| format!("{:#?}", lines(self.guard).unwrap_or_default()))?;
        in_order(&self.guard.agent.events())?;
        if self.calm {
            over(self.guard)?;
            let (report, code) = validate(self.guard, "1s")?;
            ensure!(code == Some(0) && report["ok"] == true, "{report}");
        }
        match self.neighbour {
            Some(neighbour) => neighbour.ensure_untouched(),
            None => Ok(()),
        }
    }
}

/// The container's init and its gateways.
pub struct Spine<'a> {
    stand: &'a Stand,
    init: u32,
    gateways: BTreeSet<u64>,
}

impl<'a> Spine<'a> {
    /// As they are now.
    pub fn of(guard: &Guard, stand: &'a Stand) -> Result<Self> {
        let found = until(guard, "a gateway is known", |target| {
            !gateways(target).is_empty()
        })?;
        Ok(Self {
            stand,
            init: stand.gateway.container.pid()?,
            gateways: gateways(&found),
        })
    }

    fn ensure_alive(&self, guard: &Guard) -> Result<()> {
        let container = &self.stand.gateway.container;
        same("the container's init", container.pid()?, self.init)?;
        let now = guard.target()?;
        ensure!(gateways(&now).is_superset(&self.gateways), "{now}");
        self.stand.gateway.state().map(drop)
    }
}

fn gateways(target: &Value) -> BTreeSet<u64> {
    let all = target["gateways"].as_array().into_iter().flatten();
    all.filter_map(|one| one["pid"].as_u64()).collect()
}

/// Each action was said before it was done, and how it ended after that; what was decided was done, and
/// nothing else.
fn journalled(guard: &Guard, did: &[&str]) -> Result<()> {
    eventually("each action has its outcome", SOON, || {
        let lines = lines(guard)?;
        let of = |kind: &str| ids(&lines, |line| line["kind"] == kind);
        let decided = DEEDS.iter().map(|deed| decided(guard, deed).len());
        let intents = ids(&lines, |line| {
            let is_own = line["tier"] != "operator" && line["tier"] != "gate";
            line["kind"] == "intent" && is_own
        });
        Ok(of("intent") == of("outcome") && decided.sum::<usize>() == intents.len())
    })?;
    let lines = lines(guard)?;
    let mut begun: Vec<&Value> = Vec::new();
    for line in &lines {
        match line["kind"].as_str() {
            Some("intent") => begun.push(line),
            Some("outcome") => {
                let intent = begun.iter().find(|intent| intent["id"] == line["id"]);
                let intent = intent.with_context(|| format!("it was not said before: {line}"))?;
                ensure!(
                    line["at_ms"].as_i64() >= intent["at_ms"].as_i64(),
                    "{intent}, then {line}"
                );
            }
            _ => {}
        }
    }
    let first = |deed: &&str| begun.iter().position(|intent| intent["action"] == **deed);
    let firsts: Vec<Option<usize>> = did.iter().map(first).collect();
    ensure!(
        firsts.iter().all(Option::is_some) && firsts.is_sorted(),
        "not {did:?} in this order: {firsts:?}"
    );
    Ok(())
}

fn ids(lines: &[Value], which: impl Fn(&Value) -> bool) -> BTreeSet<String> {
    let chosen = lines.iter().filter(|line| which(line));
    chosen.map(|line| line["id"].to_string()).collect()
}

/// Levels follow on each other, and no incident begins before the one before it is closed.
fn in_order(events: &[Value]) -> Result<()> {
    let of = |names: &'static [&str]| {
        let ours = events.iter().filter(|line| line["target"] == "metamcp");
        ours.filter(move |line| names.iter().any(|name| line["event"] == *name))
    };
    let mut before = Value::from("normal");
    for level in of(&["level"]) {
        same("a level's line", &level["from"], &before)?;
        before = level["to"].clone();
    }
    let mut open = Value::Null;
    for line in of(&["incident_opened", "escalation", "incident_closed"]) {
        if line["event"] == "incident_opened" {
            ensure!(open.is_null(), "two at a time: {line}");
            open = line["id"].clone();
        }
        same("the incident", &line["id"], &open)?;
        if line["event"] == "incident_closed" {
            open = Value::Null;
        }
    }
    Ok(())
}

/// Each incident is closed.
fn over(guard: &Guard) -> Result<()> {
    let number = |name: &str| {
        let all = guard.agent.events();
        all.iter().filter(|line| line["event"] == name).count()
    };
    eventually("the incident is closed", SOON, || {
        Ok(number("incident_opened") == number("incident_closed"))
    })
    .with_context(|| guard.agent.last_words())
}

/// An incident has come so far, and the words said why.
pub fn escalated(guard: &Guard, to: u64, why: &str) -> Result<()> {
    let all = guard.agent.events();
    let steps = all
        .iter()
        .filter(|line| line["event"] == "incident_opened" || line["event"] == "escalation");
    let steps: Vec<&Value> = steps.collect();
    let is_it = |line: &&&Value| {
        let said = line["why"].as_str();
        line["escalation"] == to && said.is_some_and(|said| said.contains(why))
    };
    ensure!(
        steps.iter().any(|line| is_it(&line)),
        "{to}, {why}: {steps:#?}"
    );
    Ok(())
}

/// `validate`, over so long: its report, and its exit code.
pub fn validate(guard: &Guard, window: &str) -> Result<(Value, Option<i32>)> {
    ask(guard, &["validate", "--window", window])
}

/// How a criterion stands in such a report: `holds`, `failed` or `unread`, and why.
pub fn criterion(report: &Value, name: &str) -> (String, String) {
    let all = report["targets"][0]["criteria"].as_array();
    let one = all.into_iter().flatten().find(|one| one["name"] == name);
    let word = |field: &str| {
        let value = one.and_then(|one| one[field].as_str());
        value.unwrap_or_default().to_owned()
    };
    (word("result"), word("words"))
}

/// Runs a command of the agent's; gives what it printed as JSON, and its exit code.
pub fn ask(guard: &Guard, words: &[&str]) -> Result<(Value, Option<i32>)> {
    let all = [&["--socket", &guard.socket], words, &["--json"]].concat();
    let ran = output(&all)?;
    let said = String::from_utf8_lossy(&ran.stdout);
    let wrong = || format!("{words:?}: {said}{}", String::from_utf8_lossy(&ran.stderr));
    let value = serde_json::from_str(&said).with_context(wrong)?;
    Ok((value, ran.status.code()))
}
