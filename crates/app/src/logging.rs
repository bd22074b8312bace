//! Logs by `tracing`: text with tabs as istiod writes it, or JSON; levels from `--log_output_level`.

use std::fmt;

use anyhow::{Context as _, Result};
use tracing::{Event, Subscriber};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::time::{FormatTime, SystemTime};
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};
use tracing_subscriber::registry::LookupSpan;

/// Starts logging.
pub(crate) fn start(levels: &str, as_json: bool) -> Result<()> {
    let filter =
        EnvFilter::try_new(filter(levels)).with_context(|| format!("--log_output_level {levels:?}"))?;
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_ansi(false);
    if as_json {
        builder.json().flatten_event(true).init();
    } else {
        builder.event_format(Text).init();
    }
    Ok(())
}

/// `default:info,ads:debug` to the filter of `tracing`: scopes are the names of our crates.
fn filter(levels: &str) -> String {
    let mut directives = Vec::new();
    for item in levels.split(',').map(str::trim).filter(|item| !item.is_empty()) {
        let (scope, level) = item.split_once(':').unwrap_or(("default", item));
        let level = match level {
            "none" => "off",
            "fatal" => "error",
            level => level,
        };
        match scope {
            "default" | "all" => directives.push(level.to_owned()),
            "ads" => directives.push(format!("server={level}")),
            scope => directives.push(format!("{scope}={level}")),
        }
    }
    directives.join(",")
}

/// Time, level, scope and message with tabs between them.
struct Text;

impl<S, N> FormatEvent<S, N> for Text
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        ctx: &FmtContext<'_, S, N>,
        mut out: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        SystemTime.format_time(&mut out)?;
        let level = event.metadata().level().as_str().to_ascii_lowercase();
        let scope = event.metadata().target().split("::").next().unwrap_or_default();
        write!(out, "\t{level}\t{scope}\t")?;
        ctx.field_format().format_fields(out.by_ref(), event)?;
        writeln!(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_become_directives() {
        assert_eq!(filter("default:info,ads:debug,xds:none"), "info,server=debug,xds=off");
        assert_eq!(filter("warn"), "warn");
    }
}
