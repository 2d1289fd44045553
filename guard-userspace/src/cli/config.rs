//! `config check` and `config show`.

use super::args::{ConfigCheck, DEFAULT_CONFIG};
use super::exit::{Code, Failure, print_problems};
use super::{load, out};
use crate::config::checked::Notify;
use crate::config::{ConfigError, Problem};
use crate::mask;
use anyhow::Context;
use serde::Serialize;
use std::path::Path;

/// Says whether the configuration is right.
pub(super) fn check(options: &ConfigCheck) -> Result<(), Failure> {
    match load::load(&options.config) {
        Ok(loaded) => {
            if options.json {
                return out::json(&Verdict::of(&[], &loaded.checked.warnings));
            }
            print_problems(&loaded.checked.warnings);
            let warnings = loaded.checked.warnings.len();
            out::print(&summary(loaded.file.as_deref(), warnings))
        }
        Err(failure) if options.json => {
            let found = failure
                .error
                .as_ref()
                .and_then(|error| error.downcast_ref());
            let Some(ConfigError { problems }) = found else {
                return Err(failure);
            };
            out::json(&Verdict::of(problems, &[]))?;
            Err(Failure::said(Code::Usage))
        }
        Err(failure) => Err(failure),
    }
}

fn summary(file: Option<&Path>, warnings: usize) -> String {
    let what = file.map_or_else(
        || {
            format!(
                "there is no {DEFAULT_CONFIG}: the defaults hold, which guard the container metamcp"
            )
        },
        |file| format!("{} is right", file.display()),
    );
    match warnings {
        0 => format!("{what}\n"),
        1 => format!("{what}, with 1 warning\n"),
        many => format!("{what}, with {many} warnings\n"),
    }
}

/// Prints the configuration that holds.
pub(super) fn show(options: &ConfigCheck) -> Result<(), Failure> {
    let loaded = load::load(&options.config)?;
    let mut config = loaded.checked.config;
    config.notify.iter_mut().for_each(mask);
    if options.json {
        return out::json(&config);
    }
    out::print(&toml::to_string(&config).context("cannot write the configuration")?)
}

/// Takes out what lets others send in the operator's name: a webhook's path is its password.
fn mask(notify: &mut Notify) {
    match notify {
        Notify::Webhook { url } | Notify::Slack { url } | Notify::Alertmanager { url } => {
            let masked = mask::line(url).into_owned();
            let path = masked
                .splitn(4, '/')
                .nth(3)
                .is_some_and(|path| !path.is_empty());
            let host = masked.splitn(4, '/').take(3).collect::<Vec<_>>().join("/");
            *url = if path {
                format!("{host}/{}", mask::MASK)
            } else {
                masked
            };
        }
        Notify::Command { run } => *run = mask::each(run),
        Notify::Email { .. } => {}
    }
}

/// What `config check --json` prints.
#[derive(Serialize)]
struct Verdict {
    ok: bool,
    errors: Vec<Said>,
    warnings: Vec<Said>,
}

#[derive(Serialize)]
struct Said {
    cause: String,
    fix: String,
    /// From 1 on; null for what has no place.
    line: Option<usize>,
}

impl Verdict {
    fn of(errors: &[Problem], warnings: &[Problem]) -> Self {
        let said = |problem: &Problem| Said {
            cause: problem.cause.clone(),
            fix: problem.fix.clone(),
            line: problem.line(),
        };
        Self {
            ok: errors.is_empty(),
            errors: errors.iter().map(said).collect(),
            warnings: warnings.iter().map(said).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_webhook_is_shown_without_its_secret() {
        let check = |given: &str, expected: &str| {
            let mut notify = Notify::Slack {
                url: given.to_owned(),
            };
            mask(&mut notify);
            assert_eq!(
                notify,
                Notify::Slack {
                    url: expected.to_owned()
                }
            );
        };
        check(
            "https://hooks.example.org/services/T0/B0/x",
            "https://hooks.example.org/***",
        );
        check("https://me:pw@example.org/", "https://***@example.org/");
        check("https://example.org", "https://example.org");
    }
}
