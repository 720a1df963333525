//! The extended handshake: which extensions a peer knows, and under which numbers (BEP 10).

use std::net::IpAddr;

use p2p_package::{BencodeError, Dictionary, Value, Writer};

/// The extension that hands out the `info` dictionary (BEP 9).
pub const UT_METADATA: &str = "ut_metadata";
/// The extension that tells of other peers (BEP 11).
pub const UT_PEX: &str = "ut_pex";

/// What we call ourselves in the extended handshake (`v`).
pub const OUR_VERSION: &str =
    concat!("pacman2pacman ", env!("CARGO_PKG_VERSION_MAJOR"), ".", env!("CARGO_PKG_VERSION_MINOR"));

/// Extensions of one peer that we remember.
const MAX_EXTENSIONS: usize = 32;
/// Bytes of a stranger's text that we remember.
const MAX_TEXT_BYTES: usize = 64;

/// What one side says about itself after the handshake.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ExtendedHandshake {
    /// Name and number of each extension; messages of it are sent to the speaker under this number, never 0.
    pub extensions: Vec<(String, u8)>,
    /// Where the speaker listens (`p`).
    pub port: Option<u16>,
    /// Requests that the speaker keeps at most (`reqq`).
    pub queue_depth: Option<u32>,
    /// The length of the `info` dictionary in bytes (BEP 9).
    pub metadata_bytes: Option<u32>,
    /// The speaker will never download (BEP 21).
    pub upload_only: bool,
    /// The speaker's program (`v`).
    pub version: Option<String>,
    /// The receiver's address as the speaker sees it (`yourip`).
    pub your_ip: Option<IpAddr>,
}

/// A message of an extension is not what its specification says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ExtensionFault {
    /// Not bencoded.
    #[error("an extension's message is not bencoded")]
    Bencode(#[source] BencodeError),
    /// No dictionary, or one without a key that it must have.
    #[error("an extension's message has no usable {0:?}")]
    Key(&'static str),
}

impl ExtendedHandshake {
    /// The number of an extension, if the speaker knows it.
    #[must_use]
    pub fn id_of(&self, extension: &str) -> Option<u8> {
        self.extensions.iter().find(|(name, _)| name == extension).map(|(_, id)| *id)
    }

    /// The payload of the extended message with id 0.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut extensions: Vec<_> = self.extensions.iter().collect();
        extensions.sort();
        let mut writer = Writer::default();
        writer.dictionary(|root| {
            root.bytes("m").dictionary(|m| {
                for (name, id) in extensions {
                    m.bytes(name).integer(*id);
                }
            });
            if let Some(bytes) = self.metadata_bytes {
                root.bytes("metadata_size").integer(bytes);
            }
            if let Some(port) = self.port {
                root.bytes("p").integer(port);
            }
            if let Some(depth) = self.queue_depth {
                root.bytes("reqq").integer(depth);
            }
            if self.upload_only {
                root.bytes("upload_only").integer(1);
            }
            if let Some(version) = &self.version {
                root.bytes("v").bytes(version);
            }
            match self.your_ip.map(|ip| ip.to_canonical()) {
                Some(IpAddr::V4(ip)) => _ = root.bytes("yourip").bytes(ip.octets()),
                Some(IpAddr::V6(ip)) => _ = root.bytes("yourip").bytes(ip.octets()),
                None => (),
            }
        });
        writer.finish()
    }

    /// Reads the payload of the extended message with id 0. What is out of range counts as not said.
    ///
    /// # Errors
    ///
    /// Where it is not a bencoded dictionary.
    pub fn read(payload: &[u8]) -> Result<Self, ExtensionFault> {
        let (value, _) = Value::read_prefix(payload).map_err(ExtensionFault::Bencode)?;
        let root = value.as_dictionary().ok_or(ExtensionFault::Key("dictionary"))?;
        let version = root.get("v").and_then(Value::as_text).filter(|text| text.len() <= MAX_TEXT_BYTES);
        Ok(Self {
            extensions: root.get("m").and_then(Value::as_dictionary).map(extensions).unwrap_or_default(),
            port: integer(root, "p").filter(|port| *port != 0),
            queue_depth: integer(root, "reqq"),
            metadata_bytes: integer(root, "metadata_size"),
            upload_only: integer::<u32>(root, "upload_only").is_some_and(|flag| flag != 0),
            version: version.map(str::to_owned),
            your_ip: root.get("yourip").and_then(Value::as_bytes).and_then(address),
        })
    }
}

fn integer<T: TryFrom<i64>>(dictionary: &Dictionary<'_>, key: &str) -> Option<T> {
    dictionary.get(key).and_then(Value::as_integer).and_then(|integer| T::try_from(integer).ok())
}

fn extensions(m: &Dictionary<'_>) -> Vec<(String, u8)> {
    let named = m.entries().filter_map(|(name, id)| {
        let name = std::str::from_utf8(name).ok().filter(|name| name.len() <= MAX_TEXT_BYTES)?;
        let id = u8::try_from(id.as_integer()?).ok().filter(|id| *id != 0)?;
        Some((name.to_owned(), id))
    });
    named.take(MAX_EXTENSIONS).collect()
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from).ok();
    v4.or_else(|| <[u8; 16]>::try_from(bytes).map(IpAddr::from).ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    fn everything() -> ExtendedHandshake {
        ExtendedHandshake {
            extensions: vec![(UT_METADATA.to_owned(), 2), (UT_PEX.to_owned(), 1)],
            port: Some(6881),
            queue_depth: Some(250),
            metadata_bytes: Some(31_235),
            upload_only: true,
            version: Some("pacman2pacman 0.1".to_owned()),
            your_ip: Some([127, 0, 0, 1].into()),
        }
    }

    #[test]
    fn an_extended_handshake_is_read_as_it_was_written() {
        let written = everything().encode();
        insta::assert_snapshot!(written.escape_ascii(), @r"d1:md11:ut_metadatai2e6:ut_pexi1ee13:metadata_sizei31235e1:pi6881e4:reqqi250e11:upload_onlyi1e1:v17:pacman2pacman 0.16:yourip4:\x7f\x00\x00\x01e");
        assert_eq!(ExtendedHandshake::read(&written), Ok(everything()));
        assert_eq!(everything().id_of(UT_PEX), Some(1));
        assert_eq!(everything().id_of("lt_donthave"), None);
    }

    #[test]
    fn nonsense_counts_as_not_said() {
        let read =
            ExtendedHandshake::read(b"d1:md1:ai0e1:bi300e1:ci-1e1:d1:xe1:pi65536e4:reqqi-5e1:vi1e6:yourip3:abce");
        assert_eq!(read, Ok(ExtendedHandshake::default()));
        assert!(ExtendedHandshake::read(b"le").is_err());
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = ExtendedHandshake::read(&bytes);
        }
    }
}
