//! Reads the result lines of Rust's test harness and of libtest-mimic, and adds them up.

/// A skip that this reason begins is one the machine imposes; any other is a failure in CI.
pub const IMPOSED: &str = "cannot here:";

/// What a suite came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Tests that ran and held.
    pub passed: u64,
    /// Tests that ran and did not, with those that could have run and were not.
    pub failed: u64,
    /// Why, one per skipped test.
    pub skipped: Vec<String>,
    /// What failed, by name where a name is known.
    pub failures: Vec<String>,
    /// `test result:` lines seen.
    results: u64,
    /// The sum of their `ignored`.
    ignored: u64,
    /// A failed test whose account has begun (`---- name ----`), and how many lines of it are read.
    account: Option<(String, usize)>,
}

/// Lines of a failed test's account that the closing table repeats.
const ACCOUNT_LINES: usize = 3;

impl Tally {
    /// One check of ours that held.
    pub fn pass(&mut self) {
        self.passed += 1;
    }

    /// One check of ours that did not.
    pub fn fail(&mut self, what: impl Into<String>) {
        self.failed += 1;
        self.failures.push(what.into());
    }

    /// One thing that this machine cannot do.
    pub fn skip(&mut self, reason: impl Into<String>) {
        self.skipped.push(reason.into());
    }

    /// Takes one line of a test program's output.
    pub fn line(&mut self, line: &str) {
        let line = plain(line);
        if let Some(counts) = line.trim_start().strip_prefix("test result: ") {
            self.result(counts);
        } else if let Some(reason) = ignored(&line) {
            self.skipped.push(reason);
        } else if let Some(name) = line
            .strip_prefix("test ")
            .and_then(|rest| rest.strip_suffix(" ... FAILED"))
        {
            self.failures.push(name.trim().to_owned());
        } else {
            self.account(&line);
        }
    }

    /// Puts the beginning of a failed test's account behind its name.
    fn account(&mut self, line: &str) {
        if let Some(name) = line
            .strip_prefix("---- ")
            .and_then(|rest| rest.strip_suffix(" ----"))
        {
            let name = name.strip_suffix(" stdout").unwrap_or(name).trim();
            self.account = Some((name.to_owned(), 0));
            return;
        }
        let Some((name, lines)) = &mut self.account else {
            return;
        };
        if *lines == ACCOUNT_LINES || (line.trim().is_empty() && *lines > 0) {
            self.account = None;
            return;
        }
        if line.trim().is_empty() {
            return;
        }
        *lines += 1;
        let first = format!("{name}: ");
        if let Some(failure) = self
            .failures
            .iter_mut()
            .find(|failure| *failure == name || failure.starts_with(&first))
        {
            let between = if *lines == 1 { ": " } else { " " };
            failure.push_str(between);
            failure.push_str(line.trim());
        }
    }

    /// `ok. 12 passed; 0 failed; 1 ignored; …`: the harness's own sums count, not our reading of
    /// single lines, which a test's own output may tear.
    fn result(&mut self, counts: &str) {
        self.results += 1;
        let count = |word: &str| -> u64 {
            counts
                .split(['.', ';'])
                .find_map(|part| part.trim().strip_suffix(word)?.trim().parse().ok())
                .unwrap_or(0)
        };
        self.passed += count("passed");
        self.failed += count("failed");
        // Reasons of this program that we could not read.
        self.ignored += count("ignored");
        while (self.skipped.len() as u64) < self.ignored {
            self.skipped.push("no reason given".to_owned());
        }
    }

    /// A test program has ended: `None` past its deadline. One that died or ran nothing failed.
    pub fn ended(&mut self, name: &str, success: Option<bool>) {
        match success {
            None => self.fail(format!("{name}: ended at its time limit")),
            Some(false) if self.failed == 0 => self.fail(format!("{name}: died without a verdict")),
            Some(_) if self.results == 0 => self.fail(format!("{name}: ran no test")),
            Some(_) => {}
        }
    }

    /// In CI a skip that the machine does not impose is a failure.
    pub fn strict(mut self) -> Self {
        let (imposed, avoidable): (Vec<_>, Vec<_>) = std::mem::take(&mut self.skipped)
            .into_iter()
            .partition(|reason| reason_of(reason).starts_with(IMPOSED));
        self.skipped = imposed;
        for skip in avoidable {
            self.fail(format!("skipped where it could run: {skip}"));
        }
        self
    }

    /// Adds another tally to this one.
    pub fn add(&mut self, other: &Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped.extend(other.skipped.iter().cloned());
        self.failures.extend(other.failures.iter().cloned());
    }

    /// `12 passed, 0 failed, 1 skipped`; the last part only where there is one.
    pub fn sums(&self) -> String {
        let skipped = match self.skipped.len() {
            0 => String::new(),
            number => format!(", {number} skipped"),
        };
        format!("{} passed, {} failed{skipped}", self.passed, self.failed)
    }
}

/// `name: reason` of a skip line, in either harness's style.
fn ignored(line: &str) -> Option<String> {
    let (name, rest) = line.split_once(" ... ignored").unwrap_or(("", line));
    if name.is_empty() {
        // The test had printed something of its own, which tore the line.
        let reason = line.strip_prefix("ignored (")?.strip_suffix(')')?;
        return Some(reason.to_owned());
    }
    let name = name.strip_prefix("test ")?.trim();
    let reason = rest
        .strip_prefix(" (")
        .and_then(|reason| reason.strip_suffix(')'))
        .or_else(|| rest.strip_prefix(", "))
        .unwrap_or("no reason given");
    Some(format!("{name}: {reason}"))
}

/// The reason without the test's name before it.
fn reason_of(skip: &str) -> &str {
    match skip.find(IMPOSED) {
        Some(at) => skip.get(at..).unwrap_or(skip),
        None => skip,
    }
}

/// The line without terminal colours.
fn plain(line: &str) -> String {
    let mut text = String::with_capacity(line.len());
    let mut escape = false;
    for c in line.chars() {
        match c {
            '\u{1b}' => escape = true,
            _ if escape => escape = !c.is_ascii_alphabetic(),
            _ => text.push(c),
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(text: &str) -> Tally {
        let mut tally = Tally::default();
        text.lines().for_each(|line| tally.line(line));
        tally
    }

    #[test]
    fn both_harnesses_are_read() {
        let libtest = "running 3 tests\ntest a ... ok\ntest b ... ignored, slow\n\
                       test c ... FAILED\n\ntest result: FAILED. 1 passed; 1 failed; 1 ignored; \
                       0 measured; 0 filtered out; finished in 0.00s";
        let mimic = "test a   ... ok\ntest b ... ignored (slow)\ntest c   ... FAILED\n\
                     test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 0 filtered \
                     out; finished in 1.20s";
        for text in [libtest, mimic] {
            let tally = tally(text);
            assert_eq!(tally.sums(), "1 passed, 1 failed, 1 skipped");
            assert_eq!(tally.skipped, ["b: slow"]);
            assert_eq!(tally.failures, ["c"]);
        }
    }

    #[test]
    fn a_failure_is_said_with_its_reason() {
        let mimic = "test a ... FAILED\ntest b ... FAILED\n\nfailures:\n\n---- a ----\nnot gone\n\n\
                     ---- b ----\n1\n2\n3\n4\n\nfailures:\n    a\n    b\n";
        assert_eq!(tally(mimic).failures, ["a: not gone", "b: 1 2 3"]);
        let libtest =
            "test a ... FAILED\n---- a stdout ----\n\nthread 'a' panicked at x.rs:1:\nno\n";
        assert_eq!(
            tally(libtest).failures,
            ["a: thread 'a' panicked at x.rs:1: no"]
        );
    }

    #[test]
    fn several_programs_add_up_and_colours_do_not_matter() {
        let line = "test result: \u{1b}[0m\u{1b}[32mok\u{1b}[0m. 4 passed; 0 failed; 0 ignored; 0 measured";
        assert_eq!(
            tally(&format!("{line}\n{line}")).sums(),
            "8 passed, 0 failed"
        );
    }

    #[test]
    fn a_skip_whose_reason_was_torn_still_counts_once() {
        let text = "test a ... dockerd says hello\nignored (cannot here: no docker)\n\
                    test b ... noise\nmore noise ignored\n\
                    test result: ok. 0 passed; 0 failed; 2 ignored; 0 measured";
        assert_eq!(
            tally(text).skipped,
            ["cannot here: no docker", "no reason given"]
        );
    }

    #[test]
    fn in_ci_only_the_machine_excuses_a_skip() {
        let text = "test a ... ignored (cannot here: no LSM)\ntest b ... ignored (later)\n\
                    test result: ok. 5 passed; 0 failed; 2 ignored; 0 measured";
        let strict = tally(text).strict();
        assert_eq!(strict.sums(), "5 passed, 1 failed, 1 skipped");
        assert_eq!(strict.failures, ["skipped where it could run: b: later"]);
    }

    #[test]
    fn a_program_that_died_hung_or_ran_nothing_failed() {
        let check = |text: &str, success: Option<bool>, failed: u64| {
            let mut tally = tally(text);
            tally.ended("kernel", success);
            assert_eq!(tally.failed, failed, "{text} {success:?}");
        };
        let one_bad = "test result: FAILED. 1 passed; 1 failed; 0 ignored; 0 measured";
        let good = "test result: ok. 1 passed; 0 failed; 0 ignored; 0 measured";
        check(good, Some(true), 0);
        check(one_bad, Some(false), 1);
        check(good, Some(false), 1);
        check("", Some(true), 1);
        check("", Some(false), 1);
        check(good, None, 1);
    }
}
