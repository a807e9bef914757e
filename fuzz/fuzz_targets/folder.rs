#![no_main]

use std::path::PathBuf;
use std::sync::LazyLock;
use std::time::Duration;

use saegrid_fuzz::folder::{Template, folder};

/// The program is not a part of the fuzzer: `SAEGRID` says where it is.
static TEMPLATE: LazyLock<Template> = LazyLock::new(|| {
    let program = std::env::var_os("SAEGRID").expect("SAEGRID is the path of the program");
    Template::new(&PathBuf::from(program))
});

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    folder(&TEMPLATE, bytes, Duration::from_secs(10));
});
