//! Bytes to messages.

use std::ops::Range;

use bytes::Bytes;
use p2p_package::{Dictionary, InfoHash, Sha256, Value};

use super::{Answer, DatabaseClaim, Holding, Kind, PackagesFault, PackagesMessage, Refusal, What, Wishes};
use crate::Pointer;
use crate::limits::{
    DATA_BLOCK_BYTES, MAX_DATABASE_BYTES, MAX_GET_BYTES, MAX_HAS_BYTES, MAX_INFO_BYTES, MAX_NEWEST,
    MAX_PACKAGES_MESSAGE_BYTES, MAX_POINTER_BYTES, MAX_QUESTION_IDS, MAX_SIGNATURE_BYTES,
};

impl PackagesMessage {
    /// Reads the payload of the extended message, without its id; none for a type of message, or a kind of file, that a
    /// later version may add.
    ///
    /// # Errors
    ///
    /// Where it does not start with a dictionary that has what its type needs, within all bounds.
    pub fn read(payload: &Bytes) -> Result<Option<Self>, PackagesFault> {
        if payload.len() > MAX_PACKAGES_MESSAGE_BYTES {
            return Err(PackagesFault::TooLong(payload.len()));
        }
        let (value, rest) = Value::read_prefix(payload).map_err(PackagesFault::Bencode)?;
        let keys = Keys(value.as_dictionary().ok_or(PackagesFault::Key("dictionary"))?);
        let message = match keys.integer("t")? {
            0 => Self::Have { n: keys.n()?, ids: keys.ids()?, wishes: keys.wishes()? },
            1 => Self::Has { n: keys.n()?, answers: keys.answers()? },
            2 => {
                let (n, range, id) = (keys.n()?, keys.range()?, keys.id()?);
                let Some(kind) = Kind::of(keys.integer("k")?) else { return Ok(None) };
                Self::Get { n, what: What { id, kind }, range }
            }
            3 if rest.is_empty() || rest.len() > DATA_BLOCK_BYTES => return Err(PackagesFault::Key("data")),
            3 => Self::Data { n: keys.n()?, offset: keys.unsigned("o")?, bytes: payload.slice_ref(rest) },
            4 => Self::No { n: keys.n()?, why: Refusal::of(keys.integer("c")?) },
            5 => Self::Arrived { ids: keys.ids()? },
            6 => Self::Recent { n: keys.n()?, club: InfoHash::from_bytes(keys.exactly("c")?) },
            7 => Self::Newest {
                n: keys.n()?,
                databases: keys.dictionaries("d")?.iter().map(Keys::database).collect::<Result<_, _>>()?,
                pointers: keys.dictionaries("p")?.iter().map(Keys::pointer).collect::<Result<_, _>>()?,
            },
            8 => Self::Call { n: keys.n()?, port: keys.port()? },
            9 => Self::Called { n: keys.n()?, reached: keys.flag("r")? },
            _ => return Ok(None),
        };
        Ok(Some(message))
    }
}

impl Kind {
    fn of(number: i64) -> Option<Self> {
        match number {
            0 => Some(Self::Package),
            1 => Some(Self::Info),
            2 => Some(Self::Signature),
            3 => Some(Self::Database),
            4 => Some(Self::Index),
            _ => None,
        }
    }
}

impl Refusal {
    fn of(number: i64) -> Self {
        match number {
            1 => Self::TooBusy,
            2 => Self::TooMuch,
            _ => Self::NotHere,
        }
    }
}

/// The keys of a message, each within its bounds.
struct Keys<'a>(&'a Dictionary<'a>);

impl<'a> Keys<'a> {
    fn value(&self, key: &'static str) -> Result<&'a Value<'a>, PackagesFault> {
        self.0.get(key).ok_or(PackagesFault::Key(key))
    }

    fn integer(&self, key: &'static str) -> Result<i64, PackagesFault> {
        self.value(key)?.as_integer().ok_or(PackagesFault::Key(key))
    }

    fn unsigned<T: TryFrom<i64>>(&self, key: &'static str) -> Result<T, PackagesFault> {
        T::try_from(self.integer(key)?).map_err(|_| PackagesFault::Key(key))
    }

    fn bytes(&self, key: &'static str) -> Result<&'a [u8], PackagesFault> {
        self.value(key)?.as_bytes().ok_or(PackagesFault::Key(key))
    }

    fn n(&self) -> Result<u32, PackagesFault> {
        self.unsigned("n")
    }

    fn exactly<const LENGTH: usize>(&self, key: &'static str) -> Result<[u8; LENGTH], PackagesFault> {
        self.bytes(key)?.try_into().map_err(|_| PackagesFault::Key(key))
    }

    /// Copied: what is kept must not keep the message that it came in.
    fn at_most(&self, key: &'static str, most: usize) -> Result<Bytes, PackagesFault> {
        let bytes = Some(self.bytes(key)?).filter(|bytes| bytes.len() <= most);
        bytes.map(Bytes::copy_from_slice).ok_or(PackagesFault::Key(key))
    }

    fn id(&self) -> Result<Sha256, PackagesFault> {
        self.exactly("id").map(Sha256::from_bytes)
    }

    fn port(&self) -> Result<u16, PackagesFault> {
        Some(self.unsigned("p")?).filter(|port| *port != 0).ok_or(PackagesFault::Key("p"))
    }

    fn flag(&self, key: &'static str) -> Result<bool, PackagesFault> {
        match self.integer(key)? {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(PackagesFault::Key(key)),
        }
    }

    /// A short list of dictionaries.
    fn dictionaries(&self, key: &'static str) -> Result<Vec<Self>, PackagesFault> {
        let list = self.value(key)?.as_list().filter(|list| list.len() <= MAX_NEWEST);
        let list = list.ok_or(PackagesFault::Key(key))?;
        list.iter().map(|value| value.as_dictionary().map(Keys).ok_or(PackagesFault::Key(key))).collect()
    }

    fn database(&self) -> Result<DatabaseClaim, PackagesFault> {
        let length = self.unsigned("l")?;
        let fits = (1..=MAX_DATABASE_BYTES).contains(&length);
        let length = fits.then_some(length).ok_or(PackagesFault::Key("l"))?;
        Ok(DatabaseClaim { id: self.id()?, length, signature: self.at_most("s", MAX_SIGNATURE_BYTES)? })
    }

    fn pointer(&self) -> Result<Pointer, PackagesFault> {
        let seq = self.integer("q")?;
        Ok(Pointer {
            key: self.exactly("k")?,
            seq: (seq >= 0).then_some(seq).ok_or(PackagesFault::Key("q"))?,
            signature: self.exactly("s")?,
            value: self.at_most("v", MAX_POINTER_BYTES)?,
        })
    }

    fn ids(&self) -> Result<Vec<Sha256>, PackagesFault> {
        let (ids, rest) = self.bytes("ids")?.as_chunks();
        let fits = (1..=MAX_QUESTION_IDS).contains(&ids.len()) && rest.is_empty();
        let ids = fits.then_some(ids).ok_or(PackagesFault::Key("ids"))?;
        Ok(ids.iter().copied().map(Sha256::from_bytes).collect())
    }

    /// Bits that a later version may add are ignored.
    fn wishes(&self) -> Result<Wishes, PackagesFault> {
        let bits: u32 = self.unsigned("w")?;
        Ok(Wishes { info: bits & 1 != 0, signature: bits & 2 != 0 })
    }

    fn range(&self) -> Result<Range<u64>, PackagesFault> {
        let start: u64 = self.unsigned("o")?;
        let length: u64 = self.unsigned("l")?;
        let fits = (1..=MAX_GET_BYTES).contains(&length);
        fits.then(|| start..start + length).ok_or(PackagesFault::Key("l"))
    }

    fn answers(&self) -> Result<Vec<Answer>, PackagesFault> {
        let (map, coming) = (self.bytes("map")?, self.bytes("c")?);
        if map.is_empty() || map.len() > MAX_QUESTION_IDS.div_ceil(8) {
            return Err(PackagesFault::Key("map"));
        }
        // What is here does not come.
        if coming.len() != map.len() || map.iter().zip(coming).any(|(here, coming)| here & coming != 0) {
            return Err(PackagesFault::Key("c"));
        }
        let mut infos = self.strings("i", MAX_INFO_BYTES)?.into_iter();
        let mut signatures = self.strings("s", MAX_SIGNATURE_BYTES)?.into_iter();
        let set = map.iter().map(|byte| byte.count_ones() as usize).sum();
        if infos.len() != set || signatures.len() != set {
            return Err(PackagesFault::Key("map"));
        }
        let length = |strings: &[Option<&[u8]>]| strings.iter().flatten().map(|bytes| bytes.len()).sum::<usize>();
        if length(infos.as_slice()) + length(signatures.as_slice()) > MAX_HAS_BYTES {
            return Err(PackagesFault::Key("i"));
        }
        let mask = |bit: usize| 0x80 >> (bit % 8);
        // Copied: a signature of a hundred bytes must not keep a message of a hundred kilobytes in memory.
        let mut next = || Holding {
            info: infos.next().flatten().map(Bytes::copy_from_slice),
            signature: signatures.next().flatten().map(Bytes::copy_from_slice),
        };
        let answer = |bit: usize| match (map[bit / 8] & mask(bit), coming[bit / 8] & mask(bit)) {
            (0, 0) => Answer::Absent,
            (0, _) => Answer::Coming,
            _ => Answer::Here(next()),
        };
        Ok((0..map.len() * 8).map(answer).collect())
    }

    /// A list of strings of at most `most` bytes each; an empty one stands for nothing.
    fn strings(&self, key: &'static str, most: usize) -> Result<Vec<Option<&'a [u8]>>, PackagesFault> {
        let list = self.value(key)?.as_list().ok_or(PackagesFault::Key(key))?;
        let one = |value: &Value<'a>| {
            let bytes = value.as_bytes().filter(|bytes| bytes.len() <= most).ok_or(PackagesFault::Key(key))?;
            Ok(Some(bytes).filter(|bytes| !bytes.is_empty()))
        };
        list.iter().map(one).collect()
    }
}
