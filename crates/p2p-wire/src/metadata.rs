//! Asking for and handing out the `info` dictionary (BEP 9).

use bytes::Bytes;
use p2p_package::{Value, Writer};

use crate::extension::ExtensionFault;
use crate::limits::METADATA_BLOCK_BYTES;

/// One message of the extension `ut_metadata`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MetadataMessage {
    /// Asks for a block of 16 KiB.
    Request {
        /// The block's number, from 0.
        block: u32,
    },
    /// A block.
    Data {
        /// The block's number.
        block: u32,
        /// The length of the whole dictionary in bytes.
        total_bytes: u32,
        /// The block's bytes: 16 KiB, the last one fewer.
        data: Bytes,
    },
    /// The speaker does not hand out this block.
    Reject {
        /// The block's number.
        block: u32,
    },
}

impl MetadataMessage {
    /// The answer to a request for one block of the encoded `info`: its bytes, or a rejection where there is none.
    #[must_use]
    pub fn answer(info: &[u8], block: u32) -> Self {
        let blocks = info.chunks(METADATA_BLOCK_BYTES).nth(usize::try_from(block).unwrap_or(usize::MAX));
        match (blocks, u32::try_from(info.len())) {
            (Some(data), Ok(total_bytes)) => Self::Data { block, total_bytes, data: Bytes::copy_from_slice(data) },
            _ => Self::Reject { block },
        }
    }

    /// The extension's payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, block, total_bytes, data): (u8, _, _, &[u8]) = match self {
            Self::Request { block } => (0, block, None, &[]),
            Self::Data { block, total_bytes, data } => (1, block, Some(*total_bytes), data),
            Self::Reject { block } => (2, block, None, &[]),
        };
        let mut writer = Writer::default();
        writer.dictionary(|root| {
            root.bytes("msg_type").integer(kind);
            root.bytes("piece").integer(*block);
            if let Some(total_bytes) = total_bytes {
                root.bytes("total_size").integer(total_bytes);
            }
        });
        let mut payload = writer.finish();
        payload.extend_from_slice(data);
        payload
    }

    /// Reads the extension's payload; none for a kind of message that BEP 9 says to ignore.
    ///
    /// # Errors
    ///
    /// Where it does not start with a dictionary that has what its kind needs, or has too many bytes behind it.
    pub fn read(payload: &Bytes) -> Result<Option<Self>, ExtensionFault> {
        let (value, rest) = Value::read_prefix(payload).map_err(ExtensionFault::Bencode)?;
        let root = value.as_dictionary().ok_or(ExtensionFault::Key("dictionary"))?;
        let integer = |key| root.get(key).and_then(Value::as_integer).ok_or(ExtensionFault::Key(key));
        let number = |key| u32::try_from(integer(key)?).map_err(|_| ExtensionFault::Key(key));
        let block = number("piece")?;
        Ok(match integer("msg_type")? {
            0 => Some(Self::Request { block }),
            1 if rest.len() > METADATA_BLOCK_BYTES => return Err(ExtensionFault::Key("data")),
            1 => Some(Self::Data { block, total_bytes: number("total_size")?, data: payload.slice_ref(rest) }),
            2 => Some(Self::Reject { block }),
            _ => None,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::{any, proptest};

    use super::*;

    #[test]
    fn an_info_dictionary_is_handed_out_in_blocks_of_16_kib() {
        let info = vec![7; METADATA_BLOCK_BYTES + 5];
        let answer = |block| MetadataMessage::answer(&info, block);
        assert!(matches!(answer(0), MetadataMessage::Data { total_bytes: 16_389, data, .. } if data.len() == 16_384));
        assert!(matches!(answer(1), MetadataMessage::Data { data, .. } if data.len() == 5));
        for block in [2, u32::MAX] {
            assert_eq!(answer(block), MetadataMessage::Reject { block });
        }
    }

    #[test]
    fn messages_of_a_later_version_are_ignored() {
        assert_eq!(MetadataMessage::read(&Bytes::from_static(b"d8:msg_typei9e5:piecei0ee")), Ok(None));
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(block in any::<u32>(), total_bytes in any::<u32>(), data in any::<Vec<u8>>()) {
            let data = Bytes::from(data);
            for message in [
                MetadataMessage::Request { block },
                MetadataMessage::Data { block, total_bytes, data },
                MetadataMessage::Reject { block },
            ] {
                assert_eq!(MetadataMessage::read(&message.encode().into()), Ok(Some(message)));
            }
        }

        #[test]
        fn no_bytes_panic(bytes in any::<Vec<u8>>()) {
            let _ = MetadataMessage::read(&bytes.into());
        }
    }
}
