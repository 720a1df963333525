//! The file `desc` of one package: sections `%NAME%`, each with its lines up to a blank one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The largest signature that we keep, in bytes: what pacman downloads at most for a `.sig`.
const MAX_SIGNATURE_BYTES: usize = 16 * 1024;

/// The sections that we need, as text.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Desc<'a> {
    pub(super) file_name: Option<&'a str>,
    pub(super) name: Option<&'a str>,
    pub(super) version: Option<&'a str>,
    pub(super) architecture: Option<&'a str>,
    pub(super) size: Option<&'a str>,
    pub(super) sha256: Option<&'a str>,
    pub(super) built: Option<&'a str>,
    signature: Option<&'a str>,
}

impl<'a> Desc<'a> {
    /// Takes what it knows and passes over the rest; of a section that is there twice, the first counts.
    pub(super) fn read(text: &'a str) -> Self {
        let mut desc = Self::default();
        let mut lines = text.lines();
        let mut at_start = true;
        while let Some(line) = lines.next() {
            if let Some(field) = desc.field(line).filter(|_| at_start)
                && let Some(value) = lines.next()
            {
                field.get_or_insert(value);
                at_start = value.is_empty();
            } else {
                at_start = line.is_empty();
            }
        }
        desc
    }

    /// The detached signature, where there is one and its base64 is flawless.
    pub(super) fn signature(&self) -> Option<Vec<u8>> {
        let text = self.signature.filter(|text| text.len() <= MAX_SIGNATURE_BYTES * 4 / 3)?;
        STANDARD.decode(text).ok()
    }

    fn field(&mut self, line: &str) -> Option<&mut Option<&'a str>> {
        match line {
            "%FILENAME%" => Some(&mut self.file_name),
            "%NAME%" => Some(&mut self.name),
            "%VERSION%" => Some(&mut self.version),
            "%ARCH%" => Some(&mut self.architecture),
            "%CSIZE%" => Some(&mut self.size),
            "%SHA256SUM%" => Some(&mut self.sha256),
            "%BUILDDATE%" => Some(&mut self.built),
            "%PGPSIG%" => Some(&mut self.signature),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_sections_are_taken_and_unknown_ones_passed_over() {
        let text = "%FILENAME%\na-1-1-any.pkg.tar.zst\n\n%XDATA%\npkgtype=pkg\nmore\n\n%NAME%\na\n\n%DESC%\n%VERSION%\n\n\
                    %VERSION%\n1-1\n\n%GROUPS%\n\n%CSIZE%\n12\n\n%PGPSIG%\nAAEC\n";
        let desc = Desc::read(text);
        assert_eq!(desc.file_name, Some("a-1-1-any.pkg.tar.zst"));
        assert_eq!((desc.name, desc.version, desc.size), (Some("a"), Some("1-1"), Some("12")));
        assert_eq!((desc.architecture, desc.sha256), (None, None));
        assert_eq!(desc.signature().as_deref(), Some(&[0, 1, 2][..]));
    }

    #[test]
    fn a_signature_that_is_not_base64_is_none() {
        for text in ["A", "AA=A", "A A=", "Zh==", "*"] {
            let text = format!("%PGPSIG%\n{text}\n");
            assert_eq!(Desc::read(&text).signature().as_deref().unwrap_or_default(), &[0_u8; 0][..], "{text:?}");
        }
        let endless = format!("%PGPSIG%\n{}\n", "A".repeat(64 * 1024));
        assert_eq!(Desc::read(&endless).signature(), None);
    }
}
