//! Follows a pickle's instructions and builds inert values. Nothing that a file names is imported, called or run.
//!
//! A pickle is a program for a stack machine, and PyTorch's own restricted interpreter has run foreign code twice
//! (CVE-2025-32434, CVE-2026-24747). Here only the instructions of [`Opcode`] and the names of [`Global`] have a meaning;
//! everything else is refused by name. What lives here: the machine. What does not: what calls of the few known functions
//! mean (`rebuild`).

use std::collections::HashMap;

use super::opcode::{Opcode, refused_name};
use super::value::{Global, Heap, Value};
use crate::error::WeightsError;
use crate::limits::Limits;
use crate::text::{shown, shown_bytes};

/// Instructions of a pickle at most. A tensor takes about fifty, and a file has up to 20,000.
const MAX_INSTRUCTIONS: usize = 2_000_000;

/// A pickle and where it stands.
pub(super) struct Source<'a> {
    /// The file up to where the pickle may reach.
    pub(super) bytes: &'a [u8],
    /// Where the pickle begins in it.
    pub(super) start: usize,
    pub(super) limits: &'a Limits,
    /// Of the whole file.
    pub(super) file_bytes: u64,
}

/// What a pickle has built.
#[derive(Debug)]
pub(super) struct Pickled<'a> {
    pub(super) root: Value<'a>,
    pub(super) heap: Heap<'a>,
    /// Where the next thing in the file begins.
    pub(super) end: usize,
}

/// Follows a pickle to its end.
///
/// # Errors
/// [`WeightsError::ForbiddenGlobal`] and [`WeightsError::ForbiddenOpcode`] for what weights do not need,
/// [`WeightsError::Malformed`] for what is no pickle, [`WeightsError::Limit`] for what is too large.
pub(super) fn read<'a>(source: &Source<'a>) -> Result<Pickled<'a>, WeightsError> {
    let mut machine = Machine {
        source,
        at: source.start,
        instruction_at: source.start,
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        heap: Heap::default(),
        work_left: MAX_INSTRUCTIONS,
    };
    loop {
        machine.spend(1)?;
        if let Some(root) = machine.step()? {
            return Ok(Pickled { root, heap: machine.heap, end: machine.at });
        }
        let read = (machine.at - source.start) as u64;
        if read > source.limits.max_header_bytes {
            let item = "bytes of the pickle".to_owned();
            return Err(WeightsError::Limit { item, limit: source.limits.max_header_bytes, found: read });
        }
    }
}

pub(super) struct Machine<'s, 'a> {
    pub(super) source: &'s Source<'a>,
    at: usize,
    instruction_at: usize,
    stack: Vec<Value<'a>>,
    /// Heights of the stack at its marks.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    pub(super) heap: Heap<'a>,
    work_left: usize,
}

impl<'a> Machine<'_, 'a> {
    /// Follows one instruction; the result after the last.
    fn step(&mut self) -> Result<Option<Value<'a>>, WeightsError> {
        self.instruction_at = self.at;
        let byte = self.take(1)?[0];
        let Some(opcode) = Opcode::from_byte(byte) else {
            let (opcode, offset) = (refused_name(byte), self.instruction_at as u64);
            return Err(WeightsError::ForbiddenOpcode { opcode, offset });
        };
        match opcode {
            Opcode::Stop => return self.pop().map(Some),
            Opcode::Protocol => drop(self.take(1)?),
            Opcode::Frame => drop(self.take(8)?),
            Opcode::Mark => self.marks.push(self.stack.len()),
            Opcode::Pop => self.pop_value_or_mark()?,
            Opcode::PopMark => drop(self.pop_to_mark()?),
            Opcode::Duplicate => {
                let top = self.top()?;
                self.stack.push(top);
            }
            Opcode::Global | Opcode::StackGlobal | Opcode::Instance => self.global(opcode)?,
            Opcode::Reduce | Opcode::NewObject | Opcode::Build | Opcode::PersistentId => {
                self.object(opcode)?
            }
            Opcode::Get1 | Opcode::Get4 | Opcode::Put1 | Opcode::Put4 | Opcode::Memoize => {
                self.memory(opcode)?
            }
            Opcode::Append | Opcode::Appends | Opcode::SetItem | Opcode::SetItems | Opcode::AddItems => {
                self.extend(opcode)?
            }
            Opcode::EmptyTuple
            | Opcode::Tuple
            | Opcode::TupleOf(_)
            | Opcode::EmptyList
            | Opcode::List
            | Opcode::EmptyDict
            | Opcode::Dict
            | Opcode::EmptySet
            | Opcode::FrozenSet => self.container(opcode)?,
            _ => {
                let scalar = self.scalar(opcode)?;
                self.stack.push(scalar);
            }
        }
        Ok(None)
    }

    /// Counts instructions, and values that an instruction copies.
    pub(super) fn spend(&mut self, work: usize) -> Result<(), WeightsError> {
        let left = self.work_left.checked_sub(work);
        self.work_left = left.ok_or_else(|| {
            let (item, limit) = ("instructions of the pickle".to_owned(), MAX_INSTRUCTIONS as u64);
            WeightsError::Limit { item, limit, found: limit + 1 }
        })?;
        Ok(())
    }

    fn scalar(&mut self, opcode: Opcode) -> Result<Value<'a>, WeightsError> {
        Ok(match opcode {
            Opcode::None => Value::None,
            Opcode::True => Value::Bool(true),
            Opcode::False => Value::Bool(false),
            Opcode::Int1 => Value::Int(self.unsigned(1)? as i64),
            Opcode::Int2 => Value::Int(self.unsigned(2)? as i64),
            Opcode::Int4 => Value::Int(i64::from(self.unsigned(4)? as u32 as i32)),
            Opcode::Long1 => long(self.counted(1)?),
            Opcode::Long4 => long(self.counted(4)?),
            Opcode::Float8 => Value::Float(f64::from_bits(self.unsigned(8)?.swap_bytes())),
            // A string of Python 2 is text where it can be.
            Opcode::Bytes2(width) => {
                let bytes = self.counted(width)?;
                std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text)
            }
            Opcode::Text(width) => {
                let bytes = self.counted(width)?;
                // Python writes lone surrogates, which are no UTF-8; no tensor is called so.
                std::str::from_utf8(bytes).map_or(Value::Bytes(bytes), Value::Text)
            }
            Opcode::Bytes(width) => Value::Bytes(self.counted(width)?),
            other => return Err(self.malformed("a value", format!("{other:?}"))),
        })
    }

    fn container(&mut self, opcode: Opcode) -> Result<(), WeightsError> {
        let value = match opcode {
            Opcode::EmptyTuple => self.heap.tuple(Vec::new()),
            Opcode::EmptyList => self.heap.list(Vec::new()),
            Opcode::EmptyDict => self.heap.dict(Vec::new()),
            Opcode::EmptySet => Value::Inert,
            Opcode::TupleOf(count) => {
                let mut values = Vec::with_capacity(usize::from(count));
                for _ in 0..count {
                    values.push(self.pop()?);
                }
                values.reverse();
                self.heap.tuple(values)
            }
            Opcode::Tuple => {
                let values = self.pop_to_mark()?;
                self.heap.tuple(values)
            }
            Opcode::List => {
                let values = self.pop_to_mark()?;
                self.heap.list(values)
            }
            Opcode::Dict => {
                let values = self.pop_to_mark()?;
                let entries = self.pairs(&values)?;
                self.heap.dict(entries)
            }
            _ => {
                self.pop_to_mark()?;
                Value::Inert
            }
        };
        self.stack.push(value);
        Ok(())
    }

    /// Puts values into the container below them.
    fn extend(&mut self, opcode: Opcode) -> Result<(), WeightsError> {
        let values = match opcode {
            Opcode::Append => vec![self.pop()?],
            Opcode::SetItem => {
                let value = self.pop()?;
                vec![self.pop()?, value]
            }
            _ => self.pop_to_mark()?,
        };
        let takes_pairs = matches!(opcode, Opcode::SetItem | Opcode::SetItems);
        match (self.top()?, takes_pairs) {
            (Value::List(place), false) => self.heap.lists[place].extend(values),
            (Value::Dict(place), true) => {
                let entries = self.pairs(&values)?;
                self.heap.dicts[place].extend(entries);
            }
            (Value::Inert, _) => {}
            (other, _) => return Err(self.malformed("a container to put values into", other.kind())),
        }
        Ok(())
    }

    fn memory(&mut self, opcode: Opcode) -> Result<(), WeightsError> {
        let place = match opcode {
            Opcode::Get1 | Opcode::Put1 => self.unsigned(1)? as u32,
            Opcode::Get4 | Opcode::Put4 => self.unsigned(4)? as u32,
            // At most one entry for each instruction.
            _ => self.memo.len() as u32,
        };
        if matches!(opcode, Opcode::Get1 | Opcode::Get4) {
            let value = self.memo.get(&place).copied();
            let value =
                value.ok_or_else(|| self.malformed("something remembered", format!("nothing at {place}")))?;
            self.stack.push(value);
        } else {
            let top = self.top()?;
            self.memo.insert(place, top);
        }
        Ok(())
    }

    /// Finds the meaning of a name, or refuses it.
    fn global(&mut self, opcode: Opcode) -> Result<(), WeightsError> {
        let (module, name) = if opcode == Opcode::StackGlobal {
            match (self.pop()?, self.pop()?) {
                (Value::Text(name), Value::Text(module)) => (module.as_bytes(), name.as_bytes()),
                (name, module) => {
                    return Err(
                        self.malformed("two strings", format!("{} and {}", module.kind(), name.kind()))
                    );
                }
            }
        } else {
            (self.line()?, self.line()?)
        };
        let texts = std::str::from_utf8(module).ok().zip(std::str::from_utf8(name).ok());
        let offset = self.instruction_at as u64;
        let Some(global) = texts.and_then(|(module, name)| Global::from_name(module, name)) else {
            let global = format!("{}.{}", shown_bytes(module), shown_bytes(name));
            return Err(WeightsError::ForbiddenGlobal { global, offset });
        };
        if opcode == Opcode::Instance {
            return Err(WeightsError::ForbiddenOpcode { opcode: refused_name(b'i'), offset });
        }
        self.stack.push(Value::Global(global));
        Ok(())
    }

    /// What would make or change an object.
    fn object(&mut self, opcode: Opcode) -> Result<(), WeightsError> {
        let argument = self.pop()?;
        let value = match opcode {
            Opcode::PersistentId => self.storage(argument)?,
            Opcode::Build => {
                // Attributes, such as the `_metadata` of a state dictionary, hold no weights.
                match self.pop()? {
                    built @ (Value::Dict(_) | Value::Tensor(_) | Value::Inert) => built,
                    other => return Err(self.malformed("an object that has attributes", other.kind())),
                }
            }
            _ => match self.pop()? {
                Value::Global(global) => self.call(global, argument)?,
                other => return Err(self.malformed("a class or function", other.kind())),
            },
        };
        self.stack.push(value);
        Ok(())
    }

    fn pairs(&self, values: &[Value<'a>]) -> Result<Vec<(Value<'a>, Value<'a>)>, WeightsError> {
        let (pairs, rest) = values.as_chunks();
        match rest {
            [] => Ok(pairs.iter().map(|&[key, value]| (key, value)).collect()),
            _ => Err(self.malformed("keys and values", "a key without a value")),
        }
    }

    fn top(&self) -> Result<Value<'a>, WeightsError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let top = self.stack.get(floor..).and_then(<[_]>::last).copied();
        top.ok_or_else(|| self.malformed("a value on the stack", "none"))
    }

    fn pop(&mut self) -> Result<Value<'a>, WeightsError> {
        let top = self.top()?;
        self.stack.pop();
        Ok(top)
    }

    fn pop_value_or_mark(&mut self) -> Result<(), WeightsError> {
        match self.marks.last() {
            Some(&mark) if mark == self.stack.len() => drop(self.marks.pop()),
            _ => drop(self.pop()?),
        }
        Ok(())
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, WeightsError> {
        let mark = self.marks.pop().ok_or_else(|| self.malformed("a mark", "none"))?;
        Ok(self.stack.split_off(mark))
    }

    fn take(&mut self, length: usize) -> Result<&'a [u8], WeightsError> {
        let bytes: &'a [u8] = self.source.bytes;
        let end = self.at.checked_add(length);
        let taken = end.and_then(|end| bytes.get(self.at..end));
        let taken = taken.ok_or_else(|| {
            let left = bytes.len().saturating_sub(self.at);
            self.malformed(&format!("{length} bytes more"), format!("{left}: the file is cut off or damaged"))
        })?;
        self.at += length;
        Ok(taken)
    }

    fn unsigned(&mut self, width: u8) -> Result<u64, WeightsError> {
        let mut wide = [0; 8];
        wide[..usize::from(width)].copy_from_slice(self.take(usize::from(width))?);
        Ok(u64::from_le_bytes(wide))
    }

    fn counted(&mut self, width: u8) -> Result<&'a [u8], WeightsError> {
        let length = self.unsigned(width)?;
        self.take(usize::try_from(length).unwrap_or(usize::MAX))
    }

    fn line(&mut self) -> Result<&'a [u8], WeightsError> {
        let left: &'a [u8] = &self.source.bytes[self.at..];
        let length = left.iter().position(|&byte| byte == b'\n');
        let length = length
            .ok_or_else(|| self.malformed("a name and the end of its line", "the end of the pickle"))?;
        self.at += length + 1;
        Ok(&left[..length])
    }

    pub(super) fn malformed(&self, expected: &str, found: impl Into<String>) -> WeightsError {
        WeightsError::Malformed {
            item: format!("the pickle at byte {} of the file", self.instruction_at),
            expected: expected.to_owned(),
            found: shown(&found.into()),
        }
    }
}

/// An integer of any length: two's complement, little-endian.
fn long(bytes: &[u8]) -> Value<'_> {
    let is_negative = bytes.last().is_some_and(|byte| byte & 0x80 != 0);
    let sign = if is_negative { 0xff } else { 0 };
    let (low, high) = bytes.split_at(bytes.len().min(8));
    let mut wide = [sign; 8];
    wide[..low.len()].copy_from_slice(low);
    let value = i64::from_le_bytes(wide);
    match high.iter().all(|&byte| byte == sign) && value.is_negative() == is_negative {
        true => Value::Int(value),
        false => Value::Long(bytes),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integers_of_any_length() {
        for (bytes, value) in [
            (&[][..], 0),
            (&[0xff], -1),
            (&[0xff, 0], 255),
            (&[0, 0, 0, 0, 1], 1 << 32),
            (&[0, 0, 0, 0, 0, 0, 0, 0x80], i64::MIN),
            (&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f, 0], i64::MAX),
            (&[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff], -2),
        ] {
            assert_eq!(long(bytes), Value::Int(value), "{bytes:?}");
        }
        for beyond in [&[0, 0, 0, 0, 0, 0, 0, 0x80, 0][..], &[0, 0, 0, 0, 0, 0, 0, 0, 0xff], &[1; 9]] {
            assert_eq!(long(beyond), Value::Long(beyond));
        }
    }
}
