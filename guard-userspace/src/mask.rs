//! Takes secrets out of command lines before they are shown, stored or sent.
//!
//! Masked are values of flags, variables, headers and JSON keys with a telling name
//! (`--token x`, `API_KEY=x`, `Authorization: Bearer x`, `"secret": "x"`), the user info of URLs,
//! and tokens of well-known shape wherever they are. In doubt a value is masked: a line that says
//! too little is a nuisance, one that says too much cannot be taken back.

mod name;
mod shape;
mod value;

use std::borrow::Cow;

/// What stands in the place of a secret.
pub const MASK: &str = "***";

/// Most times that a line with secrets is looked at again; none needed more than one.
const ROUNDS: usize = 8;

/// A command line, its arguments joined by spaces, without its secrets. Borrowed where there are
/// none. Masking again changes nothing.
///
/// Where one argument ends and the next begins cannot be seen here: of a value with spaces and
/// without quotes the first word alone is masked. Use [`arguments`] where they are known.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    match once(text) {
        Cow::Borrowed(text) => Cow::Borrowed(text),
        Cow::Owned(mut masked) => {
            // What is taken out can bare what stood behind it.
            for _ in 0..ROUNDS {
                match once(&masked) {
                    Cow::Borrowed(_) => break,
                    Cow::Owned(more) => masked = more,
                }
            }
            Cow::Owned(masked)
        }
    }
}

fn once(text: &str) -> Cow<'_, str> {
    match replace(text, shape::next) {
        Cow::Borrowed(text) => replace(text, name::next),
        Cow::Owned(text) => Cow::Owned(replace(&text, name::next).into_owned()),
    }
}

/// Arguments joined by single spaces, without their secrets.
#[must_use]
pub fn arguments<S: AsRef<str>>(arguments: &[S]) -> String {
    let joined = flags(arguments).join(" ");
    match line(&joined) {
        Cow::Borrowed(_) => joined,
        Cow::Owned(masked) => masked,
    }
}

/// Arguments one by one, without their secrets.
#[must_use]
pub fn each<S: AsRef<str>>(arguments: &[S]) -> Vec<String> {
    let masked = flags(arguments).into_iter();
    masked
        .map(|argument| line(&argument).into_owned())
        .collect()
}

/// Arguments with the values of telling flags masked to their ends, spaces included.
fn flags<S: AsRef<str>>(arguments: &[S]) -> Vec<Cow<'_, str>> {
    let mut after_flag = false;
    let mut masked = Vec::with_capacity(arguments.len());
    for argument in arguments.iter().map(AsRef::as_ref) {
        let value = after_flag && !value::is_flag(argument);
        masked.push(match argument.split_once('=') {
            _ if value => Cow::Borrowed(MASK),
            Some((flag, _)) if name::is_secret_flag(flag) => format!("{flag}={MASK}").into(),
            _ => Cow::Borrowed(argument),
        });
        after_flag = name::is_secret_flag(argument);
    }
    masked
}

/// Where a secret is, and where the search goes on.
struct Found {
    /// The secret, to be replaced.
    secret: core::ops::Range<usize>,
    /// At or after its end.
    next: usize,
}

/// Replaces all that `next` finds, searching from the place it is given.
fn replace(text: &str, next: fn(&str, usize) -> Option<Found>) -> Cow<'_, str> {
    let mut masked: Option<String> = None;
    let (mut from, mut copied) = (0, 0);
    while let Some(found) = next(text, from) {
        from = found.next;
        let secret = text.get(found.secret.clone()).unwrap_or_default();
        if secret != MASK && !secret.is_empty() {
            let out = masked.get_or_insert_default();
            out.push_str(text.get(copied..found.secret.start).unwrap_or_default());
            out.push_str(MASK);
            copied = found.secret.end;
        }
    }
    match masked {
        None => Cow::Borrowed(text),
        Some(mut out) => {
            out.push_str(text.get(copied..).unwrap_or_default());
            Cow::Owned(out)
        }
    }
}

#[cfg(test)]
mod tests;
