//! Products of matrices on a CUDA device, by cuBLASLt.
//!
//! cuBLASLt's matrices are column by column, so that one of ours, row by row, is the transpose of one of its:
//!
//! ```text
//!  ours      out [rows, outputs] = a [rows, inputs] · weightsᵀ + bias
//!  cuBLASLt  D [outputs, rows]   = op(A) B          + bias     A = weights, [inputs, outputs], transposed
//!                                                              B = a, [inputs, rows]
//! ```
//!
//! Only the bias is its epilogue: its GELU is the approximation by tanh, and models have the exact one.

#![expect(unsafe_code, reason = "cuBLASLt is a C library")]

use std::collections::HashMap;
use std::ffi::c_void;
use std::sync::{Mutex, PoisonError};

use cudarc::cublaslt::result::{self, CublasError};
use cudarc::cublaslt::sys;

use crate::{GpuError, Matrix, Product};

/// Bytes of memory that products may use beside their matrices: what NVIDIA advises for compute capability 9.0.
pub(crate) const SCRATCH_BYTES: usize = 32 << 20;

/// `CUBLAS_OP_T` of `cublasOperation_t`.
const TRANSPOSED: i32 = 1;

/// Shapes whose algorithm is remembered.
const MAX_SHAPES: usize = 4096;

/// What an algorithm is advised for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Shape {
    rows: usize,
    inputs: usize,
    outputs: usize,
    /// Halves from one row to the next, and bytes that the first row's address is a multiple of.
    a: (usize, u32),
    out: (usize, u32),
}

impl Shape {
    fn of(product: &Product<'_>) -> Self {
        let Product { a, out, rows, inputs, outputs, .. } = *product;
        let of = |matrix: Matrix<'_>| (matrix.stride, alignment(matrix.address()));
        Self { rows, inputs, outputs, a: of(a), out: of(out) }
    }
}

/// cuBLASLt, opened, and which algorithm it advised for which shape.
#[derive(Debug)]
pub(crate) struct Products {
    handle: Handle,
    algorithms: Mutex<HashMap<Shape, sys::cublasLtMatmulAlgo_t>>,
}

impl Products {
    /// Loads the library. The context of a device must be current.
    ///
    /// # Errors
    ///
    /// [`GpuError::Unavailable`] names it where it is missing; [`GpuError::Device`].
    pub(crate) fn open() -> Result<Self, GpuError> {
        // SAFETY: loads libraries by their names, whose initialisers are NVIDIA's; nothing of them is called.
        if !unsafe { sys::is_culib_present() } {
            return Err(GpuError::Unavailable(
                "cuBLASLt, which multiplies matrices of models, is missing (libcublasLt.so.12; it comes with CUDA 12, \
                 and with the Python package nvidia-cublas-cu12, whose folder lib belongs into LD_LIBRARY_PATH)"
                    .to_owned(),
            ));
        }
        let handle = result::create_handle().map_err(|error| refused("open cuBLASLt", error))?;
        Ok(Self { handle: Handle(handle), algorithms: Mutex::default() })
    }

    /// Has a product computed on a stream of the current context.
    ///
    /// # Safety
    ///
    /// The matrices must be of that context's device, as [`Product::check`] wants them, and alive until it has ended.
    pub(crate) unsafe fn multiply(
        &self,
        product: &Product<'_>,
        stream: sys::cudaStream_t,
    ) -> Result<(), GpuError> {
        let doing = |error| refused("multiply matrices", error);
        let call = Call::new(product).map_err(doing)?;
        let Product { a, weights, out, scratch, .. } = *product;
        let shape = Shape::of(product);
        let known = self.lock().get(&shape).copied();
        let algorithm = match known {
            Some(algorithm) => algorithm,
            None => {
                let advised = call.advice(&self.handle, &shape).map_err(doing)?;
                let mut algorithms = self.lock();
                if algorithms.len() >= MAX_SHAPES {
                    algorithms.clear();
                }
                algorithms.insert(shape, advised);
                advised
            }
        };
        let (one, zero) = (1.0_f32, 0.0_f32);
        let number = |number: &f32| std::ptr::from_ref(number).cast::<c_void>();
        // SAFETY: the descriptions are alive and those of the matrices; the caller answers for these. Numbers are read
        // before the call returns.
        unsafe {
            result::matmul(
                self.handle.0,
                call.description.0,
                number(&one),
                number(&zero),
                weights.address() as *const c_void,
                call.weights.0,
                a.address() as *const c_void,
                call.a.0,
                out.address() as *const c_void,
                call.out.0,
                out.address() as *mut c_void,
                call.out.0,
                &raw const algorithm,
                scratch.address() as *mut c_void,
                scratch.bytes(),
                stream,
            )
        }
        .map_err(doing)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Shape, sys::cublasLtMatmulAlgo_t>> {
        // What was advised stays good if another thread panicked.
        self.algorithms.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What cuBLASLt is told of a product.
struct Call {
    description: Description,
    weights: Layout,
    a: Layout,
    out: Layout,
    scratch_bytes: usize,
}

impl Call {
    fn new(product: &Product<'_>) -> Result<Self, CublasError> {
        use sys::cublasLtMatmulDescAttributes_t as Attribute;
        let Product { a, bias, out, rows, inputs, outputs, scratch, .. } = *product;
        let description = Description::new()?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_TRANSA, &TRANSPOSED)?;
        let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue)?;
        description.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias.address())?;
        Ok(Self {
            description,
            weights: Layout::new(inputs, outputs, inputs)?,
            a: Layout::new(inputs, rows, a.stride)?,
            out: Layout::new(outputs, rows, out.stride)?,
            scratch_bytes: scratch.bytes(),
        })
    }

    /// Asks which algorithm to take.
    fn advice(
        &self,
        handle: &Handle,
        shape: &Shape,
    ) -> Result<sys::cublasLtMatmulAlgo_t, CublasError> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let preference = Preference(result::create_matmul_pref()?);
        let scratch = Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
        preference.set(scratch, &self.scratch_bytes)?;
        // What is not said counts as a multiple of 256, which a matrix inside a buffer need not be. A is the weights.
        let ((_, a), (_, out)) = (shape.a, shape.out);
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, &a)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, &out)?;
        preference.set(Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, &out)?;
        // SAFETY: everything was made by cuBLASLt and is alive.
        let advice = unsafe {
            result::get_matmul_algo_heuristic(
                handle.0,
                self.description.0,
                self.weights.0,
                self.a.0,
                self.out.0,
                self.out.0,
                preference.0,
            )
        };
        advice.map(|advice| advice.algo)
    }
}

/// The library's own state, which any thread may use.
#[derive(Debug)]
struct Handle(sys::cublasLtHandle_t);

// SAFETY: NVIDIA says of the handle that any number of threads may use it at once.
unsafe impl Send for Handle {}
// SAFETY: as above.
unsafe impl Sync for Handle {}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: made by cuBLASLt, destroyed once. There is nobody to tell of a failure.
        let _ = unsafe { result::destroy_handle(self.0) };
    }
}

/// Halves in columns, `stride` from one to the next.
struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    fn new(rows: usize, columns: usize, stride: usize) -> Result<Self, CublasError> {
        let halves = sys::cudaDataType_t::CUDA_R_16F;
        result::create_matrix_layout(halves, rows as u64, columns as u64, stride as i64).map(Self)
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = unsafe { result::destroy_matrix_layout(self.0) };
    }
}

/// Which product it is: sums in floats.
struct Description(sys::cublasLtMatmulDesc_t);

impl Description {
    fn new() -> Result<Self, CublasError> {
        let sums = sys::cublasComputeType_t::CUBLAS_COMPUTE_32F;
        result::create_matmul_desc(sums, sys::cudaDataType_t::CUDA_R_32F).map(Self)
    }

    fn set<T>(
        &self,
        attribute: sys::cublasLtMatmulDescAttributes_t,
        value: &T,
    ) -> Result<(), CublasError> {
        let bytes = std::ptr::from_ref(value).cast();
        // SAFETY: the description is alive, and the value is as long as it says; it is copied.
        unsafe { result::set_matmul_desc_attribute(self.0, attribute, bytes, size_of::<T>()) }
    }
}

impl Drop for Description {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = unsafe { result::destroy_matmul_desc(self.0) };
    }
}

/// What algorithms may take.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    fn set<T>(
        &self,
        attribute: sys::cublasLtMatmulPreferenceAttributes_t,
        value: &T,
    ) -> Result<(), CublasError> {
        let bytes = std::ptr::from_ref(value).cast();
        // SAFETY: the preference is alive, and the value is as long as it says; it is copied.
        unsafe { result::set_matmul_pref_attribute(self.0, attribute, bytes, size_of::<T>()) }
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: as above.
        let _ = unsafe { result::destroy_matmul_pref(self.0) };
    }
}

/// Returns the largest power of two up to 256 that an address is a multiple of.
fn alignment(address: u64) -> u32 {
    1 << address.trailing_zeros().min(8)
}

fn refused(doing: &'static str, error: CublasError) -> GpuError {
    GpuError::Device { doing, reason: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_as_aligned_as_they_are() {
        assert_eq!([0, 4096, 384, 24, 6].map(alignment), [256, 256, 128, 8, 2]);
    }

    #[test]
    fn a_missing_library_is_named_with_where_it_comes_from() {
        // SAFETY: as in `open`.
        if unsafe { sys::is_culib_present() } {
            return;
        }
        let error = Products::open().unwrap_err();
        assert!(matches!(error, GpuError::Unavailable(_)), "{error}");
        for part in ["libcublasLt.so.12", "nvidia-cublas-cu12", "LD_LIBRARY_PATH"] {
            assert!(error.to_string().contains(part), "{error}");
        }
    }
}
