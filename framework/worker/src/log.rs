//! The log of a run: its standard output and error. The system writes both straight to a file in the run's
//! folder, so the log also has the last words of a process that crashes.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};

use store::Attempt;

/// Largest size of a log; then all but its beginning and its end is cut out.
const MOST: u64 = 1 << 20;

/// Size of the beginning that stays, and of the end that stays.
const KEPT: u64 = 64 << 10;

/// Text in the place of the part that is cut out.
const CUT: &[u8] = b"\n[more than 1 MiB was written; this part is cut out]\n";

/// Standard output and error of this process, which the log of each run takes over.
pub struct Output {
    /// Standard error as it was when the process started.
    #[cfg(unix)]
    own: Option<std::os::fd::OwnedFd>,
}

impl Output {
    /// Takes both over. Returns the original standard output: events go there.
    pub fn take() -> (Self, Box<dyn Write + Send>) {
        #[cfg(unix)]
        {
            use rustix::io::fcntl_dupfd_cloexec;
            use rustix::stdio::{stderr, stdout};
            // Descriptors above the standard ones: 3 and more.
            let own = fcntl_dupfd_cloexec(stderr(), 3).ok();
            let events = fcntl_dupfd_cloexec(stdout(), 3).ok().map(File::from);
            if let Some(own) = &own {
                // A plugin may print: that is not an event.
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

    /// Redirects both to the log of an attempt.
    pub fn log_to(&self, attempt: &Attempt) -> Log {
        let file = attempt.make_log();
        #[cfg(unix)]
        if let Some(file) = &file {
            let _ = rustix::stdio::dup2_stdout(file);
            let _ = rustix::stdio::dup2_stderr(file);
        }
        Log(file)
    }

    /// Redirects both to the original standard error.
    pub fn restore(&self) {
        #[cfg(unix)]
        if let Some(own) = &self.own {
            let _ = rustix::stdio::dup2_stdout(own);
            let _ = rustix::stdio::dup2_stderr(own);
        }
    }
}

/// Log of an attempt.
pub struct Log(Option<File>);

impl Log {
    /// Opens the log of an attempt whose process has ended.
    pub fn of(attempt: &Attempt) -> Self {
        Self(attempt.open_log())
    }

    /// Returns the end of the log: what the process said last.
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

    /// Cuts the log if it is too large: its beginning and its end stay.
    pub fn cap(&mut self) {
        if let Some(file) = &mut self.0 {
            // A cut that fails is tried again at the next look.
            let _ = cap(file);
        }
    }
}

/// Most reads of the end before a cut. Bytes that are written between the read and the cut are lost, and
/// may be the last words. So the end is read again while it grows, but in a flood not forever.
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

    /// Wrong if a flood filled the disk, or if the first or last words of a run were lost in it.
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
