//! Faulty: does nothing until a share of the training is done. Then it does what a bug in a plugin may do to
//! its own run, and must not do to others.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

use framework::dims::{Batch, Latent};
use framework::linkme::distributed_slice;
use framework::model::{Mode, Pass, Real, Traced};
use framework::plugin::{PENALTIES, Penalize, Penalty, Plugin, Term};
use framework::spec::numbers::Share;
use framework::spec::schema_of;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
struct Faulty {
    /// The share of the training steps after which it goes wrong; 1 is never.
    after: Share,
    /// What it does then.
    #[serde(default)]
    fault: Fault,
    /// A file that it makes when it goes wrong; where the file is, it does not.
    once: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum Fault {
    /// It panics.
    #[default]
    Panic,
    /// It aborts the process.
    Abort,
    /// It reads where there is no memory.
    Segfault,
    /// It ends the process as if all were well.
    Exit,
    /// It never comes back.
    Hang,
    /// It starts another process, which does not end, and never comes back.
    HangWithChild,
    /// It starts another process, which does not end, and goes on.
    Child,
    /// It prints 50 MB of anything, and goes on.
    Flood,
    /// It takes all the memory that there is.
    Allocate,
}

#[distributed_slice(PENALTIES)]
#[linkme(crate = framework::linkme)]
static PLUGIN: Plugin<dyn Penalty> = Plugin {
    name: "faulty",
    about: "goes wrong in the middle of training",
    example: "after = 1.0",
    build: |settings| Ok(Box::new(settings.read::<Faulty>()?)),
    schema: schema_of::<Faulty>,
};

impl<E: Real> Penalize<E> for Faulty {
    fn penalize(&self, _: Traced<(Batch, Latent), E>, pass: &Pass<'_, E>) -> Vec<Term<E>> {
        let is_time = pass.step.mode == Mode::Train && pass.step.progress >= self.after.get();
        if is_time && self.is_to_fail() {
            fail(self.fault);
        }
        Vec::new()
    }
}

impl Penalty for Faulty {}

impl Faulty {
    fn is_to_fail(&self) -> bool {
        self.once.as_ref().is_none_or(|once| File::create_new(once).is_ok())
    }
}

fn fail(fault: Fault) {
    match fault {
        Fault::Panic => panic!("a bug in a plugin"),
        Fault::Abort => {
            eprintln!("\u{1b}[31mit cannot go on");
            std::process::abort()
        }
        Fault::Segfault => {
            // SAFETY: none; that is the fault. The kernel answers with SIGSEGV, as nothing is mapped
            // there, and the volatile read keeps the compiler from knowing better.
            unsafe { std::ptr::without_provenance::<u8>(8).read_volatile() };
        }
        Fault::Exit => std::process::exit(0),
        Fault::Hang => hang(),
        Fault::HangWithChild => {
            start_child();
            hang()
        }
        Fault::Child => start_child(),
        Fault::Flood => flood(),
        Fault::Allocate => {
            let mut all = Vec::new();
            loop {
                all.push(vec![1_u8; 4 << 20]);
            }
        }
    }
}

fn hang() -> ! {
    loop {
        std::thread::sleep(std::time::Duration::MAX);
    }
}

/// Starts a process and does not wait for it.
fn start_child() {
    drop(Command::new("sleep").arg("1000").spawn().expect("`sleep` can be started"));
}

/// Text that no reader of a worker's output may take for the worker's own.
const LIE: &str = r#"{"event":"broken","worker":0,"message":"a lie","exit":2}"#;

fn flood() {
    println!("the flood begins\n{LIE}");
    // No UTF-8; a title, a clear screen and a hidden cursor, had a terminal to obey it.
    let part = b"\xff\xfe\x1b]0;flooded\x07\x1b[2J\x1b[?25l".repeat(1 << 12);
    for _ in 0..256 {
        // A full disk must not keep it from the fault.
        let _ = std::io::stdout().write_all(&part);
        let _ = std::io::stderr().write_all(&part);
    }
    println!("\n{LIE}\nthe flood ends");
}
