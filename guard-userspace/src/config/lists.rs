//! Lists of the gate: globs on programs, numbers per family, the ladder of modes.

use super::error::Problem;
use super::gate::Rung;
use super::overlay::Overlay;
use super::raw::At;
use super::tables::MOST;
use std::collections::BTreeMap;
use toml::Spanned;

/// Takes globs on programs.
pub(super) fn globs(
    on: &mut Overlay<'_>,
    key: &'static str,
    given: At<Vec<Spanned<String>>>,
    to: &mut Vec<String>,
) {
    let Some(given) = given else { return };
    let place = given.span();
    let mut globs = Vec::new();
    for glob in given.into_inner() {
        let words = glob.get_ref().split_whitespace().count();
        if !(1..=2).contains(&words) || glob.get_ref().contains('/') {
            let cause = format!("\"{}\" in `{key}` is no program", glob.get_ref());
            let fix = "write a program's name without its directory, as \"npx\" or \"s6-*\", and \
                       at most its first argument, as \"npm exec\"";
            on.refuse(Problem::new(cause, fix), glob.span());
        }
        globs.push(glob.into_inner());
    }
    on.value(key, Some(Spanned::new(place, globs)), to);
}

/// Takes the most trees per family.
pub(super) fn instances(
    on: &mut Overlay<'_>,
    given: Option<BTreeMap<Spanned<String>, Spanned<u64>>>,
    to: &mut BTreeMap<String, u64>,
) {
    for (family, most) in given.unwrap_or_default() {
        if family.get_ref().trim().is_empty() {
            let cause = "a family of `max_instances` has no name";
            let fix = "write the server's command line or a part of it, as \"npx *server-memory*\"";
            on.refuse(Problem::new(cause, fix), family.span());
        }
        let mut checked = 0;
        let fix = "at 0 the server could never start; take it out of the gateway instead";
        on.number("max_instances", Some(most), &mut checked, (1..=MOST, fix));
        to.insert(family.into_inner(), checked);
    }
}

/// Takes the ladder of modes.
pub(super) fn modes(on: &mut Overlay<'_>, given: At<Vec<Rung>>, to: &mut Vec<Rung>) {
    let Some(given) = given else { return };
    let rungs = given.get_ref();
    let twice = rungs
        .iter()
        .enumerate()
        .any(|(n, rung)| rungs.iter().skip(n + 1).any(|r| r == rung));
    if rungs.is_empty() || twice {
        let what = if twice {
            "names one mode twice"
        } else {
            "is empty: nothing could be refused"
        };
        let fix = "name each mode allowed once, best first: [\"lsm\", \"fmod_ret\", \"deny\", \
                   \"kill\"]; to refuse nothing, set mode = \"observe\"";
        on.refuse(Problem::new(format!("`modes` {what}"), fix), given.span());
    }
    on.value("modes", Some(given), to);
}
