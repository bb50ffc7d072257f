//! Devices to test, and data that looks random.

use std::sync::Arc;

use bigrain_binarize::{CodeBlocks, CodeLayout};
use bigrain_emulation::Emulated;
use bigrain_gpu::{Backend, DeviceChoice, GpuCodes, KernelCache, open};
use bigrain_kernels::{BLOCK_ROWS, RowFactors, block_bytes, pack_blocks};
use bigrain_types::Levels;

/// Returns the host in both orders of threads, and the GPU if there is one. The second host does what it is asked for as
/// late as it may, and copies through slots of which tests take several.
pub fn devices() -> Vec<Arc<dyn Backend>> {
    let emulated = || Emulated::open().unwrap();
    let mut devices: Vec<Arc<dyn Backend>> =
        vec![Arc::new(emulated()), Arc::new(emulated().downwards().late().with_slots_of(16 << 10))];
    let required = std::env::var_os("REQUIRE_GPU").is_some();
    let asked = if required { DeviceChoice::Cuda(0) } else { DeviceChoice::Auto };
    match open(asked, KernelCache::in_folder(std::env::temp_dir().join("bigrain-kernels"))) {
        Ok(Some(gpu)) => devices.push(gpu),
        Ok(None) => eprintln!("no GPU here: only the emulation was tested"),
        Err(error) => panic!("REQUIRE_GPU is set, and: {error}"),
    }
    devices
}

/// Numbers that look random (SplitMix64).
pub struct Numbers(pub u64);

impl Numbers {
    pub fn word(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    pub fn below(&mut self, end: u64) -> u64 {
        self.word() % end
    }

    /// Between -1 and 1.
    pub fn float(&mut self) -> f32 {
        (self.word() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub fn floats(&mut self, count: usize) -> Vec<f32> {
        (0..count).map(|_| self.float()).collect()
    }

    /// Rows of words without bits past the last dimension.
    pub fn planes(&mut self, count: usize, dims: usize) -> Vec<u64> {
        let words = dims.div_ceil(64);
        let last = u64::MAX >> (words * 64 - dims);
        let mut planes: Vec<u64> = (0..count * words).map(|_| self.word()).collect();
        planes.iter_mut().skip(words - 1).step_by(words).for_each(|word| *word &= last);
        planes
    }

    /// The bits of a half below 2, in magnitude.
    pub fn half(&mut self) -> u16 {
        (self.word() as u16) & 0xbfff
    }
}

/// Codes, as the CPU keeps them.
pub struct Codes {
    pub layout: CodeLayout,
    pub rows: usize,
    /// One array a level, code after code.
    pub planes: Vec<Vec<u64>>,
    pub add: Vec<f32>,
    pub rescale: Vec<u16>,
    pub error: Vec<u16>,
}

impl Codes {
    /// `dims` may be no multiple of 64; every `copies`-th code is that of row 0, with its factors.
    pub fn new(dims: usize, levels: u8, rows: usize, copies: usize, seed: u64) -> Self {
        let layout = CodeLayout::for_embedding(dims, Levels::new(levels).unwrap()).unwrap();
        let mut numbers = Numbers(seed);
        let mut codes = Self {
            layout,
            rows,
            planes: (0..levels).map(|_| numbers.planes(rows, dims)).collect(),
            add: numbers.floats(rows),
            rescale: (0..rows).map(|_| numbers.half()).collect(),
            error: (0..rows).map(|_| numbers.half() & 0x7fff).collect(),
        };
        let words = layout.words_per_plane();
        for row in (0..rows).step_by(copies) {
            for plane in &mut codes.planes {
                plane.copy_within(0..words, row * words);
            }
            codes.add[row] = codes.add[0];
            codes.rescale[row] = codes.rescale[0];
            codes.error[row] = codes.error[0];
        }
        codes
    }

    pub fn slices(&self) -> Vec<&[u64]> {
        self.planes.iter().map(Vec::as_slice).collect()
    }

    pub fn factors(&self) -> RowFactors<'_> {
        RowFactors { add: &self.add, rescale: &self.rescale, error: &self.error }
    }

    pub fn load(&self, device: &Arc<dyn Backend>) -> GpuCodes {
        let packed: Vec<Vec<u8>> = self.planes.iter().map(|plane| self.pack(plane)).collect();
        let planes = packed.iter().map(Vec::as_slice).collect();
        let (layout, rows) = (self.layout, self.rows);
        let blocks = CodeBlocks { layout, rows, planes, factors: self.factors() };
        GpuCodes::load(Arc::clone(device), &blocks).unwrap()
    }

    fn pack(&self, plane: &[u64]) -> Vec<u8> {
        let bytes = self.rows.div_ceil(BLOCK_ROWS) * block_bytes(self.layout.dims());
        let mut blocks = vec![0; bytes];
        pack_blocks(plane, self.layout.words_per_plane(), &mut blocks);
        blocks
    }
}
