//! Incidents: from the first sign to proven recovery, with the escalation that the operators' protocol
//! knows. Each says one line when it opens, one for each step up, and one when it closes.

use crate::model::{FactKind, Level, Stamp};

/// A target that is gone for so long has no incident any more, in ns.
const GONE_NS: u64 = 600_000_000_000;

/// What an incident goes by, of one target at one moment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen<'a> {
    /// When.
    pub at: Stamp,
    /// The target's name.
    pub name: &'a str,
    /// It is there.
    pub is_up: bool,
    /// The level in force.
    pub level: Level,
    /// Why that level, in words.
    pub why: &'a str,
    /// Spawns are being refused.
    pub storms: bool,
    /// They still are, though trees were ended some time ago.
    pub storms_on: bool,
    /// Live processes.
    pub live: u64,
    /// What levels go by.
    pub count: u64,
    /// From where on that is critical; `None`: never.
    pub critical: Option<u64>,
    /// Memory in use, in bytes.
    pub memory: u64,
    /// More of it than is a warning.
    pub is_heavy: bool,
    /// It grows and has not fallen for ten minutes.
    pub grows: bool,
    /// The container's own health check fails, or has not answered since the start.
    pub is_ill: bool,
    /// It explodes again after a restart: in words.
    pub again: Option<String>,
    /// The host waits for memory.
    pub host_suffers: bool,
    /// It is no container: it cannot be isolated.
    pub is_cgroup: bool,
    /// Processes that ended by a signal of the agent's, in all.
    pub killed: u64,
    /// Trees that ended by end of file, in all.
    pub retired: u64,
    /// Restarts and recreations, in all.
    pub restarts: u64,
    /// The last of them was a recreation.
    pub recreated: bool,
    /// How long all must be well, in ns.
    pub clear_ns: u64,
}

/// Of one target.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Incidents {
    last_id: u64,
    open: Option<Open>,
}

/// The one that is open.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Open {
    /// Its number.
    pub id: u64,
    /// When it was opened.
    pub since: Stamp,
    /// The first sign, in words.
    pub why: String,
    /// 1 to 4.
    pub escalation: u8,
    /// Most live processes in it.
    pub peak_live: u64,
    /// Most memory in use in it, in bytes.
    pub peak_memory: u64,
    /// What had been done before it: killed, retired, restarts.
    before: (u64, u64, u64),
    /// Since when all is well, ns of CLOCK_BOOTTIME.
    well_ns: Option<u64>,
    /// Since when it is not there, ns of CLOCK_BOOTTIME.
    gone_ns: Option<u64>,
}

impl Incidents {
    /// The one that is open.
    #[must_use]
    pub const fn open(&self) -> Option<&Open> {
        self.open.as_ref()
    }

    /// Takes what is to be seen, and gives back what is to be said.
    pub fn see(&mut self, seen: &Seen<'_>) -> Vec<FactKind> {
        let Some(mut open) = self.open.take() else {
            return self.begin(seen).into_iter().collect();
        };
        open.peak_live = open.peak_live.max(seen.live);
        open.peak_memory = open.peak_memory.max(seen.memory);
        let mut said = Vec::new();
        let (escalation, why) = open.worst(seen);
        if escalation > open.escalation {
            open.escalation = escalation;
            said.push(FactKind::Escalation {
                id: open.id,
                escalation,
                why,
            });
        }
        match open.is_over(seen) {
            Some(how) => said.push(open.close(seen, how)),
            None => self.open = Some(open),
        }
        said
    }

    /// The first sign: the level, or a refusal.
    fn begin(&mut self, seen: &Seen<'_>) -> Option<FactKind> {
        if !seen.is_up || seen.level < Level::Warning && !seen.storms {
            return None;
        }
        let wall = u64::try_from(seen.at.wall_ms).unwrap_or(0);
        self.last_id = wall.max(self.last_id.saturating_add(1));
        let mut open = Open {
            id: self.last_id,
            since: seen.at,
            why: if seen.level >= Level::Warning {
                seen.why.to_owned()
            } else {
                "spawns are being refused".to_owned()
            },
            escalation: 1,
            peak_live: seen.live,
            peak_memory: seen.memory,
            before: (seen.killed, seen.retired, seen.restarts),
            well_ns: None,
            gone_ns: None,
        };
        let (escalation, more) = open.worst(seen);
        open.escalation = escalation;
        if escalation > 1 && more != open.why {
            open.why = format!("{}; {more}", open.why);
        }
        let opened = FactKind::IncidentOpened {
            id: open.id,
            why: open.why.clone(),
            escalation,
        };
        self.open = Some(open);
        Some(opened)
    }
}

impl Open {
    /// 1: handled by itself. 2: critical by count, or much memory. 3: it goes on after a cleanup, or after
    /// a restart. 4: the host suffers.
    fn worst(&self, seen: &Seen<'_>) -> (u8, String) {
        let restarts = seen.restarts.saturating_sub(self.before.2);
        if seen.host_suffers {
            let offer = if seen.is_cgroup {
                format!("`metamcp-guard freeze {}` stops it", seen.name)
            } else {
                let name = seen.name;
                format!("`metamcp-guard isolate {name}` cuts it off, `freeze {name}` stops it")
            };
            return (4, format!("the host waits for memory; {offer}"));
        }
        if let Some(again) = &seen.again {
            return (3, again.clone());
        }
        if restarts > 1 {
            return (3, format!("{restarts} restarts"));
        }
        if seen.storms_on {
            let why = "spawns are still being refused after trees were ended";
            return (3, why.to_owned());
        }
        if seen.critical.is_some_and(|critical| seen.count >= critical) {
            return (2, format!("{} processes too many", seen.count));
        }
        if seen.is_heavy {
            return (
                2,
                format!("{} MB of memory in use", seen.memory / 1_000_000),
            );
        }
        (1, String::new())
    }

    /// Whether it is proved to be over, and by what. The criteria of the protocol: few processes and
    /// little memory (the level), no growth, and the container's own health check.
    fn is_over(&mut self, seen: &Seen<'_>) -> Option<&'static str> {
        let now_ns = seen.at.boot_ns;
        let for_ns = |since: &mut Option<u64>, holds: bool| {
            *since = holds.then(|| since.unwrap_or(now_ns));
            since.map_or(0, |since| now_ns.saturating_sub(since))
        };
        let is_well = seen.is_up
            && seen.level == Level::Normal
            && !(seen.storms || seen.grows || seen.is_ill || seen.host_suffers);
        let well = for_ns(&mut self.well_ns, is_well);
        let gone = for_ns(&mut self.gone_ns, !seen.is_up);
        if gone >= GONE_NS {
            return Some("the target is gone");
        }
        if !is_well || well < seen.clear_ns {
            return None;
        }
        let (killed, retired, restarts) = self.before;
        Some(match (seen.restarts > restarts, seen.recreated) {
            (true, true) => "a recreation",
            (true, false) => "a restart",
            _ if seen.killed > killed || seen.retired > retired => "cleanup",
            _ => "by itself",
        })
    }

    fn close(&self, seen: &Seen<'_>, how: &'static str) -> FactKind {
        let (killed, retired, restarts) = self.before;
        let ns = seen.at.boot_ns.saturating_sub(self.since.boot_ns);
        FactKind::IncidentClosed {
            id: self.id,
            seconds: ns / 1_000_000_000,
            peak_live: self.peak_live,
            peak_memory: self.peak_memory,
            how,
            killed: seen.killed.saturating_sub(killed),
            retired: seen.retired.saturating_sub(retired),
            restarts: seen.restarts.saturating_sub(restarts),
        }
    }
}

#[cfg(test)]
mod tests;
