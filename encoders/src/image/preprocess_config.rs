//! What a model's folder says about preparing pictures.

use std::fmt;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use super::pixels::{CHANNELS, ImageSize};
use super::resample::ResampleFilter;

/// Beyond any published model; a file that claims more is damaged.
const MAX_SIDE: usize = 4_096;

const CLIP_MEAN: [f32; CHANNELS] = [0.481_454_66, 0.457_827_5, 0.408_210_73];
const CLIP_STD: [f32; CHANNELS] = [0.268_629_54, 0.261_302_6, 0.275_777_1];
const IMAGENET_MEAN: [f32; CHANNELS] = [0.485, 0.456, 0.406];
const IMAGENET_STD: [f32; CHANNELS] = [0.229, 0.224, 0.225];

/// How a picture becomes what an image tower reads: resized, cropped at its middle, and each byte
/// `x` of a channel turned into `(x · factor + offset - mean) / std`.
#[derive(Clone, Debug, PartialEq)]
pub struct PreprocessConfig {
    /// The size it is brought to.
    pub resize: ResizeMode,
    /// The kernel of the resize.
    pub filter: ResampleFilter,
    /// The size of what is cut out of its middle; `None` keeps all of it.
    pub crop: Option<ImageSize>,
    /// Where the middle is if it lies between two pixels.
    pub rounding: CropRounding,
    /// What is beside a picture that does not fill its square.
    pub fill: [u8; CHANNELS],
    /// Multiplied with each byte.
    pub factor: f64,
    /// Added after that.
    pub offset: f32,
    /// Subtracted from each channel.
    pub mean: [f32; CHANNELS],
    /// What each channel is divided by.
    pub std: [f32; CHANNELS],
}

/// The size a picture is brought to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResizeMode {
    /// The shorter side becomes this long; the proportions stay.
    ShortestEdge(usize),
    /// Exactly this size; the proportions are lost.
    Exact(ImageSize),
    /// The longer side becomes this long and the proportions stay; the rest of a square is filled up.
    LongestEdge(usize),
}

/// Where a crop starts if an odd number of pixels is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum CropRounding {
    /// Half of it, rounded down: the processors of Hugging Face.
    Down,
    /// Half of it, rounded to the even neighbour: torchvision, and so OpenAI and open_clip.
    HalfEven,
}

/// A description of preprocessing that is missing or refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PreprocessConfigError {
    /// A file could not be read.
    #[error("read {path}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The folder says nothing about pictures.
    #[error("{path} has no preprocessor_config.json and no open_clip_config.json")]
    Missing {
        /// The folder.
        path: PathBuf,
    },
    /// A file is not the JSON it should be.
    #[error("parse {name}: {source}")]
    Json {
        /// The file.
        name: &'static str,
        /// Where it fails.
        #[source]
        source: serde_json::Error,
    },
    /// A field holds what is not supported, or is missing.
    #[error("{name}: {field} {actual} is not supported: expected {expected}")]
    Field {
        /// The file.
        name: &'static str,
        /// The field.
        field: &'static str,
        /// What it holds.
        actual: String,
        /// What it may hold.
        expected: &'static str,
    },
}

const HUGGING_FACE: &str = "preprocessor_config.json";
const OPEN_CLIP: &str = "open_clip_config.json";

impl PreprocessConfig {
    /// OpenAI's CLIP, for towers that read `side` pixels.
    #[must_use]
    pub fn clip(side: usize) -> Self {
        Self {
            resize: ResizeMode::ShortestEdge(side),
            filter: ResampleFilter::Bicubic,
            crop: Some(square(side)),
            rounding: CropRounding::HalfEven,
            fill: [0; CHANNELS],
            factor: 1.0 / 255.0,
            offset: 0.0,
            mean: CLIP_MEAN,
            std: CLIP_STD,
        }
    }

    /// DeCLIP, and its FILIP: 224 of 256 pixels, with the statistics of ImageNet.
    #[must_use]
    pub fn declip() -> Self {
        Self {
            resize: ResizeMode::ShortestEdge(256),
            filter: ResampleFilter::Bilinear,
            mean: IMAGENET_MEAN,
            std: IMAGENET_STD,
            ..Self::clip(224)
        }
    }

    /// ALIGN: squashed to 346 pixels, of which 289 are read.
    #[must_use]
    pub fn align() -> Self {
        Self {
            resize: ResizeMode::Exact(square(346)),
            filter: ResampleFilter::Bilinear,
            crop: Some(square(289)),
            rounding: CropRounding::Down,
            fill: [0; CHANNELS],
            factor: 1.0 / 127.5,
            offset: -1.0,
            mean: [0.0; CHANNELS],
            std: [1.0; CHANNELS],
        }
    }

    /// EfficientNet-Lite0: `(x - 127) / 128` of the whole picture at 224 pixels.
    #[must_use]
    pub fn efficientnet_lite0() -> Self {
        Self {
            factor: 1.0,
            offset: 0.0,
            mean: [127.0; CHANNELS],
            std: [128.0; CHANNELS],
            ..Self::clip(224)
        }
    }

    /// Reads what a model's folder says: its `preprocessor_config.json`, or its
    /// `open_clip_config.json`.
    ///
    /// # Errors
    ///
    /// [`PreprocessConfigError`] if neither is there, or names the field that is refused.
    pub fn read(folder: &Path) -> Result<Self, PreprocessConfigError> {
        for (name, parse) in [
            (HUGGING_FACE, Self::from_hugging_face as fn(&[u8]) -> _),
            (OPEN_CLIP, Self::from_open_clip),
        ] {
            let path = folder.join(name);
            match fs::read(&path) {
                Ok(json) => return parse(&json),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(source) => return Err(PreprocessConfigError::Io { path, source }),
            }
        }
        Err(PreprocessConfigError::Missing { path: folder.to_owned() })
    }

    /// Reads the text of a `preprocessor_config.json`. What it leaves out is as in CLIP's.
    ///
    /// # Errors
    ///
    /// [`PreprocessConfigError`] names the field that is refused.
    pub fn from_hugging_face(json: &[u8]) -> Result<Self, PreprocessConfigError> {
        let file: HuggingFace = parse(HUGGING_FACE, json)?;
        let field = Fields(HUGGING_FACE);
        if file.do_resize == Some(false) {
            return Err(field.refuse("do_resize", &"false", "true"));
        }
        let clip = Self::clip(224);
        // Before sizes had names, a number was the shorter side; only CLIP's files are that old.
        let resize = match file.size {
            None => clip.resize,
            Some(Size::Side(side)) | Some(Size::Shortest { shortest_edge: side }) => {
                ResizeMode::ShortestEdge(side)
            }
            Some(Size::Exact { height, width }) => ResizeMode::Exact(ImageSize { height, width }),
            Some(Size::Other(other)) => {
                let expected = "a number, shortest_edge, or height and width";
                return Err(field.refuse("size", &other, expected));
            }
        };
        let crop = match (file.do_center_crop.unwrap_or(true), file.crop_size) {
            (false, _) => None,
            (true, None) => clip.crop,
            (true, Some(Size::Side(side))) => Some(square(side)),
            (true, Some(Size::Exact { height, width })) => Some(ImageSize { height, width }),
            (true, Some(Size::Shortest { shortest_edge: side })) => Some(square(side)),
            (true, Some(Size::Other(other))) => {
                return Err(field.refuse("crop_size", &other, "a number, or height and width"));
            }
        };
        let filter = match file.resample {
            None | Some(3) => ResampleFilter::Bicubic,
            Some(2) => ResampleFilter::Bilinear,
            Some(other) => {
                return Err(field.refuse("resample", &other, "2 (bilinear) or 3 (bicubic)"));
            }
        };
        let factor = match file.do_rescale {
            Some(false) => 1.0,
            _ => file.rescale_factor.unwrap_or(clip.factor),
        };
        let normalize = file.do_normalize.unwrap_or(true);
        let config = Self {
            resize,
            filter,
            crop,
            rounding: CropRounding::Down,
            fill: clip.fill,
            factor,
            offset: if file.rescale_offset == Some(true) { -1.0 } else { 0.0 },
            mean: if normalize { file.image_mean.unwrap_or(clip.mean) } else { [0.0; CHANNELS] },
            std: if normalize { file.image_std.unwrap_or(clip.std) } else { [1.0; CHANNELS] },
        };
        config.checked(field)
    }

    /// Reads the text of an `open_clip_config.json`. What it leaves out is as in CLIP's.
    ///
    /// # Errors
    ///
    /// [`PreprocessConfigError`] names the field that is refused.
    pub fn from_open_clip(json: &[u8]) -> Result<Self, PreprocessConfigError> {
        let file: OpenClip = parse(OPEN_CLIP, json)?;
        let (preprocess, field) = (file.preprocess_cfg, Fields(OPEN_CLIP));
        let side = match preprocess.size.or(file.model_cfg.vision_cfg.image_size) {
            None => 224,
            Some(Side::One(side)) => side,
            Some(Side::Two([height, width])) if height == width => height,
            Some(Side::Two(sides)) => {
                let actual = format!("{sides:?}");
                return Err(field.refuse("image_size", &actual, "two equal sides"));
            }
        };
        let clip = Self::clip(side);
        let resize = match preprocess.resize_mode.as_deref() {
            None | Some("shortest") => clip.resize,
            Some("squash") => ResizeMode::Exact(square(side)),
            Some("longest") => ResizeMode::LongestEdge(side),
            Some(other) => {
                return Err(field.refuse("resize_mode", &other, "shortest, longest or squash"));
            }
        };
        let filter = match preprocess.interpolation.as_deref() {
            None | Some("bicubic") => ResampleFilter::Bicubic,
            Some("bilinear") => ResampleFilter::Bilinear,
            Some(other) => {
                return Err(field.refuse("interpolation", &other, "bicubic or bilinear"));
            }
        };
        let mean = preprocess.mean.unwrap_or(clip.mean);
        let std = preprocess.std.unwrap_or(clip.std);
        let fill = [preprocess.fill_color.unwrap_or_default(); CHANNELS];
        Self { resize, filter, fill, mean, std, ..clip }.checked(field)
    }

    /// Height and width of what a tower is given, where that is the same for every picture.
    #[must_use]
    pub fn fixed_size(&self) -> Option<ImageSize> {
        match (self.crop, self.resize) {
            (Some(size), _) | (None, ResizeMode::Exact(size)) => Some(size),
            (None, ResizeMode::LongestEdge(side)) => Some(square(side)),
            (None, ResizeMode::ShortestEdge(_)) => None,
        }
    }

    /// Refuses sizes that cannot be, and statistics that are no numbers.
    fn checked(self, field: Fields) -> Result<Self, PreprocessConfigError> {
        let ImageSize { height, width } = match self.resize {
            ResizeMode::Exact(size) => size,
            ResizeMode::ShortestEdge(side) | ResizeMode::LongestEdge(side) => square(side),
        };
        if !(1..=MAX_SIDE).contains(&height.min(width)) || height.max(width) > MAX_SIDE {
            let actual = format!("{width} x {height}");
            return Err(field.refuse("size", &actual, "1 to 4096 pixels a side"));
        }
        if let Some(crop) = self.crop
            && (crop.height > height || crop.width > width || crop.height.min(crop.width) == 0)
        {
            let expected = "at least 1 pixel a side, and no more than size";
            return Err(field.refuse("crop_size", &crop, expected));
        }
        if self.fixed_size().is_none() {
            let expected = "true, or a size of height and width";
            return Err(field.refuse("do_center_crop", &false, expected));
        }
        if !(self.factor as f32).is_finite() {
            return Err(field.refuse("rescale_factor", &self.factor, "a number within f32"));
        }
        if let Some(zero) = self.std.iter().find(|&&value| value <= 0.0) {
            return Err(field.refuse("std", &zero, "positive numbers"));
        }
        Ok(self)
    }
}

fn square(side: usize) -> ImageSize {
    ImageSize { height: side, width: side }
}

fn parse<'a, T: Deserialize<'a>>(
    name: &'static str,
    json: &'a [u8],
) -> Result<T, PreprocessConfigError> {
    serde_json::from_slice(json).map_err(|source| PreprocessConfigError::Json { name, source })
}

/// The fields of the file of that name.
#[derive(Clone, Copy)]
struct Fields(&'static str);

impl Fields {
    fn refuse(
        self,
        field: &'static str,
        actual: &dyn fmt::Display,
        expected: &'static str,
    ) -> PreprocessConfigError {
        let actual = actual.to_string();
        PreprocessConfigError::Field { name: self.0, field, actual, expected }
    }
}

#[derive(Deserialize)]
struct HuggingFace {
    do_resize: Option<bool>,
    size: Option<Size>,
    resample: Option<u32>,
    do_center_crop: Option<bool>,
    crop_size: Option<Size>,
    do_rescale: Option<bool>,
    rescale_factor: Option<f64>,
    rescale_offset: Option<bool>,
    do_normalize: Option<bool>,
    image_mean: Option<[f32; CHANNELS]>,
    image_std: Option<[f32; CHANNELS]>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Size {
    Side(usize),
    Shortest { shortest_edge: usize },
    Exact { height: usize, width: usize },
    Other(Value),
}

#[derive(Deserialize)]
struct OpenClip {
    model_cfg: ModelCfg,
    #[serde(default)]
    preprocess_cfg: PreprocessCfg,
}

#[derive(Deserialize)]
struct ModelCfg {
    vision_cfg: VisionCfg,
}

#[derive(Deserialize)]
struct VisionCfg {
    image_size: Option<Side>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Side {
    One(usize),
    Two([usize; 2]),
}

#[derive(Default, Deserialize)]
struct PreprocessCfg {
    size: Option<Side>,
    mean: Option<[f32; CHANNELS]>,
    std: Option<[f32; CHANNELS]>,
    interpolation: Option<String>,
    resize_mode: Option<String>,
    fill_color: Option<u8>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hugging_face(json: &str) -> Result<PreprocessConfig, String> {
        PreprocessConfig::from_hugging_face(json.as_bytes()).map_err(|error| error.to_string())
    }

    fn open_clip(json: &str) -> Result<PreprocessConfig, String> {
        PreprocessConfig::from_open_clip(json.as_bytes()).map_err(|error| error.to_string())
    }

    #[test]
    fn the_files_of_published_models_are_read() {
        let clip = r#"{"crop_size": 224, "do_center_crop": true, "do_normalize": true,
            "do_resize": true, "feature_extractor_type": "CLIPFeatureExtractor",
            "image_mean": [0.48145466, 0.4578275, 0.40821073],
            "image_std": [0.26862954, 0.26130258, 0.27577711], "resample": 3, "size": 224}"#;
        let expected =
            PreprocessConfig { rounding: CropRounding::Down, ..PreprocessConfig::clip(224) };
        assert_eq!(hugging_face(clip).unwrap(), expected);
        let named = r#"{"size": {"shortest_edge": 224}, "crop_size": {"height": 224, "width": 224},
            "do_rescale": true, "rescale_factor": 0.00392156862745098}"#;
        assert_eq!(hugging_face(named).unwrap(), expected);

        let align = r#"{"crop_size": {"height": 289, "width": 289}, "do_center_crop": true,
            "do_normalize": false, "do_rescale": true, "do_resize": true, "include_top": false,
            "image_mean": [0.485, 0.456, 0.406], "image_std": [0.229, 0.224, 0.225],
            "rescale_factor": 0.00784313725490196, "rescale_offset": true, "resample": 2,
            "size": {"height": 346, "width": 346}}"#;
        assert_eq!(hugging_face(align).unwrap(), PreprocessConfig::align());

        let open = r#"{"model_cfg": {"embed_dim": 512, "vision_cfg": {"image_size": 224}},
            "preprocess_cfg": {"mean": [0.48145466, 0.4578275, 0.40821073],
            "std": [0.26862954, 0.26130258, 0.27577711], "interpolation": "bicubic",
            "resize_mode": "shortest"}}"#;
        assert_eq!(open_clip(open).unwrap(), PreprocessConfig::clip(224));
        let squash = open_clip(
            r#"{"model_cfg": {"vision_cfg": {"image_size": [384, 384]}},
            "preprocess_cfg": {"resize_mode": "squash", "interpolation": "bilinear"}}"#,
        );
        let squash = squash.unwrap();
        let whole = open_clip(
            r#"{"model_cfg": {"vision_cfg": {"image_size": 96}},
            "preprocess_cfg": {"resize_mode": "longest", "fill_color": 255}}"#,
        );
        let whole = whole.unwrap();
        assert_eq!((whole.resize, whole.fill), (ResizeMode::LongestEdge(96), [255; 3]));
        assert_eq!(squash.resize, ResizeMode::Exact(square(384)));
        assert_eq!(
            (squash.filter, squash.fixed_size()),
            (ResampleFilter::Bilinear, Some(square(384)))
        );
    }

    #[test]
    fn a_folder_is_asked_for_either_file() {
        let folder = tempfile::tempdir().unwrap();
        let missing = PreprocessConfig::read(folder.path()).unwrap_err().to_string();
        assert!(missing.ends_with("no preprocessor_config.json and no open_clip_config.json"));
        let open = r#"{"model_cfg": {"vision_cfg": {}}}"#;
        fs::write(folder.path().join(OPEN_CLIP), open).unwrap();
        let read = PreprocessConfig::read(folder.path()).unwrap();
        assert_eq!(read.rounding, CropRounding::HalfEven);
        fs::write(folder.path().join(HUGGING_FACE), "{}").unwrap();
        let read = PreprocessConfig::read(folder.path()).unwrap();
        assert_eq!(read.rounding, CropRounding::Down);
    }

    #[test]
    fn refusals_name_the_field() {
        for (json, message) in [
            (r#"{"resample": 0}"#, "resample 0 is not supported: expected 2 (bilinear)"),
            (r#"{"do_resize": false}"#, "do_resize false is not supported"),
            (r#"{"size": {"longest_edge": 9}}"#, "size {\"longest_edge\":9} is not supported"),
            (r#"{"size": 0}"#, "size 0 x 0 is not supported"),
            (r#"{"size": 9000}"#, "size 9000 x 9000 is not supported"),
            (r#"{"size": 224, "crop_size": 225}"#, "crop_size 225 x 225 is not supported"),
            (
                r#"{"do_center_crop": false}"#,
                "do_center_crop false is not supported: expected true",
            ),
            (r#"{"crop_size": "big"}"#, "crop_size \"big\" is not supported"),
            (r#"{"image_std": [1, 0, 1]}"#, "std 0 is not supported: expected positive numbers"),
            (r#"{"rescale_factor": 1e39}"#, "rescale_factor 1000000"),
        ] {
            let error = hugging_face(json).unwrap_err();
            assert!(error.starts_with(&format!("{HUGGING_FACE}: {message}")), "{error}");
        }
        for json in ["[", r#"{"image_mean": [1e300, 0, 1]}"#] {
            assert!(hugging_face(json).unwrap_err().starts_with("parse preprocessor_config.json"));
        }
        let vision = r#""model_cfg": {"vision_cfg": {"image_size": [2, 3]}}"#;
        let error = open_clip(&format!("{{{vision}}}")).unwrap_err();
        assert!(error.ends_with("image_size [2, 3] is not supported: expected two equal sides"));
        let other =
            r#"{"model_cfg": {"vision_cfg": {}}, "preprocess_cfg": {"resize_mode": "widest"}}"#;
        assert!(open_clip(other).unwrap_err().contains("resize_mode widest"));
    }
}
