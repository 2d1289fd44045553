//! What is asked for from time to time: how the host suffers, and what containers' own health checks say.

use super::Guard;
use super::deeds::News;
use crate::evidence::pressure;
use crate::model::{Health, InputKind, Stamp, TargetId};
use crate::targets::health;
use tokio::task::JoinHandle;

/// Ticks (seconds) between two looks at the host's pressure.
const PRESSURE: u32 = 2;

/// Ticks between two questions for containers' health.
const ASK: u32 = 10;

/// What was sensed last.
#[derive(Debug, Default)]
pub struct Senses {
    ticks: u32,
    pressure: u64,
    /// The questions under way: Docker may be slow, and is not asked twice at once.
    asking: Option<JoinHandle<()>>,
    /// A target came: it is asked for at the next tick. Of an agent that was started for a command it is
    /// else said for ten seconds that it has no health check.
    came: bool,
}

impl Senses {
    /// There is a target whose health is not known.
    pub(super) const fn comes(&mut self) {
        self.came = true;
    }
}

impl Guard {
    /// A second has passed.
    pub(super) fn sense(&mut self, now: Stamp) {
        self.senses.ticks = self.senses.ticks.wrapping_add(1);
        if self.senses.ticks.is_multiple_of(PRESSURE) {
            self.feel_pressure(now);
        }
        if self.senses.ticks % ASK == 1 || self.senses.came {
            self.ask_for_health();
        }
    }

    /// No pressure is news once.
    fn feel_pressure(&mut self, now: Stamp) {
        let Some(full_avg10) = pressure::full_avg10() else {
            return;
        };
        let before = std::mem::replace(&mut self.senses.pressure, full_avg10);
        if full_avg10 == 0 && before == 0 {
            return;
        }
        let all: Vec<TargetId> = self.places.iter().map(|(id, _)| id).collect();
        for id in all {
            self.step(now, id, InputKind::Pressure { full_avg10 });
        }
    }

    /// On the runtime, one container after the other.
    fn ask_for_health(&mut self) {
        let is_asking = |task: &JoinHandle<()>| !task.is_finished();
        if self.senses.asking.as_ref().is_some_and(is_asking) {
            return;
        }
        let running = self
            .places
            .iter()
            .filter(|(_, place)| place.up.is_some() && place.config.source.is_container());
        let all: Vec<(TargetId, String)> = running
            .filter_map(|(id, place)| Some((id, place.expected.clone()?)))
            .collect();
        self.senses.came = false;
        if all.is_empty() {
            return;
        }
        let (endpoint, tell) = self.hands.docker();
        self.senses.asking = Some(tokio::spawn(async move {
            for (id, container) in all {
                let health = health::of(&endpoint, &container).await;
                let _ = tell.send(News::Health(id, container, health));
            }
        }));
    }

    /// What a container said of itself, unless it is another one by now.
    pub(super) fn hear_health(&mut self, now: Stamp, news: (TargetId, String, Health)) {
        let (id, container, health) = news;
        let place = self.places.get(id).filter(|place| place.up.is_some());
        if place.is_some_and(|place| place.expected.as_ref() == Some(&container)) {
            self.step(now, id, InputKind::Health(health));
        }
    }
}
