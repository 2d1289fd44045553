//! The table: what the cells said, in Markdown.

use std::fmt::Write;

use serde_json::Value;

use super::cells::Cell;

const MODES: [&str; 4] = ["lsm", "fmod_ret", "deny", "kill"];

const HEAD: &str = "\
# Kernels

What each mode of the gate holds on which kernel. This file is written by `cargo xtask test --matrix`, which boots
Debian's kernels in QEMU (emulated, without KVM) and runs the same storms in each: 150 spawns of a program that all stay,
a doubling fork bomb of 4,000 attempts, and 1,500 forks that end at once, eight at a time, against a cap of 20, while an
operator asks for the status all the time. The mode is the only one in the target's `modes`. Do not edit it by hand: run a cell again by its name.

";

const WORDS: &str = "\
- **exact**: never more than the cap at once, and every count as the storms and an independent witness have it. For `lsm` and
  `fmod_ret` what is held to the cap are bodies: a fork over it makes none. For `deny` and `kill` it is running programs: the
  fork succeeds and its child dies before it runs what it wanted to.
- **leaks N**: N more than the cap at once.
- **miscounts**: the cap held, and a count differs; which one is said below.
- **refused**: the kernel does not take the mode, and the agent goes down its ladder to the next one.
- **broken**: it could not be measured. Why is said below.
- *bodies over it*: processes beyond the cap at once, condemned ones among them. They run nothing.
- *past the gate*: forks that no program of the gate saw before they were made. They are condemned at birth and die at their first
  exec or fork, as in `kill`.
- *skipped*: runs that the kernel left out because a program, or a bpf(2) call, was busy on that CPU (`recursion_misses`).
";

const LIMITS: &str = "\
## What no kernel can promise

- `lsm` needs `bpf` in the kernel's `lsm=` list. Without it its programs load, attach, and are never called; the canary notices.
- `fmod_ret` is programs that a task can skip by preempting another inside them, so six copies are attached. Zero above is what was
  seen in these storms, not a proof; what passes all of them is condemned at birth. With three, 8 of 5,670 forks passed on 6.12 with
  `preempt=full`, and none of them ran a program over the cap.
- `deny` says EAGAIN from 6.14 on and EPERM before, of which Node dies where nobody catches it. It stops execs: what only forks, or
  executes from memory or an unmarked mount, is ended by `kill` behind it. It needs a living agent.
- `kill` cannot refuse a fork: the spawner sees its child die by SIGKILL, and bodies exceed the cap for as long as they take to execute.
- Counting goes by classic tracepoints. A task that forks or exits while it preempts a bpf(2) call on its CPU is not counted (`skipped`
  says how often). Where tracefs hides its events (lockdown=confidentiality) it goes by tp_btf, which a task skips that preempts
  another inside it, from 7.0 on: there each program has four copies, and an event is lost that all of them skip. Zero is what was
  seen. With one copy 7.3 lost 1 to 76 events of a kind in these storms; all modes miscounted, and `kill` let 3 too many run.
";

/// All that is known of the cells.
pub fn markdown(known: &[(&Cell, Option<Value>)]) -> String {
    let mut text = String::from(HEAD);
    let _ = writeln!(text, "{}\n", dates(known));
    text.push_str(
        "| cell | kernel | lsm | fmod_ret | deny | kill | built from |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (cell, seen) in known {
        let words: Vec<String> = MODES
            .iter()
            .map(|mode| {
                seen.as_ref()
                    .map_or_else(String::new, |seen| word(seen, mode))
            })
            .collect();
        let release = seen.as_ref().map_or("not run", |seen| release(seen));
        let built = seen.as_ref().and_then(|seen| seen.get("commit")?.as_str());
        let built = built.unwrap_or_default();
        let _ = writeln!(
            text,
            "| {} | {release} | {} | {built} |",
            cell.name,
            words.join(" | ")
        );
    }
    let _ = write!(
        text,
        "\n{WORDS}\n## The cells\n\n| cell | what it is | why |\n| --- | --- | --- |\n"
    );
    for (cell, _) in known {
        let _ = writeln!(text, "| {} | {} | {} |", cell.name, what(cell), cell.why);
    }
    text.push_str(
        "\n## Figures\n\n| cell | mode | verdict | asked | let through | refused | over the cap | bodies over it | past the gate | skipped | records lost |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    let mut notes = String::new();
    for (cell, seen) in known {
        let Some(seen) = seen else { continue };
        for mode in MODES {
            figures(&mut text, &mut notes, cell, seen, mode);
        }
        let notices = seen.get("notices").and_then(Value::as_array);
        for notice in notices.into_iter().flatten().filter_map(Value::as_str) {
            let _ = writeln!(notes, "- {}: {notice}", cell.name);
        }
        if let Some(why) = seen.get("failed").and_then(Value::as_str) {
            let _ = writeln!(notes, "- {}: the machine: {why}", cell.name);
        }
    }
    if !notes.is_empty() {
        let _ = write!(
            text,
            "\n## What is not exact, or happened beside it\n\n{notes}"
        );
    }
    let _ = write!(text, "\n{LIMITS}");
    text
}

/// The days on which it was measured.
fn dates(known: &[(&Cell, Option<Value>)]) -> String {
    let mut all: Vec<&str> = known
        .iter()
        .filter_map(|(_, seen)| seen.as_ref()?.get("date")?.as_str())
        .collect();
    all.sort_unstable();
    all.dedup();
    format!("Measured on {}.", all.join(", "))
}

/// How a cell differs from the usual.
fn what(cell: &Cell) -> String {
    let mut words = vec![format!("Debian's {}", cell.kernel)];
    if !cell.parameters.is_empty() {
        words.push(format!("`{}`", cell.parameters));
    }
    if let Some(list) = cell.lsm {
        words.push(format!("`lsm={list}`"));
    }
    let cgroups = if cell.hybrid {
        "cgroup hybrid"
    } else {
        "cgroup v2"
    };
    words.push(cgroups.to_owned());
    words.push(format!(
        "{} CPU{}",
        cell.cpus,
        if cell.cpus == 1 { "" } else { "s" }
    ));
    words.join(", ")
}

fn lines(seen: &Value) -> impl Iterator<Item = &Value> {
    seen.get("lines")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
}

fn release(seen: &Value) -> &str {
    let found = lines(seen).find_map(|line| line.get("release")?.as_str());
    found.unwrap_or("did not say")
}

fn of_mode<'a>(seen: &'a Value, mode: &str) -> Option<&'a Value> {
    lines(seen).find(|line| line.get("mode").and_then(Value::as_str) == Some(mode))
}

/// One word for a cell and mode, with what a refused spawn says.
fn word(seen: &Value, mode: &str) -> String {
    let Some(line) = of_mode(seen, mode) else {
        return "broken".to_owned();
    };
    let verdict = verdict(line);
    match line.get("errno").and_then(Value::as_str) {
        Some(errno) if mode == "deny" => format!("{verdict}, {errno}"),
        _ => verdict,
    }
}

fn number(line: &Value, name: &str) -> u64 {
    line.get(name).and_then(Value::as_u64).unwrap_or(0)
}

/// How many were too many at once: bodies or programs, whichever the mode holds.
fn over(line: &Value) -> u64 {
    let before = ["lsm", "fmod_ret"].map(Some);
    let held = if before.contains(&line.get("mode").and_then(Value::as_str)) {
        "bodies_over"
    } else {
        "running_over"
    };
    number(line, held).max(number(line, "programs_over"))
}

/// What differs from what it should be; none: all is exact.
fn differences(line: &Value) -> Vec<String> {
    let mut all = Vec::new();
    let spawns = line
        .pointer("/guard/0")
        .and_then(Value::as_u64)
        .unwrap_or(0);
    // A condemned process that forks dies of it before it can say that it did.
    let made = number(line, "made");
    let most = if number(line, "condemned") == 0 {
        made
    } else {
        number(line, "asked")
    };
    if spawns < made || spawns > most {
        all.push(format!(
            "the storms made {made} processes, {spawns} are counted"
        ));
    }
    if let (Some(witness), Some(guard)) = (line.get("witness"), line.get("guard"))
        && !witness.is_null()
        && witness != guard
    {
        all.push(format!(
            "spawns, execs, exits, entered, live, tasks: the guard says {guard}, the witness {witness}"
        ));
    }
    if line.get("settled") != Some(&Value::Bool(true)) {
        all.push("gauges are not 0 when all have gone".to_owned());
    }
    for (name, words) in [
        ("programs_under", "programs fewer than there was room for"),
        ("table_full", "refusals by a full table"),
        ("told_failed", "spawns ended in another way than told to"),
    ] {
        let n = number(line, name);
        // An exec that is denied with EPERM is a failure to the storm.
        let denied =
            name == "told_failed" && line.get("errno").is_some_and(|errno| errno == "EPERM");
        if n > 0 && !denied {
            all.push(format!("{n} {words}"));
        }
    }
    all
}

fn verdict(line: &Value) -> String {
    if line.get("broken").is_some() {
        return "broken".to_owned();
    }
    if line.get("held") != Some(&Value::Bool(true)) {
        return "refused".to_owned();
    }
    match over(line) {
        0 if differences(line).is_empty() => "exact".to_owned(),
        0 => "miscounts".to_owned(),
        n => format!("leaks {n}"),
    }
}

fn figures(text: &mut String, notes: &mut String, cell: &Cell, seen: &Value, mode: &str) {
    let Some(line) = of_mode(seen, mode) else {
        let _ = writeln!(text, "| {} | {mode} | broken | | | | | | | | |", cell.name);
        let _ = writeln!(notes, "- {} {mode}: it said nothing", cell.name);
        return;
    };
    let verdict = verdict(line);
    let why = |name: &str| {
        line.get(name)
            .and_then(Value::as_str)
            .unwrap_or("?")
            .replace('\n', " ")
    };
    match verdict.as_str() {
        "broken" | "refused" => {
            let name = if verdict == "broken" { "broken" } else { "why" };
            let _ = writeln!(
                text,
                "| {} | {mode} | {verdict} | | | | | | | | |",
                cell.name
            );
            let _ = writeln!(notes, "- {} {mode}: {verdict}: {}", cell.name, why(name));
            return;
        }
        _ => {}
    }
    let n = |name| number(line, name);
    let past = if matches!(mode, "lsm" | "fmod_ret") {
        n("condemned").to_string()
    } else {
        "–".to_owned()
    };
    let skipped = skipped(line);
    let bodies = line.get("bodies_over").and_then(Value::as_u64);
    let bodies = bodies.map_or("not seen".to_owned(), |n| n.to_string());
    let _ = writeln!(
        text,
        "| {} | {mode} | {} | {} | {} | {} | {} | {bodies} | {past} | {skipped} | {} |",
        cell.name,
        word(seen, mode),
        n("asked"),
        n("let_through"),
        n("refused"),
        over(line),
        n("records_lost"),
    );
    let differences = differences(line);
    if !differences.is_empty() {
        let _ = writeln!(notes, "- {} {mode}: {}", cell.name, differences.join("; "));
    }
    if line.get("no_witness").is_some() {
        let _ = writeln!(
            notes,
            "- {} {mode}: no witness (tracefs shows no events): the storms' own word alone",
            cell.name
        );
    }
}

/// Runs that the kernel left out, by program; copies of one have the same name.
fn skipped(line: &Value) -> String {
    let all = line.get("misses").and_then(Value::as_array);
    let mut words = Vec::new();
    let mut last = None;
    for one in all.into_iter().flatten() {
        let (name, n) = (one.get(0).and_then(Value::as_str), one.get(1));
        let n = n.and_then(Value::as_u64).unwrap_or(0);
        words.push(if name == last {
            format!("+ {n}")
        } else {
            format!("{} {n}", name.unwrap_or("?"))
        });
        last = name;
    }
    if words.is_empty() {
        "0".to_owned()
    } else {
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn line() -> Value {
        json!({
            "mode": "fmod_ret", "held": true, "made": 30, "guard": [30, 1, 30, 1, 0, 0],
            "witness": [30, 1, 30, 1, 0, 0], "settled": true, "bodies_over": 0,
        })
    }

    #[test]
    fn exact_is_said_only_where_all_agrees() {
        let check = |change: Value, expected: &str| {
            let mut line = line();
            let (Some(all), Value::Object(change)) = (line.as_object_mut(), change) else {
                panic!("objects");
            };
            all.extend(change);
            assert_eq!(verdict(&line), expected, "{line}");
        };
        check(json!({}), "exact");
        check(json!({"witness": null}), "exact");
        check(json!({"witness": [31, 1, 30, 1, 0, 0]}), "miscounts");
        check(json!({"made": 31}), "miscounts");
        check(json!({"made": 29, "asked": 30}), "miscounts");
        check(json!({"made": 29, "asked": 30, "condemned": 9}), "exact");
        check(json!({"settled": false}), "miscounts");
        check(json!({"told_failed": 2}), "miscounts");
        check(json!({"told_failed": 2, "errno": "EPERM"}), "exact");
        check(json!({"bodies_over": 3}), "leaks 3");
        check(json!({"programs_over": 2}), "leaks 2");
        check(json!({"mode": "kill", "bodies_over": 3}), "exact");
        check(json!({"mode": "kill", "running_over": 1}), "leaks 1");
        check(json!({"held": false}), "refused");
        check(json!({"broken": "x"}), "broken");
    }

    #[test]
    fn each_copy_that_was_skipped_is_a_figure() {
        let check = |misses: Value, expected: &str| {
            assert_eq!(skipped(&json!({ "misses": misses })), expected);
        };
        check(json!([]), "0");
        check(json!([["a", 3], ["a", 1], ["b", 2]]), "a 3 + 1 b 2");
    }

    #[test]
    fn a_cell_that_failed_is_in_the_table() {
        let cell = &crate::test::matrix::cells::CELLS[0];
        let seen = json!({"date": "d", "commit": "c", "failed": "it died", "lines": [line()]});
        let text = markdown(&[(cell, Some(seen))]);
        assert!(
            text.contains("| 6.1 | did not say | broken | exact | broken | broken | c |"),
            "{text}"
        );
        assert!(text.contains("- 6.1: the machine: it died"), "{text}");
        assert!(text.contains("- 6.1 kill: it said nothing"), "{text}");
        assert!(markdown(&[(cell, None)]).contains("| 6.1 | not run |"));
    }
}
