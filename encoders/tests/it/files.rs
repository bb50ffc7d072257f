//! Weights in other files than one safetensors file.

use bigrain_encoders::{OpenOptions, TextEncoder};
use safetensors::SafeTensors;

use crate::support::ModelFolder;

#[test]
fn shards_are_one_model() {
    let folder = ModelFolder::new("bert-tiny");
    let whole = folder.open(&OpenOptions::default()).unwrap();
    let bytes = std::fs::read(folder.path("model.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let mut views = tensors.tensors();
    views.sort_by(|a, b| a.0.cmp(&b.0));
    let mut map = serde_json::Map::new();
    for (shard, half) in views.chunks(views.len().div_ceil(2)).enumerate() {
        let name = format!("model-{}-of-2.safetensors", shard + 1);
        for (tensor, _) in half {
            map.insert(tensor.clone(), name.clone().into());
        }
        folder.write(&name, safetensors::serialize(half.to_vec(), None).unwrap());
    }
    std::fs::remove_file(folder.path("model.safetensors")).unwrap();
    let index = serde_json::json!({"metadata": {}, "weight_map": map});
    folder.write("model.safetensors.index.json", index.to_string());
    let shards = folder.open(&OpenOptions::default()).unwrap();
    assert_eq!(shards.space(), whole.space());

    std::fs::remove_file(folder.path("model-2-of-2.safetensors")).unwrap();
    assert_eq!(folder.refusal(), "read model-2-of-2.safetensors");
}

#[test]
fn a_torch_file_that_would_run_something_is_refused_by_name() {
    let folder = ModelFolder::new("bert-tiny");
    std::fs::remove_file(folder.path("model.safetensors")).unwrap();
    let magic = b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.";
    let call = b"\x80\x02M\xe9\x03.\x80\x02cposix\nsystem\nX\x04\x00\x00\x00true\x85R.";
    folder.write("pytorch_model.bin", [&magic[..], call].concat());
    let error = folder.refusal();
    let expected = "pytorch_model.bin is not a torch file that can be read: the pickle asks for \
                    posix.system, which is not among what tensors are made of: \
                    collections.OrderedDict, torch._utils._rebuild_tensor_v2, torch.FloatStorage, \
                    torch.HalfStorage, torch.BFloat16Storage, torch.LongStorage, \
                    torch.jit._pickle.build_intlist and its kind, modules of __torch__";
    assert_eq!(error, expected);
}
