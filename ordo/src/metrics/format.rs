//! The two text formats of metrics, chosen by `Accept`.

use std::fmt::Write;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use http::{HeaderMap, HeaderValue};
use problem::prefers;

/// The format in which metrics are answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum MetricsFormat {
    /// OpenMetrics 1.0.
    OpenMetrics,
    /// Prometheus's older one, 0.0.4.
    Prometheus,
}

impl MetricsFormat {
    /// The format that `Accept` prefers; OpenMetrics by default.
    pub(super) fn wanted(headers: &HeaderMap) -> Self {
        let is_older = prefers(headers, "text/plain", "application/openmetrics-text");
        if is_older { Self::Prometheus } else { Self::OpenMetrics }
    }

    /// An answer from text in OpenMetrics.
    pub(super) fn answer(self, text: String) -> Response {
        let (media_type, text) = match self {
            Self::OpenMetrics => ("application/openmetrics-text; version=1.0.0; charset=utf-8", text),
            Self::Prometheus => ("text/plain; version=0.0.4; charset=utf-8", older(&text)),
        };
        ([(CONTENT_TYPE, HeaderValue::from_static(media_type))], text).into_response()
    }
}

/// Converts to the older format: counters have `_total` in all lines, and there are no units and no end.
fn older(text: &str) -> String {
    let (mut older, mut help) = (String::with_capacity(text.len()), None);
    for line in text.lines() {
        if let Some(of_family) = line.strip_prefix("# HELP ") {
            help = of_family.split_once(' ');
        } else if let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|line| line.split_once(' ')) {
            let (suffix, kind) = match kind {
                "counter" => ("_total", "counter"),
                "unknown" => ("", "untyped"),
                other => ("", other),
            };
            // Writing to a string does not fail.
            if let Some((_, help)) = help.take() {
                let _ = writeln!(older, "# HELP {family}{suffix} {help}");
            }
            let _ = writeln!(older, "# TYPE {family}{suffix} {kind}");
        } else if !line.starts_with('#') {
            let _ = writeln!(older, "{line}");
        }
    }
    older
}

#[cfg(test)]
mod tests {
    use http::header::ACCEPT;

    use super::*;

    #[test]
    fn the_format_is_the_one_that_is_wanted_most() {
        for (accept, format) in [
            (None, MetricsFormat::OpenMetrics),
            (Some("*/*"), MetricsFormat::OpenMetrics),
            (Some("text/html,application/xhtml+xml,*/*;q=0.8"), MetricsFormat::OpenMetrics),
            (Some("text/plain;version=0.0.4"), MetricsFormat::Prometheus),
            (Some("text/plain"), MetricsFormat::Prometheus),
            (Some("text/*, */*;q=0.1"), MetricsFormat::Prometheus),
            (
                Some("application/openmetrics-text;version=1.0.0;q=0.5,text/plain;version=0.0.4;q=0.3,*/*;q=0.2"),
                MetricsFormat::OpenMetrics,
            ),
            (Some("application/openmetrics-text; q=0.2, text/plain; version=0.0.4; q=0.6"), MetricsFormat::Prometheus),
            (Some("application/openmetrics-text, text/plain;q=0"), MetricsFormat::OpenMetrics),
            (Some("nonsense"), MetricsFormat::OpenMetrics),
        ] {
            let headers = accept.map(|accept| (ACCEPT, HeaderValue::from_static(accept))).into_iter().collect();
            assert_eq!(MetricsFormat::wanted(&headers), format, "{accept:?}");
        }
    }

    #[test]
    fn the_older_format_has_totals_and_no_units() {
        let newer = "# HELP a Things.\n# TYPE a counter\na_total{b=\"c # d\"} 1\n# HELP s_seconds Time.\n# TYPE s_seconds gauge\n\
                     # UNIT s_seconds seconds\ns_seconds 0.5\n# HELP u What.\n# TYPE u unknown\nu 1\n# EOF\n";
        assert_eq!(
            older(newer),
            "# HELP a_total Things.\n# TYPE a_total counter\na_total{b=\"c # d\"} 1\n# HELP s_seconds Time.\n\
             # TYPE s_seconds gauge\ns_seconds 0.5\n# HELP u What.\n# TYPE u untyped\nu 1\n"
        );
    }
}
