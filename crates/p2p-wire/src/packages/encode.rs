//! Messages to bytes.

use bytes::Bytes;
use p2p_package::{Sha256, Writer};

use super::{Answer, DatabaseClaim, Kind, PackagesMessage, Refusal, Wishes};
use crate::Pointer;
use crate::limits::{MAX_HAS_BYTES, MAX_INFO_BYTES, MAX_SIGNATURE_BYTES};

impl PackagesMessage {
    /// The payload of the extended message, without its id.
    ///
    /// Numbers of ids and of bytes are the caller's to keep within their bounds. Infos and signatures that are too long, or
    /// have no room within [`MAX_HAS_BYTES`], are left out; the first are served first.
    #[must_use]
    pub fn encode(&self) -> Bytes {
        let mut writer = Writer::default();
        writer.dictionary(|root| self.write_keys(root));
        let mut payload = writer.finish();
        if let Self::Data { bytes, .. } = self {
            payload.extend_from_slice(bytes);
        }
        payload.into()
    }

    /// The type's number on the wire (`t`).
    fn number(&self) -> u8 {
        match self {
            Self::Have { .. } => 0,
            Self::Has { .. } => 1,
            Self::Get { .. } => 2,
            Self::Data { .. } => 3,
            Self::No { .. } => 4,
            Self::Arrived { .. } => 5,
            Self::Recent { .. } => 6,
            Self::Newest { .. } => 7,
            Self::Call { .. } => 8,
            Self::Called { .. } => 9,
        }
    }

    fn write_keys(&self, root: &mut Writer) {
        let t = self.number();
        match self {
            Self::Have { n, ids, wishes } => {
                root.bytes("ids").bytes(joined(ids));
                root.bytes("n").integer(*n).bytes("t").integer(t).bytes("w").integer(wishes.number());
            }
            Self::Has { n, answers } => {
                let strings = HasStrings::of(answers);
                root.bytes("c").bytes(&strings.coming);
                root.bytes("i").list(|list| add_all(list, &strings.infos));
                root.bytes("map").bytes(&strings.map).bytes("n").integer(*n);
                root.bytes("s").list(|list| add_all(list, &strings.signatures)).bytes("t").integer(t);
            }
            Self::Get { n, what, range } => {
                root.bytes("id").bytes(what.id.as_bytes()).bytes("k").integer(what.kind.number());
                root.bytes("l").integer(range.end.saturating_sub(range.start));
                root.bytes("n").integer(*n).bytes("o").integer(range.start).bytes("t").integer(t);
            }
            Self::Data { n, offset, bytes: _ } => {
                root.bytes("n").integer(*n).bytes("o").integer(*offset).bytes("t").integer(t);
            }
            Self::No { n, why } => {
                root.bytes("c").integer(why.number()).bytes("n").integer(*n).bytes("t").integer(t);
            }
            Self::Arrived { ids } => {
                root.bytes("ids").bytes(joined(ids)).bytes("t").integer(t);
            }
            Self::Recent { n, club } => {
                root.bytes("c").bytes(club.as_bytes()).bytes("n").integer(*n).bytes("t").integer(t);
            }
            Self::Newest { n, databases, pointers } => {
                root.bytes("d").list(|list| databases.iter().for_each(|database| database.write(list)));
                root.bytes("n").integer(*n);
                root.bytes("p").list(|list| pointers.iter().for_each(|pointer| write_pointer(pointer, list)));
                root.bytes("t").integer(t);
            }
            Self::Call { n, port } => {
                root.bytes("n").integer(*n).bytes("p").integer(*port).bytes("t").integer(t);
            }
            Self::Called { n, reached } => {
                root.bytes("n").integer(*n).bytes("r").integer(u8::from(*reached)).bytes("t").integer(t);
            }
        }
    }
}

impl DatabaseClaim {
    fn write(&self, list: &mut Writer) {
        list.dictionary(|keys| {
            keys.bytes("id").bytes(self.id.as_bytes()).bytes("l").integer(self.length);
            keys.bytes("s").bytes(&self.signature);
        });
    }
}

fn write_pointer(pointer: &Pointer, list: &mut Writer) {
    list.dictionary(|keys| {
        keys.bytes("k").bytes(pointer.key).bytes("q").integer(pointer.seq);
        keys.bytes("s").bytes(pointer.signature).bytes("v").bytes(&pointer.value);
    });
}

impl Wishes {
    fn number(self) -> u8 {
        u8::from(self.info) | u8::from(self.signature) << 1
    }
}

impl Kind {
    fn number(self) -> u8 {
        match self {
            Self::Package => 0,
            Self::Info => 1,
            Self::Signature => 2,
            Self::Database => 3,
            Self::Index => 4,
        }
    }
}

impl Refusal {
    fn number(self) -> u8 {
        match self {
            Self::NotHere => 0,
            Self::TooBusy => 1,
            Self::TooMuch => 2,
        }
    }
}

/// The strings of a `has`: a bit for each answer in either map, and an info and a signature, maybe empty, for each that is here.
#[derive(Default)]
struct HasStrings<'a> {
    map: Vec<u8>,
    coming: Vec<u8>,
    infos: Vec<&'a [u8]>,
    signatures: Vec<&'a [u8]>,
}

impl<'a> HasStrings<'a> {
    fn of(answers: &'a [Answer]) -> Self {
        let map = vec![0; answers.len().div_ceil(8)];
        let mut strings = Self { coming: map.clone(), map, ..Self::default() };
        let mut room = MAX_HAS_BYTES;
        for (at, answer) in answers.iter().enumerate() {
            let bit = 0x80 >> (at % 8);
            match answer {
                Answer::Here(holding) => {
                    strings.map[at / 8] |= bit;
                    strings.signatures.push(fitting(holding.signature.as_ref(), MAX_SIGNATURE_BYTES, &mut room));
                    strings.infos.push(fitting(holding.info.as_ref(), MAX_INFO_BYTES, &mut room));
                }
                Answer::Coming => strings.coming[at / 8] |= bit,
                Answer::Absent => {}
            }
        }
        strings
    }
}

/// The bytes where they are at most `most` and have room, of which they take their part; else none.
fn fitting<'a>(bytes: Option<&'a Bytes>, most: usize, room: &mut usize) -> &'a [u8] {
    let bytes = bytes.map(Bytes::as_ref).filter(|bytes| bytes.len() <= most.min(*room)).unwrap_or_default();
    *room -= bytes.len();
    bytes
}

fn add_all(list: &mut Writer, strings: &[&[u8]]) {
    for bytes in strings {
        list.bytes(bytes);
    }
}

fn joined(ids: &[Sha256]) -> Vec<u8> {
    ids.iter().flat_map(Sha256::as_bytes).copied().collect()
}
