//! Model files with random weights: for benchmarks of shapes whose weights are not at hand.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

/// What the values of a tensor are.
#[derive(Clone, Copy, Debug)]
pub enum Fill {
    /// Random, up to this far from zero.
    Random(f32),
    /// The same everywhere.
    Constant(f32),
    /// From the first to the second, evenly.
    Line(f32, f32),
}

/// Name, shape and values of a tensor.
pub type Tensor = (String, Vec<usize>, Fill);

/// Writes a safetensors file in `f32`, tensor by tensor, so that it is never held in memory.
///
/// # Errors
///
/// When the file cannot be written.
pub fn write_tensors(path: &Path, tensors: &[Tensor]) -> io::Result<()> {
    let (mut entries, mut end) = (Vec::new(), 0);
    for (name, shape, _) in tensors {
        let start = end;
        end += shape.iter().product::<usize>() * size_of::<f32>();
        entries.push(format!(
            r#""{name}": {{"dtype": "F32", "shape": {shape:?}, "data_offsets": [{start}, {end}]}}"#
        ));
    }
    let mut header = format!("{{{}}}", entries.join(", "));
    while !header.len().is_multiple_of(8) {
        header.push(' ');
    }
    let mut file = BufWriter::new(File::create(path)?);
    file.write_all(&(header.len() as u64).to_le_bytes())?;
    file.write_all(header.as_bytes())?;
    let mut state = 1u32;
    for (_, shape, fill) in tensors {
        let count: usize = shape.iter().product();
        for at in 0..count {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let random = (state >> 8) as f32 / (1 << 23) as f32 - 1.0;
            let value = match *fill {
                Fill::Random(most) => random * most,
                Fill::Constant(value) => value,
                Fill::Line(from, to) => from + (to - from) * at as f32 / (count - 1) as f32,
            };
            file.write_all(&value.to_le_bytes())?;
        }
    }
    file.flush()
}
