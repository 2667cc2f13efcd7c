//! Lengths and strings, from a slice or from a stream.

use std::borrow::Cow;
use std::io::{self, Read};

use crate::rdb::error::Fault;
use crate::rdb::format::{length, string};
use crate::rdb::lzf::decompress;
use crate::store::packed::Element;
use crate::store::stream::StreamId;

/// Most bytes that are set aside for what is announced and has not come yet.
const CHUNK_BYTES: u64 = 1 << 16;

/// Where bytes come from.
pub(super) trait Source {
    /// The next bytes.
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault>;

    /// Passes over so many bytes.
    fn skip(&mut self, count: u64) -> Result<(), Fault>;

    /// The next byte.
    fn byte(&mut self) -> Result<u8, Fault> {
        self.take::<1>().map(|[byte]| byte)
    }

    /// A length, or the first byte of a string in another form.
    fn length_or_form(&mut self) -> Result<Result<u64, u8>, Fault> {
        let first = self.byte()?;
        Ok(Ok(match first >> 6 {
            length::SIX => u64::from(first & 0x3f),
            length::FOURTEEN => u64::from(first & 0x3f) << 8 | u64::from(self.byte()?),
            length::SPECIAL => return Ok(Err(first)),
            _ if first == length::FOUR_BYTES => u32::from_be_bytes(self.take()?).into(),
            _ if first == length::EIGHT_BYTES => u64::from_be_bytes(self.take()?),
            _ => return Err(Fault::Damaged("a length of unknown form")),
        }))
    }

    /// A length or another number.
    fn length(&mut self) -> Result<u64, Fault> {
        self.length_or_form()?.map_err(|_| Fault::Damaged("a string stands where a length belongs"))
    }

    /// A signed number of eight bytes.
    fn word(&mut self) -> Result<i64, Fault> {
        self.take().map(i64::from_le_bytes)
    }

    /// Passes over a string.
    fn skip_string(&mut self) -> Result<(), Fault> {
        match self.length_or_form()? {
            Ok(count) => self.skip(count),
            Err(string::INT_8) => self.skip(1),
            Err(string::INT_16) => self.skip(2),
            Err(string::INT_32) => self.skip(4),
            Err(string::COMPRESSED) => {
                let compressed = self.length()?;
                self.length()?;
                self.skip(compressed)
            }
            Err(_) => Err(Fault::Damaged("a string of unknown form")),
        }
    }
}

/// Bytes that are all there.
#[derive(Clone, Copy)]
pub(super) struct Input<'a> {
    rest: &'a [u8],
}

impl<'a> Input<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// Whether all was read.
    pub(super) fn is_done(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next bytes.
    pub(super) fn bytes(&mut self, count: u64) -> Result<&'a [u8], Fault> {
        let split = usize::try_from(count).ok().and_then(|count| self.rest.split_at_checked(count));
        let Some((bytes, rest)) = split else { return Err(Fault::Damaged("it ends too early")) };
        self.rest = rest;
        Ok(bytes)
    }

    /// A string.
    pub(super) fn string(&mut self) -> Result<Text<'a>, Fault> {
        Ok(match self.length_or_form()? {
            Ok(count) => Text::Bytes(Cow::Borrowed(self.bytes(count)?)),
            Err(string::INT_8) => Text::Int(i8::from_le_bytes(self.take()?).into()),
            Err(string::INT_16) => Text::Int(i16::from_le_bytes(self.take()?).into()),
            Err(string::INT_32) => Text::Int(i32::from_le_bytes(self.take()?).into()),
            Err(string::COMPRESSED) => {
                let (compressed, length) = (self.length()?, self.length()?);
                let compressed = self.bytes(compressed)?;
                let text = usize::try_from(length).ok().and_then(|length| decompress(compressed, length));
                Text::Bytes(Cow::Owned(text.ok_or(Fault::Damaged("a compressed string is broken"))?))
            }
            Err(_) => return Err(Fault::Damaged("a string of unknown form")),
        })
    }

    /// A string that is no integer but bytes with a meaning of their own.
    pub(super) fn blob(&mut self) -> Result<Cow<'a, [u8]>, Fault> {
        match self.string()? {
            Text::Bytes(bytes) => Ok(bytes),
            Text::Int(_) => Err(Fault::Damaged("an integer stands where packed elements belong")),
        }
    }

    /// An id as two numbers.
    pub(super) fn id(&mut self) -> Result<StreamId, Fault> {
        Ok(StreamId::new(self.length()?, self.length()?))
    }

    /// An id as its bytes.
    pub(super) fn raw_id(&mut self) -> Result<StreamId, Fault> {
        Ok(StreamId::new(u64::from_be_bytes(self.take()?), u64::from_be_bytes(self.take()?)))
    }
}

impl Source for Input<'_> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        let Some((bytes, rest)) = self.rest.split_first_chunk() else {
            return Err(Fault::Damaged("it ends too early"));
        };
        self.rest = rest;
        Ok(*bytes)
    }

    fn skip(&mut self, count: u64) -> Result<(), Fault> {
        self.bytes(count).map(drop)
    }
}

/// A string as it was written.
pub(super) enum Text<'a> {
    Int(i64),
    Bytes(Cow<'a, [u8]>),
}

impl Text<'_> {
    /// The string, an integer printed into `digits`.
    pub(super) fn bytes<'b>(&'b self, digits: &'b mut itoa::Buffer) -> &'b [u8] {
        match self {
            Text::Int(int) => digits.format(*int).as_bytes(),
            Text::Bytes(bytes) => bytes,
        }
    }

    /// The string as an element.
    pub(super) fn element(&self) -> Element<'_> {
        match self {
            Text::Int(int) => Element::Int(*int),
            Text::Bytes(bytes) => Element::of(bytes),
        }
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        match self {
            Text::Int(int) => itoa::Buffer::new().format(int).as_bytes().to_vec(),
            Text::Bytes(bytes) => bytes.into_owned(),
        }
    }
}

/// Bytes that come from a file or a socket. What was read since it was last emptied is kept.
pub(super) struct Stream<R> {
    reader: R,
    pub(super) read: Vec<u8>,
    /// How many bytes were read in all.
    pub(super) offset: u64,
}

impl<R: Read> Stream<R> {
    pub(super) fn new(reader: R) -> Self {
        Self { reader, read: Vec::new(), offset: 0 }
    }

    pub(super) fn into_inner(self) -> R {
        self.reader
    }

    /// A string, decoded.
    pub(super) fn string(&mut self) -> Result<Vec<u8>, Fault> {
        let from = self.read.len();
        self.skip_string()?;
        Ok(Input::new(&self.read[from..]).string()?.into_bytes())
    }

    fn fill(&mut self, count: usize) -> Result<(), Fault> {
        let from = self.read.len();
        self.read.try_reserve(count).map_err(|_| Fault::Damaged("it is too large for this machine"))?;
        self.read.resize(from + count, 0);
        self.reader.read_exact(&mut self.read[from..]).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => Fault::Io(io::Error::new(error.kind(), "it ends too early")),
            _ => Fault::Io(error),
        })?;
        self.offset += count as u64;
        Ok(())
    }
}

impl<R: Read> Source for Stream<R> {
    fn take<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.fill(N)?;
        self.read.last_chunk().copied().ok_or(Fault::Damaged("it ends too early"))
    }

    fn skip(&mut self, count: u64) -> Result<(), Fault> {
        let mut left = count;
        while left > 0 {
            let chunk = left.min(CHUNK_BYTES);
            self.fill(chunk as usize)?;
            left -= chunk;
        }
        Ok(())
    }
}
