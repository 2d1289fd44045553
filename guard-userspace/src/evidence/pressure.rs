//! How the host suffers for want of memory.

use std::fs;

/// Where the kernel says it (since 4.20; not with `psi=0`).
const FILE: &str = "/proc/pressure/memory";

/// Share of the last 10 s in which all that could run waited for memory, in hundredths of a percent;
/// `None`: the kernel does not say.
#[must_use]
pub fn full_avg10() -> Option<u64> {
    parse(&fs::read_to_string(FILE).ok()?)
}

/// `full avg10=1.23 avg60=0.00 avg300=0.00 total=0`: always two digits (fs/proc, psi_show).
fn parse(text: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix("full "))?;
    let mut words = line.split_ascii_whitespace();
    let share = words.find_map(|word| word.strip_prefix("avg10="))?;
    let (whole, rest) = share.split_once('.')?;
    let rest = rest.get(..2).filter(|_| rest.len() == 2)?;
    let number = |digits: &str| digits.parse::<u64>().ok();
    number(whole)?.checked_mul(100)?.checked_add(number(rest)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_line_of_all_is_read() {
        let check = |text: &str, expected| assert_eq!(parse(text), expected, "{text:?}");
        let some = "some avg10=99.00 avg60=0.00 avg300=0.00 total=1\n";
        let full = "full avg10=12.05 avg60=1.00 avg300=0.00 total=9\n";
        check(&format!("{some}{full}"), Some(1_205));
        check(full, Some(1_205));
        check(some, None);
        check("full avg10=100.00 x", Some(10_000));
        check("full avg10=1.2", None);
        check("full avg10=99999999999999999999.00", None);
        check("", None);
    }

    proptest! {
        #[test]
        fn any_text_is_no_panic(text: String) {
            let _ = parse(&text);
            let _ = parse(&format!("full avg10={text}"));
        }
    }
}
