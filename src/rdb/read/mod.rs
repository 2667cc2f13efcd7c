//! Reading: a snapshot is split into records without decoding the values, which [`decode`] does where they belong.

mod decode;
mod elements;
mod input;
mod skim;
mod stream;

#[cfg(test)]
mod read_test;

use std::io::Read;

pub use decode::{decode, decode_raw};

use self::input::{Source, Stream};
use super::checksum::Checksum;
use super::dump::are_checksums_checked;
use super::error::{Fault, RdbError};
use super::format::{MAGIC, VERSION_MAX, code, kind, module};
use crate::base::clock::UnixMillis;
use crate::base::number::parse_u64;

/// The first version that ends with a checksum.
const CHECKED_VERSION_MIN: u16 = 5;
/// Buffers of at most so many bytes are kept from one record to the next.
const KEPT_BYTES_MAX: usize = 1 << 16;

/// A part of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Record {
    /// A field about the snapshot itself.
    Aux {
        /// Its name.
        name: Vec<u8>,
        /// Its value.
        value: Vec<u8>,
    },
    /// The database of the entries that follow.
    Select(u64),
    /// How many keys the database has.
    Resize {
        /// All of them.
        keys: u64,
        /// Those with a deadline.
        deadlines: u64,
    },
    /// A library of functions, as its source.
    Function(Vec<u8>),
    /// What a module keeps beside the keys; its bytes were passed over.
    ModuleAux {
        /// The name of the module's type.
        name: String,
    },
    /// A key with its value.
    Entry(RawEntry),
}

/// What a snapshot says of the use of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RawAccess {
    /// Nothing.
    Unknown,
    /// Seconds since it was used.
    Idle(u64),
    /// How often it is used.
    Frequency(u8),
}

/// A key with its value, not decoded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RawEntry {
    /// The deadline.
    pub expire_ms: Option<UnixMillis>,
    /// How it was used.
    pub access: RawAccess,
    /// What the value is.
    pub kind: u8,
    /// The key.
    pub key: Vec<u8>,
    /// The value's bytes.
    pub body: Vec<u8>,
    /// Where its code stands, for messages.
    pub offset: u64,
}

/// A key with its value, not decoded, in somebody's bytes.
#[derive(Clone, Copy, Debug)]
pub struct Raw<'a> {
    /// The deadline.
    pub expire_ms: Option<UnixMillis>,
    /// How it was used.
    pub access: RawAccess,
    /// What the value is.
    pub kind: u8,
    /// The key.
    pub key: &'a [u8],
    /// The value's bytes.
    pub body: &'a [u8],
    /// Where its code stands, for messages.
    pub offset: u64,
}

impl RawEntry {
    /// The same, borrowed.
    pub fn raw(&self) -> Raw<'_> {
        let Self { expire_ms, access, kind, key, body, offset } = self;
        Raw { expire_ms: *expire_ms, access: *access, kind: *kind, key, body, offset: *offset }
    }
}

/// The records of a snapshot one after another, until one cannot be read or the end has come with the right checksum.
///
/// Not a byte more is taken from `R` than the snapshot has, and many small pieces are: give it a buffered reader, and see
/// [`Records::into_inner`] for what else that has read. What is announced is only ever set aside in small steps, so that memory
/// is taken for no more than comes.
pub struct Records<R> {
    stream: Stream<R>,
    version: u16,
    checksum: Checksum,
    is_checked: bool,
    is_done: bool,
}

impl<R: Read> Records<R> {
    /// Reads the header. With `is_checked` the snapshot must end with the checksum of its bytes, or with none.
    pub fn new(reader: R, is_checked: bool) -> Result<Self, RdbError> {
        let mut stream = Stream::new(reader);
        let header: [u8; 9] = stream.take().map_err(|fault| fault.at(0, 0))?;
        let version = header.strip_prefix(MAGIC).and_then(parse_u64).ok_or(RdbError::Signature)?;
        let version = version as u16;
        if !(1..=VERSION_MAX).contains(&version) {
            return Err(RdbError::Version(version.into()));
        }
        Ok(Self { stream, version, checksum: Checksum::default(), is_checked, is_done: false })
    }

    /// The version of the format.
    pub fn version(&self) -> u16 {
        self.version
    }

    /// How many bytes were read so far.
    pub fn offset(&self) -> u64 {
        self.stream.offset
    }

    /// The reader, which goes on right behind what was read.
    pub fn into_inner(self) -> R {
        self.stream.into_inner()
    }

    fn read_record(&mut self) -> Result<Option<Record>, RdbError> {
        let (mut expire_ms, mut access) = (None, RawAccess::Unknown);
        loop {
            self.settle();
            let offset = self.stream.offset;
            let code = self.stream.byte().map_err(|fault| fault.at(0, offset))?;
            // A read that fails is told with how far it came, damage with where it begins.
            let part = self.read_part(code).map_err(|fault| match fault {
                Fault::Io(source) => RdbError::Io { offset: self.stream.offset, source },
                other => other.at(code, offset),
            })?;
            match part {
                Part::Record(record) => return Ok(Some(record)),
                Part::Expire(at_ms) => expire_ms = Some(at_ms),
                Part::Access(told) => access = told,
                Part::Ignored => {}
                Part::Entry { key, body } => {
                    let entry = RawEntry { expire_ms, access, kind: code, key, body, offset };
                    return Ok(Some(Record::Entry(entry)));
                }
                Part::Unknown => return Err(RdbError::Code { code, offset }),
                Part::Module => return Err(RdbError::Module { code, offset }),
                Part::End => return self.check_end(offset).map(|()| None),
            }
        }
    }

    fn read_part(&mut self, code: u8) -> Result<Part, Fault> {
        let stream = &mut self.stream;
        Ok(match code {
            code::EXPIRE_MS => Part::Expire(stream.word()?),
            code::EXPIRE => Part::Expire(i64::from(i32::from_le_bytes(stream.take()?)) * 1000),
            code::IDLE => Part::Access(RawAccess::Idle(stream.length()?)),
            code::FREQUENCY => Part::Access(RawAccess::Frequency(stream.byte()?)),
            code::SELECT => Part::Record(Record::Select(stream.length()?)),
            code::RESIZE => {
                let (keys, deadlines) = (stream.length()?, stream.length()?);
                Part::Record(Record::Resize { keys, deadlines })
            }
            code::AUX => {
                let (name, value) = (stream.string()?, stream.string()?);
                Part::Record(Record::Aux { name, value })
            }
            code::FUNCTION => Part::Record(Record::Function(stream.string()?)),
            code::MODULE_AUX => Part::Record(Record::ModuleAux { name: skip_module_aux(stream)? }),
            code::SLOT_INFO => {
                (0..3).try_for_each(|_| stream.length().map(drop))?;
                Part::Ignored
            }
            code::END => Part::End,
            kind::MODULE | kind::MODULE_2 => Part::Module,
            kind::STRING..=kind::SORTED_SET_2 | kind::HASH_ZIPMAP..=kind::HASH_LISTPACK_DEADLINES => {
                let key = stream.string()?;
                let body_at = stream.read.len();
                skim::skip_value(stream, code)?;
                Part::Entry { key, body: self.take_body(body_at) }
            }
            _ => Part::Unknown,
        })
    }

    /// What was read from a place on.
    fn take_body(&mut self, body_at: usize) -> Vec<u8> {
        if self.stream.read.len() <= KEPT_BYTES_MAX {
            return self.stream.read[body_at..].to_vec();
        }
        // A long one is not copied.
        self.checksum.update(&self.stream.read);
        let mut body = std::mem::take(&mut self.stream.read);
        body.drain(..body_at);
        body
    }

    /// Counts what was read into the checksum.
    fn settle(&mut self) {
        self.checksum.update(&self.stream.read);
        self.stream.read.clear();
        self.stream.read.shrink_to(KEPT_BYTES_MAX);
    }

    fn check_end(&mut self, offset: u64) -> Result<(), RdbError> {
        self.settle();
        if self.version < CHECKED_VERSION_MIN {
            return Ok(());
        }
        let bytes = self.stream.take().map_err(|fault| fault.at(code::END, offset))?;
        let (found, expected) = (u64::from_le_bytes(bytes), self.checksum.value());
        // Zero stands for a checksum that was not made.
        if self.is_checked && are_checksums_checked() && found != 0 && found != expected {
            return Err(RdbError::Checksum { expected, found });
        }
        Ok(())
    }
}

impl<R: Read> Iterator for Records<R> {
    type Item = Result<Record, RdbError>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.is_done {
            return None;
        }
        let record = self.read_record().transpose();
        self.is_done = !matches!(record, Some(Ok(_)));
        record
    }
}

/// What stands behind a code.
enum Part {
    Record(Record),
    Expire(UnixMillis),
    Access(RawAccess),
    Ignored,
    Entry { key: Vec<u8>, body: Vec<u8> },
    Unknown,
    Module,
    End,
}

/// Passes over what a module keeps beside the keys; returns the name of its type.
fn skip_module_aux(source: &mut impl Source) -> Result<String, Fault> {
    let id = source.length()?;
    loop {
        match source.length()? {
            module::END => return Ok(module_name(id)),
            module::INT | module::UINT => source.length().map(drop)?,
            module::FLOAT => source.skip(size_of::<f32>() as u64)?,
            module::DOUBLE => source.skip(size_of::<f64>() as u64)?,
            module::STRING => source.skip_string()?,
            _ => return Err(Fault::Damaged("a part of a module's data is of no known type")),
        }
    }
}

/// The name of a module's type: nine letters of six bits each, before ten bits for a version.
fn module_name(id: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..9).rev().map(|place| char::from(LETTERS[(id >> (10 + 6 * place) & 0x3f) as usize])).collect()
}
