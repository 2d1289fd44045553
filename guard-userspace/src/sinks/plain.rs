//! From OpenMetrics to Prometheus's older text format (0.0.4), which prometheus-client does not
//! write.
//!
//! The formats differ in this: OpenMetrics calls a counter's family by its name without `_total`,
//! the older one by the name of its samples; `unknown` is `untyped`, but for what is a counter by
//! its name; `# UNIT` and `# EOF` are OpenMetrics alone.

/// Converts an exposition as prometheus-client writes it: HELP before TYPE, then the samples.
#[must_use]
pub fn from_open_metrics(open_metrics: &str) -> String {
    let mut plain = String::with_capacity(open_metrics.len());
    let mut help: Option<&str> = None;
    for line in open_metrics.lines() {
        if let Some(text) = line.strip_prefix("# HELP ") {
            help = Some(text);
        } else if let Some(text) = line.strip_prefix("# TYPE ") {
            let (name, kind) = text.split_once(' ').unwrap_or((text, "unknown"));
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "unknown" if name.ends_with("_total") => ("", "counter"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            if let Some((_, help)) = help.take().and_then(|text| text.split_once(' ')) {
                plain.extend(["# HELP ", name, suffix, " ", help, "\n"]);
            }
            plain.extend(["# TYPE ", name, suffix, " ", kind, "\n"]);
        } else if !line.starts_with('#') {
            plain.extend([line, "\n"]);
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_are_called_by_the_name_of_their_samples() {
        let open_metrics = "# HELP a_b Some help\n# TYPE a_b counter\na_b_total{t=\"x # EOF\"} 1\n\
                            # HELP c More\n# TYPE c gauge\n# UNIT c bytes\nc 2\n\
                            # HELP d_total D\n# TYPE d_total unknown\nd_total 3\n# EOF\n";
        let plain = "# HELP a_b_total Some help\n# TYPE a_b_total counter\n\
                     a_b_total{t=\"x # EOF\"} 1\n# HELP c More\n# TYPE c gauge\nc 2\n\
                     # HELP d_total D\n# TYPE d_total counter\nd_total 3\n";
        assert_eq!(from_open_metrics(open_metrics), plain);
    }
}
