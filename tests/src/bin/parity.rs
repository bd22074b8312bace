//! `parity [SCENARIO…] [--diff] [--type cds] [--proxy NAME] [--name RESOURCE]`: compares what we generate with what
//! the real istiod sent, prints a table, and with `--diff` the lines that differ. `--raise` lifts the floors to what
//! is reached.

use std::io::Write as _;
use std::process::ExitCode;

use testkit::parity::{Scenario, shared_dir};

fn main() -> ExitCode {
    let mut scenarios = Vec::new();
    let mut options = tests::parity::Options::default();
    let mut raise = false;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--diff" => options.diff = true,
            "--raise" => raise = true,
            "--type" => options.kind = args.next(),
            "--proxy" => options.proxy = args.next(),
            "--name" => options.name = args.next(),
            _ if arg.starts_with("--") => {
                eprintln!(
                    "usage: parity [SCENARIO…] [--diff] [--type cds|eds|lds|rds|nds|ecds] [--proxy NAME] [--name TEXT]"
                );
                return ExitCode::from(2);
            }
            _ => scenarios.push(arg),
        }
    }
    let Some(shared) = shared_dir() else {
        eprintln!("no folder `shared/parity` beside the repository; set TRIERARCH_SHARED");
        return ExitCode::FAILURE;
    };
    let all = Scenario::names(&shared).unwrap_or_default();
    let wanted: Vec<String> = all
        .into_iter()
        .filter(|name| {
            scenarios.is_empty()
                || scenarios
                    .iter()
                    .any(|s| s.strip_suffix('*').map_or(s == name, |prefix| name.starts_with(prefix)))
        })
        .collect();
    let report = tests::parity::run(&shared, &wanted, &options);
    // A reader that stops early (`| head`) is no error.
    let _ = writeln!(std::io::stdout(), "{report}");
    if raise && let Err(error) = tests::parity::raise_floors(&report) {
        eprintln!("the floors cannot be written: {error}");
        return ExitCode::FAILURE;
    }
    ExitCode::SUCCESS
}
