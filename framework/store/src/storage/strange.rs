//! Things in an experiment folder that the program never makes, and refuses to open.

use std::{error, fmt, io};

/// Reason why something is not opened.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strange {
    /// It is a symbolic link, or lies behind one.
    Link,
    /// It is neither a regular file nor a folder, but a pipe, a device or a socket.
    Special,
    /// It is a file with a second name elsewhere: a write would change that file too.
    Shared,
    /// It has more bytes than a file of its name can have.
    TooLarge {
        /// Number of bytes that it has.
        size: u64,
        /// Number of bytes that are read at most.
        most: u64,
    },
}

impl Strange {
    /// Returns the reason in an error, if it has one.
    pub fn of(error: &io::Error) -> Option<Self> {
        error.get_ref()?.downcast_ref().copied()
    }
}

impl fmt::Display for Strange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Link => f.write_str(
                "it is a symbolic link or lies behind one; only the experiment folder itself may be a link",
            ),
            Self::Special => f.write_str("it is no regular file"),
            Self::Shared => f.write_str("it is a hard link to a file that has another name"),
            Self::TooLarge { size, most } => {
                write!(f, "it has {size} bytes, and at most {most} are read of such a file")
            }
        }
    }
}

impl error::Error for Strange {}

impl From<Strange> for io::Error {
    fn from(strange: Strange) -> Self {
        Self::other(strange)
    }
}
