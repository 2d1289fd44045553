//! Paths in a token stream: `a::b::{c, d::e}` becomes a::b::c and a::b::d::e.

use proc_macro2::{Delimiter, Spacing, TokenStream, TokenTree};

/// One path as it is written in the source, groups taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Path {
    /// Its words: identifiers alone.
    pub words: Vec<String>,
    /// Where its last word stands.
    pub line: usize,
    /// What stands around it.
    pub place: Place,
}

/// The surroundings of a path that rules ask about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Inline modules around it.
    pub inline_modules: usize,
    /// Inside a module or item marked `#[cfg(test)]`.
    pub test: bool,
    /// Inside an attribute.
    pub attribute: bool,
    /// `pub use` stands before it.
    pub re_export: bool,
    /// An empty pair of parentheses follows: a call without arguments.
    pub called_empty: bool,
}

/// All paths of the stream, single identifiers among them, in the order of the source.
pub fn paths(stream: &TokenStream) -> Vec<Path> {
    let mut found = Vec::new();
    walk(stream, Place::default(), &mut found);
    found
}

fn walk(stream: &TokenStream, place: Place, found: &mut Vec<Path>) {
    let tokens: Vec<TokenTree> = stream.clone().into_iter().collect();
    let mut rest = tokens.as_slice();
    let mut state = State::default();
    while let Some((token, after)) = rest.split_first() {
        rest = match token {
            TokenTree::Ident(_) => {
                let place = Place {
                    re_export: state.re_export(),
                    ..place
                };
                let test = place.test || state.test;
                let used = path(rest, &[], Place { test, ..place }, found);
                state.word(&token.to_string());
                rest.get(used..).unwrap_or_default()
            }
            TokenTree::Group(group) => {
                let attribute = state.hash && group.delimiter() == Delimiter::Bracket;
                let body = group.delimiter() == Delimiter::Brace;
                let inner = Place {
                    inline_modules: place.inline_modules + usize::from(body && state.module),
                    test: place.test || state.test,
                    attribute: place.attribute || attribute,
                    re_export: false,
                    called_empty: false,
                };
                walk(&group.stream(), inner, found);
                if attribute {
                    state.test |= group.stream().to_string().replace(' ', "") == "cfg(test)";
                } else if body {
                    state = State::default();
                }
                state.hash = false;
                after
            }
            TokenTree::Punct(punct) => {
                match punct.as_char() {
                    '#' => state.hash = true,
                    ';' => state = State::default(),
                    // The `!` of an inner attribute.
                    '!' if state.hash => {}
                    _ => state.hash = false,
                }
                after
            }
            TokenTree::Literal(_) => after,
        };
    }
}

/// What the tokens just passed say about those that follow.
#[derive(Default)]
struct State {
    hash: bool,
    module: bool,
    public: bool,
    import: bool,
    test: bool,
}

impl State {
    fn word(&mut self, word: &str) {
        match word {
            "mod" => self.module = true,
            "pub" => self.public = true,
            "use" => self.import = true,
            _ => {}
        }
    }

    fn re_export(&self) -> bool {
        self.public && self.import
    }
}

/// Reads the path that begins at the first token; returns how many tokens it has.
fn path(tokens: &[TokenTree], prefix: &[String], place: Place, found: &mut Vec<Path>) -> usize {
    let mut words = prefix.to_vec();
    let mut line = 0;
    let mut used = 0;
    loop {
        match tokens.get(used) {
            Some(TokenTree::Ident(word)) => {
                words.push(word.to_string());
                line = word.span().start().line;
                used += 1;
            }
            Some(TokenTree::Group(group))
                if group.delimiter() == Delimiter::Brace
                    && used > 0
                    && words.len() > prefix.len() =>
            {
                branches(&group.stream(), &words, place, found);
                return used + 1;
            }
            _ => break,
        }
        if !separator(tokens.get(used..).unwrap_or_default()) {
            break;
        }
        used += 2;
    }
    if words.len() > prefix.len() {
        let called_empty = matches!(tokens.get(used), Some(TokenTree::Group(group))
            if group.delimiter() == Delimiter::Parenthesis && group.stream().is_empty());
        found.push(Path {
            words,
            line,
            place: Place {
                called_empty,
                ..place
            },
        });
    }
    used.max(1)
}

/// The paths within the braces of a `use`, each after the common prefix.
fn branches(stream: &TokenStream, prefix: &[String], place: Place, found: &mut Vec<Path>) {
    let tokens: Vec<TokenTree> = stream.clone().into_iter().collect();
    for branch in tokens.split(|token| matches!(token, TokenTree::Punct(p) if p.as_char() == ',')) {
        if !branch.is_empty() {
            path(branch, prefix, place, found);
        }
    }
}

/// Whether `::` stands first.
fn separator(tokens: &[TokenTree]) -> bool {
    matches!(
        tokens,
        [TokenTree::Punct(one), TokenTree::Punct(two), ..]
            if one.as_char() == ':' && one.spacing() == Spacing::Joint && two.as_char() == ':'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(source: &str) -> Vec<String> {
        paths(&source.parse().unwrap())
            .into_iter()
            .map(|path| path.words.join("::"))
            .collect()
    }

    #[test]
    fn groups_are_taken_apart() {
        assert_eq!(
            words("use a::{b, c::{d, e as f}, *};"),
            ["use", "a::b", "a::c::d", "a::c::e"]
        );
    }

    #[test]
    fn comments_and_strings_are_no_paths_and_macros_hide_nothing() {
        assert_eq!(words("// x::y\nm!(\"p::q\", z::w)"), ["m", "z::w"]);
    }

    #[test]
    fn places_are_known() {
        let source = "use a::b; #[unsafe(x)] mod m { c } #[cfg(test)] mod tests { use d::e; } \
                      pub use f::g; pub fn h() { now() }";
        let found = paths(&source.parse().unwrap());
        let place = |word: &str| {
            found
                .iter()
                .find(|path| path.words.last().is_some_and(|last| last == word))
                .unwrap()
                .place
        };
        assert_eq!(place("b"), Place::default());
        assert!(place("unsafe").attribute);
        assert_eq!(place("c").inline_modules, 1);
        assert!(!place("c").test);
        assert!(place("e").test && !place("e").re_export);
        assert!(place("g").re_export && !place("g").test);
        assert!(place("now").called_empty && !place("now").re_export);
        assert!(place("h").called_empty);
    }
}
