//! A device runs models in place of the CPU: what it cannot do is done by the CPU, and said.
//!
//! These devices answer a row of ones for every token, so that it shows who answered; what a GPU computes is compared
//! with the CPU in `tools/tests/it/device.rs`.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use bigrain_encoders::{
    CrossEncoder, CrossOptions, CrossScorer, DeviceBatch, DeviceBert, DeviceError, DeviceFilters,
    DeviceM2Bert, DeviceM2BertModel, DeviceModel, DevicePaddedTexts, DeviceReport, DeviceRows,
    EncodeOptions, EncoderDevice, OpenOptions, PadPolicy, Pooling, Runtime, SentenceEncoder,
    TextEncoder, quantize_model,
};
use bigrain_types::Cancel;

use crate::support::ModelFolder;

/// What a device does.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Nature {
    Works,
    /// Has no room for a model.
    Full,
    /// Has no kernels for a model.
    Refuses,
    /// Has room for a model, and none for the filters of long convolutions.
    NoRoomForFilters,
    /// Has room for batches of so many tokens.
    Room(usize),
    /// Fails at this batch, counted from 0, and at all that follow.
    FailsAt(usize),
    /// Answers what is not a number.
    Overflows,
    /// Answers a row too few.
    Short,
}

#[derive(Debug)]
struct Fake(Nature, Arc<AtomicUsize>);

#[derive(Debug)]
struct FakeModel {
    nature: Nature,
    hidden: usize,
    batches: Arc<AtomicUsize>,
}

impl EncoderDevice for Fake {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    fn load(&self, model: &DeviceBert<'_>) -> Result<Box<dyn DeviceModel>, DeviceError> {
        check_tensors(model);
        Ok(Box::new(self.take(model.hidden)?))
    }

    fn load_m2_bert(
        &self,
        model: &DeviceM2Bert<'_>,
    ) -> Result<Box<dyn DeviceM2BertModel>, DeviceError> {
        check_m2_tensors(model);
        let DeviceM2Bert { layers, hidden, .. } = *model;
        let lengths = Mutex::default();
        Ok(Box::new(FakeM2Model { model: self.take(hidden)?, layers, lengths }))
    }
}

impl Fake {
    fn take(&self, hidden: usize) -> Result<FakeModel, DeviceError> {
        if self.0 == Nature::Full {
            return Err(DeviceError::DoesNotFit { needed: 1000, free: 10 });
        }
        if self.0 == Nature::Refuses {
            return Err(DeviceError::Unsupported("no such kernel".to_owned()));
        }
        let (nature, batches) = (self.0, Arc::clone(&self.1));
        Ok(FakeModel { nature, hidden, batches })
    }
}

/// A device that knows no M2-BERT.
#[derive(Debug)]
struct BertAlone;

impl EncoderDevice for BertAlone {
    fn name(&self) -> String {
        "fake".to_owned()
    }

    fn load(&self, _: &DeviceBert<'_>) -> Result<Box<dyn DeviceModel>, DeviceError> {
        Err(DeviceError::Unsupported("not asked for".to_owned()))
    }
}

/// Checks that every tensor is there, by the names of BERT.
fn check_tensors(model: &DeviceBert<'_>) {
    let check = |name: &str, count: usize| {
        let tensor = (model.read)(name);
        assert_eq!(tensor.map(|tensor| tensor.len()), Some(count), "{name}");
    };
    let DeviceBert { embedding, hidden, intermediate, .. } = *model;
    check("embeddings.word_embeddings.weight", model.vocabulary * embedding);
    let positions = model.first_position + model.positions;
    check("embeddings.position_embeddings.weight", positions * embedding);
    if model.types > 0 {
        check("embeddings.token_type_embeddings.weight", model.types * embedding);
    }
    check("embeddings.LayerNorm.weight", embedding);
    if embedding != hidden {
        check("embeddings_project.weight", embedding * hidden);
    }
    if let Some(distances) = model.distances {
        assert_eq!(distances.len(), model.heads * (2 * model.positions - 1));
    }
    for layer in 0..model.layers {
        for (part, count) in [
            ("attention.self.query.weight", hidden * hidden),
            ("attention.self.key.bias", hidden),
            ("attention.self.value.weight", hidden * hidden),
            ("attention.output.dense.bias", hidden),
            ("attention.output.LayerNorm.weight", hidden),
            ("intermediate.dense.weight", hidden * intermediate),
            ("output.dense.weight", intermediate * hidden),
            ("output.LayerNorm.bias", hidden),
        ] {
            check(&format!("encoder.layer.{layer}.{part}"), count);
        }
    }
}

/// Checks that every tensor but those of filters is there, by the names of published checkpoints.
fn check_m2_tensors(model: &DeviceM2Bert<'_>) {
    let check = |name: &str, count: usize| {
        let tensor = (model.read)(name);
        assert_eq!(tensor.map(|tensor| tensor.len()), Some(count), "{name}");
    };
    let DeviceM2Bert { hidden, intermediate, blocks, .. } = *model;
    check("embeddings.word_embeddings.weight", model.vocabulary * hidden);
    check("embeddings.position_embeddings.weight", model.positions * hidden);
    check("embeddings.token_type_embeddings.weight", model.types * hidden);
    check("embeddings.LayerNorm.bias", hidden);
    for layer in 0..model.layers {
        for (part, count) in [
            ("attention.in_linear.weight", 3 * hidden * hidden),
            ("attention.short_filter.weight", 9 * hidden),
            ("attention.out_linear.bias", hidden),
            ("mlp.gated_layers.weight", 2 * intermediate * hidden / blocks),
            ("mlp.wo.weight", hidden * intermediate / blocks),
            ("mlp.layernorm.weight", hidden),
        ] {
            check(&format!("encoder.layer.{layer}.{part}"), count);
        }
    }
}

#[derive(Debug)]
struct FakeM2Model {
    model: FakeModel,
    layers: usize,
    /// What it is ready for.
    lengths: Mutex<Vec<usize>>,
}

impl DeviceM2BertModel for FakeM2Model {
    fn prepare(&self, length: usize, filters: DeviceFilters<'_>) -> Result<(), DeviceError> {
        let mut lengths = self.lengths.lock().unwrap();
        if lengths.contains(&length) {
            return Ok(());
        }
        if self.model.nature == Nature::NoRoomForFilters {
            return Err(DeviceError::DoesNotFit { needed: 1000, free: 10 });
        }
        for layer in 0..self.layers {
            let filters = filters(layer);
            assert_eq!(filters.len(), self.model.hidden * (2 * length).next_power_of_two());
            assert!(filters.iter().flatten().any(|value| *value != 0.0));
        }
        lengths.push(length);
        Ok(())
    }

    fn rows(&self, texts: &DevicePaddedTexts<'_>) -> Result<Vec<f32>, DeviceError> {
        let DevicePaddedTexts { ids, length, wanted } = *texts;
        assert!(ids.len().is_multiple_of(length));
        assert!(self.lengths.lock().unwrap().contains(&length), "it is not ready");
        let rows = match wanted {
            DeviceRows::First => ids.len() / length,
            DeviceRows::All => ids.len(),
        };
        self.model.answer(ids.len(), rows)
    }
}

impl DeviceModel for FakeModel {
    fn rows(&self, batch: &DeviceBatch<'_>) -> Result<Vec<f32>, DeviceError> {
        let tokens = batch.ids.len();
        assert_eq!((batch.types.len(), batch.bounds.last()), (tokens, Some(&tokens)));
        self.answer(tokens, tokens)
    }
}

impl FakeModel {
    fn answer(&self, tokens: usize, count: usize) -> Result<Vec<f32>, DeviceError> {
        let before = self.batches.fetch_add(1, Ordering::Relaxed);
        let mut rows = vec![1.0; count * self.hidden];
        match self.nature {
            Nature::Room(room) if tokens > room => {
                return Err(DeviceError::DoesNotFit { needed: tokens as u64, free: room as u64 });
            }
            Nature::FailsAt(at) if before >= at => {
                return Err(DeviceError::Failed("cable pulled".into()));
            }
            Nature::Overflows => rows[self.hidden / 2] = f32::NAN,
            Nature::Short => rows.truncate((count - 1) * self.hidden),
            Nature::Works
            | Nature::Full
            | Nature::Refuses
            | Nature::NoRoomForFilters
            | Nature::Room(_)
            | Nature::FailsAt(_) => {}
        }
        Ok(rows)
    }
}

struct Faked {
    on_cpu: SentenceEncoder,
    encoder: SentenceEncoder,
    batches: Arc<AtomicUsize>,
}

fn runtime(nature: Nature) -> (Runtime, Arc<AtomicUsize>) {
    let batches = Arc::new(AtomicUsize::new(0));
    let device = Arc::new(Fake(nature, Arc::clone(&batches)));
    (Runtime::new(2).unwrap().with_device(device), batches)
}

impl Faked {
    fn new(folder: &ModelFolder, nature: Nature) -> Self {
        Self::open(folder, nature, &OpenOptions::default())
    }

    fn open(folder: &ModelFolder, nature: Nature, options: &OpenOptions) -> Self {
        let (runtime, batches) = runtime(nature);
        let encoder = SentenceEncoder::open(folder.root(), options, runtime).unwrap();
        Self { on_cpu: folder.open(options).unwrap(), encoder, batches }
    }

    /// Encodes texts; returns whether the device answered them.
    fn asks_device(&self, texts: &[&str]) -> bool {
        let found = self.encoder.encode(texts, &EncodeOptions::default()).unwrap();
        if found.as_slice().iter().all(|value| *value == 1.0) {
            return true;
        }
        let expected = self.on_cpu.encode(texts, &EncodeOptions::default()).unwrap();
        assert_eq!(found.as_slice(), expected.as_slice(), "neither the device nor the CPU");
        false
    }

    fn report(&self) -> DeviceReport {
        self.encoder.device().unwrap()
    }

    fn batches(&self) -> usize {
        self.batches.load(Ordering::Relaxed)
    }
}

#[test]
fn models_of_every_family_run_on_the_device() {
    for name in [
        "bert-tiny",
        "roberta-tiny",
        "mpnet-tiny",
        "electra-cross-tiny",
        "distilbert-cross-tiny",
        "roberta-cross-tiny",
    ] {
        let faked = Faked::new(&ModelFolder::new(name), Nature::Works);
        assert_eq!(faked.encoder.space(), faked.on_cpu.space(), "{name}");
        assert!(faked.asks_device(&["abc", "a longer text"]), "{name}");
        let report = faked.report();
        assert_eq!((report.device_batches, report.cpu_batches), (1, 0), "{name}");
        assert_eq!((report.to_string(), report.why_cpu), ("fake".to_owned(), None));
        assert!(faked.on_cpu.device().is_none());
        let matrices = faked.encoder.encode_tokens(&["abc"], &EncodeOptions::default()).unwrap();
        let row = matrices[0].iter().next().unwrap();
        assert!(row.iter().all(|value| *value == row[0]), "{name}: tokens are the device's");
        assert_eq!(faked.report().device_batches, 2);
    }
}

#[test]
fn a_device_that_fails_is_replaced_by_the_cpu_and_not_asked_again() {
    let folder = ModelFolder::new("bert-tiny");
    let faked = Faked::new(&folder, Nature::FailsAt(1));
    assert!(faked.asks_device(&["abc"]));
    assert_eq!(faked.report().why_cpu, None);
    assert!(!faked.asks_device(&["abc", "def"]));
    assert!(!faked.asks_device(&["abc"]));
    assert_eq!(faked.batches(), 2, "it was asked again");
    let report = faked.report();
    assert_eq!(report.why_cpu.as_deref(), Some("the device failed: cable pulled"));
    assert_eq!(report.device_batches, 1);
    assert!(report.cpu_batches >= 2, "{report:?}");
    let said = "the CPU and not fake: the device failed: cable pulled";
    assert_eq!(report.to_string(), said);
}

#[test]
fn a_device_that_fails_in_the_middle_of_many_texts_loses_none() {
    // Batches of a device have 8,192 tokens at most.
    let folder = ModelFolder::new("bert-tiny");
    let faked = Faked::new(&folder, Nature::FailsAt(1));
    let long = "letters and words of a text ".repeat(30);
    let texts = vec![&*long; 700];
    let found = faked.encoder.encode(&texts, &EncodeOptions::default()).unwrap();
    let expected = faked.on_cpu.encode_query(&long).unwrap();
    let of_device = found.iter().filter(|row| row.iter().all(|value| *value == 1.0)).count();
    let of_cpu = found.iter().filter(|row| *row == expected).count();
    assert_eq!(of_device + of_cpu, texts.len());
    assert!(of_device > 0 && of_cpu > 0, "{of_device} {of_cpu}");
}

#[test]
fn a_batch_that_does_not_fit_is_the_cpus_and_the_next_is_tried() {
    let faked = Faked::new(&ModelFolder::new("bert-tiny"), Nature::Room(9));
    assert!(faked.asks_device(&["abc"]));
    assert!(!faked.asks_device(&["a text of many more letters"]));
    assert!(faked.asks_device(&["abc"]));
    let report = faked.report();
    assert_eq!((report.device_batches, report.cpu_batches, report.why_cpu), (2, 1, None));
    assert_eq!(faked.report().to_string(), "fake, and 1 batches on the CPU");
}

#[test]
fn answers_that_cannot_be_rows_are_not_taken() {
    let folder = ModelFolder::new("bert-tiny");
    for (nature, why) in [
        (Nature::Overflows, "rows are not finite, so the model goes beyond 16 bits"),
        (Nature::Short, "the device failed: it answered"),
    ] {
        let faked = Faked::new(&folder, nature);
        assert!(!faked.asks_device(&["abc"]));
        assert!(!faked.asks_device(&["abc"]));
        assert_eq!(faked.batches(), 1, "{nature:?}");
        let said = faked.report().why_cpu.unwrap();
        assert!(said.starts_with(why), "{said}");
    }
}

#[test]
fn a_model_that_the_device_does_not_take_runs_on_the_cpu_and_says_why() {
    let bert = ModelFolder::new("bert-tiny");
    let int8 = ModelFolder::new("bert-tiny");
    let texts = bigrain_encoders::CALIBRATION_TEXTS;
    let out = bert.path("int8");
    quantize_model(bert.root(), &out, texts, &Runtime::new(2).unwrap()).unwrap();
    int8.write("model.safetensors", std::fs::read(out.join("model.safetensors")).unwrap());
    let full = "1000 bytes do not fit into the device's memory, of which 10 are free";
    let m2_bert = ModelFolder::new("m2bert-tiny");
    for (folder, nature, why) in [
        (&bert, Nature::Full, full),
        (&bert, Nature::Refuses, "no such kernel"),
        (&int8, Nature::Works, "layers in int8 run on the CPU"),
        (&m2_bert, Nature::Full, full),
        (&m2_bert, Nature::Refuses, "no such kernel"),
        (&m2_bert, Nature::NoRoomForFilters, full),
    ] {
        let faked = Faked::new(folder, nature);
        assert!(!faked.asks_device(&["abc", "def"]), "{why}");
        assert_eq!(faked.batches(), 0, "{why}");
        let report = faked.report();
        assert_eq!((report.device_batches, report.why_cpu.as_deref()), (0, Some(why)));
    }
}

/// M2-BERT, without its pooler, which would change rows of ones.
fn m2_bert(nature: Nature, pad_policy: PadPolicy, pooling: Pooling) -> Faked {
    let options = OpenOptions { pad_policy, pooling: Some(pooling), ..OpenOptions::default() };
    Faked::open(&ModelFolder::new("m2bert-tiny"), nature, &options)
}

#[test]
fn m2_bert_runs_on_the_device_however_it_is_padded_and_pooled() {
    let long = "word ".repeat(50);
    for pad_policy in [PadPolicy::ModelMax, PadPolicy::Bucket] {
        for pooling in [Pooling::Cls, Pooling::Mean] {
            let faked = m2_bert(Nature::Works, pad_policy, pooling);
            assert_eq!(faked.encoder.space(), faked.on_cpu.space());
            assert!(faked.asks_device(&["abc", &long, "a longer text"]));
            let report = faked.report();
            let lengths = if pad_policy == PadPolicy::Bucket { 2 } else { 1 };
            assert_eq!((report.device_batches, report.cpu_batches), (lengths, 0));
            assert_eq!(report.why_cpu, None);
        }
    }
}

#[test]
fn m2_bert_is_left_to_the_cpu_as_other_models_are() {
    let faked = m2_bert(Nature::FailsAt(1), PadPolicy::ModelMax, Pooling::Cls);
    assert!(faked.asks_device(&["abc"]));
    assert!(!faked.asks_device(&["abc"]));
    assert!(!faked.asks_device(&["abc"]));
    assert_eq!(faked.batches(), 2, "it was asked again");

    let faked = m2_bert(Nature::Room(40), PadPolicy::Bucket, Pooling::Cls);
    let long = "word ".repeat(50);
    assert!(!faked.asks_device(&[&long]));
    assert!(faked.asks_device(&["abc"]));
    assert_eq!((faked.report().cpu_batches, faked.report().why_cpu), (1, None));

    // Lengths are asked for as texts come; what does not fit is tried again.
    let faked = m2_bert(Nature::NoRoomForFilters, PadPolicy::Bucket, Pooling::Cls);
    assert!(!faked.asks_device(&["abc"]));
    assert_eq!((faked.report().cpu_batches, faked.report().why_cpu), (1, None));

    for nature in [Nature::Overflows, Nature::Short] {
        let faked = m2_bert(nature, PadPolicy::ModelMax, Pooling::Cls);
        assert!(!faked.asks_device(&["abc"]));
        assert!(faked.report().why_cpu.is_some(), "{nature:?}");
    }
}

#[test]
fn a_device_that_knows_no_m2_bert_says_so() {
    let folder = ModelFolder::new("m2bert-tiny");
    let runtime = Runtime::new(1).unwrap().with_device(Arc::new(BertAlone));
    let encoder = SentenceEncoder::open(folder.root(), &OpenOptions::default(), runtime).unwrap();
    let why = encoder.device().unwrap().why_cpu;
    assert_eq!(why.as_deref(), Some("the device does not run M2-BERT"));
    let on_cpu = folder.open(&OpenOptions::default()).unwrap();
    assert_eq!(encoder.encode_query("abc").unwrap(), on_cpu.encode_query("abc").unwrap());
}

#[test]
fn a_cross_encoder_runs_on_the_device_too() {
    let folder = ModelFolder::new("bert-cross-tiny");
    let options = CrossOptions::default();
    let (runtime, batches) = runtime(Nature::FailsAt(1));
    let scorer = CrossEncoder::open(folder.root(), &options, runtime).unwrap();
    let on_cpu = CrossEncoder::open(folder.root(), &options, Runtime::new(1).unwrap()).unwrap();
    let passages = ["abc", "a longer passage"];
    let score = |scorer: &CrossEncoder| scorer.score("wing", &passages, &Cancel::new()).unwrap();
    let of_device = score(&scorer);
    assert_eq!(of_device[0], of_device[1], "rows of ones");
    assert_eq!(score(&scorer), score(&on_cpu));
    assert_eq!(batches.load(Ordering::Relaxed), 2);
    assert!(scorer.device().unwrap().why_cpu.is_some());
    assert!(on_cpu.device().is_none());
}
