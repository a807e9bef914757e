//! Crates that the program consists of.

use std::collections::BTreeSet;
use std::process::Command;

use crate::support::skipped::skipped;

/// Crates that speak to the network, or that only such crates need. tokio, mio and socket2 are not among
/// them: polars' core needs them for its threads, whatever its features.
const NETWORK: [&str; 23] = [
    "async-http-range-reader",
    "aws-lc-rs",
    "curl",
    "curl-sys",
    "h2",
    "http",
    "hyper",
    "hyper-rustls",
    "hyper-util",
    "isahc",
    "native-tls",
    "object_store",
    "openssl",
    "openssl-sys",
    "polars-sql",
    "quick-xml",
    "quinn",
    "reqwest",
    "ring",
    "rustls",
    "ureq",
    "url",
    "webpki-roots",
];

/// Wrong if the program had code that speaks to the network.
#[test]
fn the_program_has_no_network_code() {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or("cargo".into()));
    cargo.args(["tree", "--package", "saegrid", "--edges", "normal,build", "--prefix", "none"]);
    cargo.args(["--offline", "--locked", "--format", "{p}"]);
    let Ok(output) = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).output() else {
        skipped("there is no cargo, which lists the crates of the program");
        return;
    };
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let crates: BTreeSet<&str> =
        said.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert!(crates.contains("polars") && crates.contains("rusqlite"), "{said}");
    let found: Vec<&&str> = NETWORK.iter().filter(|name| crates.contains(**name)).collect();
    assert!(found.is_empty(), "the program has {found:?}");
}
