//! A status as metrics. Nothing is kept between two scrapes.

use super::plain;
use crate::model::status::{Status, TargetStatus};
use crate::model::{Level, Tier};
use core::fmt;
use guard_common::GateMode;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;
use std::sync::Arc;

/// Which text format.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `text/plain; version=0.0.4`
    Plain,
    /// `application/openmetrics-text; version=1.0.0`
    OpenMetrics,
}

impl Format {
    /// What a client that sends `accept` wants: OpenMetrics only where it is asked for.
    #[must_use]
    pub fn wanted(accept: &str) -> Self {
        let asked = accept.split(',').any(|range| {
            let mut parts = range.split(';').map(str::trim);
            parts.next() == Some("application/openmetrics-text")
                && !parts.any(|part| {
                    part.strip_prefix("q=")
                        .is_some_and(|q| q.parse() == Ok(0.0))
                })
        });
        if asked {
            Self::OpenMetrics
        } else {
            Self::Plain
        }
    }

    /// The value of the Content-Type header.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Renders a status.
///
/// # Errors
/// None is known: writing to a `String` succeeds.
pub fn render(status: Arc<Status>, format: Format) -> Result<String, fmt::Error> {
    let mut registry = Registry::with_prefix("metamcp_guard");
    registry.register_collector(Box::new(Snapshot(status)));
    let mut open_metrics = String::new();
    text::encode(&mut open_metrics, &registry)?;
    Ok(match format {
        Format::OpenMetrics => open_metrics,
        Format::Plain => plain::from_open_metrics(&open_metrics),
    })
}

/// Upper bounds in seconds.
const PARK_BUCKETS: [f64; 8] = [0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0];
/// Upper bounds in seconds: the budgets are 0.2 and 1 ms.
const REACTION_BUCKETS: [f64; 8] = [0.000_05, 0.000_1, 0.000_2, 0.000_5, 0.001, 0.01, 0.1, 1.0];

#[derive(Debug)]
struct Snapshot(Arc<Status>);

impl Collector for Snapshot {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut to = Exposition {
            status: &self.0,
            encoder,
        };
        to.gauges()?;
        to.totals()?;
        to.labelled()?;
        to.agent()
    }
}

/// Writes families one by one; description and value of each stand side by side.
struct Exposition<'s, 'e> {
    status: &'s Status,
    encoder: DescriptorEncoder<'e>,
}

type Labels<'a, const N: usize> = [(&'a str, &'a str); N];

impl<'s> Exposition<'s, '_> {
    fn family(
        &mut self,
        name: &'static str,
        help: &str,
        kind: MetricType,
        mut rows: impl FnMut(&'s Status, &mut MetricEncoder<'_>) -> fmt::Result,
    ) -> fmt::Result {
        let status = self.status;
        rows(
            status,
            &mut self.encoder.encode_descriptor(name, help, None, kind)?,
        )
    }

    /// One gauge per target, left out where it is not known.
    fn gauge(
        &mut self,
        name: &'static str,
        help: &str,
        value: impl Fn(&TargetStatus) -> Option<u64>,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge, |status, to| {
            for target in &status.targets {
                if let Some(value) = value(target) {
                    let labels = [("target", target.name.as_str())];
                    to.encode_family(&labels)?.encode_gauge(&as_i64(value))?;
                }
            }
            Ok(())
        })
    }

    /// One counter per target; its sample's name ends in `_total`.
    fn counter(
        &mut self,
        name: &'static str,
        help: &str,
        value: impl Fn(&TargetStatus) -> u64,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Counter, |status, to| {
            for target in &status.targets {
                count(to, &[("target", &target.name)], value(target))?;
            }
            Ok(())
        })
    }

    /// One histogram per target in which nothing was ever observed.
    fn empty_histogram(&mut self, name: &'static str, help: &str, bounds: &[f64]) -> fmt::Result {
        let buckets: Vec<_> = bounds
            .iter()
            .copied()
            .chain([f64::INFINITY])
            .map(|le| (le, 0))
            .collect();
        self.family(name, help, MetricType::Histogram, |status, to| {
            for target in &status.targets {
                let labels = [("target", target.name.as_str())];
                to.encode_family(&labels)?
                    .encode_histogram::<NoLabelSet>(0.0, 0, &buckets, None)?;
            }
            Ok(())
        })
    }

    fn gauges(&mut self) -> fmt::Result {
        self.gauge("processes", "Live processes, without condemned ones", |t| {
            Some(t.counts.live)
        })?;
        self.gauge(
            "excess_processes",
            "Live processes beyond what is healthy",
            |t| Some(t.excess),
        )?;
        self.gauge("guests", "Live processes that entered from outside", |t| {
            Some(t.counts.guests)
        })?;
        self.gauge("tasks", "Live tasks (threads)", |t| Some(t.counts.tasks))?;
        self.gauge("trees", "Live process trees", |t| Some(t.counts.trees))?;
        self.gauge("spawn_rate", "Spawns in the last second", |t| {
            Some(t.spawn_rate)
        })?;
        self.gauge("parked", "Processes that wait for a slot", |t| {
            Some(t.counts.parked)
        })?;
        self.gauge("memory_bytes", "Memory charged to the target", |t| {
            t.memory_bytes
        })?;
        self.gauge(
            "memory_limit_bytes",
            "Memory limit of the target, where it has one",
            |t| t.memory_limit_bytes,
        )?;
        self.gauge(
            "level",
            "0 normal, 1 warning, 2 critical, 3 emergency, 4 nuclear",
            |t| {
                Level::ALL
                    .iter()
                    .position(|level| level.name() == t.level)
                    .map(|n| n as u64)
            },
        )?;
        self.gauge("incident_open", "1 while an incident is open", |t| {
            Some(u64::from(t.sentinel.incident.is_some()))
        })
    }

    fn totals(&mut self) -> fmt::Result {
        self.counter(
            "spawns",
            "Forks that made a process, condemned ones too",
            |t| t.counts.spawns,
        )?;
        self.counter("threads", "Forks that made a thread", |t| t.counts.threads)?;
        self.counter("execs", "Successful execs", |t| t.counts.execs)?;
        self.counter("exits", "Processes that ended", |t| t.counts.exits)?;
        self.counter("denied", "Spawns refused at fork or exec", |t| {
            t.counts.denied
        })?;
        // OpenMetrics calls a counter's family by its name without `_total`, which is the name of
        // the gauge: so there it is `unknown`.
        let help = "Processes that had to wait for a slot";
        self.family("parked_total", help, MetricType::Unknown, |status, to| {
            for target in &status.targets {
                to.encode_family(&[("target", target.name.as_str())])?
                    .encode_gauge(&0_i64)?;
            }
            Ok(())
        })?;
        self.counter(
            "retired",
            "Trees ended by end of file on their stdin",
            |t| t.retired,
        )?;
        let help = "Restarts and recreations of the container by the guard";
        self.counter("restarts", help, |t| t.sentinel.restarts)?;
        self.empty_histogram("park_seconds", "Time that processes waited", &PARK_BUCKETS)?;
        self.empty_histogram(
            "reaction_seconds",
            "Time from the fork that crossed a limit to the signal or limit in force",
            &REACTION_BUCKETS,
        )
    }

    fn labelled(&mut self) -> fmt::Result {
        let help = "Processes ended by a signal of gate or agent";
        self.family("killed", help, MetricType::Counter, |status, to| {
            for target in &status.targets {
                let by = |tier: Tier| match tier {
                    Tier::Gate => target.counts.killed,
                    tier => {
                        let by = target.sentinel.killed_by.get(tier.name());
                        by.copied().unwrap_or(0)
                    }
                };
                for tier in Tier::ALL {
                    let labels = [("target", target.name.as_str()), ("tier", tier.name())];
                    count(to, &labels, by(tier))?;
                }
            }
            Ok(())
        })?;
        let help = "Storms of refused spawns that began, by the limit that was met first";
        self.family("storms", help, MetricType::Counter, |status, to| {
            for target in &status.targets {
                for (limit, storms) in &target.storms {
                    count(to, &[("target", &target.name), ("limit", limit)], *storms)?;
                }
            }
            Ok(())
        })?;
        let help = "Events that could not be observed; totals stay exact";
        self.family("lost_events", help, MetricType::Counter, |status, to| {
            for target in &status.targets {
                for (source, lost) in &target.lost_events {
                    count(to, &[("target", &target.name), ("source", source)], *lost)?;
                }
            }
            for (source, lost) in &status.lost_events {
                count(to, &[("source", source)], *lost)?;
            }
            Ok(())
        })?;
        let help = "1 for the mode in force, 0 for the others";
        self.family("gate_mode", help, MetricType::Gauge, |status, to| {
            for target in &status.targets {
                for mode in [
                    GateMode::Observe,
                    GateMode::Kill,
                    GateMode::Deny,
                    GateMode::FmodRet,
                    GateMode::Lsm,
                ] {
                    let labels = [("target", target.name.as_str()), ("mode", mode.name())];
                    let on = i64::from(mode.name() == target.mode);
                    to.encode_family(&labels)?.encode_gauge(&on)?;
                }
            }
            Ok(())
        })
    }

    fn agent(&mut self) -> fmt::Result {
        let help = "1 while the canary shows that the gate refuses";
        self.family("canary_ok", help, MetricType::Gauge, |status, to| {
            to.encode_gauge(&i64::from(status.gate.proved))
        })?;
        let help = "CPU time of the kernel side, by program; 0 without kernel.bpf_stats_enabled";
        self.family(
            "program_seconds",
            help,
            MetricType::Counter,
            |status, to| {
                for program in &status.programs {
                    let seconds = core::time::Duration::from_nanos(program.run_ns).as_secs_f64();
                    to.encode_family(&[("program", program.name.as_str())])?
                        .encode_counter::<NoLabelSet, _, u64>(&seconds, None)?;
                }
                Ok(())
            },
        )?;
        let help = "Runs of the kernel side, by program; 0 without kernel.bpf_stats_enabled";
        self.family("program_runs", help, MetricType::Counter, |status, to| {
            for program in &status.programs {
                count(to, &[("program", &program.name)], program.runs)?;
            }
            Ok(())
        })?;
        let help = "Version of the agent";
        self.family("build_info", help, MetricType::Gauge, |status, to| {
            to.encode_family(&[("version", status.version.as_str())])?
                .encode_gauge(&1_i64)
        })
    }
}

fn count<const N: usize>(
    to: &mut MetricEncoder<'_>,
    labels: &Labels<'_, N>,
    value: u64,
) -> fmt::Result {
    to.encode_family(labels)?
        .encode_counter::<NoLabelSet, _, u64>(&value, None)
}

fn as_i64(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests;
