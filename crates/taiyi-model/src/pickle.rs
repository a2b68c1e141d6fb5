//! How deep and how large a pickle's objects become, found out before they are made.
//!
//! candle nests objects as deep as a pickle says, which ends in the overflow of its stack, and copies whatever is noted or
//! taken up again, which can fill any memory from a few bytes. So the same instructions are gone through here first, with
//! the outlines of objects alone.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read as _};
use std::path::Path;

use zip::ZipArchive;

use crate::ModelError;

/// A checkpoint of a thousand tensors takes some 100 kB to name them.
const MAX_TABLE_BYTES: u64 = 8 << 20;
/// Of all objects that are ever made. A thousand tensors take some 10 MB.
const MAX_OBJECT_BYTES: u64 = 128 << 20;
/// A tensor in a dictionary has about ten.
const MAX_LEVELS: u32 = 64;
/// What an object takes without its text, at most.
const OBJECT_BYTES: u64 = 64;

/// Says so when the tables of tensors in the zip file at `path` are more than a checkpoint needs.
pub(crate) fn check(path: &Path) -> Result<(), ModelError> {
    let damaged = |problem: String| ModelError::corrupt(path, problem);
    let file = File::open(path).map_err(|error| ModelError::io(path, error))?;
    let mut archive = ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
    let names: Vec<String> = archive
        .file_names()
        .map(|name| name.map(Cow::into_owned))
        .collect::<Result<_, _>>()
        .map_err(|error| damaged(error.to_string()))?;
    let mut made_bytes = 0;
    // One is usual; candle unpickles all that are called so.
    for name in names.iter().filter(|name| name.ends_with("data.pkl")) {
        let entry = archive.by_name(name).map_err(|error| damaged(error.to_string()))?;
        let size = entry.size();
        if size > MAX_TABLE_BYTES {
            return Err(damaged(format!(
                "its table of tensors has {size} bytes, more than the {MAX_TABLE_BYTES} that are read"
            )));
        }
        let mut table = Vec::new();
        entry.take(size).read_to_end(&mut table).map_err(|error| damaged(error.to_string()))?;
        let mut sketch = Sketch::new(&table, made_bytes);
        sketch.run().map_err(|problem| damaged(format!("its table of tensors {problem}")))?;
        made_bytes = sketch.made_bytes;
    }
    Ok(())
}

/// What is remembered of an object.
#[derive(Clone, Copy, Debug)]
struct Outline {
    /// It stands on the stack to say where a tuple's or a dictionary's entries begin.
    is_mark: bool,
    levels: u32,
    bytes: u64,
}

/// Why a pickle is not unpickled.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
enum Problem {
    #[error("is cut off")]
    CutOff,
    #[error("nests objects in more than {MAX_LEVELS} levels")]
    Deep,
    #[error("would take more than {MAX_OBJECT_BYTES} bytes of memory")]
    Large,
    #[error("has the instruction {0:#04x}, which none needs")]
    Instruction(u8),
    #[error("takes an object where there is none")]
    Absent,
}

/// candle's unpickling, with outlines in place of objects. None is smaller than what it stands for.
struct Sketch<'a> {
    rest: &'a [u8],
    stack: Vec<Outline>,
    memo: HashMap<u32, Outline>,
    /// Of everything so far, whether it is still there or not.
    made_bytes: u64,
}

impl<'a> Sketch<'a> {
    fn new(pickle: &'a [u8], made_bytes: u64) -> Self {
        Self { rest: pickle, stack: Vec::new(), memo: HashMap::new(), made_bytes }
    }

    /// To the pickle's end.
    fn run(&mut self) -> Result<(), Problem> {
        const STOP: u8 = b'.';
        loop {
            match self.byte()? {
                STOP => return Ok(()),
                instruction => self.step(instruction)?,
            }
        }
    }

    fn step(&mut self, instruction: u8) -> Result<(), Problem> {
        match instruction {
            // The protocol's number.
            0x80 => self.take(1).map(drop),
            // None, booleans, empty tuples, lists and dictionaries.
            b'N' | 0x88 | 0x89 | b')' | b']' | b'}' => self.push_plain(0),
            // Numbers of a fixed length, and of a length that stands before.
            b'K' => self.take(1).map(drop).and_then(|()| self.push_plain(0)),
            b'M' => self.take(2).map(drop).and_then(|()| self.push_plain(0)),
            b'J' => self.take(4).map(drop).and_then(|()| self.push_plain(0)),
            b'G' => self.take(8).map(drop).and_then(|()| self.push_plain(0)),
            0x8a => match self.byte()? {
                length @ 0..=8 => self.take(u32::from(length)).map(drop).and_then(|()| self.push_plain(0)),
                _ => Err(Problem::Instruction(instruction)),
            },
            // A text.
            b'X' => {
                let length = self.number()?;
                self.take(length)?;
                self.push_plain(u64::from(length))
            }
            // A class: module and name, a line each.
            b'c' => {
                let length = self.line()? + self.line()?;
                self.push_plain(length)
            }
            b'(' => {
                self.push_plain(0)?;
                self.last()?.is_mark = true;
                Ok(())
            }
            // Tuples of the entries from the mark on, and of one to three.
            b't' => self.since_mark().and_then(|parts| self.wrap(&parts)),
            0x85 | b'Q' => self.pop(1).and_then(|parts| self.wrap(&parts)),
            // Calls, new objects, states: of two parts, like a tuple of two.
            0x86 | b'R' | b'b' | 0x81 => self.pop(2).and_then(|parts| self.wrap(&parts)),
            0x87 => self.pop(3).and_then(|parts| self.wrap(&parts)),
            // Into the list or dictionary below.
            b'a' => self.pop(1).and_then(|parts| self.fill(&parts)),
            b's' => self.pop(2).and_then(|parts| self.fill(&parts)),
            b'e' | b'u' => self.since_mark().and_then(|parts| self.fill(&parts)),
            // Noted under a number, and taken up again.
            b'q' => self.byte().and_then(|id| self.note(u32::from(id))),
            b'r' => self.number().and_then(|id| self.note(id)),
            b'h' => self.byte().and_then(|id| self.recall(u32::from(id))),
            b'j' => self.number().and_then(|id| self.recall(id)),
            other => Err(Problem::Instruction(other)),
        }
    }

    fn take(&mut self, length: u32) -> Result<&'a [u8], Problem> {
        let length = usize::try_from(length).map_err(|_| Problem::CutOff)?;
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Problem::CutOff)?;
        self.rest = rest;
        Ok(taken)
    }

    fn byte(&mut self) -> Result<u8, Problem> {
        self.take(1)?.first().copied().ok_or(Problem::CutOff)
    }

    fn number(&mut self) -> Result<u32, Problem> {
        self.take(4)?.try_into().map(u32::from_le_bytes).map_err(|_| Problem::CutOff)
    }

    /// Bytes up to the next line feed.
    fn line(&mut self) -> Result<u64, Problem> {
        let length = self.rest.iter().position(|byte| *byte == b'\n').ok_or(Problem::CutOff)?;
        self.rest = self.rest.get(length + 1..).unwrap_or_default();
        // What is no UTF-8 becomes a mark of three bytes for one.
        Ok(3 * length as u64)
    }

    fn make(&mut self, bytes: u64) -> Result<(), Problem> {
        self.made_bytes = self.made_bytes.saturating_add(bytes);
        if self.made_bytes > MAX_OBJECT_BYTES { Err(Problem::Large) } else { Ok(()) }
    }

    /// An object without others in it.
    fn push_plain(&mut self, text_bytes: u64) -> Result<(), Problem> {
        let bytes = OBJECT_BYTES + text_bytes;
        self.make(bytes)?;
        self.stack.push(Outline { is_mark: false, levels: 1, bytes });
        Ok(())
    }

    fn last(&mut self) -> Result<&mut Outline, Problem> {
        self.stack.last_mut().ok_or(Problem::Absent)
    }

    fn pop(&mut self, count: usize) -> Result<Vec<Outline>, Problem> {
        let at = self.stack.len().checked_sub(count).ok_or(Problem::Absent)?;
        Ok(self.stack.split_off(at))
    }

    fn since_mark(&mut self) -> Result<Vec<Outline>, Problem> {
        let mark = self.stack.iter().rposition(|outline| outline.is_mark).ok_or(Problem::Absent)?;
        let parts = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(parts)
    }

    /// An object of these.
    fn wrap(&mut self, parts: &[Outline]) -> Result<(), Problem> {
        self.push_plain(0)?;
        self.fill(parts)
    }

    /// Puts these into the object on top.
    fn fill(&mut self, parts: &[Outline]) -> Result<(), Problem> {
        let whole = self.last()?;
        for part in parts {
            whole.levels = whole.levels.max(part.levels + 1);
            whole.bytes = whole.bytes.saturating_add(part.bytes);
        }
        if whole.levels > MAX_LEVELS { Err(Problem::Deep) } else { Ok(()) }
    }

    fn note(&mut self, id: u32) -> Result<(), Problem> {
        let copy = *self.last()?;
        self.make(copy.bytes)?;
        self.memo.insert(id, copy);
        Ok(())
    }

    fn recall(&mut self, id: u32) -> Result<(), Problem> {
        let copy = *self.memo.get(&id).ok_or(Problem::Absent)?;
        self.make(copy.bytes)?;
        self.stack.push(copy);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(pickle: &[u8]) -> Result<u64, Problem> {
        let mut sketch = Sketch::new(pickle, 0);
        sketch.run().map(|()| sketch.made_bytes)
    }

    #[test]
    fn depth_is_bounded_however_it_comes_about() {
        let nested = |begin: &[u8], step: &[u8], times: usize| [begin, &step.repeat(times), b"."].concat();
        for (begin, step) in [
            (&b"\x80\x02)"[..], &b"\x85"[..]),
            (b")", b"Q"),
            (b")", b"N\x86"),
            (b")", b"NN\x87"),
            (b")", b"NR"),
            (b")", b"N\x81"),
            (b")", b"Nb"),
            // Of what was noted.
            (b")", b"q\x00(h\x00t"),
        ] {
            assert_eq!(run(&nested(begin, step, 1_000_000)), Err(Problem::Deep), "{step:?}");
            run(&nested(begin, step, 20)).unwrap();
        }
        for (open, close) in
            [(&b"]"[..], &b"a"[..]), (b"}N", b"s"), (b"](", b"e"), (b"}(N", b"u"), (b"(", b"t")]
        {
            let nest = |times: usize| [&open.repeat(times), &b")"[..], &close.repeat(times), b"."].concat();
            assert_eq!(run(&nest(1000)), Err(Problem::Deep), "{open:?}");
            run(&nest(20)).unwrap();
        }
    }

    #[test]
    fn memory_is_bounded_however_it_is_filled() {
        // Many, a copy of a copy of two copies, and a text noted again and again.
        assert_eq!(run(&b")".repeat(8 << 20)), Err(Problem::Large));
        assert_eq!(run(&[&b")q\x00"[..], &b"h\x00\x86q\x00".repeat(60)].concat()), Err(Problem::Large));
        let text = [&b"X\x00\x00\x10\x00"[..], &vec![b'a'; 1 << 20], &b"q\x00".repeat(200)].concat();
        assert_eq!(run(&text), Err(Problem::Large));
    }

    #[test]
    fn what_makes_no_sense_is_told() {
        for (pickle, problem) in [
            (&b""[..], Problem::CutOff),
            (b"X\xff\xff\xff\xffabc", Problem::CutOff),
            (b"ccollections\nOrderedDict", Problem::CutOff),
            (b"\x85.", Problem::Absent),
            (b")t.", Problem::Absent),
            (b"h\x00.", Problem::Absent),
            (b"a.", Problem::Absent),
            (b"\x8a\x09", Problem::Instruction(0x8a)),
            (b"d.", Problem::Instruction(b'd')),
            (b"\x95", Problem::Instruction(0x95)),
        ] {
            assert_eq!(run(pickle), Err(problem), "{pickle:?}");
        }
    }

    #[test]
    fn a_checkpoint_is_far_from_the_bounds() {
        // {"w": _rebuild_tensor_v2(storage, 0, (2, 2), (2, 1), False, OrderedDict())}, as torch writes it.
        let tensor = b"X\x01\x00\x00\x00wq\x01ctorch._utils\n_rebuild_tensor_v2\nq\x02((X\x07\x00\x00\x00storageq\x03\
                       ctorch\nFloatStorage\nq\x04X\x01\x00\x00\x000q\x05X\x03\x00\x00\x00cpuq\x06K\x04tq\x07QK\x00K\x02K\x02\
                       \x86q\x08K\x02K\x01\x86q\x09\x89ccollections\nOrderedDict\nq\x0a)Rq\x0btq\x0cRq\x0d";
        let pickle = [&b"\x80\x02}q\x00("[..], &tensor.repeat(1000), b"u."].concat();
        let made = run(&pickle).unwrap();
        assert!(made < MAX_OBJECT_BYTES / 8, "{made} bytes");
    }
}
