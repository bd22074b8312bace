//! `trierarch iptables` on a real kernel: what it makes is the same the second time, and nothing of it is left after
//! a clean-up. That it redirects is what all other tests here show.

use std::net::Ipv4Addr;
use std::path::Path;

use anyhow::{Result, ensure};
use tests::namespaces::{self, Network, run};

const IN_A_POD: &[&str] =
    &["-p", "15001", "-z", "15006", "-u", "1337", "-i", "*", "-b", "*", "-d", "15090,15021"];

#[test]
fn rules_come_once_and_go_without_a_trace() -> Result<()> {
    if !namespaces::are_possible()? {
        return Ok(());
    }
    let trierarch = tests::binary::binary()?;
    let mut network = Network::new()?;
    network.join("a", Ipv4Addr::new(10, 77, 2, 1))?;
    // A rule of somebody else.
    let call = |program: &Path, arguments: &[&str]| {
        run(
            network.command("a", program).args(arguments),
            &format!("{} {}", program.display(), arguments.join(" ")),
        )
    };
    let iptables = Path::new("iptables");
    call(iptables, &["-t", "nat", "-A", "OUTPUT", "-d", "192.0.2.9/32", "-j", "RETURN"])?;
    let state = || -> Result<String> {
        let mut all = call(Path::new("ip"), &["rule", "list"])?;
        for table in ["raw", "mangle", "nat"] {
            let saved = call(Path::new("iptables-save"), &["-t", table])?;
            // Packets are counted, and there are lines of remarks.
            let lines = saved.lines().filter(|line| !line.starts_with('#'));
            all.extend(lines.map(|line| format!("{}\n", line.split(" [").next().unwrap_or_default())));
        }
        Ok(all)
    };
    let before = state()?;
    let cases: [&[&str]; 4] = [
        &["-m", "REDIRECT"],
        &["-m", "TPROXY", "-c", "eth9"],
        &["-m", "REDIRECT", "--redirect-dns", "--capture-all-dns=true", "-k", "tap0", "-x", "10.9.0.0/16"],
        &["-m", "REDIRECT", "--drop-invalid", "-q", "9000", "-o", "22", "-g", "7,8"],
    ];
    for case in cases {
        let flags = [&["iptables"], IN_A_POD, case].concat();
        let printed = call(&trierarch, &[&flags[..], &["--dry-run"]].concat())?;
        ensure!(printed.contains("-N ISTIO_OUTPUT") && state()? == before, "--dry-run: {printed}");
        call(&trierarch, &flags)?;
        let once = state()?;
        for rule in printed.lines().filter(|line| line.starts_with("-N")) {
            let chain = rule.trim_start_matches("-N ");
            ensure!(once.contains(&format!(":{chain} ")), "{chain} is missing:\n{once}");
        }
        call(&trierarch, &flags)?;
        ensure!(state()? == once, "{case:?} the second time:\n{}\nand the first:\n{once}", state()?);
        call(&trierarch, &[&flags[..], &["--cleanup-only"]].concat())?;
        ensure!(state()? == before, "{case:?} leaves:\n{}\nof:\n{before}", state()?);
    }
    Ok(())
}
