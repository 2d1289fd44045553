//! How old a tree was when it was ended, and whether it was the youngest of its family.

use std::collections::BTreeMap;
use std::fs;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow, ensure};
use serde_json::Value;

use crate::journal::lines;
use crate::scene::Guard;

/// When each tree's root was born, milliseconds since 1970, with its family.
#[derive(Default)]
pub struct Births(Mutex<BTreeMap<u64, (String, u64)>>);

impl Births {
    /// Notes them while `act` runs.
    pub fn noted<T>(&self, guard: &Guard, act: impl FnOnce() -> Result<T>) -> Result<T> {
        let over = AtomicBool::new(false);
        thread::scope(|scope| {
            let noting = scope.spawn(|| -> Result<()> {
                while !over.load(Relaxed) {
                    self.note(&guard.target()?);
                    thread::sleep(Duration::from_millis(100));
                }
                Ok(())
            });
            let acted = act();
            over.store(true, Relaxed);
            noting.join().map_err(|_| anyhow!("a panic"))??;
            acted
        })
    }

    fn note(&self, target: &Value) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for family in target["families"].as_array().into_iter().flatten() {
            let name = family["name"].as_str().unwrap_or_default();
            let roots = family["roots"].as_array().into_iter().flatten();
            for root in roots.filter_map(Value::as_u64) {
                if !known.contains_key(&root)
                    && let Some(born) = born_ms(root)
                {
                    known.insert(root, (name.to_owned(), born));
                }
            }
        }
    }

    /// Who was ended by the agent was older than what a start takes, and there was a younger one of its
    /// family.
    pub fn ensure_grown_and_not_youngest(&self, guard: &Guard, settle: Duration) -> Result<()> {
        /// The kernel's ticks, twice.
        const SLACK_MS: u64 = 30;
        let known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let all = lines(guard)?;
        let ends = all
            .iter()
            .filter(|line| line["kind"] == "intent" && line["action"] == "end");
        let settle = u64::try_from(settle.as_millis())?;
        let mut seen = 0;
        for end in ends {
            let (root, at) = (end["root"].as_u64(), end["at_ms"].as_u64());
            let (root, at) = root.zip(at).with_context(|| end.to_string())?;
            let (family, born) = known
                .get(&root)
                .with_context(|| format!("{end}: {known:?}"))?;
            ensure!(at + SLACK_MS >= born + settle, "born at {born}: {end}");
            let others = known.values().filter(|(name, _)| name == family);
            let younger = others.filter(|(_, other)| *other <= at && other > born);
            ensure!(younger.count() > 0, "the youngest: {end}");
            seen += 1;
        }
        ensure!(seen > 0, "nobody was ended");
        Ok(())
    }
}

/// When a process was born, milliseconds since 1970.
fn born_ms(pid: u64) -> Option<u64> {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let (_, rest) = stat.rsplit_once(')')?;
    let ticks: u64 = rest.split_whitespace().nth(19)?.parse().ok()?;
    let uptime = fs::read_to_string("/proc/uptime").ok()?;
    let uptime: f64 = uptime.split_whitespace().next()?.parse().ok()?;
    let now = SystemTime::now().duration_since(UNIX_EPOCH).ok()?;
    let booted = now.checked_sub(Duration::from_secs_f64(uptime))?;
    let hundredths = Duration::from_millis(ticks * 10);
    u64::try_from((booted + hundredths).as_millis()).ok()
}
