//! Globs: `*` stands for any text, `?` for one character.

/// Whether `glob` is the whole of `text`.
///
/// It goes back to the last `*` alone, so it takes at most glob × text steps.
#[must_use]
pub fn is_match(glob: &str, text: &str) -> bool {
    let (mut glob, mut text) = (glob.chars(), text.chars());
    // Where to go on, once the last `*` has taken one character more.
    let mut last_star = None;
    loop {
        let before = text.clone();
        match (glob.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = before;
                last_star = Some((glob.clone(), text.clone()));
                continue;
            }
            (Some('?'), Some(_)) => continue,
            (Some(wanted), Some(found)) if wanted == found => continue,
            _ => {}
        }
        let Some((after_star, mut taken)) = last_star else {
            return false;
        };
        if taken.next().is_none() {
            return false;
        }
        (glob, text) = (after_star.clone(), taken.clone());
        last_star = Some((after_star, taken));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn stars_and_question_marks() {
        let check = |glob: &str, text: &str, expected: bool| {
            assert_eq!(is_match(glob, text), expected, "{glob} {text}");
        };
        check("npx", "npx", true);
        check("npx", "npx2", false);
        check("npx", "np", false);
        check("", "", true);
        check("", "x", false);
        check("*", "", true);
        check("s6-*", "s6-svscan", true);
        check("s6-*", "s6", false);
        check("python*", "python3.11", true);
        check("*-server", "mcp-server", true);
        check("*-server", "mcp-server-git", false);
        check(
            "npx *server-memory*",
            "npx @modelcontextprotocol/server-memory",
            true,
        );
        check("a?c", "abc", true);
        check("a?c", "ac", false);
        check("?", "ü", true);
        check("*a*b", "aXbab", true);
        check("**", "x", true);
    }

    /// The same by trying everything.
    fn slowly(glob: &[char], text: &[char]) -> bool {
        match (glob, text) {
            ([], []) => true,
            (['*', rest @ ..], _) => (0..=text.len()).any(|n| slowly(rest, &text[n..])),
            (['?', rest @ ..], [_, text @ ..]) => slowly(rest, text),
            ([one, rest @ ..], [other, text @ ..]) if one == other => slowly(rest, text),
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn as_if_all_were_tried(glob in "[ab*?]{0,8}", text in "[ab]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(is_match(&glob, &text), slowly(&chars(&glob), &chars(&text)));
        }
    }

    #[test]
    fn many_stars_are_no_trap() {
        let (glob, text) = ("*a".repeat(200), "a".repeat(5_000));
        assert!(!is_match(&format!("{glob}b"), &text));
    }
}
