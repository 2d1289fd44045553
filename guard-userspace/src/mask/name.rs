//! Secrets that their name gives away: flags, variables, headers, JSON keys.

use super::{Found, value};
use core::ops::Range;
use regex::Regex;
use std::sync::LazyLock;

/// What is in the names of secrets. Unanchored and without case, so that one search finds them.
const WORDS: &str =
    r"(?i-u)token|secret|passw|passphrase|pass|pwd|credential|api[_-]?key|key|bearer|auth";

static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(WORDS).ok());

/// Schemes of the Authorization header, after which the secret itself comes.
const SCHEMES: [&str; 6] = ["bearer", "basic", "digest", "token", "negotiate", "apikey"];

/// The next value with a telling name at or after `from`.
pub(super) fn next(text: &str, mut from: usize) -> Option<Found> {
    loop {
        let name = next_name(text, from)?;
        if let Some(secret) = value_of(text, &name) {
            let next = secret.end.max(name.end);
            return Some(Found { secret, next });
        }
        from = name.end;
    }
}

/// Whether `flag` is a flag, without its value, that a secret follows.
pub(super) fn is_secret_flag(flag: &str) -> bool {
    flag.starts_with('-') && next_name(flag, 0).is_some_and(|name| name == (0..flag.len()))
}

/// The next name with a telling word in it.
fn next_name(text: &str, from: usize) -> Option<Range<usize>> {
    let mut search = from;
    loop {
        let word = WORD.as_ref()?.find_at(text, search)?;
        let after = text.get(word.end()..).unwrap_or_default();
        if tells(word.as_str(), after) {
            let before = text.get(from..word.start()).unwrap_or_default();
            let left = before
                .bytes()
                .rev()
                .take_while(|&byte| is_of_name(byte))
                .count();
            let right = after.bytes().take_while(|&byte| is_of_name(byte)).count();
            return Some(word.start() - left..word.end() + right);
        }
        search = word.end();
    }
}

const fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.')
}

/// Short words tell only where they end: `API_KEY` and `authHeader`, not `keyboard` or `author`.
fn tells(word: &str, after: &str) -> bool {
    let short = ["key", "auth", "pass"]
        .iter()
        .any(|short| word.eq_ignore_ascii_case(short));
    let next = after.bytes().next().unwrap_or(b' ');
    let hump = next.is_ascii_uppercase() && word.ends_with(|last: char| last.is_ascii_lowercase());
    let more = |text: &str| {
        let start = after.get(..text.len()).unwrap_or_default();
        start.eq_ignore_ascii_case(text)
    };
    let plural = more("s") && !after.get(1..).is_some_and(starts_with_letter);
    let header = word.eq_ignore_ascii_case("auth") && (more("orization") || more("entication"));
    !short || !next.is_ascii_alphabetic() || hump || plural || header
}

fn starts_with_letter(text: &str) -> bool {
    text.starts_with(|first: char| first.is_ascii_alphabetic())
}

/// Where the value of the name is, if it has one.
fn value_of(text: &str, name: &Range<usize>) -> Option<Range<usize>> {
    let shown = text.get(name.clone())?;
    let after = text.get(name.end..)?;
    // `"token": "x"`, `{\"token\":\"x\"}`, `form[token]=x`
    let closed = after.trim_start_matches(['\\', '"', '\'', ']']);
    let spaced = closed.trim_start();
    let start = if spaced.starts_with(['=', ':']) {
        let value = spaced.trim_start_matches(['=', ':', '>']).trim_start();
        text.len() - value.len()
    } else if shown.starts_with('-') || shown.eq_ignore_ascii_case("bearer") {
        // The value is the next word, if a word comes and not another flag.
        let is_next = after.starts_with(char::is_whitespace);
        let value = after.trim_start();
        if !is_next || value::is_flag(value::word(value)) {
            return None;
        }
        text.len() - value.len()
    } else {
        return None;
    };
    let found = value::at(text, start);
    let scheme = text.get(found.clone()).unwrap_or_default();
    if SCHEMES.iter().any(|name| scheme.eq_ignore_ascii_case(name)) {
        let rest = text.get(found.end..).unwrap_or_default();
        let secret = rest.trim_start();
        if !secret.is_empty() {
            return Some(value::at(text, text.len() - secret.len()));
        }
    }
    Some(found)
}
