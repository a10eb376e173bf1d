//! How a command ends: the exit codes that scripts rely on, and failures in words.
//!
//! Does: name the codes once. Does not: print (`output`).
//! In: nothing. Out: [`Exit`], [`Failure`].

use std::fmt;

/// Exit codes; stable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// All of it was done.
    Done,
    /// It was tried and failed.
    Failed,
    /// The command line makes no sense.
    Usage,
    /// Some of it was done; stderr says what not.
    Partial,
    /// What was named does not exist.
    NotFound,
    /// Nobody listens at the address, which is named.
    Unavailable,
    /// The configuration cannot be used.
    Configuration,
    /// The time allowed was not enough.
    TimedOut,
    /// Ended by the keyboard.
    Interrupted,
}

impl Exit {
    /// The number for the shell.
    #[must_use]
    pub const fn code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::Failed => 1,
            Self::Usage => 2,
            Self::Partial => 3,
            Self::NotFound => 4,
            Self::Unavailable => 69,
            Self::Configuration => 78,
            Self::TimedOut => 124,
            Self::Interrupted => 130,
        }
    }
}

impl From<Exit> for std::process::ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}

/// Why a command did not do its job. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What failed, on what; empty: the words were said already, or nobody reads them.
    pub text: String,
    /// What to do; empty if the text says it.
    pub hint: String,
}

impl Failure {
    /// A failure with its words.
    pub fn new(exit: Exit, text: impl fmt::Display) -> Self {
        Self {
            exit,
            text: text.to_string(),
            hint: String::new(),
        }
    }

    /// The same with advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = hint.into();
        self
    }

    /// An end without words.
    #[must_use]
    pub const fn silent(exit: Exit) -> Self {
        Self {
            exit,
            text: String::new(),
            hint: String::new(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.text)?;
        if self.hint.is_empty() {
            return Ok(());
        }
        write!(formatter, "\nhint: {}", self.hint)
    }
}

impl std::error::Error for Failure {}
