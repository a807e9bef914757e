//! What a run says on standard output and error goes to a log in its folder, straight through the
//! system, so that the last words of a process that crashes are there too.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use store::Attempt;

/// A log may grow to this size; then all but its beginning and its end is cut out.
const MOST: u64 = 1 << 20;

/// How much of the beginning stays, and how much of the end.
const KEPT: u64 = 64 << 10;

/// What stands in the place of the rest.
const CUT: &[u8] = b"\n[more than 1 MiB was written; this part is cut out]\n";

/// The standard output and error of this process, which are those of the run that it works on.
pub struct Output {
    /// Where standard error went to begin with.
    #[cfg(unix)]
    own: Option<std::os::fd::OwnedFd>,
}

impl Output {
    /// Takes them over. What still reads standard output is returned: events go there.
    pub fn take() -> (Self, Box<dyn Write + Send>) {
        #[cfg(unix)]
        {
            use rustix::io::fcntl_dupfd_cloexec;
            use rustix::stdio::{stderr, stdout};
            // Above the numbers of the standard streams.
            let own = fcntl_dupfd_cloexec(stderr(), 3).ok();
            let events = fcntl_dupfd_cloexec(stdout(), 3).ok().map(File::from);
            if let Some(own) = &own {
                // What a plugin prints is no event.
                let _ = rustix::stdio::dup2_stdout(own);
            }
            let events: Box<dyn Write + Send> = match events {
                Some(events) => Box::new(events),
                None => Box::new(std::io::stdout()),
            };
            (Self { own }, events)
        }
        #[cfg(not(unix))]
        (Self {}, Box::new(std::io::stdout()))
    }

    /// Sends both to the log of an attempt from now on.
    pub fn log_to(&self, attempt: &Attempt) -> Log {
        let file = attempt.make_log();
        #[cfg(unix)]
        if let Some(file) = &file {
            let _ = rustix::stdio::dup2_stdout(file);
            let _ = rustix::stdio::dup2_stderr(file);
        }
        Log(file)
    }

    /// Sends both back to where standard error went.
    pub fn restore(&self) {
        #[cfg(unix)]
        if let Some(own) = &self.own {
            let _ = rustix::stdio::dup2_stdout(own);
            let _ = rustix::stdio::dup2_stderr(own);
        }
    }
}

/// The log of an attempt.
pub struct Log(Option<File>);

impl Log {
    /// The log of an attempt whose process has ended.
    pub fn of(attempt: &Attempt) -> Self {
        Self(attempt.open_log())
    }

    /// Its end, for a look at what a process said last.
    pub fn last_words(&mut self) -> String {
        const MOST: u64 = 4096;
        let mut read = || -> io::Result<Vec<u8>> {
            let (mut end, Some(file)) = (Vec::new(), &mut self.0) else { return Ok(Vec::new()) };
            let length = file.metadata()?.len();
            file.seek(SeekFrom::Start(length.saturating_sub(MOST)))?;
            Read::by_ref(file).take(MOST).read_to_end(&mut end)?;
            Ok(end)
        };
        String::from_utf8_lossy(&read().unwrap_or_default()).into_owned()
    }

    /// Cuts it where it has grown too large: its beginning and what was said last stay.
    pub fn cap(&mut self) {
        if let Some(file) = &mut self.0 {
            // What cannot be cut now can be later.
            let _ = cap(file);
        }
    }
}

/// What is written between the look at the end and the cut is lost, and may be the last words: so the end
/// is looked at again while it grows, but not without end in a flood.
const LOOKS: usize = 16;

fn cap(file: &mut File) -> io::Result<()> {
    let (mut length, mut looked, mut end) = (file.metadata()?.len(), 0, Vec::new());
    if length <= MOST {
        return Ok(());
    }
    for _ in 0..LOOKS {
        if looked == length {
            break;
        }
        (looked, end) = (length, Vec::new());
        file.seek(SeekFrom::Start(length - KEPT))?;
        Read::by_ref(file).take(KEPT).read_to_end(&mut end)?;
        length = file.metadata()?.len();
    }
    file.set_len(KEPT)?;
    file.write_all(CUT)?;
    file.write_all(&end)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Wrong if a flood filled the disk, or if what a run said first or last were lost in it.
    #[test]
    fn a_flood_is_cut_to_its_beginning_and_its_end() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        std::fs::write(&path, b"first").unwrap();
        let write = |bytes: &[u8]| {
            File::options().append(true).open(&path).unwrap().write_all(bytes).unwrap();
        };
        let mut log = Log(File::options().read(true).append(true).open(&path).ok());
        log.cap();
        assert_eq!(log.last_words(), "first");
        for _ in 0..2 {
            write(&vec![b'x'; MOST as usize]);
            write(b"last");
            log.cap();
            write(b"!");
            assert!(log.last_words().ends_with("xlast!"));
            let bytes = std::fs::read(&path).unwrap();
            assert!((bytes.len() as u64) < 2 * KEPT + 100);
            assert!(bytes.starts_with(b"firstxx") && bytes.ends_with(b"xlast!"));
            let cuts = bytes.windows(CUT.len()).filter(|window| *window == CUT).count();
            assert_eq!(cuts, 1);
        }
    }
}
