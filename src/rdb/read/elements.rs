//! The elements of listpacks, ziplists and zipmaps, none of which is believed before it was walked through.

use crate::rdb::error::Fault;
use crate::rdb::format::{LISTPACK_END, LISTPACK_HEAD_BYTES, LISTPACK_LENGTH_UNKNOWN};
use crate::store::packed::Element;

const ZIPLIST_HEAD_BYTES: usize = 10;
const ZIPLIST_END: u8 = 0xff;
/// Stands for a length that must be counted, as in a listpack.
const ZIPLIST_LENGTH_UNKNOWN: u16 = u16::MAX;
/// Says that a length of four bytes follows.
const ZIPLIST_LONG: u8 = 254;

const ZIPMAP_END: u8 = 255;
/// Says that a length of four bytes follows, and in front that the length must be counted.
const ZIPMAP_LONG: u8 = 254;

/// Elements one after another, in one of the three forms.
#[derive(Clone)]
pub(super) struct Elements<'a> {
    form: Form,
    rest: &'a [u8],
    /// How many there should be, if the head says so, and how many were read.
    announced: Option<usize>,
    read: usize,
    /// How far from the end of a ziplist its last element begins, as the head says.
    tail: Option<usize>,
    /// Bytes of the element of a ziplist that was read last.
    before: usize,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Form {
    Listpack,
    Ziplist,
    Zipmap,
}

impl<'a> Elements<'a> {
    /// The elements of a listpack.
    pub(super) fn of_listpack(bytes: &'a [u8]) -> Result<Self, Fault> {
        let head = head::<LISTPACK_HEAD_BYTES>(bytes, LISTPACK_END)?;
        if u32_at(head, 0) as usize != bytes.len() {
            return Err(Fault::Damaged("the size of a listpack is wrong"));
        }
        let announced = u16::from_le_bytes([head[4], head[5]]);
        let announced = (announced != LISTPACK_LENGTH_UNKNOWN).then_some(announced.into());
        let rest = &bytes[LISTPACK_HEAD_BYTES..];
        Ok(Self { form: Form::Listpack, rest, announced, tail: None, read: 0, before: 0 })
    }

    /// The elements of a ziplist.
    pub(super) fn of_ziplist(bytes: &'a [u8]) -> Result<Self, Fault> {
        let head = head::<ZIPLIST_HEAD_BYTES>(bytes, ZIPLIST_END)?;
        if u32_at(head, 0) as usize != bytes.len() {
            return Err(Fault::Damaged("the size of a ziplist is wrong"));
        }
        let tail = bytes.len().checked_sub(u32_at(head, 4) as usize);
        let announced = u16::from_le_bytes([head[8], head[9]]);
        let announced = (announced != ZIPLIST_LENGTH_UNKNOWN).then_some(announced.into());
        let rest = &bytes[ZIPLIST_HEAD_BYTES..];
        Ok(Self { form: Form::Ziplist, rest, announced, tail, read: 0, before: 0 })
    }

    /// The fields and values of a zipmap by turns.
    pub(super) fn of_zipmap(bytes: &'a [u8]) -> Result<Self, Fault> {
        let [length] = *head::<1>(bytes, ZIPMAP_END)?;
        let announced = (length < ZIPMAP_LONG).then_some(2 * usize::from(length));
        Ok(Self { form: Form::Zipmap, rest: &bytes[1..], announced, tail: None, read: 0, before: 0 })
    }

    /// Walks through all, and counts them.
    pub(super) fn count_all(&self) -> Result<usize, Fault> {
        let mut elements = self.clone();
        while elements.try_next()?.is_some() {}
        Ok(elements.read)
    }

    /// The next element; `None` at the end, which is where it belongs then.
    pub(super) fn try_next(&mut self) -> Result<Option<Element<'a>>, Fault> {
        // All three end in the same byte, which no element begins with.
        if self.rest.first() == Some(&LISTPACK_END) {
            let is_counted = self.announced.is_none_or(|count| count == self.read);
            if self.rest.len() != 1 || !is_counted {
                return Err(Fault::Damaged("the number of elements is wrong"));
            }
            if self.form == Form::Ziplist && self.tail != Some(self.before + 1) {
                return Err(Fault::Damaged("the place of the last element is wrong"));
            }
            return Ok(None);
        }
        let element = match self.form {
            Form::Listpack => self.next_of_listpack(),
            Form::Ziplist => self.next_of_ziplist(),
            Form::Zipmap => self.next_of_zipmap(),
        };
        self.read += 1;
        element.map(Some).ok_or(Fault::Damaged("an element is damaged"))
    }

    /// The next element, of which there must be one.
    pub(super) fn need(&mut self) -> Result<Element<'a>, Fault> {
        self.try_next()?.ok_or(Fault::Damaged("an element is missing"))
    }

    /// The next element, which must be an integer.
    pub(super) fn need_int(&mut self) -> Result<i64, Fault> {
        match self.need()? {
            Element::Int(int) => Ok(int),
            Element::Bytes(_) => Err(Fault::Damaged("a string stands where a number belongs")),
        }
    }

    fn next_of_listpack(&mut self) -> Option<Element<'a>> {
        let whole = self.rest;
        let first = self.byte()?;
        let element = match first {
            0..0x80 => Element::Int(first.into()),
            0x80..0xc0 => Element::of(self.take(usize::from(first & 0x3f))?),
            0xc0..0xe0 => {
                let value = i64::from(first & 0x1f) << 8 | i64::from(self.byte()?);
                Element::Int(if value < 1 << 12 { value } else { value - (1 << 13) })
            }
            0xe0..0xf0 => {
                let length = usize::from(first & 0x0f) << 8 | usize::from(self.byte()?);
                Element::of(self.take(length)?)
            }
            0xf0 => {
                let length = u32::from_le_bytes(*self.take(4)?.first_chunk()?) as usize;
                Element::of(self.take(length)?)
            }
            0xf1 => Element::Int(self.int(2)?),
            0xf2 => Element::Int(self.int(3)?),
            0xf3 => Element::Int(self.int(4)?),
            0xf4 => Element::Int(self.int(8)?),
            _ => return None,
        };
        let length = whole.len() - self.rest.len();
        (self.back_length(length)? == length).then_some(element)
    }

    /// The length behind an element of a listpack, which is read from the right: seven bits a byte, all but the leftmost
    /// marked.
    fn back_length(&mut self, length: usize) -> Option<usize> {
        let bytes = match length {
            0..=127 => 1,
            128..16_383 => 2,
            16_383..2_097_151 => 3,
            2_097_151..268_435_455 => 4,
            _ => 5,
        };
        let marks = self.take(bytes)?;
        let (first, others) = marks.split_first()?;
        let is_marked = first & 0x80 == 0 && others.iter().all(|byte| byte & 0x80 != 0);
        let back = marks.iter().fold(0, |length, byte| length << 7 | usize::from(byte & 0x7f));
        is_marked.then_some(back)
    }

    fn next_of_ziplist(&mut self) -> Option<Element<'a>> {
        let whole = self.rest;
        let before = match self.byte()? {
            ZIPLIST_LONG => u32::from_le_bytes(*self.take(4)?.first_chunk()?) as usize,
            short => short.into(),
        };
        if before != self.before {
            return None;
        }
        let first = self.byte()?;
        let element = match first {
            0..0x40 => Element::of(self.take(usize::from(first))?),
            0x40..0x80 => {
                let length = usize::from(first & 0x3f) << 8 | usize::from(self.byte()?);
                Element::of(self.take(length)?)
            }
            0x80 => {
                let length = u32::from_be_bytes(*self.take(4)?.first_chunk()?) as usize;
                Element::of(self.take(length)?)
            }
            0xc0 => Element::Int(self.int(2)?),
            0xd0 => Element::Int(self.int(4)?),
            0xe0 => Element::Int(self.int(8)?),
            0xf0 => Element::Int(self.int(3)?),
            0xfe => Element::Int(self.int(1)?),
            0xf1..=0xfd => Element::Int(i64::from(first) - 0xf1),
            _ => return None,
        };
        self.before = whole.len() - self.rest.len();
        Some(element)
    }

    fn next_of_zipmap(&mut self) -> Option<Element<'a>> {
        let is_value = !self.read.is_multiple_of(2);
        let length = match self.byte()? {
            ZIPMAP_LONG => u32::from_le_bytes(*self.take(4)?.first_chunk()?) as usize,
            ZIPMAP_END => return None,
            short => short.into(),
        };
        // Behind a value there may be room that it once took.
        let room = if is_value { self.byte()? } else { 0 };
        let element = Element::of(self.take(length)?);
        self.take(room.into())?;
        Some(element)
    }

    fn byte(&mut self) -> Option<u8> {
        let (byte, rest) = self.rest.split_first()?;
        self.rest = rest;
        Some(*byte)
    }

    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(count)?;
        self.rest = rest;
        Some(taken)
    }

    /// A signed integer of so many bytes.
    fn int(&mut self, bytes: usize) -> Option<i64> {
        // Shifted to the top and back, so that the sign spreads.
        let mut word = [0; 8];
        word[8 - bytes..].copy_from_slice(self.take(bytes)?);
        Some(i64::from_le_bytes(word) >> (64 - 8 * bytes))
    }
}

/// The first bytes of a form that ends in `end`.
fn head<const N: usize>(bytes: &[u8], end: u8) -> Result<&[u8; N], Fault> {
    match bytes.first_chunk() {
        Some(head) if bytes.len() > N && bytes.last() == Some(&end) => Ok(head),
        _ => Err(Fault::Damaged("packed elements have no beginning or no end")),
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    bytes[at..].first_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes))
}
