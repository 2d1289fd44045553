//! How far a value goes.

use core::ops::Range;

/// What may follow a closing quote; anything else goes on with the value, as in a shell.
const AFTER_QUOTE: [char; 11] = [',', '}', ']', ')', ';', '&', '|', '"', '\'', '\\', '>'];

/// The value that begins at `start`: what is between its quotes, or else to the next white space.
/// A quote that is never closed goes to the end.
pub(super) fn at(text: &str, start: usize) -> Range<usize> {
    let rest = text.get(start..).unwrap_or_default();
    let Some(quote) = opening(rest) else {
        return start..start + word(rest).len();
    };
    let inside = start + quote.len();
    let Some(length) = text.get(inside..).and_then(|rest| closing(rest, quote)) else {
        return start..text.len();
    };
    let close = inside + length + quote.len();
    let after = text.get(close..).unwrap_or_default();
    if after.is_empty() || after.starts_with(char::is_whitespace) || after.starts_with(AFTER_QUOTE)
    {
        inside..inside + length
    } else {
        start..close + word(after).len()
    }
}

/// The quote that `text` begins with, with the backslashes before it.
fn opening(text: &str) -> Option<&str> {
    let bare = text.trim_start_matches('\\');
    bare.starts_with(['"', '\''])
        .then(|| text.get(..=text.len() - bare.len()))?
}

/// Bytes before the quote that closes what `quote` opened. A backslash before it makes it another.
fn closing(text: &str, quote: &str) -> Option<usize> {
    let mut found = text.match_indices(quote).map(|(at, _)| at);
    found.find(|&at| !text.get(..at).unwrap_or_default().ends_with('\\'))
}

/// The first word of `text`.
pub(super) fn word(text: &str) -> &str {
    text.split(char::is_whitespace).next().unwrap_or_default()
}

/// Whether a word is another flag and not a value: `--verbose`, `-v`.
pub(super) fn is_flag(word: &str) -> bool {
    let short = |rest: &str| rest.len() == 1 && rest.bytes().all(|byte| byte.is_ascii_alphabetic());
    word.starts_with("--") || word.strip_prefix('-').is_some_and(short)
}
