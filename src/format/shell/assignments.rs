//! Pure: the assignments of a shell file. Everything else that a shell can do is an error here.

use super::names::is_name;
use super::text::Text;
use super::words::{Quoting, WordPosition, Words};

/// The assignments in the order of the file, as `sh` reads them. Where it would fail, a backslash
/// before a single quote is tried as the original program wrote it.
///
/// # Errors
/// What is wrong and on which line, as `sh` would see it.
pub fn read(contents: &[u8]) -> Result<Vec<(String, Text)>, String> {
    if let Some(nul) = contents.iter().position(|byte| *byte == 0) {
        let line = contents[..nul]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        return Err(format!("line {line}: there is a NUL"));
    }
    AssignmentReader::new(contents, Quoting::Posix)
        .read()
        .or_else(|fault| {
            AssignmentReader::new(contents, Quoting::Original)
                .read()
                .map_err(|_| fault)
        })
}

/// What the command that is being read has been so far.
#[derive(Clone, Copy, PartialEq, Eq)]
enum SimpleCommand {
    Nothing,
    Assignments,
    Export,
}

struct AssignmentReader<'a> {
    words: Words<'a>,
    command: SimpleCommand,
    read: Vec<(String, Text)>,
}

impl<'a> AssignmentReader<'a> {
    fn new(contents: &'a [u8], quoting: Quoting) -> AssignmentReader<'a> {
        AssignmentReader {
            words: Words::new(contents, quoting),
            command: SimpleCommand::Nothing,
            read: Vec::new(),
        }
    }

    fn read(mut self) -> Result<Vec<(String, Text)>, String> {
        loop {
            self.words.skip_blanks();
            match self.words.peek() {
                None => return Ok(self.read),
                Some(b';') if self.command == SimpleCommand::Nothing => {
                    return Err(self.words.fault("there is nothing before the ;"));
                }
                Some(b'\n' | b';') => {
                    self.words.take();
                    self.command = SimpleCommand::Nothing;
                }
                Some(_) => self.item()?,
            }
        }
    }

    /// `name=value`, `name=(...)`, `export`, or a name behind it.
    fn item(&mut self) -> Result<(), String> {
        let name = self.words.name();
        if is_name(name) && self.words.took(b'=') {
            return self.assignment(name);
        }
        let alone = self.words.at_end_of_word();
        match self.command {
            SimpleCommand::Nothing if alone && name == "export" => {
                self.command = SimpleCommand::Export
            }
            SimpleCommand::Export if alone && is_name(name) => {}
            SimpleCommand::Nothing | SimpleCommand::Assignments | SimpleCommand::Export => {
                return Err(self.words.fault(self.instead_of_an_assignment()));
            }
        }
        Ok(())
    }

    /// Says nothing of the text itself: it may be a part of a secret.
    fn instead_of_an_assignment(&self) -> &'static str {
        match self.words.peek() {
            Some(b'\r') => "there is a carriage return, which is a part of the line to a shell",
            Some(b'+' | b'[') => "only whole variables are assigned, with name='value'",
            _ => "not an assignment such as name='value'",
        }
    }

    fn assignment(&mut self, name: &str) -> Result<(), String> {
        let place = match self.command {
            SimpleCommand::Export => WordPosition::Exported,
            SimpleCommand::Nothing | SimpleCommand::Assignments => {
                self.command = SimpleCommand::Assignments;
                WordPosition::Value
            }
        };
        let text = if self.words.took(b'(') {
            Text::Many(self.elements()?)
        } else {
            Text::One(self.words.word(place)?)
        };
        self.read.push((name.to_owned(), text));
        Ok(())
    }

    /// What stands between the parentheses of an array, perhaps on several lines.
    fn elements(&mut self) -> Result<Vec<String>, String> {
        let line = self.words.line();
        let mut elements = Vec::new();
        loop {
            self.words.skip_blanks();
            match self.words.peek() {
                None => {
                    return Err(format!("line {line}: this ( is never closed"));
                }
                Some(b';') => return Err(self.words.fault("there is a ; in an array")),
                Some(b'\n') => {
                    self.words.take();
                }
                Some(b')') => break,
                Some(_) => elements.push(self.words.word(WordPosition::Element)?),
            }
        }
        self.words.take();
        if !self.words.at_end_of_word() {
            return Err(self
                .words
                .fault("there is something directly after an array"));
        }
        Ok(elements)
    }
}
