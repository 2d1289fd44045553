//! What is wrong with a configuration: cause, fix and place, all of it at once.

use super::units::FIX;
use core::fmt;
use core::ops::Range;
use miette::{Diagnostic, GraphicalReportHandler, GraphicalTheme, LabeledSpan, NamedSource};
use miette::{Severity, SourceCode};
use std::sync::Arc;

/// The file's name and text, shared by all problems of it.
pub(super) type Source = Arc<NamedSource<String>>;

/// A configuration that cannot be used: at least one problem.
#[derive(Debug, thiserror::Error)]
pub struct ConfigError {
    /// Everything found, in the order of the file's checks.
    pub problems: Vec<Problem>,
}

impl fmt::Display for ConfigError {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, problem) in self.problems.iter().enumerate() {
            let gap = if n == 0 { "" } else { "; " };
            write!(out, "{gap}{problem}")?;
        }
        Ok(())
    }
}

/// One thing that is wrong, or unwise.
#[derive(Debug, thiserror::Error)]
#[error("{cause} ({fix})")]
pub struct Problem {
    /// What is wrong.
    pub cause: String,
    /// What to do.
    pub fix: String,
    /// Whether the configuration can be used all the same.
    pub severity: Severity,
    source_code: Option<Source>,
    places: Vec<Range<usize>>,
}

impl Problem {
    /// An error without a place, as of a command line.
    #[must_use]
    pub fn new(cause: impl Into<String>, fix: impl Into<String>) -> Self {
        Self {
            cause: cause.into(),
            fix: fix.into(),
            severity: Severity::Error,
            source_code: None,
            places: Vec::new(),
        }
    }

    /// The same as a warning.
    #[must_use]
    pub(super) fn warning(mut self) -> Self {
        self.severity = Severity::Warning;
        self
    }

    /// The same with its places in the file.
    #[must_use]
    pub(super) fn at(mut self, source: &Source, places: Vec<Range<usize>>) -> Self {
        if !places.is_empty() {
            self.source_code = Some(Arc::clone(source));
            self.places = places;
        }
        self
    }

    /// The line it is on, from 1 on; `None`: it has no place.
    #[must_use]
    pub fn line(&self) -> Option<usize> {
        let text = self.source_code.as_deref()?.inner();
        let before = text.get(..self.places.first()?.start)?;
        Some(before.matches('\n').count() + 1)
    }

    /// What serde or the TOML parser found.
    pub(super) fn of_toml(error: &toml::de::Error, source: &Source) -> Self {
        let message = error.message();
        let (cause, fix) = match message.split_once(FIX) {
            Some((cause, fix)) => (cause.to_owned(), fix.to_owned()),
            None => explain(message),
        };
        Self::new(cause, fix).at(source, error.span().into_iter().collect())
    }
}

impl Diagnostic for Problem {
    fn severity(&self) -> Option<Severity> {
        Some(self.severity)
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        Some(Box::new(&self.fix))
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.source_code
            .as_deref()
            .map(|code| code as &dyn SourceCode)
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        let labels = self.places.iter().cloned().map(LabeledSpan::underline);
        Some(Box::new(labels))
    }
}

/// The problems as a person reads them, with the lines they are about.
#[must_use]
pub fn render(problems: &[Problem], colour: bool, width: usize) -> String {
    let theme = if colour {
        GraphicalTheme::unicode()
    } else {
        GraphicalTheme::unicode_nocolor()
    };
    let handler = GraphicalReportHandler::new_themed(theme)
        .with_width(width)
        .with_links(false);
    let mut text = String::new();
    for problem in problems {
        // The cause alone: the fix follows as help.
        let shown = Shown(problem);
        if handler.render_report(&mut text, &shown).is_err() {
            text.push_str(&problem.to_string());
        }
        text.push('\n');
    }
    text
}

/// A problem whose text is its cause alone.
#[derive(Debug)]
struct Shown<'a>(&'a Problem);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(&self.0.cause)
    }
}

impl core::error::Error for Shown<'_> {}

impl Diagnostic for Shown<'_> {
    fn severity(&self) -> Option<Severity> {
        self.0.severity()
    }

    fn help<'a>(&'a self) -> Option<Box<dyn fmt::Display + 'a>> {
        self.0.help()
    }

    fn source_code(&self) -> Option<&dyn SourceCode> {
        self.0.source_code()
    }

    fn labels(&self) -> Option<Box<dyn Iterator<Item = LabeledSpan> + '_>> {
        self.0.labels()
    }
}

/// Cause and fix of a message of serde's or of the TOML parser.
fn explain(message: &str) -> (String, String) {
    if let Some(rest) = message.strip_prefix("unknown field ") {
        let mut names = rest.split('`').skip(1).step_by(2);
        let given = names.next().unwrap_or_default();
        let known: Vec<&str> = names.collect();
        return (
            format!("there is no key `{given}` here"),
            nearest(given, &known),
        );
    }
    if let Some(rest) = message.strip_prefix("unknown variant ") {
        let mut names = rest.split('`').skip(1).step_by(2);
        let given = names.next().unwrap_or_default();
        let known: Vec<&str> = names.collect();
        return (
            format!("`{given}` is none of the values of this key"),
            nearest(given, &known),
        );
    }
    let fix = if message.starts_with("invalid") {
        "write what is expected"
    } else if message.starts_with("missing field") {
        "add it"
    } else {
        "mend the TOML: strings stand in quotes, each key once, [[target]] in double brackets"
    };
    let cause = message.trim_end().replace('\n', " ");
    let cause = cause.replace("expected u64", "expected a whole number, 0 or more");
    (
        cause.replace("expected f64", "expected a number"),
        fix.to_owned(),
    )
}

/// "did you mean", and what there is.
fn nearest(given: &str, known: &[&str]) -> String {
    let list = known.iter().map(|name| format!("`{name}`"));
    let list = list.collect::<Vec<_>>().join(", ");
    known
        .iter()
        .map(|name| (strsim::jaro_winkler(given, name), name))
        .filter(|(likeness, _)| *likeness > 0.8)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map_or_else(
            || format!("there are: {list}"),
            |(_, name)| format!("did you mean `{name}`? There are: {list}"),
        )
}
