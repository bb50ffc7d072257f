//! Resize, crop, normalise.

use rayon::prelude::*;

use super::pixels::{CHANNELS, ImageSize, Pixels};
use super::preprocess_config::{CropRounding, PreprocessConfig, ResizeMode};
use super::resample::{self, Window};
use super::rgb::RgbImage;
use crate::runtime::Runtime;

/// Values of a byte.
const LEVELS: usize = 256;

impl PreprocessConfig {
    /// What the image tower reads of a picture.
    #[must_use]
    pub fn apply(&self, image: &RgbImage) -> Pixels {
        let size = self.output_size(image);
        let bytes = self.apply_bytes(image);
        let tables = self.tables();
        let plane = size.height * size.width;
        let mut data = vec![0.0; CHANNELS * plane];
        let (pixels, _) = bytes.as_chunks::<CHANNELS>();
        for (channel, (plane, table)) in data.chunks_exact_mut(plane).zip(&tables).enumerate() {
            for (out, pixel) in plane.iter_mut().zip(pixels) {
                *out = table[usize::from(pixel[channel])];
            }
        }
        Pixels { data, height: size.height, width: size.width }
    }

    /// As [`PreprocessConfig::apply`], of many pictures on all threads.
    #[must_use]
    pub fn apply_all(&self, images: &[RgbImage], runtime: &Runtime) -> Vec<Pixels> {
        runtime
            .pool()
            .install(|| images.par_iter().with_max_len(1).map(|image| self.apply(image)).collect())
    }

    /// The picture resized and cropped, `[height, width, 3]`, before it is normalised.
    #[must_use]
    pub fn apply_bytes(&self, image: &RgbImage) -> Vec<u8> {
        let resized = self.resized(image);
        let size = self.output_size(image);
        if matches!(self.resize, ResizeMode::LongestEdge(_)) {
            return self.framed(image, resized, size);
        }
        let left = self.margin(resized.width - size.width);
        let top = self.margin(resized.height - size.height);
        let window = Window { columns: left..left + size.width, rows: top..top + size.height };
        resample::resize(image, (resized.width, resized.height), self.filter, &window)
    }

    /// The whole picture in the middle of a frame.
    fn framed(&self, image: &RgbImage, resized: ImageSize, frame: ImageSize) -> Vec<u8> {
        let window = Window { columns: 0..resized.width, rows: 0..resized.height };
        let size = (resized.width, resized.height);
        let picture = resample::resize(image, size, self.filter, &window);
        let (left, top) = ((frame.width - resized.width) / 2, (frame.height - resized.height) / 2);
        let mut out = self.fill.repeat(frame.width * frame.height);
        let lines = out.chunks_exact_mut(frame.width * CHANNELS).skip(top);
        for (line, row) in lines.zip(picture.chunks_exact(resized.width * CHANNELS)) {
            line[left * CHANNELS..][..row.len()].copy_from_slice(row);
        }
        out
    }

    /// Height and width of what [`PreprocessConfig::apply`] gives.
    fn output_size(&self, image: &RgbImage) -> ImageSize {
        if let ResizeMode::LongestEdge(side) = self.resize {
            return ImageSize { height: side, width: side };
        }
        self.crop.unwrap_or_else(|| self.resized(image))
    }

    fn resized(&self, image: &RgbImage) -> ImageSize {
        match self.resize {
            ResizeMode::Exact(size) => size,
            ResizeMode::LongestEdge(long) => {
                let (width, height) = (image.width(), image.height());
                let longest = width.max(height);
                let short = |side: usize| (side * long / longest).max(1);
                ImageSize { height: short(height), width: short(width) }
            }
            ResizeMode::ShortestEdge(short) => {
                let (width, height) = (image.width(), image.height());
                // As it is written in Python, by way of a float.
                let long =
                    |long: usize, other: usize| ((short * long) as f64 / other as f64) as usize;
                if width <= height {
                    ImageSize { width: short, height: long(height, width) }
                } else {
                    ImageSize { width: long(width, height), height: short }
                }
            }
        }
    }

    /// Where a crop starts that leaves out `rest` pixels.
    fn margin(&self, rest: usize) -> usize {
        match self.rounding {
            CropRounding::Down => rest / 2,
            CropRounding::HalfEven => (rest as f64 / 2.0).round_ties_even() as usize,
        }
    }

    /// What each value of a byte becomes, in each channel.
    fn tables(&self) -> [[f32; LEVELS]; CHANNELS] {
        let mut tables = [[0.0; LEVELS]; CHANNELS];
        for (channel, table) in tables.iter_mut().enumerate() {
            for (level, out) in table.iter_mut().enumerate() {
                let value = (level as f64 * self.factor) as f32 + self.offset;
                *out = (value - self.mean[channel]) / self.std[channel];
            }
        }
        tables
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use safetensors::SafeTensors;

    use super::*;
    use crate::image::{DecodeOptions, ResampleFilter, decode_image_file};

    const FOLDER: &str = "tests/data/preprocess-small";
    const PICTURES: [&str; 9] = [
        "0_97x64", "1_64x97", "2_65x98", "3_98x65", "4_40x30", "5_120x17", "6_64x64", "7_81x61",
        "8_33x50",
    ];

    fn square(side: usize) -> ImageSize {
        ImageSize { height: side, width: side }
    }

    #[test]
    fn pictures_become_the_bytes_that_pillow_makes_of_them() {
        let folder = Path::new(FOLDER);
        let reference = std::fs::read(folder.join("reference.safetensors")).unwrap();
        let reference = SafeTensors::deserialize(&reference).unwrap();
        let openai = PreprocessConfig::clip(48);
        let hugging_face = PreprocessConfig { rounding: CropRounding::Down, ..openai.clone() };
        let resized = PreprocessConfig { crop: None, ..openai.clone() };
        // 289 of 346 pixels, at 48.
        let align = PreprocessConfig {
            resize: ResizeMode::Exact(square(42)),
            filter: ResampleFilter::Bilinear,
            crop: Some(square(35)),
            ..hugging_face.clone()
        };
        let configs = [
            ("clip_openai", openai),
            ("clip_hf", hugging_face),
            ("resized", resized),
            ("align", align),
        ];
        for (index, picture) in PICTURES.iter().enumerate() {
            let path = folder.join(format!("{picture}.png"));
            let image = decode_image_file(&path, &DecodeOptions::default()).unwrap();
            for (name, config) in &configs {
                let expected = reference.tensor(&format!("{name}_{index}")).unwrap();
                let size = config.output_size(&image);
                assert_eq!(expected.shape(), [size.height, size.width, 3], "{name} {picture}");
                assert!(config.apply_bytes(&image) == expected.data(), "{name} {picture}");
            }
        }
    }

    #[test]
    fn half_a_pixel_goes_to_the_even_side_or_down() {
        let config = PreprocessConfig::clip(224);
        assert_eq!([1, 2, 3, 115].map(|rest| config.margin(rest)), [0, 1, 2, 58]);
        let config = PreprocessConfig { rounding: CropRounding::Down, ..config };
        assert_eq!([1, 2, 3, 115].map(|rest| config.margin(rest)), [0, 1, 1, 57]);
    }

    #[test]
    fn a_picture_that_is_shown_whole_lies_in_the_middle_of_its_frame() {
        let image = RgbImage::new(8, 3, [9, 80, 200].repeat(24)).unwrap();
        let resize = ResizeMode::LongestEdge(16);
        let config = PreprocessConfig { resize, fill: [255; 3], ..PreprocessConfig::clip(16) };
        let bytes = config.apply_bytes(&image);
        for (row, line) in bytes.chunks_exact(16 * 3).enumerate() {
            let expected: [u8; 3] = if (5..11).contains(&row) { [9, 80, 200] } else { [255; 3] };
            assert_eq!(line, expected.repeat(16), "{row}");
        }
        assert_eq!(config.apply(&image).size(), square(16));
    }

    #[test]
    fn values_are_normalised_channel_by_channel() {
        let image = RgbImage::new(2, 1, vec![0, 255, 51, 0, 255, 51]).unwrap();
        let pixels = PreprocessConfig::clip(2).apply(&image);
        assert_eq!(pixels.size(), square(2));
        let expected = [
            (0.0 - 0.481_454_66) / 0.268_629_54,
            (1.0 - 0.457_827_5) / 0.261_302_6,
            (0.2 - 0.408_210_73) / 0.275_777_1,
        ];
        for (plane, expected) in pixels.data.chunks(4).zip(expected) {
            assert!(plane.iter().all(|value: &f32| (value - expected).abs() < 1e-6), "{plane:?}");
        }
        let align = PreprocessConfig { crop: None, ..PreprocessConfig::align() };
        let pixels = align.apply(&image);
        assert_eq!((pixels.data[0], pixels.data[346 * 346]), (-1.0, 1.0));
    }

    #[test]
    fn many_pictures_are_each_as_if_alone() {
        let data: Vec<u8> = (0..50 * 40 * 3u32).map(|i| (i % 253) as u8).collect();
        let images = [
            RgbImage::new(50, 40, data.clone()).unwrap(),
            RgbImage::new(1, 1, vec![1, 2, 3]).unwrap(),
            RgbImage::new(40, 50, data).unwrap(),
        ];
        let config = PreprocessConfig::clip(16);
        let all = config.apply_all(&images, &Runtime::new(2).unwrap());
        for (image, pixels) in images.iter().zip(&all) {
            assert_eq!(config.apply(image), *pixels);
        }
    }
}
