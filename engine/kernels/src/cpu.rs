//! What this CPU can run, asked once.

use std::fmt;
use std::sync::OnceLock;

/// A set of instructions that kernels are written for.
///
/// ```
/// use bigrain_kernels::Isa;
///
/// assert!(Isa::best().is_available());
/// assert!(Isa::Portable.is_available());
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Isa {
    /// Plain Rust, left to the compiler. Runs everywhere.
    Portable,
    /// x86-64 with AVX2, FMA, F16C and POPCNT (Intel since 2013, AMD since 2015).
    Avx2,
    /// What [`Isa::Avx2`] has, with AVX-512 F, BW, VL, VBMI, VNNI and VPOPCNTDQ (Ice Lake, Zen 4 and later).
    Avx512,
    /// 64-bit Arm with Advanced SIMD.
    Neon,
}

impl Isa {
    /// Every instruction set, the plainest first. Most are missing on any one CPU.
    pub const ALL: [Self; 4] = [Self::Portable, Self::Avx2, Self::Avx512, Self::Neon];

    /// Returns the fastest instruction set that this CPU has.
    #[must_use]
    pub fn best() -> Self {
        available().best
    }

    /// Whether this CPU has the instruction set.
    #[must_use]
    pub fn is_available(self) -> bool {
        available().set & self.bit() != 0
    }

    /// Returns the name in lower case, as reports print it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::Avx512 => "avx512",
            Self::Neon => "neon",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }

    fn detect(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => {
                is_x86_feature_detected!("avx2")
                    && is_x86_feature_detected!("fma")
                    && is_x86_feature_detected!("f16c")
                    && is_x86_feature_detected!("popcnt")
            }
            #[cfg(target_arch = "x86_64")]
            Self::Avx512 => {
                Self::Avx2.detect()
                    && is_x86_feature_detected!("avx512f")
                    && is_x86_feature_detected!("avx512bw")
                    && is_x86_feature_detected!("avx512vl")
                    && is_x86_feature_detected!("avx512vnni")
                    && is_x86_feature_detected!("avx512vbmi")
                    && is_x86_feature_detected!("avx512vpopcntdq")
            }
            #[cfg(target_arch = "aarch64")]
            Self::Neon => std::arch::is_aarch64_feature_detected!("neon"),
            #[allow(unreachable_patterns, reason = "which arms are left depends on the target")]
            Self::Avx2 | Self::Avx512 | Self::Neon => false,
        }
    }
}

impl fmt::Display for Isa {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

struct Available {
    best: Isa,
    set: u8,
}

fn available() -> &'static Available {
    static AVAILABLE: OnceLock<Available> = OnceLock::new();
    AVAILABLE.get_or_init(|| {
        let mut found = Available { best: Isa::Portable, set: 0 };
        for isa in Isa::ALL.into_iter().filter(|isa| isa.detect()) {
            found.best = isa;
            found.set |= isa.bit();
        }
        found
    })
}

/// Returns the instruction sets to test: those this CPU has.
///
/// # Panics
///
/// When the environment variable `REQUIRE_ISA` names one that is missing.
#[cfg(test)]
pub(crate) fn tested() -> Vec<Isa> {
    let required = std::env::var("REQUIRE_ISA").unwrap_or_default();
    assert!(
        required.is_empty() || Isa::ALL.iter().any(|isa| isa.name() == required),
        "REQUIRE_ISA names no instruction set: {required}"
    );
    let (have, missing): (Vec<_>, Vec<_>) =
        Isa::ALL.into_iter().partition(|isa| isa.is_available());
    for isa in missing {
        assert!(isa.name() != required, "REQUIRE_ISA={required}, but this CPU lacks it");
        println!("skipped: this CPU has no {isa}");
    }
    have
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_best_isa_is_available_and_portable_always_is() {
        assert!(tested().contains(&Isa::Portable));
        assert!(tested().contains(&Isa::best()));
        assert_eq!(tested().last(), Some(&Isa::best()));
    }
}
