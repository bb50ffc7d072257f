//! Files that torch wrote, against the same tensors in safetensors.

use std::path::Path;

use crate::weights::{TensorSpec, Tensors};

fn read(name: &str) -> Vec<u8> {
    std::fs::read(Path::new("tests/data").join(name)).unwrap()
}

/// Checks that a torch file holds exactly the tensors of a safetensors file, bit by bit.
fn assert_same(torch: &str, expected: &str) -> usize {
    let (torch, expected) = (read(torch), read(expected));
    let torch = Tensors::parse(Path::new("torch"), &torch).unwrap();
    let expected = Tensors::parse(Path::new("expected"), &expected).unwrap();
    let specs: Vec<TensorSpec> = expected.specs();
    torch.check(&specs).unwrap();
    assert_eq!(torch.unused(&specs), [""; 0]);
    let hash = |tensors: &Tensors<'_>| {
        let mut hasher = blake3::Hasher::new();
        tensors.hash(&specs, &mut hasher);
        hasher.finalize()
    };
    assert_eq!(hash(&torch), hash(&expected));
    specs.len()
}

#[test]
fn both_formats_hold_the_tensors_of_the_safetensors_file() {
    for format in ["zip", "legacy"] {
        let file = format!("m2bert-tiny/pytorch_model.{format}-format.bin");
        assert_eq!(assert_same(&file, "m2bert-tiny/model.safetensors"), 185);
    }
}

#[test]
fn a_torchscript_file_holds_the_tensors_of_its_modules() {
    let file = "torch-tiny/model.torchscript-format.pt";
    assert_eq!(assert_same(file, "torch-tiny/expected-of-torchscript.safetensors"), 11);
}

#[test]
fn transposed_shared_half_and_empty_tensors_are_read_from_within_other_dicts() {
    for format in ["zip", "legacy"] {
        let file = format!("torch-tiny/model.{format}-format.bin");
        assert_eq!(assert_same(&file, "torch-tiny/expected.safetensors"), 12);
    }
}
