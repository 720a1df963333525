//! Bencoding (BEP 3): a bounded reader that borrows, and a canonical writer.

use std::fmt;

/// Nesting that no metainfo, tracker answer or peer message needs to exceed.
const MAX_DEPTH: usize = 16;
/// Values in one text; a metainfo with files and trackers has a few dozen.
const MAX_VALUES: usize = 20_000;

/// One bencoded value, borrowed from the text that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value<'a> {
    /// `i…e`
    Integer(i64),
    /// `<length>:<bytes>`
    Bytes(&'a [u8]),
    /// `l…e`
    List(Vec<Self>),
    /// `d…e`
    Dictionary(Dictionary<'a>),
}

/// The entries of a dictionary in the order of the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dictionary<'a> {
    entries: Vec<(&'a [u8], Value<'a>)>,
    text: &'a [u8],
}

/// Where and why a text is not the bencoding of a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("at byte {at}: {reason}")]
pub struct BencodeError {
    at: usize,
    reason: &'static str,
}

/// Whether the keys of a dictionary must be in order, as BEP 3 says and not every client does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum KeyOrder {
    Sorted,
    Any,
}

impl<'a> Value<'a> {
    /// Reads a text that holds exactly one value, with sorted keys.
    ///
    /// # Errors
    ///
    /// The first byte that is not canonical bencoding, or is nested too deeply.
    pub fn read(text: &'a [u8]) -> Result<Self, BencodeError> {
        let mut reader = Reader::new(text, KeyOrder::Sorted);
        let value = reader.value(0)?;
        if reader.at == text.len() { Ok(value) } else { Err(reader.error("bytes after the value")) }
    }

    /// Reads the value at the start of `text`, keys in any order, and returns what follows it.
    ///
    /// # Errors
    ///
    /// The first byte that is not bencoding, or is nested too deeply.
    pub fn read_prefix(text: &'a [u8]) -> Result<(Self, &'a [u8]), BencodeError> {
        let mut reader = Reader::new(text, KeyOrder::Any);
        let value = reader.value(0)?;
        Ok((value, &text[reader.at..]))
    }

    /// The number, if it is one.
    #[must_use]
    pub fn as_integer(&self) -> Option<i64> {
        if let Self::Integer(integer) = self { Some(*integer) } else { None }
    }

    /// The byte string, if it is one.
    #[must_use]
    pub fn as_bytes(&self) -> Option<&'a [u8]> {
        if let Self::Bytes(bytes) = self { Some(bytes) } else { None }
    }

    /// The byte string as UTF-8 text, if it is that.
    #[must_use]
    pub fn as_text(&self) -> Option<&'a str> {
        std::str::from_utf8(self.as_bytes()?).ok()
    }

    /// The list, if it is one.
    #[must_use]
    pub fn as_list(&self) -> Option<&[Self]> {
        if let Self::List(values) = self { Some(values) } else { None }
    }

    /// The dictionary, if it is one.
    #[must_use]
    pub fn as_dictionary(&self) -> Option<&Dictionary<'a>> {
        if let Self::Dictionary(dictionary) = self { Some(dictionary) } else { None }
    }
}

impl<'a> Dictionary<'a> {
    /// The value at `key`.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.entries.iter().find(|(name, _)| *name == key.as_bytes()).map(|(_, value)| value)
    }

    /// All entries in the order of the text.
    pub fn entries(&self) -> impl Iterator<Item = (&'a [u8], &Value<'a>)> {
        self.entries.iter().map(|(key, value)| (*key, value))
    }

    /// The bytes that this dictionary was read from: what an info hash is the SHA-1 of.
    #[must_use]
    pub fn text(&self) -> &'a [u8] {
        self.text
    }
}

struct Reader<'a> {
    text: &'a [u8],
    at: usize,
    values: usize,
    order: KeyOrder,
}

impl<'a> Reader<'a> {
    fn new(text: &'a [u8], order: KeyOrder) -> Self {
        Self { text, at: 0, values: 0, order }
    }

    fn error(&self, reason: &'static str) -> BencodeError {
        BencodeError { at: self.at, reason }
    }

    fn peek(&self) -> Result<u8, BencodeError> {
        self.text.get(self.at).copied().ok_or_else(|| self.error("the text ends early"))
    }

    fn value(&mut self, depth: usize) -> Result<Value<'a>, BencodeError> {
        self.values += 1;
        if depth > MAX_DEPTH || self.values > MAX_VALUES {
            return Err(self.error("nested too deeply, or too many values"));
        }
        match self.peek()? {
            b'i' => self.integer(),
            b'0'..=b'9' => self.bytes().map(Value::Bytes),
            b'l' => self.list(depth),
            b'd' => self.dictionary(depth),
            _ => Err(self.error("no value starts with this byte")),
        }
    }

    fn integer(&mut self) -> Result<Value<'a>, BencodeError> {
        self.at += 1;
        let negative = self.peek()? == b'-';
        self.at += usize::from(negative);
        let magnitude = self.digits(b'e')?;
        if negative && magnitude == 0 {
            return Err(self.error("minus zero"));
        }
        Ok(Value::Integer(if negative { -magnitude } else { magnitude }))
    }

    fn bytes(&mut self) -> Result<&'a [u8], BencodeError> {
        let length = usize::try_from(self.digits(b':')?).map_err(|_| self.error("a length out of range"))?;
        let end = self.at.checked_add(length).filter(|end| *end <= self.text.len());
        let end = end.ok_or_else(|| self.error("a byte string longer than the text"))?;
        let bytes = &self.text[self.at..end];
        self.at = end;
        Ok(bytes)
    }

    fn digits(&mut self, end: u8) -> Result<i64, BencodeError> {
        let start = self.at;
        let mut number = 0_i64;
        while self.peek()?.is_ascii_digit() {
            let digit = i64::from(self.peek()? - b'0');
            number = number
                .checked_mul(10)
                .and_then(|number| number.checked_add(digit))
                .ok_or_else(|| self.error("a number out of range"))?;
            self.at += 1;
        }
        let digits = self.at - start;
        if digits == 0 || self.peek()? != end || (digits > 1 && self.text[start] == b'0') {
            return Err(self.error("a number that is not canonical"));
        }
        self.at += 1;
        Ok(number)
    }

    fn list(&mut self, depth: usize) -> Result<Value<'a>, BencodeError> {
        self.at += 1;
        let mut values = Vec::new();
        while self.peek()? != b'e' {
            values.push(self.value(depth + 1)?);
        }
        self.at += 1;
        Ok(Value::List(values))
    }

    fn dictionary(&mut self, depth: usize) -> Result<Value<'a>, BencodeError> {
        let start = self.at;
        self.at += 1;
        let mut entries: Vec<(&'a [u8], Value<'a>)> = Vec::new();
        while self.peek()? != b'e' {
            let key = self.bytes()?;
            if self.order == KeyOrder::Sorted && entries.last().is_some_and(|(last, _)| *last >= key) {
                return Err(self.error("a key out of order, or twice"));
            }
            entries.push((key, self.value(depth + 1)?));
        }
        self.at += 1;
        Ok(Value::Dictionary(Dictionary { entries, text: &self.text[start..self.at] }))
    }
}

/// Writes bencoding piece by piece; the caller gives keys in ascending order.
#[derive(Default, Clone)]
pub struct Writer {
    text: Vec<u8>,
}

impl fmt::Debug for Writer {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Writer({} bytes)", self.text.len())
    }
}

impl Writer {
    /// Adds a number.
    pub fn integer(&mut self, value: impl Into<i128>) -> &mut Self {
        self.text.extend_from_slice(format!("i{}e", value.into()).as_bytes());
        self
    }

    /// Adds a byte string, or a key.
    pub fn bytes(&mut self, bytes: impl AsRef<[u8]>) -> &mut Self {
        let bytes = bytes.as_ref();
        self.text.extend_from_slice(format!("{}:", bytes.len()).as_bytes());
        self.text.extend_from_slice(bytes);
        self
    }

    /// Adds a list that `content` fills.
    pub fn list(&mut self, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.nested(b'l', content)
    }

    /// Adds a dictionary that `content` fills with keys and values.
    pub fn dictionary(&mut self, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.nested(b'd', content)
    }

    /// Adds a value that is bencoded already.
    pub fn encoded(&mut self, text: &[u8]) -> &mut Self {
        self.text.extend_from_slice(text);
        self
    }

    /// The text so far.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        self.text
    }

    fn nested(&mut self, start: u8, content: impl FnOnce(&mut Self)) -> &mut Self {
        self.text.push(start);
        content(self);
        self.text.push(b'e');
        self
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let mut writer = Writer::default();
        writer.dictionary(|entries| {
            entries.bytes("list").list(|list| {
                list.integer(-7).bytes(b"\xff");
            });
            entries.bytes("number").integer(u32::MAX);
        });
        let text = writer.finish();
        let value = Value::read(&text).expect("written by ourselves");
        let dictionary = value.as_dictionary().expect("a dictionary");
        assert_eq!(dictionary.get("number").and_then(Value::as_integer), Some(u32::MAX.into()));
        assert_eq!(
            dictionary.get("list").and_then(Value::as_list),
            Some(&[Value::Integer(-7), Value::Bytes(b"\xff")][..])
        );
        assert_eq!(dictionary.text(), text);
    }

    #[test]
    fn anything_not_canonical_is_refused() {
        for text in [
            "",
            "i",
            "ie",
            "i-e",
            "i01e",
            "i-0e",
            "i1",
            "i1f",
            "i99999999999999999999e",
            "01:a",
            "2:a",
            "a",
            "-1:a",
            "99999999999999999999:a",
            "l",
            "d",
            "d1:ae",
            "d1:bi1e1:ai2ee",
            "d1:ai1e1:ai2ee",
            "di1ei2ee",
            "i1ei2e",
        ] {
            assert!(Value::read(text.as_bytes()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn deep_nesting_and_floods_of_values_end_in_an_error() {
        assert!(Value::read("l".repeat(1_000_000).as_bytes()).is_err());
        assert!(Value::read(format!("l{}e", "le".repeat(1_000_000)).as_bytes()).is_err());
    }

    #[test]
    fn a_prefix_tolerates_unsorted_keys_and_returns_the_rest() {
        let (value, rest) = Value::read_prefix(b"d1:bi1e1:ai2eerest").expect("a value and more");
        assert_eq!(value.as_dictionary().and_then(|entries| entries.get("a")), Some(&Value::Integer(2)));
        assert_eq!(rest, b"rest");
    }

    proptest! {
        #[test]
        fn no_bytes_make_the_reader_panic(text in any::<Vec<u8>>()) {
            let _ = Value::read(&text);
            let _ = Value::read_prefix(&text);
        }
    }
}
