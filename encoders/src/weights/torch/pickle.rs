//! The pickle machine: a stack, a memo, and the instructions of protocol 2 that torch writes.
//!
//! Adding an instruction: read its operands in [`Machine::step`]; it must push at most a constant
//! number of values for each of its bytes, which is what bounds the memory a hostile pickle takes.

use std::collections::HashMap;

use super::error::TorchFileError;
use super::value::{Global, Heap, KNOWN, Storage, TensorRef, Value};

/// Instructions of one pickle; a checkpoint of 1,000 tensors has about 30,000.
const MAX_STEPS: usize = 1 << 22;
/// Axes of a tensor.
const MAX_AXES: usize = 8;

/// What a pickle built.
#[derive(Debug)]
pub(super) struct Pickled<'a> {
    pub(super) value: Value<'a>,
    pub(super) heap: Heap<'a>,
    /// Bytes up to the end of the pickle.
    pub(super) len: usize,
}

/// Runs the pickle at the start of `bytes`.
pub(super) fn run(bytes: &[u8]) -> Result<Pickled<'_>, TorchFileError> {
    let mut machine = Machine {
        bytes,
        at: 0,
        op: (0, 0),
        stack: Vec::new(),
        marks: Vec::new(),
        memo: HashMap::new(),
        heap: Heap::default(),
    };
    for _ in 0..MAX_STEPS {
        if let Some(value) = machine.step()? {
            return Ok(Pickled { value, heap: machine.heap, len: machine.at });
        }
    }
    Err(TorchFileError::TooMuch { what: "instructions", limit: MAX_STEPS })
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// The instruction that is being run, and where it is: for errors.
    op: (u8, usize),
    stack: Vec<Value<'a>>,
    /// Lengths the stack had at the marks that are open.
    marks: Vec<usize>,
    memo: HashMap<u32, Value<'a>>,
    heap: Heap<'a>,
}

impl<'a> Machine<'a> {
    /// Runs one instruction; returns the result after the last.
    fn step(&mut self) -> Result<Option<Value<'a>>, TorchFileError> {
        let at = self.at;
        let [opcode] = self.array()?;
        self.op = (opcode, at);
        match opcode {
            // PROTO
            0x80 => {
                let [protocol] = self.array()?;
                if protocol != 2 {
                    return Err(self.operand("protocol 2"));
                }
            }
            b'.' => return self.pop().map(Some),
            b'(' => self.marks.push(self.stack.len()),
            b'N' => self.stack.push(Value::None),
            // NEWTRUE, NEWFALSE
            0x88 => self.stack.push(Value::Bool(true)),
            0x89 => self.stack.push(Value::Bool(false)),
            b'K' => {
                let [value] = self.array()?;
                self.stack.push(Value::Int(i64::from(value)));
            }
            b'M' => {
                let value = u16::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(i64::from(value)));
            }
            b'J' => {
                let value = i32::from_le_bytes(self.array()?);
                self.stack.push(Value::Int(i64::from(value)));
            }
            // LONG1
            0x8a => {
                let [len] = self.array()?;
                let bytes = self.take(usize::from(len))?;
                self.stack.push(integer(bytes));
            }
            b'G' => {
                self.take(8)?;
                self.stack.push(Value::Float);
            }
            b'X' => {
                let len = u32::from_le_bytes(self.array()?);
                let text = self.take(usize::try_from(len).unwrap_or(usize::MAX))?;
                let text = str::from_utf8(text).map_err(|_| self.operand("UTF-8"))?;
                self.stack.push(Value::Str(text));
            }
            b'c' => self.global()?,
            b'q' => {
                let [slot] = self.array()?;
                self.remember(u32::from(slot))?;
            }
            b'r' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.remember(slot)?;
            }
            b'h' => {
                let [slot] = self.array()?;
                self.recall(u32::from(slot))?;
            }
            b'j' => {
                let slot = u32::from_le_bytes(self.array()?);
                self.recall(slot)?;
            }
            b')' => self.push_tuple(Vec::new()),
            // TUPLE1, TUPLE2, TUPLE3
            0x85..=0x87 => {
                let items = self.pop_many(usize::from(opcode - 0x84))?;
                self.push_tuple(items);
            }
            b't' => {
                let items = self.pop_to_mark()?;
                self.push_tuple(items);
            }
            b']' => {
                self.heap.lists.push(Vec::new());
                self.stack.push(Value::List(self.heap.lists.len() - 1));
            }
            b'a' => {
                let item = self.pop()?;
                self.top_list()?.push(item);
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.top_list()?.extend(items);
            }
            b'}' => self.push_dict(),
            b's' => {
                let (value, key) = (self.pop()?, self.pop()?);
                self.top_dict()?.push((key, value));
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                let (pairs, rest) = items.as_chunks::<2>();
                if !rest.is_empty() {
                    return Err(self.operand("keys with values"));
                }
                let pairs = pairs.iter().map(|&[key, value]| (key, value));
                self.top_dict()?.extend(pairs);
            }
            b'Q' => self.storage()?,
            b'R' => self.call()?,
            // NEWOBJ
            0x81 => self.module()?,
            b'b' => self.attributes()?,
            _ => return Err(TorchFileError::Opcode { opcode, at }),
        }
        Ok(None)
    }

    /// GLOBAL: two lines, the module and the name.
    fn global(&mut self) -> Result<(), TorchFileError> {
        let (module, name) = (self.line()?, self.line()?);
        let global = Global::find(module, name).ok_or_else(|| TorchFileError::Global {
            name: format!("{module}.{name}").escape_debug().collect(),
            known: KNOWN,
        })?;
        self.stack.push(Value::Global(global));
        Ok(())
    }

    /// NEWOBJ: a module of a TorchScript file, without arguments.
    fn module(&mut self) -> Result<(), TorchFileError> {
        let (arguments, class) = (self.pop()?, self.pop()?);
        let is_empty = self.heap.tuple(arguments).is_some_and(<[_]>::is_empty);
        if class != Value::Global(Global::Module) || !is_empty {
            return Err(self.operand("a module of __torch__ and no arguments"));
        }
        self.heap.modules.push(None);
        self.stack.push(Value::Module(self.heap.modules.len() - 1));
        Ok(())
    }

    /// BUILD: the attributes of a module; or those of an ordered dict, where torch keeps versions of
    /// modules.
    fn attributes(&mut self) -> Result<(), TorchFileError> {
        let (attributes, target) = (self.pop()?, self.pop()?);
        if let (Value::Module(module), Value::Dict(dict)) = (target, attributes) {
            self.heap.modules[module] = Some(dict);
        } else if !matches!((target, attributes), (Value::Dict(_), Value::Dict(_))) {
            return Err(self.operand("attributes of an ordered dict or a module"));
        }
        self.stack.push(target);
        Ok(())
    }

    /// BINPERSID: `("storage", type, key, device, elements)`, in the legacy format with a sixth
    /// item for a view of another storage.
    fn storage(&mut self) -> Result<(), TorchFileError> {
        let id = self.pop()?;
        let (parts, view) = match self.heap.tuple(id) {
            Some([parts @ .., view]) if parts.len() == 5 => (parts, *view),
            Some(parts) => (parts, Value::None),
            None => (&[][..], Value::None),
        };
        let &[
            Value::Str("storage"),
            Value::Global(Global::Storage(dtype)),
            Value::Str(key),
            Value::Str(_),
            len,
        ] = parts
        else {
            return Err(self.operand("the id of a storage"));
        };
        if view != Value::None {
            return Err(self.operand("a storage that is no view of another"));
        }
        let len = len.as_size().ok_or_else(|| self.operand("the elements of a storage"))?;
        self.heap.storages.push(Storage { dtype, key, len });
        self.stack.push(Value::Storage(self.heap.storages.len() - 1));
        Ok(())
    }

    /// REDUCE: the calls a state dict is made with, and lists of a TorchScript file.
    fn call(&mut self) -> Result<(), TorchFileError> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let Some(arguments) = self.heap.tuple(arguments) else {
            return Err(self.operand("a tuple of arguments"));
        };
        if function == Value::Global(Global::RebuildTensor) {
            let tensor = self.rebuild(arguments)?;
            self.heap.tensors.push(tensor);
            self.stack.push(Value::Tensor(self.heap.tensors.len() - 1));
            return Ok(());
        }
        if function == Value::Global(Global::BuildList) {
            let &[list @ Value::List(_)] = arguments else {
                return Err(self.operand("a list"));
            };
            self.stack.push(list);
            return Ok(());
        }
        if function != Value::Global(Global::OrderedDict) {
            return Err(TorchFileError::Call(format!("{function:?}")));
        }
        if !arguments.is_empty() {
            let call = "collections.OrderedDict with arguments";
            return Err(TorchFileError::Call(call.to_owned()));
        }
        self.push_dict();
        Ok(())
    }

    /// `(storage, offset, sizes, strides, requires_grad, hooks)`, and in newer files metadata that
    /// must be none.
    fn rebuild(&self, arguments: &[Value<'a>]) -> Result<TensorRef<'a>, TorchFileError> {
        let (&[Value::Storage(storage), offset, shape, strides, Value::Bool(_), Value::Dict(_)]
        | &[
            Value::Storage(storage),
            offset,
            shape,
            strides,
            Value::Bool(_),
            Value::Dict(_),
            Value::None,
        ]) = arguments
        else {
            return Err(self.operand("the arguments of _rebuild_tensor_v2"));
        };
        let sizes = |value| {
            let sizes = self.heap.sizes(value).ok_or_else(|| self.operand("sizes and strides"))?;
            let limit = MAX_AXES;
            let many = TorchFileError::TooMuch { what: "axes in one tensor", limit };
            if sizes.len() <= limit { Ok(sizes) } else { Err(many) }
        };
        let (shape, strides) = (sizes(shape)?, sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(self.operand("as many strides as sizes"));
        }
        Ok(TensorRef {
            storage: self.heap.storages[storage],
            offset: offset.as_size().ok_or_else(|| self.operand("an offset"))?,
            shape,
            strides,
        })
    }

    fn push_tuple(&mut self, items: Vec<Value<'a>>) {
        self.heap.tuples.push(items);
        self.stack.push(Value::Tuple(self.heap.tuples.len() - 1));
    }

    fn push_dict(&mut self) {
        self.heap.dicts.push(Vec::new());
        self.stack.push(Value::Dict(self.heap.dicts.len() - 1));
    }

    fn top_list(&mut self) -> Result<&mut Vec<Value<'a>>, TorchFileError> {
        let Value::List(at) = self.top()? else { return Err(self.operand("a list")) };
        Ok(&mut self.heap.lists[at])
    }

    fn top_dict(&mut self) -> Result<&mut Vec<(Value<'a>, Value<'a>)>, TorchFileError> {
        let Value::Dict(at) = self.top()? else { return Err(self.operand("a dict")) };
        Ok(&mut self.heap.dicts[at])
    }

    /// The last value above the last mark.
    fn top(&self) -> Result<Value<'a>, TorchFileError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        self.stack[floor..].last().copied().ok_or_else(|| self.operand("a value"))
    }

    fn pop(&mut self) -> Result<Value<'a>, TorchFileError> {
        let value = self.top()?;
        self.stack.pop();
        Ok(value)
    }

    fn pop_many(&mut self, count: usize) -> Result<Vec<Value<'a>>, TorchFileError> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() < floor + count {
            return Err(self.operand("values"));
        }
        Ok(self.stack.split_off(self.stack.len() - count))
    }

    fn pop_to_mark(&mut self) -> Result<Vec<Value<'a>>, TorchFileError> {
        let mark = self.marks.pop().ok_or_else(|| self.operand("a mark"))?;
        Ok(self.stack.split_off(mark))
    }

    fn remember(&mut self, slot: u32) -> Result<(), TorchFileError> {
        let value = self.top()?;
        self.memo.insert(slot, value);
        Ok(())
    }

    fn recall(&mut self, slot: u32) -> Result<(), TorchFileError> {
        let value = self.memo.get(&slot).copied();
        self.stack.push(value.ok_or_else(|| self.operand("a slot that was filled"))?);
        Ok(())
    }

    fn operand(&self, expected: &'static str) -> TorchFileError {
        let (opcode, at) = self.op;
        TorchFileError::Operand { opcode, at, expected }
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TorchFileError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk());
        let bytes = *bytes.ok_or(TorchFileError::Truncated(self.bytes.len()))?;
        self.at += N;
        Ok(bytes)
    }

    fn take(&mut self, len: usize) -> Result<&'a [u8], TorchFileError> {
        let bytes = self.bytes.get(self.at..).and_then(|rest| rest.get(..len));
        let bytes = bytes.ok_or(TorchFileError::Truncated(self.bytes.len()))?;
        self.at += len;
        Ok(bytes)
    }

    fn line(&mut self) -> Result<&'a str, TorchFileError> {
        let rest = self.bytes.get(self.at..).unwrap_or_default();
        let len = rest.iter().position(|&byte| byte == b'\n');
        let line = self.take(len.ok_or(TorchFileError::Truncated(self.bytes.len()))?)?;
        self.at += 1;
        str::from_utf8(line).map_err(|_| self.operand("UTF-8"))
    }
}

/// Little-endian two's complement of any length.
fn integer(bytes: &[u8]) -> Value<'_> {
    let Some(last) = bytes.last() else { return Value::Int(0) };
    if bytes.len() > size_of::<i64>() {
        return Value::Long(bytes);
    }
    let mut padded = [if last & 0x80 == 0 { 0 } else { 0xff }; size_of::<i64>()];
    padded[..bytes.len()].copy_from_slice(bytes);
    Value::Int(i64::from_le_bytes(padded))
}
