//! Registers as code without wide vectors wants to find them.

#![allow(unsafe_code, reason = "an instruction that a CPU may lack")]

/// Clears the upper parts of vector registers that somebody else's wide code has left filled.
///
/// Where these are not zero, some CPUs (measured: Intel's, 30 times) run every instruction of SSE slowly, which is what scalar
/// arithmetic is compiled to, until they are. Kernels here leave them clean; to be called after products of `faer`,
/// which do not.
pub fn clear_upper_registers() {
    #[cfg(target_arch = "x86_64")]
    if crate::Isa::Avx2.is_available() {
        // SAFETY: the CPU has AVX2, and so AVX.
        unsafe { zero_upper() };
    }
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx")]
fn zero_upper() {
    std::arch::x86_64::_mm256_zeroupper();
}
