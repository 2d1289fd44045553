//! Whether a licence expression leaves us a licence that we accept.

/// Evaluates `A OR (B AND C WITH e)`, and the old style `A/B`; `None` if it is no expression.
pub fn satisfied(expression: &str, allowed: &dyn Fn(&str) -> bool) -> Option<bool> {
    let spaced = expression
        .replace('/', " OR ")
        .replace('(', " ( ")
        .replace(')', " ) ");
    let words: Vec<&str> = spaced.split_whitespace().collect();
    let (value, rest) = any(&words, allowed)?;
    rest.is_empty().then_some(value)
}

type Parsed<'a, 'b> = Option<(bool, &'a [&'b str])>;

fn any<'a, 'b>(words: &'a [&'b str], allowed: &dyn Fn(&str) -> bool) -> Parsed<'a, 'b> {
    let (mut value, mut rest) = all(words, allowed)?;
    while let Some((&"OR", after)) = rest.split_first() {
        let (next, left) = all(after, allowed)?;
        (value, rest) = (value || next, left);
    }
    Some((value, rest))
}

fn all<'a, 'b>(words: &'a [&'b str], allowed: &dyn Fn(&str) -> bool) -> Parsed<'a, 'b> {
    let (mut value, mut rest) = one(words, allowed)?;
    while let Some((&"AND", after)) = rest.split_first() {
        let (next, left) = one(after, allowed)?;
        (value, rest) = (value && next, left);
    }
    Some((value, rest))
}

fn one<'a, 'b>(words: &'a [&'b str], allowed: &dyn Fn(&str) -> bool) -> Parsed<'a, 'b> {
    match words {
        ["(", rest @ ..] => {
            let (value, rest) = any(rest, allowed)?;
            let (_, rest) = rest.split_first().filter(|(word, _)| **word == ")")?;
            Some((value, rest))
        }
        [")" | "OR" | "AND" | "WITH", ..] | [] => None,
        [name, "WITH", exception, rest @ ..] => {
            Some((allowed(&format!("{name} WITH {exception}")), rest))
        }
        [name, rest @ ..] => Some((allowed(name), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_are_evaluated_as_spdx_means_them() {
        let allowed = |name: &str| ["MIT", "Unicode-3.0", "A WITH x"].contains(&name);
        let check = |text: &str, expected: Option<bool>| {
            assert_eq!(satisfied(text, &allowed), expected, "{text}");
        };
        check("MIT", Some(true));
        check("GPL-3.0-only", Some(false));
        check("GPL-3.0-only OR MIT", Some(true));
        check("Apache-2.0 / MIT", Some(true));
        check("MIT AND GPL-3.0-only", Some(false));
        check("(MIT OR Apache-2.0) AND Unicode-3.0", Some(true));
        check("GPL-3.0-only AND B OR MIT", Some(true));
        check("A WITH x", Some(true));
        check("A", Some(false));
        check("(MIT", None);
        check("MIT Apache-2.0", None);
        check("", None);
        check("OR", None);
    }
}
