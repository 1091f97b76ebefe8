//! Pure: the words of a shell file, without their quotes. What a shell would replace by something
//! else is an error: its value is not in the file.

use super::names::in_name;

/// What a backslash before a single quote means between single quotes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quoting {
    /// Itself, and the quotes end.
    Posix,
    /// A single quote, as files from before this program have it.
    Original,
}

/// Where a word stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WordPosition {
    /// Behind `name=`, where a shell takes patterns literally.
    Value,
    /// Behind `export`, where some shells do not.
    Exported,
    /// In the parentheses of an array.
    Element,
}

/// Reads from the front to the end, once.
pub struct Words<'a> {
    bytes: &'a [u8],
    at: usize,
    line: usize,
    quoting: Quoting,
}

impl<'a> Words<'a> {
    pub fn new(bytes: &'a [u8], quoting: Quoting) -> Words<'a> {
        Words {
            bytes,
            at: 0,
            line: 1,
            quoting,
        }
    }

    pub fn line(&self) -> usize {
        self.line
    }

    pub fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    fn next_but_one(&self) -> Option<u8> {
        self.bytes.get(self.at + 1).copied()
    }

    fn at_continued_line(&self) -> bool {
        self.bytes[self.at..].starts_with(b"\\\n")
    }

    pub fn take(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        self.line += usize::from(byte == b'\n');
        Some(byte)
    }

    /// Takes `byte` if it is the next one.
    pub fn took(&mut self, byte: u8) -> bool {
        self.peek() == Some(byte) && self.take().is_some()
    }

    /// Whether nothing more belongs to the word before.
    pub fn at_end_of_word(&self) -> bool {
        matches!(self.peek(), None | Some(b' ' | b'\t' | b'\n' | b';'))
    }

    /// Goes to the next word, which may be on this line only: over blanks, continued lines and a
    /// comment.
    pub fn skip_blanks(&mut self) {
        loop {
            match self.peek() {
                Some(b' ' | b'\t') => {}
                Some(b'\\') if self.at_continued_line() => {
                    self.take();
                }
                Some(b'#') => return self.skip_comment(),
                _ => return,
            }
            self.take();
        }
    }

    fn skip_comment(&mut self) {
        while self.peek().is_some_and(|byte| byte != b'\n') {
            self.take();
        }
    }

    /// The letters, digits and underscores that come next, perhaps none.
    pub fn name(&mut self) -> &'a str {
        let rest = &self.bytes[self.at..];
        let length = rest.iter().take_while(|byte| in_name(**byte)).count();
        self.at += length;
        str::from_utf8(&rest[..length]).unwrap_or_default()
    }

    /// The word that begins here, perhaps an empty one.
    pub fn word(&mut self, place: WordPosition) -> Result<String, String> {
        let line = self.line;
        let mut text = Vec::new();
        let mut tilde = true;
        while let Some(byte) = self.peek() {
            if self.at_end_of_word() || (place == WordPosition::Element && byte == b')') {
                break;
            }
            self.refuse_what_means_more(byte, place, tilde)?;
            tilde = byte == b':' || (tilde && self.at_continued_line());
            self.piece(byte, &mut text)?;
        }
        String::from_utf8(text).map_err(|_| format!("line {line}: the value is not UTF-8"))
    }

    /// One quotation, or one byte outside of quotes.
    fn piece(&mut self, byte: u8, text: &mut Vec<u8>) -> Result<(), String> {
        let line = self.line;
        self.take();
        let ended = match byte {
            b'\'' => self.single(text),
            b'"' => self.double(text)?,
            b'\\' => self.escaped(text),
            other => {
                text.push(other);
                true
            }
        };
        let quote = char::from(byte);
        ended
            .then_some(())
            .ok_or_else(|| format!("line {line}: this {quote} is never closed"))
    }

    /// Whether the quotes end, as in the two that follow.
    fn single(&mut self, text: &mut Vec<u8>) -> bool {
        while let Some(byte) = self.take() {
            match byte {
                b'\'' => return true,
                b'\\' if self.quoting == Quoting::Original && self.took(b'\'') => text.push(b'\''),
                other => text.push(other),
            }
        }
        false
    }

    fn double(&mut self, text: &mut Vec<u8>) -> Result<bool, String> {
        while let Some(byte) = self.peek() {
            self.refuse_expansion(byte, true)?;
            self.take();
            match (byte, self.peek()) {
                (b'"', _) => return Ok(true),
                (b'\\', Some(b'$' | b'`' | b'"' | b'\\' | b'\n')) => {
                    self.escaped(text);
                }
                (other, _) => text.push(other),
            }
        }
        Ok(false)
    }

    /// What follows a backslash. A line's end is removed with it. At a file's end shells differ.
    fn escaped(&mut self, text: &mut Vec<u8>) -> bool {
        let byte = self.take();
        text.extend(byte.filter(|byte| *byte != b'\n'));
        byte.is_some()
    }

    fn refuse_what_means_more(
        &self,
        byte: u8,
        place: WordPosition,
        tilde: bool,
    ) -> Result<(), String> {
        self.refuse_expansion(byte, false)?;
        let expands = match byte {
            b'~' => tilde,
            b'*' | b'?' | b'[' | b'{' => place != WordPosition::Value,
            _ => false,
        };
        if expands {
            return Err(self.replaced(byte));
        }
        if matches!(byte, b'&' | b'|' | b'<' | b'>' | b'(' | b')') {
            return Err(self.fault(&format!(
                "there is more than an assignment: an unquoted {}",
                char::from(byte)
            )));
        }
        Ok(())
    }

    /// A `$` stands for itself where no name or the like follows.
    fn refuse_expansion(&self, byte: u8, quoted: bool) -> Result<(), String> {
        let expands = match (byte, self.next_but_one()) {
            (b'`', _) => true,
            (b'$', Some(b'{' | b'(' | b'[' | b'@' | b'*' | b'#' | b'?' | b'$' | b'!' | b'-')) => {
                true
            }
            // Shells differ over these.
            (b'$', Some(b'\'' | b'"')) => !quoted,
            // What follows is on the next line.
            (b'$', Some(b'\\')) => self.bytes.get(self.at + 2) == Some(&b'\n'),
            (b'$', Some(next)) => in_name(next),
            _ => false,
        };
        if expands {
            Err(self.replaced(byte))
        } else {
            Ok(())
        }
    }

    fn replaced(&self, byte: u8) -> String {
        self.fault(&format!(
            "a shell would replace what begins with {}, put it between single quotes",
            char::from(byte)
        ))
    }

    pub fn fault(&self, what: &str) -> String {
        format!("line {}: {what}", self.line)
    }
}
