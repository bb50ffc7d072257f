//! Every kernel compiles for the devices that are supported, without a GPU.
//!
//! `REQUIRE_NVRTC=1` makes a missing compiler a failure.

#![expect(clippy::unwrap_used, clippy::print_stderr, reason = "a test that fails says so")]

use bigrain_gpu::{Architecture, CodeShape, GpuError, Kernel, KernelCache, compile};

/// Kernels that may fuse a multiplication and an addition.
const OF_MODELS: [&str; 8] = [
    "activate(",
    "attend(",
    "gate_values(",
    "convolve_texts(",
    "transform_columns(",
    "convolve_rows(",
    "restore_columns(",
    "filter_rows(",
];

/// Compiles, or returns nothing where there is no compiler.
fn compiled(architecture: Architecture, levels: u8, width: u8) -> Option<Vec<u8>> {
    match compile(architecture, CodeShape { levels, width }) {
        Err(GpuError::Unavailable(reason)) if std::env::var_os("REQUIRE_NVRTC").is_none() => {
            eprintln!("skipped: {reason}");
            None
        }
        image => Some(image.unwrap()),
    }
}

#[test]
fn every_kernel_compiles_to_ptx() {
    for (levels, width) in [(1, 5), (4, 8)] {
        let Some(ptx) = compiled(Architecture::Virtual(80), levels, width) else { return };
        let text = String::from_utf8(ptx).unwrap();
        for kernel in Kernel::ALL {
            let entry = format!(".entry {}(", kernel.entry());
            assert!(text.contains(&entry), "{entry}");
        }
        assert!(text.contains("mma.sync.aligned.m16n8k32.row.col.s32.s8.u8.s32"));
        assert!(text.contains("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32"));
        // Results are rounded where the CPU's are; but for functions of the library and transforms, which only models take.
        for kernel in text.split(".entry ").skip(1) {
            let is_of_models = OF_MODELS.iter().any(|name| kernel.starts_with(name));
            let name = kernel.lines().next().unwrap_or_default();
            assert!(is_of_models || !kernel.contains("fma.rn.f32"), "fused multiply-add in {name}");
        }
    }
}

#[test]
fn every_kernel_compiles_to_the_machine_code_of_each_supported_device() {
    for capability in [80, 90] {
        for (levels, width) in [(1, 1), (1, 5), (2, 5), (3, 6), (4, 6), (4, 4)] {
            let Some(image) = compiled(Architecture::Real(capability), levels, width) else {
                return;
            };
            assert_eq!(&image[..4], b"\x7fELF");
            for kernel in Kernel::ALL {
                let name = kernel.entry().as_bytes();
                assert!(image.windows(name.len()).any(|bytes| bytes == name), "{kernel:?}");
            }
        }
    }
}

#[test]
fn compiled_kernels_are_kept_on_disk() {
    let shape = CodeShape { levels: 1, width: 2 };
    let Some(fresh) = compiled(Architecture::Virtual(80), 1, 2) else { return };
    let folder = tempfile::tempdir().unwrap();
    let cache = KernelCache::in_folder(folder.path().join("kernels"));
    assert_eq!(cache.image(Architecture::Virtual(80), shape).unwrap(), fresh);
    let files: Vec<_> = std::fs::read_dir(folder.path().join("kernels")).unwrap().collect();
    assert_eq!(files.len(), 1);
    let path = files[0].as_ref().unwrap().path();
    // What is found is what is used, if it is whole.
    let other = [blake3::hash(b"other").as_bytes(), b"other".as_slice()].concat();
    std::fs::write(&path, other).unwrap();
    assert_eq!(cache.image(Architecture::Virtual(80), shape).unwrap(), b"other");
    std::fs::write(&path, b"torn").unwrap();
    assert_eq!(cache.image(Architecture::Virtual(80), shape).unwrap(), fresh);
}
