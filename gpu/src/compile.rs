//! From CUDA C to what a device runs, by NVRTC.

#![expect(unsafe_code, reason = "NVRTC is a C library")]

use std::ffi::{CStr, CString, c_char};
use std::fmt;

use cudarc::nvrtc::{result, sys};

use crate::{CodeShape, GpuError, SOURCE};

/// What to compile for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Architecture {
    /// Machine code of devices of this compute capability, as in 90 for 9.0.
    Real(u32),
    /// PTX, which the driver of any device of this compute capability or a later one compiles further.
    Virtual(u32),
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Real(capability) => write!(f, "sm_{capability}"),
            Self::Virtual(capability) => write!(f, "compute_{capability}"),
        }
    }
}

/// Returns the options of a compilation. No multiply-add is fused: results are rounded where the CPU's are.
pub(crate) fn options(architecture: Architecture, shape: CodeShape) -> Vec<String> {
    vec![
        format!("--gpu-architecture={architecture}"),
        "--std=c++17".to_owned(),
        "--fmad=false".to_owned(),
        format!("-DLEVELS={}", shape.levels),
        format!("-DWIDTH={}", shape.width),
    ]
}

/// Whether NVRTC can be loaded.
pub(crate) fn is_available() -> bool {
    // SAFETY: loads libraries by their names, whose initialisers are NVIDIA's; nothing of them is called.
    unsafe { sys::is_culib_present() }
}

/// Compiles all kernels: PTX for a virtual architecture, an ELF image for a real one.
///
/// # Errors
///
/// [`GpuError::Unavailable`] without NVRTC; [`GpuError::Compile`] with what it said.
pub fn compile(architecture: Architecture, shape: CodeShape) -> Result<Vec<u8>, GpuError> {
    if !is_available() {
        return Err(GpuError::Unavailable(
            "NVRTC, which compiles kernels, is missing (libnvrtc.so.12; it comes with CUDA 12, and with the Python \
             package nvidia-cuda-nvrtc-cu12, whose folder lib belongs into LD_LIBRARY_PATH)"
                .to_owned(),
        ));
    }
    let failed = |log: String| GpuError::Compile { architecture: architecture.to_string(), log };
    let source = CString::new(SOURCE).map_err(|error| failed(error.to_string()))?;
    let program = result::create_program(&source, Some(c"bigrain.cu"))
        .map_err(|error| failed(error.to_string()))?;
    let program = Program(program);
    // SAFETY: the program was just created and is destroyed when it is dropped.
    let compiled = unsafe { result::compile_program(program.0, &options(architecture, shape)) };
    compiled.map_err(|error| failed(format!("{error}\n{}", program.log())))?;
    let image = match architecture {
        Architecture::Virtual(_) => program.ptx(),
        Architecture::Real(_) => program.cubin(),
    };
    image.map_err(|error| failed(error.to_string()))
}

/// A program of NVRTC.
struct Program(sys::nvrtcProgram);

impl Program {
    fn log(&self) -> String {
        // SAFETY: the program is alive.
        let log = unsafe { result::get_program_log(self.0) }.unwrap_or_default();
        let bytes: Vec<u8> = log.into_iter().map(|byte| byte as u8).collect();
        CStr::from_bytes_until_nul(&bytes).unwrap_or_default().to_string_lossy().into_owned()
    }

    /// Returns the text, which ends with a zero.
    fn ptx(&self) -> Result<Vec<u8>, result::NvrtcError> {
        // SAFETY: the program is alive and compiled.
        let text = unsafe { result::get_ptx(self.0) }?;
        Ok(text.into_iter().map(|byte| byte as u8).collect())
    }

    fn cubin(&self) -> Result<Vec<u8>, result::NvrtcError> {
        let mut size = 0;
        // SAFETY: the program is alive and compiled, and `size` can be written.
        unsafe { sys::nvrtcGetCUBINSize(self.0, &mut size) }.result()?;
        let mut image = vec![0_u8; size];
        // SAFETY: the image has as many bytes as NVRTC has just said it writes.
        unsafe { sys::nvrtcGetCUBIN(self.0, image.as_mut_ptr().cast::<c_char>()) }.result()?;
        Ok(image)
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        // SAFETY: created by NVRTC, destroyed once. There is nobody to tell of a failure.
        let _ = unsafe { result::destroy_program(self.0) };
    }
}
