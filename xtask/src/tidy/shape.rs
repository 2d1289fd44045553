//! The shape of a file: its size, its first line, how it names others.

use crate::tidy::scan;
use crate::tidy::{File, Finding};

/// Lines of the largest file that is let pass; the aim is 150.
const LIMIT: usize = 400;

/// No file past the limit.
pub fn size(file: &File) -> Vec<Finding> {
    let lines = file.text.lines().count();
    let what = || format!("{lines} lines, more than {LIMIT}: split it by idea");
    if lines > LIMIT {
        vec![Finding::new(0, what())]
    } else {
        Vec::new()
    }
}

/// Each file says first what it is.
pub fn first_line(file: &File) -> Vec<Finding> {
    let good = file
        .text
        .lines()
        .next()
        .is_some_and(|line| line.starts_with("//!") && line.len() > 6);
    let what = "the first line must be `//!` and say what the file is for";
    if good {
        Vec::new()
    } else {
        vec![Finding::new(1, what)]
    }
}

/// Two steps up are a path that wants to be `crate::`.
pub fn super_super(file: &File) -> Vec<Finding> {
    let paths = scan::paths(&file.tokens);
    let twice = |words: &[String]| words.windows(2).any(|pair| pair == ["super", "super"]);
    paths
        .iter()
        .filter(|path| twice(&path.words))
        .map(|path| Finding::new(path.line, "no super::super: name it from crate::"))
        .collect()
}

/// A thing has one name; a second one hides which room it belongs to.
pub fn re_export(file: &File) -> Vec<Finding> {
    let paths = scan::paths(&file.tokens);
    paths
        .iter()
        .filter(|path| {
            path.place.re_export && path.words.first().is_some_and(|word| word == "crate")
        })
        .map(|path| {
            Finding::new(
                path.line,
                "no `pub use crate::`: let users name its own room",
            )
        })
        .collect()
}

/// One line about the sizes of all files.
pub fn sizes(files: &[File]) -> String {
    let mut sizes: Vec<(usize, &str)> = files
        .iter()
        .map(|file| (file.text.lines().count(), file.path.as_str()))
        .collect();
    sizes.sort_unstable();
    let median = sizes.get(sizes.len() / 2).map_or(0, |(lines, _)| *lines);
    let largest: Vec<String> = sizes
        .iter()
        .rev()
        .take(3)
        .map(|(lines, path)| format!("{path} {lines}"))
        .collect();
    let total: usize = sizes.iter().map(|(lines, _)| lines).sum();
    format!(
        "tidy: {} files, {total} lines, median {median}, largest {}",
        sizes.len(),
        largest.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(rule: fn(&File) -> Vec<Finding>, source: &str) -> usize {
        rule(&File::parse("x/src/y.rs", source).unwrap()).len()
    }

    #[test]
    fn sizes_and_first_lines() {
        assert_eq!(count(size, &"//\n".repeat(400)), 0);
        assert_eq!(count(size, &"//\n".repeat(401)), 1);
        assert_eq!(count(first_line, "//! A file.\n"), 0);
        assert_eq!(count(first_line, "//!\n"), 1);
        assert_eq!(count(first_line, "use a;\n//! A file.\n"), 1);
        assert_eq!(count(first_line, ""), 1);
    }

    #[test]
    fn names_go_one_way() {
        assert_eq!(count(super_super, "use super::super::a;"), 1);
        assert_eq!(count(super_super, "use super::a; // super::super"), 0);
        assert_eq!(count(re_export, "pub use crate::a::B;"), 1);
        assert_eq!(count(re_export, "pub(crate) use crate::{a, b};"), 2);
        assert_eq!(
            count(re_export, "use crate::a; pub use self::c::D; pub mod e;"),
            0
        );
    }
}
