//! Values with a unit, as they are written in the file: lengths of time, bytes, percentages.
//!
//! Each has one type for reading. An error's text is `cause` and, on a second line, `fix`; the
//! error's reader takes them apart again.

use bytesize::ByteSize;
use core::fmt;
use core::time::Duration;
use serde::de::{Deserialize, Deserializer, Error, Visitor};
use serde::{Serialize, Serializer};

/// Separates cause and fix in the text of an error made while a value is read.
pub(super) const FIX: char = '\n';

/// A length of time: `"10s"`, `"5m"`, `"1h 30m"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub Duration);

/// A number of bytes: `"4GiB"`, `"500MB"`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Bytes(pub u64);

/// A share: `"75%"`, whole percents from 0 to 100.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Percent(pub u8);

impl Percent {
    /// That share of `whole`, rounded down.
    #[must_use]
    pub const fn of(self, whole: u64) -> u64 {
        // No memory has so many bytes that this would be less than it should.
        (whole / 100).saturating_mul(self.0 as u64) + (whole % 100) * self.0 as u64 / 100
    }
}

/// How a value with a unit is read from its text.
trait Unit: Sized {
    /// What to write, with an example.
    const WRITE: &'static str;
    /// The value; `Err` with the cause.
    fn parse(text: &str) -> Result<Self, String>;
    /// How the bare number would be written with a unit.
    fn with_unit(number: i64) -> String;
}

impl Unit for Time {
    const WRITE: &'static str = "a length of time in quotes, as \"10s\", \"5m\" or \"1h 30m\"";

    fn parse(text: &str) -> Result<Self, String> {
        humantime::parse_duration(text)
            .map(Self)
            .map_err(|error| format!("\"{text}\" is no length of time: {error}"))
    }

    fn with_unit(number: i64) -> String {
        format!("\"{number}s\"")
    }
}

impl Unit for Bytes {
    const WRITE: &'static str = "a number of bytes in quotes, as \"4GiB\" or \"500MB\"";

    fn parse(text: &str) -> Result<Self, String> {
        if text.trim_start().starts_with('-') {
            return Err(format!("\"{text}\" is below nothing"));
        }
        text.parse::<ByteSize>()
            .map(|size| Self(size.as_u64()))
            .map_err(|_| format!("\"{text}\" is no number of bytes"))
    }

    fn with_unit(number: i64) -> String {
        format!("\"{number}B\"")
    }
}

impl Unit for Percent {
    const WRITE: &'static str = "whole percents in quotes, as \"75%\"";

    fn parse(text: &str) -> Result<Self, String> {
        let number = text.trim_end().strip_suffix('%').map(str::trim);
        number
            .and_then(|number| number.parse().ok())
            .filter(|&percent| percent <= 100)
            .map(Self)
            .ok_or_else(|| format!("\"{text}\" is no percentage from 0 to 100"))
    }

    fn with_unit(number: i64) -> String {
        format!("\"{number}%\"")
    }
}

/// Reads a [`Unit`]; a bare number gets an error that says how to write it.
struct Read<U>(core::marker::PhantomData<U>);

impl<U: Unit> Visitor<'_> for Read<U> {
    type Value = U;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str(U::WRITE)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<U, E> {
        U::parse(text).map_err(|cause| E::custom(format!("{cause}{FIX}write {}", U::WRITE)))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<U, E> {
        let written = U::with_unit(number);
        Err(E::custom(format!(
            "{number} has no unit{FIX}write {}: here perhaps {written}",
            U::WRITE
        )))
    }
}

macro_rules! read_as_unit {
    ($($unit:ty),+) => {$(
        impl<'de> Deserialize<'de> for $unit {
            fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                from.deserialize_any(Read(core::marker::PhantomData))
            }
        }

        impl Serialize for $unit {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_str(self)
            }
        }
    )+};
}

read_as_unit!(Time, Bytes, Percent);

impl fmt::Display for Time {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        humantime::format_duration(self.0).fmt(out)
    }
}

/// Exact: the largest unit that divides the number, so that reading it again gives the same.
impl fmt::Display for Bytes {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        const UNITS: [(u64, &str); 8] = [
            (1 << 40, "TiB"),
            (1_000_000_000_000, "TB"),
            (1 << 30, "GiB"),
            (1_000_000_000, "GB"),
            (1 << 20, "MiB"),
            (1_000_000, "MB"),
            (1 << 10, "KiB"),
            (1_000, "kB"),
        ];
        for (unit, name) in UNITS {
            if self.0 != 0 && self.0.is_multiple_of(unit) {
                return write!(out, "{}{name}", self.0 / unit);
            }
        }
        write!(out, "{}B", self.0)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(out, "{}%", self.0)
    }
}

/// Writes a [`Duration`] as [`Time`] does.
pub(super) fn write_time<S: Serializer>(time: &Duration, to: S) -> Result<S::Ok, S::Error> {
    Time(*time).serialize(to)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_is_written_means_the_number() {
        let bytes = |text: &str| Bytes::parse(text).map(|bytes| bytes.0);
        assert_eq!(bytes("4GiB"), Ok(4 << 30));
        assert_eq!(bytes("8GB"), Ok(8_000_000_000));
        assert_eq!(bytes("1024"), Ok(1024));
        assert!(bytes("-1GB").is_err());
        assert!(bytes("many").is_err());
        let time = |text: &str| Time::parse(text).map(|time| time.0.as_millis());
        assert_eq!(time("1h 30m"), Ok(5_400_000));
        assert_eq!(time("20ms"), Ok(20));
        assert!(time("10").is_err());
        let percent = |text: &str| Percent::parse(text).map(|percent| percent.0);
        assert_eq!(percent("75%"), Ok(75));
        assert!(percent("101%").is_err());
        assert!(percent("75").is_err());
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(n in any::<u32>(), shift in 0u32..20, p in 0u8..=100) {
            let bytes = Bytes(u64::from(n) << shift);
            prop_assert_eq!(Bytes::parse(&bytes.to_string()), Ok(bytes));
            prop_assert_eq!(Percent::parse(&Percent(p).to_string()), Ok(Percent(p)));
            let time = Time(Duration::from_millis(u64::from(n)));
            prop_assert_eq!(Time::parse(&time.to_string()), Ok(time));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = (Time::parse(&text), Bytes::parse(&text), Percent::parse(&text));
        }
    }
}
