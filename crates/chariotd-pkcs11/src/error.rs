//! Pure: why a key in hardware cannot be used, in words and as a kind.

use std::fmt;

/// What kind of problem it is: who has to act, and whether it can pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Problem {
    /// The address, the module or the PIN file: a person must act before it can work.
    Setting,
    /// There is no such token now; it may be plugged in.
    Absent,
    /// The token has refused the PIN. It is not shown to the token again.
    Pin,
    /// The token takes no PIN any more.
    Locked,
    /// The token is there, and the key is not, or not alone, or of no use.
    Key,
    /// The token or its module has failed; it may recover.
    Token,
    /// The helper cannot be started, has ended, or answers nonsense.
    Helper,
}

/// One sentence for the log, without a full stop. It never holds a PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyError {
    pub problem: Problem,
    pub text: String,
}

const ALL: [Problem; 7] = [
    Problem::Setting,
    Problem::Absent,
    Problem::Pin,
    Problem::Locked,
    Problem::Key,
    Problem::Token,
    Problem::Helper,
];

impl Problem {
    /// Its number in the protocol.
    pub fn number(self) -> u8 {
        self as u8
    }

    pub fn of_number(number: u8) -> Option<Problem> {
        ALL.get(usize::from(number)).copied()
    }

    /// Whether it may be over without anybody having changed a setting.
    pub fn may_pass(self) -> bool {
        match self {
            Problem::Absent | Problem::Token | Problem::Helper => true,
            Problem::Setting | Problem::Pin | Problem::Locked | Problem::Key => false,
        }
    }
}

impl KeyError {
    pub fn new(problem: Problem, text: impl Into<String>) -> KeyError {
        KeyError {
            problem,
            text: text.into(),
        }
    }
}

impl fmt::Display for KeyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl std::error::Error for KeyError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_problem_is_found_by_its_number() {
        for problem in ALL {
            assert_eq!(Problem::of_number(problem.number()), Some(problem));
        }
        assert_eq!(Problem::of_number(ALL.len() as u8), None);
    }
}
