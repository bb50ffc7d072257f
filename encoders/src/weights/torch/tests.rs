//! Files that torch never wrote: hostile, damaged, arbitrary.

use std::io::Write;

use proptest::prelude::*;
use rawzip::{CompressionMethod, ZipArchiveWriter};

use super::parse;

/// A zip archive of entries that are stored.
fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut bytes = Vec::new();
    let mut archive = ZipArchiveWriter::new(&mut bytes);
    for (name, data) in entries {
        let file = archive.new_file(*name).compression_method(CompressionMethod::STORE);
        let (mut entry, config) = file.start().unwrap();
        let mut writer = config.wrap(&mut entry);
        writer.write_all(data).unwrap();
        let (_, descriptor) = writer.finish().unwrap();
        entry.finish(descriptor).unwrap();
    }
    archive.finish().unwrap();
    bytes
}

/// A checkpoint in the zip format, with one storage of 24 bytes under the key `0`.
fn checkpoint(pickle: &[u8]) -> Vec<u8> {
    archive(&[("m/data.pkl", pickle), ("m/data/0", &[1; 24])])
}

fn refusal(pickle: &[u8]) -> String {
    parse(&checkpoint(pickle)).unwrap_err().to_string()
}

/// A pickle of protocol 2 made of parts.
fn pickle(parts: &[&[u8]]) -> Vec<u8> {
    [b"\x80\x02", &parts.concat()[..], b"."].concat()
}

fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

fn int(value: i32) -> Vec<u8> {
    [b"J", &value.to_le_bytes()[..]].concat()
}

/// The storage `0` of a type with some elements.
fn storage(kind: &str, len: i32) -> Vec<u8> {
    [
        b"(",
        &text("storage")[..],
        format!("ctorch\n{kind}\n").as_bytes(),
        &text("0"),
        &text("cpu"),
        &int(len),
        b"tQ",
    ]
    .concat()
}

/// A tuple of integers.
fn ints(values: &[i32]) -> Vec<u8> {
    let items: Vec<u8> = values.iter().flat_map(|&value| int(value)).collect();
    [b"(", &items[..], b"t"].concat()
}

/// `{"a": tensor}`, the tensor a window on a storage.
fn tensor(storage: &[u8], offset: i32, shape: &[i32], strides: &[i32]) -> Vec<u8> {
    pickle(&[
        b"}",
        &text("a"),
        b"ctorch._utils\n_rebuild_tensor_v2\n(",
        storage,
        &int(offset),
        &ints(shape),
        &ints(strides),
        b"\x89ccollections\nOrderedDict\n)RtRs",
    ])
}

#[test]
fn a_tensor_made_by_hand_is_read() {
    let bytes = checkpoint(&tensor(&storage("FloatStorage", 6), 1, &[2, 2], &[2, 1]));
    let tensors = parse(&bytes).unwrap();
    assert_eq!((tensors.len(), tensors[0].0.as_str(), tensors[0].1.shape()), (1, "a", &[2, 2][..]));
}

#[test]
fn whatever_a_pickle_would_call_is_refused_by_name() {
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("builtins", "eval"),
        ("__builtin__", "getattr"),
        ("subprocess", "Popen"),
        ("torch", "load"),
        ("torch", "DoubleStorage"),
        ("torch._utils", "_rebuild_parameter"),
        ("collections", "OrderedDict.fromkeys"),
    ] {
        let global = format!("c{module}\n{name}\n");
        let call = pickle(&[global.as_bytes(), &text("rm -rf /"), b"\x85R"]);
        let error = refusal(&call);
        let expected = format!("the pickle asks for {module}.{name}, which is not among what");
        assert!(error.starts_with(&expected), "{error}");
        // The legacy format's pickles run on the same machine.
        let legacy = [super::legacy::MAGIC_PICKLE, &pickle(&[&int(1001)])[..], &call].concat();
        assert!(parse(&legacy).unwrap_err().to_string().starts_with(&expected));
    }
}

#[test]
fn known_names_are_called_only_as_torch_does() {
    let dict = "ccollections\nOrderedDict\n";
    let rebuild = "ctorch._utils\n_rebuild_tensor_v2\n";
    for (parts, message) in [
        (vec![dict.as_bytes(), b"]\x85R"], "the pickle calls collections.OrderedDict with"),
        (vec![rebuild.as_bytes(), b")R"], "pickle instruction 0x52 at byte 36: expected the arg"),
        (vec![b"ctorch\nFloatStorage\n)R"], "the pickle calls Global(Storage(F32))"),
        (vec![&text("x")[..], b")R"], "the pickle calls Str(\"x\")"),
        (vec![dict.as_bytes(), b"N"], "the file holds something else than a dict of tensors"),
    ] {
        let error = refusal(&pickle(&parts));
        assert!(error.starts_with(message), "{error}");
    }
}

#[test]
fn instructions_no_state_dict_needs_are_refused() {
    // INST, OBJ, EXT1, STACK_GLOBAL, BUILD on something else, DUP, persistent text ids.
    for opcode in [b'i', b'o', 0x82, 0x93, b'2', b'P', b'S', b'I', 0x95] {
        let error = refusal(&[0x80, 0x02, opcode]);
        let expected = format!("pickle instruction {opcode:#04x} at byte 2 is not supported");
        assert_eq!(error, expected);
    }
    let error = refusal(&pickle(&[b"N}b"]));
    assert_eq!(
        error,
        "pickle instruction 0x62 at byte 4: expected attributes of an ordered dict or a module"
    );
    assert_eq!(refusal(b"\x80\x04N."), "pickle instruction 0x80 at byte 0: expected protocol 2");
}

#[test]
fn modules_are_made_of_names_of_their_own_and_of_nothing_else() {
    let module = b"c__torch__.tiny\nModule\n";
    let whole = |inner: &[u8]| pickle(&[module, b")\x81}", &text("a"), inner, b"sb"]);
    let floats = storage("FloatStorage", 6);
    let window = tensor(&floats, 0, &[2], &[1]);
    // What stands between the key of that dict and its end.
    let window = &window[3 + text("a").len()..window.len() - 2];
    let inner = [&module[..], b")\x81}", &text("b"), window, b"sb"].concat();
    let bytes = checkpoint(&whole(&inner));
    let names: Vec<String> = parse(&bytes).unwrap().into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["a.b"]);
    for (parts, message) in [
        (vec![&module[..], b"N\x85\x81"], "a module of __torch__ and no arguments"),
        (vec![b"ccollections\nOrderedDict\n)\x81"], "a module of __torch__ and no arguments"),
        (vec![&module[..], b")\x81Nb"], "attributes of an ordered dict or a module"),
        (vec![b"ctorch.jit._pickle\nbuild_intlist\nN\x85R"], "a list"),
    ] {
        let error = refusal(&pickle(&parts));
        assert!(error.ends_with(&format!("expected {message}")), "{error}");
    }
    for name in ["c__torch\nM\n", "c__torch__x\nM\n", "ctorch.jit._pickle\nrestore_type_tag\n"] {
        let error = refusal(&pickle(&[name.as_bytes(), b")\x81"]));
        assert!(error.starts_with("the pickle asks for"), "{error}");
    }
    // One without attributes holds no tensors, and one that holds itself ends.
    let empty = refusal(&pickle(&[module, b")\x81"]));
    assert_eq!(empty, "the file holds something else than a dict of tensors");
    let itself = refusal(&pickle(&[module, b")\x81q\x00}", &text("a"), b"h\x00sb"]));
    assert_eq!(itself, "the pickle has more than 6 dicts in each other");
}

#[test]
fn an_empty_stack_an_unfilled_slot_and_a_missing_mark_are_refused() {
    for (bytes, expected) in [
        (&b"."[..], "a value"),
        (b"q\x00", "a value"),
        (b"h\x07", "a slot that was filled"),
        (b"t", "a mark"),
        (b"N(\x85", "values"),
        (b"(Ru", "a value"),
        (b"}(NNNu", "keys with values"),
        (b"Na", "a value"),
        (b"NNa", "a list"),
        (b"NNNs", "a dict"),
        (b"NQ", "the id of a storage"),
        (b"X\x01\x00\x00\x00\xff", "UTF-8"),
    ] {
        let error = refusal(&[b"\x80\x02", bytes].concat());
        assert!(error.ends_with(&format!("expected {expected}")), "{error}");
    }
    assert_eq!(refusal(b"\x80\x02X\xff\xff\xff\xffab"), "the pickle ends early, at byte 9");
    assert_eq!(refusal(b"\x80\x02ctorch"), "the pickle ends early, at byte 8");
}

#[test]
fn a_tensor_that_leaves_its_storage_is_refused_by_name() {
    let floats = storage("FloatStorage", 6);
    for (offset, shape, strides) in [
        (5, &[2][..], &[1][..]),
        (0, &[2, 3], &[3, 2]),
        (7, &[0], &[1]),
        (0, &[i32::MAX, i32::MAX, i32::MAX], &[i32::MAX, i32::MAX, i32::MAX]),
        (i32::MAX, &[1], &[1]),
    ] {
        let error = refusal(&tensor(&floats, offset, shape, strides));
        assert!(error.starts_with("tensor a: shape ["), "{error}");
    }
    let repeated = refusal(&tensor(&floats, 0, &[1_000_000], &[0]));
    assert_eq!(repeated, "tensor a: 1000000 elements from a storage of 6 are not supported");
    let longer = refusal(&tensor(&storage("FloatStorage", 7), 0, &[2], &[1]));
    assert_eq!(longer, "tensor a: storage of 7 F32 has 24 bytes");
    for (offset, shape, strides) in [(-1, &[1][..], &[1][..]), (0, &[-1], &[1]), (0, &[1], &[-1])] {
        let error = refusal(&tensor(&floats, offset, shape, strides));
        assert!(error.starts_with("pickle instruction 0x52"), "{error}");
    }
    let axes = refusal(&tensor(&floats, 0, &[1; 9], &[1; 9]));
    assert_eq!(axes, "the pickle has more than 8 axes in one tensor");
    assert!(refusal(&tensor(&floats, 0, &[1, 1], &[1])).ends_with("as many strides as sizes"));
}

#[test]
fn dicts_that_hold_themselves_end() {
    // {"a": itself}
    assert_eq!(
        refusal(&pickle(&[b"}q\x00", &text("a"), b"h\x00s"])),
        "the pickle has more than 6 dicts in each other"
    );
    // Each dict holds the one before it a hundred times.
    let mut parts: Vec<Vec<u8>> = vec![b"}".to_vec()];
    for level in 0u8..6 {
        parts.push([&[b'q', level][..], b"}("].concat());
        for _ in 0..100 {
            parts.push([&text("a")[..], &[b'h', level]].concat());
        }
        parts.push(b"u".to_vec());
    }
    let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
    assert_eq!(refusal(&pickle(&parts)), "the pickle has more than 1048576 entries");
}

#[test]
fn a_pickle_without_an_end_is_bounded() {
    let endless = [&b"\x80\x02"[..], &b"N".repeat(5 << 20)].concat();
    assert_eq!(refusal(&endless), "the pickle has more than 4194304 instructions");
}

#[test]
fn archives_that_torch_does_not_write_are_refused() {
    let good = pickle(&[b"}"]);
    assert!(parse(&archive(&[("m/data.pkl", &good)])).unwrap().is_empty());
    let refusal = |entries: &[(&str, &[u8])]| parse(&archive(entries)).unwrap_err().to_string();
    assert_eq!(refusal(&[("m/version", b"3")]), "expected one entry data.pkl");
    assert_eq!(
        refusal(&[("m/data.pkl", &good), ("n/data.pkl", &good)]),
        "expected one entry data.pkl"
    );
    assert_eq!(
        refusal(&[("m/data.pkl", &good), ("m/byteorder", b"big")]),
        "byte order big is not supported"
    );
    let missing = tensor(&storage("FloatStorage", 6), 0, &[1], &[1]);
    assert_eq!(refusal(&[("m/data.pkl", &missing)]), "entry m/data/0 is missing");
    let twice = refusal(&[("m/data.pkl", &good), ("m/data.pkl", &good)]);
    assert_eq!(twice, "zip archive: entry m/data.pkl: is there twice");
    let mut flipped = checkpoint(&missing);
    let at = flipped.windows(24).position(|bytes| bytes == [1; 24]).unwrap();
    flipped[at] ^= 1;
    let error = parse(&flipped).unwrap_err().to_string();
    assert!(error.starts_with("zip archive: entry m/data/0: "), "{error}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let _ = parse(&bytes);
        let _ = parse(&checkpoint(&bytes));
        let _ = parse(&[super::legacy::MAGIC_PICKLE, &bytes].concat());
    }

    #[test]
    fn any_instructions_are_run_or_refused(
        parts in prop::collection::vec(
            prop_oneof![
                prop::sample::select(&b"().N}]sueaQRbtKhqJXc\x81\x85\x86\x87\x88\x8a"[..])
                    .prop_map(|opcode| vec![opcode]),
                prop::sample::select(vec!["storage", "0", "cpu", "a"]).prop_map(text),
                (-3i32..9).prop_map(int),
                Just(storage("FloatStorage", 6)),
                Just(b"ctorch._utils\n_rebuild_tensor_v2\n".to_vec()),
                Just(b"c__torch__.tiny\nModule\n)\x81".to_vec()),
                Just(ints(&[2, 3])),
            ],
            0..40,
        )
    ) {
        let parts: Vec<&[u8]> = parts.iter().map(Vec::as_slice).collect();
        if let Ok(tensors) = parse(&checkpoint(&pickle(&parts))) {
            for (_, tensor) in &tensors {
                prop_assert!(tensor.bytes().len() <= 24);
            }
        }
    }

    #[test]
    fn damaged_files_are_read_or_refused(
        name in prop::sample::select(vec![
            "zip-format.bin",
            "legacy-format.bin",
            "torchscript-format.pt",
        ]),
        cut in any::<prop::sample::Index>(),
        at in any::<prop::sample::Index>(),
        flip in any::<u8>(),
    ) {
        let path = format!("tests/data/torch-tiny/model.{name}");
        let whole = std::fs::read(path).unwrap();
        prop_assert!(parse(&whole[..cut.index(whole.len())]).is_err());
        let mut bytes = whole;
        let at = at.index(bytes.len());
        bytes[at] ^= flip;
        if let Ok(tensors) = parse(&bytes) {
            for (_, tensor) in &tensors {
                let _ = tensor.to_f32();
            }
        }
    }
}
