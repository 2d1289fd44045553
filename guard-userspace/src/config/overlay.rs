//! Lays what a file says over what holds without it, and remembers what stood where.

use super::checked::Pattern;
use super::error::{Problem, Source};
use super::raw::At;
use super::units::Time;
use core::ops::{Range, RangeInclusive};
use core::time::Duration;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// Finds problems while values are laid over each other; none of them ends the search.
pub(super) struct Overlay<'a> {
    /// The file.
    pub(super) source: &'a Source,
    /// Where cgroup v2 is mounted, if that is known.
    pub(super) mount: Option<&'a Path>,
    /// What was found.
    pub(super) problems: Vec<Problem>,
    /// Where keys of the present target stand.
    places: BTreeMap<&'static str, Range<usize>>,
}

impl<'a> Overlay<'a> {
    pub(super) fn new(source: &'a Source, mount: Option<&'a Path>) -> Self {
        Self {
            source,
            mount,
            problems: Vec::new(),
            places: BTreeMap::new(),
        }
    }

    /// Forgets the places of the target before.
    pub(super) fn next_target(&mut self) {
        self.places.clear();
    }

    /// Takes a value as it is.
    pub(super) fn value<T>(&mut self, key: &'static str, given: At<T>, to: &mut T) {
        if let Some(given) = given {
            self.places.insert(key, given.span());
            *to = given.into_inner();
        }
    }

    /// Takes a number in `range`; `fix` says what a number outside would do and what to write.
    pub(super) fn number(
        &mut self,
        key: &'static str,
        given: At<u64>,
        to: &mut u64,
        (range, fix): (RangeInclusive<u64>, &str),
    ) {
        let Some(given) = given else { return };
        let number = *given.get_ref();
        if !range.contains(&number) {
            let (least, most) = (range.start(), range.end());
            let cause = format!("`{key}` is {number}; it can be {least} to {most}");
            self.refuse(Problem::new(cause, fix), given.span());
        }
        self.value(key, Some(given), to);
    }

    /// Takes a length of time in `range`, in seconds.
    pub(super) fn time(
        &mut self,
        key: &'static str,
        given: At<Time>,
        to: &mut Duration,
        range: RangeInclusive<f64>,
    ) {
        let Some(given) = given else { return };
        let (time, place) = (*given.get_ref(), given.span());
        if !range.contains(&time.0.as_secs_f64()) {
            let show = |seconds: f64| Time(Duration::from_secs_f64(seconds));
            let (least, most) = (show(*range.start()), show(*range.end()));
            let cause = format!("`{key}` is {time}; it can be {least} to {most}");
            self.refuse(
                Problem::new(cause, format!("write {least} at least, {most} at most")),
                place.clone(),
            );
        }
        self.places.insert(key, place);
        *to = time.0;
    }

    /// Takes an absolute path.
    pub(super) fn path(&mut self, key: &'static str, given: At<String>) -> Option<PathBuf> {
        let given = given?;
        let path = PathBuf::from(given.get_ref());
        if !path.is_absolute() || given.get_ref().contains('\0') {
            let cause = format!(
                "`{key}` is \"{}\", which is no absolute path",
                given.get_ref()
            );
            let fix = "write the whole path, from / on: the agent has no directory of its own";
            self.refuse(Problem::new(cause, fix), given.span());
        }
        self.places.insert(key, given.span());
        Some(path)
    }

    /// Takes regular expressions.
    pub(super) fn patterns(
        &mut self,
        key: &'static str,
        given: At<Vec<Spanned<String>>>,
        to: &mut Vec<Pattern>,
    ) {
        let Some(given) = given else { return };
        to.clear();
        for text in given.into_inner() {
            match Pattern::new(text.get_ref()) {
                Ok(pattern) => to.push(pattern),
                Err(error) => {
                    // The last line says what, the ones before draw where.
                    let why = error.to_string();
                    let why = why
                        .lines()
                        .last()
                        .unwrap_or_default()
                        .trim_start_matches("error: ");
                    let cause = format!("an entry of `{key}` is no regular expression: {why}");
                    let fix = "write a dot, bracket or star that means itself with a backslash \
                               before it, and the whole in single quotes: 'server\\.js'";
                    self.refuse(Problem::new(cause, fix), text.span());
                }
            }
        }
    }

    /// An error at one place.
    pub(super) fn refuse(&mut self, problem: Problem, place: Range<usize>) {
        self.problems.push(problem.at(self.source, vec![place]));
    }

    /// An error between keys, shown at those of them that the file has.
    pub(super) fn conflict(&mut self, keys: &[&str], problem: Problem) {
        let places = self.places_of(keys);
        self.problems.push(problem.at(self.source, places));
    }

    fn places_of(&self, keys: &[&str]) -> Vec<Range<usize>> {
        keys.iter()
            .filter_map(|key| self.places.get(key).cloned())
            .collect()
    }
}
