//! The messages between two peers after their handshakes (BEP 3, 5, 6, 10).

use std::ops::Range;

use bytes::{Buf, BufMut, Bytes, BytesMut};
use p2p_package::Info;

use crate::framing::FramingFault;

/// A part of a piece that a peer asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Block {
    /// The piece's number, from 0.
    pub piece: u32,
    /// Where the block starts within the piece, in bytes.
    pub offset: u32,
    /// How long it is, in bytes.
    pub length: u32,
}

impl Block {
    /// Where the block lies in the file; none where it does not lie within one of its pieces, or is empty.
    #[must_use]
    pub fn range(&self, info: &Info) -> Option<Range<u64>> {
        let piece = info.piece_range(self.piece);
        let start = piece.start + u64::from(self.offset);
        let end = start + u64::from(self.length);
        (start < end && end <= piece.end).then_some(start..end)
    }
}

/// One message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Message {
    /// Nothing, so that the connection is not silent.
    KeepAlive,
    /// The sender answers no requests.
    Choke,
    /// The sender answers requests.
    Unchoke,
    /// The sender wants pieces.
    Interested,
    /// The sender wants no pieces.
    NotInterested,
    /// The sender has this piece.
    Have(u32),
    /// The pieces that the sender has, from the most significant bit of the first byte.
    Bitfield(Bytes),
    /// The sender asks for a block.
    Request(Block),
    /// A block's bytes.
    Piece {
        /// The piece's number.
        piece: u32,
        /// Where the block starts within the piece, in bytes.
        offset: u32,
        /// The block.
        data: Bytes,
    },
    /// The sender no longer wants a block.
    Cancel(Block),
    /// The sender's DHT node listens on this UDP port (BEP 5).
    Port(u16),
    /// The sender suggests to ask for this piece (BEP 6).
    Suggest(u32),
    /// The sender has everything (BEP 6).
    HaveAll,
    /// The sender has nothing (BEP 6).
    HaveNone,
    /// The sender will not answer this request (BEP 6).
    Reject(Block),
    /// This piece may be asked for while choked (BEP 6).
    AllowedFast(u32),
    /// A message of an extension (BEP 10); id 0 is the extended handshake.
    Extended {
        /// The number that its receiver gave to the extension.
        id: u8,
        /// What the extension makes of it.
        payload: Bytes,
    },
    /// A message that none of the above documents; to be ignored.
    Unknown(u8),
}

/// Bytes before a block's data: length prefix, id, piece, offset.
const PIECE_HEADER_BYTES: usize = 13;

impl Message {
    /// The bytes to send, with the length prefix. [`Message::Unknown`] has none.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        match self {
            Self::KeepAlive => Bytes::from_static(&[0; 4]),
            Self::Unknown(_) => Bytes::new(),
            Self::Choke => frame(0, 0, |_| ()),
            Self::Unchoke => frame(1, 0, |_| ()),
            Self::Interested => frame(2, 0, |_| ()),
            Self::NotInterested => frame(3, 0, |_| ()),
            Self::Have(piece) => frame(4, 4, |payload| payload.put_u32(*piece)),
            Self::Bitfield(bits) => frame(5, bits.len(), |payload| payload.put_slice(bits)),
            Self::Request(block) => frame(6, 12, |payload| put_block(payload, *block)),
            Self::Piece { piece, offset, data } => frame(7, 8 + data.len(), |payload| {
                payload.put_u32(*piece);
                payload.put_u32(*offset);
                payload.put_slice(data);
            }),
            Self::Cancel(block) => frame(8, 12, |payload| put_block(payload, *block)),
            Self::Port(port) => frame(9, 2, |payload| payload.put_u16(*port)),
            Self::Suggest(piece) => frame(13, 4, |payload| payload.put_u32(*piece)),
            Self::HaveAll => frame(14, 0, |_| ()),
            Self::HaveNone => frame(15, 0, |_| ()),
            Self::Reject(block) => frame(16, 12, |payload| put_block(payload, *block)),
            Self::AllowedFast(piece) => frame(17, 4, |payload| payload.put_u32(*piece)),
            Self::Extended { id, payload: content } => frame(20, 1 + content.len(), |payload| {
                payload.put_u8(*id);
                payload.put_slice(content);
            }),
        }
    }

    /// What goes before the data of `block` on the wire, so that the data need not be copied.
    pub(crate) fn piece_header(block: Block) -> Bytes {
        let mut header = BytesMut::with_capacity(PIECE_HEADER_BYTES);
        header.put_u32(block.length + 9);
        header.put_u8(7);
        header.put_u32(block.piece);
        header.put_u32(block.offset);
        header.freeze()
    }

    /// Reads a message without its length prefix; `id` is its first byte.
    pub(crate) fn decode(id: u8, mut payload: Bytes) -> Result<Self, FramingFault> {
        check_length(id, payload.len() + 1)?;
        Ok(match id {
            0 => Self::Choke,
            1 => Self::Unchoke,
            2 => Self::Interested,
            3 => Self::NotInterested,
            4 => Self::Have(payload.get_u32()),
            5 => Self::Bitfield(payload),
            6 => Self::Request(get_block(&mut payload)),
            7 => Self::Piece { piece: payload.get_u32(), offset: payload.get_u32(), data: payload },
            8 => Self::Cancel(get_block(&mut payload)),
            9 => Self::Port(payload.get_u16()),
            13 => Self::Suggest(payload.get_u32()),
            14 => Self::HaveAll,
            15 => Self::HaveNone,
            16 => Self::Reject(get_block(&mut payload)),
            17 => Self::AllowedFast(payload.get_u32()),
            20 => Self::Extended { id: payload.get_u8(), payload },
            _ => Self::Unknown(id),
        })
    }
}

/// Refuses a length, id included, that no message with this id has; the payload need not have arrived yet.
pub(crate) fn check_length(id: u8, length: usize) -> Result<(), FramingFault> {
    let fits = match id {
        0..=3 | 14 | 15 => length == 1,
        4 | 13 | 17 => length == 5,
        6 | 8 | 16 => length == 13,
        7 => length >= 9,
        9 => length == 3,
        20 => length >= 2,
        _ => true,
    };
    if fits { Ok(()) } else { Err(FramingFault::Length { id, length }) }
}

fn frame(id: u8, payload_bytes: usize, payload: impl FnOnce(&mut BytesMut)) -> Bytes {
    let mut frame = BytesMut::with_capacity(5 + payload_bytes);
    frame.put_u32(u32::try_from(payload_bytes + 1).expect("we send no message of 4 GiB"));
    frame.put_u8(id);
    payload(&mut frame);
    frame.freeze()
}

fn put_block(payload: &mut BytesMut, block: Block) {
    payload.put_u32(block.piece);
    payload.put_u32(block.offset);
    payload.put_u32(block.length);
}

fn get_block(payload: &mut Bytes) -> Block {
    Block { piece: payload.get_u32(), offset: payload.get_u32(), length: payload.get_u32() }
}
