//! What the demo came to, in plain words.

use std::time::Duration;

use super::gateway::Seen;

/// Processes in the incident that this guard was made for (MetaMCP issue 162).
const INCIDENT: u64 = 2_018;

/// One part of the demo, when it is over.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Part {
    /// How long the storm lasted.
    pub lasted: Duration,
    /// Most processes alive at once, counted in the kernel at each fork.
    pub peak: u64,
    /// Most threads at the end of a second.
    pub tasks: u64,
    /// Forks that made a process, those that were stopped afterwards too.
    pub spawns: u64,
    /// Forks over the limit.
    pub over: u64,
    /// What the gateway saw.
    pub gateway: Seen,
    /// CPU time of the agent.
    pub agent_cpu: Duration,
    /// Nanoseconds in the kernel's programs per process, from fork to end; 0: the kernel keeps no
    /// statistics.
    pub ns_per_process: u64,
}

/// Both parts and what they were about.
#[derive(Clone, Debug)]
pub struct Summary {
    /// The limit.
    pub cap: u64,
    /// How the gate refused: `lsm` or `kill`.
    pub mode: String,
    /// Without the gate.
    pub watched: Part,
    /// With it.
    pub guarded: Part,
}

impl Summary {
    /// The summary as paragraphs: a heading of a word or two, and what it says.
    #[must_use]
    pub fn paragraphs(&self) -> Vec<(&'static str, String)> {
        vec![
            ("Without the gate", self.without()),
            ("With the gate", self.with()),
            ("Let through", self.let_through()),
            ("Stopped", self.stopped()),
            ("Cost", self.cost()),
        ]
    }

    fn without(&self) -> String {
        let Part {
            lasted,
            peak,
            tasks,
            ..
        } = self.watched;
        let seconds = lasted.as_secs().max(1);
        let growth = (peak / seconds).max(1);
        format!(
            "{peak} processes with {tasks} threads after {seconds} s, and {growth} more with each \
             second. The incident behind this guard had {INCIDENT}: another {} s.",
            INCIDENT.saturating_sub(peak) / growth,
        )
    }

    fn with(&self) -> String {
        let Part {
            lasted,
            peak,
            tasks,
            ..
        } = self.guarded;
        // A server is three processes.
        let threads_a_server = tasks * 3 / peak.max(1);
        let servers = self.cap / threads_a_server.max(1);
        format!(
            "never more than {peak} at once in {} s of the same storm, counted in the kernel at each \
             fork. Their {tasks} threads were left alone: Docker's pids_limit counts threads, and {} \
             of those are {servers} such servers, the next one broken.",
            lasted.as_secs(),
            self.cap,
        )
    }

    fn let_through(&self) -> String {
        let Part { gateway, .. } = self.guarded;
        let mut text = format!(
            "{} servers, all of which still ran at the end.",
            gateway.alive,
        );
        if gateway.broken > 0 {
            text.push_str(&format!(
                " {} more were stopped in the middle of their start, as they took the last places \
                 without having room for all their processes.",
                gateway.broken,
            ));
        }
        text
    }

    fn stopped(&self) -> String {
        let Part { over, gateway, .. } = self.guarded;
        if self.mode == "lsm" {
            format!(
                "{over} spawns, before the kernel had copied anything: the gateway read EAGAIN (try \
                 again later) {} times, and {} of its servers died.",
                gateway.refused,
                none_or(gateway.killed),
            )
        } else if self.mode == "deny" {
            format!(
                "{over} spawns, each as it was to execute its program: the gateway read that it cannot \
                 ({} times), as of a spawn that failed, and {} of its servers died.",
                gateway.refused,
                none_or(gateway.killed),
            )
        } else {
            format!(
                "{over} spawns, each by SIGKILL before its program's first instruction: the way that \
                 works on every kernel, but the gateway sees a crash ({} times here). Where `bpf` is \
                 in the kernel's lsm= list the fork itself fails instead, and nothing dies.",
                gateway.killed,
            )
        }
    }

    fn cost(&self) -> String {
        let Part {
            ns_per_process,
            agent_cpu,
            lasted,
            ..
        } = self.guarded;
        let share = agent_cpu.as_secs_f64() * 100.0 / lasted.as_secs_f64().max(1.0);
        let agent = format!("the agent took {share:.1} % of one CPU");
        match ns_per_process {
            0 => format!("{agent}; this kernel keeps no run-time statistics of BPF programs."),
            ns => format!(
                "{:.1} µs in the kernel for each process (fork, exec and end together); {agent}.",
                ns_to_us(ns),
            ),
        }
    }
}

fn none_or(n: u64) -> String {
    if n == 0 {
        String::from("none")
    } else {
        n.to_string()
    }
}

#[expect(clippy::cast_precision_loss, reason = "a duration for people")]
fn ns_to_us(ns: u64) -> f64 {
    ns as f64 / 1_000.0
}

/// Lines of at most `width` columns, broken at spaces.
#[must_use]
pub fn wrap(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let taken = lines.last().map_or(0, |line| line.chars().count());
        if taken > 0 && taken + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            if !line.is_empty() {
                line.push(' ');
            }
            line.push_str(word);
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(mode: &str) -> Summary {
        let lasted = Duration::from_secs(8);
        let watched = Part {
            lasted,
            peak: 181,
            tasks: 1_441,
            over: 120,
            ..Part::default()
        };
        let gateway = Seen {
            refused: 70,
            alive: 20,
            ..Seen::default()
        };
        let guarded = Part {
            lasted,
            peak: 61,
            tasks: 481,
            over: 70,
            gateway,
            ..Part::default()
        };
        Summary {
            cap: 61,
            mode: mode.to_owned(),
            watched,
            guarded,
        }
    }

    #[test]
    fn each_mode_says_what_the_gateway_saw() {
        let text = |mode| {
            summary(mode)
                .paragraphs()
                .into_iter()
                .map(|(_, text)| text)
                .collect::<String>()
        };
        let lsm = text("lsm");
        assert!(
            lsm.contains("EAGAIN (try again later) 70 times, and none of its servers died"),
            "{lsm}"
        );
        assert!(text("deny").contains("(70 times), as of a spawn that failed, and none of its"));
        assert!(text("kill").contains("SIGKILL"));
        assert!(lsm.contains("61 of those are 2 such servers"), "{lsm}");
    }

    #[test]
    fn nothing_counted_divides_by_nothing() {
        let (watched, guarded) = (Part::default(), Part::default());
        let empty = Summary {
            cap: 0,
            mode: String::new(),
            watched,
            guarded,
        };
        assert_eq!(empty.paragraphs().len(), 5);
    }

    #[test]
    fn lines_are_broken_at_spaces() {
        assert_eq!(wrap("a bb  ccc", 4), ["a bb", "ccc"]);
        assert_eq!(wrap("longer", 3), ["longer"]);
    }
}
